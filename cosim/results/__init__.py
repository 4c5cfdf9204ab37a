"""What a run leaves behind: tables, ledger, summary; ``load(directory)`` reads it back."""

from cosim.results.arrow import ResultsError
from cosim.results.directory import FeederMap, Run, RunWriter, load

__all__ = ["FeederMap", "ResultsError", "Run", "RunWriter", "load"]
