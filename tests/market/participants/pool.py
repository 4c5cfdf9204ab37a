"""A town of quantities held against the exact pool of its case."""

import numpy as np

from broker.messages import columns
from market.solver.clearing import clear
from tests.market.participants import world


def assert_exact_pool(town, tick, atol):
    """An interval came to the exact pool, with the utility and a limit at work, and nothing was flagged."""
    wanted = clear(world.by_quantity(world.case(tick)))
    assert np.abs(wanted.utility_kw).max() > 0.1
    assert np.count_nonzero(wanted.wam.row_dual) == 1
    outcome, told = town.outcome(tick), town.last(town.topics.lam_outcome("lams"), tick)
    assert outcome.status == "confirmed"
    for said, due in (
        (outcome.price, wanted.wam.price),
        (outcome.net_kw, wanted.wam.net_kw),
        (outcome.flow_kw, wanted.wam.flow_kw),
        (outcome.charge, wanted.wam.charge),
        (columns.unpack(told.price), wanted.price),
        (columns.unpack(told.utility_kw), wanted.utility_kw),
        (town.trades(tick), wanted.trade_kw),
    ):
        np.testing.assert_allclose(said, due, rtol=0, atol=atol)
    (audit,) = town.said(town.topics.audit, tick)
    assert (audit.beyond, audit.notes) == ([], [])
    assert town.flags(tick) == {}
