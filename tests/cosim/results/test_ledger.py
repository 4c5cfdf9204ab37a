"""Bookkeeping in whole micro-dollars: sums, surpluses by hand, and one booking per interval."""

import dataclasses
import gc
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.results.booking import book_interval
from cosim.results.entries import ENERGY, IMBALANCE, KINDS, LedgerError, account_names, check_booking
from cosim.results.ledger import Ledger
from cosim.results.ledger_reader import LedgerReader
from cosim.results.trades import GridTrade, LamTrades, ProsumerTrades

PROSUMERS, LAMS = ("p1", "p2", "p3"), ("north", "south")
NAMES = account_names(PROSUMERS, LAMS)


def hand_case(**changes):
    """Two members of one LAM share 2 kW, a third one buys 4 kW through the WAM; all for half an hour."""
    case = {
        "dt_h": 0.5,
        "lam": [0, 0, 1],
        "trade_kw": [2.0, -2.0, 4.0],
        "trade_price": [0.21, 0.19, 0.31],
        "metered_kwh": [1.0, -1.0, 2.5],
        "short_price": [0.40, 0.40, 0.40],
        "long_price": [0.05, 0.05, 0.05],
        "net_kw": [0.0, 4.0],
        "wam_price": [0.25, 0.30],
        "alone": [False, False],
        "grid_scheduled_kw": 4.2,
        "grid_actual_kw": 5.4,
        "import_price": 0.24,
        "export_price": 0.08,
    }
    return case | changes


def booked(dt_h, **case):
    """Booking of a case whose values stand side by side."""

    def part(kind):
        return kind(**{name: case.pop(name) for name in kind.__dataclass_fields__})

    grid = GridTrade(
        scheduled_kw=case.pop("grid_scheduled_kw"),
        actual_kw=case.pop("grid_actual_kw"),
        import_price=case.pop("import_price"),
        export_price=case.pop("export_price"),
    )
    prosumers, lams = part(ProsumerTrades), part(LamTrades)
    assert not case
    return book_interval(dt_h, prosumers, lams, grid)


def by_account(booking, kind=None):
    totals = dict.fromkeys(NAMES, 0)
    for each, account, micro in zip(booking.kind, booking.account, booking.micro, strict=True):
        if kind is None or each == kind:
            totals[NAMES[account]] += int(micro)
    return totals


def test_hand_worked_interval():
    booking = booked(**hand_case())
    assert by_account(booking, ENERGY) == {
        "prosumer/p1": -210_000,
        "prosumer/p2": 190_000,
        "prosumer/p3": -620_000,
        "lam/north": 20_000,
        "lam/south": 620_000,
        **dict.fromkeys(("wam", "grid", "utility", "imbalance", "rounding"), 0),
    }
    totals = by_account(booking)
    assert totals["lam/south"] == 620_000 - 600_000
    assert totals["wam"] == 600_000 - 504_000
    assert totals["prosumer/p3"] == -620_000 - 200_000
    assert totals["grid"] == round(0.24 * 5.4 * 0.5 * 1e6)
    assert totals["imbalance"] == 200_000 - 144_000
    assert totals["utility"] == totals["rounding"] == 0
    assert booking.lam_surplus_usd == pytest.approx(0.04)
    assert booking.wam_surplus_usd == pytest.approx(0.096)
    assert booking.imbalance_usd == pytest.approx(0.2)
    assert booking.residual_usd == pytest.approx(0.144)


def test_a_seller_who_delivers_less_pays_the_short_price():
    booking = booked(**hand_case(metered_kwh=[1.0, -0.6, 2.0]))
    assert by_account(booking, IMBALANCE)["prosumer/p2"] == -round(0.4 * 0.40 * 1e6)


def test_a_seller_who_delivers_more_gets_the_long_price():
    booking = booked(**hand_case(metered_kwh=[1.0, -1.3, 2.0]))
    assert by_account(booking, IMBALANCE)["prosumer/p2"] == round(0.3 * 0.05 * 1e6)


def test_uplift_brings_the_wam_to_zero_and_is_charged_to_the_utility():
    booking = booked(**hand_case(grid_scheduled_kw=6.0))
    totals = by_account(booking)
    assert booking.wam_surplus_usd == pytest.approx(0.6 - 0.72)
    assert booking.uplift_usd == pytest.approx(0.12)
    assert totals["wam"] == 0
    assert totals["utility"] == -120_000


def test_a_lam_that_cleared_alone_settles_with_the_utility():
    totals = by_account(booked(**hand_case(alone=[False, True], grid_scheduled_kw=0.0)))
    assert totals["utility"] == 600_000
    assert totals["wam"] == 0


def test_the_utility_stands_for_a_silent_wam():
    totals = by_account(booked(**hand_case(alone=[True, True])))
    assert totals["utility"] == 600_000 - 504_000
    assert totals["wam"] == 0


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), prosumers=st.integers(0, 60), lams=st.integers(1, 9))
def test_every_kind_of_every_interval_sums_to_exactly_zero(seed, prosumers, lams):
    draw = np.random.default_rng(seed)
    lam = draw.integers(0, lams, prosumers)
    trade_kw = draw.normal(0, 3, prosumers)
    booking = booked(
        dt_h=draw.choice([0.25, 1 / 3, 1.0]),
        lam=lam,
        trade_kw=trade_kw,
        trade_price=draw.uniform(-0.2, 0.6, prosumers),
        metered_kwh=draw.normal(0, 1, prosumers),
        short_price=draw.uniform(0.2, 0.6, prosumers),
        long_price=draw.uniform(-0.1, 0.2, prosumers),
        net_kw=np.bincount(lam, trade_kw, lams),
        wam_price=draw.uniform(-0.2, 0.6, lams),
        alone=draw.random(lams) < 0.2,
        grid_scheduled_kw=draw.normal(0, 40),
        grid_actual_kw=draw.normal(0, 40),
        import_price=0.3,
        export_price=-0.05,
    )
    for kind in range(len(KINDS)):
        assert booking.micro[booking.kind == kind].sum() == 0
    assert abs(booking.rounding_micro) <= booking.entries
    keys = list(zip(booking.kind.tolist(), booking.account.tolist(), strict=True))
    assert len(keys) == len(set(keys))


def tampered(booking, *, kind, account, extra):
    at = np.flatnonzero((booking.kind == kind) & (booking.account == NAMES.index(account)))
    micro = booking.micro.copy()
    micro[at] += extra
    return dataclasses.replace(booking, micro=micro)


def test_a_leg_that_is_off_is_found():
    booking = booked(**hand_case())
    account = NAMES.index("imbalance")
    check_booking(booking, imbalance_account=account, imbalance_usd=0.056)
    with pytest.raises(LedgerError, match="energy: the entries sum to 7"):
        check_booking(
            tampered(booking, kind=ENERGY, account="lam/south", extra=7),
            imbalance_account=account,
            imbalance_usd=0.056,
        )


def test_rounding_cannot_hide_a_payment_whose_sides_differ():
    booking = booked(**hand_case())
    hidden = tampered(booking, kind=ENERGY, account="lam/south", extra=-40)
    hidden = dataclasses.replace(
        hidden,
        kind=np.append(hidden.kind, np.int8(ENERGY)),
        account=np.append(hidden.account, NAMES.index("rounding")),
        micro=np.append(hidden.micro, 40),
    )
    with pytest.raises(LedgerError, match="40 µ\\$ are left over"):
        check_booking(hidden, imbalance_account=NAMES.index("imbalance"), imbalance_usd=0.056)


def test_many_amounts_too_small_for_an_entry_may_add_up_to_some_that_rounding_keeps():
    count = 5000
    trade_kw = np.linspace(1.0, 2.0, count)
    booking = booked(
        **hand_case(
            lam=np.zeros(count, dtype=int),
            trade_kw=trade_kw,
            trade_price=np.full(count, 0.2),
            metered_kwh=0.5 * trade_kw + 1e-8,
            short_price=np.full(count, 0.3),
            long_price=np.full(count, 0.05),
            net_kw=[trade_kw.sum(), 0.0],
        )
    )
    assert booking.imbalance_usd == pytest.approx(count * 3e-9)
    assert abs(booking.rounding_micro) >= 10
    assert not (booking.kind[booking.account < count] == IMBALANCE).any()


def test_an_imbalance_balance_that_is_off_is_found():
    with pytest.raises(LedgerError, match="imbalance: the account's balance is 56000"):
        check_booking(booked(**hand_case()), imbalance_account=NAMES.index("imbalance"), imbalance_usd=0.0561)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"metered_kwh": [1.0, float("nan"), 2.0]}, r"metered_kwh\[1\] is nan"),
        ({"wam_price": [0.25, float("inf")]}, r"wam_price\[1\] is inf"),
        ({"grid_actual_kw": float("nan")}, "grid actual_kw is nan"),
        ({"trade_price": [0.2, 0.2]}, r"trade_price has shape \(2,\)"),
        ({"lam": [0, 0, 2]}, "lam must hold one of 2 LAMs"),
        ({"alone": [False]}, "one flag per LAM"),
    ],
)
def test_what_cannot_be_booked_is_named(changes, text):
    with pytest.raises(LedgerError, match=text):
        booked(**hand_case(**changes))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


def test_an_interval_is_booked_once_and_only_once(path):
    booking = booked(**hand_case())
    with Ledger.create(path, NAMES, run="r1") as ledger:
        assert ledger.post(5, booking)
        before = ledger.balances()
        assert not ledger.post(5, booked(**hand_case(grid_actual_kw=9.0)))
        assert ledger.balances() == before
    with Ledger.resume(path) as ledger:
        assert not ledger.post(5, booking)
        assert ledger.post(4, booking)
        assert ledger.ticks() == [4, 5]
        assert ledger.run == "r1"
        assert ledger.entries() == 2 * booking.entries


def test_reading_back(path):
    booking = booked(**hand_case())
    with Ledger.create(path, NAMES) as ledger:
        ledger.post(0, booking)
        ledger.post(1, booking)
    with LedgerReader.open(path) as ledger:
        assert ledger.sum_micro() == 0
        assert ledger.ticks() == [0, 1]
        assert ledger.balances() == {name: 2 * micro for name, micro in by_account(booking).items()}
        assert ledger.statement("prosumer/p3") == [
            (0, "energy", -620_000),
            (0, "imbalance", -200_000),
            (1, "energy", -620_000),
            (1, "imbalance", -200_000),
        ]
        parties = {
            party: {kind: received - paid for kind, (paid, received) in kinds.items()}
            for party, kinds in ledger.turnover_by_party().items()
        }
        assert parties["wam"] == {"wholesale": 1_200_000, "grid": -1_008_000}
        assert parties["prosumer"]["energy"] == -1_280_000
        assert parties["utility"] == {}
        with pytest.raises(LedgerError, match="no account 'nobody'"):
            ledger.statement("nobody")
        assert not hasattr(ledger, "post")
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            ledger._db.execute("DELETE FROM entry")


def test_the_file_is_plain_sql(path):
    with Ledger.create(path, NAMES) as ledger:
        ledger.post(0, booked(**hand_case()))
    assert [each.name for each in path.parent.iterdir()] == ["ledger.sqlite"]
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT usd FROM balance WHERE account = 'lam/south'").fetchone() == (0.02,)
        assert db.execute(
            "SELECT tick, party, usd FROM statement WHERE account = 'prosumer/p2'"
        ).fetchall() == [(0, "prosumer", 0.19)]
        assert db.execute("SELECT tick, micro FROM interval_sum").fetchall() == [(0, 0)]
    db.close()


def test_a_reader_may_look_while_the_run_goes_on(path):
    booking = booked(**hand_case())
    with Ledger.create(path, NAMES) as ledger:
        ledger.post(0, booking)
        with LedgerReader.open(path) as reader:
            assert reader.ticks() == [0]
            ledger.post(1, booking)
            assert reader.ticks() == [0, 1]
            ledger.close()
            assert reader.ticks() == [0, 1]
    with LedgerReader.open(path) as reader:
        assert reader.ticks() == [0, 1]


def test_a_reader_that_nobody_closes_ends_with_its_last_use(path):
    with Ledger.create(path, NAMES):
        reader = LedgerReader.open(path)
    connection = reader._db
    assert reader.ticks() == []
    del reader
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_more_entries_than_one_statement_holds(path):
    count = 450
    booking = booked(
        **hand_case(
            lam=np.zeros(count, int),
            trade_kw=np.ones(count),
            metered_kwh=np.full(count, 0.75),
            **{key: np.full(count, 0.3) for key in ("trade_price", "short_price", "long_price")},
        )
    )
    with Ledger.create(path, account_names([f"p{at}" for at in range(count)], LAMS)) as ledger:
        ledger.post(0, booking)
        assert ledger.entries() == booking.entries > 2 * count
        assert ledger.sum_micro() == 0
        assert ledger.statement(f"prosumer/p{count - 1}") == [
            (0, "energy", -150_000),
            (0, "imbalance", -75_000),
        ]


def test_a_booking_that_does_not_sum_to_zero_changes_nothing(path):
    booking = booked(**hand_case())
    with Ledger.create(path, NAMES) as ledger:
        with pytest.raises(LedgerError, match="interval 3: the entries sum to 1"):
            ledger.post(3, tampered(booking, kind=ENERGY, account="lam/south", extra=1))
        assert ledger.ticks() == []


def test_a_failed_posting_leaves_no_trace(path):
    booking = booked(**hand_case())
    twice = dataclasses.replace(
        booking,
        kind=np.tile(booking.kind, 2),
        account=np.tile(booking.account, 2),
        micro=np.tile(booking.micro, 2),
    )
    with Ledger.create(path, NAMES) as ledger:
        with pytest.raises(LedgerError, match="UNIQUE"):
            ledger.post(0, twice)
        assert ledger.ticks() == []
        assert ledger.post(0, booking)


def test_files_that_are_no_ledgers(path, tmp_path):
    with pytest.raises(LedgerError, match="there is no ledger"):
        LedgerReader.open(path)
    path.write_text("not a database")
    with pytest.raises(LedgerError, match="check that it is a ledger"):
        LedgerReader.open(path)
    with pytest.raises(LedgerError, match="there is a ledger already"):
        Ledger.create(path, NAMES)
    with pytest.raises(LedgerError, match="unable to open"):
        Ledger.create(tmp_path / "absent" / "ledger.sqlite", NAMES)
    double = tmp_path / "double.sqlite"
    with pytest.raises(LedgerError, match="UNIQUE"):
        Ledger.create(double, account_names(["p1", "p1"], LAMS))
    assert not double.exists()


def test_entries_that_are_no_numbers_are_one_line(tmp_path):
    path = tmp_path / "ledger.sqlite"
    Ledger.create(path, ["wam", "grid"]).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO interval VALUES (0, 1)")
        db.execute("INSERT INTO entry VALUES (0, 0, 0, 'much')")
    with LedgerReader.open(path) as ledger, pytest.raises(LedgerError, match="entries that are no numbers"):
        ledger.all_entries()
