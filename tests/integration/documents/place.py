"""A folder in which the commands of a page are tried, with what pages take for granted."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from click.testing import CliRunner

from cosim.cli import main
from cosim.getting_started.lab import write_lab
from cosim.results.names import LIVE
from cosim.scenario import load_scenario
from cosim.scenario.examples import example
from tests.integration.documents.blocks import ROOT, blocks_of

COMMAND = [sys.executable, "-m", "sharegrid"]
# Large enough that every local-area market of the default feeder has members.
PROSUMERS = 425
SERVING = ("serve", "view")
ENDS_WITHIN_S = 30.0
_WITHIN_S = 120.0
GIVEN = Path(__file__).parent / "given"
METER = """
[[devices]]
prosumer = "house"
profile = "sdm630"
connect = "tcp://127.0.0.1{at}"
"""


def small(words: list[str]) -> list[str]:
    """A command on a smaller case: fewer intervals, prosumers and hours."""
    if words[:2] == ["feeder", "run"] and "--steps" not in words:
        return [*words, "--steps", "24"]
    if words[0] not in ("run", "serve") or "--resume" in words:
        return words
    shorter = [*words]
    if "--intervals" in words:
        shorter[words.index("--intervals") + 1] = "2"
    else:
        shorter += ["--intervals", "1"]
    if "--start" not in words:
        shorter = [*shorter, "--start", "11:00"]
    if words[0] == "run" and "--out" in words:
        shorter = [*shorter, "--force"]
    file = next((Path(word) for word in words if word.endswith(".toml")), None)
    if "--example" in words:
        file = example(words[words.index("--example") + 1])
    scenario = load_scenario(file)
    if scenario.tables.prosumers or scenario.population.prosumers <= PROSUMERS:
        return shorter
    return [*shorter, "--set", f"population.prosumers={PROSUMERS}"]


def serves(words: list[str]) -> bool:
    """Whether a command goes on until it is ended."""
    return words[0] in SERVING or (words[0] == "device" and words[1:2] != ["probe"])


class Place:
    """Where the commands of one page run, one after the other."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []
        self.printed = ""

    def run(self, line: str) -> None:
        """Run a line of a shell block; one that goes on stays until ``end``."""
        words = shlex.split(line, comments=True)
        simple = not {"&&", "|", ";", "<"} & set(words) and not any("$(" in each for each in words)
        if simple and words[0] == "sharegrid":
            target = None
            if found := re.fullmatch(
                r"(.*?)\s>>?\s?(\S+)", shlex.join(words).replace("'>", ">").replace("'", "")
            ):
                words, target = shlex.split(found[1]), self.folder / found[2]
            self._sharegrid(small(words[1:]), target)
        elif simple and words[0] == "mosquitto":
            self._begin(words)
        else:
            self._shell(line)

    def said(self, line: str) -> str:
        """What a command says, whether it is refused or not."""
        words = shlex.split(line)
        assert words[0] == "sharegrid"
        return CliRunner().invoke(main, words[1:], prog_name="sharegrid").output

    def _sharegrid(self, words: list[str], target: Path | None) -> None:
        if serves(words):
            self._begin([*COMMAND, *words])
            return
        done = CliRunner().invoke(main, words, prog_name="sharegrid")
        self.printed = done.stdout
        # A check that finds something says so by its status, and has done what it is there for.
        assert done.exit_code == 0 or (words[0] in ("check", "doctor") and done.exit_code == 1), (
            f"sharegrid {shlex.join(words)}\n{done.output}\n{done.exception!r}"
        )
        if target is not None:
            target.write_text(done.stdout)

    def _shell(self, line: str) -> None:
        # The line is the page's own text.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        with subprocess.Popen(
            ["bash", "-euc", line],
            cwd=self.folder,
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                printed, _ = process.communicate(timeout=_WITHIN_S)
            except subprocess.TimeoutExpired:
                # What it began in the background may be what waits.
                os.killpg(process.pid, signal.SIGKILL)
                printed, _ = process.communicate()
                raise AssertionError(f"{line}\nnot over after {_WITHIN_S} s\n{printed}") from None
        assert process.returncode == 0, f"{line}\n{printed}"
        self.printed = printed

    def _begin(self, words: list[str]) -> None:
        with (self.folder / f"said-{len(self.started)}").open("wb") as log:
            process = subprocess.Popen(words, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT)
        self.started.append(process)
        # A service says nothing until its run begins; whatever else goes on says at once where it is.
        until = time.monotonic() + (ENDS_WITHIN_S if "serve" not in words else 0.0)
        while time.monotonic() < until and process.poll() is None and not self._said(process):
            time.sleep(0.05)

    def _said(self, process: "subprocess.Popen[bytes]") -> str:
        return (self.folder / f"said-{self.started.index(process)}").read_text(errors="replace")

    def end(self) -> None:
        """End what goes on; what ended by itself must have done so without an error."""
        wrong = []
        for process in self.started:
            ended_by_itself = process.poll() is not None
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                status = process.wait(ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                status = process.wait()
            if status not in ((0,) if ended_by_itself else (0, -signal.SIGTERM, 128 + signal.SIGTERM)):
                wrong.append(f"{process.args}: {status}\n{self._said(process)}")
        assert not wrong, "\n".join(wrong)


def furnish(folder: Path, meter: str) -> None:
    """Write what pages take for granted: a scenario, a lab, runs, a feeder, tables of meters, a case."""
    whole = CliRunner().invoke(main, ["scenario", "--set", f"population.prosumers={PROSUMERS}"])
    (folder / "mine.toml").write_text(whole.stdout)
    for given in GIVEN.iterdir():
        shutil.copy(given, folder)
    shutil.copytree(ROOT / "scenarios", folder / "scenarios")
    (folder / "path").mkdir()
    shutil.copy(ROOT / "scenarios" / "village" / "village.dss", folder / "path" / "Master.dss")
    page = blocks_of(ROOT / "docs" / "case-format.md")
    (folder / "case.json").write_text(next(block.text for block in page if block.language == "json"))
    write_lab(folder / "lab")
    scenario = (folder / "lab" / "scenario.toml").read_text()
    beside = METER.format(at=f":{free_port()}/1") + 'clock = "run"\n'
    (folder / "lab" / "beside.toml").write_text(scenario + beside)
    (folder / "lab" / "metered.toml").write_text(scenario + METER.format(at=f"{meter}/1"))
    page = blocks_of(ROOT / "docs" / "tutorials" / "raspberry-pi.md")
    devices = next(block.text for block in page if block.language == "toml")
    (folder / "lab" / "commanded.toml").write_text(
        scenario + devices.replace("10.0.0.5:1502", f"127.0.0.1{meter}")
    )
    run = ["run", str(folder / "mine.toml"), "--start", "11:00", "--intervals", "1"]
    done = CliRunner().invoke(main, [*run, "--out", str(folder / "runs" / "today")])
    assert done.exit_code == 0, done.output
    for name in ("mine", "other"):
        shutil.copytree(folder / "runs" / "today", folder / "runs" / name)


def interrupt_a_run(folder: Path) -> None:
    """Leave a run behind that was interrupted after the first of two intervals."""
    out = folder / "runs" / "day1"
    words = ["run", "lab/scenario.toml", "--intervals", "2", "--out", str(out)]
    with subprocess.Popen([*COMMAND, *words], cwd=folder, stderr=subprocess.DEVNULL) as run:
        while run.poll() is None and not (out / LIVE).exists():
            time.sleep(0.02)
        run.send_signal(signal.SIGINT)
    assert run.returncode == 130


def free_port() -> int:
    """A port of this computer that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
