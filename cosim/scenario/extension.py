"""A class of a user's own in a scenario: where it is, who goes by it, and how it is made."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from cosim.scenario.units import ONE, Share
from sharegrid.expected import form


class Extension(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[market.strategy], [population.forecast]: a class of your own (see docs/extending.md)."""

    use: Annotated[
        str,
        Meta(
            pattern=form(
                r"^$|^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$",
                'a module and a name in it, such as "package.module:Name"',
            ),
            description="The class, as `module:Class`; empty for the built-in one.",
        ),
    ] = ""
    folder: Annotated[
        str,
        Meta(
            min_length=1,
            description="Where the module lies unless it is installed, relative to the scenario file.",
        ),
    ] = "."
    share: Annotated[
        Share, Meta(description="Share of prosumers who go by it, drawn by the seed.", extra=ONE)
    ] = 1.0
    parameters: Annotated[
        dict[str, Any], Meta(description="Keyword arguments with which the class is made.")
    ] = {}
