"""The error of a file that cannot be understood."""

from sharegrid.errors import SharegridError


class ImportRefused(SharegridError):
    """A file that cannot be brought into our form; says what, where, and what to do."""
