"""``sharegrid broker``: files of a broker that knows who speaks, and until when they hold."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from broker.address import MQTTS_PORT, is_host
from broker.topics import topic_safe
from cosim.command_options import scenario_options
from cosim.world.names import ROLES, Role
from sharegrid.errors import SharegridError
from sharegrid.numbers import WholeRange

if TYPE_CHECKING:
    from broker.security.files import Written
    from broker.security.grants import Grant
    from cosim.world.world import World

_SOON_DAYS = 30
_SHOWN = 12
_ROLE = click.Choice([str(role) for role in ROLES])


class SecurityError(SharegridError):
    """Options of ``sharegrid broker`` that cannot be used, or certificates that have ended."""


@click.group(name="broker")
def broker_group() -> None:
    """Secure a broker: who speaks, to whom, encrypted."""


@broker_group.command()
@scenario_options
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write or complete.")
@click.option(
    "--host", "hosts", multiple=True, help="Name or address by which the broker is reached; may be repeated."
)
@click.option("--port", default=MQTTS_PORT, show_default=True, type=WholeRange(1, 65_535))
@click.option("--device", "devices", multiple=True, help="A `sharegrid device --name NAME`; may be repeated.")
@click.option(
    "--bridge",
    "bridges",
    multiple=True,
    type=_ROLE,
    help="Whose site has a broker of its own.",
)
@click.option("--run-id", help="Let parties speak in this run alone. Default: in every run.")
@click.option("--days", default=397, show_default=True, type=WholeRange(1, 3650), help="Of certificates.")
@click.option("--connections", default=1000, show_default=True, type=WholeRange(1), help="At a time.")
@click.option(
    "--seen-at", type=click.Path(path_type=Path), help="Where the broker finds OUT/broker, as in a container."
)
@click.option("--renew", is_flag=True, help="Write all certificates anew.")
def files(
    scenario: Path | None,
    changes: dict[str, object],
    out: Path,
    hosts: tuple[str, ...],
    port: int,
    devices: tuple[str, ...],
    bridges: tuple[str, ...],
    run_id: str | None,
    days: int,
    connections: int,
    seen_at: Path | None,
    renew: bool,
) -> None:
    """Write Mosquitto's configuration, certificates, keys and grants for the runs of SCENARIO."""
    from broker.security.bridge import bridge_party
    from broker.security.files import Group, Plan, write_files
    from broker.security.grants import ANY, grants
    from broker.server.configuration import BrokerLimits
    from cosim.security.parties import groups
    from cosim.world.bounds import bounds_of

    for name in (*devices, *([run_id] if run_id else [])):
        if not topic_safe(name):
            raise SecurityError(f"{name!r}: use letters, digits, dot, dash, colon and underscore only")
    for host in hosts:
        if not is_host(host):
            raise SecurityError(
                f"--host {host!r}: give a name or an address, as in broker.lab or 192.168.0.7"
            )
    world = _world(scenario, changes)
    granted = grants(bounds_of(world), run_id or ANY, devices)
    plan = Plan(
        grants=granted | {bridge_party(role): _carried(world, role, granted) for role in bridges},
        groups=groups(world, devices) | {bridge_party(role): Group([bridge_party(role)]) for role in bridges},
        hosts=hosts or ("localhost", "127.0.0.1", "::1", socket.gethostname()),
        port=port,
        days=days,
        limits=BrokerLimits(connections=connections),
        seen_at=seen_at,
    )
    written = write_files(out, plan, renew=renew)
    new = sum(each.is_new for each in written)
    click.echo(f"{new} certificates written, {len(written) - new} kept")
    _show_expiry(written)
    click.echo(f"broker:  mosquitto -c {out / 'broker' / 'mosquitto.conf'}")
    first = plan.hosts[0]
    click.echo(f"address: mqtts://{first}:{port}?credentials={out / 'clients'}/ROLE")


@broker_group.command()
@click.argument("role", type=_ROLE)
@scenario_options
@click.option("--to", "address", required=True, metavar="HOST:PORT", help="The run's broker.")
@click.option("--credentials", type=click.Path(path_type=Path), help="Folder clients/bridge-ROLE.")
def bridge(
    role: str, scenario: Path | None, changes: dict[str, object], address: str, credentials: Path | None
) -> None:
    """Print what joins the Mosquitto of ROLE's site to the run's broker, to append to its configuration."""
    from broker.security.bridge import bridge_lines
    from broker.security.grants import grants
    from cosim.world.bounds import bounds_of

    world = _world(scenario, changes)
    carried = _carried(world, role, grants(bounds_of(world)))
    click.echo(bridge_lines(role, address, carried, credentials), nl=False)


@broker_group.command()
@click.argument("folder", type=click.Path(path_type=Path))
def check(folder: Path) -> None:
    """Say until when the certificates below FOLDER hold. Exit status: 1 where one has ended."""
    from broker.security.files import certificates_in

    found = certificates_in(folder)
    if not _show_expiry(found):
        raise SystemExit(1)


def _carried(world: World, role: str, granted: Mapping[str, list[Grant]]) -> list[Grant]:
    """What a bridge to the site of a role is granted."""
    from broker.security.bridge import carried

    return carried(granted[name] for name in world.services_of(Role(role)))


def _world(scenario: Path | None, changes: dict[str, object]) -> World:
    from cosim.feeder_setup.lam_table import feeder_of
    from cosim.scenario import load_scenario
    from cosim.world.build import build_world

    loaded = load_scenario(scenario, changes=changes)
    return build_world(loaded, feeder_of(loaded).widest.layout)


def _show_expiry(written: list[Written]) -> bool:
    """Say when certificates end, those that end first one by one; whether all hold today."""
    now = datetime.now(UTC)
    ordered = sorted(written, key=lambda each: each.expires)
    for each in ordered[:_SHOWN]:
        days = (each.expires - now).days
        remark = "ended" if each.expires <= now else f"{days} days left"
        soon = ": renew it" if days < _SOON_DAYS else ""
        click.echo(f"  {each.party:<24} {each.expires:%Y-%m-%d}  {remark}{soon}")
    if len(ordered) > _SHOWN:
        click.echo(f"  {len(ordered) - _SHOWN} more, the last on {ordered[-1].expires:%Y-%m-%d}")
    return all(each.expires > now for each in written)
