"""A run on one page: figures, map and settlement in a self-contained HTML file."""

from cosim.report.page import report_command, write_report

__all__ = ["report_command", "write_report"]
