"""Small well-formed case documents of every kind, drawn by hypothesis."""

import numpy as np
from hypothesis import strategies as st

NICE = st.sampled_from([0.0, 0.0, 1.0, -1.0, 0.5, 2.0])
"""Values that tie, cancel and stand at zero, as people's own numbers do."""

UNIT = NICE | st.floats(-1.0, 1.0).map(lambda x: round(x, 6))

PART = st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0.0, 1.0)

ROOM = st.sampled_from([1e3, 1.0, 1.0, 0.1, 0.1, 1e-3, 0.0]) | st.sampled_from([1e-3, 0.1, 1.0, -0.1])
"""From a state that respects a row to its limit, in the row's own size."""

LOSS = st.sampled_from([1.0, 1.0, 1.03, 0.95, 1.4, 0.0, -1.0])
"""Head power per kW of a LAM; the last two are odd, but the format has them."""


def decades(low, high):
    """Sizes over decades, even ones and those between."""
    return st.integers(low, high).map(lambda power: 10.0**power) | st.floats(low, high).map(lambda x: 10.0**x)


def up_to(most, values):
    """Values that a format's range cuts off."""
    return [float(min(max(value, -most), most)) for value in values]


@st.composite
def documents(draw, *, powers, prices, spread):
    """Documents in powers and prices of decades; single numbers are smaller by up to ``spread`` decades."""
    power, price = draw(decades(*powers)), draw(decades(*prices))
    shrink = st.just(1.0) if spread == 0 else st.just(1.0) | decades(-spread, 0)

    def numbers(size, scale, values=UNIT, most=1e9):
        return up_to(most, [draw(values) * scale * draw(shrink) for _ in range(size)])

    members = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    lams, n = len(members), sum(members)
    lam_id = [f"lam{i}" for i in range(lams)]
    lam = draw(
        st.permutations([name for name, size in zip(lam_id, members, strict=True) for _ in range(size)])
    )
    owners = draw(st.lists(st.integers(0, n - 1), max_size=2 * n))
    r = len(owners)
    low, high = np.sort([numbers(r, power), numbers(r, power)], axis=0)
    part = np.array([draw(PART) for _ in owners])
    demand = numbers(n, power)
    made = np.bincount(np.array(owners, dtype=int), low + part * (high - low), minlength=n)
    state = np.bincount([lam_id.index(name) for name in lam], demand - made, minlength=lams)
    balance = numbers(lams, 1.0, LOSS) if draw(st.booleans()) else None
    head = float(state @ (balance or np.ones(lams)))
    offset = draw(st.sampled_from([0.0, -head]) | st.just(numbers(1, power)[0]))
    limit = draw(st.sampled_from([1e3 * power, 1e3 * power, abs(head + offset)]) | st.just(0.0))
    per_kw = draw(decades(-3, 1)) * price / power
    not_negative = UNIT.map(abs)
    exports, imports = sorted(numbers(2, price, most=1e6))
    feed_in, retail = sorted(numbers(2, price, most=1e6))
    sensitivity = draw(st.sampled_from([1.0, power / price]))
    return {
        "format": 1,
        "prosumers": {"id": [f"p{j}" for j in range(n)], "lam": lam, "demand_kw": demand},
        "resources": {
            "prosumer": [f"p{j}" for j in owners],
            "min_kw": low.tolist(),
            "max_kw": high.tolist(),
            "cost_linear": numbers(r, price, most=1e6),
            "cost_quadratic": numbers(r, per_kw, not_negative, most=1e6),
        },
        "lams": {
            "id": lam_id,
            "sensitivity": [min(max(sensitivity * draw(decades(-4, 4)), 1e-9), 1e9) for _ in members],
            "fee": numbers(lams, 0.1 * price, not_negative, most=1e6),
            "wam_fee": numbers(lams, 0.1 * price, not_negative, most=1e6),
        },
        "wam": {
            "sensitivity": min(max(sensitivity * draw(decades(-4, 4)), 1e-9), 1e9),
            "conjecture": draw(st.sampled_from(["sharing", "price-taking"])),
            "balance": balance,
            "balance_offset_kw": up_to(1e9, [offset])[0],
            "network": draw(st.none() | networks(state, numbers, power)),
        },
        "grid": {
            "import_price": imports,
            "export_price": exports,
            "import_limit_kw": up_to(1e9, [limit])[0],
            "export_limit_kw": up_to(1e9, [limit])[0],
        },
        "tariff": {"retail": retail, "feed_in": feed_in},
    }


@st.composite
def networks(draw, state, numbers, power):
    """Rows that hold at net purchases ``state``, as a rule, and cut through what lies around."""
    rows = draw(st.integers(0, 5))
    unit = [draw(decades(-6, 3)) for _ in range(rows)]
    matrix = [up_to(1e9, [draw(UNIT) * u for _ in state]) for u in unit]
    base = [numbers(1, u * power)[0] for u in unit]
    value = np.array(base) + np.array(matrix).reshape(rows, state.size) @ state
    below, above = np.array([[draw(ROOM) * power * u for u in unit] for _ in range(2)])
    return {
        "name": [f"row{i}" for i in range(rows)],
        "kind": [draw(st.sampled_from(["voltage", "congestion"])) for _ in range(rows)],
        "matrix": matrix,
        "base": base,
        "lower": up_to(1e9, np.minimum(value - below, value + above)),
        "upper": up_to(1e9, np.maximum(value - below, value + above)),
    }
