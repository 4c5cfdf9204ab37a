"""Logs as lines of JSON, for whoever collects them: one object a line, with time, level, logger and event."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog

LogForm = Literal["plain", "json"]


def log_as(form: LogForm, level: str) -> None:
    """Write this process's log to standard error.

    Parameters
    ----------
    form
        ``plain`` for people, ``json`` for programs.
    level
        The least that is written: ``debug``, ``info``, ``warning`` or ``error``.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
