"""Units and common ranges of scenario keys; a unit is shown beside its key in docs/scenario.md."""

from typing import Annotated, Any

from msgspec import Meta

Above = Annotated[float, Meta(gt=0.0)]
NotNegative = Annotated[float, Meta(ge=0.0)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Hourly = float | Annotated[tuple[float, ...], Meta(min_length=24, max_length=24)]

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
