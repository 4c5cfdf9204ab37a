"""Services on the bus: a host of emulated devices, and the gateway between any devices and the market.

They share nothing: the gateway reaches the devices over Modbus alone, and the devices learn what is wanted of
them from their registers alone.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from broker import columns
from broker.collector import Collector
from broker.messages import Acknowledgement, FeederState, Message, SetPoint, Step, Telemetry
from broker.node import Node
from devices.emulator import Fleet
from devices.gateway import Gateway
from devices.reading import Reading, less

Array = NDArray[np.float64]
_FEEDER = "feeder"
_MOST_FLAGS = 5


class Environment(Protocol):
    """What happens around the emulated devices."""

    def substeps(self, tick: int) -> tuple[Array, Array, Array, float]:
        """Load [kW], its reactive power [kvar] and available PV [kW], ``(s, m)`` each, and a sub-step [s]."""
        ...


class DeviceHostService:
    """Service: lets the emulated devices act, and gives them the feeder's voltages.

    Parameters
    ----------
    node
        Participant on the bus.
    fleet
        Devices; begins in the steady state of the first sub-step.
    environment
        Load and sun of the fleet's prosumers, in the fleet's order.
    lams
        Index of the LAM of each prosumer, ``(m,)``.
    first_tick
        Tick with which the run starts.
    """

    def __init__(
        self,
        node: Node,
        fleet: Fleet,
        environment: Environment,
        lams: Sequence[int],
        first_tick: int = 0,
    ) -> None:
        self.node = node
        self.fleet = fleet
        self.environment = environment
        self.lams = np.array(lams, dtype=np.intp)
        self._feeder: Collector[FeederState] = Collector([_FEEDER])
        load_kw, load_kvar, pv_kw, _ = environment.substeps(first_tick)
        fleet.begin(load_kw[0], load_kvar[0], pv_kw[0])
        node.on(node.topics.feeder_state, self._take_voltages)

    async def on_step(self, step: Step) -> None:
        """Let the interval pass in ``act``; take over the feeder's voltages in ``settle``."""
        if step.step == "act":
            self.fleet.advance(*self.environment.substeps(step.tick))
            await self.node.done(step.step, step.tick)
        elif step.step == "settle":
            await self._set_voltages(step)
            await self.node.done(step.step, step.tick)

    def _take_voltages(self, state: FeederState) -> None:
        self._feeder.add(_FEEDER, state.tick, state)

    async def _set_voltages(self, step: Step) -> None:
        states = await self._feeder.wait(step.tick, step.deadline)
        if _FEEDER not in states or not states[_FEEDER].solved:
            self.node.flag(f"no voltages for the devices in tick {step.tick}; they keep the last ones")
            return
        self.fleet.set_voltage(columns.unpack(states[_FEEDER].lam_v_pu)[self.lams])


@dataclass(frozen=True, slots=True)
class _Settled:
    """Net counters [kWh, kvarh] from which the energy of ``next_tick`` counts."""

    next_tick: int
    kwh: float | None
    kvarh: float | None


class GatewayService:
    """Service: publishes what meters and inverters say, and carries out set-points.

    Energy of an interval is the difference to the settlement reading before, so that the quantisation of the
    counters telescopes. Where that reading was not good, the interval is counted from its own first reading
    instead, so that energy which was settled by an estimate is not settled again.

    Parameters
    ----------
    node
        Participant on the bus.
    gateway
        Way to the devices.
    """

    def __init__(self, node: Node, gateway: Gateway) -> None:
        self.node = node
        self.gateway = gateway
        self._names = [prosumer.id for prosumer in gateway.prosumers]
        self._commands: Collector[asyncio.Task[None]] = Collector(self._names)
        self._settled: dict[str, _Settled] = {}
        node.extra_traffic = self._traffic
        for name in self._names:
            take = partial(self._take_set_point, name)
            node.on(node.topics.set_point(name), take, through=node.topics.set_point("+"))

    async def on_step(self, step: Step) -> None:
        """Read in ``measure`` and ``meter``; see in ``dispatch`` that all set-points are carried out."""
        if step.step == "measure":
            await self._measure(step)
        elif step.step == "dispatch":
            await self._dispatch(step)
        elif step.step == "meter":
            await self._meter(step)
        else:
            return
        await self.node.done(step.step, step.tick)

    async def _measure(self, step: Step) -> None:
        readings = await self._poll()
        for reading in readings:
            settled = self._settled.get(reading.prosumer)
            if reading.quality == "good" and (settled is None or settled.next_tick != step.tick):
                self._settled[reading.prosumer] = _Settled(step.tick, reading.net_kwh, reading.net_kvarh)
        await self._publish([self._telemetry(step, reading) for reading in readings])

    async def _meter(self, step: Step) -> None:
        telemetry = []
        for reading in await self._poll(inverters=False):
            energy: dict[str, float | None] = {}
            if reading.quality == "good":
                before = self._settled.get(reading.prosumer)
                now = _Settled(step.tick + 1, reading.net_kwh, reading.net_kvarh)
                self._settled[reading.prosumer] = now
                if before is not None and before.next_tick == step.tick:
                    energy = {
                        "interval_kwh": less(now.kwh, before.kwh),
                        "interval_kvarh": less(now.kvarh, before.kvarh),
                    }
            telemetry.append(self._telemetry(step, reading, energy))
        await self._publish(telemetry)

    async def _dispatch(self, step: Step) -> None:
        """Wait for the set-points and for the devices that they go to."""
        commands = await self._commands.wait(step.tick, step.deadline)
        if missing := self._commands.missing(commands):
            self.node.flag(f"{len(missing)} live prosumers got no set-point in tick {step.tick}")
        await asyncio.gather(*commands.values())

    def _take_set_point(self, name: str, set_point: SetPoint) -> None:
        task = asyncio.create_task(self._carry_out(name, set_point), name=f"set-point of {name}")
        try:
            self._commands.add(name, set_point.tick, task)
        except ValueError:
            task.cancel()
            raise

    async def _carry_out(self, name: str, set_point: SetPoint) -> None:
        outcome = await self.gateway.command(name, set_point.devices, set_point.valid_s)
        if not outcome.ok:
            self.node.flag(f"set-point of {name} not carried out: {outcome.detail}")
        await self.node.publish(
            self.node.topics.acknowledgement(name),
            Acknowledgement,
            set_point.tick,
            ok=outcome.ok,
            detail=outcome.detail,
        )

    async def _poll(self, *, inverters: bool = True) -> list[Reading]:
        readings = await self.gateway.poll(inverters=inverters)
        problems = self.gateway.problems
        for problem in problems[:_MOST_FLAGS]:
            self.node.flag(problem)
        if len(problems) > _MOST_FLAGS:
            self.node.flag(f"{len(problems) - _MOST_FLAGS} more devices could not be read")
        return readings

    def _telemetry(
        self, step: Step, reading: Reading, energy: dict[str, float | None] | None = None
    ) -> Telemetry:
        return self.node.stamp(
            self.node.topics.telemetry(step.step, reading.prosumer),
            Telemetry,
            step.tick,
            phase=step.step,
            p_kw=reading.p_kw,
            q_kvar=reading.q_kvar,
            v_pu=reading.v_pu,
            import_kwh=reading.import_kwh,
            export_kwh=reading.export_kwh,
            quality=reading.quality,
            devices=list(reading.devices),
            **(energy or {}),
        )

    async def _publish(self, telemetry: Sequence[Telemetry]) -> None:
        outgoing: list[tuple[str, Message]] = [
            (self.node.topics.telemetry(message.phase, name), message)
            for name, message in zip(self._names, telemetry, strict=True)
        ]
        # A measurement that is lost shows as a gap; it is not worth a receipt.
        await self.node.publish_all(outgoing, qos=0)

    def _traffic(self) -> dict[str, int]:
        counts = self.gateway.counts
        return {
            "modbus_reads": counts.reads,
            "modbus_writes": counts.writes,
            "modbus_errors": sum(counts.errors.values()),
        }
