import math
import typing

import msgspec
import numpy as np
import pytest

from broker import messages
from broker.door.bounds import Bounds
from broker.door.content import check_content, implausible
from broker.messages import (
    Award,
    BidBatch,
    DeviceState,
    Done,
    FeederState,
    HeatStore,
    LamPrice,
    MeteredBatch,
    NetworkModel,
    Telemetry,
    Traffic,
    columns,
)
from broker.messages.fields import Opaque, Unit, Values
from tests.broker.door.parties import BOUNDS

HEAD = {"run": "r1", "tick": 0, "sender": "x", "seq": 0}
INDEX = columns.pack_index([1, 2])


def state(**changes):
    fields = {
        "solved": True,
        "v_pu": columns.pack([1.0, 1.0, 0.0]),
        "loading": columns.pack([0.5, 0.1]),
        "lam_kw": columns.pack([1.0, 2.0]),
        "lam_kvar": columns.pack([0.1, 0.2]),
        "lam_v_pu": columns.pack([1.0, 1.0]),
        "source_kw": 3.0,
        "source_kvar": 0.3,
        "losses_kw": 0.1,
        "tap_changes": 0,
        "violations": [],
        "estimated": [],
    }
    return FeederState(**HEAD, **(fields | changes))


def metered(**changes):
    fields = {"prosumer": INDEX, "energy_kwh": columns.pack([1, 2]), "reactive_kvarh": columns.pack([0, 0])}
    return MeteredBatch(**(HEAD | fields | changes))


def prices(sender, lams):
    price = columns.pack(np.zeros(len(lams)))
    return LamPrice(**(HEAD | {"sender": sender}), round=1, lam=columns.pack_index(lams), price=price)


def bids(**changes):
    fields = {
        "prosumer": INDEX,
        "count": columns.pack_index([1, 2]),
        "price": columns.pack([0.1, 0.1, 0.2]),
        "kw": columns.pack([1, 2, 1]),
        "reactive_kvar": columns.pack([0, 0]),
    }
    return BidBatch(**HEAD, **(fields | changes))


def model(**changes):
    fields = {
        "balance": [1.0, 1.0],
        "offset_kw": 0.0,
        "name": ["a", "b"],
        "row_kind": ["voltage", "congestion"],
        "matrix": columns.pack(np.zeros(4)),
        "base": columns.pack([0, 0]),
        "lower": columns.pack_open([-np.inf, 0]),
        "upper": columns.pack_open([np.inf, 1]),
    }
    reply = {"round": 0, "solved": True, "confirmed": False, "source_kw": 0.0, "linear_error_pu": None}
    rest = {"severity": 0.0, "violations": [], "seconds": 0.1}
    return messages.FeederReply(**HEAD, **reply, **rest, model=NetworkModel(**(fields | changes)))


def told(**changes):
    state = DeviceState(**({"device": "ev", "p_kw": 0.0, "min_kw": -11.0, "max_kw": 0.0} | changes))
    fields = dict.fromkeys(("p_kw", "q_kvar", "v_pu", "import_kwh", "export_kwh"))
    return Telemetry(**HEAD, **fields, phase="measure", quality="good", devices=[state])


def raw(*values):
    return np.array(values, dtype="<f8").tobytes()


@pytest.mark.parametrize(
    "message",
    [
        state(),
        metered(),
        metered(prosumer=columns.pack_index([2, 0])),
        bids(),
        model(),
        bids(kw=raw(np.nan, 1e300, 1)),
        state(unserved=["A"]),
    ],
)
def test_what_fits_the_run_is_let_in(message):
    check_content(message, BOUNDS)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (state(v_pu=columns.pack([1.0])), "v_pu: 1 values where 3 belong"),
        (state(v_pu=b""), "must tell all nodes"),
        (state(lam_v_pu=b""), "must tell all lams"),
        (state(lam_kw=raw(1.0, np.nan)), "lam_kw: a value is not finite"),
        (state(lam_kw=raw(1.0, 1e300)), "lam_kw: a value is not finite or not plausible"),
        (state(source_kw=1e300), "source_kw: 1e\\+300 is not plausible"),
        (state(tap_changes=-1), "tap_changes: -1"),
        (state(violations=["x" * 3000]), "violations: a text has 3000"),
        (metered(energy_kwh=columns.pack([1e300, 0])), "energy_kwh"),
        (metered(energy_kwh=columns.pack([1.0])), "energy_kwh: 1 values where 2 belong"),
        (metered(energy_kwh=b"123"), "no whole number of values"),
        (metered(prosumer=columns.pack_index([1, 3])), "prosumer: an index is of no prosumer"),
        (metered(prosumer=columns.pack_index([1, -1])), "prosumer: an index is of no prosumer"),
        (metered(prosumer=columns.pack_index([1, 1])), "prosumer: a prosumer is named twice"),
        (metered(prosumer=columns.pack_index([2, 0, 2])), "prosumer: a prosumer is named twice"),
        (metered(prosumer=b"12345"), "no whole number of indices"),
        (bids(count=columns.pack_index([1, 3])), "price: 3 values where 4 belong"),
        (bids(count=columns.pack_index([-1, 4])), "count: a count is below 0"),
        (bids(kw=columns.pack([1])), "kw: 1 values where 3 belong"),
        (model(matrix=raw(0, 0)), "model: matrix: 2 values where 4 belong"),
        (model(balance=[1.0]), "model: balance: 1 values where 2 belong"),
        (model(lower=raw(np.nan, 0)), "model: lower"),
        (model(name=["a"]), "model: row_kind: 2 values where 1 belong"),
        (model(unserved=[2]), "unserved: 2 is no lam"),
        (told(soc=6.55), "devices: soc: 6.55 is not plausible"),
        (told(soc=-0.1), "soc: -0.1"),
        (told(needs_kwh=6553.5), "needs_kwh: 6553.5"),
        (told(needs_kwh=-1.0), "needs_kwh: -1"),
        (told(left_s=2.0**32 - 1), "left_s: 4.29497e\\+09"),
        (told(read_at=-1.0), "read_at: -1"),
        (told(heat=HeatStore(capacity_kwh=-1.0, loss_kw=0.0, rating_kw=1.0)), "heat: capacity_kwh: -1"),
        (Award(**HEAD, trade_kw=101.0, price=0.1), "trade_kw"),
        (Award(**HEAD, trade_kw=1.0, price=-11.0), "price"),
        (Done(**HEAD, step="bid", traffic=Traffic(sent=-1)), "traffic: sent: -1"),
    ],
)
def test_what_does_not_fit_the_run_is_refused_by_its_field(message, reason):
    with pytest.raises(ValueError, match=reason):
        check_content(message, BOUNDS)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (metered(sender="people", prosumer=columns.pack_index([0, 1])), "people does not speak for each pro"),
        (prices("south", [0]), "south does not speak for each lam"),
        (prices("south", [0, 1]), "south does not speak for each lam"),
    ],
)
def test_a_host_speaks_for_its_own_alone(message, reason):
    with pytest.raises(ValueError, match=reason):
        check_content(message, BOUNDS)
    check_content(metered(sender="people"), BOUNDS)
    check_content(prices("south", [1]), BOUNDS)


def test_without_a_roster_columns_must_still_fit_each_other():
    check_content(metered(prosumer=columns.pack_index([7, 900])), Bounds())
    with pytest.raises(ValueError, match="energy_kwh: 1 values where 2 belong"):
        check_content(metered(energy_kwh=columns.pack([1.0])), Bounds())


def numbers(annotation, where, unit=None):
    """Each number and column of an annotation, with what says its range: a unit, or bounds of its own."""
    marks = getattr(annotation, "__metadata__", ())
    if any(isinstance(mark, Opaque) for mark in marks):
        return
    for mark in marks:
        if isinstance(mark, Values):
            unit = mark.unit or mark.of
        elif isinstance(mark, msgspec.Meta) and None not in (mark.ge, mark.le):
            unit = "its own"
    bare = getattr(annotation, "__origin__", annotation)
    if bare in (float, int, bytes):
        yield where, unit
    elif isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        for each in msgspec.structs.fields(bare):
            yield from numbers(each.type, f"{where}.{each.name}")
    else:
        for inner in typing.get_args(annotation) if bare is annotation or marks == () else [bare]:
            yield from numbers(inner, where, unit)


def test_no_number_of_any_message_goes_without_a_range():
    """A state of charge of 655 % passed once, because nobody had said what is plausible."""
    found = dict(pair for each in messages.DECLARED.values() for pair in numbers(each.kind, each.tag))
    assert found["telemetry.devices.soc"] == "soc"
    assert found["telemetry.devices.heat.capacity_kwh"] == "stock_kwh"
    assert [where for where, unit in found.items() if not unit] == []


def test_every_range_of_every_unit_is_finite_and_declared():
    ranges = Bounds().ranges
    assert set(ranges) == set(typing.get_args(Unit)) - {""}
    assert all(-math.inf < low < high < math.inf for low, high in ranges.values())


class Unranged(msgspec.Struct):
    power: float


def test_a_number_without_a_range_is_an_error_of_whoever_declares_it():
    with pytest.raises(TypeError, match="has no range"):
        implausible(Unranged(power=1.0), BOUNDS)


def test_every_number_and_column_of_every_message_is_held_against_something():
    """No field may slip past for want of an annotation that the door understands."""
    for declaration in messages.DECLARED.values():
        for field in msgspec.structs.fields(declaration.kind):
            if field.type is bytes:
                pytest.fail(f"{declaration.kind.__name__}.{field.name} is a column without Values")
            meta = getattr(field.type, "__metadata__", ())
            if getattr(field.type, "__origin__", None) is bytes:
                if any(type(each).__name__ == "Opaque" for each in meta):
                    continue
                values = [each for each in meta if type(each).__name__ == "Values"]
                assert values, f"{declaration.kind.__name__}.{field.name}"
                assert values[0].size, f"{declaration.kind.__name__}.{field.name}"


def test_a_missing_value_is_no_value():
    reading = Telemetry(
        **HEAD,
        phase="meter",
        p_kw=None,
        q_kvar=None,
        v_pu=None,
        import_kwh=None,
        export_kwh=None,
        quality="missing",
    )
    check_content(reading, BOUNDS)
