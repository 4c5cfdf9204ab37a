"""Root of the errors that a run of the testbed raises on purpose."""

from __future__ import annotations


class SharegridError(Exception):
    """Something a user can put right; the message is one line: what, where, what to do."""
