"""What one emulated prosumer has: data only, so that everyone may know it."""

import msgspec

from devices.physics.battery import exists


class EmulatedProsumer(msgspec.Struct, frozen=True, kw_only=True):
    """One emulated prosumer: a meter, and the other devices whose rating is not zero.

    Attributes
    ----------
    id
        Name, unique in the fleet.
    phases
        Phases it is connected to, of 1, 2, 3; its power splits evenly over them.
    nominal_v
        Voltage to neutral at 1 pu [V].
    meter
        Profile of the meter: ``sunspec-meter``, or one with points at fixed addresses.
    import_kwh, export_kwh
        Counters at the start [kWh].
    pv_kw, pv_ramp_pct_s, pv_efficiency
        Rating of the PV inverter [kW], its ramp [% of the rating per second] and AC over DC power.
    battery_kw, battery_kwh, battery_efficiency, battery_self_discharge, battery_soc, battery_ramp_pct_s
        Rating [kW] and usable capacity [kWh], both 0 for none, one-way efficiency, part of the stored energy
        that is lost in a day, state of charge at the start [0..1] and ramp [% of the rating per second].
    ev_kw, ev_kwh
        Rating of the charger at the meter [kW], and what its vehicle has at the start [kWh].
    flexible_kw, flexible_kwh
        The same of a heat pump with its heat above the lower end of its band, or of an appliance with the
        work that is done.
    """

    id: str
    phases: tuple[int, ...] = (1, 2, 3)
    nominal_v: float = 230.0
    meter: str = "sdm630"
    import_kwh: float = 0.0
    export_kwh: float = 0.0
    pv_kw: float = 0.0
    pv_ramp_pct_s: float = 10.0
    pv_efficiency: float = 0.96
    battery_kw: float = 0.0
    battery_kwh: float = 0.0
    battery_efficiency: float = 0.95
    battery_self_discharge: float = 0.0
    battery_soc: float = 0.5
    battery_ramp_pct_s: float = 50.0
    ev_kw: float = 0.0
    ev_kwh: float = 0.0
    flexible_kw: float = 0.0
    flexible_kwh: float = 0.0

    @property
    def has_battery(self) -> bool:
        """Whether it has a battery."""
        return bool(exists(self.battery_kwh, self.battery_kw))
