"""The script in a unit, which the simulator's Python runs: between the FMI functions and a model.

pythonfmu looks for a class in it, and finds what it is about in ``unit.json`` beside it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID
from xml.etree.ElementTree import SubElement

from pythonfmu import Fmi2Causality, Fmi2Slave, Fmi2Variability, Real
from pythonfmu.enums import Fmi2Status

from cosim.links.fmi.contents import model_of, read_contents
from cosim.links.fmi.model import Port
from sharegrid.errors import SharegridError


class Unit(Fmi2Slave):  # type: ignore[misc]
    """A feeder or market for co-simulation."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        folder = Path(self.resources)
        contents = read_contents(folder)
        self.modelName, self.description = contents.name, contents.description
        self.guid = UUID(contents.guid)
        self.author = "sharegrid"
        self.model = model_of(contents, folder)
        inputs, outputs = self.model.ports()
        for port in inputs:
            self._register(port, Fmi2Causality.input, self.model.inputs.__setitem__)
        for port in outputs:
            self._register(port, Fmi2Causality.output, None)

    def _register(self, port: Port, causality: Any, put: Callable[[str, float], None] | None) -> None:
        values = self.model.inputs if put else None
        self.register_variable(
            Real(
                port.name,
                causality=causality,
                variability=Fmi2Variability.continuous,
                description=f"{port.meaning} [{port.unit}]" if port.unit else port.meaning,
                start=port.start if put else None,
                getter=lambda: (self.model.outputs if values is None else values)[port.name],
                setter=None if put is None else lambda value: put(port.name, value),
            ),
            nested=False,
        )

    def to_xml(self, model_options: dict[str, str] | None = None) -> Any:
        """Model description; names are those of the feeder, not paths of objects."""
        root = super().to_xml(model_options or {})
        root.set("variableNamingConvention", "flat")
        # FMI 2.0 wants outputs named once more as what initialisation computes.
        structure = root.find("ModelStructure")
        initial = SubElement(structure, "InitialUnknowns")
        for output in structure.find("Outputs"):
            SubElement(initial, "Unknown", output.attrib)
        return root

    def exit_initialization_mode(self) -> None:
        """Let outputs be those of the inputs at the start."""
        self.model.begin()

    def do_step(self, current_time: float, step_size: float) -> bool:
        """Let the model pass a step; a step without outcome is discarded, with the reason in the log."""
        try:
            self.model.step(step_size)
        except SharegridError as error:
            self.log(f"at {current_time:g} s: {error}", Fmi2Status.discard)
            return False
        return True
