"""The report of a made-up but plausible day, and of runs that went wrong."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import numpy as np
import plotly.graph_objects as go
import pytest

from broker.messages import Traffic
from cosim.control.pacing import Lag
from cosim.recording.summary import RunRecord, build_summary
from cosim.report.comparison import compare
from cosim.report.map import map_data
from cosim.report.page import MOST_EVENTS, happened, incidents, key_figures, report_command, write_report
from cosim.results import FeederMap, ResultsError, RunWriter, load
from cosim.results.booking import GridTrade, LamTrades, ProsumerTrades, book_interval
from cosim.results.entries import account_names
from cosim.results.ledger import Ledger
from cosim.results.provenance import provenance

LOCAL = timezone(timedelta(hours=2))
SMALL = FeederMap(
    buses={"1": (0.0, 0.0), "2": (1.0, 0.4), "3": (2.0, 0.1), "4": (2.0, 1.3)},
    segments=[("1", "2"), ("2", "3"), ("2", "4"), ("4", "nowhere")],
    lams=["2", "3", "4"],
)


def write_day(path, drawing=SMALL, *, intervals=96, phases=("1", "2", "3"), seed=5, prosumers_per_lam=4):
    """A sunny day: imports at night and in the evening, exports at noon, a voltage limit that binds then."""
    draw = np.random.default_rng(seed)
    lams, nodes = list(drawing.lams), [f"{bus}.{phase}" for bus in drawing.buses for phase in phases]
    far = np.array([np.hypot(*drawing.buses[node.rpartition(".")[0]]) for node in nodes])
    far = far / far.max()
    size, share = len(lams), draw.uniform(0.5, 2.0, len(lams))
    lam = np.repeat(np.arange(size), prosumers_per_lam)
    names = [f"p{at:05d}" for at in range(lam.size)]
    writer = RunWriter(path)
    writer.scenario("[run]\nseed = 5\n")
    writer.feeder_map(drawing)
    ledger = Ledger.create(path / "ledger.sqlite", account_names(names, lams), run="sunny-day")
    first = datetime(2024, 6, 21, tzinfo=LOCAL)
    for tick in range(intervals):
        hour = 24 * tick / intervals
        sun = max(0.0, np.sin((hour - 5.2) / 16 * np.pi)) ** 1.4 * (1 - 0.25 * draw.random())
        load = (
            0.45 + 0.2 * np.exp(-(((hour - 7.5) / 1.6) ** 2)) + 0.55 * np.exp(-(((hour - 19.5) / 2.4) ** 2))
        )
        net = 60 * share / share.mean() * (load - 1.25 * sun * draw.uniform(0.7, 1.3, size))
        energy = 0.145 + 0.075 * np.tanh(net.sum() / (22 * size)) + 0.003 * draw.normal()
        binds = sun > 0.72
        loss = 0.004 * share * np.sign(net.sum()) * abs(load - sun)
        voltage = -0.03 * share * (sun - 0.72) if binds else np.zeros(size)
        dlmp = energy + loss + voltage
        local = dlmp + 0.004 * draw.normal(size=size)
        volts = 1.0 + far * (0.062 * sun - 0.055 * load) + 0.004 * draw.normal(size=len(nodes))
        trade_kw = draw.normal(0, 2, lam.size)
        net_of_trades = np.bincount(lam, trade_kw, size)
        booking = book_interval(
            0.25,
            ProsumerTrades(
                lam=lam,
                trade_kw=trade_kw,
                trade_price=local[lam],
                metered_kwh=trade_kw * 0.25 + draw.normal(0, 0.03, lam.size),
                short_price=np.full(lam.size, 0.34),
                long_price=np.full(lam.size, 0.07),
            ),
            LamTrades(net_kw=net_of_trades, wam_price=dlmp, alone=np.zeros(size, dtype=bool)),
            GridTrade(
                scheduled_kw=net_of_trades.sum() * 1.02,
                actual_kw=net_of_trades.sum() * 1.02 + draw.normal(),
                import_price=0.22,
                export_price=0.07,
            ),
        )
        ledger.post(tick, booking)
        scheduled = net.sum() * (1 + 0.02 * np.sign(net.sum()))
        possible = size * (0.02 + 0.09 * sun + 0.03 * load)
        bad = tick in (intervals // 2, intervals // 2 + 1)
        base = 0.22 * max(scheduled, 0) * 0.25 - 0.07 * max(-scheduled, 0) * 0.25 + 0.1 * size
        moment = first + timedelta(minutes=15 * tick)
        writer.append(
            "intervals",
            {
                "tick": tick,
                "time": moment.astimezone(UTC),
                "time_local": moment.isoformat(),
                "status": "unconfirmed" if bad else "confirmed",
                "flags": int(bad),
                "rounds": 3 if binds else 2,
                "certified": not bad,
                "duality_gap": 1e-12 if not bad else 0.3,
                **{
                    f"{cause}_rent_usd": amount
                    for cause, amount in (("loss", 0.4), ("voltage", -0.3 * binds))
                },
                "wam_fees_usd": 0.2,
                "energy_price": energy,
                "import_price": 0.22,
                "export_price": 0.07,
                "retail_price": 0.34 if 7 <= hour < 22 else 0.27,
                "feed_in_price": 0.07,
                "grid_scheduled_kw": scheduled,
                "grid_actual_kw": scheduled + 0.01 * abs(scheduled) * draw.normal(),
                "losses_kw": 0.02 * abs(scheduled),
                "v_min_pu": volts.min(),
                "v_max_pu": volts.max(),
                "max_loading": 0.4 + 0.5 * sun,
                "linear_error_pu": 10 ** draw.uniform(-8.5, -5.5),
                "binding_rows": int(binds),
                "violations": int(bad),
                "traded_lam_kwh": size * (2 + 6 * sun + 2 * load) * 0.25,
                "traded_wam_kwh": size * (1 + 5 * sun) * 0.25,
                "imbalance_kwh": 0.4 * size * 0.25,
                "cost_no_sharing": base + possible,
                "cost_lam_only": base + possible * 0.55,
                "cost_market": base + possible * 0.02,
                "cost_optimum": base,
                "efficiency": None if binds else 0.98,
                **{f"{step}_s": draw.uniform(0.01, 0.06) for step in ("measure", "bid", "act", "meter")},
                "clear_s": 0.12,
                "dispatch_s": 0.05,
                "settle_s": 0.08,
                "interval_s": 0.4,
                **{
                    key: getattr(booking, key)
                    for key in (
                        "imbalance_usd",
                        "uplift_usd",
                        "lam_surplus_usd",
                        "wam_surplus_usd",
                        "rounding_micro",
                    )
                },
            },
        )
        writer.append(
            "lams",
            {"tick": tick, "lam": lams, "net_kw": net, "price": local, "wam_price": dlmp, "energy": energy}
            | {"loss": loss, "voltage": voltage, "congestion": 0.0, "alone": False},
        )
        writer.append("nodes", {"tick": tick, "node": nodes, "v_pu": volts})
        if bad:
            detail = f"voltage {nodes[-1]}: 1.0507 pu above 1.05 <b>pu</b>"
            writer.event({"tick": tick, "kind": "flag", "source": "wam", "detail": detail})
    writer.append("prosumers", {"prosumer": names, "saving_usd": draw.gamma(2.0, 0.4, lam.size)})
    record = RunRecord(
        run_id="sunny-day",
        feeder="IEEE 123-node feeder",
        prosumers=11250,
        lams=size,
        live_devices=117,
        planned=intervals,
        interval_h=0.25,
        bidding="curve",
        nodes=12,
        voltage_limits_pu=(0.95, 1.05),
        entries=ledger.entries(),
        sum_micro=ledger.sum_micro(),
        traffic=[Traffic(sent=91_334, received=152_201, modbus_reads=22_464, modbus_writes=11_232)],
        total_s=41.3,
        lag=Lag(),
        origin=provenance(seed=5, broker="embedded amqtt at 127.0.0.1:41883"),
    )
    summary = build_summary(writer.table("intervals"), writer.table("prosumers"), record)
    ledger.close()
    writer.finish(summary)
    return path


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    return load(write_day(tmp_path_factory.mktemp("report") / "day"))


@pytest.fixture(scope="module")
def page(day):
    return write_report(day).read_text()


def embedded(page):
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1]
    )


def text_of(page):
    """What the page says, without scripts and styles."""
    return re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)


def test_the_page_needs_no_network(page):
    body = re.sub(r"<script>/\*\*\n\* plotly.js.*?</script>", "", page, count=1, flags=re.DOTALL)
    assert len(body) < 0.2 * len(page)
    assert not re.search(r"(src|href)\s*=|@import|url\(|https?://", body)


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


def test_the_map_shows_every_bus_and_interval(day, page):
    shown = embedded(page)["map"]
    assert shown["bus"] == ["1", "2", "3", "4"]
    assert shown["segments"] == [[0, 1], [1, 2], [1, 3]]
    assert len(shown["frames"]) == 96
    excess = np.maximum(0.95 - day.intervals["v_min_pu"], day.intervals["v_max_pu"] - 1.05)
    assert shown["start"] == int(excess.argmax())
    nodes = day.nodes[day.nodes["tick"] == 40].set_index("node")["v_pu"]
    for bus, phase, value in zip(
        shown["voltage"]["bus"], shown["voltage"]["phase"], shown["voltage"]["frames"][40], strict=True
    ):
        assert value == pytest.approx(nodes[f"{shown['bus'][bus]}.{phase}"], abs=1e-5)
    dlmp = shown["layers"][0]
    assert [shown["bus"][at] for at in dlmp["bus"]] == dlmp["lam"] == ["2", "3", "4"]
    lams = day.lams[day.lams["tick"] == 40]
    assert dlmp["frames"][40] == pytest.approx((lams["wam_price"] - lams["energy"]).tolist(), abs=1e-6)
    assert dlmp["base"][40] == pytest.approx(lams["energy"].iloc[0], abs=1e-6)
    assert shown["layers"][2]["frames"][40] == pytest.approx(lams["net_kw"].tolist(), abs=1e-6)


def test_what_went_wrong_is_on_the_page_and_escaped(page):
    text = text_of(page)
    assert "94 / 96" in text
    assert text.count("<strong>check</strong>") >= 2
    assert "the dispatch was not confirmed by AC power flow" in text
    assert "1.0507 pu above 1.05 &lt;b&gt;pu&lt;/b&gt;" in text


def test_settlement_sums_to_zero_on_the_page(page):
    last = re.search(r'<tr class="sum">(.*?)</tr>', page, re.DOTALL)[1]
    cells = re.findall(r"<td>(.*?)</td>", last)
    assert len(cells) == 7
    assert set(cells) <= {"0.000000", ""}
    assert cells[-1] == "0.000000"


def test_payments_of_the_page_are_those_of_the_ledger(day, page):
    cells = dict(re.findall(r"<tr><th>([\w ]+ → [\w ]+)</th><td>([\d,.]+) \$</td>", text_of(page)))
    paid = {name: float(amount.replace(",", "")) for name, amount in cells.items()}
    with Ledger.open(day.path / "ledger.sqlite") as ledger:
        balances = ledger.balances_by_party()
        turnover = ledger.turnover_by_party()
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


def test_embedded_data_cannot_end_its_script(page):
    raw = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1]
    assert "<" not in raw
    assert json.loads(raw)["map"] is not None


def test_incidents_are_listed_up_to_a_bound(day):
    labels = {0: "2024-06-21 00:00"}
    events = [{"tick": 0, "kind": "rejected", "detail": f"bid {at}"} for at in range(MOST_EVENTS + 3)]
    found = incidents(day.intervals, [*events, {"kind": "note"}], labels)
    assert len(found) == MOST_EVENTS + 3 + 1 + 2
    assert found[0] == {"when": "", "what": "note", "source": "", "detail": ""}
    assert found[1] == {"when": "2024-06-21 00:00", "what": "rejected", "source": "", "detail": "bid 0"}


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


def test_a_feeder_without_coordinates_has_no_map(day):
    nowhere = FeederMap(buses={}, segments=[("1", "2")], lams=["2", "3", "4"])
    assert map_data(nowhere, day.intervals, day.lams, day.nodes, {}, [0.95, 1.05]) is None


def test_a_run_that_did_nothing_still_has_a_report(tmp_path):
    path = write_day(tmp_path / "nothing", intervals=0)
    text = text_of(report_command(path).read_text())
    assert "no interval was completed" in text
    assert "0 / 0" in text
    assert "There is no map" in text


def test_tables_with_holes_are_shown_as_holes(tmp_path):
    path = write_day(tmp_path / "run", intervals=4)
    with RunWriter.resume(path, ticks=[0, 1]) as writer:
        writer.append(
            "intervals", {"tick": 2, "status": "held", "time": datetime(2024, 6, 20, 22, 30, tzinfo=UTC)}
        )
    content = embedded(write_report(load(path)).read_text())
    curves = {trace["name"]: trace for trace in content["figures"]["prices"]["data"]}
    assert curves["energy price at the feeder head"]["y"][2] is None
    assert curves["DLMPs, lowest"]["y"][2] is None
    saved = {trace["name"]: trace for trace in content["figures"]["savings"]["data"]}
    assert [saved["market"]["y"][at] is None for at in (1, 2)] == [False, True]
    assert set(content["map"]["voltage"]["frames"][2]) == {None}
    assert content["map"]["layers"][0]["frames"][2] == [None, None, None]


def test_a_run_without_summary_says_so(tmp_path):
    RunWriter(tmp_path / "killed").close()
    with pytest.raises(ResultsError, match=r"summary\.json: is missing"):
        report_command(tmp_path / "killed")


def test_another_run_stands_beside_it_in_figures_and_in_a_table(tmp_path):
    here, there = write_day(tmp_path / "here"), write_day(tmp_path / "there", seed=6)
    here, there = (load(tmp_path / name) for name in ("here", "there"))
    page = write_report(here, other=there).read_text(encoding="utf-8")
    assert "<h2>Beside sunny-day</h2>" in page
    for name in ("both_voltages", "both_loadings", "both_outside"):
        assert f'data-figure="{name}"' in page
        assert f'"{name}":' in page
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
