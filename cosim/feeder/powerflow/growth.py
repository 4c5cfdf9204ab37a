"""How the loads of a circuit have grown in the year that its description sets."""

from typing import Any

from cosim.feeder.api import OpenDss
from cosim.feeder.powerflow.described import objects
from cosim.feeder.powerflow.engine import command


def growth_of_loads(dss: OpenDss) -> dict[str, float]:
    """Factor by which each load is larger than its description says, ``{load: factor}``; absent means 1.

    A load's growth shape holds from its first year on; without one, all loads grow by the circuit's
    ``%growth``, from the second year on.
    """
    year = dss.Solution.Year()
    if year == 0:
        return {}
    command(dss, "get %growth")
    others = (1.0 + float(dss.Text.Result()) / 100.0) ** (year - 1)
    shapes = {shape["Name"].lower(): _grown(shape, year) for shape in objects(dss, "growthshape")}
    return {
        load["Name"].lower(): shapes[load["Growth"].lower()] if load.get("Growth") else others
        for load in objects(dss, "load")
    }


def _grown(shape: dict[str, Any], year: int) -> float:
    """Product of the yearly factors: each holds until the year of the next."""
    since = [round(each) for each in shape["Year"]]
    factor, total = shape["Mult"][0], 1.0
    for number in range(since[0], year):
        if number in since:
            factor = shape["Mult"][since.index(number)]
        total *= factor
    return float(total)
