"""The one place that calls HELICS: a value federate that never blocks the event loop.

HELICS's library holds a C++ runtime of its own, whose symbols a library that is loaded after it may get:
pyarrow then dies at its first time zone. So pyarrow comes first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow  # noqa: F401 - before HELICS, as said above

import helics  # isort: skip

from sharegrid.errors import SharegridError

Core = Literal["zmq", "zmq_ss", "tcp", "tcp_ss"]

_LEAST_WAIT_S, _MOST_WAIT_S = 5e-4, 2e-2
_CLOSING_S = 5.0


class FederationError(SharegridError):
    """No federation, one that refuses this federate, or one that is lost."""


@dataclass(frozen=True)
class FederateOptions:
    """Where a federation is, and what is taken of it.

    Attributes
    ----------
    name
        Name of the federate, before all that it publishes.
    address
        ``HOST:PORT`` of the federation's broker.
    core
        Type of the federation's core.
    takes
        Publications of others by own input; each must be there.
    patience_s
        How long to wait for the others at most [s].
    on_loss
        Whether a federation that is lost ends the run, or what it told last stands on.
    """

    name: str = "feeder"
    address: str = "127.0.0.1:23404"
    core: Core = "zmq"
    takes: tuple[str, ...] = ()
    patience_s: float = 60.0
    on_loss: Literal["end", "hold"] = "end"


class Federate:
    """A value federate of a federation; made by `join`.

    Parameters
    ----------
    handle
        HELICS's own.
    options
        As given.
    """

    def __init__(self, handle: Any, options: FederateOptions) -> None:
        self._handle = handle
        self._options = options
        self._inputs: dict[str, Any] = {}
        self._publications: dict[str, Any] = {}
        self._waits = False

    def register(
        self, inputs: Iterable[tuple[str, str]], told: Iterable[tuple[str, str]], takes: Mapping[str, str]
    ) -> None:
        """Register inputs and publications by key and unit; ``takes`` says what inputs are connected to."""
        name = self._options.name
        for key, unit in inputs:
            made = helics.helicsFederateRegisterGlobalTypeInput(self._handle, f"{name}/{key}", "double", unit)
            self._inputs[key] = made
            if key in takes:
                # Before the target: HELICS holds it against the option as it stands then.
                helics.helicsInputSetOption(made, helics.HELICS_HANDLE_OPTION_CONNECTION_REQUIRED, 1)
                helics.helicsInputAddTarget(made, takes[key])
        for key, unit in told:
            self._publications[key] = helics.helicsFederateRegisterGlobalTypePublication(
                self._handle, f"{name}/{key}", "double", unit
            )

    async def enter(self) -> None:
        """Wait until all federates are there and time begins.

        Raises
        ------
        FederationError
            They are not there in time, or something that is taken of them is not.
        """
        helics.helicsFederateEnterExecutingModeAsync(self._handle)
        waited = f"not all federates began at {self._options.address} within {self._options.patience_s:g} s"
        await self._completed(f"{waited}: start them, or give a longer --patience")
        self._call(helics.helicsFederateEnterExecutingModeComplete, self._handle)

    async def request(self, time_s: float) -> None:
        """Wait until the others let the federation's time be ``time_s`` [s].

        Raises
        ------
        FederationError
            They do not within the patience, or the federation is over.
        """
        helics.helicsFederateRequestTimeAsync(self._handle, time_s)
        await self._completed(
            f"the federation does not come to time {time_s:g} s within {self._options.patience_s:g} s"
        )
        granted_s = self._call(helics.helicsFederateRequestTimeComplete, self._handle)
        if granted_s >= helics.HELICS_TIME_MAXTIME - 1.0:
            raise FederationError(f"the federation is over before time {time_s:g} s: its broker has ended it")

    def told(self) -> dict[str, float]:
        """What others told since the time before, by own input."""
        return {
            key: helics.helicsInputGetDouble(made)
            for key, made in self._inputs.items()
            if helics.helicsInputIsUpdated(made)
        }

    def publish(self, values: Mapping[str, float]) -> None:
        """Tell the others values by key."""
        for key, value in values.items():
            self._call(helics.helicsPublicationPublishDouble, self._publications[key], value)

    async def leave(self) -> None:
        """Leave the federation; from one that is silent the connection is cut."""
        with suppress(helics.HelicsException):
            if self._waits:
                # What still waits for the others would keep the process from its end.
                helics.helicsCoreDisconnect(helics.helicsFederateGetCore(self._handle))
            else:
                helics.helicsFederateDisconnectAsync(self._handle)
            until = time.monotonic() + _CLOSING_S
            while not helics.helicsFederateIsAsyncOperationCompleted(self._handle):
                if time.monotonic() > until:
                    return
                await asyncio.sleep(_MOST_WAIT_S)
            if not self._waits:
                helics.helicsFederateDisconnectComplete(self._handle)
            helics.helicsFederateFree(self._handle)

    async def _completed(self, refusal: str) -> None:
        """Wait for what was begun; HELICS tells only by being asked."""
        self._waits = True
        until, pause_s = time.monotonic() + self._options.patience_s, _LEAST_WAIT_S
        while not helics.helicsFederateIsAsyncOperationCompleted(self._handle):
            if time.monotonic() > until:
                raise FederationError(refusal)
            await asyncio.sleep(pause_s)
            pause_s = min(1.2 * pause_s, _MOST_WAIT_S)
        self._waits = False

    def _call(self, function: Any, *words: Any) -> Any:
        try:
            return function(*words)
        except helics.HelicsException as error:
            raise FederationError(f"the federation at {self._options.address}: {_why(error)}") from None


async def join(options: FederateOptions) -> Federate:
    """Become a federate, as soon as the federation's broker answers.

    Raises
    ------
    FederationError
        It does not in time, or refuses the federate.
    """
    await _answers(options)
    info = helics.helicsCreateFederateInfo()
    helics.helicsFederateInfoSetCoreTypeFromString(info, options.core)
    helics.helicsFederateInfoSetCoreInitString(
        info, f"--broker_address=tcp://{options.address} --log_level=no_print"
    )
    helics.helicsFederateInfoSetFlagOption(info, helics.HELICS_FLAG_UNINTERRUPTIBLE, True)
    # So that an interval begins with what the others say of its own beginning.
    helics.helicsFederateInfoSetFlagOption(
        info,
        helics.HELICS_FLAG_WAIT_FOR_CURRENT_TIME_UPDATE,
        True,
    )
    helics.helicsFederateInfoSetIntegerProperty(
        info, helics.HELICS_PROPERTY_INT_CONSOLE_LOG_LEVEL, helics.HELICS_LOG_LEVEL_NO_PRINT
    )
    try:
        handle = await asyncio.to_thread(helics.helicsCreateValueFederate, options.name, info)
    except helics.HelicsException as error:
        raise FederationError(f"the federation at {options.address}: {_why(error)}") from None
    return Federate(handle, options)


async def _answers(options: FederateOptions) -> None:
    """Wait for the broker's socket: HELICS itself would try for long and say little."""
    host, _, port = options.address.rpartition(":")
    until = time.monotonic() + options.patience_s
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            if time.monotonic() > until:
                raise FederationError(
                    f"no HELICS broker answers at {options.address} within {options.patience_s:g} s: start "
                    "helics_broker, or give --federation HOST:PORT"
                ) from None
            await asyncio.sleep(0.2)
            continue
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return


def _why(error: Exception) -> str:
    """HELICS's own words, without the number before them."""
    return str(error).partition("] ")[2] or str(error)
