"""What the owner of hardware has changed in its scenario since a run of it began."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cosim.scenario.hardware import DeviceEntry
from cosim.scenario.scenario import Scenario
from cosim.scenario.secrets import masked


def _any(value: float) -> float:
    """A limit of which 0 stands for none."""
    return value or math.inf


_IS_WIDER: Mapping[str, Callable[[float, float], bool]] = {
    "armed": lambda own, old: own > old,
    "min_kw": lambda own, old: own < old,
    "max_kw": lambda own, old: own > old,
    "ramp_kw_per_s": lambda own, old: _any(own) > _any(old),
    "write_interval_s": lambda own, old: own < old,
    "writes_per_day": lambda own, old: _any(own) > _any(old),
    "revert_s": lambda own, old: _any(own) > _any(old),
    "safe_kw": lambda own, old: False,  # noqa: ARG005 - another safe value is neither
}
"""Whether the owner's value lets the run do more than its own."""


@dataclass(frozen=True)
class EnvelopeChange:
    """What differs for one device, and whether the run would do what its owner no longer lets it."""

    line: str
    forbids: bool


def envelope_changes(run: Scenario, own: Scenario) -> list[EnvelopeChange]:
    """What a run may do with hardware that it may arm, against what its owner's scenario says by now.

    Parameters
    ----------
    run
        Scenario as the run began.
    own
        The owner's scenario.
    """
    by_device = {_device(entry): entry for entry in own.devices}
    changes: list[EnvelopeChange] = []
    for entry in run.devices:
        if entry.clock != "real" or not entry.armed:
            continue
        where = f"{entry.profile} of {entry.prosumer} ({masked(entry.connect)})"
        now = by_device.get(_device(entry))
        if now is None:
            changes.append(EnvelopeChange(f"{where} is not there any more", forbids=True))
            continue
        differing = [name for name in _IS_WIDER if getattr(now, name) != getattr(entry, name)]
        if differing:
            words = ", ".join(
                f"{name} = {_toml(getattr(now, name))}, was {_toml(getattr(entry, name))}"
                for name in differing
            )
            wider = all(_IS_WIDER[name](getattr(now, name), getattr(entry, name)) for name in differing)
            changes.append(EnvelopeChange(f"{where} has {words}", forbids=not wider))
    return changes


def _device(entry: DeviceEntry) -> tuple[str, str, str]:
    return entry.prosumer, entry.profile, masked(entry.connect)


def _toml(value: float) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"
