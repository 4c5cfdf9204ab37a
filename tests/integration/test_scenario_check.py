import asyncio
import shutil
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from cosim.cli import main
from cosim.feeder_setup.lam_table import feeder_of
from cosim.safety import arming_doubts
from cosim.scenario import load_scenario
from cosim.world.build import build_world
from tests.integration.device_process import port_in, running
from tests.integration.plain_modbus import tcp_server
from tests.integration.sunspec_images import Inverter, pv_image

VILLAGE = Path(__file__).parents[2] / "scenarios"
DEVICES = """
[[devices]]
prosumer = "church-4"
profile = "sdm630"
connect = "tcp://127.0.0.1:{meter}/1"

[[devices]]
prosumer = "church-4"
profile = "sunspec-pv"
connect = "tcp://127.0.0.1:{silent}/1"
"""

LIVE = ("--set", "live.per_lam=4")
BATTERY = """
[[devices]]
prosumer = "mill-1"
profile = "sdm630"
connect = "tcp://127.0.0.1:1/1"

[[devices]]
prosumer = "mill-1"
profile = "sunspec-battery"
connect = "tcp://127.0.0.1:1/2"
armed = true
"""


def checked(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["check", *arguments])
    return done.exit_code, done.output


def village(tmp_path: Path, extra: str = "") -> str:
    shutil.copytree(VILLAGE / "village", tmp_path / "village")
    file = tmp_path / "mine.toml"
    file.write_text((VILLAGE / "own-tables.toml").read_text() + extra)
    return str(file)


def test_a_scenario_is_told_before_it_runs(tmp_path: Path) -> None:
    status, said = checked(village(tmp_path))
    assert status == 0
    lines = dict(line.split(maxsplit=1) for line in said.splitlines())
    assert lines["run"] == "2024-06-21 00:00 to 2024-06-22 00:00 Europe/Berlin, 96 intervals of 15 min"
    assert lines["prosumers"] == "11, 3 to 4 in a LAM; 51.8 MWh a year"
    assert lines["resources"] == "PV 45.4 kWp at 7, batteries 31 kWh and 15.5 kW at 4"
    assert lines["live"].startswith("3: ")
    assert not list(tmp_path.glob("runs"))


def test_lams_on_phases_are_told_as_a_run_has_them(tmp_path: Path) -> None:
    file = tmp_path / "phases.toml"
    file.write_text('[feeder]\nlams_at = "phase"\n[population]\nprosumers = 400\n')
    _, said = checked(str(file))
    assert ", 95 LAMs, " in said


def test_what_never_happens_is_doubtful(tmp_path: Path) -> None:
    extra = '\n[[events]]\nat = 200\nkind = "source-voltage"\npu = 1.01\n'
    extra += '\n[[faults]]\nkind = "silent"\nshare = 0.5\nfirst_interval = 96\n'
    status, said = checked(village(tmp_path, extra))
    assert status == 1
    doubts = [line for line in said.splitlines() if line.startswith("DOUBTFUL")]
    assert len(doubts) == 2
    assert "does not happen, for the run ends before" in doubts[0]
    assert "would begin in interval 96, but the run has 96" in doubts[1]


def test_watts_are_caught_before_a_run(tmp_path: Path) -> None:
    file = village(tmp_path)
    table = tmp_path / "village" / "profiles.csv"
    header, *rows = table.read_text().splitlines()
    watts = [",".join([cells[0], cells[1], f"{1000 * float(cells[2]):g}", *cells[3:]]) for row in rows
             for cells in [row.split(",")]]  # fmt: skip
    table.write_text("\n".join([header, *watts]) + "\n")
    status, said = checked(file)
    assert status == 2
    assert "profiles.csv, column load_kw.bakery: " in said
    assert "are these watts?" in said


async def test_hardware_is_asked_and_named_where_it_is_silent(tmp_path: Path) -> None:
    day = tmp_path / "day.csv"
    day.write_text("time,kW\n0,2.5\n3600,2.5\n")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        async with running("meter", "--tcp", "127.0.0.1:0", "--follow", str(day)) as (_, line):
            extra = DEVICES.format(meter=port_in(line), silent=nobody.getsockname()[1])
            file = village(tmp_path, extra)
            status, said = await asyncio.to_thread(checked, file, "--devices", "--timeout", "0.5")
    assert status == 1
    assert "meter of church-4" in said
    assert "p_kw = 2.5" in said
    assert "DOUBTFUL: pv of church-4 does not answer" in said


async def test_ratings_that_cannot_be_true_are_named_before_anything_is_armed(tmp_path: Path) -> None:
    async with (
        running("meter", "--tcp", "127.0.0.1:0", "--power", "1") as (_, line),
        tcp_server(Inverter(pv_image(rating_w=500))) as port,
    ):
        file = village(tmp_path, DEVICES.format(meter=port_in(line), silent=port))
        _, said = await asyncio.to_thread(checked, file, "--devices", "--timeout", "2")
    assert "DOUBTFUL: pv of church-4 tells a rating of 0.5 kW, and the scenario has it for " in said


def battery(limits: str, more: str = "") -> str:
    low, high = limits.split(",")
    return BATTERY + f"min_kw = {low}\nmax_kw = {high}\n{more}"


def test_the_envelope_of_hardware_is_said(tmp_path: Path) -> None:
    status, said = checked(village(tmp_path, battery("-3,3", "ramp_kw_per_s = 0.5\n")), *LIVE)
    assert status == 0
    assert "sunspec-battery, hardware, may be armed: -3 to 3 kW, safe value 0 kW, at most 0.5 kW/s" in said


@pytest.mark.parametrize(
    ("limits", "more", "doubt"),
    [
        ("-3000,3000", "", "-3000 to 3000 kW, is 750 times its battery_kw of 4 kW: are these watts?"),
        ("-9,3", "", "is 2.25 times its battery_kw of 4 kW"),
        ("-3,3", "ramp_kw_per_s = 500\n", "a ramp of 500 kW/s crosses its envelope in less than 0.1 s"),
        ("-3,3", "energy_kwh = 40000\n", "energy_kwh = 40000 is more than any vehicle holds: are these Wh?"),
    ],
)
def test_an_envelope_beyond_its_hardware_is_doubtful(
    tmp_path: Path, limits: str, more: str, doubt: str
) -> None:
    status, said = checked(village(tmp_path, battery(limits, more)), *LIVE)
    assert status == 1
    (line,) = [line for line in said.splitlines() if line.startswith("DOUBTFUL")]
    assert "battery of mill-1: " in line
    assert doubt in line


def test_chargers_and_sun_have_envelopes_too(tmp_path: Path) -> None:
    swapped = battery("-11000,0").replace("sunspec-battery", "sharegrid-ev")
    _, said = checked(village(tmp_path, swapped), *LIVE)
    assert "ev of mill-1: its envelope, -11000 to 0 kW, is beyond the 220 kW of any usual one" in said
    file = tmp_path / "mine.toml"
    swapped = battery("0,5000").replace("sunspec-battery", "sunspec-pv")
    file.write_text((VILLAGE / "own-tables.toml").read_text() + swapped)
    _, said = checked(str(file), *LIVE)
    assert "pv of mill-1: its envelope, 0 to 5000 kW, is 962 times its pv_kwp of 5.2 kW" in said


def test_profiles_of_pv_beyond_its_rating_are_doubtful(tmp_path: Path) -> None:
    file = village(tmp_path)
    for name, here, there in (
        ("prosumers.csv", "mill-bakery,mill,21000,9.8,", "mill-bakery,mill,21000,0.4,"),
        ("profiles.csv", "pv_kw_per_kwp.bakery", "pv_kw.bakery"),
    ):
        table = tmp_path / "village" / name
        table.write_text(table.read_text().replace(here, there))
    _, said = checked(file)
    assert (
        "DOUBTFUL: PV of mill-bakery gives more than its pv_kwp, mill-bakery 0.7943 kW of 0.4 kWp: check both"
    ) in said


def test_pv_by_night_is_doubtful(tmp_path: Path) -> None:
    """Columns whose values were swapped: the loads of a house go by its PV, and the sun by its load."""
    file = village(tmp_path)
    code, said = checked(file)
    assert "by night" not in said
    table = tmp_path / "village" / "profiles.csv"
    names, *rows = (line.split(",") for line in table.read_text().splitlines())
    load, pv = names.index("load_kw_per_mwh.house"), names.index("pv_kw_per_kwp.house")
    for row in rows:
        row[load], row[pv] = row[pv], row[load]
    table.write_text("".join(",".join(row) + "\n" for row in (names, *rows)))
    code, said = checked(file)
    assert code == 1
    assert (
        "DOUBTFUL: tables.profiles: PV of mill-1, church-1, church-4, farm-1, farm-3 gives power by night, "
        "mill-1 0.312 kW at 2024-06-21T00:00: are load and PV swapped"
    ) in said


def test_ratings_in_watts_are_doubtful(tmp_path: Path) -> None:
    file = village(tmp_path)
    table = tmp_path / "village" / "prosumers.csv"
    table.write_text(
        table.read_text().replace("mill-1,mill,3200,5.2,south,8,4,", "mill-1,mill,3200,5.2,south,8,4000,")
    )
    status, said = checked(file)
    assert status == 1
    assert "battery_kw is more than 10 times battery_kwh of mill-1: are these watts?" in said


@pytest.mark.parametrize(
    "command",
    [["run", "--pace", "real"], ["serve", "devices", "--run-id", "x", "--broker", "mqtt://127.0.0.1:1"]],
)
def test_hardware_is_not_armed_far_beyond_its_rating(tmp_path: Path, command: list[str]) -> None:
    file = village(tmp_path, battery("-3000,3000"))
    done = CliRunner().invoke(main, [*command, file, "--arm", "--out", str(tmp_path / "out"), *LIVE])
    assert done.exit_code == 2
    assert "sharegrid: --arm: battery of mill-1: " in done.output
    assert "is 750 times its battery_kw" in done.output


def test_what_is_doubtful_is_said_before_it_is_armed(tmp_path: Path) -> None:
    scenario = load_scenario(village(tmp_path, battery("-9,3")), changes={"live.per_lam": 4})
    world = build_world(scenario, feeder_of(scenario).widest.layout)
    assert arming_doubts(world)[0].startswith(
        "DOUBTFUL: battery of mill-1: its envelope, -9 to 3 kW, is 2.25 times"
    )
