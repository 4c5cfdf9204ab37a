"""From an interval's messages to arrays and bookings, whoever stayed silent."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.messages import Exchange, FeederState, LamOutcome, MeteredBatch, Telemetry, WamOutcome, columns
from cosim.recording.counters import Counters
from cosim.recording.interval import read_interval
from cosim.recording.interval_messages import IntervalMessages
from cosim.recording.payments import book_payments
from cosim.recording.rows import feeder_flags
from cosim.results.entries import KINDS
from market.model.case import Case, Grid, Resources, Tariff
from market.participants.roster import Roster, Rules, Terms

DT_H = 0.25
N, M = 5, 2
LAM = np.array([0, 0, 1, 1, 1])
# p1 and p4 are live, the others are spoken for by one host.
ROSTER = Roster(
    prosumers=tuple(f"p{j}" for j in range(N)),
    lams=("A", "B"),
    lam=LAM,
    live=np.array([False, True, False, False, True]),
    rating_kw=np.full(N, 20.0),
    hosts={"people": np.array([0, 2, 3])},
    lam_hosts={"north": np.array([0]), "south": np.array([1])},
)
TERMS = Terms(Grid(0.14, 0.06, 100.0, 100.0), Tariff(0.25, 0.04))
NOTHING = np.zeros(0)
EXCHANGE = Exchange(rounds=1, messages=1, bytes=8)
RULES = Rules(
    Case(
        prosumer_id=ROSTER.prosumers,
        lam_id=ROSTER.lams,
        lam_of=LAM,
        demand_kw=np.zeros(N),
        resources=Resources(np.zeros(0, dtype=np.intp), NOTHING, NOTHING, NOTHING, NOTHING),
        sensitivity=np.full(M, 50.0),
        fee=np.array([0.004, 0.006]),
        wam_sensitivity=200.0,
        wam_fee=np.full(M, 0.002),
        balance=np.ones(M),
        offset_kw=0.0,
        network=None,
        grid=TERMS.grid,
        tariff=TERMS.tariff,
    ),
    lambda tick: TERMS,
)
TRADE_KW = np.array([4.0, -2.0, 1.0, -3.0, 0.5])
NET_KW = np.array([2.0, -1.5])
PRICE = np.array([0.11, 0.09])
WAM_PRICE = np.array([0.105, 0.1])


def header(sender, tick=0):
    return {"run": "r1", "tick": tick, "sender": sender, "seq": tick}


def lam_outcome(host, *, trade_kw=TRADE_KW, net_kw=NET_KW, alone=False):
    lams = ROSTER.lam_hosts[host]
    members = np.flatnonzero(np.isin(LAM, lams))
    return LamOutcome(
        **header(host),
        lam=columns.pack_index(lams),
        price=columns.pack(PRICE[lams]),
        net_kw=columns.pack(net_kw[lams]),
        wam_price=columns.pack(WAM_PRICE[lams]),
        prosumer=columns.pack_index(members),
        trade_kw=columns.pack(trade_kw[members]),
        trade_price=columns.pack((PRICE[LAM] + RULES.case.fee[LAM] * np.sign(trade_kw))[members]),
        alone=alone,
        refused=[],
        missing=[],
        exchange=EXCHANGE,
    )


def wam_outcome(grid_kw):
    zero = [0.0] * M
    return WamOutcome(
        **header("wam"),
        status="confirmed",
        round=1,
        rounds=1,
        net_kw=NET_KW.tolist(),
        price=WAM_PRICE.tolist(),
        energy=WAM_PRICE.tolist(),
        loss=zero,
        voltage=zero,
        congestion=zero,
        energy_price=0.1,
        grid_kw=grid_kw,
        row_name=[],
        row_dual=[],
        linear_error_pu=0.0,
        violations=[],
        flags=[],
        fallbacks=[],
        clear_s=0.0,
        confirm_s=0.0,
        exchange=EXCHANGE,
    )


def metered_batch(energy_kwh):
    return MeteredBatch(
        **header("people"),
        prosumer=columns.pack_index(ROSTER.hosts["people"]),
        energy_kwh=columns.pack(energy_kwh),
        reactive_kvarh=columns.pack(np.zeros(3)),
    )


def reading(name, import_kwh, export_kwh=0.0, *, phase="meter", quality="good"):
    return Telemetry(
        **header(name),
        phase=phase,
        p_kw=0.0,
        q_kvar=0.0,
        v_pu=1.0,
        import_kwh=import_kwh,
        export_kwh=export_kwh,
        quality=quality,
    )


def state(source_kw, **more):
    empty = columns.pack(NOTHING)
    empties = dict.fromkeys(["v_pu", "loading", "lam_kw", "lam_kvar", "lam_v_pu"], empty)
    return FeederState(
        **header("feeder"),
        **empties,
        solved=source_kw is not None,
        source_kw=source_kw,
        source_kvar=source_kw,
        losses_kw=source_kw,
        tap_changes=0,
        **{"violations": [], "estimated": [], **more},
    )


def gather(counters=None, **changes):
    """An interval in which everyone did what was allocated, but for the changes."""
    messages = {
        "tick": 0,
        "outcome": wam_outcome(0.5),
        "lam_outcomes": {host: lam_outcome(host) for host in ROSTER.lam_hosts},
        "metered": {"people": metered_batch(TRADE_KW[[0, 2, 3]] * DT_H)},
        "metered_live": {"p1": reading("p1", 7.0, 3.5), "p4": reading("p4", 2.125)},
        "state": state(0.75),
        "measured": {"p1": reading("p1", 7.0, 3.0), "p4": reading("p4", 2.0)},
    }
    counters = Counters.unread(N) if counters is None else counters
    return read_interval(IntervalMessages(**(messages | changes)), ROSTER, TERMS, DT_H, counters)


def sums(booking):
    return [int(booking.micro[booking.kind == kind].sum()) for kind in range(len(KINDS))]


def test_a_whole_interval_as_arrays():
    interval = gather()
    assert interval.flags == []
    assert interval.allocation.trade_kw.tolist() == TRADE_KW.tolist()
    assert interval.metered_kwh.tolist() == (TRADE_KW * DT_H).tolist()
    assert interval.allocation.net_kw.tolist() == NET_KW.tolist()
    assert interval.allocation.price.tolist() == PRICE.tolist()
    assert (interval.grid_scheduled_kw, interval.grid_actual_kw) == (0.5, 0.75)
    assert not interval.allocation.alone.any()
    assert interval.counters.booked_kwh[ROSTER.live].tolist() == [3.5, 2.125]


def test_a_whole_interval_as_payments():
    booking = book_payments(gather(), ROSTER, RULES)
    prosumer_0 = booking.micro[(booking.account == 0)]
    assert prosumer_0.tolist() == [-round(4.0 * DT_H * (0.11 + 0.004) * 1e6)]
    assert booking.imbalance_usd == 0.0
    assert sums(booking) == [0] * len(KINDS)


def test_what_was_drawn_beside_the_allocation_is_bought_and_sold_at_the_worse_price():
    energy_kwh = TRADE_KW[[0, 2, 3]] * DT_H + np.array([1.0, -1.0, 0.0])
    booking = book_payments(gather(metered={"people": metered_batch(energy_kwh)}), ROSTER, RULES)
    assert booking.imbalance_usd == pytest.approx(max(0.11 + 0.004, 0.25) - min(0.09 - 0.006, 0.04))


def test_a_silent_meter_has_its_allocation_booked_until_it_is_read_again():
    counters = replace(Counters.unread(N), booked_kwh=np.array([np.nan, 4.0, np.nan, np.nan, 2.0]))
    silent = gather(counters, metered_live={"p4": reading("p4", 2.125)}, measured={})
    assert silent.flags == ["no reading of p1: its allocation stands in until its meter is read again"]
    assert silent.metered_kwh[1] == TRADE_KW[1] * DT_H
    readings = {"p1": reading("p1", 9.0, 5.0), "p4": reading("p4", 2.5)}
    again = gather(silent.counters, metered_live=readings, measured={})
    assert again.flags == []
    assert silent.metered_kwh[1] + again.metered_kwh[1] == (9.0 - 5.0) - 4.0
    assert silent.metered_kwh[4] + again.metered_kwh[4] == 2.5 - 2.0


@pytest.mark.parametrize(
    "bad", [reading("p1", 9.0, quality="held"), reading("p1", None), reading("p1", 9.0, None)]
)
def test_a_reading_that_is_not_whole_and_good_counts_as_silence(bad):
    interval = gather(metered_live={"p1": bad, "p4": reading("p4", 2.125)})
    assert "no reading of p1" in interval.flags[0]
    assert interval.metered_kwh[1] == TRADE_KW[1] * DT_H


def test_a_meter_that_was_never_read_starts_with_its_first_reading():
    first = gather(measured={"p4": reading("p4", 2.0)})
    assert np.isnan(first.counters.booked_kwh[1])
    assert "no reading of p1" in first.flags[0]
    second = gather(first.counters, measured={"p1": reading("p1", 7.0, 3.0)})
    assert second.metered_kwh[1] == -0.5


# Multiples of 1/1024 kWh, so that floating point adds them exactly.
ticks_of_kwh = st.integers(-4096, 4096).map(lambda whole: whole / 1024)


@given(st.lists(st.tuples(ticks_of_kwh, ticks_of_kwh, st.booleans()), min_size=1, max_size=20), ticks_of_kwh)
def test_what_is_booked_telescopes_to_the_counter_whatever_readings_are_missing(intervals, last_kwh):
    imported, exported, booked_total = 100.0, 0.0, 0.0
    counters = replace(Counters.unread(N), booked_kwh=np.array([np.nan, imported, np.nan, np.nan, 0.0]))
    for energy_kwh, allocated_kw, is_read in [*intervals, (last_kwh, 0.0, True)]:
        imported += max(energy_kwh, 0.0)
        exported += max(-energy_kwh, 0.0)
        trade_kw = TRADE_KW.copy()
        trade_kw[1] = allocated_kw
        interval = gather(
            counters,
            lam_outcomes={host: lam_outcome(host, trade_kw=trade_kw) for host in ROSTER.lam_hosts},
            metered_live={"p1": reading("p1", imported, exported)} if is_read else {},
            measured={},
        )
        counters = interval.counters
        booked_total += interval.metered_kwh[1]
    assert booked_total == imported - exported - 100.0


def test_a_silent_lam_operator_leaves_its_prosumers_without_allocation():
    interval = gather(lam_outcomes={"north": lam_outcome("north")})
    assert interval.flags == ["no outcome from south: its prosumers have no allocation"]
    assert interval.allocation.trade_kw.tolist() == [4.0, -2.0, 0.0, 0.0, 0.0]
    assert interval.allocation.alone.tolist() == [False, True]
    booking = book_payments(interval, ROSTER, RULES)
    drawn_kwh = interval.metered_kwh[2:]
    wanted = 0.25 * drawn_kwh[drawn_kwh > 0].sum() + 0.04 * drawn_kwh[drawn_kwh < 0].sum()
    assert booking.imbalance_usd == pytest.approx(wanted)
    assert sums(booking) == [0] * len(KINDS)


@pytest.mark.parametrize("batch", [None, metered_batch(np.zeros(2)), metered_batch(np.zeros(4))])
def test_a_population_host_without_usable_meters_has_its_allocation_booked(batch):
    interval = gather(metered={} if batch is None else {"people": batch})
    (flag,) = interval.flags
    assert "people" in flag
    assert "allocation stands in" in flag
    assert interval.metered_kwh.tolist() == (TRADE_KW * DT_H).tolist()


@pytest.mark.parametrize("missing", [None, state(None)])
def test_without_a_power_flow_the_grid_is_taken_at_the_sum_of_the_meters(missing):
    interval = gather(state=missing)
    assert interval.flags == ["no power flow of the metered state: losses are left out of the grid's energy"]
    assert interval.grid_actual_kw == TRADE_KW.sum()


def test_without_an_outcome_the_schedule_is_what_lams_bought_alone():
    outcomes = {host: lam_outcome(host, alone=True) for host in ROSTER.lam_hosts}
    interval = gather(outcome=None, lam_outcomes=outcomes)
    assert interval.allocation.alone.all()
    assert interval.grid_scheduled_kw == NET_KW.sum()
    assert sums(book_payments(interval, ROSTER, RULES)) == [0] * len(KINDS)


power = st.floats(-50.0, 50.0)


@given(
    trade_kw=st.lists(power, min_size=N, max_size=N),
    net_kw=st.lists(power, min_size=M, max_size=M),
    energy_kwh=st.lists(power, min_size=3, max_size=3),
    counters=st.lists(st.floats(0.0, 1e4), min_size=4, max_size=4),
    grid_kw=power,
    source_kw=st.none() | power,
    lost=st.sets(st.sampled_from(["outcome", "north", "south", "people", "p1", "p4", "start", "state"])),
    alone=st.sets(st.sampled_from(["north", "south"])),
)
def test_every_interval_books_to_zero_whatever_came_or_was_lost(
    trade_kw, net_kw, energy_kwh, counters, grid_kw, source_kw, lost, alone
):
    trade_kw, net_kw = np.array(trade_kw), np.array(net_kw)
    outcomes = {
        host: lam_outcome(host, trade_kw=trade_kw, net_kw=net_kw, alone=host in alone)
        for host in ROSTER.lam_hosts
        if host not in lost
    }
    readings = {
        name: reading(name, *pair)
        for name, pair in {"p1": counters[:2], "p4": counters[2:]}.items()
        if name not in lost
    }
    interval = gather(
        outcome=None if "outcome" in lost else wam_outcome(grid_kw),
        lam_outcomes=outcomes,
        metered={} if "people" in lost else {"people": metered_batch(energy_kwh)},
        metered_live=readings,
        state=None if "state" in lost else state(source_kw),
        measured={} if "start" in lost else {"p1": reading("p1", 5.0), "p4": reading("p4", 5.0)},
    )
    booking = book_payments(interval, ROSTER, RULES)
    assert sums(booking) == [0] * len(KINDS)
    for name in lost & {"north", "south", "people"}:
        assert any(name in flag for flag in interval.flags)


def test_counters_that_began_anew_are_flagged_and_counted_from_their_own_start():
    before = gather()
    readings = {"p1": reading("p1", 0.75, 0.0), "p4": reading("p4", 2.25)}
    after = gather(
        before.counters,
        measured={"p1": reading("p1", 0.5), "p4": reading("p4", 2.125)},
        metered_live=readings,
    )
    assert after.flags == ["the counters of p1 began anew: what flowed in between is not settled"]
    assert after.metered_kwh[1] == 0.25
    assert after.metered_kwh[4] == 0.125


def test_counters_that_began_anew_within_an_interval_have_the_allocation_booked():
    before = gather()
    readings = {"p1": reading("p1", 0.25, 0.0), "p4": reading("p4", 2.25)}
    at_start = {"p1": reading("p1", 7.0, 3.5), "p4": reading("p4", 2.125)}
    after = gather(before.counters, measured=at_start, metered_live=readings)
    assert after.flags[0].startswith("the counters of p1 began anew")
    assert after.metered_kwh[1] == TRADE_KW[1] * DT_H


def test_of_thousands_of_broken_limits_the_worst_are_flagged_by_name_and_the_others_by_number():
    broken = state(0.75, violations=["x is low", "y is low"], unnamed=7998, unserved=[1])
    assert broken.broken == 8000
    assert feeder_flags(broken) == [
        "as metered: x is low",
        "as metered: y is low",
        "as metered: 7,998 more limits are broken",
        "no source feeds 1 LAMs: their members are unserved",
    ]
    assert feeder_flags(state(0.75)) == []
