"""The view of a run that goes on, in a browser: what is on the screen is what happens in the run."""

import pytest
from axe_core_python.sync_playwright import Axe

from cosim.results.reader import load
from tests.integration.happenings import INTERVALS, SILENT
from tests.integration.view.conftest import Watched, viewed

PAUSED = 4
SAG_PU = 0.985
PACE = 450  # An interval of 15 minutes takes two seconds.
ELEMENTS = "lines => lines.map(line => line.dataset.element)"
SNAPSHOT = """() => {
    const figures = document.getElementById("figures");
    const value = (name) => figures.querySelector(`[data-value="${name}"]`)?.textContent;
    return {...figures.dataset, price: value("energy-price"), dlmp: value("dlmp"), voltage: value("voltage"),
            losses: value("losses")};
}"""


def number(text):
    return float(text.replace("−", "-").replace(",", ""))


def serious(page):
    found = Axe().run(page)["violations"]
    return [
        (each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")
    ]


def lead(watched, seen):
    """Pause the run, let it take one step, and go on at another pace; in which interval it was each time."""
    paused = "document.getElementById('state').textContent === 'paused'"
    interval = "document.getElementById('moment').textContent"
    watched.page.click("#pause")
    watched.until(paused)
    seen["paused at"] = watched.page.evaluate(interval)
    watched.page.wait_for_timeout(1000 * 2 * 900 / PACE)
    seen["still at"] = watched.page.evaluate(interval)
    happen(watched, seen)
    watched.page.click("#step")
    watched.until(f"{interval} !== '{seen['still at']}'")
    watched.until(paused)
    seen["stepped to"] = watched.page.evaluate(interval)
    watched.page.select_option("#pace", "900")
    watched.page.click("#pause")


def happen(watched, seen):
    """Let the source's voltage sag at the next interval, and ask for what is not there."""
    page = watched.page
    page.click("#happen summary")
    page.select_option("#happen-kind", "line-outage")
    seen["lines"] = page.eval_on_selector_all(
        "#happen-names option", "names => names.map(name => name.value)"
    )
    page.fill("#happen-form [name=element]", "nowhere")
    page.click("#happen-form button")
    watched.until("document.getElementById('happen-answer').textContent.startsWith('Asked for')")
    page.select_option("#happen-kind", "source-voltage")
    page.fill("#happen-form [name=pu]", str(SAG_PU))
    page.click("#happen-form button")
    watched.until("document.getElementById('happen-answer').textContent.includes('source voltage')")


@pytest.fixture(scope="module")
def seen(browser, scenario, tmp_path_factory):
    """What was seen of one run, from its beginning to its end, and the run itself."""
    out = tmp_path_factory.mktemp("run") / "viewed"
    words = ["run", str(scenario), "--pace", str(PACE), "--view=0", "--out", str(out), "--run-id", "viewed"]
    seen = {"snapshots": {}}
    with viewed(words) as (process, url):
        watched = Watched(browser, url)
        page = watched.page
        watched.until("document.getElementById('state').textContent === 'live'")
        seen["facts"] = watched.text("#run-facts")
        for cleared in range(INTERVALS - 1):
            watched.until(f"Number(document.getElementById('figures').dataset.metered) >= {cleared}")
            seen["snapshots"][cleared] = page.evaluate(SNAPSHOT)
            if cleared == 2:
                seen["dead lines"] = page.eval_on_selector_all("line.wire.dead", ELEMENTS)
                watched.until(f"document.querySelector('tr.dead[data-prosumer={SILENT}]') !== null")
                seen["flags"] = watched.text("#flags")
            if cleared == 3:
                page.keyboard.press("s")
                seen["asked"] = page.evaluate("document.activeElement.id"), page.is_visible("#stop-dialog")
                page.keyboard.press("Escape")
                seen["not stopped"] = page.is_hidden("#stop-panel")
                page.keyboard.press("s")
                page.keyboard.press("Enter")
                watched.until("document.getElementById('stop-lines').childElementCount > 0")
                seen["stop"] = watched.text("#stop-summary")
                seen["stopped devices"] = page.eval_on_selector_all(
                    "#stop-lines li", "lines => lines.map(line => line.textContent)"
                )
            if cleared == PAUSED:
                lead(watched, seen)
        watched.until("document.getElementById('state').textContent === 'run is over'")
        seen["wrong"], seen["foreign"] = watched.wrong, watched.foreign()
        process.wait(30)
        seen["axe light"] = serious(page)
        page.emulate_media(color_scheme="dark")
        seen["axe dark"] = serious(page)
        watched.context.close()
    return seen, load(out)


def test_values_on_the_screen_are_those_of_the_run(seen):
    seen, run = seen
    intervals, lams = run.intervals.set_index("tick"), run.lams.groupby("tick")["wam_price"]
    assert "14 prosumers in 3 LAMs" in seen["facts"]
    for snapshot in seen["snapshots"].values():
        cleared, metered = int(snapshot["cleared"]), int(snapshot["metered"])
        assert number(snapshot["price"]) == pytest.approx(intervals["energy_price"][cleared], abs=5e-5)
        least, most = map(number, snapshot["dlmp"].split(" – "))
        assert least == pytest.approx(lams.min()[cleared], abs=5e-5)
        assert most == pytest.approx(lams.max()[cleared], abs=5e-5)
        least, most = map(number, snapshot["voltage"].split(" – "))
        assert least == pytest.approx(intervals["v_min_pu"][metered], abs=5e-4)
        assert most == pytest.approx(intervals["v_max_pu"][metered], abs=5e-4)
        assert number(snapshot["losses"]) == pytest.approx(intervals["losses_kw"][metered], abs=5e-3)
    assert len({snapshot["losses"] for snapshot in seen["snapshots"].values()}) > 1


def test_the_run_is_led_from_the_page(seen):
    seen, run = seen
    assert seen["still at"] == seen["paused at"]
    times = [each[11:16] for each in run.intervals["time_local"]]
    assert times.index(seen["stepped to"]) == times.index(seen["paused at"]) + 1
    assert len(times) == INTERVALS
    told = [event["detail"] for event in run.events if event["kind"] == "flag"]
    for word in ("paused", "one interval asked for", "goes on", "pace set to 900.0"):
        assert any(f"{word} by operator-" in each for each in told), word


def test_an_operator_lets_something_happen_to_the_feeder(seen):
    seen, run = seen
    assert seen["lines"] == ["l", "m"]
    at = [each[11:16] for each in run.intervals["time_local"]].index(seen["stepped to"])
    happened = [event["detail"] for event in run.events if event["kind"] == "event" and event["tick"] == at]
    assert any(each.startswith(f"the source's voltage is {SAG_PU:g} pu") for each in happened)
    assert any("the feeder has no line or switch 'nowhere'" in each for each in happened)


def test_a_line_that_is_out_shows(seen):
    seen, _ = seen
    assert seen["dead lines"] == ["line.m"]
    assert "line m" in seen["flags"]


def test_a_device_that_does_not_answer_turns_grey_and_is_named(seen):
    seen, _ = seen
    assert f"{SILENT} does not answer" in seen["flags"]


def test_the_stop_is_confirmed_first_and_answers_device_by_device(seen):
    seen, run = seen
    assert seen["asked"] == ("stop-yes", True)
    assert seen["not stopped"]
    owned = run.devices.groupby("prosumer")[["pv_kw", "battery_kw"]].count()
    devices = int((owned > 0).to_numpy().sum())
    assert seen["stop"].endswith(f"{devices} of {devices} devices are at their safe values")
    assert len(seen["stopped devices"]) == devices
    assert all(line.endswith(": safe") for line in seen["stopped devices"])
    assert run.summary.set_points.emergency_stops == 1


def test_the_page_is_accessible_asks_nobody_else_and_has_no_errors(seen):
    seen, _ = seen
    assert seen["axe light"] == []
    assert seen["axe dark"] == []
    assert seen["foreign"] == []
    assert seen["wrong"] == []
