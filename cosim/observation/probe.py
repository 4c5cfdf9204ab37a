"""``python -m cosim.observation.probe [HOST:PORT]``: exit status 0 where the process there is healthy.

For health checks of containers: it loads nothing but the standard library.
"""

from __future__ import annotations

import http.client
import os
import sys

_PATIENCE_S = 3.0


def main(arguments: list[str]) -> int:
    """Ask once; the address comes from the arguments, or from ``SHAREGRID_METRICS``."""
    address = arguments[0] if arguments else os.environ.get("SHAREGRID_METRICS", "")
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        print("probe: give HOST:PORT, or set SHAREGRID_METRICS", file=sys.stderr)  # noqa: T201
        return 2
    reachable = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))  # noqa: S104
    connection = http.client.HTTPConnection(reachable, int(port), timeout=_PATIENCE_S)
    try:
        connection.request("GET", "/health")
        response = connection.getresponse()
        print(response.read().decode(errors="replace"))  # noqa: T201
    except OSError as error:
        print(f"probe: {address}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    finally:
        connection.close()
    return 0 if response.status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
