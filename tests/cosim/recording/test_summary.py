"""Figures of a run by hand, and what stands out in the terminal."""

import io
import json

import msgspec
import numpy as np
import pandas as pd
import pytest
from msgspec.structs import asdict
from rich.console import Console

from broker.messages import Traffic
from cosim.control.pacing import Lag
from cosim.report.key_figures import key_figures
from cosim.results.columns import INTERVALS
from cosim.results.economics import cost_figures
from cosim.results.figures import CERTIFICATE, CertificateCounts, VoltageRange
from cosim.results.network import network_figures
from cosim.results.provenance import provenance
from cosim.results.summarising import RunRecord, build_summary
from cosim.results.summary import Summary, meanings, read_summary, write_summary
from cosim.results.summary_table import short, summary_table


def table(**columns):
    rows = len(next(iter(columns.values())))
    frame = pd.DataFrame({column.name: [None] * rows for column in INTERVALS}, dtype=float)
    return frame.assign(tick=range(rows), **columns)


def three_intervals():
    return table(
        time_local=["2024-06-21T00:00+02:00", "2024-06-21T00:15+02:00", "2024-06-21T00:30+02:00"],
        status=["confirmed", "confirmed", "held"],
        flags=[0, 0, 2],
        rounds=[2, 2, 3],
        v_min_pu=[0.97, 0.96, np.nan],
        v_max_pu=[1.01, 1.02, np.nan],
        violations=[0, 0, 1],
        linear_error_pu=[1e-8, 3e-8, np.nan],
        grid_actual_kw=[400.0, -100.0, 200.0],
        grid_scheduled_kw=[400.0, -80.0, 200.0],
        bought_kwh=[2.0, 4.0, 6.0],
        made_kwh=[10.0, 70.0, np.nan],
        saving_usd=[1.0, 2.0, np.nan],
        certified=[True, False, None],
        duality_gap=[1e-12, -0.5, np.nan],
        prosumer_gain=[0.0, 0.25, np.nan],
        lam_gain=[0.0, 0.0, np.nan],
        traded_lam_kwh=[1.0, 2.0, 3.0],
        cost_market=[8.0, 5.0, 9.0],
        cost_no_sharing=[10.0, 7.0, np.nan],
        cost_lam_only=[9.0, 6.0, 9.0],
        cost_single_layer=[6.5, 4.75, 9.0],
        cost_single_layer_network=[6.75, 4.75, 9.0],
        cost_optimum=[6.0, 4.5, 9.0],
        efficiency=[0.5, np.nan, np.nan],
        uplift_usd=[0.0, 0.25, 0.0],
        interval_s=[1.0, 2.0, 3.0],
        wam_bid_rounds=[2, 5, np.nan],
        lam_bid_rounds=[7, 30, np.nan],
        bid_messages=[100, 400, np.nan],
        bid_bytes=[800, 3200, np.nan],
    )


def prosumers(saving_usd=(3.0, 1.0, 0.0, -1.0)):
    return pd.DataFrame({"saving_usd": saving_usd}, dtype=float)


def record(**changes):
    usual = {
        "run_id": "r1",
        "feeder": "IEEE 123",
        "prosumers": 11250,
        "lams": 85,
        "live_devices": 85,
        "planned": 3,
        "interval_h": 0.25,
        "bidding": "plain",
        "voltage_limits_pu": (0.95, 1.05),
        "nodes": 10,
        "entries": 600,
        "sum_micro": 0,
        "traffic": [Traffic(sent=5, received=4, gaps=1, modbus_reads=7), Traffic(sent=2, received=3)],
        "total_s": 6.5,
        "lag": Lag(worst_s=1.5, overruns=2),
        "origin": provenance(seed=1, broker="mosquitto 2.0.11"),
    }
    return RunRecord(**(usual | changes))


def summarised(intervals, **changes):
    return build_summary(intervals, prosumers(), record(**changes))


def test_figures_by_hand():
    summary = summarised(three_intervals())
    assert asdict(summary.intervals) == {
        "planned": 3,
        "settled": 3,
        "cleared": 2,
        "confirmed": 2,
        "unconfirmed": 0,
        "held": 1,
        "flagged": 1,
    }
    assert asdict(summary.time) == {
        "first": "2024-06-21T00:00+02:00",
        "last": "2024-06-21T00:30+02:00",
        "interval_min": 15,
    }
    assert asdict(summary.voltage_pu) == {"min": 0.96, "max": 1.02, "lower": 0.95, "upper": 1.05}
    assert summary.ac.max_linear_error_pu == 3e-8
    written = json.loads(write_summary(summary))
    assert written["bidding"] == {
        "form": "plain",
        "wam_rounds": {"p50": 5.0, "max": 5.0},
        "lam_rounds": {"p50": 30.0, "max": 30.0},
        "messages": 500,
        "bytes": 4000,
    }
    assert summary.energy_kwh.imported == 150
    assert summary.energy_kwh.exported == 25
    assert summary.energy_kwh.lam == 6
    assert summary.settlement.uplift_usd == 0.25
    assert summary.messages.sent == 7
    assert summary.messages.gaps == 1
    assert summary.modbus.reads == 7
    assert asdict(summary.seconds.interval) == {"p50": 2.0, "p95": pytest.approx(2.9)}
    assert asdict(summary.seconds.bid) == {"p50": None, "p95": None}
    assert summary.max_loading is None
    assert read_summary(write_summary(summary)) == summary


def test_costs_are_summed_over_intervals_that_have_them_all():
    cost = cost_figures(three_intervals())
    assert (cost.market, cost.no_sharing, cost.lam_only, cost.optimum) == (13.0, 17.0, 15.0, 10.5)
    assert (cost.single_layer, cost.single_layer_network) == (11.25, 11.5)
    assert cost.intervals == 2


def test_efficiency_is_that_of_the_intervals_where_it_means_something():
    cost = cost_figures(three_intervals())
    assert cost.efficiency == pytest.approx((10 - 8) / (10 - 6))
    assert cost.efficiency_intervals == 1


def test_indicators_are_those_of_sums_over_the_run():
    kpis = summarised(three_intervals()).kpis
    assert kpis.price_of_anarchy == pytest.approx(13.0 / 10.5)
    imported, exported, made = 100.0, 20.0, 80.0
    assert kpis.self_sufficiency == pytest.approx(1 - imported / (imported + made - exported))
    assert kpis.self_consumption == pytest.approx(1 - exported / made)
    assert kpis.peak_to_average == pytest.approx(400.0 / (700.0 / 3))
    assert kpis.lam_internal_share == 0.5
    assert kpis.savings_jain == pytest.approx(9.0 / (4 * 11.0))
    assert kpis.savings_gini == pytest.approx((3 * 3.0 + 1.0 - 0.0 + 3 * 1.0) / (4 * 3.0))
    assert kpis.not_worse_share == 0.75


def test_savings_and_certificates_of_a_run():
    summary = summarised(three_intervals())
    assert summary.savings_usd.total == 3.0
    assert (summary.savings_usd.min, summary.savings_usd.median) == (-1.0, 0.5)
    assert summary.savings_usd.intervals == 2
    proof = summary.certificate
    assert (proof.intervals, proof.holds) == (2, 1)
    assert (proof.duality_gap, proof.prosumer_gain) == (0.5, 0.25)


def test_a_run_without_intervals_has_a_summary():
    summary = summarised(three_intervals().iloc[:0])
    assert summary.intervals.settled == 0
    assert summary.time.first is None
    assert summary.cost.market is None
    assert summary.cost.efficiency is None
    kpis = build_summary(three_intervals().iloc[:0], prosumers(()), record()).kpis
    assert set(asdict(kpis).values()) == {None}
    assert read_summary(write_summary(summary)) == summary


def shown(summary):
    console = Console(file=io.StringIO(), width=160, force_terminal=True, color_system="standard")
    console.print(summary_table(summary))
    return console.file.getvalue()


RED = "\x1b[1;31m"


def test_what_went_wrong_stands_first_and_in_red():
    lines = [line for line in shown(summarised(three_intervals())).splitlines() if "│" in line]
    assert [RED in line for line in lines] == [True] * 5 + [False] * (len(lines) - 5)
    assert "3 of 3 settled, 2 cleared, 2 confirmed" in lines[0]
    assert "in 1 intervals" in lines[1]
    assert "1 of the network's limits" in lines[2]
    assert "holds in 1 of 2 intervals" in lines[3]
    assert "1 gaps" in lines[4]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (299.6, "300"),
        (2.61, "2.6"),
        (0.0123, "0.012"),
        (1234.5, "1,234"),
        (99.0, "99"),
        (None, "?"),
        (3e-9, "3e-09"),
    ],
)
def test_times_and_amounts_in_a_few_digits(value, shown):
    assert short(value) == shown


def test_a_clean_run_shows_no_red():
    clean = three_intervals().assign(status="confirmed", flags=0, violations=0, certified=True)
    text = shown(summarised(clean, traffic=[Traffic(sent=5, received=5)]))
    assert RED not in text
    assert "600 entries sum to 0 µ$" in text


@pytest.mark.parametrize(("efficiency", "is_said"), [(-15.8, True), (0.0, False), (None, False)])
def test_a_market_that_does_worse_than_none_is_explained(efficiency, is_said):
    summary = summarised(three_intervals())
    kpis = msgspec.structs.replace(summary.kpis, efficiency=efficiency)
    text = shown(msgspec.structs.replace(summary, kpis=kpis))
    assert ("below 0, worse than no sharing" in text) is is_said


def test_messages_that_a_service_failed_on_are_shown_with_the_other_faults():
    summary = summarised(three_intervals(), traffic=[Traffic(sent=5, received=5, late=1200, quarantined=2)])
    assert summary.messages.faults_in_words == "1,200 late, 2 quarantined"
    assert "5 received; 1,200 late, 2 quarantined" in shown(summary)
    (told,) = [figure for figure in key_figures(summary) if figure.label == "messages"]
    assert (told.note, told.good) == ("received; 1,200 late, 2 quarantined", False)
    clean = summarised(three_intervals(), traffic=[Traffic(sent=5, received=5)])
    assert "5 received; no faults" in shown(clean)


@pytest.mark.parametrize(
    ("low", "high", "good"),
    [(0.95, 1.05, True), (0.9498, 1.0, False), (1.0, 1.0502, False), (None, 1.0, False)],
)
def test_limits_of_voltage(low, high, good):
    assert VoltageRange(min=low, max=high, lower=0.95, upper=1.05).is_within is good


def test_provenance_names_versions_and_machine():
    origin = provenance(seed=7, broker="embedded")
    assert origin.seed == 7
    assert origin.broker == "embedded"
    assert origin.versions["numpy"] == np.__version__
    assert origin.machine.cpus >= 1


def test_network_figures_are_sums_over_intervals_with_a_power_flow():
    intervals = table(
        losses_kw=[4.0, 8.0, np.nan],
        grid_actual_kw=[400.0, -100.0, 200.0],
        grid_kvar=[40.0, -20.0, np.nan],
        tap_changes=[3.0, 1.0, np.nan],
        capacitor_switchings=[0.0, 2.0, np.nan],
        under_pu_h=[0.0, 0.25, np.nan],
        over_pu_h=[0.5, 0.0, np.nan],
        overload_kva_h=[10.0, 0.0, np.nan],
        node_h=[1.0, 0.5, np.nan],
        unserved_lams=[0.0, 4.0, np.nan],
    )
    assert asdict(network_figures(intervals, 10, 0.25)) == {
        "tap_changes": 4,
        "capacitor_switchings": 2,
        "under_pu_h": 0.25,
        "over_pu_h": 0.5,
        "overload_kva_h": 10.0,
        "node_h": 1.5,
        "node_intervals_outside": 1.5 / (10 * 2 * 0.25),
        "losses_kwh": 3.0,
        "head_import_kwh": 100.0,
        "head_export_kwh": 25.0,
        "head_import_kvarh": 10.0,
        "head_export_kvarh": 5.0,
        "unserved_lam_h": 1.0,
    }


def test_every_key_of_a_part_is_named_beside_its_meaning():
    summary = json.loads(write_summary(summarised(three_intervals())))
    assert list(meanings()) == list(summary)
    for key, meaning in meanings().items():
        if isinstance(summary[key], dict):
            for inner in summary[key]:
                assert f"`{inner}`" in meaning, f"{key}.{inner} is not said"


def test_the_summary_has_all_figures_of_a_certificate():
    assert set(CertificateCounts.__struct_fields__) == {"intervals", "holds", *CERTIFICATE}


@pytest.mark.parametrize("key", [key for key in Summary.__struct_fields__ if key != "unfinished"])
def test_a_summary_that_lacks_a_key_is_refused_by_its_name(key):
    content = json.loads(write_summary(summarised(three_intervals())))
    del content[key]
    with pytest.raises(msgspec.ValidationError, match=f"`{key}`"):
        read_summary(json.dumps(content).encode())
