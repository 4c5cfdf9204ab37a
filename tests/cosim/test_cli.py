"""What a user may get wrong: one line that says what, where and what to do, exit code 2, nothing touched."""

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from cosim.cli import main
from cosim.results.names import MARKER
from market import methods
from market.errors import Infeasible, NotConverged
from market.files.horizon_file import encode_horizon
from market.horizon.case import HorizonCase
from tests.market.horizon.town import battery, town

BROKEN_MASTER = "clear\nnew circuit.x\nnew line.y bus1=sourcebus bus2=b linecode=nosuch\nsolve\n"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("scenario", "files", "says"),
    [
        ("[market]\nlam_sensitvity = 4\n", {}, "s.toml:2: market.lam_sensitvity: unknown key; did you mean"),
        ("[feeder]\nvoltage_max_pu = '1.05 pu'\n", {}, "s.toml:2: feeder.voltage_max_pu: '1.05 pu'"),
        ("[population.battery]\nkw_max = 5\n", {}, "population.battery.kw_max: unknown key"),
        ("[run]\nseed = 2.5\n", {}, "s.toml:2: run.seed: 2.5"),
        ("[market.grid]\nimport_price = nan\n", {}, "market.grid.import_price: nan"),
        ("[run\n", {}, "s.toml: not valid TOML"),
        ("[feeder]\nmaster = 'absent.dss'\n", {}, "absent.dss' not found"),
        ("[feeder]\nmaster = 'm.dss'\n", {"m.dss": BROKEN_MASTER}, "OpenDSS refused it"),
        (
            "[tables]\nprosumers = 'p.csv'\n",
            {"p.csv": "id,bus,annual_kwh\na,1,2000\nb,nowhere,2000\n"},
            "p.csv, column bus, line 3",
        ),
    ],
    ids=["key", "unit", "unit-suffix", "type", "nan", "syntax", "no-master", "bad-master", "bus"],
)
def test_a_bad_scenario_is_one_line(folder, scenario, files, says):
    (folder / "s.toml").write_text(scenario)
    for name, text in files.items():
        (folder / name).write_text(text)
    code, _, errors = invoke("run", "s.toml", "--intervals", "1", "--out", "out")
    assert code == 2
    assert says in errors
    assert len(errors.strip().splitlines()) == 1
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--broker", "mqtt://127.0.0.1:1"], "no MQTT broker answers at mqtt://127.0.0.1:1"),
        (["--broker", "pigeon"], "broker 'pigeon' is not known"),
        (["--pace", "slow"], "--pace slow"),
        (["--start", "25:00"], "--start: '25:00' is no local time"),
        (["--run-id", "a/b"], "--run-id a/b"),
        (["--arm", "--observe"], "--arm lets devices be written and --observe lets none"),
        (["--intervals", "x"], "Invalid value for '--intervals'"),
        (["--nonsense"], "No such option '--nonsense'"),
        (["--elsewhere", "market"], "--elsewhere needs a broker that other processes reach"),
    ],
)
def test_a_bad_option_is_one_line(folder, options, says):
    code, _, errors = invoke("run", "--intervals", "1", "--out", "out", *options)
    assert code == 2
    assert says in errors
    assert len(errors.strip().splitlines()) == 1
    assert not (folder / "out").exists()


@pytest.mark.parametrize(("made_by", "remedy"), [(MARKER, "--force"), ("notes.md", "no run made this")])
def test_a_directory_that_holds_a_run_is_left_alone(folder, made_by, remedy):
    (folder / "out").mkdir()
    (folder / "out" / "summary.json").write_text("precious")
    (folder / "out" / made_by).touch()
    code, _, errors = invoke("run", "--intervals", "1", "--out", "out")
    assert code == 2
    assert remedy in errors
    held = {file.name: file.read_text() for file in (folder / "out").iterdir()}
    assert held == {"summary.json": "precious", made_by: ""}


@pytest.mark.parametrize("table", ["live]\nmodbus_port", "broker]\nuse = 'mosquitto'\nport"])
def test_a_busy_port_is_one_line_and_leaves_no_directory(folder, table):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (folder / "s.toml").write_text(f"[{table} = {port}\n[population]\nprosumers = 200\n")
        code, _, errors = invoke("run", "s.toml", "--intervals", "1", "--out", "out")
    assert code == 2
    assert f"127.0.0.1:{port}" in errors
    assert "choose another port" in errors
    assert not (folder / "out").exists()


def test_a_malformed_case_names_key_and_position(folder):
    (folder / "case.json").write_text('{"format": 1}')
    code, _, errors = invoke("clear", "case.json", "--out", "result.json")
    assert code == 2
    assert len(errors.strip().splitlines()) == 1
    assert not (folder / "result.json").exists()


CASES = Path(__file__).parents[1] / "market" / "cases"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--loop", "single"], "--loop single: --method exact has no rounds to nest; choose plain or slope"),
        (["--method", "curve", "--loop", "nested"], "choose plain or slope"),
        (["--trace", "t.csv"], "--trace: --method exact exchanges no bids; choose"),
        (["--method", "plain", "--trace", "no/such/t.csv"], "no/such/t.csv"),
        (["--method", "plain", "--trace", "no/such/t.html"], "no/such/t.html"),
    ],
)
def test_an_option_that_does_not_fit_the_method_is_one_line(folder, options, says):
    code, _, errors = invoke("clear", str(CASES / "two-lams.json"), "--out", "r.json", *options)
    assert code == 2
    assert says in errors
    assert len(errors.strip().splitlines()) == 1


@pytest.mark.parametrize("method", ["plain", "slope", "curve"])
def test_a_case_is_cleared_by_bids_and_traced(folder, method):
    case = str(CASES / "two-lams.json")
    code, output, _ = invoke("clear", case, "--out", "r.json", "--method", method, "--trace", "t.csv")
    assert code == 0
    rounds = json.loads((folder / "r.json").read_text())["rounds"]
    assert f"rounds: {rounds['lam']} of the members, {rounds['wam']} of the WAM" in output
    header, *lines = (folder / "t.csv").read_text().splitlines()
    assert header.startswith("round,wam_round,cost_error")
    assert len(lines) == rounds["lam"]
    assert float(lines[-1].split(",")[3]) < 1e-5


def test_what_cannot_be_met_is_said_with_or_without_a_trace(folder):
    case = str(CASES / "infeasible-balance.json")
    for options in ([], ["--trace", "t.csv", "--force"]):
        code, _, errors = invoke("clear", case, "--out", "r.json", "--method", "plain", *options)
        assert code == 3
        assert "infeasible: power balance" in errors
        assert len(errors.strip().splitlines()) == 1
        assert json.loads((folder / "r.json").read_text())["status"] == "infeasible"
    assert not (folder / "t.csv").exists()


@pytest.mark.parametrize(
    ("raised", "says"),
    [
        (NotConverged(7, 0.5), "not_converged: not converged after 7 iterations: 0.5 kW left; check"),
        (
            Infeasible("net purchase 3 kW of LAM north", 2.0),
            "infeasible: net purchase 3 kW of LAM north cannot",
        ),
    ],
)
def test_a_case_without_an_outcome_replaces_the_earlier_result_by_the_reason(
    folder, monkeypatch, raised, says
):
    def solve(case, **options):
        raise raised

    monkeypatch.setattr(methods, "solve", solve)
    (folder / "r.json").write_text("an earlier result")
    code, _, errors = invoke("clear", str(CASES / "two-lams.json"), "--out", "r.json", "--force")
    status = says.partition(":")[0]
    assert code == {"infeasible": 3, "not_converged": 4}[status]
    remedy = "; widen that limit, or what members can trade" if status == "infeasible" else ""
    assert errors == f"sharegrid: {CASES / 'two-lams.json'}: {status}: {raised}{remedy}\n"
    assert says in errors
    refusal = json.loads((folder / "r.json").read_text())
    assert (refusal["status"], refusal["reason"]) == (status, str(raised))
    assert list(refusal) == ["format", "status", "method", "reason"]


def test_a_trace_is_drawn_where_its_name_says_so(folder):
    case = str(CASES / "two-lams.json")
    options = ["--method", "plain", "--loop", "single", "--trace", "t.html"]
    assert invoke("clear", case, "--out", "r.json", *options)[0] == 0
    assert "two-lams: plain bids, single loop" in (folder / "t.html").read_text()


@pytest.mark.parametrize(
    ("trace", "what"), [("case.json", "CASE"), ("r.json", "--out"), ("./r.json", "--out")]
)
def test_a_trace_never_overwrites_the_case_or_the_result(folder, trace, what):
    case = (CASES / "two-lams.json").read_bytes()
    (folder / "case.json").write_bytes(case)
    code, _, errors = invoke("clear", "case.json", "--out", "r.json", "--method", "slope", "--trace", trace)
    assert code == 2
    assert f"it would overwrite {what}" in errors
    assert (folder / "case.json").read_bytes() == case
    assert not (folder / "r.json").exists()


@pytest.mark.usefixtures("folder")
def test_energy_that_stays_missing_over_a_horizon_is_told_once():
    store = battery(3, kwh=20.0, kw=1.0, initial=0.0, efficiency=1.0)
    store.lower_kwh[0, 2:] = 5.0
    case = HorizonCase(town(4, T=3, stores=0.0).intervals, store, 1.0)
    Path("case.json").write_bytes(encode_horizon(case))
    code, output, _ = invoke("clear", "case.json", "--out", "r.json")
    assert code == 0
    # Of 5 kWh after two hours 3 are missing, and a third hour brings one of them.
    assert "; 3 kWh cannot be charged in time" in output


def test_tables_can_be_added_to_the_resolved_scenario(folder):
    event = '[[events]]\nat = 1\nkind = "source-voltage"\npu = 1.02\n'
    (folder / "mine.toml").write_text(invoke("scenario")[1] + event)
    code, output, _ = invoke("scenario", "mine.toml")
    assert code == 0
    assert "[[events]]" in output or "events = [" in output


def test_a_feeder_without_lines_is_one_line(folder):
    (folder / "lone.dss").write_text("clear\nnew circuit.x\n")
    code, _, errors = invoke("feeder", "check", "lone.dss")
    assert code == 2
    assert "the feeder has no line or transformer" in errors
    assert len(errors.strip().splitlines()) == 1


def test_the_resolved_scenario_can_be_loaded_again(folder):
    code, output, _ = invoke("scenario")
    assert code == 0
    (folder / "mine.toml").write_text(output)
    assert invoke("scenario", "mine.toml")[1] == output


def test_a_directory_without_a_run_has_no_report(folder):
    code, _, errors = invoke("report", "nothing")
    assert code == 2
    assert "holds no run" in errors


@pytest.mark.parametrize(
    "option", ["--rating", "--capacity", "--soc", "--step", "--voltage", "--power", "--load"]
)
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_device_takes_finite_numbers_alone(folder, option, value):
    code, _, errors = invoke("device", "battery", "--tcp", "127.0.0.1:0", option, value, "--quiet")
    assert code == 2
    assert f"Invalid value for '{option}'" in errors
    assert len(errors.strip().splitlines()) == 1
