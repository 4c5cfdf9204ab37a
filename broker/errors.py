"""Errors of the message layer.

BrokerError              (a SharegridError)
├── BrokerUnreachable    nothing answers at the address, or it did not come back in time
├── BrokerRefused        the broker answers and says no (credentials, a topic)
├── BrokerStartError     a broker of our own did not start (missing program, busy port)
├── BrokerAddressError   the text given as a broker is not one
├── CredentialsError     a certificate or key is missing or cannot be used
├── BusClosed            a bus was used after its connection was given up
└── MessageTooLarge      a message has more bytes than any receiver takes

Each message is one line: what went wrong, where, and what to do about it.
"""

from sharegrid.errors import SharegridError


class BrokerError(SharegridError):
    """Root of every error that the message layer raises on purpose."""


class BrokerUnreachable(BrokerError):
    """No broker answers at the address, or it did not come back in time."""


class BrokerRefused(BrokerError):
    """The broker does not let this client in, or not at this topic."""


class BrokerStartError(BrokerError):
    """A broker that we were to run ourselves did not start."""


class BrokerAddressError(BrokerError):
    """A broker choice or address that cannot be understood."""


class CredentialsError(BrokerError):
    """A certificate or key that is missing, cannot be used, or that others may read."""


class BusClosed(BrokerError):
    """A bus was used after it had been closed."""


class MessageTooLarge(BrokerError):
    """A message has more bytes than may be sent."""
