"""What is refused, what an interruption leaves, and how a study goes on."""

import errno
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from cosim.cli import main
from cosim.market_studies.catalogue import STUDIES
from cosim.market_studies.engine import InProcess
from cosim.market_studies.running import Interrupted, StudyOptions, run_study, study, unseen
from tests.cosim.market_studies.test_catalogue import parquet_of

SMALL = {"members": [4, 6], "lams": 2, "factors": [0.8, 1.2], "tried": 2, "seeds": 2}


def refused(*words, into):
    done = CliRunner().invoke(main, ["study", *words, "--jobs", "1", "--out", str(into)])
    assert done.exit_code == 2
    (line,) = [each for each in done.stderr.splitlines() if each.startswith("sharegrid: ")]
    return line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("convergense",), "study convergense: no such study; did you mean 'convergence'?"),
        (("nothing",), "choose from convergence, prices,"),
        (("prices", "--set", "member=3"), "--set member: no such key; did you mean 'members'?"),
        (("prices", "--set", "members=many"), "--set members: 'many' cannot be used; give a whole number"),
        (
            ("prices", "--set", "members=1"),
            "--set members: 1 cannot be used; give a whole number of at least 2",
        ),
        (("scale", "--set", "slopes=[0.1]"), "--set slopes: [0.1] cannot be used"),
        (("prices", "--set", "members"), "give KEY=VALUE"),
        (("all", "--set", "members=3"), "--set is for one study"),
        (("prices", "--scheduler", "tcp://127.0.0.1:9"), "no Dask scheduler answers there"),
        (("prices", "--scheduler", "nowhere at all"), "no Dask scheduler answers there"),
    ],
)
def test_bad_words_are_refused_in_one_line(monkeypatch, tmp_path, words, said):
    monkeypatch.setattr("cosim.market_studies.engine.CONNECT_S", 0.5)
    line = refused(*words, into=tmp_path / "out")
    assert said.replace("`", "") in line.replace("`", "")
    assert not (tmp_path / "out").exists()


def test_going_on_with_nothing_is_said(tmp_path):
    words = ["sweep", "--set", "run.seed=x", "--jobs", "1", "--resume", "--out"]
    none = tmp_path / "none"
    done = CliRunner().invoke(main, [*words, str(none)])
    assert f"--resume: {none} holds nothing to go on with; it is begun anew" in done.output
    (none / "study").mkdir(parents=True)
    (none / "study.json").write_text("{}")
    assert "begun anew" not in CliRunner().invoke(main, [*words, str(none)]).output


def test_results_are_replaced_or_gone_on_with_only_when_asked(tmp_path):
    words = ["study", "prices", "--jobs", "1", "--quick", "--out", str(tmp_path)]
    assert CliRunner().invoke(main, words).exit_code == 0
    assert "holds results already" in refused("prices", "--quick", into=tmp_path)
    assert CliRunner().invoke(main, [*words, "--resume"]).exit_code == 0
    other = refused("prices", "--quick", "--set", "lams=5", "--resume", into=tmp_path)
    assert "was begun with other settings (lams was 4)" in other
    assert "is of 'prices', not 'scale'" in refused("scale", "--quick", "--resume", into=tmp_path)
    assert CliRunner().invoke(main, [*words, "--set", "lams=5", "--force"]).exit_code == 0


def test_a_folder_that_another_program_began_is_not_gone_on_with(monkeypatch, tmp_path):
    study("prices", out=tmp_path, quick=True, jobs=1)
    monkeypatch.setattr("cosim.market_studies.store.identity", lambda: {"sharegrid": "9.9"})
    assert "was begun by another program" in refused("prices", "--quick", "--resume", into=tmp_path)


def test_keys_of_a_study_are_told_and_nothing_runs(tmp_path):
    words = ["study", "prices", "--keys", "--quick", "--set", "lams=7", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, words)
    assert "lams = 7: Number of LAMs" in done.stdout.splitlines()
    assert not (tmp_path / "out").exists()


class EndsAfter(InProcess):
    """An engine whose user loses patience."""

    def __init__(self, tasks):
        self.tasks = tasks

    def run(self, function, tasks, done):
        super().run(function, tasks[: self.tasks], done)
        if self.tasks < len(tasks):
            raise KeyboardInterrupt


def test_an_interrupted_study_keeps_what_is_done_and_goes_on_with_the_same_bits(tmp_path):
    behaviour = STUDIES["behaviour"]
    settings = behaviour.settled(SMALL)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run_study(behaviour, settings, whole, StudyOptions(), InProcess(), unseen)
    with pytest.raises(Interrupted, match=r"interrupted: 3 of 8 tasks are done and kept in .*--resume"):
        run_study(behaviour, settings, parts, StudyOptions(), EndsAfter(3), unseen)
    seen = []
    run_study(
        behaviour,
        settings,
        parts,
        StudyOptions(resume=True),
        InProcess(),
        lambda _name, done, _of: seen.append(done),
    )
    assert seen == [3, 4, 5, 6, 7, 8]
    assert parquet_of(parts) == parquet_of(whole)


def test_a_full_disk_is_one_line_and_what_is_done_is_kept(tmp_path):
    out = tmp_path / "out"
    # The kernel refuses files of more than 3 KiB: the record fits, what a task measured does not.
    command = f"ulimit -f 3; exec {sys.executable} -m sharegrid study behaviour --jobs 1 --out {out}"
    words = " ".join(f"--set '{key}={value}'" for key, value in (SMALL | {"tried": 30}).items())
    done = subprocess.run(
        ["bash", "-c", f"{command} {words}"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "MPLCONFIGDIR": str(tmp_path)},
        check=False,
    )
    (line,) = [each for each in done.stderr.splitlines() if each.startswith("sharegrid: ")]
    assert done.returncode == 2
    assert "parts/" in line
    assert "File too large" in line
    kept = len(list(out.glob("parts/*")))
    assert f"; {kept} of 8 tasks are done and kept in {out}, --resume goes on" in line


def test_a_disk_that_is_full_when_figures_are_drawn_keeps_what_was_measured(monkeypatch, tmp_path):
    def full(_figure, folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "prices.png"))

    with monkeypatch.context() as disk:
        disk.setattr("cosim.market_studies.running.save", full)
        line = refused("prices", "--quick", into=tmp_path)
    assert "prices.png: No space left on device; 1 of 1 tasks are done and kept in" in line
    assert "--resume goes on" in line
    assert study("prices", out=tmp_path, quick=True, jobs=1, resume=True).figures


def test_a_task_that_fails_is_named(tmp_path):
    line = refused("congestion", "--quick", "--set", "start='25:00'", into=tmp_path / "out")
    assert "congestion: task " in line
    assert "start=25:00" in line


async def test_a_study_runs_where_an_event_loop_runs(tmp_path):
    result = study("prices", out=tmp_path, quick=True, jobs=1)
    assert result.frame("members")["value_usd_per_kwh"].between(0.06, 0.30).all()
    assert "W+" in result.text
