"""Names that wire, core, files and tables share: each is declared once in the core and once on the wire."""

from typing import get_args

from broker.messages import WamOutcome
from broker.messages.audit import BenchmarkName, CertificateFigures, Rents
from cosim.results.columns import INTERVALS, LAMS
from cosim.results.figures import BENCHMARK_LABELS, BENCHMARKS, CertificateCounts, CostFigures
from market.analysis import reference
from market.analysis.certificate import Certificate
from market.files.result_schema import CertificateResult, DlmpResult
from market.model.dlmp import DLMP_PARTS


def names(columns, source=None):
    return [column.name for column in columns if source in (None, column.source)]


def test_parts_of_a_dlmp():
    assert DlmpResult.__struct_fields__ == DLMP_PARTS
    assert tuple(name for name in WamOutcome.__struct_fields__ if name in DLMP_PARTS) == DLMP_PARTS
    assert tuple(name for name in names(LAMS) if name in DLMP_PARTS) == DLMP_PARTS
    # Of energy nothing stays with the WAM: it is what the grid is paid.
    assert set(DLMP_PARTS) - set(Rents.__struct_fields__) == {"energy"}


def test_benchmarks():
    assert get_args(BenchmarkName) == get_args(reference.Name) == BENCHMARKS
    assert tuple(BENCHMARK_LABELS) == BENCHMARKS
    assert tuple(name for name in CostFigures.__struct_fields__ if name in BENCHMARKS) == BENCHMARKS
    costs = [name for name in names(INTERVALS) if name.startswith("cost_")]
    assert costs == ["cost_market", *(f"cost_{name}" for name in BENCHMARKS)]
    violated = [name.removeprefix("violated_") for name in names(INTERVALS) if name.startswith("violated_")]
    assert violated == [name for name in BENCHMARKS if name not in reference.OVER_NETWORK]


def test_figures_of_a_certificate():
    figures = CertificateFigures.__struct_fields__
    assert sorted(names(INTERVALS, "certificate")) == sorted(figures)
    assert set(CertificateCounts.__struct_fields__) == {"intervals", "holds", *figures}
    for name in {*figures, *CertificateResult.__struct_fields__}:
        assert hasattr(Certificate, name) or name in Certificate.__dataclass_fields__
