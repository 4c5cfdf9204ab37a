"""What a door says of a message that it does not let in."""


class Refused(Exception):
    """A message that is not let in; the text says why."""
