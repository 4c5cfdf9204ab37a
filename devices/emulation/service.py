"""The host of emulated devices on the bus.

It shares nothing with the gateway, which reaches the devices over Modbus alone; the devices learn what is
wanted of them from their registers alone.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from broker.messages import Step, TruthBatch, WamOutcome, columns
from broker.participant.node import Node
from broker.participant.others import reports
from broker.participant.voltages import FeederVoltages
from broker.snapshot import Values, part
from devices.emulation.fault_injector import Injector
from devices.emulation.fleet import Fleet
from devices.emulation.fleet_consumers import NO_STORES, Stores

Array = NDArray[np.float64]
_MOST_FLAGS = 5


class Environment(Protocol):
    """What happens around the emulated devices."""

    def substeps(self, tick: int) -> tuple[Array, Array, Array, float]:
        """Load [kW], its reactive power [kvar] and available PV [kW], ``(s, m)`` each, and a sub-step [s]."""
        ...

    def take_voltages(self, lam_v_pu: Array) -> None:
        """Go by the voltage of each LAM, ``(M,)`` [pu], from the next interval on; 0 without source."""
        ...

    def snapshot(self) -> Values:
        """What it remembers from one interval to the next."""
        ...

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is another's."""
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
    injector
        Faults to put into the fleet; then what really flowed is published for the record.
    members
        Index of each prosumer in the population, ``(m,)``; needed with faults.
    gateways
        Services that set the devices: the interval passes once they have.
    stores
        Says what chargers and flexible loads are up to in a tick, where the fleet has such.
    """

    def __init__(
        self,
        node: Node,
        fleet: Fleet,
        environment: Environment,
        lams: Sequence[int],
        first_tick: int = 0,
        injector: Injector | None = None,
        members: Sequence[int] = (),
        gateways: Sequence[str] = (),
        stores: Callable[[int], Stores] = lambda _: NO_STORES,
    ) -> None:
        self.node = node
        self.fleet = fleet
        self.environment = environment
        self.injector = injector
        self.members = np.array(members, dtype=np.intp)
        self.lams = np.array(lams, dtype=np.intp)
        self.set = reports(node, gateways, "dispatch")
        self.voltages = FeederVoltages(node, self._take_voltages)
        self.stores = stores
        load_kw, load_kvar, pv_kw, dt_s = environment.substeps(first_tick)
        fleet.begin(load_kw[0], load_kvar[0], pv_kw[0])
        fleet.consumers.show(stores(first_tick), len(load_kw) * dt_s / 3600.0)
        if injector is not None:
            injector.begin(first_tick)
        self._outcome: WamOutcome | None = None
        node.on(node.topics.wam_outcome, self._take_outcome)

    async def on_step(self, step: Step) -> None:
        """Let the interval pass in ``act``; take over the feeder's voltages in ``settle``."""
        if step.step == "act":
            await self.set.wait(step)
            await self._act(step)
            await self.node.done(step.step, step.tick)
        elif step.step == "settle":
            await self.voltages.settle(step)
            if self.injector is not None:
                self.injector.begin(step.tick + 1)

    async def snapshot(self) -> Values:
        """State of the fleet, of what is around it and of its faults."""
        faults = {} if self.injector is None else self.injector.snapshot()
        return {
            "fleet": self.fleet.snapshot(),
            "environment": self.environment.snapshot(),
            "faults": faults,
        }

    async def restore(self, values: Values) -> None:
        """See `broker.snapshot.Stateful`."""
        if self.injector is not None:
            self.injector.restore(part(values, "faults"))
        self.environment.restore(part(values, "environment"))
        self.fleet.restore(part(values, "fleet"))
        self._outcome = None

    async def _act(self, step: Step) -> None:
        if self.injector is not None:
            self.injector.strike(step.tick)
        load_kw, load_kvar, pv_kw, dt_s = self.environment.substeps(step.tick)
        fed = self._fed(step.tick)
        stores = self.stores(step.tick)
        self.fleet.advance(load_kw * fed, load_kvar * fed, pv_kw * fed, dt_s, stores)
        self._flag_lacking(stores)
        self.fleet.consumers.show(self.stores(step.tick + 1), len(load_kw) * dt_s / 3600.0)
        if self.injector is not None:
            await self.node.publish(
                self.node.topics.truth(self.node.name),
                TruthBatch,
                step.tick,
                prosumer=columns.pack_index(self.members),
                energy_kwh=columns.pack(self.fleet.mean_kw * step.interval_s / 3600.0),
            )

    def _flag_lacking(self, stores: Stores) -> None:
        """Name who lacks energy that it wanted by the end of the interval, such as a vehicle that leaves."""
        lacking = self.fleet.consumers.lacking(stores)
        for kind, k, kwh in lacking[:_MOST_FLAGS]:
            what = "vehicle" if kind == "ev" else "load"
            self.node.flag(
                f"{kwh:.3g} kWh that the {what} of {self.fleet.prosumers[k].id} wanted by now are missing"
            )
        if len(lacking) > _MOST_FLAGS:
            rest = sum(kwh for *_, kwh in lacking[_MOST_FLAGS:])
            self.node.flag(f"{rest:.3g} kWh that {len(lacking) - _MOST_FLAGS} more wanted by now are missing")

    def _take_outcome(self, outcome: WamOutcome) -> None:
        self._outcome = outcome

    def _fed(self, tick: int) -> Array:
        """1 for each prosumer, 0 where no source feeds its LAM: nothing is used or made there ``(m,)``."""
        outcome = self._outcome
        unserved = outcome.unserved if outcome is not None and outcome.tick == tick else []
        return np.where(np.isin(self.lams, unserved), 0.0, 1.0)

    def _take_voltages(self, lam_v_pu: Array) -> None:
        self.fleet.set_voltage(lam_v_pu[self.lams])
        self.environment.take_voltages(lam_v_pu)
