"""The file of a record: a first line that names the form, then blocks of entries, compressed and sealed.

A block has a head of 16 bytes (mark, bytes before and after compression, CRC-32 of what follows), and then
entries as Zstandard compressed them. What a process that was killed had not yet written is lost with it, and
every block before is whole.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self, cast

import pyarrow as pa

from cosim.traffic.entries import Entry, TrafficError, packed, unpacked

FIRST_LINE = b"sharegrid bus traffic, form 1\n"
_FORM = b"sharegrid bus traffic, form "

RECORD_MB = 4096
"""A record has at most so many MiB where nothing else is said."""

BLOCK_BYTES = 2**20
"""Entries are gathered until they have so many bytes, or the writer is told to write."""

LARGEST_BLOCK = 256 * 2**20
"""No block has more: a message has at most 64 MiB, and one that completes a block may be as large."""

_HEAD = struct.Struct("<4sIII")
_MARK = b"blk\n"
_LEVEL = 1


class TrafficWriter:
    """Adds entries to a record; what was cut off at its end goes first.

    Parameters
    ----------
    path
        The file; made where there is none.
    most_bytes
        It never has more.

    Attributes
    ----------
    is_full
        Whether it has no room for more.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        self.path = path
        self.is_full = False
        self._most_bytes = most_bytes
        self._codec = pa.Codec("zstd", compression_level=_LEVEL)
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        try:
            self._file = self._opened()
        except OSError as error:
            raise TrafficError(f"{path}: cannot be written: {error.strerror}; is there room?") from None

    def _opened(self) -> BinaryIO:
        if not self.path.exists() or FIRST_LINE.startswith(self.path.read_bytes()[: len(FIRST_LINE) + 1]):
            # Also where a process was killed before it had written more than the first line.
            fresh = self.path.open("wb")
            fresh.write(FIRST_LINE)
            fresh.flush()
            return fresh
        end = whole_end(self.path)
        file = self.path.open("r+b")
        file.truncate(end)
        file.seek(end)
        return file

    def add(self, entry: Entry) -> None:
        """Add an entry, unless the file is full; it is written with its block."""
        if self.is_full:
            return
        self._waiting.append(content := packed(entry))
        self._waiting_bytes += len(content)
        if self._waiting_bytes >= BLOCK_BYTES:
            self.write()

    def write(self) -> None:
        """Write what waits; raises ``TrafficError`` where the disk does not take it."""
        if not self._waiting:
            return
        block = b"".join(self._waiting)
        self._waiting, self._waiting_bytes = [], 0
        content = cast("bytes", self._codec.compress(block, asbytes=True))
        head = _HEAD.pack(_MARK, len(block), len(content), zlib.crc32(content))
        try:
            if self._file.tell() + len(head) + len(content) > self._most_bytes:
                self.is_full = True
                return
            self._file.write(head + content)
            # A process that is killed leaves what the system has; only a computer that stops loses it.
            self._file.flush()
        except OSError as error:
            self.is_full = True
            raise TrafficError(f"{self.path}: recording ends: {error.strerror}") from None

    def close(self) -> None:
        """Write what waits, and close the file."""
        try:
            self.write()
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class TrafficReader:
    """Reads a record from its beginning; each iteration begins anew.

    Attributes
    ----------
    path
        The file.
    damage
        What is wrong behind the last whole block, in words, once it was read so far; empty where nothing is.
    """

    path: Path
    damage: str = ""

    def __iter__(self) -> Iterator[Entry]:
        """Entries of all whole blocks, in order.

        Raises
        ------
        TrafficError
            The file cannot be read, or is no record of a form that this version knows.
        """
        self.damage = ""
        codec = pa.Codec("zstd")
        with opened(self.path) as file:
            while True:
                at = file.tell()
                head = file.read(_HEAD.size)
                if not head:
                    return
                content, self.damage = _content(head, file, at)
                if self.damage:
                    return
                try:
                    raw_bytes = _HEAD.unpack(head)[1]
                    yield from unpacked(codec.decompress(content, raw_bytes, asbytes=True))
                except (OSError, ValueError) as error:
                    self.damage = f"the block at byte {at:,} cannot be read ({error})"
                    return


def opened(path: Path) -> BinaryIO:
    """Record behind its first line; raises ``TrafficError`` where it is none that this version reads."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise TrafficError(f"{path}: cannot be read: {error.strerror}; record a run by `--record`") from None
    first = file.read(len(FIRST_LINE))
    if first == FIRST_LINE:
        return file
    file.close()
    if first.startswith(_FORM):
        raise TrafficError(
            f"{path}: is a record of another form ({first[len(_FORM) :].decode(errors='replace').strip()});"
            " replay it with the version of sharegrid that made it"
        )
    raise TrafficError(f"{path}: is no record of bus traffic")


def whole_end(path: Path) -> int:
    """Where the last whole block of a record ends [bytes]; raises as `opened`."""
    with opened(path) as file:
        while True:
            at = file.tell()
            head = file.read(_HEAD.size)
            if not head or _content(head, file, at)[1]:
                return at


def _content(head: bytes, file: BinaryIO, at: int) -> tuple[bytes, str]:
    """Compressed content of a block, and what is wrong with it."""
    if len(head) < _HEAD.size:
        return b"", f"it is cut off at byte {at:,}"
    mark, raw_bytes, size, crc = _HEAD.unpack(head)
    if mark != _MARK or max(raw_bytes, size) > LARGEST_BLOCK:
        return b"", f"there is no block at byte {at:,}"
    content = file.read(size)
    if len(content) < size:
        return b"", f"the block at byte {at:,} is cut off"
    if zlib.crc32(content) != crc:
        return b"", f"the block at byte {at:,} is damaged"
    return content, ""
