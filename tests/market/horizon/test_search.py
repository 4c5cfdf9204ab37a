"""How far a step over a horizon goes, on slopes whose zero is known."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from market.horizon.search import NEAR, best_part

KW = np.zeros((1, 1))


@dataclass
class Line:
    """A way along which the slope rises from -1 to a value at the end, and what is asked of it."""

    at_end: float
    power: float = 1.0

    def __post_init__(self):
        self.asked = []

    def slope(self, part, kw):
        return -1.0 + (1.0 + self.at_end) * part**self.power

    def settled(self, part, exactly):
        self.asked.append((part, exactly))
        return SimpleNamespace(answers=SimpleNamespace(kw=KW))


def go(line, *, careful=False):
    return best_part(line, KW, line.settled, careful=careful)


@pytest.mark.parametrize("at_end", [-0.9, 0.0, 0.9 * NEAR])
def test_a_step_whose_slope_has_fallen_is_gone_whole_at_the_first_try(at_end):
    line = Line(at_end)
    gone = go(line)
    assert (gone.part, line.asked) == (1.0, [(1.0, False)])
    assert gone.behind == pytest.approx(at_end)


def test_an_end_that_is_plainly_behind_the_best_point_is_asked_for_once():
    line = Line(1.0)
    gone = go(line)
    assert [part for part, _ in line.asked].count(1.0) == 1
    assert gone.part == pytest.approx(0.5)
    assert gone.behind == pytest.approx(1.0)


@pytest.mark.parametrize("power", [0.2, 1.0, 8.0])
@pytest.mark.parametrize("at_end", [0.7, 20.0, 1e4])
def test_a_cut_step_ends_where_the_dual_still_rises(at_end, power):
    line = Line(at_end, power)
    gone = go(line, careful=True)
    assert 0.0 < gone.part < 1.0
    assert line.slope(gone.part, KW) <= 1e-6 * NEAR
    assert len(line.asked) <= 34


def test_a_careful_step_asks_more_exactly_before_it_is_cut_a_little():
    line = Line(0.5 * NEAR)
    assert go(line, careful=True).part < 1.0
    assert line.asked[:2] == [(1.0, False), (1.0, True)]
