"""`sharegrid feeder check` on circuits with one thing wrong: it names that cause, and no other."""

import pytest
from click.testing import CliRunner

from cosim.cli import main

CIRCUIT = """clear
new circuit.t basekv=20 pu=1.0 phases=3 bus1=src
new transformer.t1 phases=3 windings=2 buses=(src,lv) conns=(delta,wye) kvs=(20,0.4) kvas=(250,250) xhl=4
new linecode.c nphases=3 r1=0.3 x1=0.1 r0=0.9 x0=0.3 c1=0 c0=0 units=km normamps=200
new line.l1 bus1=lv bus2=a linecode=c length=0.1 units=km
new line.l2 bus1=a bus2=b linecode=c length=0.1 units=km
new load.one bus1=a phases=3 kv=0.4 kw=10 kvar=2
new load.two bus1=b.1 phases=1 kv=0.23 kw=5 kvar=1
{more}
set voltagebases=[20,0.4]
calcvoltagebases
solve
{after}
"""
ONE_PHASE = """clear
new circuit.t basekv=0.23 phases=1 bus1=src.1
new line.l1 bus1=src.1 bus2=a.1 phases=1 r1=0.03 x1=0.01 r0=0.03 x0=0.01 c1=0 c0=0 normamps=200
new load.one bus1=a.1 phases=1 kv=0.23 kw=10 kvar=2
set voltagebases=[{kv}]
calcvoltagebases
solve
"""
ROOT = "off by the square root of 3"
ANOTHER = "rated for another voltage than the bus has"


@pytest.fixture
def checked(tmp_path):
    def check(text: str) -> tuple[int, str]:
        (tmp_path / "m.dss").write_text(text)
        result = CliRunner().invoke(main, ["feeder", "check", str(tmp_path / "m.dss")])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    return check


def circuit(more: str = "", after: str = "") -> str:
    return CIRCUIT.format(more=more, after=after)


def test_a_sound_circuit_has_nothing_wrong(checked):
    code, told = checked(circuit())
    assert code == 0
    assert [line for line in told.splitlines() if line.startswith("!")] == [
        "! no bus has coordinates: the report draws no map"
    ]


@pytest.mark.parametrize(
    ("edit", "names"),
    [
        ("load.one.kw=nan", "load.one with kw=nan"),
        ("load.one.kvar=nan", "kvar=nan"),
        ("load.one.kw=inf", "load.one with kw=inf"),
        ("load.one.kv=0", "load.one with kw=10, kvar=2, kv=0"),
        ("new capacitor.c bus1=b phases=3 kvar=nan kv=0.4", "1 element (capacitor.c) without an admittance"),
        ("new generator.g bus1=b phases=3 kw=nan kv=0.4", "1 element (generator.g) without an admittance"),
        ("vsource.source.pu=nan", "1 source (vsource.source) without a voltage that is a number"),
        ("set loadmult=nan", "the file sets loadmult=nan"),
    ],
)
def test_what_is_no_number_is_named_and_not_the_bases(checked, edit, names):
    code, told = checked(circuit(edit))
    assert code == 2
    assert names in told
    assert "base" not in told


def test_voltages_that_sag_are_not_put_down_to_their_bases(checked):
    # A source at 0.58 pu, a tap that is far off, and a load that no line carries.
    for edit in ("vsource.source.pu=0.58", "transformer.t1.taps=(1, 0.58)", "load.one.kw=1e12"):
        _, told = checked(circuit(edit))
        assert ROOT not in told
        assert "outside 0.95 to 1.05 pu in its own solution" in told
    assert "! vsource.source is set to 0.58 pu of its basekv" in checked(circuit("vsource.source.pu=0.58"))[1]


def test_bases_that_a_source_shows_to_be_off_are(checked):
    code, told = checked(ONE_PHASE.format(kv=0.23))
    assert code == 2
    assert f"! 2 nodes (src.1, a.1) {ROOT}" in told
    assert f"its base voltage is {ROOT}" in told
    assert ANOTHER not in told  # the load suits the source
    code, told = checked(ONE_PHASE.format(kv=0.4))
    assert code == 0
    assert ROOT not in told


def test_a_base_that_nobody_listed_is_named_with_what_is_rated_there(checked):
    code, told = checked(ONE_PHASE.format(kv=10))
    assert code == 2
    assert "its base voltage is 10 kV between phases, and vsource.source is rated for 0.3984 kV" in told
    assert "complete 'set voltagebases'" in told


@pytest.mark.parametrize(
    "winding",
    [
        "new transformer.t windings=2 buses=(b c.1.2.0) conns=(wye delta) kvs=(0.4 0.48) kvas=(100 100)",
        # The middle of the side between 1 and 2 is grounded, and 3 stands high.
        (
            "new transformer.t phases=1 windings=3 buses=(b.1 c.1.0 c.0.2) kvs=(0.231 0.12 0.12)\n"
            "new transformer.o phases=1 windings=2 buses=(b.2 c.2.3) kvs=(0.231 0.24)"
        ),
    ],
    ids=["corner", "middle"],
)
def test_a_delta_that_is_grounded_somewhere_else_than_at_a_star_is_said_to_be_one(checked, winding):
    load = "new load.c bus1=c.1.2 phases=1 conn=delta kv=0.48 kw=1"
    code, told = checked(circuit(f"{winding}\n{load}").replace("[20,0.4]", "[20,0.4,0.208,0.48]"))
    assert code == 2
    assert (
        "the phases of bus c are alike between each other and not to ground: a delta that is grounded" in told
    )


def test_a_source_without_voltage_is_no_matter_of_the_power_that_is_drawn(checked):
    code, told = checked(circuit(after="vsource.source.pu=0"))
    assert code == 2
    assert "! vsource.source is set to 0 pu of its basekv" in told
    assert "it is no better while they draw nothing" in told
    assert "reduce their power" not in told


def test_a_load_at_a_bus_of_another_level_is_named_with_what_it_comes_to(checked):
    code, told = checked(circuit("load.two.kv=20"))
    assert code == 0
    assert (
        f"! 1 load (two) {ANOTHER}: in the file's own solution two, rated 20 kV at 0.2309 kV, draws " in told
    )
    assert "of 5 kW; in the market all of it. Correct kv or bus" in told


@pytest.mark.parametrize(("kv", "more"), [(20, "delivers 0.00"), (0.1, "delivers 1")])
def test_a_generator_at_a_bus_of_another_level_is_named_with_what_it_delivers(checked, kv, more):
    _, told = checked(circuit(f"new generator.g bus1=b phases=3 kw=10 kv={kv}"))
    assert f"1 generator (g) {ANOTHER}: in the file's own solution g, rated {kv} kV at 0.4 kV" in told
    assert more in told


def test_what_is_out_of_service_on_the_way_is_named(checked):
    code, told = checked(circuit("transformer.t1.enabled=no"))
    assert code == 2
    assert "stands at 'a.1', which nothing feeds: on the way there transformer.t1 is out of service" in told
    assert ANOTHER not in told  # a bus without voltage has no base that means anything
    code, told = checked(circuit("transformer.t1.enabled=no").replace("bus1=b.1", "bus1=nowhere.1"))
    assert "transformer.t1 is out of service" in told
    code, told = checked(circuit().replace("bus1=b.1", "bus1=nowhere.1"))
    assert "load.two stands at 'nowhere.1', which no line or transformer feeds; check the bus names" in told


def test_a_transformer_at_a_bus_of_another_level_is_named_where_others_suit_it(checked):
    more = "new transformer.t2 phases=1 windings=2 buses=(b.1,c.1) kvs=(10,0.1) kva=10 xhl=4\n"
    _, told = checked(circuit(f"{more}new load.three bus1=c.1 phases=1 kv=0.1 kw=1"))
    assert (
        "! bus b has a base of 0.4 kV between phases, as transformer.t1 has, and transformer.t2 17.32 kV: "
        "correct its kv or bus" in told
    )
    assert "complete 'set voltagebases'" not in told


def test_a_power_flow_that_swings_is_put_down_to_nodes_that_do(checked):
    _, told = checked(circuit("transformer.t1.kvas=(25, 25)\nload.one.kw=300\n~ kvar=100 vminpu=0.2"))
    (line,) = (line for line in told.splitlines() if "does not converge at the feeder's own loads" in line)
    assert "voltages move most at node" in line
    assert "src" not in line
