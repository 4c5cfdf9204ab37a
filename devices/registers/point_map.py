"""Where the points of a profile stand in one make of device, and in which requests they are best read.

Maps and plans are shared by all units with the same profile and chain, so a fleet of like devices costs one.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from devices.registers.chain import Chain, Span, meters_in
from devices.registers.labels import Labels, matching
from devices.registers.plan import Field, Place, Plan, Request
from devices.registers.points import Point, word_count
from devices.registers.profiles import load_profile
from devices.registers.schema import Profile
from devices.registers.spans import merge_spans

SERIAL = "1.SN"
IDENTITY = ("1.Mn", "1.Md", SERIAL)
"""Maker, model and serial number of a SunSpec device."""
NATURE = "120.DERTyp"
"""What a SunSpec device says that it is."""
_HOLDING = 3
_TABLES = {"coil": 1, "discrete": 2}
_HEADER = Point(at=0, type="uint32", rw=True, markers=False)


@dataclass(frozen=True, slots=True)
class Blocks:
    """How registers are read together: at most ``most`` of them, over gaps of at most ``gap``.

    With ``most`` at 0 each point is read alone.
    """

    most: int
    gap: int


class PointMap:
    """Points of a profile that a device has, and where.

    Parameters
    ----------
    profile
        What the device speaks.
    chain
        SunSpec models that it shows; empty for fixed addresses.
    labels
        What it calls repetitions within them.
    """

    def __init__(self, profile: Profile, chain: Chain, labels: Labels = ()) -> None:
        self.profile = profile
        self._labels = labels
        self._spans = _spans_of(chain, profile.nth)
        self._blocks = Blocks(profile.modbus.max_registers, profile.modbus.max_gap)
        self._plans: dict[tuple[tuple[str, ...], bool, Blocks], Plan] = {}
        self._plain: dict[tuple[str, ...], tuple[tuple[Field, ...], Plan]] = {}

    @cached_property
    def places(self) -> dict[str, Place]:
        """All points that the profile uses and the device has."""
        found: dict[str, Place] = {}
        for name in self._used():
            for each in self._parts(name):
                self._find(each, found)
        return found

    def tells(self, quantity: str) -> bool:
        """Whether the device has a point that tells a quantity."""
        sums = self.profile.alternatives(quantity)
        names = (part for terms in sums for name, _ in terms for part in self._parts(name))
        return any(name in self.places for name in names)

    def plan(self, names: tuple[str, ...], constants: bool = True, blocks: Blocks | None = None) -> Plan:
        """How to read points; those that the device lacks are left out.

        Parameters
        ----------
        names
            Points wanted.
        constants
            Whether to read scale factors that never change too.
        blocks
            How registers are read together; as the profile says without.
        """
        key = (names, constants, blocks or self._blocks)
        if key not in self._plans:
            self._plans[key] = self._plan(*key)
        return self._plans[key]

    def plain_plan(self, names: tuple[str, ...]) -> tuple[tuple[Field, ...], Plan]:
        """Scale factors of some points that have to be known, and how the points are read where they are."""
        if names not in self._plain:
            self._plain[names] = self.plan(names).scales, self.plan(names, constants=False)
        return self._plain[names]

    def runs(self, words: Mapping[str, Sequence[int]]) -> list[tuple[int, list[int]]]:
        """Address and words of each run of registers that touch."""
        runs: list[tuple[int, list[int]]] = []
        for name in sorted(words, key=lambda name: self.places[name].address):
            address = self.places[name].address
            if runs and runs[-1][0] + len(runs[-1][1]) == address:
                runs[-1][1].extend(words[name])
            else:
                runs.append((address, list(words[name])))
        return runs

    def _used(self) -> Iterable[str]:
        if not self.profile.sunspec:
            yield from self.profile.points
            return
        yield from self.profile.quantity_points
        yield from (trait.point for trait in (*self.profile.needs, *self.profile.identify))
        yield from (*IDENTITY, NATURE)
        for recipe in (*self.profile.commands.set, *self.profile.commands.release):
            for batch in recipe.writes:
                yield from batch

    def _parts(self, name: str) -> tuple[str, ...]:
        """Points that a name stands for: itself, or those with the label that it names."""
        parts = matching(name, self._labels)
        return (name,) if parts is None else parts

    def _find(self, name: str, found: dict[str, Place]) -> None:
        point, scale = self.profile.point(name), None
        base = 0
        is_sunspec = self.profile.sunspec and name not in self.profile.points
        if is_sunspec:
            model_id, _, _ = name.partition(".")
            span = self._spans.get(int(model_id))
            if span is None or point.at + word_count(point) > span.length + 2:
                return
            base = span.address
        if isinstance(point.sf, str):
            scale = f"{name.partition('.')[0]}.{point.sf}" if is_sunspec else point.sf
            self._find(scale, found)
        found[name] = Place(base + point.at, point, scale)

    def _plan(self, names: tuple[str, ...], constants: bool, blocks: Blocks) -> Plan:
        parts = {name: self._parts(name) for name in names}
        wanted = {
            name: self.places[name]
            for each in parts.values()
            for name in each
            if name in self.places and self.places[name].point.readable
        }
        scales = {
            place.scale: self.places[place.scale]
            for place in wanted.values()
            if place.scale in self.places and (constants or self.places[place.scale].point.refresh == "poll")
        }
        headers = self._headers(wanted)
        places = [*wanted.values(), *scales.values(), *(place for _, place, _ in headers)]
        requests = self._requests(places, blocks)
        return Plan(
            tuple(requests),
            tuple(
                _field(name, place, requests, self._function(place)) for name, place in scales.items() if name
            ),
            tuple(_field(name, place, requests, self._function(place)) for name, place in wanted.items()),
            tuple((_field(name, place, requests, _HOLDING), header) for name, place, header in headers),
            tuple((name, each) for name, each in parts.items() if each and each != (name,)),
        )

    def headers(self, names: Iterable[str]) -> list[tuple[Place, bytes]]:
        """Where the headers of the models of some points stand, and what they hold."""
        return [(place, header) for _, place, header in self._headers(names)]

    def _headers(self, names: Iterable[str]) -> list[tuple[str, Place, bytes]]:
        """Where the headers of the models of some points stand, and what they hold."""
        if not self.profile.sunspec:
            return []
        own = self.profile.points
        models = dict.fromkeys(int(name.partition(".")[0]) for name in names if name not in own)
        spans = {model_id: self._spans[model_id] for model_id in models}
        return [
            (
                f"model {model_id}",
                Place(span.address, _HEADER, None),
                struct.pack(">HH", model_id, span.length),
            )
            for model_id, span in spans.items()
        ]

    def _requests(self, places: Sequence[Place], blocks: Blocks) -> list[Request]:
        requests: list[Request] = []
        for function in sorted({self._function(place) for place in places}):
            spans = {
                (place.address, place.address + word_count(place.point))
                for place in places
                if self._function(place) == function
            }
            merged = merge_spans(spans, blocks.most, blocks.gap)
            requests += [Request(function, first, last - first) for first, last in merged]
        return requests

    def _function(self, place: Place) -> int:
        """What can be written stands in holding registers, whatever the rest is read with."""
        point = place.point
        own = _TABLES.get(point.type) or point.function
        return own or (_HOLDING if point.rw else self.profile.modbus.read_function)


@lru_cache(maxsize=1000)
def point_map(profile: str, folder: Path | None, chain: Chain, labels: Labels = ()) -> PointMap:
    """Map of a profile, by its name, for devices with this chain and labels; raises `MapError`."""
    return PointMap(load_profile(profile, folder), chain, labels)


def _spans_of(chain: Chain, nth: int) -> dict[int, Span]:
    """Place of each model: the first of its kind, of meters the ``nth`` of all in the chain."""
    meters = meters_in(chain)
    others = [(model_id, span) for model_id, span in chain if (model_id, span) not in meters]
    return dict(reversed([*others, *meters[nth - 1 : nth]]))


def _field(name: str, place: Place, requests: Sequence[Request], function: int) -> Field:
    length = word_count(place.point)
    for index, request in enumerate(requests):
        start = place.address - request.address
        if request.function == function and start >= 0 and start + length <= request.count:
            return Field(name, place, index, 2 * start, 2 * (start + length))
    raise AssertionError(f"no request covers {name}")
