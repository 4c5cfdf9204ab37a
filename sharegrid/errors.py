"""The root of every error that is meant for a user, whichever package raises it."""


class SharegridError(Exception):
    """Something a user can put right; the message is one line: what, where, what to do."""


class ShadowedPackage(SharegridError):
    """A module of the user's has the name of one of our packages and is found before it."""
