"""Register images of many like devices: columns go in from physics, words go out to a server.

Physics reads and writes whole columns; a Modbus server reads and writes the words of one row. What a
client has written is seen by physics only through the registers.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devices.registers.columns import decode_column, encode_column
from devices.registers.points import Point, encode, word_count
from devices.registers.sunspec import Layout

ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
Overlay = Callable[[NDArray[np.uint16]], NDArray[np.uint16]]


class RegisterBank:
    """Registers of ``count`` devices with one layout.

    Parameters
    ----------
    layout
        Points and fixed words.
    count
        Number of devices, rows of the image.
    controls
        Points that a client's write changes. Writes to other writable points of the map are accepted
        without effect, as inverters do with options they lack; a write to anything else is refused.

    Attributes
    ----------
    words
        The image, ``(count, length)``.
    failing
        Exception code with which a row answers everything, by row.
    losing_writes
        Rows that confirm a write and lose it.
    overlays
        What a client reads in place of a row's words, as a function of them, by row.
    holding
        Holding registers from address 0 on, by row, of devices that have others there than input registers.
    obeyed
        Words that the physics of a row goes by in place of what clients write, by row.
    listeners
        Called after a write with row, first offset and the offset past the last.
    """

    def __init__(self, layout: Layout, count: int, controls: Iterable[str] = ()) -> None:
        self.layout = layout
        self.words = np.zeros((count, layout.length), dtype=np.uint16)
        self.failing: dict[int, int] = {}
        self.losing_writes: set[int] = set()
        self.overlays: dict[int, Overlay] = {}
        self.holding: dict[int, NDArray[np.uint16]] = {}
        self.obeyed: dict[int, NDArray[np.uint16]] = {}
        self.listeners: list[Callable[[int, int, int], None]] = []
        self._scale: dict[str, NDArray[np.int64]] = {}
        self._controls = frozenset(controls)
        self._follows = np.zeros(layout.length, dtype=bool)
        self._tolerates = np.zeros(layout.length, dtype=bool)
        for offset, word in layout.fixed.items():
            self.words[:, offset] = word
        for point in layout.points.values():
            self.words[:, _span(point)] = encode(point, None)
            self._tolerates[_span(point)] = point.rw
        for name in self._controls:
            self._follows[_span(layout.points[name])] = True

    def __len__(self) -> int:
        """Return the number of devices."""
        return len(self.words)

    def put(self, name: str, values: ArrayLike) -> None:
        """Set a numeric point of all rows, in its unit; NaN says not implemented.

        A scale factor has to be put before the points that it scales.
        """
        point = self.layout.points[name]
        column = np.broadcast_to(np.asarray(values, dtype=np.float64), len(self))
        self.words[:, _span(point)] = encode_column(point, column, self._scale_of(point))
        if point.type == "sunssf":
            self._scale[name] = column.astype(np.int64)

    def put_known(self, values: Mapping[str, ArrayLike]) -> None:
        """Set those of some numeric points that the layout has, scale factors first; see `put`."""
        known = self.layout.points
        for name in sorted(values.keys() & known, key=lambda name: known[name].type != "sunssf"):
            self.put(name, values[name])

    def put_rows(self, name: str, rows: NDArray[np.bool_], values: ArrayLike) -> None:
        """Set a numeric point where ``rows`` is true, leaving the words of the others as they are."""
        if not rows.any():
            return
        before = self.words[:, _span(self.layout.points[name])].copy()
        self.put(name, values)
        self.words[~rows, _span(self.layout.points[name])] = before[~rows]

    def put_text(self, name: str, texts: Iterable[str]) -> None:
        """Set a text point, one text for each row."""
        point = self.layout.points[name]
        for row, text in enumerate(texts):
            self.words[row, _span(point)] = encode(point, text)

    def get(self, name: str) -> NDArray[np.float64]:
        """Values of a numeric point of all rows, in its unit, ``(count,)``; NaN where not implemented."""
        point = self.layout.points[name]
        words = self.words[:, _span(point)]
        if self.obeyed and name in self._controls:
            words = words.copy()
            for row, kept in self.obeyed.items():
                words[row] = kept[_span(point)]
        return decode_column(point, words, self._scale_of(point))

    def value(self, row: int, name: str) -> float:
        """Value of a numeric point of one row, in its unit; NaN where not implemented."""
        point = self.layout.points[name]
        if isinstance(point.sf, str) and point.sf not in self._scale:
            return float("nan")
        return float(
            decode_column(point, self.words[row : row + 1, _span(point)], self._scale_at(point, row))[0]
        )

    def words_of(self, row: int, name: str, value: float) -> NDArray[np.uint16]:
        """Words that a value of a numeric point would have in one row; too large a value saturates."""
        point = self.layout.points[name]
        words: NDArray[np.uint16] = encode_column(point, [value], self._scale_at(point, row))[0]
        return words

    def scale_at(self, row: int, name: str) -> int:
        """Scale factor of a numeric point in one row."""
        return self._scale_at(self.layout.points[name], row)

    def keep_defaults(self) -> None:
        """Take the controls as they are now for those that a restart brings back."""
        self._defaults = self.words.copy()

    def put_words(self, words: NDArray[np.uint16]) -> None:
        """Put the whole image back, ``(count, length)``; nobody is told of it."""
        self.words[:] = words

    def restart(self, row: int) -> None:
        """Bring the controls of one row back to their defaults."""
        self.words[row] = np.where(self._follows, self._defaults[row], self.words[row])

    def read(self, row: int, address: int, count: int) -> list[int]:
        """Words of one row from a register address; raises ``ValueError`` where it has none there."""
        data = self.read_bytes(row, address, count)
        if data is None:
            raise ValueError(f"there are no {count} registers from {address} on")
        words: list[int] = np.frombuffer(data, dtype=">u2").tolist()
        return words

    def read_bytes(self, row: int, address: int, count: int) -> bytes | None:
        """Registers of one row from an address, as they go over a wire; ``None`` where it lacks one."""
        start = address - self.layout.base
        if start < 0 or start + count > self.layout.length:
            return None
        image = self.overlays[row](self.words[row]) if row in self.overlays else self.words[row]
        return image[start : start + count].astype(">u2").tobytes()

    def holding_bytes(self, row: int, address: int, count: int) -> bytes | None:
        """The same of its holding registers, where it has such of their own."""
        held = self.holding[row][address : address + count]
        return held.astype(">u2").tobytes() if len(held) == count else None

    def write(self, row: int, address: int, values: list[int]) -> int:
        """Take a client's write to one row; returns 0 or the Modbus exception code."""
        start = address - self.layout.base
        span = slice(start, start + len(values))
        if start < 0 or span.stop > self.layout.length:
            return ILLEGAL_ADDRESS
        follows = self._follows[span]
        if not (follows | self._tolerates[span]).all():
            return ILLEGAL_ADDRESS
        if row not in self.losing_writes:
            self.words[row, span] = np.where(follows, values, self.words[row, span])
            for listener in self.listeners:
                listener(row, start, start + len(values))
        return 0

    def _scale_at(self, point: Point, row: int) -> int:
        scale = self._scale_of(point)
        return scale if isinstance(scale, int) else int(scale[row])

    def _scale_of(self, point: Point) -> NDArray[np.int64] | int:
        if isinstance(point.sf, str):
            return self._scale[point.sf]
        return point.sf or 0


def _span(point: Point) -> slice:
    return slice(point.at, point.at + word_count(point))
