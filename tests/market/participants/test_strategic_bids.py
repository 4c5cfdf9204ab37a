"""Stories of prosumers that bid by a strategy of their own."""

import numpy as np
import pytest

from market.model.curves import shift
from market.model.strategy import StrategyChoice
from market.solver.clearing import clear
from tests.market.participants import world


class Learner:
    """Bids the truth and remembers what it saw; cannot bid for one prosumer from tick 1 on."""

    def __init__(self):
        self.views = []

    def bid(self, view):
        self.views.append(view)
        if view.tick > 0 and "p2" in view.prosumer:
            raise LookupError("p2 is unknown")
        return shift(view.value, view.slope, view.fee)


async def test_a_strategy_sees_awards_and_its_failure_is_no_other_members(town_of):
    learner = Learner()
    async with town_of(choice=StrategyChoice(learner)) as town:
        for tick in (0, 1):
            await town.interval(tick)
        first, second = learner.views[:2]
        assert np.isnan(first.last_price).all()
        assert np.isnan(first.last_kw).all()
        mine = town.roster.hosts[world.HOST]
        assert second.last_kw == pytest.approx(town.trades(0)[mine])
        assert np.isfinite(second.last_price).all()
        assert town.flags(0) == {}
        (flag,) = town.flags(1)[world.HOST]
        assert flag == (
            "the strategy failed 1 prosumers, who bid truthfully (p2): LookupError: p2 is unknown"
        )
        # All bid the truth in the end, the strategy's or their own.
        assert town.trades(1) == pytest.approx(clear(world.case(1)).trade_kw)
