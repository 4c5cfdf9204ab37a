"""Cases by quantity bidding, each told by a seed: ties, jumps, lone members, losses and rows that bind."""

from dataclasses import replace

import numpy as np

from market.analysis.certificate import Pool
from market.model.case import Case, Grid, Network, Resources, Tariff
from market.model.rule import QuantityBidding
from market.solver.clearing import clear


def quantity_case(seed, *, rows=None, anchor=None, losses=None):
    """A case of 1 to 4 LAMs with 1 to 6 members each; what is not given is drawn."""
    rng = np.random.default_rng(seed)
    lams, drawn = int(rng.integers(1, 5)), int(rng.choice([0, 0, 1, 2, 3]))
    members = rng.integers(1, 7, lams)
    n = int(members.sum())
    lam_of = rng.permutation(np.repeat(np.arange(lams), members))
    owner = np.repeat(np.arange(n), rng.integers(0, 5, n))
    size = owner.size
    low = np.where(rng.random(size) < 0.5, 0.0, -rng.uniform(0.0, 3.0, size))
    retail, feed_in = rng.uniform(0.2, 0.4), rng.uniform(0.02, 0.15)
    ties = rng.choice([0.0, 0.05, 0.1, 0.25, retail, feed_in], size)
    margin = 0.03 * (rng.random() < 0.5)
    has_losses = rng.random() < 0.4 if losses is None else losses
    case = Case(
        prosumer_id=tuple(f"p{j}" for j in range(n)),
        lam_id=tuple(f"lam{i}" for i in range(lams)),
        lam_of=lam_of,
        demand_kw=rng.uniform(-3.0, 5.0, n),
        resources=Resources(
            owner,
            low,
            rng.uniform(0.0, 3.0, size),
            np.where(rng.random(size) < 0.5, ties, rng.uniform(0.0, 0.4, size)),
            np.where(rng.random(size) < 0.4, 0.0, rng.uniform(0.01, 0.2, size)),
        ),
        sensitivity=np.full(lams, np.nan),
        fee=np.zeros(lams),
        wam_sensitivity=np.nan,
        wam_fee=np.zeros(lams),
        balance=rng.uniform(0.95, 1.08, lams) if has_losses else np.ones(lams),
        offset_kw=float(rng.normal()),
        network=None,
        grid=Grid(retail - margin, feed_in + margin / 3.0, 1e6, 1e6),
        tariff=Tariff(retail, feed_in),
        rule=QuantityBidding(
            10.0 ** rng.uniform(-3.0, -0.7, lams), anchor or str(rng.choice(["price", "intercept"]))
        ),
    )
    count = drawn if rows is None else rows
    return replace(case, network=_rows(rng, case, count)) if count else case


def _rows(rng, case, rows):
    """Rows that cut the way from where the market would go to flows that members can make."""
    free = clear(case).wam.flow_kw
    resources = case.resources
    output_kw = resources.min_kw + rng.random(resources.owner.size) * (resources.max_kw - resources.min_kw)
    made_kw = np.bincount(resources.owner, output_kw, minlength=case.demand_kw.size)
    matrix = rng.normal(size=(rows, free.size)) * (rng.random((rows, free.size)) < 0.8)
    value, safe = matrix @ free, matrix @ case.net_kw(case.demand_kw - made_kw)
    cut = value + rng.uniform(0.01, 0.5, rows) * (safe - value)
    upper = np.where(safe < value, cut, np.maximum(value, safe) + 1.0)
    lower = np.where(safe > value, cut, np.minimum(value, safe) - 1.0)
    return Network(matrix, np.zeros(rows), lower, upper, name=tuple(f"r{i}" for i in range(rows)))


def pool_of(outcome):
    """What an outcome says beside its trades, for its certificate."""
    return Pool(outcome.utility_kw, outcome.wam.pool_price)


def members_cost(case, outcome):
    """Resource cost and utility bills [$/h], with the members' strategic terms and the price of losses."""
    strategic = 0.5 * case.slope[case.lam_of] @ outcome.trade_kw**2
    strategic += 0.5 * case.wam_slope @ outcome.wam.net_kw**2
    bills = case.tariff.bill(outcome.utility_kw).sum()
    losses = outcome.wam.energy_price * ((case.balance - 1.0) @ outcome.wam.flow_kw)
    return case.resource_cost(outcome.output_kw) + bills + strategic + losses


def turnover(case, outcome):
    """Size of the costs [$/h]."""
    bills = np.abs(case.tariff.bill(outcome.utility_kw)).sum()
    return float(np.abs(case.resources.cost(outcome.output_kw)).sum() + bills)
