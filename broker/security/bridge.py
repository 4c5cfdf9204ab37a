"""A site's broker that a bridge joins to the run's: what the bridge may carry, and its configuration."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from broker import claims
from broker.security.grants import Grant
from broker.server.configuration import AUTHORITY_FILE


def bridge_party(role: str) -> str:
    """Name on the certificate of the bridge to a role's site."""
    return f"bridge-{role}"


def carried(parties: Iterable[Iterable[Grant]]) -> list[Grant]:
    """What a bridge has to be granted at the run's broker for those who speak at its site."""
    return list(dict.fromkeys(grant for grants in parties for grant in grants))


def bridge_lines(role: str, address: str, grants: Iterable[Grant], credentials: Path | None = None) -> str:
    """Part of a Mosquitto's configuration that joins the broker of a role's site to the run's.

    Parameters
    ----------
    role
        Who speaks at the site.
    address
        Host and port of the run's broker.
    grants
        What it is granted there: what is written goes out, what is read comes in, claims go both ways.
    credentials
        Folder of the bridge's certificate, where the run's broker wants one.
    """
    party, granted = bridge_party(role), list(grants)
    written = dict.fromkeys(grant.topic for grant in granted if grant.access != "read")
    read = dict.fromkeys(grant.topic for grant in granted if grant.access == "read")
    directions = {topic: "both" if topic.startswith(claims.ROOT) else "out" for topic in written}
    directions.update({topic: "in" for topic in read if topic not in written})
    lines = [
        f"connection {party}",
        f"address {address}",
        "bridge_protocol_version mqttv311",
        "cleansession true",
        "restart_timeout 1",
        "notifications false",
    ]
    if credentials is not None:
        lines += [
            f"bridge_cafile {credentials / AUTHORITY_FILE}",
            f"bridge_certfile {credentials / party}.crt",
            f"bridge_keyfile {credentials / party}.key",
            "bridge_tls_version tlsv1.3",
        ]
    return "\n".join([*lines, *(f"topic {topic} {way} 1" for topic, way in directions.items())]) + "\n"
