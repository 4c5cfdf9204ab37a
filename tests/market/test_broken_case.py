"""A case with one fault of any kind: one line that names the place, exit code 2, nothing written or lost."""

import json
import re

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosim.cli import main
from sharegrid.text import in_words
from tests.market.documents import documents

COLUMNS = {
    "prosumers": ["lam", "demand_kw"],
    "resources": ["min_kw", "max_kw", "cost_linear", "cost_quadratic"],
    "lams": ["sensitivity", "fee", "wam_fee"],
    "wam.network": ["kind", "matrix", "base", "lower", "upper"],
}
NUMBERS = [
    f"{table}.{name}" for table, names in COLUMNS.items() for name in names if name not in ("lam", "kind")
]
SCALARS = [
    "wam.sensitivity", "wam.balance_offset_kw", "grid.import_price", "grid.export_price",
    "grid.import_limit_kw", "grid.export_limit_kw", "tariff.retail", "tariff.feed_in",
]  # fmt: skip
OPTIONAL = {
    "tariff",
    "wam.balance",
    "wam.balance_offset_kw",
    "wam.network",
    "wam.conjecture",
    "wam.network.kind",
}
NOT_NEGATIVE = [
    "resources.cost_quadratic", "lams.fee", "lams.wam_fee", "lams.sensitivity",
    "wam.sensitivity", "grid.import_limit_kw", "grid.export_limit_kw",
]  # fmt: skip


def at(document, path):
    """The value at a path such as ``wam.network``."""
    for key in path.split(".") if path else ():
        document = document[key]
    return document


def put(document, path, value):
    """Set the value at a path."""
    parent, _, key = path.rpartition(".")
    at(document, parent)[key] = value


def within(draw, document, paths):
    """A path of ``paths``, and the place of one number there: ``matrix[1][0]``, or the path itself."""
    path = draw(st.sampled_from(paths))
    holder, key, place = at(document, path.rpartition(".")[0]), path.rpartition(".")[2], path
    while isinstance(holder[key], list):
        holder, key = holder[key], draw(st.integers(0, len(holder[key]) - 1))
        place += f"[{key}]"
    return holder, key, place


def not_finite(draw, document):
    holder, key, place = within(draw, document, NUMBERS + SCALARS)
    holder[key] = draw(st.sampled_from([float("nan"), float("inf"), float("-inf")]))
    return place


def beyond_all_units(draw, document):
    holder, key, place = within(draw, document, NUMBERS + SCALARS)
    holder[key] = draw(st.sampled_from([-1e30, 2e9, 1e300]))
    # A price above its partner's may be told at the partner.
    return "grid." if place.startswith("grid.") else "tariff." if place.startswith("tariff.") else place


def negative(draw, document):
    holder, key, place = within(draw, document, NOT_NEGATIVE)
    holder[key] = draw(st.sampled_from([-1e-12, -1.0]))
    return place


def swapped(draw, document):
    low, high = draw(
        st.sampled_from(
            [
                ("resources.min_kw", "resources.max_kw"),
                ("wam.network.lower", "wam.network.upper"),
                ("grid.export_price", "grid.import_price"),
                ("tariff.feed_in", "tariff.retail"),
            ]
        )
    )
    if isinstance(at(document, low), list):
        i = draw(st.integers(0, len(at(document, low)) - 1))
        at(document, low)[i], at(document, high)[i] = 2.0, 1.0
        return f"{high}[{i}]"
    put(document, low, 2.0)
    put(document, high, 1.0)
    return low


def unknown_name(draw, document):
    path = draw(st.sampled_from(["prosumers.lam", "resources.prosumer"]))
    i = draw(st.integers(0, len(at(document, path)) - 1))
    at(document, path)[i] = "nobody"
    return f"{path}[{i}]"


def name_twice(draw, document):
    path = draw(st.sampled_from(["prosumers.id", "lams.id", "wam.network.name"]))
    names = at(document, path)
    names.append(draw(st.sampled_from(names)))
    return f"{path}[{len(names) - 1}]"


def lam_without_members(draw, document):
    document["lams"]["id"].append("empty")
    return f"lams.id[{len(document['lams']['id']) - 1}]"


def no_names(draw, document):
    path = draw(st.sampled_from(["prosumers.id", "lams.id"]))
    put(document, path, [])
    return path


def ragged(draw, document):
    table = draw(st.sampled_from(sorted(COLUMNS)))
    path = f"{table}.{draw(st.sampled_from(COLUMNS[table]))}"
    column = at(document, path)
    put(document, path, draw(st.sampled_from([column[:-1], [*column, column[-1]]])))
    return path


def wrong_width(draw, document):
    matrix = document["wam"]["network"]["matrix"]
    i = draw(st.integers(0, len(matrix) - 1))
    matrix[i] = draw(st.sampled_from([matrix[i][:-1], [*matrix[i], 0.0]]))
    return f"wam.network.matrix[{i}]"


def wrong_type(draw, document):
    holder, key, place = within(draw, document, NUMBERS + SCALARS + ["prosumers.id", "prosumers.lam"])
    holder[key] = draw(st.sampled_from([None, True, {}, []] + ["1.0"] * ("cost" in place or "kw" in place)))
    return place


def table_of_another_kind(draw, document):
    path = draw(st.sampled_from(["prosumers", "resources", "lams", "wam", "grid", "tariff", "wam.network"]))
    put(document, path, draw(st.sampled_from([[], 1.0, "none"])))
    return path


def missing(draw, document):
    table = draw(
        st.sampled_from(["", "prosumers", "resources", "lams", "wam", "wam.network", "grid", "tariff"])
    )
    keys = [key for key in at(document, table) if f"{table}.{key}".lstrip(".") not in OPTIONAL]
    key = draw(st.sampled_from(keys))
    del at(document, table)[key]
    return f"{table or 'case'}: {key} is missing; give it"


def unknown_key(draw, document):
    table = draw(
        st.sampled_from(["", "prosumers", "resources", "lams", "wam", "wam.network", "grid", "tariff"])
    )
    at(document, table)["colour"] = 1
    return f"{table or 'case'}: no key colour; leave it out"


def other_format(draw, document):
    document["format"] = draw(st.sampled_from([0, 2, "1", None, 1.5]))
    return "format"


FAULTS = [
    not_finite, beyond_all_units, negative, swapped, unknown_name, name_twice, lam_without_members, no_names,
    ragged, wrong_width, wrong_type, table_of_another_kind, missing, unknown_key, other_format,
]  # fmt: skip


def full(document):
    """Whether a document has everything that could be broken."""
    network = document["wam"]["network"]
    return document["wam"]["balance"] and document["resources"]["prosumer"] and network and network["name"]


WHOLE = documents(powers=(0, 2), prices=(-2, 0), spread=1).filter(full)


@pytest.fixture
def clear(tmp_path):
    """Clear a document by the command, beside the result of an earlier one; gives code and standard error."""
    case, out = tmp_path / "case.json", tmp_path / "result.json"

    def run(text):
        case.write_bytes(text)
        out.write_text("an earlier result")
        result = CliRunner().invoke(main, ["clear", str(case), "--out", str(out), "--force"])
        assert out.read_text() == "an earlier result"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["case.json", "result.json"]
        return result.exit_code, result.stderr.replace(f"{case}: ", "")

    return run


QUIET = [HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_named_by_its_place(clear, fault):
    @settings(max_examples=12, derandomize=True, database=None, suppress_health_check=QUIET)
    @given(st.data())
    def broken(data):
        document = data.draw(WHOLE)
        place = fault(data.draw, document)
        code, told = clear(json.dumps(document).encode())
        assert code == 2
        assert re.fullmatch(rf"sharegrid: {re.escape(in_words(place))}[^\n]*; [^\n;]+\n", told), (place, told)

    broken()


@settings(max_examples=30, derandomize=True, database=None, suppress_health_check=QUIET)
@given(document=WHOLE, part=st.floats(0.0, 0.999), junk=st.sampled_from([b"", b"]", b"\xff", b"}}", b"\x00"]))
def test_a_document_that_was_cut_off_is_not_json(clear, document, part, junk):
    text = json.dumps(document).encode()
    code, told = clear(text[: int(part * len(text))] + junk)
    assert code == 2
    assert re.fullmatch(r"sharegrid: [^\n]+; [^\n;]+\n", told), told
