"""Hosting capacity, losses and ageing on real circuits, and their commands with tables and pictures."""

import csv
from functools import partial

import numpy as np
import pytest
from click.testing import CliRunner

from cosim.cli import main
from cosim.feeder.linear import Limits
from cosim.feeder.opendss import Feeder
from cosim.study.hosting import HostingStudy, rest
from cosim.study.losses import losses_by_element

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def feeder():
    return Feeder()


def test_losses_of_all_elements_are_those_of_the_feeder(feeder):
    table = losses_by_element(feeder, 0.8)
    net_kw = 0.8 * feeder.layout.spot_kw
    state = feeder.solve(net_kw, net_kw * feeder.layout.tan_phi)
    assert sum(table["losses_kw"]) == pytest.approx(state.losses_kw, abs=1e-6)
    assert sum(table["share_pct"]) == pytest.approx(100.0)
    assert (np.diff(table["losses_kw"]) <= 0).all()
    assert table["element"][0] == "line.l115"


def test_the_capacity_of_a_bus_is_where_a_limit_begins_to_break(feeder):
    rest(feeder, 0.3)
    limits = Limits(0.95, 1.05, feeder.layout.rating_a)
    study = HostingStudy(feeder, limits, 0.3, 0.2, 5000.0)
    lam = feeder.layout.lams.index("83")
    found = study.of(lam, with_market=True)

    def broken(pv_kw):
        net_kw = 0.3 * feeder.layout.spot_kw
        kvar = net_kw * feeder.layout.tan_phi
        net_kw[lam] -= pv_kw
        return max(amount.max() for amount in limits.beyond(*_seen(feeder.solve(net_kw, kvar))))

    assert found.limited_by.startswith("voltage at 83.3 is ")
    assert broken(found.capacity_kw) == 0.0
    assert broken(1.011 * found.capacity_kw + 0.5) > 0.0
    # Others draw more at a low price, which leaves room.
    assert found.with_market_kw > 1.1 * found.capacity_kw
    assert study.of(lam, with_market=False).with_market_kw is None


def _seen(state):
    return state.v_pu, state.current_a


def test_a_bound_of_the_search_limits_nothing(feeder):
    study = HostingStudy(
        feeder, Limits(0.5, 1.5, np.full_like(feeder.layout.rating_a, np.inf)), 0.3, 0.0, 20.0
    )
    found = study.of(0, with_market=False)
    assert (found.capacity_kw, found.limited_by) == (20.0, "")


def run(*arguments):
    result = CliRunner().invoke(main, ["feeder", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_commands_write_a_table_and_a_picture(tmp_path):
    run("losses", "--out", tmp_path)
    assert len(rows(tmp_path / "losses.csv")) > 130
    said = run("hosting", "--bus", "83", "--bus", "1", "--out", tmp_path)
    assert "83" in said
    assert [row["lam"] for row in rows(tmp_path / "hosting.csv")] == ["83", "1"]
    run("ageing", "--steps", "24", "--growth", "1.5", "--ambient", "30", "--out", tmp_path)
    (row,) = rows(tmp_path / "ageing.csv")
    assert row["transformer"] == "xfm1"
    run("run", "--steps", "24", "--picture", "--format", "csv", "--out", tmp_path / "series")
    names = ("losses", "hosting", "capacity", "ageing", "loading", "series/voltages", "series/loading")
    for name in names:
        picture = (tmp_path / f"{name}.png").read_bytes()
        assert picture.startswith(PNG)
        assert len(picture) > 5000


def test_no_map_is_drawn_of_a_feeder_without_coordinates(tmp_path):
    (tmp_path / "m.dss").write_text(
        "clear\nnew circuit.c basekv=12.47 bus1=src\n"
        "new line.l bus1=src bus2=a r1=1 x1=1 c1=0 c0=0 normamps=100\n"
        "new load.a bus1=a kv=12.47 kw=100\nset voltagebases=[12.47]\ncalcvoltagebases\n"
    )
    said = run("hosting", tmp_path / "m.dss", "--most", "50", "--out", tmp_path / "o")
    assert "no bus has coordinates: no map is drawn" in said
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["capacity.png", "hosting.csv"]


def test_transformers_are_loaded_by_the_kvar_of_their_loads_beside_pv(feeder, tmp_path):
    (tmp_path / "p.csv").write_text("load_kw.x,pv_kw.x\n2,0\n1,3\n")
    run("ageing", "--shape", tmp_path / "p.csv", "--growth", "1.5", "--out", tmp_path)
    (row,) = rows(tmp_path / "ageing.csv")
    kw, loading = 1.5 * feeder.layout.spot_kw, []
    at = [name.startswith("transformer.xfm1.") for name in feeder.layout.branches]
    for net, load in ((1.0, 1.0), (-1.0, 0.5)):
        run_ = feeder.act(partial(feeder.solve, net * kw, load * kw * feeder.layout.tan_phi), 3600.0)
        amps = [np.abs(state.current_a[at]) / feeder.layout.rating_a[at] for _, state in run_.states]
        loading.append(np.sqrt(sum(s * a**2 for s, a in zip(run_.shares(), amps, strict=True))).max())
    assert float(row["max_loading"]) == pytest.approx(max(loading), rel=1e-6)
    assert float(row["mean_loading"]) == pytest.approx(np.mean(loading), rel=1e-6)


def test_an_unknown_bus_is_one_line(tmp_path):
    result = CliRunner().invoke(main, ["feeder", "hosting", "--bus", "8x3", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert result.stderr.startswith("sharegrid: --bus 8x3: the feeder has no such LAM; ")
