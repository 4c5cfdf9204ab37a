"""What is said of devices that fail again and again."""

from dataclasses import dataclass, field

from devices.errors import DeviceTimeout, GaveWay, ReadBackMismatch
from devices.gateway.troubles import Troubles
from devices.limits import SetPointLimits

SILENT = DeviceTimeout("silent")


@dataclass(frozen=True)
class Device:
    name: str
    limits: SetPointLimits = field(default_factory=SetPointLimits)
    stopped: str = ""

    def __str__(self):
        return f"{self.name} (there)"


EMULATED, OTHER = Device("battery of h1"), Device("pv of h0")
REAL = Device("pv of lab", SetPointLimits(real=True))


def test_a_trouble_is_told_when_it_begins_counted_between_and_told_when_it_is_over():
    now = 0.0
    troubles = Troubles(lambda: now)
    assert troubles.take({OTHER: None, EMULATED: SILENT}) == ["set-point not kept: battery of h1: silent"]
    for now in range(1, 100):
        # What is not due is not tended, and no better for it.
        assert troubles.take({OTHER: None, EMULATED: SILENT} if now % 2 else {OTHER: None}) == []
    assert troubles.still() == ["set-point still not kept: battery of h1 (there), 51 failed attempts in 99 s"]
    assert troubles.still() == []
    assert troubles.take({EMULATED: None}) == [
        "set-point kept again: battery of h1 (there), after 51 failed attempts in 99 s"
    ]
    assert troubles.take({EMULATED: None}) == troubles.still() == []
    assert troubles.take({EMULATED: SILENT}) == ["set-point not kept: battery of h1: silent"]
    assert troubles.losses == 0


def test_of_hardware_it_is_an_alarm_which_is_over_at_its_end():
    troubles = Troubles(lambda: 0.0)
    assert troubles.take({REAL: SILENT}) == ["alarm: set-point not kept: pv of lab: silent"]
    assert troubles.take({REAL: None}) == [
        "over: set-point kept again: pv of lab (there), after 1 failed attempts in 0 s"
    ]
    assert troubles.losses == 1
    troubles.take({REAL: ReadBackMismatch("shows 0 after 1 was written")})
    assert troubles.losses == 1


def test_a_device_that_is_lost_is_one_trouble_whoever_finds_it_and_ends_with_an_answer():
    troubles = Troubles(lambda: 0.0)
    assert troubles.lose(REAL, SILENT) == ["alarm: armed device lost: pv of lab: silent"]
    assert troubles.take({REAL: SILENT}) == troubles.lose(REAL, SILENT) == []
    assert troubles.still() == ["armed device still lost: pv of lab (there), 3 failed attempts in 0 s"]
    assert troubles.find(REAL) == [
        "over: armed device answers again: pv of lab (there), after 3 failed attempts in 0 s"
    ]
    assert troubles.find(REAL) == []
    assert troubles.losses == 1


def test_a_set_point_that_is_not_kept_is_not_over_because_the_device_answers():
    troubles = Troubles(lambda: 0.0)
    troubles.take({REAL: SILENT})
    assert troubles.lose(REAL, SILENT) == troubles.find(REAL) == []
    assert len(troubles.take({REAL: None})) == 1


def test_a_request_that_gave_way_to_another_device_is_no_trouble_and_ends_none():
    troubles = Troubles(lambda: 0.0)
    assert troubles.take({REAL: GaveWay("gave way")}) == []
    troubles.take({REAL: SILENT})
    assert troubles.take({REAL: GaveWay("gave way")}) == troubles.still() == []
    assert len(troubles.take({REAL: None})) == 1


def test_a_safe_value_that_is_not_kept_is_said_unless_a_look_or_two_were_dropped():
    stopped = Device("pv of lab", SetPointLimits(real=True), stopped="smoke")
    troubles = Troubles(lambda: 0.0)
    for _ in range(5):
        assert troubles.take({stopped: SILENT}) == troubles.take({stopped: SILENT}) == troubles.still() == []
        assert troubles.take({stopped: None}) == []
    failing = [troubles.take({stopped: SILENT}) for _ in range(4)]
    assert failing == [[], [], ["alarm: safe value not kept: pv of lab: silent"], []]
    assert troubles.take({stopped: None}) == [
        "over: safe value kept again: pv of lab (there), after 4 failed attempts in 0 s"
    ]
