"""The ledger that is kept of a small run, so that a change of any amount is seen.

tests/integration/run/test_kept_ledger.py runs the same scenario and compares; ``python -m
scripts.make_kept_ledger`` writes the amounts anew, and version control then shows which ones moved. Do that
only where they should move, and say why in the commit.
"""

import csv
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCENARIO = ROOT / "tests" / "integration" / "run" / "data" / "village.toml"
KEPT = SCENARIO.with_name("village_ledger.csv")

Amounts = dict[tuple[int, str, str], int]
"""Micro-dollars, positive when received, by interval, kind of entry and account."""

_ENTRIES = """
SELECT tick, kind.name, account.name, micro
FROM entry JOIN kind ON kind.id = entry.kind JOIN account ON account.id = entry.account
ORDER BY tick, kind.id, account.id
"""


def play(out: Path, broker: str = "embedded") -> Amounts:
    """Amounts of the scenario, run anew into a directory."""
    command = [sys.executable, "-m", "sharegrid", "run", str(SCENARIO), "--broker", broker, "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"the run ended with status {done.returncode}: {done.stderr}")
    with closing(sqlite3.connect(f"{(out / 'ledger.sqlite').as_uri()}?mode=ro", uri=True)) as ledger:
        return {(tick, kind, account): micro for tick, kind, account, micro in ledger.execute(_ENTRIES)}


def kept() -> Amounts:
    """Amounts as they are kept."""
    with KEPT.open(encoding="utf-8", newline="") as file:
        return {
            (int(row["tick"]), row["kind"], row["account"]): int(row["micro"]) for row in csv.DictReader(file)
        }


def main() -> None:
    """Run the scenario and write the amounts."""
    with tempfile.TemporaryDirectory() as folder:
        amounts = play(Path(folder) / "run")
    with KEPT.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("tick", "kind", "account", "micro"))
        rows.writerows((*key, micro) for key, micro in amounts.items())


if __name__ == "__main__":
    main()
