"""The feeder as a unit: net power of each LAM in, voltages, head power and losses out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cosim.feeder.boundary import Boundary
from cosim.feeder.circuit import Floats
from cosim.feeder.dispatch import OperatingRules, Physics
from cosim.feeder.linear import Limits
from cosim.feeder.opendss import Feeder
from cosim.feeder.operation import Operation
from cosim.links.fmi.model import Port

_LOW_PU, _HIGH_PU = 0.95, 1.05
_MOMENT_S = 1.0
SOURCE = "source_pu"


class FeederModel:
    """See `cosim.links.fmi.model.Model`; a step is what the loop makes of an interval that was metered.

    Parameters
    ----------
    feeder
        The feeder.
    controls_act
        Whether regulators and switched capacitors act within a step.
    """

    def __init__(self, feeder: Feeder, *, controls_act: bool = True) -> None:
        self._feeder = feeder
        self._layout = layout = feeder.layout
        limits = Limits(_LOW_PU, _HIGH_PU, layout.rating_a)
        self._rules = OperatingRules(limits, _MOMENT_S, np.zeros(len(layout.lams)), controls_act=controls_act)
        self._operation = Operation(self._rules)
        self.inputs = {port.name: port.start for port in self._in()}
        self.outputs: dict[str, float] = {}

    def ports(self) -> tuple[list[Port], list[Port]]:
        """See `Model.ports`."""
        if not self.outputs:
            self.begin()
        out = [
            Port("head_kw", 0.0, "kW", "power at the feeder head, mean of the step, + import"),
            Port("head_kvar", 0.0, "kvar", "its reactive power"),
            Port("losses_kw", 0.0, "kW", "losses, mean of the step"),
            Port("v_min_pu", 0.0, "pu", "lowest node voltage at the end of the step"),
            Port("v_max_pu", 0.0, "pu", "highest node voltage at the end of the step"),
            Port("max_loading", 0.0, "", "highest current over rating at the end of the step"),
            *(Port(f"tap.{name}", 0.0, "", f"tap of regulator {name}") for name in self._layout.regulators),
            *(Port(f"v_pu.{name}", 0.0, "pu", f"voltage of node {name}") for name in self._layout.nodes),
        ]
        return self._in(), [port._replace(start=self.outputs[port.name]) for port in out]

    def begin(self) -> None:
        """See `Model.begin`; controls stand where the feeder's file has them."""
        self._solve(_MOMENT_S, controls_act=False)

    def step(self, step_s: float) -> None:
        """See `Model.step`."""
        if step_s > 0.0:
            self._solve(step_s, controls_act=self._rules.controls_act)
        else:
            self.begin()

    def _in(self) -> list[Port]:
        layout = self._layout
        spot_kvar = layout.spot_kw * layout.tan_phi
        loads = [
            port
            for name, kw, kvar in zip(layout.lams, layout.spot_kw, spot_kvar, strict=True)
            for port in (
                Port(f"net_kw.{name}", float(kw), "kW", f"net power of LAM {name}, + draws"),
                Port(f"net_kvar.{name}", float(kvar), "kvar", f"its reactive power at LAM {name}"),
            )
        ]
        return [*loads, Port(SOURCE, 0.0, "pu", "voltage of the source; 0 for what the feeder's file says")]

    def _solve(self, step_s: float, *, controls_act: bool) -> None:
        self._operation.rules = replace(self._rules, interval_s=step_s, controls_act=controls_act)
        self._operation.stand_at(self._feeder, Boundary(source_pu=self.inputs[SOURCE] or None))
        net_kw, net_kvar = (self._loads(name) for name in ("net_kw", "net_kvar"))
        self._tell(self._operation.meter(self._feeder, net_kw, net_kvar))

    def _loads(self, name: str) -> Floats:
        return np.array([self.inputs[f"{name}.{lam}"] for lam in self._layout.lams])

    def _tell(self, physics: Physics) -> None:
        last, layout = physics.run.last, self._layout
        loading = self._rules.limits.loading(last.current_a)
        self.outputs = {
            "head_kw": physics.mean("source_kw"),
            "head_kvar": physics.mean("source_kvar"),
            "losses_kw": physics.mean("losses_kw"),
            "v_min_pu": float(np.nanmin(last.v_pu)),
            "v_max_pu": float(np.nanmax(last.v_pu)),
            "max_loading": float(loading.max(initial=0.0)),
            **{f"tap.{name}": float(tap) for name, tap in zip(layout.regulators, last.taps, strict=True)},
            **{f"v_pu.{name}": float(v_pu) for name, v_pu in zip(layout.nodes, last.v_pu, strict=True)},
        }
