"""How long a run takes to go on after each kind of kill, and whether its ledger keeps its bits.

    python -m benchmarks.recovery [--kills N] [--kind KIND]... [--spares] [--json FILE]

Roles, control and a Mosquitto are processes of their own. One is killed (SIGKILL) at a random moment of an
interval and started again at once, as a supervisor does; the time is that from the kill until the next
interval stands in the ledger. `all` kills all of them at once. With `--spares` a process that stands ready
takes the place of a role's that was killed, and none is started anew. Each ledger is compared with that of a
run that nobody disturbed, entry by entry.
"""

import json
import os
import random
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from broker.server.configuration import open_listener
from broker.server.mosquitto import find_mosquitto
from cosim.results.ledger_check import check_ledger
from cosim.results.reader import load
from tests.broker.door.hostile_run import written_scenario
from tests.integration.run.test_recovery import COMMAND, ROLES, Processes, bookings, settled

KINDS = (*ROLES, "broker", "control", "all")
BETWEEN = 4
_SETTLED_WITHIN_S = 180.0


class Victims(Processes):
    """Processes of a run and its broker."""

    def __init__(self, scenario: Path, url: str, out: Path, configuration: Path) -> None:
        super().__init__(scenario, url, out)
        self._configuration = configuration
        self.spares: list[subprocess.Popen[bytes]] = []
        self._ready = 0

    def start_broker(self) -> None:
        """Start Mosquitto at its port."""
        words = [find_mosquitto() or "mosquitto", "-c", str(self._configuration)]
        self.running["broker"] = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def start_all(self, *control: str) -> None:
        """Start everything."""
        self.start_broker()
        for role in ROLES:
            self.start(role)
        self.control(*control)

    def start_spares(self, role: str, count: int) -> None:
        """Start processes that stand ready to serve a role, of which one does, and wait until they do."""
        words = [*COMMAND, "serve", role, "--spare", *self.common]
        self.kill(role)
        for _ in range(count + 1):
            spare = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            self.spares.append(spare)
            threading.Thread(target=self._listen, args=(role, spare), daemon=True).start()
        while self._ready <= count or role not in self.running:
            if any(spare.poll() is not None for spare in self.spares):
                raise click.ClickException(f"a spare of {role} did not start")
            time.sleep(0.05)

    def _listen(self, role: str, spare: "subprocess.Popen[bytes]") -> None:
        assert spare.stderr is not None
        for line in spare.stderr:
            self._ready += line.startswith(b"ready to serve")
            if line.startswith(b"serving"):
                self.running[role] = spare

    def strike(self, kind: str) -> None:
        """Kill what a kind says, and start it again."""
        again = ("--resume", str(self.out), "--broker", self.url)
        if kind == "all":
            for name in list(self.running):
                self.kill(name)
            self.start_all(*again)
            return
        if self.spares:
            self.running.pop(kind).kill()
            return
        self.kill(kind)
        if kind == "broker":
            self.start_broker()
        elif kind == "control":
            self.control(*again)
        else:
            self.start(kind)

    def wait_beyond(self, count: int) -> None:
        """Wait until the ledger has more than so many intervals, or the run has ended."""
        ends = time.monotonic() + _SETTLED_WITHIN_S
        while settled(self.out) <= count and self.running["control"].poll() is None:
            if time.monotonic() > ends:
                raise click.ClickException(f"interval {count} was not settled in {_SETTLED_WITHIN_S:g} s")
            time.sleep(0.005)


def measure(kind: str, kills: int, folder: Path, seed: int, *, spares: bool = False) -> dict[str, Any]:
    """Kill processes of one kind again and again; seconds until the next interval was settled."""
    draw, out, took_s = random.Random(seed), folder / "run", []
    scenario = written_scenario(folder, intervals=BETWEEN * kills + 20)
    subprocess.run(
        [*COMMAND, "run", str(scenario), "--run-id", "village", "--out", str(folder / "whole")],
        check=True,
        capture_output=True,
    )
    with ExitStack() as stack:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        configuration = folder / "mosquitto.conf"
        configuration.write_text(open_listener(port, root=os.geteuid() == 0))
        victims = Victims(scenario, f"mqtt://127.0.0.1:{port}", out, configuration)
        stack.callback(_end, victims)
        victims.start_broker()
        for role in ROLES:
            victims.start(role)
        if spares:
            victims.start_spares(kind, kills)
        victims.control(*victims.common, "--out", str(out))
        victims.wait_beyond(1)
        while len(took_s) < kills and victims.running["control"].poll() is None:
            victims.wait_beyond(settled(out))
            time.sleep(draw.random() * 0.3)
            before, began = settled(out), time.monotonic()
            victims.strike(kind)
            victims.wait_beyond(before)
            took_s.append(time.monotonic() - began)
        _, said = victims.running["control"].communicate(timeout=600)
        if victims.running["control"].returncode:
            raise click.ClickException(said.decode())
    wrong, _ = check_ledger(out)
    if wrong:
        raise click.ClickException(f"the ledger of {kind} does not hold: {wrong}")
    return {
        "kind": kind,
        "seconds": took_s,
        "flagged": int(load(out).intervals["flags"].gt(0).sum()),
        "differing": len(set(bookings(load(out))) ^ set(bookings(load(folder / "whole")))),
    }


def _end(victims: Victims) -> None:
    for spare in victims.spares:
        spare.kill()
        spare.wait()
    for name in list(victims.running):
        victims.kill(name)


@click.command()
@click.option("--kills", default=20, show_default=True, type=click.IntRange(1))
@click.option(
    "--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="One of them alone; all by default."
)
@click.option("--spares", is_flag=True, help="Roles alone, each with as many processes that stand ready.")
@click.option("--seed", default=1, show_default=True)
@click.option("--json", "file", type=click.Path(path_type=Path), help="Also write the figures here.")
def main(kinds: tuple[str, ...], kills: int, spares: bool, seed: int, file: Path | None) -> None:
    """Time recovery from each kind of kill."""
    table = Table(title=f"From the kill until the next interval is settled; {kills} kills each")
    for column in ("killed", "p50 [s]", "max [s]", "intervals flagged", "entries that differ"):
        table.add_column(column, justify="left" if column == "killed" else "right")
    figures = []
    for kind in kinds or (ROLES if spares else KINDS):
        with tempfile.TemporaryDirectory() as folder:
            figures.append(found := measure(kind, kills, Path(folder), seed, spares=spares))
        seconds = found["seconds"]
        click.echo(f"{kind}: {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s", err=True)
        middle, most = (f"{value:.1f}" for value in (statistics.median(seconds), max(seconds)))
        table.add_row(kind, middle, most, str(found["flagged"]), str(found["differing"]))
    Console().print(table)
    if file is not None:
        file.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
