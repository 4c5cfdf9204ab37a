"""What kind of device a Modbus unit is: by its SunSpec models, or registers by which a profile knows it."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from devices.client.connection import Connection
from devices.client.presence import ITS_OWN, answers
from devices.client.quantities import Quantities
from devices.client.register_access import RegisterAccess
from devices.client.unit import Unit
from devices.endpoint import Endpoint
from devices.errors import (
    DeviceError,
    DeviceRefused,
    DeviceTimeout,
    MalformedReply,
    NotSunSpec,
    UnknownDevice,
)
from devices.registers.chain import Chain, meters_in
from devices.registers.discovery import discover
from devices.registers.labels import Labels, read_labels
from devices.registers.point_map import IDENTITY, NATURE, point_map
from devices.registers.points import decode_bytes
from devices.registers.profiles import known_profiles, load_profile
from devices.registers.schema import QUANTITIES, Profile

# What a SunSpec device may be by its nameplate; where it tells how full its store is.
_PV, _PV_WITH_STORAGE = 4, 82
_CHARGES = ("713.SoC", "802.SoC", "124.ChaState")

# A text or a number that only some devices show says more than a plausible value.
_WEIGHT_OF_A_MARK, _WEIGHT_OF_A_RANGE = 3, 1
_NO_VALUE = (DeviceRefused, DeviceTimeout, MalformedReply)


class Found(msgspec.Struct, frozen=True):
    """A device that was recognised.

    Attributes
    ----------
    endpoint
        Where it is, and the profile that fits.
    title
        What the profile says that it is.
    identity
        Maker, model and serial number, where it tells them.
    models
        SunSpec models that it shows.
    reads
        Quantities that it tells now.
    unconfirmed
        What of the profile's commands rests on a single source.
    """

    endpoint: Endpoint
    title: str
    identity: str
    models: tuple[int, ...]
    reads: dict[str, float]
    unconfirmed: str


class UnknownUnit:
    """One unit that is being recognised."""

    def __init__(self, connection: Connection, unit: int, folder: Path | None) -> None:
        self._connection = connection
        self._unit = unit
        self._folder = folder
        self._where = f"unit {unit} at {connection.link}"
        self._has_answered = False

    async def recognised(self) -> list[Found]:
        """Devices behind the unit; raises `UnknownDevice`, or `DeviceTimeout` where nobody answers."""
        chain, trouble = await self._chain()
        best: dict[str, tuple[int, str]] = {}
        for name, profile in self._candidates(chain):
            score = await self._score(name, profile, chain)
            is_one_of_many = profile.sunspec and profile.kind == "meter"
            place = f"meter {profile.nth}" if is_one_of_many else profile.kind
            if score is not None and score > best.get(place, (-1, ""))[0]:
                best[place] = score, name
        if best:
            names = await self._told_apart([name for _, name in best.values()], chain)
            return [await self._found(name, chain) for name in names]
        if not self._has_answered:
            raise DeviceTimeout(f"{self._where} does not answer; check its power, wiring and unit id")
        models = f"shows SunSpec models {', '.join(str(m) for m, _ in chain)}" if chain else trouble
        raise UnknownDevice(
            f"{self._where} answers, but no profile knows it ({models}); name its profile yourself, or write "
            "one (docs/devices.md)"
        )

    async def _told_apart(self, names: list[str], chain: Chain) -> list[str]:
        """Profiles without those of what a SunSpec device is not: PV in a battery, a battery in PV.

        Both show an inverter's output, and many PV inverters a model of storage that tells nothing.
        """
        plain = {name for name in names if _is_plain(load_profile(name, self._folder))}
        kinds = {load_profile(name, self._folder).kind for name in plain}
        if kinds != {"pv", "battery"}:
            return names
        profile = load_profile("sunspec-battery")
        has = {model_id for model_id, _ in chain}
        asked = [point for point in (NATURE, *_CHARGES) if int(point.partition(".")[0]) in has]
        told = await self._values("sunspec-battery", profile, chain, tuple(asked))
        nature, stores = told.get(NATURE), any(told.get(point) is not None for point in _CHARGES)
        is_battery = nature == _PV_WITH_STORAGE or (stores and nature != _PV)
        wrong = "pv" if is_battery else "" if stores else "battery"
        return [n for n in names if n not in plain or load_profile(n, self._folder).kind != wrong]

    async def _chain(self) -> tuple[Chain, str]:
        """SunSpec models of the unit, or why there are none."""
        try:
            chain = await discover(self._words, self._where)
        except NotSunSpec as error:
            is_marked = "no SunSpec marker" not in str(error)
            self._has_answered = is_marked or bool(await answers(self._connection, self._unit))
            return (), str(error)
        except (DeviceTimeout, DeviceRefused) as error:
            return (), str(error)
        self._has_answered = True
        return chain, ""

    def _candidates(self, chain: Chain) -> Iterable[tuple[str, Profile]]:
        for name in known_profiles(self._folder):
            profile = load_profile(name, self._folder)
            # A SunSpec device may have registers of its maker's own beside them.
            if (profile.sunspec and not chain) or not (profile.sunspec or profile.identify):
                continue
            yield name, profile
            others = (
                range(2, len(meters_in(chain)) + 1) if profile.sunspec and profile.kind == "meter" else ()
            )
            for number in others:
                yield f"{name}#{number}", load_profile(f"{name}#{number}", self._folder)

    async def _score(self, name: str, profile: Profile, chain: Chain) -> int | None:
        """How much speaks for a profile; ``None`` where something speaks against it."""
        if profile.sunspec:
            labels = await read_labels(profile.quantity_points, chain, self._words)
            if not _has_what_it_takes(name, profile, chain, labels, self._folder):
                return None
        score = 0
        for trait in profile.identify:
            value = (await self._values(name, profile, chain, (trait.point,))).get(trait.point)
            if not trait.fits(value, profile.point(trait.point).names):
                return None
            score += _WEIGHT_OF_A_RANGE if trait.between else _WEIGHT_OF_A_MARK
        return score

    async def _values(
        self, name: str, profile: Profile, chain: Chain, points: tuple[str, ...]
    ) -> dict[str, float | str | None]:
        """Values of points, texts included; those that cannot be read are left out."""
        self._connection.let_through(self._unit)
        where = point_map(name, self._folder, chain)
        access = RegisterAccess(self._connection, self._unit, profile.modbus)
        try:
            plan, replies = await access.fetch(where, points, constants=True)
        except _NO_VALUE as error:
            self._has_answered = self._has_answered or isinstance(error, ITS_OWN)
            return {}
        self._has_answered = True
        values: dict[str, float | str | None] = dict(plan.decode(replies, {}))
        for field in plan.fields:
            if field.place.point.type == "string":
                values[field.name] = decode_bytes(
                    field.place.point, replies[field.request][field.begin : field.end]
                )
        return values

    async def _found(self, name: str, chain: Chain) -> Found:
        profile = load_profile(name, self._folder)
        endpoint = Endpoint(self._connection.link, self._unit, name)
        try:
            unit = Unit(self._connection, endpoint, self._folder)
            read = await Quantities(unit, QUANTITIES[profile.kind]).read()
        except DeviceError:
            read = {}
        identity: list[str] = []
        if chain:
            told = await self._values("sunspec-pv", load_profile("sunspec-pv"), chain, IDENTITY)
            identity = [str(told[point]) for point in IDENTITY if told.get(point)]
        return Found(
            endpoint,
            profile.title,
            " ".join(identity),
            tuple(model_id for model_id, _ in chain),
            {quantity: value for quantity, value in read.items() if value is not None},
            profile.unconfirmed,
        )

    async def _words(self, address: int, count: int) -> list[int]:
        self._connection.let_through(self._unit)
        data = await self._connection.read(self._unit, address, count)
        return [int.from_bytes(data[k : k + 2], "big") for k in range(0, len(data), 2)]


def _is_plain(profile: Profile) -> bool:
    """Whether nothing but SunSpec's models says what kind of device it is."""
    return profile.sunspec and profile.kind != "meter" and not profile.identify


def _has_what_it_takes(
    name: str, profile: Profile, chain: Chain, labels: Labels, folder: Path | None
) -> bool:
    """Whether a chain has the points by which a kind of device is known."""
    if profile.kind == "meter":
        return len(meters_in(chain)) >= profile.nth
    points = point_map(name, folder, chain, labels)
    if profile.kind == "battery":
        return points.tells("p_kw") and points.tells("soc")
    is_storage = any(model_id in (713, 802) for model_id, _ in chain)
    return points.tells("p_kw") and (bool(profile.identify) or not is_storage)
