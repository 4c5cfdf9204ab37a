"""Who may see the view, and who may press its buttons.

A page of another site in the same browser must not be able to press them, nor a name that is made to lead
here: so a view on this computer answers its own names alone, and each button's word carries a key that only
the page has. Whoever comes from elsewhere has to bring the view's token.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

COOKIE = "sharegrid-view"
TOKEN = "token"  # noqa: S105 - a name, not a secret
KEY_FIELD = "key"
KEY_HEADER = "x-view-key"


def is_this_computer(host: str) -> bool:
    """Whether an address or name is one by which only this computer reaches itself."""
    name = host.strip("[]").casefold()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Access:
    """Rules of one view.

    Attributes
    ----------
    host
        Address at which it listens.
    token
        What others have to bring; empty where only this computer may look.
    key
        What its own buttons bring.
    """

    host: str
    token: str = ""
    key: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def is_open(self) -> bool:
        """Whether others can reach it."""
        return not is_this_computer(self.host)

    def admits(self, host_header: str, query: Mapping[str, str], cookies: Mapping[str, str]) -> bool:
        """Whether a request may see anything: by the name it asked for, or by the token."""
        name = host_header.rpartition(":")[0] if host_header.rpartition(":")[2].isdigit() else host_header
        if not self.is_open:
            return is_this_computer(name)
        given = query.get(TOKEN) or cookies.get(COOKIE, "")
        return bool(self.token) and secrets.compare_digest(given.encode(), self.token.encode())

    def may_press(self, key: str) -> bool:
        """Whether a button of this view's own page was pressed."""
        return secrets.compare_digest(key.encode(), self.key.encode())
