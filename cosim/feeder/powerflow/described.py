"""Objects of a circuit with the properties that its description gives them."""

from typing import Any

import msgspec

from cosim.feeder.api import OpenDss


def objects(dss: OpenDss, kind: str) -> list[dict[str, Any]]:
    """All objects of a class, each with the properties that its description gives."""
    dss.Basic.SetActiveClass(kind)
    return msgspec.json.decode(dss.ActiveClass.ToJSON(), type=list[dict[str, Any]])
