"""How a user meets an error: one line on standard error and an exit code."""

from __future__ import annotations

import errno
import sys
from typing import Any, NoReturn

import click

from cosim.extras import remedy
from sharegrid import PACKAGES
from sharegrid.errors import SharegridError
from sharegrid.text import cause

USER_ERROR = 2


class OneLineErrors(click.Group):
    """A command group that turns the project's errors into one line and exit code 2."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """As `click.Group.make_context`; a wrong option before the command is one line, too."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            _refuse_usage(error, info_name or "sharegrid")

    def invoke(self, ctx: click.Context) -> object:
        """As `click.Group.invoke`; what ends in an error ends the process."""
        try:
            _no_empty_arguments(ctx)
            return super().invoke(ctx)
        except SharegridError as error:
            _refuse(str(error))
        except click.UsageError as error:
            _refuse_usage(error, ctx.command_path)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] in PACKAGES:
                raise
            _refuse(f"{remedy(error.name or '')} for this command")
        except UnicodeEncodeError as error:
            _refuse(f"{error.object[:200]!r} holds a name that is no UTF-8; choose another name")
        except OSError as error:
            if error.errno in (None, errno.EPIPE):
                raise
            file = f"{error.filename}: " if error.filename else ""
            _refuse(f"{file}{cause(error)}; check the path, its rights and the free space")


def _no_empty_arguments(ctx: click.Context) -> None:
    if "" in ctx.args:
        raise click.UsageError("one argument is empty, as from a variable that is not set", ctx)


def _refuse_usage(error: click.UsageError, command: str) -> NoReturn:
    path = command if error.ctx is None else error.ctx.command_path
    reason = " ".join(error.format_message().split()).rstrip(".")
    _refuse(f"{reason}; see `{path} -h`")


def _refuse(why: str) -> NoReturn:
    """End with one line, whatever characters a file's name has."""
    line = " ".join(f"sharegrid: {why}".split())
    click.echo(line.encode(errors="backslashreplace").decode(), err=True)
    sys.exit(USER_ERROR)
