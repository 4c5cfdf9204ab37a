"""The roles of a run in processes of their own on this computer."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import click

from broker.server.child import Child, ChildFailed, running, with_parent
from broker.server.keeper import kept_running
from cosim.command_options import NO_PORT
from cosim.options import RunError, RunOptions, RunPlan
from cosim.results.names import SCENARIO
from cosim.scenario.changes import change_words
from cosim.world.names import Role
from devices.gateway.stopping import SECURED_WITHIN_S

_READY = re.compile(r"^(?:serving|ready to serve) .* of run .*$", re.MULTILINE)
_VIEW_READY = re.compile(r"^view: (http\S+.*)$", re.MULTILINE)
_PATIENCE_S = 300.0
_CLOSING_S = 3.0
_HOME = str(Path(__file__).resolve().parent.parent)


def serve_words(role: Role, options: RunOptions, run_id: str, out: Path) -> list[str]:
    """Command that serves a role of a run as this process would."""
    words = [sys.executable, "-P", "-m", "sharegrid", "serve", str(role)]
    # One that is taken up again goes by what it kept.
    scenario = options.scenario if options.resume is None else options.resume / SCENARIO
    words += [str(scenario)] if scenario else []
    words += change_words(options.changes)
    words += ["--run-id", run_id, "--out", str(out)]
    for name in ("intervals", "start", "seed"):
        value = getattr(options, name)
        words += [] if value is None else [f"--{name}", str(value)]
    words += ["--arm"] if options.arm else []
    return words + (["--observe"] if options.observe else [])


@asynccontextmanager
async def role_processes(
    plan: RunPlan, url: str, roles: Sequence[Role]
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Processes that serve some roles of a run, one each, for the time of a ``with`` block.

    They start meanwhile: the block gets what waits until all of them serve.

    They end with the run; where this process dies, the system ends them as a signal does, so that armed
    hardware goes to its safe value. One that dies is started again, unless the scenario ends the run then;
    with ``--spares`` another one stands ready to take its place at once.
    The broker's address goes to them in the environment, where no list of processes shows it.

    Raises
    ------
    RunError
        By what waits: one of them does not start; its last words are in the text.
    """
    env = _environment(url)

    async def start(role: Role, stack: AsyncExitStack) -> None:
        words = serve_words(role, plan.options, plan.run_id, plan.out)

        def process(*more: str) -> AbstractAsyncContextManager[Child]:
            argv = with_parent([*words, *more], signal.SIGTERM)
            return running(
                argv,
                _READY,
                env=env,
                patience_s=_PATIENCE_S,
                closing_s=_closing_s(role, plan.options),
                on_output=_pass_on,
            )

        try:
            child = await stack.enter_async_context(process())
        except ChildFailed as error:
            raise RunError(f"the process of role {role} did not start: {error}") from None
        if plan.scenario.recovery.on_loss != "end":
            # Where a spare has stepped in meanwhile, it is the next spare.
            again = process if role is Role.LAM else partial(process, "--spare")
            name = f"the process of role {role}"
            await stack.enter_async_context(kept_running(name, child, again, is_done=_has_ended_its_run))
            if plan.options.spares and role is not Role.LAM:
                name = f"the spare process of role {role}"
                await stack.enter_async_context(kept_running(name, None, again, is_done=_has_ended_its_run))

    async with AsyncExitStack() as stack:
        shares = plan.scenario.market.lam_shares
        each = [role for role in roles for _ in range(shares if role is Role.LAM else 1)]
        starting = [asyncio.create_task(start(role, stack), name=f"start {role}") for role in each]

        async def started() -> None:
            await asyncio.gather(*starting)

        try:
            yield started
        finally:
            for task in starting:
                task.cancel()
            await asyncio.gather(*starting, return_exceptions=True)


def _closing_s(role: Role, options: RunOptions) -> float:
    """How long a role's process may take to end [s]: one may have to bring hardware to its safe value."""
    is_commanding = role is Role.DEVICES and options.arm
    return SECURED_WITHIN_S + _CLOSING_S if is_commanding else _CLOSING_S


def _has_ended_its_run(child: Child) -> bool:
    return child.status == 0


def refuse_taken(port: int | None) -> None:
    """Raise `RunError` where a view cannot have the port that it is given, before anything is built."""
    if not port or port == NO_PORT:
        return
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
            tried.listen()
        except OSError as error:
            raise RunError(
                f"--view {port}: 127.0.0.1:{port}: {error.strerror or error}; "
                "choose another port, or leave it out for a free one"
            ) from None


@asynccontextmanager
async def view_process(port: int | None, url: str, run_id: str) -> AsyncIterator[str]:
    """The live view of a run in a process of its own, so that neither holds up the other; where it is.

    Parameters
    ----------
    port
        Where to serve it, `NO_PORT` at the usual port or a free one; ``None`` for no view.
    url, run_id
        The run's broker and its name.

    Raises
    ------
    RunError
        It does not start; its last words are in the text.
    """
    if port is None:
        yield ""
        return
    words = [sys.executable, "-P", "-m", "sharegrid", "view", "--run-id", run_id]
    words += [] if port == NO_PORT else ["--port", str(port)]
    child = running(with_parent(words, signal.SIGTERM), _VIEW_READY, env=_environment(url))
    async with AsyncExitStack() as stack:
        try:
            started = await stack.enter_async_context(child)
        except ChildFailed as error:
            raise RunError(f"--view: it did not start: {error}") from None
        yield started.match[1]


def _environment(url: str) -> dict[str, str]:
    """What a process of ours inherits: the broker's address, which no list of processes then shows."""
    path = os.pathsep.join(filter(None, [_HOME, os.environ.get("PYTHONPATH", "")]))
    env = {**os.environ, "SHAREGRID_BROKER": url, "PYTHONPATH": path}
    env.pop("SHAREGRID_METRICS", None)
    return env


def _pass_on(said: bytes) -> None:
    click.echo(said, err=True, nl=False)
