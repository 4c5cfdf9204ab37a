"""A case file's bidding rule: which keys it needs, and which it refuses."""

import json

import pytest

from market.errors import CaseError
from market.files.case_file import decode_case, encode_case
from market.files.result_file import solve_case
from market.model.rule import QuantityBidding

DOCUMENT = {
    "format": 1,
    "prosumers": {"id": ["a", "b", "c"], "lam": ["n", "n", "s"], "demand_kw": [3.0, -1.0, 2.0]},
    "resources": {
        "prosumer": ["a", "c"],
        "min_kw": [0.0, 0.0],
        "max_kw": [2.0, 1.0],
        "cost_linear": [0.2, 0.1],
        "cost_quadratic": [0.1, 0.1],
    },
    "lams": {"id": ["n", "s"], "price_slope": [0.01, 0.02]},
    "wam": {"balance_offset_kw": 0.5},
    "grid": {"import_price": 0.3, "export_price": 0.05, "import_limit_kw": 100.0, "export_limit_kw": 100.0},
    "rule": "quantity",
}


def changed(path, value):
    document = json.loads(json.dumps(DOCUMENT))
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    if value is None:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return json.dumps(document).encode()


def test_a_case_by_quantity_reads_back():
    case = decode_case(json.dumps(DOCUMENT).encode())
    assert isinstance(case.rule, QuantityBidding)
    assert case.slope.tolist() == [0.01, 0.02]
    assert case.wam_slope.tolist() == [0.0, 0.0]
    assert not case.fee.any()
    again = decode_case(encode_case(case))
    assert encode_case(again) == encode_case(case)


def test_the_anchor_decides_what_lifts_a_local_price():
    case = decode_case(changed(["wam", "anchor"], "intercept"))
    assert case.wam_slope.tolist() == [0.01, 0.02]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["lams", "price_slope"], None, r"^lams: price_slope is missing; give it; "),
        (["lams", "price_slope"], [0.01], r"^lams\.price_slope: 1 entries where 2"),
        (["lams", "price_slope"], [0.01, 0.0], r"^lams\.price_slope, entry 2: 0\.0 is below 1e-06; "),
        (["lams", "sensitivity"], [1.0, 1.0], r"^lams\.sensitivity: no parameter of the rule 'quantity'"),
        (["lams", "fee"], [0.0, 0.0], r"^lams\.fee: no parameter of the rule 'quantity'"),
        (["wam", "conjecture"], "sharing", r"^wam\.conjecture: no parameter of the rule 'quantity'"),
        (["wam", "anchor"], "ship", r"^wam\.anchor: "),
        (["rule"], "auction", r"^rule: "),
        (["rule"], "demand-function", r"^lams\.price_slope: no parameter of the rule 'demand-function'"),
        (["tariff"], {"retail": 0.1, "feed_in": 0.1}, r"^tariff\.retail: 0\.1 is not above feed_in 0\.1; "),
    ],
)
def test_a_wrong_rule_is_named(path, value, message):
    with pytest.raises(CaseError, match=message):
        decode_case(changed(path, value))


def test_a_result_tells_of_the_utility_and_the_pool():
    result = solve_case(decode_case(json.dumps(DOCUMENT).encode()))
    assert result.status == "optimal"
    flow = [q + u for q, u in zip(result.prosumers.trade_kw, result.prosumers.utility_kw, strict=True)]
    assert result.lams.flow_kw == pytest.approx([flow[0] + flow[1], flow[2]])
    assert result.wam.grid_kw == pytest.approx(0.5 + sum(flow))
    assert sum(result.prosumers.trade_kw) == pytest.approx(0.0, abs=1e-9)
    assert 0.05 <= result.wam.pool_price <= 0.3
    # With W+ and W- at the grid's prices, members pay what the feeder costs but for its own load.
    own = result.members_cost - sum(result.prosumers.utility_payment_per_h)
    assert result.social_cost == pytest.approx(own + 0.3 * result.wam.grid_kw)
