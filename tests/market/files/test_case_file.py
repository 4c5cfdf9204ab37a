import copy
from pathlib import Path

import msgspec
import numpy as np
import pytest

from market.errors import CaseError
from market.files.case_file import decode_case, encode_case, read_case

CASES = Path(__file__).parents[1] / "cases"
GOOD = {
    "format": 1,
    "prosumers": {"id": ["a", "b", "c"], "lam": ["n", "s", "n"], "demand_kw": [1, 2.0, -1.0]},
    "resources": {
        "prosumer": ["a", "c"],
        "min_kw": [0.0, -1.0],
        "max_kw": [1.0, 2.0],
        "cost_linear": [0.1, 0.0],
        "cost_quadratic": [0.2, 0.0],
    },
    "lams": {"id": ["n", "s"], "sensitivity": [10.0, 20.0], "fee": [0.01, 0.0], "wam_fee": [0.0, 0.005]},
    "wam": {
        "sensitivity": 200.0,
        "balance": [1.0, 0.98],
        "balance_offset_kw": 3.0,
        "network": {
            "name": ["v1", "i1"],
            "kind": ["voltage", "congestion"],
            "matrix": [[1.0, 0.5], [0.0, 2.0]],
            "base": [0.0, 1.0],
            "lower": [-1.0, -2.0],
            "upper": [1.0, 2.0],
        },
    },
    "grid": {"import_price": 0.25, "export_price": 0.05, "import_limit_kw": 50, "export_limit_kw": 50},
    "tariff": {"retail": 0.3, "feed_in": 0.04},
}


def changed(path, value):
    document = copy.deepcopy(GOOD)
    *parents, last = path
    place = document
    for key in parents:
        place = place[key]
    place[last] = value
    return msgspec.json.encode(document)


def test_a_case_becomes_arrays_in_its_own_order():
    case = decode_case(msgspec.json.encode(GOOD))
    assert case.lam_of.tolist() == [0, 1, 0]
    assert case.resources.owner.tolist() == [0, 2]
    assert case.members.tolist() == [2, 1]
    assert case.slope.tolist() == [0.1, 0.0]
    assert case.wam_slope.tolist() == pytest.approx([1.0 / 200.0] * 2)
    assert case.network.voltage.tolist() == [True, False]
    assert case.network.matrix.tolist() == [[1.0, 0.5], [0.0, 2.0]]


def test_left_out_keys_have_their_defaults():
    document = copy.deepcopy(GOOD)
    del document["tariff"], document["wam"]["balance"], document["wam"]["network"]["kind"]
    case = decode_case(msgspec.json.encode(document))
    assert (case.tariff.retail, case.tariff.feed_in) == (0.25, 0.05)
    assert case.balance.tolist() == [1.0, 1.0]
    assert not case.network.voltage.any()
    del document["wam"]["network"]
    assert decode_case(msgspec.json.encode(document)).network is None


def test_price_taking_lams_expect_no_effect():
    case = decode_case(changed(["wam", "conjecture"], "price-taking"))
    assert not case.wam_slope.any()


def test_a_written_case_reads_back_to_the_last_bit():
    case = decode_case(msgspec.json.encode(GOOD))
    again = decode_case(encode_case(case))
    assert np.array_equal(again.demand_kw, case.demand_kw)
    assert np.array_equal(again.network.matrix, case.network.matrix)
    assert encode_case(again) == encode_case(case)


@pytest.mark.parametrize("path", sorted(CASES.glob("*[!n].json")), ids=lambda p: p.stem)
def test_stored_cases_read_back(path):
    assert encode_case(read_case(path)) == path.read_bytes().strip()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["format"], 2, r"^format: "),
        (["prosumers", "extra"], [], r"^prosumers: no key extra; leave it out"),
        (["prosumers", "demand_kw"], [1.0, 2.0], r"^prosumers\.demand_kw: 2 entries where 3 are needed"),
        (["prosumers", "demand_kw"], [1.0, "x", 2.0], r"^prosumers\.demand_kw, entry 2: give a number"),
        (["prosumers", "demand_kw"], [1.0, 2.0, 1e12], r"^prosumers\.demand_kw, entry 3: .*check the unit"),
        (["prosumers", "id"], ["a", "b", "a"], r"^prosumers\.id, entry 3: 'a' is already entry 1"),
        (["prosumers", "id"], [], r"^prosumers\.id: empty"),
        (["prosumers", "lam"], ["n", "s", "x"], r"^prosumers\.lam, entry 3: unknown 'x'"),
        (["prosumers", "lam"], ["n", "s"], r"^prosumers\.lam: 2 entries"),
        (["prosumers", "lam"], ["n", "n", "n"], r"^lams\.id, entry 2: LAM 's' has no prosumers"),
        (["resources", "prosumer"], ["a", "z"], r"^resources\.prosumer, entry 2: unknown 'z'"),
        (
            ["resources", "max_kw"],
            [1.0, -2.0],
            r"^resources\.max_kw, entry 2: max_kw -2\.0 below min_kw -1\.0",
        ),
        (["resources", "max_kw"], [1.0], r"^resources\.max_kw: 1 entries where 2"),
        (
            ["resources", "cost_quadratic"],
            [0.1, -0.1],
            r"^resources\.cost_quadratic, entry 2: -0\.1 is below 0",
        ),
        (["lams", "id"], ["n", "n"], r"^lams\.id, entry 2: 'n' is already"),
        (["lams", "sensitivity"], [0.0, 1.0], r"^lams\.sensitivity, entry 1: 0\.0 is not positive"),
        (["lams", "sensitivity"], [1.0, 1e-300], r"^lams\.sensitivity, entry 2: 1e-300 is below 1e-09"),
        (["wam", "sensitivity"], 1e-300, r"^wam\.sensitivity: 1e-300 is below 1e-09"),
        (["lams", "fee"], [0.0, -0.01], r"^lams\.fee, entry 2: -0\.01 is below 0"),
        (["lams", "wam_fee"], [-0.01, 0.0], r"^lams\.wam_fee, entry 1: "),
        (["wam", "sensitivity"], -1.0, r"^wam\.sensitivity: -1\.0 is not positive"),
        (["wam", "balance"], [1.0], r"^wam\.balance: 1 entries where 2"),
        (["wam", "conjecture"], "guess", r"^wam\.conjecture: "),
        (["wam", "network", "matrix"], [[1.0, 2.0]], r"^wam\.network\.matrix: 1 entries where 2"),
        (["wam", "network", "matrix"], [[1.0], [1.0, 2.0]], r"^wam\.network\.matrix, entry 1: 1 entries"),
        (["wam", "network", "name"], ["v1", "v1"], r"^wam\.network\.name, entry 2: 'v1' is already"),
        (["wam", "network", "kind"], ["voltage"], r"^wam\.network\.kind: 1 entries"),
        (["wam", "network", "kind"], ["voltage", "x"], r"^wam\.network\.kind, entry 2: "),
        (
            ["wam", "network", "lower"],
            [2.0, 0.0],
            r"^wam\.network\.upper, entry 1: upper 1\.0 below lower 2\.0",
        ),
        (["grid", "export_price"], 0.3, r"^grid\.export_price: 0\.3 above import_price 0\.25"),
        (["grid", "import_limit_kw"], -1.0, r"^grid\.import_limit_kw: -1\.0 is below 0"),
        (["tariff", "feed_in"], 0.5, r"^tariff\.feed_in: 0\.5 above retail 0\.3"),
        (["tariff"], {"retail": 0.3}, r"^tariff: .*feed_in"),
    ],
)
def test_a_malformed_case_is_refused_in_one_line_that_names_the_place(path, value, message):
    with pytest.raises(CaseError, match=message) as refused:
        decode_case(changed(path, value))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"[1", b"[]", b"\xff\xfe", b'{"format": ', b"[" * 5000])
def test_what_is_no_json_document_is_refused(data):
    with pytest.raises(CaseError, match=r"^case: "):
        decode_case(data)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_not_finite_is_named_by_its_place(value):
    data = msgspec.json.encode(GOOD).replace(b'"demand_kw":[', b'"demand_kw":[%s,' % value.encode(), 1)
    with pytest.raises(
        CaseError, match=r"^prosumers\.demand_kw, entry 1: -?(nan|inf) is not finite; give a number$"
    ):
        decode_case(data)


def test_a_price_that_only_a_wrong_unit_can_mean_is_refused():
    with pytest.raises(CaseError, match=r"^resources\.cost_linear, entry 2: 10000000\.0 .*check the unit$"):
        decode_case(changed(["resources", "cost_linear"], [0.1, 1e7]))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(CaseError, match=r"absent\.json: .*; give the path"):
        read_case(tmp_path / "absent.json")


@pytest.mark.parametrize("text", ['{"a":', '{"format": "1", "prosumers": {', '{"format": 1} x', '{"a": 1, }'])
def test_what_is_no_json_is_called_so_before_its_first_keys(text):
    with pytest.raises(CaseError, match=r"^case: not JSON \(.*\); see docs/case-format.md$"):
        decode_case(text.encode())
