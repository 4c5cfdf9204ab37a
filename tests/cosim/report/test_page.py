"""The report of a made-up but plausible day, and of runs that went wrong."""

import json
import re
import zlib
from base64 import b85decode
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from broker.messages import FeederMap
from cosim.map.pages import STATIC
from cosim.report.comparison import compare
from cosim.report.details import (
    Binding,
    ChangedKey,
    DeviceLine,
    Incident,
    binding_limits,
    changed_keys,
    device_lines,
    incidents,
)
from cosim.report.key_figures import key_figures
from cosim.report.page import happened, report_command, write_report
from cosim.report.rendering import Packed
from cosim.results.errors import ResultsError
from cosim.results.ledger_reader import LedgerReader
from cosim.results.reader import load
from cosim.results.writer import RunWriter
from cosim.view.past import PastModel
from tests.cosim.report.sunny_day import embedded, write_day

LOCAL = timezone(timedelta(hours=2))
SMALL = FeederMap(
    buses={"1": (0.0, 0.0), "2": (1.0, 0.4), "3": (2.0, 0.1), "4": (2.0, 1.3)},
    segments=[("1", "2"), ("2", "3"), ("2", "4"), ("4", "nowhere")],
    lams=["2", "3", "4"],
)


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    return load(write_day(tmp_path_factory.mktemp("report") / "day"))


@pytest.fixture(scope="module")
def page(day):
    return write_report(day).read_text()


def text_of(page):
    """What the page says, without scripts and styles."""
    return re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)


def test_the_page_needs_no_network_and_is_small(page):
    assert len(page) < 2e6
    body = re.sub(r'<script type="text/plain".*?</script>', "", page)
    assert not re.search(r"src\s*=|@import|url\(|https?://", body)
    assert all(link.startswith("#") for link in re.findall(r'href\s*=\s*"([^"]*)"', body))


def test_the_contents_lead_to_every_section(page):
    assert re.findall(r'<a href="#(\w+)">', page) == re.findall(r'<section id="(\w+)">', page)


def test_every_figure_is_one_that_plotly_knows(page):
    figures = embedded(page)["figures"]
    assert sorted(figures) == sorted(re.findall(r'data-figure="(\w+)"', page))
    for name, figure in figures.items():
        checked = go.Figure(figure)
        assert len(checked.data) >= 1, name


def test_figures_show_the_tables(day, page):
    figures = embedded(page)["figures"]
    curves = {trace["name"]: trace for trace in figures["prices"]["data"]}
    curve = curves["energy price at the feeder head"]
    assert curve["y"] == pytest.approx(day.intervals["energy_price"].tolist(), abs=1e-6)
    assert curve["x"][:2] == ["2024-06-21 00:00:00", "2024-06-21 00:15:00"]
    highest = day.lams.groupby("tick")["wam_price"].max().tolist()
    assert curves["DLMPs, highest"]["y"] == pytest.approx(highest, abs=1e-6)
    lowest = {trace["name"]: trace["y"] for trace in figures["voltages"]["data"]}["all nodes, lowest"]
    assert lowest == pytest.approx(day.intervals["v_min_pu"].tolist(), abs=1e-6)
    levels = [shape["y0"] for shape in figures["voltages"]["layout"]["shapes"]]
    assert levels == [0.95, 1.05]


def unrolled(series):
    """Values by interval of what the map holds as differences, as the page's script adds them up."""
    last, rows = {}, []
    for steps in series["steps"]:
        for at, step in enumerate(steps):
            last[at] = last.get(at, 0) + (step or 0)
        rows.append(
            [None if step is None else last[at] / 10 ** series["digits"] for at, step in enumerate(steps)]
        )
    return rows


def test_the_map_shows_every_bus_and_interval_as_the_view_does(day, page):
    shown = embedded(page)["map"]
    layout = shown["layout"]
    assert layout["bus"] == ["1", "2", "3", "4"]
    assert layout["segments"] == [[0, 1], [1, 2], [1, 3]]
    assert [layout["bus"][at] for at in layout["lam_bus"]] == layout["lam"] == ["2", "3", "4"]
    assert layout["members"] == [4, 4, 4]
    assert len(shown["frames"]) == 96
    excess = np.maximum(0.95 - day.intervals["v_min_pu"], day.intervals["v_max_pu"] - 1.05)
    assert shown["start"] == int(excess.argmax())
    rows = {
        name: day_table[day_table["tick"] == 40]
        for name, day_table in {"nodes": day.nodes, "lams": day.lams}.items()
    }
    volts = dict(zip(rows["nodes"]["node"], rows["nodes"]["v_pu"], strict=True))
    nodes = unrolled(shown["state"]["node_v_pu"])[40]
    assert nodes == pytest.approx([volts[node] for node in layout["nodes"]], abs=6e-5)
    past = PastModel(day.path).at(40)
    side = [int(each) for each in unrolled(shown["state"]["side"])[40]]
    assert side == past["map"].side
    worst = unrolled(shown["state"]["worst"])[40]
    for bus, (at, value) in enumerate(zip(worst, past["map"].v_pu, strict=True)):
        beside = [node for node, of in enumerate(layout["node_bus"]) if of == bus]
        assert nodes[beside[int(at)]] == pytest.approx(value, abs=6e-5)
    for name in ("wam_price", "net_kw"):
        panel = getattr(past["prices"], name)
        assert unrolled(shown["prices"][name])[40] == pytest.approx(
            panel, abs=0.06 if name == "net_kw" else 6e-6
        )
    assert shown["energy"][40] == rows["lams"]["energy"].iloc[0]


def test_colours_styles_and_script_of_the_map_are_the_views_own(page):
    for name in ("palette.css", "map.css"):
        assert (STATIC / name).read_text() in page
    packed = re.search(r'id="drawing" data-size="(\d+)">(.*?)</script>', page)
    text = zlib.decompress(b85decode(packed[2].replace(",", "<"))[: int(packed[1])]).decode()
    for name in ("map.js", "scales.js"):
        body = (STATIC / name).read_text().partition('"use strict";')[2].replace("export ", "")
        assert body[body.index("const ") :] in text


def test_what_went_wrong_is_on_the_page_and_escaped(page):
    text = text_of(page)
    assert "94 / 96" in text
    assert text.count("<strong>check</strong>") >= 2
    assert "the dispatch was not confirmed by AC power flow" in text
    assert "1.0507 pu above 1.05 &lt;b&gt;pu&lt;/b&gt;" in text


def test_settlement_sums_to_zero_on_the_page(page):
    last = re.search(r'<tr class="sum">(.*?)</tr>', page, re.DOTALL)[1]
    cells = re.findall(r"<td>(.*?)</td>", last)
    assert len(cells) == 8
    assert set(cells) <= {"0.000000", ""}
    assert cells[-1] == "0.000000"


def test_payments_of_the_page_are_those_of_the_ledger(day, page):
    cells = dict(re.findall(r"<tr><th>([\w ]+ → [\w ]+)</th><td>([\d,.]+) \$</td>", text_of(page)))
    paid = {name: float(amount.replace(",", "")) for name, amount in cells.items()}
    with LedgerReader.open(day.path / "ledger.sqlite") as ledger:
        turnover = ledger.turnover_by_party()
    balances = {
        party: {kind: received - paid for kind, (paid, received) in kinds.items()}
        for party, kinds in turnover.items()
    }
    net = balances["prosumer"]["energy"] / 1e6
    assert paid["LAMs → prosumers"] - paid["prosumers → LAMs"] == pytest.approx(net, abs=0.011)
    assert paid["prosumers → LAMs"] == pytest.approx(turnover["prosumer"]["energy"][0] / 1e6, abs=0.006)
    assert paid["WAM → LAMs"] - paid["LAMs → WAM"] == pytest.approx(
        balances["lam"]["wholesale"] / 1e6, abs=0.011
    )


def test_price_parts_by_lam_add_up_to_what_dlmps_add(day, page):
    traces = embedded(page)["figures"]["by_lam"]["data"]
    total = dict(zip(traces[0]["x"], np.sum([trace["y"] for trace in traces], axis=0), strict=True))
    added = (day.lams["wam_price"] - day.lams["energy"]).groupby(day.lams["lam"]).mean()
    assert total == pytest.approx({str(lam): value for lam, value in added.items()}, abs=3e-6)
    assert list(total.values()) == sorted(total.values())


def test_rents_are_drawn_by_cause(day, page):
    drawn = {
        trace["name"]: sum(value or 0.0 for value in trace["y"])
        for trace in embedded(page)["figures"]["rents"]["data"]
    }
    assert drawn["losses"] == pytest.approx(day.intervals["loss_rent_usd"].sum(), abs=1e-3)
    assert drawn["voltage limits"] == pytest.approx(day.intervals["voltage_rent_usd"].sum(), abs=1e-3)
    assert drawn["voltage limits"] < -1.0


def test_intervals_without_a_valid_certificate_ask_for_attention(day, page):
    assert day.summary.certificate.intervals - day.summary.certificate.holds == 2
    assert "certified equilibrium" in {figure.label for figure in key_figures(day.summary) if not figure.good}
    assert "Holds in 94 of 96 intervals" in text_of(page)


def test_packed_text_cannot_end_its_script_and_comes_back(page):
    for letters in re.findall(r'<script type="text/plain"[^>]*>([^\n]*)</script>', page):
        assert "<" not in letters
        assert len(letters) > 1000
    assert embedded(page)["map"] is not None
    text = "</script> µ$ ☀ " * 50
    packed = Packed.of(text)
    assert zlib.decompress(b85decode(packed.letters.replace(",", "<"))[: packed.size]).decode() == text


def test_incidents_that_differ_in_numbers_alone_stand_once(day):
    labels = {0: "2024-06-21 00:00", 7: "2024-06-21 01:45"}
    events = [
        {"tick": 0, "kind": "rejected", "source": "lam-1", "detail": "bid 3 of 1.5e-3 kW"},
        {"tick": 7, "kind": "rejected", "source": "lam-1", "detail": "bid 12 of -2 kW"},
        {"tick": 7, "kind": "rejected", "source": "lam-2", "detail": "bid 12 of -2 kW"},
        {"kind": "note"},
    ]
    found = incidents(day.intervals, events, labels)
    assert found[0] == Incident("", "", 1, "note", "", "")
    assert found[1] == Incident(
        "2024-06-21 00:00", "2024-06-21 01:45", 2, "rejected", "lam-1", "bid 3 of 1.5e-3 kW"
    )
    assert found[2].source == "lam-2"
    assert [(each.what, each.times) for each in found[3:]] == [("unconfirmed", 2)]


def test_binding_limits_are_named_the_dearest_first():
    limits = pd.DataFrame(
        {
            "tick": [0, 1, 1, 1],
            "row": ["9.1", "9.1", "line.l1 +150", "line.l1 +0"],
            "kind": ["voltage", "voltage", "congestion", "congestion"],
            "limit": [1.05, 1.05, -100.0, 100.0],
            "price": [200.0, 400.0, -900.0, 50.0],
        }
    )
    first, second = binding_limits(limits, {0: "00:00", 1: "00:15"})
    assert first == Binding("line.l1", "congestion", "100 % of rating", 1, "00:15", "00:15", "950")
    assert second == Binding("9.1", "voltage", "1.05 pu", 2, "00:00", "00:15", "300")


def test_devices_are_listed_the_worst_first():
    devices = pd.DataFrame(
        {
            "tick": [0, 0, 0, 0, 1],
            "prosumer": ["a", "a", "b", "b", "b"],
            "phase": ["measure", "meter", "measure", "meter", "meter"],
            "quality": ["good", "good", "good", "held", "missing"],
            "acknowledged": [None, True, None, False, None],
            "battery_kw": [1.0, 1.0, None, None, None],
            "battery_set_point_kw": [None, 1.5, None, None, None],
            "soc": [0.3, 0.4, None, None, None],
        }
    )
    first, second = device_lines(devices)
    assert first == DeviceLine("b", 3, "1 held, 1 missing", 1, 1, "", "")
    assert second == DeviceLine("a", 2, "", 1, 0, "0.500", "40%")


def test_keys_that_differ_are_shown_with_both_values():
    here = {"run": {"seed": 5, "start": "x"}, "market": {"price": [0.1] * 23 + [0.3]}, "events": [{}] * 9}
    there = {"run": {"seed": 1, "start": "x"}, "market": {"price": 0.2}}
    assert changed_keys(here, there) == [
        ChangedKey("events", "9 entries", "–"),
        ChangedKey("market.price", "24 values, 0.1 to 0.3", "0.2"),
        ChangedKey("run.seed", "5", "1"),
    ]


def test_key_figures_ask_for_attention_where_needed(day):
    bad = {figure.label for figure in key_figures(day.summary) if not figure.good}
    assert "confirmed by AC power flow" in bad
    assert "ledger" not in bad
    wrong = msgspec.structs.replace(day.summary.settlement, sum_micro=3)
    summary = msgspec.structs.replace(day.summary, settlement=wrong)
    assert "ledger" in {figure.label for figure in key_figures(summary) if not figure.good}


def test_a_long_run_is_condensed(day, tmp_path, monkeypatch):
    monkeypatch.setattr("cosim.report.page.MOST_POINTS", 50)
    monkeypatch.setattr("cosim.report.map.MOST_FRAMES", 20)
    content = embedded(write_report(day, tmp_path / "long.html").read_text())
    bars = {trace["name"]: trace for trace in content["figures"]["energy"]["data"]}
    assert len(bars["inside LAMs"]["x"]) == 48
    assert sum(bars["inside LAMs"]["y"]) == pytest.approx(day.intervals["traded_lam_kwh"].sum(), abs=1e-3)
    assert content["figures"]["energy"]["layout"]["yaxis"]["title"]["text"] == "kWh per 30 min"
    assert len(content["map"]["frames"]) == 20


def test_a_feeder_without_coordinates_is_drawn_from_its_head(tmp_path):
    path = write_day(tmp_path / "tree", intervals=2)
    nowhere = FeederMap(buses={}, segments=[("1", "2"), ("2", "3")], lams=["2", "3", "4"], source="1")
    (path / "feeder_map.json").write_bytes(msgspec.json.encode(nowhere))
    drawn = embedded(report_command(path).read_text())["map"]["layout"]
    assert dict(zip(drawn["bus"], drawn["x"], strict=True)) == {"1": 0.0, "2": 1.0, "3": 2.0}
    (path / "feeder_map.json").write_bytes(msgspec.json.encode(FeederMap(buses={}, segments=[], lams=[])))
    assert "There is no map" in text_of(report_command(path).read_text())


def test_a_run_that_did_nothing_still_has_a_report(tmp_path):
    path = write_day(tmp_path / "nothing", intervals=0)
    text = text_of(report_command(path).read_text())
    assert "no interval was completed" in text
    assert "0 / 0" in text
    assert "There is no map" in text


def test_tables_with_holes_are_shown_as_holes(tmp_path):
    path = write_day(tmp_path / "run", intervals=4)
    settled = json.loads((path / "summary.json").read_text())
    with RunWriter.resume(path, ticks=[0, 1]) as writer:
        writer.append(
            "intervals", {"tick": 2, "status": "held", "time": datetime(2024, 6, 20, 22, 30, tzinfo=UTC)}
        )
        writer.append("lams", {"tick": 2, "lam": ["2", "3", "4"]})
    settled["intervals"]["settled"] = 3
    (path / "summary.json").write_text(json.dumps(settled))
    content = embedded(write_report(load(path)).read_text())
    curves = {trace["name"]: trace for trace in content["figures"]["prices"]["data"]}
    assert curves["energy price at the feeder head"]["y"][2] is None
    assert curves["DLMPs, lowest"]["y"][2] is None
    saved = {trace["name"]: trace for trace in content["figures"]["savings"]["data"]}
    assert [saved["market"]["y"][at] is None for at in (1, 2)] == [False, True]
    assert set(content["map"]["state"]["node_v_pu"]["steps"][2]) <= {None}
    assert content["map"]["prices"]["wam_price"]["steps"][2] == [None, None, None]


def test_a_run_without_summary_says_so(tmp_path):
    RunWriter(tmp_path / "killed").close()
    with pytest.raises(ResultsError, match=r"summary\.json: is missing"):
        report_command(tmp_path / "killed")


def test_another_run_stands_beside_it_in_figures_and_in_a_table(tmp_path):
    here, there = write_day(tmp_path / "here"), write_day(tmp_path / "there", seed=6)
    here, there = (load(tmp_path / name) for name in ("here", "there"))
    page = write_report(here, other=there).read_text(encoding="utf-8")
    assert "<h2>Beside sunny-day</h2>" in page
    for name in ("both_prices", "both_voltages", "both_loadings", "both_outside"):
        assert f'data-figure="{name}"' in page
        assert name in embedded(page)["figures"]
    assert "Both ran the same scenario." in page
    shown = {row.name: row for row in compare(here, there, 100).rows}
    assert shown["confirmed intervals"][1:] == ("94", "94")
    assert shown["highest voltage, pu"].here != shown["highest voltage, pu"].there
    assert "Beside" not in write_report(here).read_text(encoding="utf-8")


def test_runs_of_other_intervals_are_not_put_beside_each_other(tmp_path):
    write_day(tmp_path / "whole")
    write_day(tmp_path / "later")
    here, there = load(tmp_path / "whole"), load(tmp_path / "later")
    wrong = msgspec.structs.replace(there.summary.time, interval_min=30.0)
    there.__dict__["summary"] = msgspec.structs.replace(there.summary, time=wrong)
    with pytest.raises(ResultsError, match=r"interval_min is 30\.0, not 15\.0 as in the run beside it"):
        write_report(here, other=there)


def test_what_happened_to_the_feeder_stands_at_its_time():
    events = [
        {"tick": 3, "kind": "event", "detail": "line l67 is out"},
        {"tick": 3, "kind": "flag", "detail": "other"},
        {"tick": 2, "kind": "event", "detail": "the source's voltage is 1.02 pu"},
    ]
    times = {0: "00:00", 1: "00:30"}
    assert happened(events, times, 2) == [("00:30", "line l67 is out; the source's voltage is 1.02 pu")]
