"""Cases over a horizon as files: there and back, cleared, and refused in one line where they are wrong."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from market.errors import CaseError
from market.files.case_file import decode_case, read_case
from market.files.horizon_file import decode_any, encode_horizon
from market.files.result_file import clear_file
from market.horizon.case import HorizonCase
from market.horizon.clearing import clear_horizon
from market.model.case import Case
from tests.market.horizon.town import battery, town


@pytest.fixture
def document():
    return msgspec.json.decode(encode_horizon(town(3, T=4, lams=2, members=3, rows=1)))


def test_a_case_survives_its_file():
    case = town(3, T=4, lams=2, members=3, rows=2)
    again = decode_any(encode_horizon(case))
    assert isinstance(again, HorizonCase)
    for one, other in zip(case.intervals, again.intervals, strict=True):
        assert (one.demand_kw == other.demand_kw).all()
        assert (one.resources.max_kw == other.resources.max_kw).all()
        assert one.grid == other.grid
        assert (one.network.upper == other.network.upper).all()
    for name, values in vars(case.stores).items():
        assert (getattr(again.stores, name) == values).all(), name


def test_a_number_stands_for_every_interval(document):
    stores = document["horizon"]["stores"]
    some = len(stores["prosumer"])
    short = {"prosumer": stores["prosumer"], "initial_kwh": [1.0] * some}
    short |= {"upper_kwh": [5.0] * some, "charge_kw": [2.0] * some, "discharge_kw": [0.0] * some}
    document["horizon"]["stores"] = short
    case = decode_any(msgspec.json.encode(document))
    assert (case.stores.upper_kwh == 5.0).all()
    assert case.stores.charge_kw.shape == (some, 4)
    assert (case.stores.charge_efficiency == 1.0).all()


def test_a_file_without_a_horizon_is_a_case_of_one_interval(document):
    del document["horizon"]
    assert isinstance(decode_any(msgspec.json.encode(document)), Case)


def test_a_result_has_every_interval_and_store(tmp_path: Path):
    case = town(3, T=4, lams=2, members=3)
    path, out = tmp_path / "case.json", tmp_path / "result.json"
    path.write_bytes(encode_horizon(case))
    status, _ = clear_file(path, out)
    assert status == 0
    result, outcome = msgspec.json.decode(out.read_bytes()), clear_horizon(case)
    trades = np.array([each["prosumers"]["trade_kw"] for each in result["intervals"]])
    assert trades == pytest.approx(outcome.trade_kw.T)
    assert np.array(result["stores"]["state_kwh"]) == pytest.approx(outcome.state_kwh)
    assert result["certificate"]["store_gain"] < 1e-8
    cost = sum(each["social_cost"] for each in result["intervals"]) + case.stores.wear(outcome.power_kw).sum()
    assert result["social_cost"] == pytest.approx(cost - case.stores.end_value @ outcome.state_kwh[:, -1])


def test_energy_that_is_missing_is_told_in_the_result(tmp_path: Path):
    case = town(4, T=3, stores=0.0)
    store = battery(3, kwh=20.0, kw=1.0, initial=0.0, efficiency=1.0)
    store.lower_kwh[0, 3] = 5.0
    path, out = tmp_path / "case.json", tmp_path / "result.json"
    path.write_bytes(encode_horizon(HorizonCase(case.intervals, store, 1.0)))
    clear_file(path, out)
    assert msgspec.json.decode(out.read_bytes())["stores"]["shortfall_kwh"][0] == pytest.approx([0, 0, 0, 2])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda h: h["intervals"].clear(), "horizon.intervals: empty; give at least one"),
        (
            lambda h: h["intervals"][1]["demand_kw"].pop(),
            "horizon.intervals, entry 2, demand_kw: 5 entries where 6",
        ),
        (lambda h: h["intervals"].pop(), "horizon.stores.lower_kwh, entry 1: 5 entries where 4 are needed"),
        (lambda h: h["stores"]["charge_kw"][0].pop(), "horizon.stores.charge_kw, entry 1: 3 entries where 4"),
        (lambda h: h["stores"]["prosumer"].__setitem__(0, "x"), "stores.prosumer, entry 1: unknown 'x'"),
        (lambda h: h["stores"]["initial_kwh"].__setitem__(0, 99.0), "initial_kwh is outside its bounds"),
        (lambda h: h.__setitem__("hours", 0.0), "horizon: hours: 0.0 is not positive"),
        (
            lambda h: h["intervals"][2].__setitem__("export_price", 9.0),
            "entry 3, export_price: above import_price",
        ),
        (lambda h: h["intervals"][0].__setitem__("extra", 1), "no key extra; leave it out"),
    ],
)
def test_a_wrong_entry_is_named(document, change, says):
    change(document["horizon"])
    with pytest.raises(CaseError) as error:
        decode_any(msgspec.json.encode(document))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_who_wants_one_interval_is_told(document, tmp_path: Path):
    with pytest.raises(CaseError, match="horizon: one interval is asked for here; leave the key out"):
        decode_case(msgspec.json.encode(document))
    path = tmp_path / "case.json"
    path.write_bytes(msgspec.json.encode(document))
    with pytest.raises(CaseError, match=r"case.json: horizon: one interval"):
        read_case(path)
    with pytest.raises(CaseError, match="horizon: method plain clears one interval; choose exact"):
        clear_file(path, tmp_path / "result.json", "plain")
