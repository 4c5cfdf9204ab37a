import numpy as np
import pytest

from devices.emulation.fleet import EmulatedProsumer, Fleet
from devices.registers.points import encode

BOTH = EmulatedProsumer(
    id="both", pv_kw=5.0, pv_ramp_pct_s=1.0, battery_kw=4.0, battery_kwh=8.0, battery_ramp_pct_s=1.0
)
PLAIN = EmulatedProsumer(id="plain", phases=(2,))
IDEAL = EmulatedProsumer(
    id="ideal", battery_kw=4.0, battery_kwh=8.0, battery_efficiency=1.0, battery_ramp_pct_s=500.0
)


def write(fleet, prosumer, role, **values):
    """Write points as a client does, one after another, given as model_point=value in the point's unit."""
    unit = fleet.unit(prosumer, role)
    for key, value in values.items():
        name = key.replace("_", ".", 1)[1:]
        point = unit.bank.layout.points[name]
        sf = unit.bank.get(point.sf)[unit.row] if isinstance(point.sf, str) else 0
        words = encode(point, value, int(sf))
        assert unit.bank.write(unit.row, unit.bank.layout.base + point.at, words) == 0


def read(fleet, prosumer, role, name):
    unit = fleet.unit(prosumer, role)
    return unit.bank.get(name)[unit.row]


def advance(fleet, load_kw=0.0, pv_kw=0.0, dt_s=300.0, steps=1):
    shape = (steps, len(fleet.prosumers))
    fleet.advance(np.full(shape, load_kw), np.zeros(shape), np.full(shape, pv_kw), dt_s)


def begun(*prosumers, load_kw=0.0, pv_kw=0.0):
    fleet = Fleet(prosumers)
    size = len(prosumers)
    fleet.begin(np.full(size, load_kw), np.zeros(size), np.full(size, pv_kw))
    return fleet


def test_meter_shows_load_less_sun_from_the_start():
    fleet = begun(BOTH, PLAIN, load_kw=1.0, pv_kw=3.0)
    assert fleet.p_kw.tolist() == [-2.0, 1.0]
    assert read(fleet, "both", "meter", "P") == -2000.0
    assert read(fleet, "plain", "meter", "P_L2") == 1000.0
    assert read(fleet, "plain", "meter", "V_L1") == 0.0
    assert read(fleet, "both", "meter", "import_kwh") == 0.0


def test_limit_acts_only_once_enabled():
    fleet = begun(BOTH, pv_kw=4.0)
    write(fleet, "both", "pv", m123_WMaxLimPct=40.0)
    advance(fleet, pv_kw=4.0)
    assert fleet.pv.p_kw[0] == 4.0
    write(fleet, "both", "pv", m123_WMaxLim_Ena=1)
    advance(fleet, pv_kw=4.0)
    assert fleet.pv.p_kw[0] == pytest.approx(2.0)
    assert read(fleet, "both", "pv", "103.St") == 5
    write(fleet, "both", "pv", m123_WMaxLim_Ena=0)
    advance(fleet, pv_kw=4.0)
    assert fleet.pv.p_kw[0] == pytest.approx(4.0)
    assert read(fleet, "both", "pv", "103.St") == 4


def test_limit_is_reached_along_the_ramp():
    fleet = begun(BOTH, pv_kw=4.0)
    write(fleet, "both", "pv", m123_WMaxLimPct=40.0, m123_WMaxLim_Ena=1)
    advance(fleet, pv_kw=4.0, dt_s=20.0)
    assert fleet.pv.p_kw[0] == pytest.approx(4.0 - 20.0 * 0.05)
    assert -fleet.mean_kw[0] == pytest.approx(3.5)


def test_disconnected_inverter_generates_nothing():
    fleet = begun(BOTH, pv_kw=4.0)
    write(fleet, "both", "pv", m123_Conn=0)
    advance(fleet, pv_kw=4.0)
    assert fleet.pv.p_kw[0] == 0.0
    assert read(fleet, "both", "pv", "103.St") == 1


def test_limit_reverts_in_the_middle_of_a_step():
    fleet = begun(BOTH, pv_kw=4.0)
    write(fleet, "both", "pv", m123_WMaxLimPct=0.0, m123_WMaxLimPct_RvrtTms=200, m123_WMaxLim_Ena=1)
    advance(fleet, pv_kw=4.0, dt_s=300.0)
    # 80 s down, 120 s at zero, 80 s up, 20 s at 4 kW.
    assert -fleet.mean_kw[0] * 300.0 == pytest.approx(2 * 80.0 * 2.0 + 20.0 * 4.0)
    assert read(fleet, "both", "pv", "123.WMaxLim_Ena") == 0
    assert fleet.pv.p_kw[0] == pytest.approx(4.0)


def test_a_renewed_limit_does_not_revert():
    fleet = begun(BOTH, pv_kw=4.0)
    write(fleet, "both", "pv", m123_WMaxLimPct=0.0, m123_WMaxLimPct_RvrtTms=400, m123_WMaxLim_Ena=1)
    for _ in range(4):
        advance(fleet, pv_kw=4.0, dt_s=300.0)
        write(fleet, "both", "pv", m123_WMaxLim_Ena=1)
    assert fleet.pv.p_kw[0] == 0.0
    advance(fleet, pv_kw=4.0, dt_s=300.0, steps=2)
    assert fleet.pv.p_kw[0] == pytest.approx(4.0)


def test_battery_follows_watts_and_percent():
    fleet = begun(IDEAL)
    write(fleet, "ideal", "battery", m704_WSet=1500.0)
    advance(fleet)
    assert fleet.battery.p_kw[0] == 0.0
    write(fleet, "ideal", "battery", m704_WSetEna=1)
    advance(fleet)
    assert fleet.battery.p_kw[0] == pytest.approx(1.5)
    assert read(fleet, "ideal", "battery", "701.W") == 1500.0
    write(fleet, "ideal", "battery", m704_WSetMod=0, m704_WSetPct=-50.0)
    advance(fleet)
    assert fleet.battery.p_kw[0] == pytest.approx(-2.0)
    assert read(fleet, "ideal", "battery", "124.ChaSt") == 4


def test_battery_energy_is_what_the_meter_counts():
    fleet = begun(IDEAL)
    write(fleet, "ideal", "battery", m704_WSet=3000.0, m704_WSetEna=1)
    advance(fleet, dt_s=900.0)
    exported = fleet.energy_kwh[1, 0]
    assert exported == pytest.approx(0.5 * 8.0 - fleet.battery.soc[0] * 8.0)
    assert exported == pytest.approx(0.75, rel=1e-3)
    assert read(fleet, "ideal", "battery", "713.SoC") == pytest.approx(100 * fleet.battery.soc[0], abs=0.005)
    assert read(fleet, "ideal", "battery", "713.WHAvail") == pytest.approx(
        8e3 * fleet.battery.soc[0], abs=0.5
    )


def test_battery_loses_energy_both_ways():
    fleet = begun(BOTH)
    write(fleet, "both", "battery", m704_WSet=-2000.0, m704_WSetEna=1)
    advance(fleet, dt_s=900.0)
    write(fleet, "both", "battery", m704_WSet=2000.0)
    advance(fleet, dt_s=900.0)
    stored = (fleet.battery.soc[0] - 0.5) * 8.0
    assert stored == pytest.approx(
        fleet.battery.charged_kwh[0] * 0.95 - fleet.battery.discharged_kwh[0] / 0.95
    )
    assert fleet.battery.charged_kwh[0] > 0.1
    assert fleet.battery.discharged_kwh[0] > 0.1


def test_battery_at_rest_loses_what_it_loses_in_a_day():
    leaky = EmulatedProsumer(id="leaky", battery_kw=4.0, battery_kwh=8.0, battery_self_discharge=0.1)
    for steps in (24, 96):
        fleet = begun(leaky)
        advance(fleet, dt_s=86400.0 / steps, steps=steps)
        assert fleet.battery.soc[0] == pytest.approx(0.5 * 0.9)
        assert fleet.energy_kwh.sum() == 0.0


def test_empty_battery_gives_what_it_has_and_stands_still():
    fleet = begun(IDEAL)
    write(fleet, "ideal", "battery", m704_WSet=4000.0, m704_WSetEna=1)
    advance(fleet, dt_s=900.0, steps=6)
    assert fleet.energy_kwh[1, 0] == pytest.approx(4.0)
    assert fleet.battery.soc[0] == pytest.approx(0.0, abs=1e-12)
    assert fleet.battery.p_kw[0] == 0.0
    assert read(fleet, "ideal", "battery", "124.ChaSt") == 2


def test_storage_band_limits_and_forces():
    fleet = begun(IDEAL)
    write(fleet, "ideal", "battery", m704_WSet=4000.0, m704_WSetEna=1)
    write(fleet, "ideal", "battery", m124_OutWRte=25.0, m124_StorCtl_Mod=2)
    advance(fleet)
    assert fleet.battery.p_kw[0] == pytest.approx(1.0)
    write(fleet, "ideal", "battery", m704_WSetEna=0, m124_OutWRte=-50.0, m124_InWRte=50.0, m124_StorCtl_Mod=3)
    advance(fleet)
    assert fleet.battery.p_kw[0] == pytest.approx(-2.0)


def test_battery_set_point_and_band_revert_each_at_its_time():
    fleet = begun(IDEAL)
    write(fleet, "ideal", "battery", m704_WSet=2000.0, m704_WSetRvrtTms=200, m704_WSetEna=1)
    write(fleet, "ideal", "battery", m124_OutWRte=25.0, m124_InOutWRte_RvrtTms=100, m124_StorCtl_Mod=2)
    advance(fleet, dt_s=300.0)
    assert -fleet.mean_kw[0] * 300.0 == pytest.approx(100.0 * 1.0 + 100.0 * 2.0, rel=0.01)
    assert fleet.battery.p_kw[0] == 0.0
    assert read(fleet, "ideal", "battery", "704.WSetEna") == 0
    assert read(fleet, "ideal", "battery", "124.StorCtl_Mod") == 0


def test_battery_reverts_to_the_power_asked_for():
    fleet = begun(IDEAL)
    write(
        fleet,
        "ideal",
        "battery",
        m704_WSetRvrt=-1000.0,
        m704_WSetEnaRvrt=1,
        m704_WSet=2000.0,
        m704_WSetRvrtTms=100,
        m704_WSetEna=1,
    )
    advance(fleet, dt_s=50.0)
    assert read(fleet, "ideal", "battery", "704.WSetRvrtRem") == 50
    advance(fleet, dt_s=300.0, steps=2)
    assert fleet.battery.p_kw[0] == pytest.approx(-1.0)
    assert read(fleet, "ideal", "battery", "704.WSet") == -1000.0


def test_writes_to_measurements_are_refused_and_to_missing_options_ignored():
    fleet = begun(BOTH)
    pv = fleet.unit("both", "pv")
    points, base = pv.bank.layout.points, pv.bank.layout.base
    assert pv.bank.write(pv.row, base + points["103.W"].at, [1]) == 2
    before = pv.bank.words.copy()
    assert pv.bank.write(pv.row, base + points["123.WMaxLimPct_WinTms"].at, [60]) == 0
    assert (pv.bank.words == before).all()


def test_a_device_that_loses_writes_confirms_and_does_nothing():
    fleet = begun(BOTH, pv_kw=4.0)
    pv = fleet.unit("both", "pv")
    pv.bank.losing_writes.add(pv.row)
    write(fleet, "both", "pv", m123_WMaxLimPct=0.0, m123_WMaxLim_Ena=1)
    advance(fleet, pv_kw=4.0)
    assert fleet.pv.p_kw[0] == 4.0


def test_meter_counters_quantised_as_float32_telescope():
    meter = EmulatedProsumer(id="old", import_kwh=10_000.0)
    fleet = begun(meter)
    readings = [read(fleet, "old", "meter", "import_kwh")]
    for _ in range(96):
        advance(fleet, load_kw=0.3337, dt_s=900.0)
        readings.append(read(fleet, "old", "meter", "import_kwh"))
    steps = np.diff(readings)
    assert (steps >= 0.0).all()
    assert steps.sum() == pytest.approx(96 * 0.3337 * 0.25, abs=1e-3)
    assert np.abs(steps - 0.3337 * 0.25).max() > 1e-5


def test_voltage_reaches_meter_and_inverter():
    fleet = begun(BOTH, PLAIN, load_kw=1.0, pv_kw=2.0)
    fleet.set_voltage([0.95, 1.05])
    assert read(fleet, "both", "meter", "V_L3") == pytest.approx(0.95 * 230.0, rel=1e-6)
    assert read(fleet, "both", "pv", "103.PhVphA") == pytest.approx(0.95 * 230.0, abs=0.05)
    fleet.set_voltage([[1.0, 1.01, 1.02], [0.9, 0.91, 0.92]])
    assert read(fleet, "plain", "meter", "V_L2") == pytest.approx(0.91 * 230.0, rel=1e-6)
    assert read(fleet, "plain", "meter", "V_L1") == 0.0


def test_same_inputs_give_the_same_bits():
    def run():
        fleet = begun(BOTH, IDEAL, PLAIN, load_kw=0.7, pv_kw=3.3)
        write(fleet, "both", "pv", m123_WMaxLimPct=33.0, m123_WMaxLim_Ena=1)
        write(fleet, "ideal", "battery", m704_WSet=-1234.0, m704_WSetEna=1)
        advance(fleet, load_kw=0.71, pv_kw=3.2, steps=3)
        return [fleet.unit("both", role).bank.words.tobytes() for role in ("meter", "pv", "battery")]

    assert run() == run()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weather_that_is_not_finite_is_refused(bad):
    with pytest.raises(ValueError, match="not finite"):
        advance(begun(BOTH), pv_kw=bad)


def test_shapes_that_do_not_agree_are_refused():
    with pytest.raises(ValueError, match="shapes"):
        begun(BOTH).advance(np.zeros((2, 1)), np.zeros((2, 1)), np.zeros((3, 1)), 300.0)


def test_ids_must_differ():
    with pytest.raises(ValueError, match="share an id"):
        Fleet([BOTH, BOTH])


def test_a_battery_has_a_rating_and_a_capacity():
    """The population goes by the same question (`devices.physics.battery.exists`)."""
    homes = [
        EmulatedProsumer(id=f"{kw:g} of {kwh:g}", battery_kw=kw, battery_kwh=kwh)
        for kw, kwh in [(0.0, 0.0), (3.0, 0.0), (0.0, 5.0), (3.0, 5.0)]
    ]
    assert Fleet(homes).battery_at.tolist() == [3]
    assert [home.has_battery for home in homes] == [False, False, False, True]
