"""The market of a run as the view shows it: cleared, booked and paid, and how the clearing converges."""

from __future__ import annotations

import numpy as np

from broker.messages import FeederReply, LamOutcome, Settled, WamOutcome, WamPrice, columns
from cosim.view.calendar import Calendar
from cosim.view.figures import rounded
from cosim.view.panels import ClearingPanel, EnergyPanel, Limit, MoneyPanel, PricePanel, Round
from sharegrid.tolerances import LINEAR_TOLERANCE_PU

GROUPS = ("prosumers", "lams", "wam", "grid", "utility", "imbalance", "rounding")
_MOST_ROUNDS = 200
_BOOKED = tuple(name for name in EnergyPanel.__struct_fields__ if name != "tick")


class Market:
    """The latest of the market, as panels.

    Parameters
    ----------
    lams
        How many LAMs there are.
    calendar
        Times of the intervals.
    """

    def __init__(self, lams: int, calendar: Calendar) -> None:
        self.prices = PricePanel(price=[None] * lams)
        self.energy = EnergyPanel()
        self.clearing = ClearingPanel(tolerance_pu=LINEAR_TOLERANCE_PU)
        self.money = MoneyPanel(groups=list(GROUPS))
        self._lams = lams
        self._calendar = calendar
        self._announced: list[float] = []

    def announce(self, message: WamPrice) -> None:
        """A round of bids begins: by how much the announced prices moved since the last one."""
        self._begin(message.tick)
        clearing = self.clearing
        if message.round and len(self._announced) == len(message.price):
            moved = np.max(np.abs(np.subtract(message.price, self._announced)), initial=0.0)
            clearing.bid_change = [*clearing.bid_change, float(moved)][-_MOST_ROUNDS:]
        self._announced = message.price
        clearing.bid_rounds = message.round + 1

    def judge(self, reply: FeederReply) -> None:
        """A round of clearing and AC power flow is over."""
        self._begin(reply.tick)
        made = Round(
            number=reply.round,
            severity=reply.severity,
            error_pu=reply.linear_error_pu,
            is_confirmed=reply.confirmed,
            violations=reply.violations,
            unnamed=reply.unnamed,
            seconds=reply.seconds,
        )
        others = [each for each in self.clearing.rounds if each.number != reply.round]
        self.clearing.rounds = [*others, made][-_MOST_ROUNDS:]

    def clear(self, outcome: WamOutcome) -> None:
        """An interval was cleared."""
        self._begin(outcome.tick)
        self.clearing.status = outcome.status
        self.clearing.bid_rounds = outcome.exchange.rounds
        prices = self.prices
        prices.tick, prices.status = outcome.tick, outcome.status
        prices.energy_price = outcome.energy_price
        prices.wam_price = rounded(outcome.price)
        prices.loss, prices.voltage = rounded(outcome.loss), rounded(outcome.voltage)
        prices.congestion, prices.net_kw = rounded(outcome.congestion), rounded(outcome.net_kw)
        bound = zip(
            outcome.row_name,
            outcome.row_kind,
            outcome.row_limit,
            outcome.row_value,
            outcome.row_dual,
            strict=False,
        )
        prices.limits = [
            Limit(row=row, kind=kind, limit=limit, value=value, price=price)
            for row, kind, limit, value, price in bound
        ]
        gave_way = zip(outcome.relaxed_name, outcome.relaxed_by, strict=False)
        prices.relaxed = [f"{name} by {by:.4g}" for name, by in gave_way]

    def share_out(self, outcome: LamOutcome) -> None:
        """LAMs of a host have their local prices."""
        local = list(self.prices.price)
        places = columns.unpack_index(outcome.lam).tolist()
        for place, price in zip(places, columns.unpack(outcome.price).tolist(), strict=True):
            if place < len(local):
                local[place] = float(f"{price:.6g}")
        self.prices.price = local

    def settle(self, settled: Settled) -> None:
        """An interval was booked."""
        self.energy = EnergyPanel(
            tick=settled.tick, **{name: getattr(settled, name) for name in _BOOKED if hasattr(settled, name)}
        )
        for name in ("import_price", "export_price", "retail_price", "feed_in_price"):
            setattr(self.prices, name, getattr(settled, name))
        money = self.money
        interval = [[getattr(flow, group) for group in GROUPS] for flow in settled.money]
        before = money.total or [[0] * len(GROUPS) for _ in interval]
        if money.first < 0:
            money.first, money.first_label = settled.tick, self._calendar.label(settled.tick)
        money.kinds = [flow.kind for flow in settled.money]
        money.interval = interval
        money.total = [
            [a + b for a, b in zip(old, new, strict=True)] for old, new in zip(before, interval, strict=True)
        ]

    def _begin(self, tick: int) -> None:
        """Forget how an earlier interval converged."""
        if tick != self.clearing.tick:
            self.clearing = ClearingPanel(tick=tick, tolerance_pu=LINEAR_TOLERANCE_PU)
            self._announced = []
