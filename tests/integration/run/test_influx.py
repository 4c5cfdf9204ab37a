"""A run's figures in a real InfluxDB: what it was told is what the run's tables hold."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from cosim.results.reader import load
from tests.integration.happenings import SILENT, happening_scenario

DASHBOARD = Path(__file__).parents[3] / "docs/grafana/sharegrid.json"
SHAREGRID = [sys.executable, "-m", "sharegrid"]
CONFIG = """reporting-disabled = true
bind-address = "127.0.0.1:{backup}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
[http]
bind-address = "127.0.0.1:{port}"
"""


@pytest.fixture
def database(tmp_path, unused_tcp_port_factory):
    """Address of a fresh database server."""
    if (influxd := shutil.which("influxd")) is None:
        pytest.skip("influxd is not installed (Debian: influxdb)")
    port, folder = unused_tcp_port_factory(), tmp_path / "influx"
    folder.mkdir()
    (folder / "influx.conf").write_text(
        CONFIG.format(folder=folder, port=port, backup=unused_tcp_port_factory())
    )
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([influxd, "-config", folder / "influx.conf"], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                httpx.post(f"{url}/query", params={"q": "create database lab"}).raise_for_status()
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(20)


def dashboard_queries():
    """Queries of the Grafana dashboard, with its variables filled in."""
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            query = target["query"].replace("$timeFilter", "time > 0")
            yield query.replace("$run", "told").replace("$interval", "15m")


def asked(url, query):
    """Rows of a query, each as a mapping of columns."""
    answer = httpx.get(f"{url}/query", params={"db": "lab", "q": query, "epoch": "s"}).raise_for_status()
    series = answer.json()["results"][0].get("series", [])
    return [dict(zip(each["columns"], row, strict=True)) for each in series for row in each["values"]]


def test_a_database_holds_what_the_run_recorded(database, tmp_path, own_mosquitto):
    scenario, out = happening_scenario(tmp_path), tmp_path / "run"
    options = ["--broker", own_mosquitto, "--run-id", "told", "--pace", "1800", "--out", str(out)]
    run = subprocess.Popen(
        [*SHAREGRID, "run", str(scenario), *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    told = subprocess.run(
        [
            *SHAREGRID,
            "influx",
            "--broker",
            own_mosquitto,
            "--run-id",
            "told",
            "--to",
            f"{database}/write?db=lab",
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    run.communicate(timeout=120)
    assert (told.returncode, told.stderr) == (0, "")
    held = load(out)
    intervals = held.intervals.set_index("tick")
    clearing = asked(database, "select * from sharegrid_clearing")
    assert [row["energy_price"] for row in clearing] == intervals["energy_price"].tolist()
    feeder = asked(database, "select * from sharegrid_feeder")
    assert [row["losses_kw"] for row in feeder] == pytest.approx(intervals["losses_kw"].tolist())
    assert [row["v_min_pu"] for row in feeder] == pytest.approx(intervals["v_min_pu"].tolist())
    homes = held.lams[held.lams["lam"] == "homes"]
    prices = asked(database, "select wam_price, price from sharegrid_lam where lam = 'homes'")
    assert [row["wam_price"] for row in prices] == pytest.approx(homes["wam_price"].tolist())
    assert [row["price"] for row in prices] == pytest.approx(homes["price"].tolist())
    silent = asked(database, f"select quality from sharegrid_device where prosumer = '{SILENT}'")
    assert [row["quality"] for row in silent][:3] == ["good", "good", "held"]
    flags = [row["text"] for row in asked(database, "select * from sharegrid_flag")]
    assert any("did not answer" in flag for flag in flags), flags
    assert len(asked(database, "select * from sharegrid_settled")) == len(intervals)
    for query in dashboard_queries():
        assert asked(database, query), query
