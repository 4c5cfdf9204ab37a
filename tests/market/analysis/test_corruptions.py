"""A table of small corruptions of true equilibria, and the measure that each must be caught at.

Every corruption is as consistent as a careful liar would make it: what follows from the changed number
follows it, so that nothing but the measure in the table can tell.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from market.analysis.certificate import Announced, certify
from market.analysis.settlement import settle, trade_payment
from market.analysis.tolerance import exceeds
from market.files.case_file import read_case
from market.model.case import Case, Grid, Resources, Tariff
from market.model.dlmp import DLMP_PARTS, DlmpParts
from market.solver.clearing import clear
from tests.market.wild import wild_case

CASES = Path(__file__).parents[1] / "cases"

BALANCE = "a balance or limit of power is missed"
IDLE = "a limit that does not bind has a price"
GAIN = "a prosumer gains by another bid"
MARGINAL = "a prosumer's marginal value misses its price"
LAM_GAIN = "a LAM gains by another bid"
PRICE = "a price misses what it must be"
PAYMENT = "a payment misses what is due"


def beside_a_plant():
    """One party of a million kW beside three houses, one of which sheds and one sells."""
    one = np.ones(1)
    return Case(
        prosumer_id=("plant", "house1", "house2", "house3"),
        lam_id=("l",),
        lam_of=np.zeros(4, dtype=np.intp),
        demand_kw=np.array([1e6, 1.0, 1.0, -2.0]),
        resources=Resources(np.array([1, 3]), np.zeros(2), np.ones(2), np.full(2, 0.1), np.full(2, 0.1)),
        sensitivity=100.0 * one,
        fee=0.01 * one,
        wam_sensitivity=100.0,
        wam_fee=0.005 * one,
        balance=one,
        offset_kw=0.0,
        network=None,
        grid=Grid(0.25, 0.05, 1e9, 1e9),
        tariff=Tariff(0.35, 0.0),
    )


def in_milliwatts(case):
    """The same market a billion times as small: everything about it costs that much less."""
    small, resources = 1e-9, case.resources
    network = case.network
    return replace(
        case,
        demand_kw=case.demand_kw * small,
        resources=replace(
            resources,
            min_kw=resources.min_kw * small,
            max_kw=resources.max_kw * small,
            cost_quadratic=resources.cost_quadratic / small,
        ),
        sensitivity=case.sensitivity * small,
        wam_sensitivity=case.wam_sensitivity * small,
        offset_kw=case.offset_kw * small,
        network=None if network is None else replace(network, matrix=network.matrix / small),
        grid=replace(
            case.grid,
            import_limit_kw=case.grid.import_limit_kw * small,
            export_limit_kw=case.grid.export_limit_kw * small,
        ),
    )


MARKETS = {
    "rows-binding": read_case(CASES / "rows-binding.json"),
    "two-lams": read_case(CASES / "two-lams.json"),
    "beside-a-plant": beside_a_plant(),
    "milliwatts": in_milliwatts(read_case(CASES / "rows-binding.json")),
}


class Story:
    """An outcome and everything that is said of it, to be corrupted."""

    def __init__(self, name):
        self.case = MARKETS[name]
        self.size = 1e-9 if name == "milliwatts" else 1.0
        outcome = clear(self.case)
        wam = outcome.wam
        self.says = {
            "trade_kw": outcome.trade_kw.copy(),
            "output_kw": outcome.output_kw.copy(),
            "price": outcome.price.copy(),
            "net_kw": wam.net_kw.copy(),
            "grid_kw": wam.grid_kw,
            "energy_price": wam.energy_price,
            "row_dual": wam.row_dual.copy(),
        }
        self.parts = {part: getattr(wam.parts, part).copy() for part in DLMP_PARTS}
        self.parts["wam_price"] = wam.price.copy()
        self.payment = self.due()
        self.uplift = self.settled().uplift

    def due(self):
        """What the trades cost at the local prices."""
        lam = self.case.lam_of
        return trade_payment(self.says["price"][lam], self.case.fee[lam], self.says["trade_kw"])

    def settled(self):
        """Who pays whom."""
        case, says = self.case, self.says
        return settle(
            case.lam_of, says["trade_kw"], says["price"], case.fee,
            self.parts["wam_price"], case.wam_fee, says["net_kw"], case.grid, says["grid_kw"],
        )  # fmt: skip

    def follow(self):
        """Let payments follow from prices and trades."""
        self.payment, self.uplift = self.due(), self.settled().uplift

    def judged(self):
        parts = DlmpParts(**{part: self.parts[part] for part in DLMP_PARTS})
        announced = Announced(self.parts["wam_price"], parts, self.payment, self.uplift)
        return exceeds(certify(self.case, **self.says, announced=announced), self.case)

    def house(self):
        """A member that trades and has a resource with room on both sides, and that resource."""
        resources, x = self.case.resources, self.says["output_kw"]
        room = np.minimum(x - resources.min_kw, resources.max_kw - x)
        at = int(np.argmax(np.where(resources.cost_quadratic > 0, room, -1.0)))
        return int(resources.owner[at]), at


def one_local_price(story):
    story.says["price"][0] += 1e-5
    story.follow()


def all_prices(story):
    """Dearer energy for everyone, and all that follows."""
    balance = story.case.balance
    story.says["energy_price"] += 1e-5
    story.parts["energy"] += 1e-5
    story.parts["loss"] += (balance - 1.0) * 1e-5
    story.parts["wam_price"] += balance * 1e-5
    story.says["price"] += balance * 1e-5
    story.follow()


def one_dlmp(story):
    story.parts["wam_price"][0] += 1e-5


def duals_alone(story):
    story.says["row_dual"] *= 1.00001


def one_small_part(story):
    """A part of a price that is off by little of itself, and less of the price."""
    story.parts["loss"] *= 1.00001


def every_payment(story):
    story.payment += 1e-6 * story.size


def one_bill(story):
    story.payment[1] += 0.01 * story.size


def payments_within_tolerance(story):
    """Overcharged by nine tenths of what one payment may be off: each alone would pass."""
    lam = story.case.lam_of
    size = (np.abs(story.says["price"][lam]) + story.case.fee[lam]) * np.abs(story.says["trade_kw"])
    story.payment += 0.9e-9 * size


def a_trade_alone(story):
    story.says["trade_kw"][story.house()[0]] += 1e-4 * story.size


def two_members(story):
    """One member trades more and another of its LAM less, so that every sum holds."""
    case, says = story.case, story.says
    j, at = story.house()
    others = np.flatnonzero(
        (case.lam_of[case.resources.owner] == case.lam_of[j]) & (case.resources.owner != j)
    )
    room = np.minimum(says["output_kw"] - case.resources.min_kw, case.resources.max_kw - says["output_kw"])[
        others
    ]
    other = int(others[np.argmax(room)])
    for resource, by in ((at, 1e-4 * story.size), (other, -1e-4 * story.size)):
        says["trade_kw"][case.resources.owner[resource]] += by
        says["output_kw"][resource] -= by
    story.follow()


def one_output(story):
    _, at = story.house()
    story.says["output_kw"][at] += 1e-4 * story.size


def does_not_shed(story):
    """A house that buys all it needs though its own resource is cheaper; the grid makes it up."""
    j, at = story.house()
    by = story.says["output_kw"][at] - story.case.resources.min_kw[at]
    story.says["output_kw"][at] -= by
    story.says["trade_kw"][j] += by
    story.says["net_kw"] = story.case.net_kw(story.says["trade_kw"])
    story.says["grid_kw"] = story.case.grid_kw(story.says["net_kw"])
    story.follow()


def an_idle_row(story):
    """A row with room to both limits gets a price, and every price follows."""
    network, says = story.case.network, story.says
    value = network.base + network.matrix @ says["net_kw"]
    room = np.minimum(network.upper - value, value - network.lower) / np.abs(network.matrix).max(axis=1)
    row = int(np.argmax(np.where(np.isfinite(room), room, -1.0)))
    by = 1e-5 / np.abs(network.matrix[row]).max()
    says["row_dual"][row] += by
    made = by * network.matrix[row]
    is_voltage = network.voltage is not None and network.voltage[row]
    story.parts["voltage" if is_voltage else "congestion"] += made
    story.parts["wam_price"] += made
    says["price"] += made
    story.follow()


def the_head(story):
    story.says["grid_kw"] += 1e-3 * story.size


def the_uplift(story):
    story.uplift += 1e-6 * max(story.size, abs(story.case.grid.cost(story.says["grid_kw"])))


def one_lams_net(story):
    """A LAM's net purchase beside its members' trades."""
    story.says["net_kw"][0] += 1e-4 * story.size
    story.says["grid_kw"] = story.case.grid_kw(story.says["net_kw"])


EVERYWHERE = list(MARKETS)
OVER_ROWS = ["rows-binding", "milliwatts"]

TABLE = [
    (one_local_price, PRICE, EVERYWHERE),
    (all_prices, MARGINAL, ["rows-binding", "two-lams", "milliwatts"]),
    (all_prices, IDLE, ["two-lams", "beside-a-plant"]),
    (one_dlmp, PRICE, EVERYWHERE),
    (duals_alone, PRICE, OVER_ROWS),
    (one_small_part, PRICE, OVER_ROWS),
    (every_payment, PAYMENT, EVERYWHERE),
    (one_bill, PAYMENT, EVERYWHERE),
    (payments_within_tolerance, PAYMENT, EVERYWHERE),
    (a_trade_alone, BALANCE, EVERYWHERE),
    (two_members, MARGINAL, EVERYWHERE),
    (one_output, BALANCE, EVERYWHERE),
    (does_not_shed, GAIN, EVERYWHERE),
    (does_not_shed, LAM_GAIN, ["rows-binding", "two-lams", "milliwatts"]),
    (an_idle_row, IDLE, OVER_ROWS),
    (the_head, BALANCE, EVERYWHERE),
    (one_lams_net, BALANCE, EVERYWHERE),
    (the_uplift, PAYMENT, EVERYWHERE),
]


@pytest.mark.parametrize("name", EVERYWHERE)
def test_the_truth_passes(name):
    assert Story(name).judged() == []


@pytest.mark.parametrize(
    ("corrupt", "caught_at", "name"),
    [(corrupt, caught_at, name) for corrupt, caught_at, names in TABLE for name in names],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_a_corruption_is_caught(corrupt, caught_at, name):
    story = Story(name)
    corrupt(story)
    assert any(caught_at in text for text in story.judged()), story.judged()


def test_who_is_wronged_is_named():
    story = Story("beside-a-plant")
    one_bill(story)
    (found,) = story.judged()
    assert "0.01 $/h (house1; tolerance" in found


def test_a_bias_within_every_tolerance_shows_in_the_sum():
    story = Story("rows-binding")
    payments_within_tolerance(story)
    (found,) = story.judged()
    assert "all to one side" in found


@pytest.mark.parametrize("seed", range(40))
def test_a_wild_equilibrium_is_not_refused(seed):
    case = wild_case(seed)
    outcome = clear(case)
    wam = outcome.wam
    payment = trade_payment(outcome.price[case.lam_of], case.fee[case.lam_of], outcome.trade_kw)
    announced = Announced(wam.price, wam.parts, payment)
    proof = certify(
        case, outcome.trade_kw, outcome.output_kw, outcome.price, wam.net_kw, wam.grid_kw,
        wam.energy_price, wam.row_dual, announced,
    )  # fmt: skip
    assert exceeds(proof, case) == []
