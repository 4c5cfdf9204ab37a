import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from market.errors import CaseError, NotConverged
from market.files.case_file import encode_case, read_case
from market.files.result_file import clear_file, solve_case
from market.methods import Solved
from market.solver.clearing import clear

CASES = Path(__file__).parents[1] / "cases"


def test_a_result_has_exactly_the_documented_keys(tmp_path):
    out = tmp_path / "result.json"
    status, _ = clear_file(CASES / "rows-binding.json", out)
    result = json.loads(out.read_text())
    assert status == 0
    assert list(result) == [
        "format", "status", "method", "prosumers", "resources", "lams", "wam",
        "social_cost", "optimum_cost", "benchmarks", "kpis", "certificate",
        "iterations", "seconds", "certificate_seconds",
    ]  # fmt: skip
    assert (result["format"], result["status"], result["method"]) == (1, "optimal", "exact")
    assert list(result["prosumers"]) == ["id", "trade_kw", "payment_per_h"]
    assert list(result["resources"]) == ["output_kw"]
    assert list(result["lams"]) == ["id", "net_kw", "price", "wam_price", "dlmp"]
    assert list(result["lams"]["dlmp"]) == ["energy", "loss", "voltage", "congestion"]
    assert list(result["wam"]) == ["grid_kw", "energy_price", "row_value", "row_dual"]
    assert result["benchmarks"]["optimum"] == {"social_cost": result["optimum_cost"], "violates": []}
    worse = result["benchmarks"]["no_sharing"]
    assert (result["kpis"]["efficiency"] is None) == bool(worse["violates"])
    assert 0.0 < result["kpis"]["lam_internal_share"] <= 1.0
    assert list(result["certificate"]) == ["balance_kw", "row_violation", "duality_gap", "exploitability"]
    assert result["seconds"] > 0
    assert result["certificate_seconds"] > 0


def test_a_result_carries_full_precision_and_adds_up(tmp_path):
    out = tmp_path / "result.json"
    case = read_case(CASES / "rows-binding.json")
    clear_file(CASES / "rows-binding.json", out)
    result = json.loads(out.read_text())
    outcome = clear(case)
    assert result["prosumers"]["trade_kw"] == outcome.trade_kw.tolist()
    parts = np.sum(list(result["lams"]["dlmp"].values()), axis=0)
    assert parts == pytest.approx(result["lams"]["wam_price"], abs=1e-12)
    assert result["optimum_cost"] <= result["social_cost"] + 1e-9
    trade, price = np.array(result["prosumers"]["trade_kw"]), np.array(result["lams"]["price"])
    expected = price[case.lam_of] * trade + case.fee[case.lam_of] * abs(trade)
    assert result["prosumers"]["payment_per_h"] == pytest.approx(expected.tolist())


@pytest.mark.parametrize(
    ("name", "words"), [("infeasible-balance", "power balance"), ("infeasible-row", "network row row0")]
)
def test_an_infeasible_case_says_what_cannot_be_met_and_by_how_much(tmp_path, name, words):
    out = tmp_path / "result.json"
    status, _ = clear_file(CASES / f"{name}.json", out)
    result = json.loads(out.read_text())
    assert status == 3
    assert result["status"] == "infeasible"
    assert words in result["reason"]
    assert "beyond its limit" in result["reason"]


def test_a_solver_that_gives_up_is_reported(tmp_path):
    def gives_up(case):
        raise NotConverged(7, 0.5)

    out = tmp_path / "result.json"
    status, _ = clear_file(CASES / "two-lams.json", out, "plain", gives_up)
    result = json.loads(out.read_text())
    assert status == 4
    assert (result["status"], result["method"]) == ("not_converged", "plain")
    assert "7 iterations" in result["reason"]


def test_a_result_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(CaseError, match=r"folder\.json: .*; choose"):
        clear_file(CASES / "two-lams.json", tmp_path / "no" / "such" / "folder.json")


def test_an_earlier_result_outlives_a_disk_that_is_full(tmp_path, monkeypatch):
    out = tmp_path / "result.json"
    out.write_text("an earlier result")
    write = Path.write_bytes

    def full(path, data):
        write(path, data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CaseError, match=r"result\.json: No space left on device; choose"):
        clear_file(CASES / "two-lams.json", out, force=True)
    assert out.read_text() == "an earlier result"
    assert list(tmp_path.iterdir()) == [out]


def test_a_result_replaces_an_earlier_one_behind_a_link(tmp_path):
    kept, link = tmp_path / "kept.json", tmp_path / "latest.json"
    kept.write_text("an earlier result")
    link.symlink_to(kept)
    clear_file(CASES / "two-lams.json", link, force=True)
    assert link.is_symlink()
    assert json.loads(kept.read_text())["status"] == "optimal"


def test_a_result_can_go_into_a_device(tmp_path):
    assert clear_file(CASES / "two-lams.json", Path(os.devnull))[0] == 0
    assert not Path(os.devnull).is_file()


def test_a_case_is_never_replaced_by_its_result(tmp_path):
    case = tmp_path / "case.json"
    case.write_bytes((CASES / "two-lams.json").read_bytes())
    with pytest.raises(CaseError, match=r"case\.json: is the case itself; choose another path"):
        clear_file(case, tmp_path / "." / "case.json")
    assert case.read_bytes() == (CASES / "two-lams.json").read_bytes()


def test_a_case_of_one_prosumer_with_nothing_is_solved():
    case = read_case(CASES / "one-lam.json")
    keep = np.zeros(0, dtype=int)
    bare = replace(
        case,
        prosumer_id=("only",),
        lam_of=np.zeros(1, dtype=int),
        demand_kw=np.array([2.0]),
        resources=replace(case.resources, owner=keep, **{
            key: np.zeros(0) for key in ("min_kw", "max_kw", "cost_linear", "cost_quadratic")
        }),
    )  # fmt: skip
    result = solve_case(bare)
    assert result.status == "optimal"
    assert result.prosumers.trade_kw == [2.0]
    assert b'"lam":["lam0"]' in encode_case(bare)


def test_an_outcome_that_its_certificate_refutes_is_never_optimal(tmp_path):
    """Whatever a solver says of itself: here it forgets all fees and strategic terms."""

    def careless(case):
        ideal = replace(case, fee=0.0 * case.fee, wam_fee=0.0 * case.wam_fee, wam_sensitivity=1e9)
        return Solved(clear(replace(ideal, sensitivity=1e9 * case.sensitivity)))

    out = tmp_path / "result.json"
    status, result = clear_file(CASES / "rows-binding.json", out, solver=careless)
    assert status == 4
    assert result.status == "not_converged"
    assert "gains by another bid" in result.reason
    assert json.loads(out.read_text())["reason"] == result.reason


@pytest.mark.parametrize("method", ["plain", "slope", "curve"])
def test_rounds_of_bids_stand_in_the_result(tmp_path, method):
    out = tmp_path / "result.json"
    status, _ = clear_file(CASES / "rows-binding.json", out, method)
    result = json.loads(out.read_text())
    assert (status, result["status"], result["method"]) == (0, "optimal", method)
    assert list(result["rounds"]) == ["wam", "lam", "messages", "bytes"]
    assert result["rounds"]["lam"] >= result["rounds"]["wam"] >= 1
    assert result["rounds"]["bytes"] >= 8 * result["rounds"]["messages"]
