"""The market over a horizon on the bus: the WAM clears the intervals to come, and says what energy is worth.

In the bid step hosts tell what they expect. The clearing over the horizon gives each store the worth of its
energy at the end of the present interval, with which it bids for that interval as for any other; so the
present interval is confirmed, awarded and settled as ever, and at the same prices the same trades come out
of it (docs/market.md, section 8). Prices of the later intervals go out for people to see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from broker import wall_time
from broker.collector import Collector
from broker.messages import EnergyValue, HorizonBid, NetworkModel, Outlook, Step, columns
from broker.participant.node import Node
from broker.snapshot import Values, optional_array, part, typed
from market.errors import Infeasible, MarketError, NotConverged
from market.horizon.case import HorizonCase
from market.horizon.clearing import clear_horizon
from market.horizon.start import Near, later
from market.horizon.stores import within_reach
from market.model.arrays import Floats, Ints
from market.participants.gates import horizon_gate, worth_gate
from market.participants.horizon_bids import Prospect, read_bid
from market.participants.roster import HorizonRules, Roster, Rules, Terms, first_of
from market.participants.wam.cleared_horizon import Cleared, certified, empty_outlook_fields, outlook_fields
from market.participants.wam.horizon_absent import AbsentHosts, unmoved
from market.participants.wam.horizon_case import horizon_case, join_bids
from market.participants.wam.horizon_checks import judged
from market.participants.wam.models_ahead import ModelsAhead, without_rows
from market.solver.wam import LimitPrices

Work = Callable[..., Awaitable[Any]]


class HorizonMarket:
    """Part of the WAM operator: gathers bids over the horizon, clears it and publishes what comes of it.

    Parameters
    ----------
    members
        Prosumers of each host that bids, indices.
    work
        Runs a long computation: in a thread, so that the bus is served meanwhile.

    Attributes
    ----------
    price
        What the last horizon has as locational prices of its first interval ``(M,)`` [$/kWh]; ``None``
        where none was cleared.
    """

    def __init__(
        self,
        node: Node,
        roster: Roster,
        rules: Rules,
        horizon: HorizonRules,
        members: Mapping[str, Ints],
        work: Work = asyncio.to_thread,
    ) -> None:
        self.node = node
        self.roster = roster
        self.rules = rules
        self.horizon = horizon
        self.members = members
        self.work = work
        self.bids: Collector[Prospect] = node.collector(
            {host: node.topics.horizon_bid(host) for host in members}
        )
        for host in members:
            node.on(node.topics.horizon_bid(host), partial(self._take_bid, host))
        self._ahead = ModelsAhead(node, roster)
        self._absent = AbsentHosts(roster, members)
        self.price: Floats | None = None
        self._start: tuple[Near, ...] = ()
        self._late: asyncio.Future[Cleared] | None = None
        self._proving: asyncio.Task[None] | None = None

    def take_model(self, model: NetworkModel | None) -> None:
        """Keep the feeder's latest linear model for the next horizon."""
        self._ahead.latest = model or self._ahead.latest

    def take_reactive(self, reactive_kvar: Floats) -> None:
        """Keep what reactive power LAMs' loads have now, ``(M,)`` [kvar]."""
        self._ahead.reactive_kvar = reactive_kvar

    async def clear(self, step: Step) -> None:
        """Clear the horizon that begins with the step's interval, and tell hosts and the record of it."""
        await self.proved()
        self.price = None
        prospects = await self.bids.wait(step.tick, horizon_gate(step))
        T = max((prospect.intervals for prospect in prospects.values()), default=0)
        told = {host: prospect for host, prospect in prospects.items() if prospect.intervals == T}
        missing = [host for host in self.members if host not in told]
        stand_ins = self._stand_ins(step.tick, missing, T)
        if stand_ins is None:
            await self._tell_nothing(step, f"no horizon: no bid over it came from {first_of(missing)}")
            return
        for host in missing:
            self.node.flag(f"the horizon goes without {host}, of which no bid over {T} intervals came")
        known = told | stand_ins
        bids = join_bids(self.roster, {host: (self.members[host], known[host]) for host in self.members})
        expected = [self.horizon.expected(step.tick, ahead) for ahead in range(T)]
        models, notes = await self._ahead.over(step, bids.prospect, self._start)
        cleared: Cleared | None = None
        try:
            # One that came too late is what this one starts from, and does not take its processors.
            if await self._is_free(step):
                self._late = asyncio.ensure_future(
                    self.work(self._clear, step.tick, bids.prospect, models, expected)
                )
                cleared = await self._in_time(step)
        except (MarketError, ValueError) as problem:
            await self._tell_nothing(step, f"no horizon: {problem}")
            return
        if cleared is None:
            await self._tell_nothing(step, f"no horizon: clearing {T} intervals took too long")
            return
        cleared.notes.extend(notes)
        self.price = cleared.outcome.intervals[0].wam.price
        for host, stores in bids.stores_of.items():
            if host not in told:
                await self._publish_worth(step, host)
                continue
            worth, power_kw = cleared.worth[stores], cleared.power_kw[stores]
            await self._publish_worth(step, host, columns.pack_open(worth), columns.pack(power_kw))
        # Nobody's bid waits for the certificate.
        self._proving = asyncio.create_task(self._prove(step, cleared), name="certificate of a horizon")

    async def proved(self) -> None:
        """Wait until what was cleared last is certified and published."""
        if self._proving is not None:
            await self._proving
            self._proving = None

    async def _is_free(self, step: Step) -> bool:
        """Whether no earlier clearing is under way, once that one is over or the gate closes."""
        try:
            await self._in_time(step)
        except (MarketError, ValueError):
            self._late = None  # It was told of when it was too late.
        return self._late is None

    async def _in_time(self, step: Step) -> Cleared | None:
        """What the clearing under way comes to, the start of the next; ``None`` where the gate is first."""
        if self._late is None:
            return None
        # Hosts go on without it then.
        done, _ = await asyncio.wait({self._late}, timeout=max(worth_gate(step) - wall_time.now(), 0.0))
        if not done:
            return None
        made, self._late = self._late, None
        cleared = made.result()
        self._start = later(cleared.outcome.intervals)
        self._absent.remember(cleared.tick, cleared.case, cleared.outcome)
        return cleared

    def _stand_ins(self, tick: int, missing: Sequence[str], intervals: int) -> dict[str, Prospect] | None:
        """What stands in for hosts without a bid: the last horizon, or nothing where they are the fewer.

        ``None`` where nothing is known of most prosumers: prices of the few would say nothing to them.
        """
        found = {host: self._absent.prospect(host, tick, intervals) for host in missing}
        unknown = sum(self.members[host].size for host, prospect in found.items() if prospect is None)
        if not intervals or 2 * unknown > len(self.roster.prosumers):
            return None
        return {
            host: prospect or unmoved(np.zeros((self.members[host].size, intervals)))
            for host, prospect in found.items()
        }

    def _clear(
        self,
        tick: int,
        prospect: Prospect,
        models: Sequence[NetworkModel | None],
        expected: Sequence[Terms],
    ) -> Cleared:
        """Clear and certify; limits of the feeder that cannot be met in some interval are left out of all."""
        asked, T = self.horizon.intervals, prospect.intervals
        notes = [f"a horizon of {T} intervals in place of {asked}: the data end there"] if asked > T else []
        sound = judged(prospect, self.roster.rating_kw)
        prospect = sound.prospect
        notes += self._without(sound.out)
        case = horizon_case(self.rules, prospect, models, expected, self.horizon.hours)
        start = self._start[:T] if len(self._start) >= T else None
        try:
            outcome = clear_horizon(case, start)
        except (Infeasible, NotConverged) as problem:
            if not any(model is not None and model.name for model in models):
                raise
            notes.append(f"a horizon without the feeder's limits: {problem}")
            unlimited = [without_rows(model) for model in models]
            case = horizon_case(self.rules, prospect, unlimited, expected, self.horizon.hours)
            outcome = clear_horizon(case)
        case = HorizonCase(case.intervals, within_reach(case.stores, case.hours)[0], case.hours)
        out = np.array(sorted(sound.out), dtype=np.intp)
        return Cleared(tick, case, prospect.kind, outcome, out, notes)

    def _without(self, out: Mapping[int, str]) -> list[str]:
        """Who has no horizon because of what is said of them; one stands for many."""
        more = f"; so for {len(out) - 1} more" if len(out) > 1 else ""
        names = self.roster.prosumers
        return [f"{names[who]} has no horizon: {what}{more}" for who, what in list(out.items())[:1]]

    async def _publish_worth(self, step: Step, host: str, value: bytes = b"", power_kw: bytes = b"") -> None:
        topic = self.node.topics.energy_value(host)
        await self.node.publish(topic, EnergyValue, step.tick, value=value, power_kw=power_kw)

    async def _prove(self, step: Step, cleared: Cleared) -> None:
        """Certify a clearing, and publish it with its certificate."""
        proof, beyond = await self.work(certified, cleared)
        for note in cleared.notes:
            self.node.flag(note)
        for clause in beyond[:1]:
            more = f", and {len(beyond) - 1} more" if len(beyond) > 1 else ""
            self.node.flag(f"the horizon's certificate does not hold: {clause}{more}")
        await self.node.publish(
            self.node.topics.outlook, Outlook, step.tick, **outlook_fields(cleared, proof, beyond)
        )

    async def _tell_nothing(self, step: Step, note: str) -> None:
        """Let hosts go by their own outlook at once."""
        self.node.flag(f"{note}; prosumers go by their own outlook")
        for host in self.members:
            await self._publish_worth(step, host)
        await self.node.publish(self.node.topics.outlook, Outlook, step.tick, **empty_outlook_fields(note))

    def snapshot(self) -> Values:
        """The feeder's last model, and prices and nets of the last horizon."""
        start = self._start
        return {
            "horizon_hosts": self._absent.snapshot(),
            **self._ahead.snapshot(),
            "horizon_price": np.stack([near.price for near in start]) if start else None,
            "horizon_net_kw": np.stack([near.net_kw for near in start]) if start else None,
            "horizon_limits": [_told(near.limit_prices) for near in start],
        }

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is another's."""
        self._ahead.restore(values)
        self._absent.restore(part(values, "horizon_hosts"))
        limits = typed(values, "horizon_limits", list[tuple[float, dict[str, float]]])
        shape = np.zeros((len(limits), len(self.roster.lams)))
        price = optional_array(values, "horizon_price", shape)
        net_kw = optional_array(values, "horizon_net_kw", shape)
        self._late = None
        if price is None or net_kw is None:
            self._start = ()
            return
        self._start = tuple(
            Near(price[t], net_kw[t], LimitPrices(energy, row)) for t, (energy, row) in enumerate(limits)
        )

    def _take_bid(self, host: str, bid: HorizonBid) -> None:
        self.bids.add(host, bid.tick, read_bid(bid, self.members[host], self.horizon.intervals))


def _told(limits: LimitPrices | None) -> tuple[float, dict[str, float]]:
    assert limits is not None
    return limits.energy, dict(limits.row)
