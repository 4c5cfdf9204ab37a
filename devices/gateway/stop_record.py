"""An emergency stop as it is written down, so that a gateway that is started again knows of it."""

from pathlib import Path

import msgspec

from devices.durable_file import replace_durably
from sharegrid.decoding import decode_json


class StopRecord(msgspec.Struct, frozen=True):
    """Who stopped the devices of a run, and why."""

    by: str
    reason: str

    def __str__(self) -> str:
        """Return both, for messages."""
        return f"emergency stop by {self.by}: {self.reason}"


def write_stop(path: Path, record: StopRecord) -> None:
    """Write a stop down so that it survives a loss of power, if none is written yet."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_durably(path, msgspec.json.encode(record))


def read_stop(path: Path) -> StopRecord | None:
    """Stop that is written down; a file that cannot be read is one too, for it is there for a reason."""
    if not path.exists():
        return None
    try:
        return decode_json(path.read_bytes(), StopRecord)
    except (OSError, msgspec.DecodeError):
        return StopRecord("an earlier gateway", f"{path} cannot be read; remove it if it is not meant")
