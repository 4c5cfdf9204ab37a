# ruff: noqa: RUF012 - msgspec copies these defaults
"""What the live view shows, as plain data: the same panels from a run's messages and from its results.

Numbers keep their units, ``None`` is not known; lists over LAMs, nodes and so on are in the run's order.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from broker.messages import DeviceStop
from cosim.map.panels import MapPanel as MapPanel
from cosim.map.panels import Number as Number
from cosim.map.panels import Numbers as Numbers
from cosim.map.panels import Panel as Panel

MOST_DEVICES = 200
"""Devices that are shown at once; others are found by name."""


class RunPanel(Panel):
    """Where the run is: ``ends`` and ``opened`` are wall time [s since epoch], ``label`` the feeder's time.

    ``waiting`` names the services that have not reported in the open step; ``may_command`` says whether the
    view may stop devices and lead the run, ``refusal`` why nobody may lead it.
    ``incomplete`` says what a past run lacks.
    """

    run: str
    mode: Literal["live", "past"]
    feeder: str
    prosumers: int
    lams: int
    intervals: int
    interval_s: float
    time_zone: str
    tick: int = -1
    label: str = ""
    date: str = ""
    step: str = ""
    opened: Number = None
    ends: Number = None
    pace: Number = None
    lag_s: float = 0.0
    is_over: bool = False
    is_heard: bool = True
    may_command: bool = False
    is_paused: bool = False
    refusal: str = ""
    waiting: list[str] = []
    incomplete: str = ""


class Limit(msgspec.Struct, kw_only=True):
    """A limit that binds in the clearing, by name, with its price [$/h per pu or %]."""

    row: str
    kind: str
    limit: Number
    value: Number
    price: Number


class PricePanel(Panel):
    """What was cleared: prices [$/kWh], their parts and net purchases [kW] by LAM, limits that bind."""

    tick: int = -1
    status: str = ""
    energy_price: Number = None
    import_price: Number = None
    export_price: Number = None
    retail_price: Number = None
    feed_in_price: Number = None
    wam_price: Numbers = []
    price: Numbers = []
    loss: Numbers = []
    voltage: Numbers = []
    congestion: Numbers = []
    net_kw: Numbers = []
    limits: list[Limit] = []
    relaxed: list[str] = []


class EnergyPanel(Panel):
    """The interval's energy [kWh], power at the head [kW], and what it cost [$]."""

    tick: int = -1
    bought_kwh: Number = None
    made_kwh: Number = None
    traded_lam_kwh: Number = None
    traded_wam_kwh: Number = None
    imbalance_kwh: Number = None
    grid_scheduled_kw: Number = None
    grid_actual_kw: Number = None
    cost_market: Number = None
    cost_no_sharing: Number = None
    cost_optimum: Number = None
    saving_usd: Number = None
    efficiency: Number = None
    certified: bool | None = None


class Round(msgspec.Struct, kw_only=True):
    """One round of clearing and AC power flow: how far it is beyond limits, and how true the model was."""

    number: int
    severity: Number
    error_pu: Number
    is_confirmed: bool
    violations: list[str]
    unnamed: int = 0
    seconds: float


class ClearingPanel(Panel):
    """How the clearing of an interval converges: rounds with AC power flow, and of bids."""

    tick: int = -1
    rounds: list[Round] = []
    bid_rounds: int = 0
    bid_change: Numbers = []
    status: str = ""
    tolerance_pu: float = 0.0


class DeviceRow(msgspec.Struct, kw_only=True):
    """One device of a live prosumer: power, set-point [kW, + generates] and state of charge.

    ``stop`` says what became of it at an emergency stop: ``safe``, ``observed``, ``not yet`` or empty.
    """

    device: str
    p_kw: Number = None
    set_kw: Number = None
    has_set_point: bool = False
    soc: Number = None
    quality: str = ""
    real: bool = False
    armed: bool = True
    obeys: bool = True
    stop: str = ""
    stop_detail: str = ""


class LiveRow(msgspec.Struct, kw_only=True):
    """One live prosumer; ``read_at`` is wall time, ``age`` how many intervals old the reading is."""

    prosumer: str
    name: str
    lam: str
    quality: str = ""
    checks: list[str] = []
    read_at: Number = None
    p_kw: Number = None
    v_pu: Number = None
    acknowledged: bool | None = None
    detail: str = ""
    devices: list[DeviceRow] = []


class DevicePanel(Panel):
    """Live prosumers: how many are how, and the rows of those who need looking at first."""

    total: int = 0
    counts: dict[str, int] = {}
    rows: list[LiveRow] = []


class FlagRow(msgspec.Struct, kw_only=True):
    """Something that did not go as it should."""

    number: int
    tick: int
    label: str
    weight: str
    source: str
    text: str
    count: int


class FlagPanel(Panel):
    """Flags, events and alarms, the latest first."""

    total: int = 0
    rows: list[FlagRow] = []


class ServiceRow(msgspec.Struct, kw_only=True):
    """One service: whether it is there, its last report, and its counts since its start."""

    name: str
    online: bool = False
    tick: int = -1
    step: str = ""
    step_s: Number = None
    flags: int = 0
    sent: int = 0
    received: int = 0
    gaps: int = 0
    late: int = 0
    rejected: int = 0
    quarantined: int = 0


class ServicePanel(Panel):
    """Services and their messages, and what the view itself has heard."""

    rows: list[ServiceRow] = []
    heard: int = 0


class MoneyPanel(Panel):
    """Who received (+) and paid (-) what, by kind of entry and group of accounts [µ$]; each kind sums to 0.

    ``first`` is the interval from which on ``total`` counts.
    """

    kinds: list[str] = []
    groups: list[str] = []
    interval: list[list[int]] = []
    total: list[list[int]] = []
    first: int = -1
    first_label: str = ""


class StopPanel(Panel):
    """The emergency stop: who asked, why, and what became of each device; those not safe yet come first."""

    is_asked: bool = False
    by: str = ""
    reason: str = ""
    asked_at: Number = None
    is_answered: bool = False
    devices: int = 0
    safe: int = 0
    observed: int = 0
    each: list[DeviceStop] = []
    error: str = ""


class SeriesPanel(Panel):
    """Figures over the intervals; ``labels`` are the feeder's times, a point stands for ``stride``."""

    ticks: list[int] = []
    labels: list[str] = []
    dates: list[str] = []
    stride: int = 1
    values: dict[str, Numbers] = {}


class AheadPanel(SeriesPanel):
    """Figures over the intervals to come, as the market over a horizon has them; none where it has none.

    ``tick`` is the interval in which they were cleared, with which they begin.
    """

    tick: int = -1
    stores: int = 0
    certified: bool | None = None
    note: str = ""
