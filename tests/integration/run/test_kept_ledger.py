"""A small run's payments are those that are kept, on any processor and over any broker."""

import pytest

from scripts.make_kept_ledger import kept, play

# Processors differ in the last bits of a sum, which may round an amount and its counterpart the other way.
TOLERANCE_MICRO = 2


def test_a_run_pays_what_it_has_always_paid(kind, tmp_path):
    have, want = play(tmp_path / "run", kind), kept()
    moved = {
        key: (want.get(key, 0), have.get(key, 0))
        for key in want.keys() | have.keys()
        if abs(have.get(key, 0) - want.get(key, 0)) > TOLERANCE_MICRO
    }
    assert not moved, "if they should move: python -m scripts.make_kept_ledger, and say why in the commit"


@pytest.mark.parametrize("entry", ["energy", "wholesale", "grid", "imbalance", "residual", "uplift"])
def test_what_is_kept_says_something_about_every_kind_of_entry(entry):
    assert max(abs(micro) for (_, kind, _), micro in kept().items() if kind == entry) > 10_000
    assert {tick for tick, *_ in kept()} == {0, 1, 2, 3}
    assert sum(kept().values()) == 0
