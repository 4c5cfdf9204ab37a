"""Names of a device that are the same by whatever address it is reached: on a broker, on a computer."""

import asyncio
import ipaddress
import os
import socket

from devices.endpoint import Endpoint, Link


async def name_anywhere(endpoint: Endpoint) -> str:
    """Name of a device that is the same from wherever it is reached; serial lines are this computer's."""
    link, host = endpoint.link, socket.gethostname()
    if link.scheme == "rtu":
        place = f"{host}:{(await _line(link)).strip('/').replace('/', ':')}"
    else:
        place = f"{await _resolved(link.place, host)}:{link.port}"
    return f"{place}:{_at_place(endpoint)}"


async def names_here(endpoint: Endpoint) -> list[str]:
    """Names of a device on this computer: one for each network address that its host's name stands for.

    Whoever reaches one device by two addresses has a name in common, where these lead to the same port.
    All addresses of this computer are one.
    """
    link = endpoint.link
    if link.scheme == "rtu":
        return [f"{await _line(link)}:{_at_place(endpoint)}"]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(link.place, link.port, type=socket.SOCK_STREAM)
        hosts = {"here" if _is_here(family, at) else str(at[0]) for family, _, _, _, at in found}
    except OSError:
        hosts = {link.place}
    return [f"{host}:{link.port}:{_at_place(endpoint)}" for host in sorted(hosts)]


async def _line(link: Link) -> str:
    # One serial line has many names: by its number, by what hangs on it.
    return await asyncio.to_thread(os.path.realpath, link.place)


def _at_place(endpoint: Endpoint) -> str:
    return endpoint.name.replace("/", ":") or str(endpoint.unit)


async def _resolved(name: str, this_host: str) -> str:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return name
    address = found[0][4][0]
    return this_host if ipaddress.ip_address(address).is_loopback else str(address)


def _is_here(family: int, at: tuple[str | int | bytes, ...]) -> bool:
    """Whether an address is one of this computer's: then it is reached from itself. Nothing is sent."""
    if ipaddress.ip_address(str(at[0]).partition("%")[0]).is_loopback:
        return True
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(at)
        except OSError:  # No way leads there.
            return False
        return bool(probe.getsockname()[0] == at[0])
