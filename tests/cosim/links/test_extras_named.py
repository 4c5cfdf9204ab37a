"""Without its library a link says which extra brings it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("library", "words", "extra"),
    [
        ("helics", ["helics", "--patience", "0.2"], "helics"),
        ("pythonfmu", ["fmi", "feeder", "--out", "grid.fmu"], "fmi"),
    ],
)
def test_a_link_without_its_library_names_the_extra(library, words, extra, tmp_path):
    # An import of what is set to None fails as that of what is not there.
    code = f"import sys; sys.modules[{library!r}] = None; from cosim.cli import main; main({words!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"sharegrid: {library} is not installed: pip install 'sharegrid[{extra}]' for this command\n"
    )
    assert not list(tmp_path.iterdir())
