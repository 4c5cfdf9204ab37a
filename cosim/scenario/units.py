"""Units and common ranges of scenario keys; a unit is shown beside its key in docs/scenario.md."""

from typing import Annotated, Any

from msgspec import Meta

LARGEST = 1e9
"""Beyond this no quantity of a scenario can be meant."""

Above = Annotated[float, Meta(gt=0.0, le=LARGEST)]
NotNegative = Annotated[float, Meta(ge=0.0, le=LARGEST)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
_Price = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
Hourly = _Price | Annotated[tuple[_Price, ...], Meta(min_length=24, max_length=24)]

USD_PER_KWH: dict[str, Any] = {"unit": "$/kWh"}
KW: dict[str, Any] = {"unit": "kW"}
KWH: dict[str, Any] = {"unit": "kWh"}
KWP: dict[str, Any] = {"unit": "kWp"}
MIN: dict[str, Any] = {"unit": "min"}
SECOND: dict[str, Any] = {"unit": "s"}
HOUR: dict[str, Any] = {"unit": "h"}
PU: dict[str, Any] = {"unit": "pu"}
DEG: dict[str, Any] = {"unit": "degree"}
ONE: dict[str, Any] = {"unit": "1"}
