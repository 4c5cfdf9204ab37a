import pytest

from devices.gateway.interval_energy import IntervalEnergy
from devices.gateway.reading import Reading


def reading(import_kwh, quality="good", export_kwh=0.0, kvarh=None):
    return Reading(
        prosumer="home",
        quality=quality,
        import_kwh=import_kwh,
        export_kwh=export_kwh,
        import_kvarh=kvarh,
        export_kvarh=None if kvarh is None else 0.0,
    )


def test_energy_of_intervals_telescopes_from_settlement_to_settlement():
    energy = IntervalEnergy()
    energy.begin(reading(10.0), 0)
    ends = [energy.end(reading(11.0, export_kwh=0.25, kvarh=3.0), 0)]
    energy.begin(reading(11.5, export_kwh=0.25, kvarh=3.5), 1)
    ends.append(energy.end(reading(12.0, export_kwh=0.5, kvarh=4.0), 1))
    assert ends == [(pytest.approx(0.75), None), (pytest.approx(0.75), pytest.approx(1.0))]


@pytest.mark.parametrize("quality", ["suspect", "held", "missing"])
def test_after_a_bad_end_the_next_interval_counts_from_its_own_first_reading(quality):
    energy = IntervalEnergy()
    energy.begin(reading(10.0), 0)
    assert energy.end(reading(11.0, quality), 0) == (None, None)
    energy.begin(reading(12.0), 1)
    assert energy.end(reading(12.5), 1)[0] == pytest.approx(0.5)


def test_an_interval_without_a_good_beginning_has_no_energy_and_the_next_one_has():
    energy = IntervalEnergy()
    energy.begin(reading(10.0, "held"), 0)
    assert energy.end(reading(11.0), 0) == (None, None)
    energy.begin(reading(11.2), 1)
    assert energy.end(reading(12.0), 1)[0] == pytest.approx(1.0)
