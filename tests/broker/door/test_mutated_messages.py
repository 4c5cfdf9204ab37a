"""Thousands of mutated messages of every kind through every service's real handlers, in whole small runs.

``SHAREGRID_MUTANTS=20000`` sets how many each test throws; with it the five that throw come to 100,000. Their
number grows with the genuine messages that they follow, so that far more take far longer.
"""

import os

import numpy as np
import pytest

from broker.messages import DECLARED
from tests.broker.door.hostile_run import play
from tests.broker.door.mutations import Mutations

MUTANTS = int(os.environ.get("SHAREGRID_MUTANTS", "4000"))
TICKS = [0, 1]
# Genuine messages that mutants follow, roughly.
MESSAGES = 120
AHEAD = {"horizon-bid", "energy-value", "outlook", "ahead-request", "ahead-reply"}
CURVES = {"bid", "bid-batch", "lam-bid"}
POOL_ROUNDS = {"lam-beliefs"}
OF_LAMS = {"lam-opening", "lam-round-bid"}
ROUNDS = {"opening", "opening-batch", "lam-opening", "wam-price", "lam-price"} | {
    "round-bid",
    "round-bid-batch",
    "lam-round-bid",
}
# Only with faults planned, only in an emergency or after a loss, and what services say of mutants.
NOT_HERE = {"truth", "stop", "stopped", "rejected", "snapshot", "repeat", "alive", "lead", "alarm"}


def mutations(seed, lies=0.1):
    return Mutations(np.random.default_rng(seed), lies)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("bidding", "quantity", "others"),
    [
        ("curve", False, ROUNDS | AHEAD | POOL_ROUNDS),
        ("slope", False, CURVES | POOL_ROUNDS),
        ("slope", True, CURVES | AHEAD | OF_LAMS),
    ],
)
async def test_mutants_behind_the_genuine_messages_change_nothing(
    tmp_path, bidding, quantity, others, monkeypatch
):
    # No gate closes, however long the mutants take.
    monkeypatch.setattr("cosim.composition.STEP_LIMIT_S", 3600.0)
    rules = {"bidding": bidding, "quantity": quantity, "horizon": 0 if others & AHEAD else 3}
    clean = await play(tmp_path / "clean", **rules)
    hostile = await play(tmp_path / "hostile", mutations(1), MUTANTS // MESSAGES, **rules)
    assert hostile.mutants > 0.8 * MUTANTS
    assert set(hostile.kinds) >= DECLARED.keys() - NOT_HERE - others - {"availability"}
    assert hostile.set_aside == []
    assert hostile.ticks == TICKS
    assert hostile.entries == clean.entries
    # Each is refused by all who listen, or repeats what they have heard.
    assert hostile.counted("rejected") + hostile.counted("duplicates") > hostile.mutants


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("bidding", "horizon"), [("curve", 3), ("plain", 0)])
async def test_mutants_that_could_be_meant_end_no_service_and_lose_no_interval(
    tmp_path, bidding, horizon, monkeypatch
):
    monkeypatch.setattr("cosim.composition.STEP_LIMIT_S", 1.0 + MUTANTS / 4000)
    hostile = await play(
        tmp_path,
        mutations(2, lies=0.3),
        MUTANTS // MESSAGES,
        bidding=bidding,
        horizon=horizon,
        keeps_identity=False,
    )
    assert hostile.mutants > 0.8 * MUTANTS
    assert hostile.set_aside == []
    assert hostile.ticks == TICKS
    assert hostile.balance_micro == 0


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("bidding", "horizon"), [("curve", 3), ("slope", 0)])
async def test_lies_in_place_of_messages_end_no_service_and_lose_no_interval(
    tmp_path, bidding, horizon, monkeypatch
):
    monkeypatch.setattr("cosim.composition.STEP_LIMIT_S", 0.4)
    hostile = await play(tmp_path, mutations(3, lies=0.8), 1, bidding=bidding, horizon=horizon, instead=0.25)
    assert hostile.ticks == TICKS
    assert hostile.balance_micro == 0
    assert hostile.set_aside == []
