"""Shows which part of each package's lines the tests ran, and fails where it fell: FILE --least PERCENT.

FILE is what slipcover wrote; it sees the tests' own process, not what a test starts as another one.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def by_package(files: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Lines that were run, and all lines with code, of each package and in ``total``."""
    ran: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    for name, file in files.items():
        for key in (Path(name).parts[0], "total"):
            ran[key] += len(file["executed_lines"])
            lines[key] += len(file["executed_lines"]) + len(file["missing_lines"])
    return {key: (ran[key], lines[key]) for key in sorted(lines, key=lambda key: (key == "total", key))}


def main() -> None:
    """Print a line for each package, and exit with status 1 where the total is below the least."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="JSON that slipcover wrote")
    parser.add_argument("--least", type=float, default=0.0, help="least percentage of all lines")
    given = parser.parse_args()
    figures = by_package(json.loads(given.file.read_text(encoding="utf-8"))["files"])
    for key, (ran, lines) in figures.items():
        print(f"{key:10} {100 * ran / lines:6.2f} % of {lines:6,} lines")
    ran, lines = figures["total"]
    if 100 * ran / lines < given.least:
        sys.exit(f"coverage {100 * ran / lines:.2f} % is below {given.least:g} %: test what you added")


if __name__ == "__main__":
    main()
