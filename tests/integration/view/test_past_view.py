"""The view of a past run: each interval is as its tables have it, and nothing commands."""

import subprocess
import time

import httpx
import pytest

from cosim.results.entries import LedgerError
from cosim.results.ledger_reader import LedgerReader
from cosim.results.reader import load
from tests.integration.view.conftest import COMMAND, Watched, viewed
from tests.integration.view.test_live_view import ELEMENTS, SNAPSHOT, number


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def settled(out):
    """How many intervals a ledger has so far, none while it is being made."""
    try:
        with LedgerReader.open(out / "ledger.sqlite") as ledger:
            return len(ledger.ticks())
    except LedgerError:
        return 0


@pytest.fixture(scope="module")
def past(scenario, tmp_path_factory):
    out = tmp_path_factory.mktemp("past") / "run"
    words = ["run", str(scenario), "--out", str(out), "--intervals", "4", "--set", "market.horizon=3"]
    subprocess.run([*COMMAND, *words], check=True, capture_output=True, timeout=90)
    return out


ALL_BELOW_ZERO = """async () => {
    const { Chart } = await import("/static/chart.js");
    const place = document.getElementById("chart-parts").cloneNode();
    document.querySelector(".prices").append(place);
    const parts = [{ name: "a", colour: "blue", kind: "bar", values: "a" }];
    const chart = new Chart(place, { say: (value) => String(value), zero: true, parts });
    const times = { ticks: [0, 1], labels: ["00:00", "00:15"], dates: ["d", "d"] };
    chart.show({ ...times, values: { a: [-0.001, -0.002] } });
    const axis = [...place.querySelectorAll("text[text-anchor=end]")].map(label => Number(label.textContent));
    place.remove();
    return axis;
}"""


def test_a_past_run_slides(browser, past):
    run = load(past)
    with viewed(["view", str(past), "--port", "0"]) as (_, url):
        watched = Watched(browser, url)
        page = watched.page
        watched.until("document.getElementById('state').textContent === 'past run'")
        assert page.is_hidden("#stop-form")
        assert page.get_attribute("#slider", "max") == "3"
        for tick in (0, 2, 1, 3):
            page.evaluate(
                f"""() => {{ const slider = document.getElementById("slider");
                slider.value = {tick}; slider.dispatchEvent(new Event("input")); }}"""
            )
            watched.until(f"document.getElementById('figures').dataset.metered === '{tick}'")
            snapshot = page.evaluate(SNAPSHOT)
            row = run.intervals.set_index("tick").loc[tick]
            assert number(snapshot["losses"]) == pytest.approx(row["losses_kw"], abs=5e-3)
            assert number(snapshot["price"]) == pytest.approx(row["energy_price"], abs=5e-5)
            assert watched.text("#moment") == row["time_local"][11:16]
            dead = page.eval_on_selector_all("line.wire.dead", ELEMENTS)
            assert dead == (["line.m"] if tick >= 2 else [])
            horizon = run.horizons.set_index("tick").loc[tick]
            ahead = run.outlook[run.outlook["tick"] == tick].groupby("ahead")["energy_price"].first()
            assert watched.text("#ahead-facts").startswith(
                f"{horizon['intervals']} from {row['time_local'][11:16]} · "
            )
            page.focus("#chart-ahead-prices svg")
            page.keyboard.press("ArrowRight")
            there = watched.text("#chart-ahead-prices [data-figure=energy_price]")
            assert number(there) == pytest.approx(ahead.iloc[1], abs=5e-5)
        page.focus("#slider")
        page.keyboard.press("ArrowLeft")
        watched.until("document.getElementById('figures').dataset.metered === '2'")
        paid = page.eval_on_selector_all("#money tr.total td", "cells => cells.map(cell => cell.textContent)")
        assert sum(map(number, paid)) == pytest.approx(0.0, abs=0.05)
        axis = page.evaluate(ALL_BELOW_ZERO)
        assert len(axis) > 2
        assert (max(axis), min(axis) >= -0.0025) == (0.0, True)
        assert httpx.post(f"{url}stop").status_code == 403
        assert (watched.wrong, watched.foreign()) == ([], [])
        watched.context.close()


def test_a_run_that_was_killed_is_a_past_one(browser, scenario, tmp_path):
    out = tmp_path / "killed"
    process = subprocess.Popen(
        [*COMMAND, "run", str(scenario), "--pace", "900", "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: settled(out) >= 3)
    process.kill()
    process.wait()
    assert (out / "live.json").exists()
    with viewed(["view", str(out), "--port", "0"]) as (_, url):
        watched = Watched(browser, url)
        watched.until("document.getElementById('state').textContent === 'unfinished run'")
        assert load(out).summary.incomplete in watched.text("#run-facts")
        assert int(watched.page.get_attribute("#slider", "max")) >= 1
        assert number(watched.page.evaluate(SNAPSHOT)["losses"]) > 0.0
        assert watched.wrong == []
        watched.context.close()


FILLS = """() => Object.fromEntries([...document.querySelectorAll("#map circle.dot")].map(
    dot => [`${dot.dataset.bus} ${dot.getAttribute("class")}`,
        (dot.style.fill.match(/\\d+/g) ?? []).map(Number)]))"""


def test_the_report_shows_the_map_as_the_view_does(browser, past):
    slide = """() => { const slider = document.querySelector("input[type=range]");
        slider.value = 1; slider.dispatchEvent(new Event("input")); }"""
    shown = []
    with viewed(["view", str(past), "--port", "0"]) as (_, url):
        for address, ready in (
            (url, "document.getElementById('figures').dataset.metered === '1'"),
            ((past / "report.html").as_uri(), "document.querySelector('output').value.endsWith('12:15')"),
        ):
            watched = Watched(browser, address, viewport={"width": 390, "height": 844})
            watched.until("document.querySelectorAll('#map circle.dot').length > 0")
            watched.page.evaluate(slide)
            watched.until(ready)
            layers = {}
            for layer in ("voltage", "loading", "wam_price", "price"):
                watched.page.click(f"#layers button[data-layer={layer}]")
                layers[layer] = watched.page.evaluate(FILLS) | {"scale": watched.text("#legend .scale")}
            shown.append(layers | {"mark": watched.page.inner_html("#map g:nth-child(3) text")})
            assert watched.page.evaluate("document.documentElement.scrollWidth") == 390
            assert watched.wrong == []
            watched.context.close()
    assert "<h3>Horizon</h3>" in (past / "report.html").read_text()
    view, report = shown
    assert view.pop("mark") == report.pop("mark") == "Substation"
    for layer, colours in view.items():
        assert report[layer].pop("scale") == colours.pop("scale")
        # The report keeps a digit less.
        assert report[layer].keys() == colours.keys()
        for dot, colour in colours.items():
            assert report[layer][dot] == pytest.approx(colour, abs=2)
    assert view["voltage"] != view["wam_price"]


def test_it_fits_a_phone(browser, past):
    with viewed(["view", str(past), "--port", "0"]) as (_, url):
        watched = Watched(browser, url, viewport={"width": 390, "height": 844})
        watched.until("document.getElementById('state').textContent === 'past run'")
        assert watched.page.evaluate("document.documentElement.scrollWidth") == 390
        watched.context.close()
