"""Messages that went wrong: bytes flipped, fields exchanged, numbers made extreme, columns cut, and so on."""

import base64
import json
import struct
import typing

import msgspec
import numpy as np

from broker.door.bounds import Bounds
from broker.messages import DECLARED
from broker.messages.fields import Values

EXTREMES = [1e300, -1e300, 1e18, -1e9, 2**31, 2**53, 2**63, -(2**63), 10**40, -1, 0, 0.1, 1e-300, True]
STRANGE = [None, "", "x" * 5000, "..", "NaN", [], {}, [[]], [None], {"a": 1}, False, "\u0000", "\U0001f600"]
DEEP = b"[" * 3000 + b"]" * 3000
NUMBERS = [float("nan"), float("inf"), float("-inf"), 1e300, -1e300, 1e12, -1.0, 0.0]
HEADER = {"kind", "run", "tick", "sender", "seq", "v"}
INDICES = {"prosumer", "lam", "owner", "count"}
WORDS = [
    ["confirmed", "unconfirmed", "held"],
    ["good", "suspect", "held", "missing"],
    ["pv", "battery"],
    ["voltage", "congestion"],
    ["homes", "farm", "roof", "p00001", "nobody"],
]
# Ranges that are the same in every run.
RANGES = {
    unit: Bounds().ranges[unit] for unit in ("soc", "share", "pu", "s", "wait_s", "wall_s", "min", "tap")
}


class Mutations:
    """Draws one mutation after another from a seeded generator; ``topics`` are those seen so far.

    A share of ``lies`` is well formed and says something else, so that it reaches the handlers.
    """

    def __init__(self, rng, lies=0.1):
        self.rng = rng
        self.lies = lies
        self.topics = []
        self.ways = [
            self._flip,
            self._cut,
            self._lose_field,
            self._add_field,
            self._exchange,
            self._extreme,
            self._extreme,
            self._beyond,
            self._strange,
            self._nest,
            self._column,
            self._column,
            self._list,
            self._header,
            self._elsewhere,
        ]

    def of(self, topic, payload):
        """Topic and body of a mutated message."""
        way = self._lie if self.rng.random() < self.lies else self._pick(self.ways)
        changed = way(topic, payload)
        return changed if isinstance(changed, tuple) else (topic, changed)

    def _pick(self, items):
        return items[self.rng.integers(len(items))]

    def _flip(self, topic, payload):
        body = bytearray(payload)
        for _ in range(self.rng.integers(1, 5)):
            body[self.rng.integers(len(body))] = self.rng.integers(256)
        return bytes(body)

    def _cut(self, topic, payload):
        return payload[: self.rng.integers(len(payload))]

    def _lose_field(self, topic, payload):
        fields = json.loads(payload)
        del fields[self._pick(list(fields))]
        return dumped(fields)

    def _add_field(self, topic, payload):
        return dumped(json.loads(payload) | {"more": self._pick(STRANGE)})

    def _exchange(self, topic, payload):
        fields = json.loads(payload)
        one, other = self._pick(list(fields)), self._pick(list(fields))
        fields[one], fields[other] = fields[other], fields[one]
        return dumped(fields)

    def _extreme(self, topic, payload):
        fields = json.loads(payload)
        holder, key = self._place(fields, lambda value: isinstance(value, int | float))
        holder[key] = self._pick(EXTREMES)
        return dumped(fields)

    def _beyond(self, topic, payload):
        """A number, or one that is missing, a little beyond the range that its field declares."""
        fields = json.loads(payload)
        found = list(ranged(DECLARED[fields["kind"]].kind, fields))
        if not found:
            return self._extreme(topic, payload)
        holder, key, (low, high) = self._pick(found)
        holder[key] = self._pick([high + 0.5 * (high - low), low - 0.5 * (high - low)])
        return dumped(fields)

    def _strange(self, topic, payload):
        fields = json.loads(payload)
        holder, key = self._place(fields, lambda value: True)
        holder[key] = self._pick(STRANGE)
        return dumped(fields)

    def _nest(self, topic, payload):
        name = self._pick(list(json.loads(payload)))
        return payload[:-1] + b',"' + name.encode() + b'":' + DEEP + b"}"

    def _column(self, topic, payload):
        fields = json.loads(payload)
        names = [name for name in fields if self._is_column(name, fields[name])]
        if not names:
            return self._extreme(topic, payload)
        name = self._pick(names)
        body = bytearray(base64.b64decode(fields[name]))
        choice = self.rng.integers(5)
        if choice == 0:
            body = body[: self.rng.integers(len(body) + 1)]
        elif choice == 1:
            body += bytes(8 * int(self.rng.integers(1, 50)))
        elif choice == 2 and len(body) >= 8:
            place = 8 * int(self.rng.integers(len(body) // 8))
            body[place : place + 8] = struct.pack("<d", self._pick(NUMBERS))
        elif choice == 3 and len(body) >= 4:
            place = 4 * int(self.rng.integers(len(body) // 4))
            body[place : place + 4] = struct.pack("<i", self._pick([-1, 2**31 - 1, 99, -(2**31)]))
        else:
            body = bytearray(self.rng.bytes(len(body)))
        fields[name] = base64.b64encode(bytes(body)).decode()
        return dumped(fields)

    def _is_column(self, name, value):
        if not isinstance(value, str) or name in ("run", "sender", "kind", "world") or len(value) % 4:
            return False
        return (len(value) >= 8 and value.endswith("=")) or value.startswith("AAA")

    def _list(self, topic, payload):
        fields = json.loads(payload)
        names = [name for name, value in fields.items() if isinstance(value, list)]
        if not names:
            return self._strange(topic, payload)
        items = fields[self._pick(names)]
        if items and self.rng.integers(2):
            del items[self.rng.integers(len(items))]
        else:
            items.extend([self._pick([*items, *STRANGE])] * int(self.rng.integers(1, 40)))
        return dumped(fields)

    def _header(self, topic, payload):
        name, values = self._pick(
            [
                ("run", ["r2", "", "+"]),
                ("sender", ["mallory", "clock", "wam", "feeder", "lams-0", "live-0", "population-0"]),
                ("kind", ["step", "done", "stop", "award", "bid", "nothing"]),
                ("tick", [-1, 0, 1, 2, 3, 95, 10**6, 2**53, 2**64, 1.5]),
                ("seq", [0, 1, 5, 4000, 10**7, 2**53, 2**63, -1]),
                ("v", [0, 2, "1"]),
            ]
        )
        return dumped(json.loads(payload) | {name: self._pick(values)})

    def _elsewhere(self, topic, payload):
        return self._pick(self.topics or [topic]), payload

    def _lie(self, topic, payload):
        fields = json.loads(payload)
        for name in fields.keys() - HEADER:
            if self.rng.random() < 0.4:
                fields[name] = self._other(name, fields[name])
        return dumped(fields)

    def _other(self, name, value):
        """Another value of the same type that is as plausible."""
        if isinstance(value, bool):
            return not value
        if isinstance(value, int):
            return int(self.rng.integers(0, 6))
        if isinstance(value, float):
            return float(value * self._pick([-1.0, 0.0, 10.0, -1000.0]) + self._pick([0.0, 1.0, -300.0]))
        if isinstance(value, dict):
            return None if self.rng.random() < 0.2 else {key: self._other(key, value[key]) for key in value}
        if isinstance(value, list):
            return [self._other(name, item) for item in value] if self.rng.random() < 0.8 else []
        if name in INDICES:
            index = np.frombuffer(base64.b64decode(value), dtype="<i4").copy()
            return base64.b64encode(self.rng.permutation(index).astype("<i4").tobytes()).decode()
        if isinstance(value, str):
            words = next((words for words in WORDS if value in words), None)
            return self._pick(words) if words else self._other_column(value)
        return value

    def _other_column(self, value):
        try:
            body = base64.b64decode(value, validate=True)
        except ValueError:
            return value
        if not body or len(body) % 8 or self.rng.random() < 0.1:
            return ""
        numbers = self.rng.normal(size=len(body) // 8) * 10.0 ** self.rng.integers(-3, 5)
        return base64.b64encode(numbers.astype("<f8").tobytes()).decode()

    def _place(self, fields, wanted):
        """A holder and the key of a value in it, drawn from all that are ``wanted``."""
        found, rest = [], [fields]
        while rest:
            holder = rest.pop()
            for key, value in holder.items() if isinstance(holder, dict) else enumerate(holder):
                if isinstance(value, dict | list):
                    rest.append(value)
                if wanted(value) and not (isinstance(value, str) and len(value) > 10**4):
                    found.append((holder, key))
        return self._pick(found)


def ranged(kind, fields):
    """Each place of a decoded message that holds a number of a range that is known: holder, key and range."""
    for each in msgspec.structs.fields(kind):
        if each.name in fields:
            yield from _ranged(each.type, fields, each.name)


def _ranged(annotation, holder, key):
    unit = next((m.unit for m in getattr(annotation, "__metadata__", ()) if isinstance(m, Values)), "")
    if unit in RANGES and getattr(annotation, "__origin__", None) in (float, int):
        yield holder, key, RANGES[unit]
    elif isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        if isinstance(holder[key], dict):
            yield from ranged(annotation, holder[key])
    elif typing.get_origin(annotation) is list and isinstance(holder[key], list):
        for place in range(len(holder[key])):
            yield from _ranged(typing.get_args(annotation)[0], holder[key], place)
    else:
        for inner in typing.get_args(annotation):
            yield from _ranged(inner, holder, key)


def dumped(fields):
    return json.dumps(fields, separators=(",", ":")).encode()
