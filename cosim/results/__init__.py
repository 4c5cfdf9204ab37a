"""What a run leaves behind: tables, ledger, summary; ``load(directory)`` reads it back."""

from cosim.results.arrow import ResultsError
from cosim.results.directory import FeederMap
from cosim.results.reader import Run, load
from cosim.results.writer import RunWriter

__all__ = ["FeederMap", "ResultsError", "Run", "RunWriter", "load"]
