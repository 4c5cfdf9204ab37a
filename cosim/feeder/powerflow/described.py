"""Objects of a circuit with the properties that its description gives them."""

from typing import Any

from cosim.feeder.api import OpenDss
from sharegrid.decoding import decode_json


def objects(dss: OpenDss, kind: str) -> list[dict[str, Any]]:
    """All objects of a class, each with the properties that its description gives."""
    dss.Basic.SetActiveClass(kind)
    return decode_json(dss.ActiveClass.ToJSON(), list[dict[str, Any]])
