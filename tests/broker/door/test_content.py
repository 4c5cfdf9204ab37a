import msgspec
import numpy as np
import pytest

from broker import messages
from broker.door.bounds import Bounds
from broker.door.content import check_content
from broker.messages import (
    Award,
    BidBatch,
    Done,
    FeederState,
    LamPrice,
    MeteredBatch,
    NetworkModel,
    Telemetry,
    Traffic,
    columns,
)
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
