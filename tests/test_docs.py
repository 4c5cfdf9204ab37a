import contextlib
import importlib
import importlib.util
import io
import re
from pathlib import Path
from types import SimpleNamespace

import click
import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

import sharegrid
from cosim.cli import main
from cosim.scenario import Scenario
from cosim.study.commands import feeder
from devices.registers.points import Point
from devices.registers.profiles import load_profile, shipped_profiles
from devices.registers.schema import ARGUMENTS, Access, Profile, Recipe
from devices.registers.traits import Correction, Trait
from devices.sources.profiles import load_source, shipped_sources
from market.model.case import Resources, Tariff
from market.model.response import supply_curves
from market.model.strategy import Truthful, View

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def text_of(page):
    return page.read_text(encoding="utf-8")


def anchors(page):
    """Anchors of a page's headings, as GitHub and common Markdown renderers make them."""
    headings = re.findall(r"^#+\s+(.*)$", FENCE.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def example(page, name, language):
    """Code block that follows the comment ``example NAME``."""
    found = re.search(rf"<!-- example {name} -->\n```{language}\n(.*?)```", text_of(page), re.DOTALL)
    assert found, f"{page.name} has no example {name}"
    return found[1]


def run_example(source):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, "example", "exec"), {"__name__": "__main__"})
    return printed.getvalue()


def test_profile_in_the_documents_can_be_used(tmp_path):
    (tmp_path / "mine.toml").write_text(example(ROOT / "docs" / "devices.md", "profile", "toml"))
    assert load_profile("mine", tmp_path).alternatives("import_kwh") == ((("day", 1), ("night", 1)),)


def test_profile_like_another_one_in_the_documents_can_be_used(tmp_path):
    (tmp_path / "mine.toml").write_text(example(ROOT / "docs" / "devices.md", "turned profile", "toml"))
    profile = load_profile("mine", tmp_path)
    assert profile.point("204.W").sign == -1
    assert ("203.TotWhExp", 1) in [term for terms in profile.alternatives("import_kwh") for term in terms]


def test_every_shipped_profile_has_its_row_and_every_key_its_meaning():
    page = text_of(ROOT / "docs" / "devices.md")
    assert [name for name in shipped_profiles() if f"`{name}`" not in page] == []
    parts = (Profile, Access, Point, Recipe, Trait, Correction)
    keys = {key for part in parts for key in part.__struct_fields__}
    tables = {"modbus", "quantities", "points", "corrections", "identify", "needs", "commands"}
    assert {key for key in keys - tables if f"`{key}`" not in page} == set()
    assert {key for key in tables if f"[{key}" not in page} == set()
    assert {argument for argument in ARGUMENTS if f"`{argument}`" not in page} == set()


def test_source_profile_in_the_documents_can_be_used(tmp_path):
    (tmp_path / "mine.toml").write_text(example(ROOT / "docs" / "sources.md", "source profile", "toml"))
    assert load_source("mine", tmp_path).commands.shows == "limit"


def test_every_shipped_source_profile_has_its_row():
    page = text_of(ROOT / "docs" / "sources.md")
    assert [name for name in shipped_sources() if f"`{name}`" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(page):
    for link in LINK.findall(FENCE.sub("", text_of(page))):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        # A site has pages and files; a folder is none.
        assert target.is_file(), f"{page.name}: {link} leads to no file"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link} names no heading"


def test_every_page_stands_in_the_contents_of_the_site():
    contents = re.findall(
        r"^```\{toctree\}\n(.*?)^```", text_of(ROOT / "docs" / "index.md"), re.MULTILINE | re.DOTALL
    )
    listed = {line for block in contents for line in block.split("\n") if line and not line.startswith(":")}
    notebooks = sorted((ROOT / "docs").rglob("*.ipynb"))
    pages = {page.relative_to(ROOT / "docs").with_suffix("").as_posix() for page in (*PAGES[1:], *notebooks)}
    assert listed == pages - {"index"}


PACKAGES = ("broker", "cosim", "devices", "market", "sharegrid")
CODE = re.compile(rf"(?:{'|'.join((*PACKAGES, 'benchmarks', 'scripts'))})(?:\.\w+)+")
PATH = re.compile(
    rf"(?:{'|'.join((*PACKAGES, 'benchmarks', 'scripts', 'docs', 'scenarios', 'tests'))})(?:/[\w.*-]+)+/?"
)
ARE_NO_FILES = ("sharegrid/v1", "sharegrid/claims")  # topics
RUN_FILES = (".parquet", ".arrows", ".log")


def is_there(path):
    """Whether a file is there, or the words are none: a topic, or a form such as ``maps/NAME.toml``."""
    return (
        path.startswith(ARE_NO_FILES) or re.search(r"\b[A-Z]{2,}\b", path) or any(ROOT.glob(path.rstrip("/")))
    )


def names_code(dotted):
    """Whether a dotted name is a module of ours or stands in one."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        with contextlib.suppress(ModuleNotFoundError):
            found = importlib.import_module(".".join(parts[:end]))
            return all((found := getattr(found, part, None)) is not None for part in parts[end:])
    return False


def names_key(dotted):
    """Whether a dotted name is made of sections and keys of a scenario."""
    _, sections = msgspec.json.schema_components([Scenario])
    keys = {key for section in sections.values() for key in section["properties"]}
    return all(part in keys for part in dotted.split("."))


# The changelog also names what was.
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name != "CHANGELOG.md"],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_files_and_code_that_a_page_names_are_there(page):
    text = text_of(page)
    spans = [span.removesuffix("()") for span in re.findall(r"`([^`\n]+)`", FENCE.sub("", text))]
    words = [word for span in spans for word in (span.split() if span.startswith("pytest ") else [span])]
    for path in filter(PATH.fullmatch, words):
        assert is_there(path), f"{page.name}: there is no {path}"
    for name in (span for span in spans if CODE.fullmatch(span) and not span.endswith(RUN_FILES)):
        assert names_code(name) or names_key(name), (
            f"{page.name}: {name} is neither code nor a scenario's key"
        )
    for module in re.findall(rf"python3? -m ({CODE.pattern})", text):
        assert importlib.util.find_spec(module), f"{page.name}: there is no module {module}"
    for module, names in re.findall(rf"^from ({CODE.pattern}) import (.+)$", text, re.MULTILINE):
        for name in names.split(", "):
            assert names_code(f"{module}.{name}"), f"{page.name}: {module} has no {name}"


def test_architecture_says_what_every_room_holds():
    table = text_of(ROOT / "docs" / "architecture.md").partition("## Where is what")[2].partition("\n## ")[0]
    said = re.findall(r"^\| `([a-z_/]+)` \|", table, re.MULTILINE)
    inner = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("*/*/__init__.py")}
    assert set(said) == {room for room in inner if room.startswith(PACKAGES)} | {"sharegrid"}
    assert len(said) == len(set(said))


def test_every_term_of_the_glossary_stands_once_with_its_place_in_the_code():
    section = text_of(ROOT / "docs" / "nomenclature.md").partition("## Glossary\n")[2].partition("\n## ")[0]
    terms, _, words = section.partition("### Words that are kept")
    rows = [row.strip("| ").split(" | ") for row in re.findall(r"^\|.*\|$", terms, re.MULTILINE)]
    rows = [row for row in rows if row[0] not in ("Term", "---")]
    assert len(rows) > 60
    assert len({row[0] for row in rows}) == len(rows)
    for term, meaning, where in rows:
        assert meaning.endswith("."), f"{term} has no whole sentence"
        places = re.findall(r"`([^`]+)`", where)
        assert places, f"{term} has no place"
        for place in places:
            assert CODE.fullmatch(place), f"{term}: {place} is no module"
            assert names_code(place), f"{term}: there is no {place}"
    assert "| settle | " in words


@pytest.mark.parametrize("folder", [*PACKAGES, "benchmarks", "scenarios", "scripts", "tests"])
def test_files_that_the_source_names_are_there(folder):
    for source in (ROOT / folder).rglob("*.py"):
        for path in re.findall(rf"(?<![\w/.-]){PATH.pattern}\w", text_of(source)):
            assert is_there(path), f"{source.relative_to(ROOT)}: there is no {path}"


def test_readme_names_every_command_and_no_other():
    assert isinstance(main, click.Group)
    named = set(re.findall(r"(?:^|[`/])sharegrid ([a-z]+)", text_of(ROOT / "README.md"), re.MULTILINE))
    assert named == set(main.commands)


def test_every_public_name_is_in_the_reference():
    page = text_of(ROOT / "docs" / "reference" / "api.md")
    for name in sharegrid.__all__:
        home = sharegrid._HOME.get(name, "sharegrid.errors")
        there = re.search(rf":: {home}\.{name}$|automodule:: {home}$", page, re.MULTILINE)
        assert there, f"docs/reference/api.md lacks {name}"


def test_options_in_the_documents_exist():
    known = {
        option
        for command in [*main.commands.values(), *feeder.commands.values()]
        for parameter in command.params
        for option in parameter.opts
    }
    for page in PAGES:
        for line in text_of(page).splitlines():
            if re.search(r"\bsharegrid (run|serve|clear|feeder|report|scenario)\b", line):
                assert set(re.findall(r"(?<!\S)--[a-z-]+", line)) <= known, f"{page.name}: {line}"


def test_example_case_gives_the_example_result(tmp_path):
    page = ROOT / "docs" / "case-format.md"
    case, result = tmp_path / "case.json", tmp_path / "result.json"
    case.write_text(example(page, "case", "json"), encoding="utf-8")
    cleared = CliRunner().invoke(main, ["clear", str(case), "--out", str(result)])
    assert cleared.exit_code == 0, cleared.output
    said = msgspec.json.decode(example(page, "result", "json"))
    have = msgspec.json.decode(result.read_bytes())
    for timing in ("seconds", "certificate_seconds", "iterations"):
        assert have.pop(timing) > 0
        assert said.pop(timing) > 0
    assert flatten(have) == pytest.approx(flatten(said), abs=1e-6)


def test_example_over_a_horizon_gives_its_stores(tmp_path):
    page = ROOT / "docs" / "case-format.md"
    whole = msgspec.json.decode(example(page, "case", "json"))
    for column in whole["resources"].values():
        # The battery is a store now.
        del column[1]
    whole |= msgspec.json.decode(example(page, "horizon", "json"))
    case, result = tmp_path / "case.json", tmp_path / "result.json"
    case.write_bytes(msgspec.json.encode(whole))
    cleared = CliRunner().invoke(main, ["clear", str(case), "--out", str(result)])
    assert cleared.exit_code == 0, cleared.output
    assert cleared.stdout.startswith("optimal: 3 intervals, social cost 4.38811 $ in ")
    said = msgspec.json.decode(example(page, "stores", "json"))
    have = {key: value for key, value in msgspec.json.decode(result.read_bytes()).items() if key in said}
    assert flatten(have) == pytest.approx(flatten(said), abs=1e-6)


def flatten(value, at=""):
    """Leaves of nested JSON by path."""
    if isinstance(value, dict):
        pairs = [(f"{at}.{key}", inner) for key, inner in value.items()]
    elif isinstance(value, list):
        pairs = [(f"{at}[{number}]", inner) for number, inner in enumerate(value)]
    else:
        return {at: value}
    return {path: leaf for key, inner in pairs for path, leaf in flatten(inner, key).items()}


def test_every_key_of_a_case_and_a_result_is_documented():
    pages = [text_of(ROOT / "docs" / name) for name in ("case-format.md", "kpis.md")]
    tables = "\n".join(line for page in pages for line in page.splitlines() if line.startswith("|"))
    for name in ("case", "result", "horizon", "stores"):
        block = msgspec.json.decode(example(ROOT / "docs" / "case-format.md", name, "json"))
        for path in flatten(block):
            key = re.sub(r"\[\d+\]", "", path).split(".")[-1]
            assert re.search(rf"[`.]{key}`", tables), f"{key} of a {name} is not in a table"


def test_market_example_of_the_readme_runs():
    printed = run_example(example(ROOT / "README.md", "market", "python"))
    lowest, highest, grid_kw, social_cost = map(float, printed.split())
    assert 0.05 < lowest < highest < 0.30
    assert grid_kw >= 0
    assert social_cost > 0


def test_example_of_a_cost_of_ones_own_meets_its_best_response(tmp_path, monkeypatch):
    pytest.importorskip("cvxpy")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "case.json").write_text(example(ROOT / "docs" / "case-format.md", "case", "json"))
    page = ROOT / "docs" / "extending.md"
    printed = run_example(example(page, "convex", "python"))
    assert numbers(printed) == pytest.approx(numbers(example(page, "convex-output", "text")), abs=2e-4)
    *_, dan_kw, south = numbers(printed)
    # Marginal comfort = price + fee + k q, with the fee of the case and k = 1 / (50 (2 - 1)).
    assert 4 * 0.02 * (2.5 - dan_kw) ** 3 == pytest.approx(south + 0.002 + dan_kw / 50, abs=2e-4)


def numbers(text):
    return [float(number) for number in re.findall(r"-?\d+\.\d+", text)]


def test_examples_of_a_strategy_and_a_forecast_are_those_that_run(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scenarios/strategies"))
    conduct = importlib.import_module("conduct")
    told = {}
    for name in ("conduct", "forecast"):
        exec(example(ROOT / "docs" / "extending.md", name, "python"), told)
    demand_kw, nothing = np.array([1.0, 2.0]), np.full(2, np.nan)
    resources = Resources(
        np.array([0, 1]), np.zeros(2), np.full(2, 3.0), np.array([0.0, 0.1]), np.full(2, 0.01)
    )
    value = supply_curves(demand_kw, resources).curves
    slope, fee = np.full(2, 0.01), np.full(2, 0.002)
    view = View(0, ("a", "b"), demand_kw, resources, value, slope, fee, nothing, nothing, Tariff(0.3, 0.04))
    bids = [kind(markup=0.02).bid(view) for kind in (told["Markup"], conduct.Markup)]
    assert bids[0].price.tobytes() == bids[1].price.tobytes()
    assert not np.array_equal(bids[0].price, Truthful().bid(view).price)
    past = np.array([[1.0, 2.0], [3.0, 4.0]])
    known = SimpleNamespace(history=lambda count: (past[-count:], 0 * past[-count:]))
    for kind in (told["Persistence"], conduct.Persistence):
        assert kind(intervals=2).expect(known).load_kw.tolist() == [2.0, 3.0]


def test_device_example_limits_the_inverter():
    printed = run_example(example(ROOT / "docs" / "devices.md", "devices", "python"))
    before_kw, after_kw, exported_kwh = (float(number) for number in printed.strip("[]\n").split(","))
    assert before_kw == pytest.approx(-3.0, abs=1e-3)
    assert after_kw == pytest.approx(-1.0, abs=1e-3)
    assert 0.25 < exported_kwh < 0.252
