"""The view model of a run that goes on: what each message changes, and that it stays bounded."""

import msgspec
import numpy as np
import pytest

from broker.messages import (
    Acknowledgement,
    Availability,
    DeviceSetPoint,
    DeviceState,
    DeviceStop,
    Done,
    Exchange,
    Facts,
    FeederMap,
    FeederReply,
    FeederState,
    HorizonProof,
    LiveDevice,
    LiveProsumerFacts,
    Outlook,
    PacingState,
    RunFacts,
    SetPoint,
    Step,
    Stop,
    Stopped,
    Telemetry,
    WamOutcome,
    WamPrice,
    columns,
)
from cosim.map.drawing import Drawing
from cosim.map.tree import tree_places
from cosim.view.live import LiveModel
from cosim.view.panels import MOST_DEVICES

MAP = FeederMap(
    buses={"head": (0.0, 0.0), "mid": (1.0, 0.0), "end": (2.0, 0.0)},
    segments=[("head", "mid"), ("mid", "end"), ("mid", "gone")],
    lams=["mid", "end"],
    base_kv={"head.1": 2.4, "mid.1": 2.4, "mid.2": 2.4, "end.1": 2.4},
    elements=["line.a", "line.b", "line.c"],
    source="head",
    limits_pu=[(0.95, 1.05)] * 4,
    branches=["line.a.1", "line.a.2", "line.b.1", "transformer.t.1"],
)
FACTS = RunFacts(
    start=1718920800.0,  # 2024-06-21 00:00 in Berlin
    time_zone="Europe/Berlin",
    interval_s=900.0,
    intervals=96,
    prosumers=3,
    lams=["mid", "end"],
    members=[1, 2],
    map=MAP,
    live=[
        LiveProsumerFacts(prosumer="p1", name="Mill", lam=0, devices=[LiveDevice(device="battery")]),
        LiveProsumerFacts(prosumer="p2", name="", lam=1, devices=[LiveDevice(device="pv", real=True)]),
    ],
)


def header(sender, tick=-1, **more):
    return {"run": "r", "sender": sender, "tick": tick, "seq": 0, **more}


def step(name, tick=5, **more):
    times = {"opened": 1000.0, "deadline": 1010.0, "interval_s": 900.0, **more}
    return Step(**header("clock", tick), step=name, **times)


def reading(quality="good", **more):
    values = dict.fromkeys(("p_kw", "q_kvar", "v_pu", "import_kwh", "export_kwh")) | more
    return Telemetry(**header("gateway-0", 5), phase="measure", quality=quality, **values)


@pytest.fixture
def model():
    made = LiveModel("r", clock=lambda: 1005.0)
    made.take(Facts(**header("recorder"), content=FACTS.packed()), "facts")
    return made


def state(v_pu, loading, **more):
    values = {"lam_kw": columns.pack([1.0, 2.0]), "lam_kvar": columns.pack([0.0, 0.0])}
    values |= {"source_kw": 3.1, "source_kvar": 0.0, "losses_kw": 0.1, "tap_changes": 0}
    values |= {"violations": [], "estimated": [], "lam_v_pu": columns.pack([1.0, 1.0])} | more
    return FeederState(
        **header("feeder", 5), solved=True, v_pu=columns.pack(v_pu), loading=columns.pack(loading), **values
    )


def outcome(tick=5, price=(0.1, 0.2)):
    parts = {"energy": [0.1, 0.1], "loss": [0.0, 0.01], "voltage": [0.0, 0.09], "congestion": [0.0, 0.0]}
    limit = {"row_name": ["end.1"], "row_kind": ["voltage"], "row_limit": [0.95], "row_value": [0.95]}
    return WamOutcome(
        **header("wam", tick), **parts, **limit, row_dual=[-4.0], status="confirmed", round=1, rounds=2,
        net_kw=[1.0, -1.0], price=list(price), energy_price=0.1, grid_kw=0.0, linear_error_pu=1e-6,
        violations=[], flags=[], fallbacks=[], clear_s=0.1, confirm_s=0.1,
        exchange=Exchange(rounds=3, messages=4, bytes=5),
    )  # fmt: skip


def test_nothing_is_shown_before_the_run_says_what_it_is():
    model = LiveModel("r")
    assert set(model.changed()) == set(model.names)
    model.take(Facts(**header("recorder"), content=b"nonsense"), "facts")
    assert model.facts is None
    assert model.panel("layout").bus == []
    assert all(msgspec.json.encode(model.panel(name)) for name in model.names)


def test_time_is_the_feeders_and_an_interval_ends_where_its_pace_says(model):
    model.changed()
    model.take(step("measure", pace=60.0, lag_s=2.0), "step")
    model.take(step("bid", pace=60.0, opened=1003.0), "step")
    run = model.panel("run")
    assert (run.label, run.date, run.step) == ("01:15", "Fri 21 June 2024", "bid")
    assert run.ends == pytest.approx(1000.0 - 2.0 + 15.0)
    assert set(model.changed()) == {"run", "services"}
    model.take(PacingState(**header("clock"), is_paused=True, pace=None), "pacing")
    assert (model.panel("run").is_paused, model.panel("run").pace) == (True, None)
    model.take(step("end", tick=96), "step")
    assert model.panel("run").is_over


def test_a_bus_shows_its_worst_phase_and_what_has_no_source_shows_none(model):
    model.take(state([1.0, 1.07, 0.94, 0.0], [0.5, 0.9, 1.2, 0.3]), "state")
    shown = model.panel("map")
    assert shown.v_pu == [1.0, 1.07, None]
    assert shown.side == [0, 1, 0]
    assert shown.loading == [0.9, 1.2]
    assert (shown.v_min_pu, shown.v_max_pu, shown.max_loading) == (0.94, 1.07, 1.2)
    assert model.panel("series").values["losses_kw"] == [0.1]


def test_prices_limits_and_convergence_are_those_of_the_clearing(model):
    for number, price in enumerate(([0.1, 0.1], [0.1, 0.13], [0.1, 0.2])):
        model.take(WamPrice(**header("wam", 5), round=number, price=price), "price")
    reply = {"solved": True, "source_kw": 1.0, "severity": 0.0, "model": None, "seconds": 0.2}
    for number, error in enumerate((None, 1e-6)):
        model.take(
            FeederReply(
                **header("feeder", 5), round=number, confirmed=error is not None, linear_error_pu=error,
                violations=[] if error else ["end.1 at 0.94 pu"], **reply,
            ),
            "reply",
        )  # fmt: skip
    clearing = model.panel("clearing")
    assert [(each.number, each.is_confirmed) for each in clearing.rounds] == [(0, False), (1, True)]
    assert clearing.bid_change == pytest.approx([0.03, 0.07])
    assert clearing.status == ""
    model.take(outcome(), "outcome")
    prices = model.panel("prices")
    assert prices.wam_price == [0.1, 0.2]
    assert [(each.row, each.limit, each.price) for each in prices.limits] == [("end.1", 0.95, -4.0)]
    series = model.panel("series").values
    assert (series["wam_least"], series["wam_most"], series["voltage"]) == ([0.1], [0.2], [0.045])
    model.take(WamPrice(**header("wam", 6), round=0, price=[0.1, 0.1]), "price")
    assert model.panel("clearing").rounds == []


def test_devices_show_reading_set_point_and_answer_and_troubled_ones_come_first(model):
    battery = DeviceState(device="battery", p_kw=1.5, min_kw=-3.0, max_kw=3.0, soc=0.4)
    model.take(reading(p_kw=-1.0, devices=[battery]), "p1")
    asked = [DeviceSetPoint(device="battery", power_kw=2.0)]
    model.take(SetPoint(**header("live-0", 5), valid_s=1800.0, devices=asked), "p1")
    model.take(Acknowledgement(**header("gateway-0", 5), ok=True), "p1")
    model.take(reading("missing"), "p2")
    panel = model.panel("devices")
    assert panel.counts == {"good": 1, "missing": 1}
    assert [row.prosumer for row in panel.rows] == ["p2", "p1"]
    mill = panel.rows[1]
    assert (mill.name, mill.lam, mill.p_kw, mill.acknowledged) == ("Mill", "mid", -1.0, True)
    assert (mill.devices[0].p_kw, mill.devices[0].set_kw, mill.devices[0].soc) == (1.5, 2.0, 0.4)
    assert [row.prosumer for row in model.find_devices("mil")] == ["p1"]
    assert "p2 does not answer" in [row.text for row in model.panel("flags").rows]


def test_a_stop_shows_who_asked_and_what_became_of_each_device(model):
    model.take(Stop(**header("operator-1"), reason="smoke"), "operator-1")
    assert (model.panel("stop").is_asked, model.panel("stop").is_answered) == (True, False)
    each = [
        DeviceStop(prosumer="p1", device="battery", state="safe"),
        DeviceStop(prosumer="p2", device="pv", state="not yet", detail="no answer"),
    ]
    answer = {"by": "operator-1", "reason": "smoke", "devices": 2, "observed": 0, "failed": ["pv of p2"]}
    model.take(Stopped(**header("gateway-0"), safe=1, each=each, **answer), "gateway-0")
    stop = model.panel("stop")
    assert (stop.safe, stop.is_answered, stop.asked_at) == (1, True, 1005.0)
    assert [one.prosumer for one in stop.each] == ["p2", "p1"]
    assert [row.prosumer for row in model.panel("devices").rows] == ["p2", "p1"]


def test_who_has_not_reported_in_the_open_step_is_waited_for(model):
    for name in ("wam", "lams-0"):
        model.take(Availability(**header(name), online=True), name)
    for tick in (4, 5):
        model.take(step("clear", tick), "step")
        model.take(Done(**header("wam", tick), step="clear"), "wam")
        if tick == 4:
            model.take(Done(**header("lams-0", tick), step="clear", flags=["late"]), "lams-0")
    assert model.panel("run").waiting == ["lams-0"]
    rows = {row.name: row for row in model.panel("services").rows}
    assert (rows["lams-0"].flags, rows["lams-0"].tick, rows["wam"].tick) == (1, 4, 5)


def test_a_year_of_intervals_and_many_devices_stay_bounded(model):
    for tick in range(5000):
        model.take(outcome(tick, price=(0.1, float(tick % 7))), "outcome")
    series = model.panel("series")
    assert len(series.ticks) <= 600
    assert max(series.values["wam_most"]) == 6.0
    for number in range(1000):
        model.take(reading(), f"x{number}")
    panel = model.panel("devices")
    assert (panel.total, len(panel.rows)) == (1002, MOST_DEVICES)
    assert len(msgspec.json.encode(panel)) < 200_000


def test_buses_without_coordinates_are_drawn_as_a_tree():
    segments = [("head", "a"), ("a", "b"), ("b", "c"), ("a", "d"), ("x", "y"), ("c", "a")]
    places = tree_places(segments, "head")
    assert places["head"] == (0.0, -0.0)
    assert len(set(places.values())) == len(places) == 7
    assert places["a"][1] == places["head"][1]
    drawing = Drawing(msgspec.structs.replace(MAP, buses={}), ["mid", "end"], [1, 2])
    assert drawing.layout.bus == ["head", "mid", "end", "gone"]
    worst, _ = drawing.voltages(np.array([1.0, 1.0, 0.9, 1.0]))
    assert worst == [1.0, 0.9, 1.0, None]


def test_intervals_to_come_are_those_of_the_clearing_over_the_horizon(model):
    assert model.panel("ahead").tick == -1
    model.changed()
    price = [[0.10, 0.20, 0.30], [0.12, 0.18, 0.36]]
    fields = {"loss": [[1e-3] * 3, [3e-3] * 3], "voltage": [[0.0] * 3] * 2, "congestion": [[0.0] * 3] * 2}
    fields |= {"price": price, "net_kw": [[1.0] * 3] * 2}
    by_store = ("state_kwh", "energy_value", "store_gain")
    outlook = Outlook(
        **header("market", 95),
        ahead=3,
        energy_price=[0.11, 0.19, 0.33],
        grid_kw=[2.0, 3.0, 4.0],
        **{name: columns.pack(np.array(values)) for name, values in fields.items()},
        store=columns.pack_index([0, 2, 2]),
        store_kind=["battery", "battery", "vehicle"],
        **{name: columns.pack(np.ones(3)) for name in by_store},
        stored_kwh=[5.0, 6.0, 7.0, 8.0],
        shortfall_kwh=0.0,
        proof=HorizonProof(energy_kwh=0.0, value_error=0.0, store_gain=0.0, duality_gap=0.0),
        beyond=[],
        notes=["a horizon of 3 intervals in place of 9: the data end there"],
        iterations=4,
        seconds=0.1,
    )
    model.take(outlook, "outlook")
    panel = model.changed()["ahead"]
    assert (panel.tick, panel.ticks, panel.labels) == (95, [95, 96, 97], ["23:45", "00:00", "00:15"])
    assert panel.dates[1:] == ["Sat 22 June 2024"] * 2
    assert panel.values["energy_price"] == [0.11, 0.19, 0.33]
    assert (panel.values["price_least"], panel.values["price_most"]) == (
        [0.10, 0.18, 0.30],
        [0.12, 0.20, 0.36],
    )
    assert panel.values["loss"] == [2e-3] * 3
    assert (panel.values["grid_kw"], panel.values["stored_kwh"]) == ([2.0, 3.0, 4.0], [5.0, 6.0, 7.0])
    assert (panel.stores, panel.certified, panel.note) == (3, True, outlook.notes[0])
    empty = dict.fromkeys((*fields, "store", *by_store), b"") | {
        "energy_price": [],
        "grid_kw": [],
        "stored_kwh": [],
    }
    nothing = msgspec.structs.replace(outlook, tick=96, ahead=0, proof=None, notes=["no horizon"], **empty)
    model.take(nothing, "outlook")
    panel = model.panel("ahead")
    assert (panel.tick, panel.ticks, panel.certified, panel.note) == (96, [], None, "no horizon")
