"""Each kind of fault as a client sees it, begun and ended in its intervals."""

import numpy as np
import pytest

from devices.emulation.fault_injector import Injector
from devices.emulation.fleet import EmulatedProsumer, Fleet
from devices.faults.fault import Fault
from devices.registers.points import decode, encode, word_count

FLAT = EmulatedProsumer(
    id="flat", import_kwh=100.0, export_kwh=40.0, pv_kw=5.0, battery_kw=4.0, battery_kwh=8.0
)
CHAIN = EmulatedProsumer(id="chain", meter="sunspec-meter", import_kwh=100.0, export_kwh=40.0)


def fleet_with(*faults, prosumers=(FLAT, CHAIN)):
    fleet = Fleet(prosumers)
    size = len(prosumers)
    fleet.begin(np.full(size, 2.0), np.full(size, 0.5), np.zeros(size))
    return fleet, Injector(fleet, faults)


def pass_time(fleet, load_kw=2.0, dt_s=900.0):
    shape = (1, len(fleet.prosumers))
    fleet.advance(np.full(shape, load_kw), np.full(shape, 0.5), np.zeros(shape), dt_s)


def seen(fleet, prosumer, name, role="meter"):
    """A point as a client reads it."""
    unit = fleet.unit(prosumer, role)
    point = unit.bank.layout.points[name]
    words = unit.bank.read(unit.row, unit.bank.layout.base + point.at, word_count(point))
    sf = unit.bank.value(unit.row, point.sf) if isinstance(point.sf, str) else 0
    return decode(point, words, int(sf))


def write(fleet, prosumer, role, name, value):
    unit = fleet.unit(prosumer, role)
    point = unit.bank.layout.points[name]
    sf = unit.bank.value(unit.row, point.sf) if isinstance(point.sf, str) else 0
    words = encode(point, value, int(sf))
    return unit.bank.write(unit.row, unit.bank.layout.base + point.at, words)


def fault(kind, device="meter", first=1, last=1, size=0.0, prosumer="flat"):
    return Fault(kind=kind, prosumer=prosumer, device=device, first=first, last=last, size=size)


@pytest.mark.parametrize(
    ("prosumer", "power", "imported", "exported", "kilo"),
    [("flat", "P", "import_kwh", "export_kwh", 1.0), ("chain", "203.W", "203.TotWhImp", "203.TotWhExp", 1e3)],
)
def test_sign_turns_power_and_swaps_counters(prosumer, power, imported, exported, kilo):
    fleet, injector = fleet_with(fault("sign", prosumer=prosumer))
    injector.begin(0)
    assert seen(fleet, prosumer, power) == pytest.approx(2000.0)
    injector.begin(1)
    assert seen(fleet, prosumer, power) == pytest.approx(-2000.0)
    assert seen(fleet, prosumer, imported) == pytest.approx(40.0 * kilo)
    assert seen(fleet, prosumer, exported) == pytest.approx(100.0 * kilo)
    injector.begin(2)
    assert seen(fleet, prosumer, power) == pytest.approx(2000.0)
    assert seen(fleet, prosumer, imported) == pytest.approx(100.0 * kilo)


def test_scale_multiplies_readings_and_leaves_voltage_alone():
    fleet, injector = fleet_with(fault("scale", size=10.0), fault("scale", size=10.0, prosumer="chain"))
    injector.begin(1)
    assert seen(fleet, "flat", "P") == pytest.approx(20_000.0)
    assert seen(fleet, "flat", "import_kwh") == pytest.approx(1000.0)
    assert seen(fleet, "flat", "V_L1") == pytest.approx(230.0)
    assert seen(fleet, "chain", "203.TotWhImp") == pytest.approx(1e6)
    assert seen(fleet, "chain", "203.PhVphA") == pytest.approx(230.0)


def test_stuck_shows_what_was_there_when_it_began():
    fleet, injector = fleet_with(fault("stuck", first=0, last=1))
    injector.begin(0)
    pass_time(fleet, load_kw=3.0)
    assert seen(fleet, "flat", "P") == pytest.approx(2000.0)
    assert seen(fleet, "flat", "import_kwh") == pytest.approx(100.0)
    injector.begin(2)
    assert seen(fleet, "flat", "P") == pytest.approx(3000.0)
    assert seen(fleet, "flat", "import_kwh") == pytest.approx(100.75, abs=1e-4)


def test_spike_strikes_between_command_and_reading_and_is_gone_after():
    fleet, injector = fleet_with(fault("spike", size=50.0))
    injector.begin(1)
    assert seen(fleet, "flat", "P") == pytest.approx(2000.0)
    injector.strike(1)
    pass_time(fleet)
    assert seen(fleet, "flat", "P") == pytest.approx(100_000.0)
    injector.begin(2)
    assert seen(fleet, "flat", "P") == pytest.approx(2000.0)


def test_clock_counts_at_its_speed_and_shows_power_right():
    fleet, injector = fleet_with(fault("clock", size=1.5))
    injector.begin(1)
    pass_time(fleet)
    injector.begin(2)
    pass_time(fleet)
    assert seen(fleet, "flat", "P") == pytest.approx(2000.0)
    assert seen(fleet, "flat", "import_kwh") == pytest.approx(100.0 + 0.75 + 0.5, abs=1e-4)
    assert seen(fleet, "chain", "203.TotWhImp") == pytest.approx(101_000.0)


def test_exception_answers_with_its_code_while_it_lasts():
    fleet, injector = fleet_with(fault("exception", device="pv", size=6.0))
    bank = fleet.unit("flat", "pv").bank
    injector.begin(1)
    assert bank.failing == {0: 6}
    injector.begin(2)
    assert bank.failing == {}


def test_ignored_command_reads_back_and_does_nothing():
    fleet, injector = fleet_with(fault("ignored", device="battery"))
    injector.begin(1)
    write(fleet, "flat", "battery", "704.WSet", 3000.0)
    write(fleet, "flat", "battery", "704.WSetEna", 1)
    pass_time(fleet)
    assert seen(fleet, "flat", "704.WSet", "battery") == 3000.0
    assert fleet.battery.p_kw[0] == 0.0
    injector.begin(2)
    pass_time(fleet)
    assert fleet.battery.p_kw[0] == pytest.approx(3.0)


def test_lost_command_is_acknowledged_and_not_there():
    fleet, injector = fleet_with(fault("lost", device="battery"))
    injector.begin(1)
    assert write(fleet, "flat", "battery", "704.WSet", 3000.0) == 0
    assert seen(fleet, "flat", "704.WSet", "battery") == 0.0


def test_reboot_forgets_commands_and_begins_counters_anew():
    fleet, injector = fleet_with(fault("reboot", device="battery"), fault("reboot", device="meter"))
    write(fleet, "flat", "battery", "704.WSet", 3000.0)
    write(fleet, "flat", "battery", "704.WSetRvrtTms", 900)
    write(fleet, "flat", "battery", "704.WSetEna", 1)
    injector.begin(1)
    assert seen(fleet, "flat", "704.WSetEna", "battery") == 1
    injector.strike(1)
    pass_time(fleet)
    assert seen(fleet, "flat", "704.WSetEna", "battery") == 0
    assert fleet.battery.p_kw[0] == 0.0
    assert seen(fleet, "flat", "import_kwh") == pytest.approx(0.5)
    assert seen(fleet, "chain", "203.TotWhImp") == pytest.approx(100_500.0)
    injector.begin(2)
    injector.strike(2)
    pass_time(fleet)
    assert seen(fleet, "flat", "import_kwh") == pytest.approx(1.0)


def test_a_fault_without_a_device_is_refused():
    with pytest.raises(ValueError, match="chain has no emulated pv"):
        fleet_with(fault("lost", device="pv", prosumer="chain"))
