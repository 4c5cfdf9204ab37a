"""Green Button files (NAESB ESPI): readings of a meter as XML."""

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from cosim.importing.errors import ImportRefused
from cosim.importing.series import Series

_ESPI = "{http://naesb.org/espi}"
_WATT_HOURS = "72"
_WATTS = "38"


def is_green_button(path: Path) -> bool:
    """Whether a file holds Green Button data."""
    if path.suffix.lower() != ".xml" or not path.is_file():
        return False
    with path.open("rb") as file:
        return b"naesb.org/espi" in file.read(4096)


def read_green_button(path: Path) -> list[Series]:
    """Readings of all meters of a file, one series for each reading type.

    Raises
    ------
    ImportRefused
        The file is damaged, holds no readings, or readings of another unit than Wh or W.
    """
    try:
        root = ET.parse(path).getroot()  # noqa: S314  # the user's own file
    except ET.ParseError as error:
        raise ImportRefused(f"{path.name}: is damaged: {error}; download it again") from None
    unit = (root.findtext(f".//{_ESPI}ReadingType/{_ESPI}uom") or _WATT_HOURS).strip()
    if unit not in (_WATT_HOURS, _WATTS):
        raise ImportRefused(f"{path.name}: unit {unit} is neither Wh (72) nor W (38); export electricity")
    power = int(root.findtext(f".//{_ESPI}ReadingType/{_ESPI}powerOfTenMultiplier") or 0)
    rows = sorted(
        (int(each.findtext(f"{_ESPI}timePeriod/{_ESPI}start") or 0),
         int(each.findtext(f"{_ESPI}timePeriod/{_ESPI}duration") or 0),
         float(each.findtext(f"{_ESPI}value") or "nan"))
        for each in root.iter(f"{_ESPI}IntervalReading")
    )  # fmt: skip
    if len(rows) < 2:
        raise ImportRefused(f"{path.name}: no interval readings; export the interval data")
    start, duration, value = (np.array(column) for column in zip(*rows, strict=True))
    step_s = int(duration[0])
    holes = np.flatnonzero((np.diff(start) != step_s) | (duration[1:] != step_s))
    if step_s <= 0 or holes.size:
        at = int(start[holes[0] + 1]) if holes.size else int(start[0])
        raise ImportRefused(
            f"{path.name}: the readings have a hole or another step at {at} s; export them anew"
        )
    scale = 10.0**power / 1000.0
    kw = value * scale * (3600.0 / step_s if unit == _WATT_HOURS else 1.0)
    return [Series(path.stem, start.astype(np.int64), kw, step_s)]
