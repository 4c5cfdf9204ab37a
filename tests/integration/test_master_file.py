"""A master file is read for what the circuit is: it leaves nothing behind, and refusals are true."""

import pytest

from cosim.feeder.circuit import FeederError, PowerFlowError
from cosim.feeder.library import new_context
from cosim.feeder.opendss import Feeder
from cosim.feeder.powerflow.inspection import inspect
from cosim.feeder.powerflow.opening import open_circuit

HEAD = """clear
/* a block of
new nonsense
*/
new circuit.c basekv=12.47 pu=1.02 bus1=src mvasc3=500 mvasc1=400
new line.up bus1=src bus2=a r1=0.3 x1=0.4 r0=0.8 x0=1.2 c1=0 c0=0 units=km length=2
new load.la bus1=a kv=12.47 kw=900 kvar=300
"""
TAIL = """set voltagebases=[12.47]
calcv
solve
"""


def write(folder, text, name="Master.dss"):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return str(path)


def contents(folder):
    return sorted(folder.rglob("*"))


def test_commands_that_write_show_or_trace_are_left_out_and_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(
        tmp_path,
        "new line.dn bus1=a bus2=b r1=.3 x1=.4 length=1\nexp powers\nLoad.la.kw=800",
        "parts/More.DSS",
    )
    master = write(
        tmp_path,
        HEAD
        + "new transformer.r phases=3 windings=2 buses=(b c) kvs=(12.47 12.47) kvas=(9999 9999) xhl=.01\n"
        "new regcontrol.r transformer=r winding=2 vreg=122 ptratio=60 debugtrace=yes\n"
        "regcontrol.r.debugtrace=yes\n"
        "redirect Parts\\more.dss  ! in another folder, by letters of another case\n"
        "new energymeter.m element=line.up terminal=1 action=save\n"
        "new loadshape.s npts=2 interval=1 mult=(1 1) action=dblsave\n"
        "set demandinterval=true mode=snapshot\nset recorder=yes\n"
        + TAIL
        + "Export voltages\nsave circuit dir=saved\nsh currents\nplot profile\nbuscoords none.csv\n"
        "visualize powers element=line.up\nsolve mode=daily number=2 demandinterval=yes\n",
    )
    before = contents(tmp_path)
    opened = open_circuit(master)
    assert contents(tmp_path) == before
    assert opened.dss.Solution.Converged()
    feeder = Feeder(master, opened=opened)
    assert contents(tmp_path) == before
    assert feeder.layout.spot_kw.tolist() == [800.0]
    assert feeder.layout.regulators == ("r",)
    (note,) = (note for note in feeder.layout.notes if "left out" in note)
    for word in (
        "export",
        "save",
        "show",
        "plot",
        "visualize",
        "debugtrace",
        "solve through time",
        "demandinterval",
        "recorder",
    ):
        assert word in note
    assert "buscoords 'none.csv', which is not there" in note


@pytest.mark.parametrize("line", ["cd ..", "set datapath=sub", "Set mode=snapshot Data=sub"])
def test_a_redirected_file_that_changes_the_directory_is_refused_and_makes_no_folder(tmp_path, line):
    write(tmp_path, f"{line}\n", "more.dss")
    master = write(tmp_path, f"{HEAD}redirect more.dss\n{TAIL}")
    before = contents(tmp_path)
    with pytest.raises(FeederError, match=r"more\.dss', line 1, changes the working directory; delete"):
        Feeder(master)
    assert contents(tmp_path) == before


def test_a_refusal_names_the_file_and_line_that_it_is_about(tmp_path):
    write(tmp_path, "\nnew load.lb bus1=b kv=12.47 kw=abc\n", "loads.dss")
    with pytest.raises(FeederError, match=r"loads\.dss', line 2: OpenDSS refused it: .*[Ll]oad\.lb"):
        Feeder(write(tmp_path, f"{HEAD}redirect loads.dss\n{TAIL}"))
    write(tmp_path, "redirect loads.dss\n", "loads.dss")
    with pytest.raises(FeederError, match="files redirect to each other without end"):
        Feeder(write(tmp_path, f"{HEAD}redirect loads.dss\n{TAIL}"))


def test_a_file_that_is_read_line_by_line_is_the_circuit_that_opendss_compiles(tmp_path):
    write(
        tmp_path, "set loadmult=0.8\nnew load.lb bus1=b.1 phases=1 kv=7.2 kw=300 ! one\n~ pf=0.9", "sub/l.dss"
    )
    write(tmp_path, "new linecode.x nphases=3 r1=.1 x1=.2\n", "codes.dss")
    master = write(
        tmp_path,
        f"{HEAD}redirect sub/l.dss\nredirect codes.dss\nnew line.dn a b linecode=x // two\n"
        f"more length=2\nbatchedit load..* vminpu=0.8\n{TAIL}",
    )
    dss = new_context()
    dss.Basic.AllowChangeDir(False)
    dss.Text.Command(f'compile "{master}"')
    assert open_circuit(master).dss.Circuit.TotalPower() == pytest.approx(dss.Circuit.TotalPower(), abs=1e-9)


def test_to_look_at_a_circuit_changes_nothing_of_it(tmp_path):
    master = write(tmp_path, HEAD + TAIL)
    opened = open_circuit(master)
    inspect(opened, 0.95, 1.05)
    one, other = Feeder(master, opened=opened), Feeder(master)
    spot = one.layout.spot_kw
    assert one.solve(spot, 0 * spot).v_pu.tolist() == other.solve(spot, 0 * spot).v_pu.tolist()


@pytest.mark.parametrize("line", ["set frequency=50", "vsource.source.frequency=50"])
def test_a_source_of_another_frequency_is_named(tmp_path, line):
    with pytest.raises(
        FeederError, match=r"vsource\.source stands at \d+ Hz and the circuit is solved at \d+ Hz"
    ):
        Feeder(write(tmp_path, f"{HEAD}{line}\n{TAIL}"))


def test_lines_described_for_another_frequency_are_said(tmp_path):
    feeder = Feeder(write(tmp_path, HEAD.replace("length=2", "length=2 basefreq=50") + TAIL))
    assert (
        "1 line (up) described for 50 Hz in a circuit of 60 Hz: reactances are scaled by 1.2"
        in feeder.layout.notes
    )


def test_bases_off_by_the_root_of_three_are_named(tmp_path):
    with pytest.raises(PowerFlowError, match=r"1\.7\d+ pu at node .*off by the square root of 3"):
        Feeder(write(tmp_path, HEAD + TAIL.replace("12.47", "7.2")))


def test_a_limit_on_iterations_is_raised_before_the_feeder_is_given_up(tmp_path):
    heavy = HEAD.replace("kw=900", "kw=9000 vminpu=0.5")
    feeder = Feeder(write(tmp_path, f"{heavy}set maxiterations=2 tolerance=1e-9\n{TAIL}"))
    assert any(
        "within its limit of 2 iterations: the limit was raised" in note for note in feeder.layout.notes
    )


def test_where_no_power_flow_is_found_the_load_is_named(tmp_path):
    with pytest.raises(PowerFlowError, match=r"least across the load at 'a\.[123]' \(0\.\d+ pu\)"):
        Feeder(write(tmp_path, HEAD.replace("kw=900", "kw=90000") + TAIL))


def test_a_control_that_opendss_cannot_tell_of_ends_in_no_traceback(tmp_path):
    feeder = Feeder(write(tmp_path, f"{HEAD}new upfccontrol.u\n{TAIL}"))
    assert "1 upfccontrol (u): it does not act" in feeder.layout.notes


def test_a_feeder_s_digest_follows_every_file_that_describes_it(tmp_path):
    write(tmp_path, "0.2\n0.9\n", "shape.csv")
    write(tmp_path, "new loadshape.own npts=2 interval=1 mult=(file=shape.csv)\n", "shapes.dss")
    write(tmp_path, "a, 3, 4\n", "coordinates.csv")
    master = write(tmp_path, HEAD + "redirect shapes.dss\n" + TAIL + "buscoords coordinates.csv\n")
    first = Feeder(master).layout.digest
    assert Feeder(master).layout.digest == first
    seen = {first}
    for name, text in (
        ("shape.csv", "0.2\n0.8\n"),
        ("shapes.dss", "new loadshape.own npts=2 interval=2 mult=(file=shape.csv)\n"),
        ("coordinates.csv", "a, 3, 5\n"),
    ):
        write(tmp_path, text, name)
        seen.add(Feeder(master).layout.digest)
    assert len(seen) == 4
    assert Feeder().layout.digest == ""
