"""Three LAMs with eight prosumers, three of them live, on a feeder that is linear to the last bit."""

from dataclasses import replace

import numpy as np

from broker.door.bounds import Bounds
from broker.messages import DeviceSetPoint
from market.model.case import Case, Grid, Network, Resources, Tariff
from market.model.rule import QuantityBidding
from market.participants.prosumers.portfolio import Metered, Position
from market.participants.roster import Roster, Rules, Terms
from market.rounds import Form

LAMS = ("A", "B", "C")
LAM_OF = np.array([0, 0, 0, 1, 1, 1, 2, 2])
NAMES = tuple(f"p{j}" for j in range(LAM_OF.size))
LIVE = np.array([True, False, False, True, False, False, True, False])
HOST = "people"
INTERVAL_S = 900.0
DT_H = INTERVAL_S / 3600.0
DEMAND_KW = np.array([4.0, 2.5, 3.0, 1.0, 2.0, 5.0, 3.5, 1.5])
# Everyone has one resource: sun for p1 and p4, batteries and shedding for the others.
SUN = np.isin(np.arange(LAM_OF.size), [1, 4])

NETWORK = Network(
    matrix=np.array([[-0.004, -0.002, -0.006], [1.0, 1.0, 0.0]]),
    base=np.array([0.98, 0.0]),
    lower=np.array([0.974, -100.0]),
    upper=np.array([1.03, 100.0]),
    voltage=np.array([True, False]),
    name=("C.1", "line.ab"),
)
BALANCE = np.array([1.0, 1.02, 1.05])
OFFSET_KW = 0.25


def case(tick: int) -> Case:
    """The market of one interval, as a researcher would write it down."""
    return Case(
        prosumer_id=NAMES,
        lam_id=LAMS,
        lam_of=LAM_OF,
        demand_kw=DEMAND_KW + 0.25 * tick,
        resources=Resources(
            owner=np.arange(LAM_OF.size),
            min_kw=np.where(SUN, 0.0, -3.0),
            max_kw=np.where(SUN, 8.0, 3.0),
            cost_linear=np.where(SUN, 0.0, 0.07 + 0.01 * np.arange(LAM_OF.size)),
            cost_quadratic=np.where(SUN, 0.0, 0.02),
        ),
        sensitivity=np.array([40.0, 50.0, 60.0]),
        fee=np.array([0.004, 0.005, 0.006]),
        wam_sensitivity=200.0,
        wam_fee=np.full(3, 0.002),
        balance=BALANCE,
        offset_kw=OFFSET_KW,
        network=NETWORK,
        grid=Grid(import_price=0.14, export_price=0.06, import_limit_kw=80.0, export_limit_kw=80.0),
        tariff=Tariff(retail=0.25, feed_in=0.04),
    )


def by_quantity(everyone: Case) -> Case:
    """The same market where members choose how much they share and have the utility besides."""
    return replace(
        everyone,
        fee=np.zeros(3),
        wam_fee=np.zeros(3),
        rule=QuantityBidding(np.array([0.0096, 0.0064, 0.008])),
    )


def roster(lam_hosts: dict[str, list[int]]) -> Roster:
    return Roster(
        prosumers=NAMES,
        lams=LAMS,
        lam=LAM_OF,
        live=LIVE,
        rating_kw=np.full(LAM_OF.size, 20.0),
        hosts={HOST: np.flatnonzero(~LIVE)},
        lam_hosts={name: np.array(lams) for name, lams in lam_hosts.items()},
    )


def bounds(roster: Roster) -> Bounds:
    """What the town's messages are held against."""
    live = frozenset(roster.prosumers[member] for member in roster.live_members)
    return Bounds(
        services={
            "clock": frozenset({"clock"}),
            "recorder": frozenset({"clerk"}),
            "population host": frozenset({HOST}),
            "live host": frozenset({"live"}),
            "LAM host": frozenset(roster.lam_hosts),
            "WAM": frozenset({"wam"}),
            "auditor": frozenset({"auditor"}),
            "feeder": frozenset({"feeder"}),
            "device host": frozenset(),
            "gateway": frozenset({"devices"}),
        },
        prosumers=roster.prosumers,
        lams=roster.lams,
        lam=roster.lam,
        live=live,
        members={**roster.hosts, "live": roster.live_members},
        operated=roster.lam_hosts,
        ticks=96,
        nodes=0,
        branches=0,
        interval_h=DT_H,
        member_kw=20_000.0,
        feeder_kw=1e6,
        price=1e5,
    )


def rules(bidding: Form = "curve", *, quantity: bool = False) -> Rules:
    nothing = np.zeros(0)
    template = replace(
        by_quantity(case(0)) if quantity else case(0),
        demand_kw=np.zeros(LAM_OF.size),
        resources=Resources(np.zeros(0, dtype=np.intp), nothing, nothing, nothing, nothing),
        network=None,
    )
    return Rules(template, lambda tick: Terms(case(tick).grid, case(tick).tariff), bidding)


class Household:
    """Portfolio of some prosumers whose forecasts come true."""

    def __init__(self, members):
        self.members = members

    def position(self, tick, *_):
        everyone, mine = case(tick), self.members
        resources = everyone.resources
        return Position(
            demand_kw=everyone.demand_kw[mine],
            reactive_kvar=0.1 * everyone.demand_kw[mine],
            resources=Resources(
                np.arange(mine.size),
                resources.min_kw[mine],
                resources.max_kw[mine],
                resources.cost_linear[mine],
                resources.cost_quadratic[mine],
            ),
        )

    def act(self, tick, output_kw):
        position = self.position(tick)
        net_kw = position.demand_kw - output_kw
        return Metered(net_kw * DT_H, position.reactive_kvar * DT_H)

    def set_points(self, output_kw):
        return [[DeviceSetPoint(device="battery", power_kw=float(kw))] for kw in output_kw]

    def snapshot(self):
        return {}

    def restore(self, values):
        assert "soc" not in values


def fixed(everyone: Case, kw_by_member: dict[int, float]) -> Case:
    """The same market in which some prosumers can do nothing and draw a given power."""
    demand_kw, resources = everyone.demand_kw.copy(), everyone.resources
    least, most = resources.min_kw.copy(), resources.max_kw.copy()
    for member, kw in kw_by_member.items():
        demand_kw[member], least[member], most[member] = kw, 0.0, 0.0
    return replace(everyone, demand_kw=demand_kw, resources=replace(resources, min_kw=least, max_kw=most))


def isolated(everyone: Case, lam: int) -> Case:
    """The same market in which the members of one LAM can do nothing and draw nothing."""
    return fixed(everyone, {int(member): 0.0 for member in np.flatnonzero(everyone.lam_of == lam)})
