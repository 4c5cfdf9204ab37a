"""An emulated charge point with one connector, by OCPP 1.6 or 2.0.1, over the physics of charging."""

import asyncio
import contextlib
from datetime import UTC, datetime

import websockets
from ocpp import v16, v201
from ocpp.routing import on

from devices.physics.charging import charge

SAMPLED = (("Power.Active.Import", "W", 1000.0), ("Energy.Active.Import.Register", "Wh", 1000.0))


class Vehicle:
    """A connector with a vehicle that may be there, and the limits that were installed."""

    def __init__(self, rating_kw=11.0, wants_kwh=20.0):
        self.rating_kw, self.wants_kwh = rating_kw, wants_kwh
        self.is_plugged = False
        self.power_kw, self.energy_kwh = 0.0, 100.0
        self.profiles = {}
        self.installed = []
        self.answer = "Accepted"
        self.shows = None
        self.status_is_told = self.power_is_told = True
        self.says = None

    def install(self, number, level, watts, duration):
        if self.answer == "Accepted":
            self.installed.append((number, level, watts, duration))
            self.profiles[number] = (level, watts)
        return self.answer

    def clear(self, number):
        return "Unknown" if self.profiles.pop(number, None) is None else "Accepted"

    @property
    def limit_w(self):
        if self.shows is not None:
            return self.shows
        return max(self.profiles.values())[1] if self.profiles else 1000.0 * self.rating_kw

    @property
    def status(self):
        return self.says or ("Charging" if self.power_kw > 0.0 else "SuspendedEVSE")

    def let_pass(self, hours):
        if self.is_plugged:
            power_kw, energy_kwh = charge(
                self.energy_kwh, 100.0 + self.wants_kwh, self.limit_w / 1000, self.rating_kw, 1.38, hours
            )
            self.power_kw, self.energy_kwh = float(power_kw), float(energy_kwh)
        else:
            self.power_kw = 0.0

    def sampled(self):
        values = {"Power.Active.Import": self.power_kw, "Energy.Active.Import.Register": self.energy_kwh}
        sampled = SAMPLED if self.power_is_told else SAMPLED[1:]
        return [(name, unit, factor * values[name]) for name, unit, factor in sampled]


def now():
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class Point16(v16.ChargePoint):
    """OCPP 1.6."""

    def __init__(self, name, connection, vehicle):
        super().__init__(name, connection, response_timeout=5)
        self.vehicle = vehicle

    @property
    def status(self):
        if not self.vehicle.is_plugged:
            return "Available"
        return self.vehicle.status

    async def tell(self):
        if self.vehicle.status_is_told:
            await self.call(
                v16.call.StatusNotification(connector_id=1, error_code="NoError", status=self.status)
            )
        sampled = [
            {"measurand": name, "unit": unit, "value": f"{value:.1f}"}
            for name, unit, value in self.vehicle.sampled()
        ]
        values = [{"timestamp": now(), "sampledValue": sampled}]
        await self.call(v16.call.MeterValues(connector_id=1, meter_value=values))

    async def boot(self):
        await self.call(v16.call.BootNotification(charge_point_model="test", charge_point_vendor="test"))
        await self.tell()

    async def plug(self, plugged=True):
        self.vehicle.is_plugged = plugged
        await self.tell()

    @on("TriggerMessage")
    def triggered(self, **_):
        return v16.call_result.TriggerMessage(status="Accepted")

    @on("SetChargingProfile")
    def limited(self, cs_charging_profiles, **_):
        profile, schedule = cs_charging_profiles, cs_charging_profiles["charging_schedule"]
        assert schedule["charging_rate_unit"] == "W"
        status = self.vehicle.install(
            profile["charging_profile_id"],
            profile["stack_level"],
            schedule["charging_schedule_period"][0]["limit"],
            schedule.get("duration"),
        )
        return v16.call_result.SetChargingProfile(status=status)

    @on("ClearChargingProfile")
    def cleared(self, **given):
        return v16.call_result.ClearChargingProfile(status=self.vehicle.clear(given["id"]))

    @on("GetCompositeSchedule")
    def composite(self, **_):
        # Whole watts: the library cannot send decimals in this answer.
        period = [{"startPeriod": 0, "limit": round(self.vehicle.limit_w)}]
        return v16.call_result.GetCompositeSchedule(
            status="Accepted",
            connector_id=1,
            schedule_start=now(),
            charging_schedule={"chargingRateUnit": "W", "chargingSchedulePeriod": period},
        )


class Point201(v201.ChargePoint):
    """OCPP 2.0.1."""

    def __init__(self, name, connection, vehicle):
        super().__init__(name, connection, response_timeout=5)
        self.vehicle = vehicle
        self.seq_no = 0

    async def tell(self):
        vehicle = self.vehicle
        if vehicle.status_is_told:
            status = "Occupied" if vehicle.is_plugged else "Available"
            await self.call(
                v201.call.StatusNotification(
                    timestamp=now(), connector_status=status, evse_id=1, connector_id=1
                )
            )
        if not vehicle.is_plugged:
            return
        sampled = [
            {"measurand": name, "value": value / 1000, "unitOfMeasure": {"unit": unit, "multiplier": 3}}
            for name, unit, value in vehicle.sampled()
        ]
        state = vehicle.status
        self.seq_no += 1
        await self.call(
            v201.call.TransactionEvent(
                event_type="Started" if self.seq_no == 1 else "Updated",
                timestamp=now(),
                trigger_reason="MeterValuePeriodic",
                seq_no=self.seq_no,
                transaction_info={"transactionId": "t1", "chargingState": state},
                meter_value=[{"timestamp": now(), "sampledValue": sampled}],
                evse={"id": 1, "connectorId": 1},
            )
        )

    async def boot(self):
        station = {"model": "test", "vendorName": "test"}
        await self.call(v201.call.BootNotification(charging_station=station, reason="PowerUp"))
        await self.tell()

    async def plug(self, plugged=True):
        self.vehicle.is_plugged = plugged
        await self.tell()

    async def need(self, energy_wh, departs):
        needs = {
            "requestedEnergyTransfer": "AC_three_phase",
            "departureTime": departs,
            "acChargingParameters": {
                "energyAmount": energy_wh,
                "evMinCurrent": 6,
                "evMaxCurrent": 16,
                "evMaxVoltage": 400,
            },
        }
        await self.call(v201.call.NotifyEVChargingNeeds(charging_needs=needs, evse_id=1))

    @on("TriggerMessage")
    def triggered(self, **_):
        return v201.call_result.TriggerMessage(status="Accepted")

    @on("SetChargingProfile")
    def limited(self, charging_profile, **_):
        schedule = charging_profile["charging_schedule"][0]
        assert schedule["charging_rate_unit"] == "W"
        status = self.vehicle.install(
            charging_profile["id"],
            charging_profile["stack_level"],
            schedule["charging_schedule_period"][0]["limit"],
            schedule.get("duration"),
        )
        return v201.call_result.SetChargingProfile(status=status)

    @on("ClearChargingProfile")
    def cleared(self, charging_profile_id, **_):
        return v201.call_result.ClearChargingProfile(status=self.vehicle.clear(charging_profile_id))

    @on("GetCompositeSchedule")
    def composite(self, duration, **_):
        return v201.call_result.GetCompositeSchedule(
            status="Accepted",
            schedule={
                "evseId": 1,
                "duration": duration,
                "scheduleStart": now(),
                "chargingRateUnit": "W",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": self.vehicle.limit_w}],
            },
        )


POINTS = {"ocpp1.6": Point16, "ocpp2.0.1": Point201}


@contextlib.asynccontextmanager
async def connected(version, port, name="CP1", vehicle=None, password=None):
    """A charge point that is connected and has booted."""
    user = f"{name}:{password}@" if password else ""
    async with websockets.connect(f"ws://{user}127.0.0.1:{port}/ocpp/{name}", subprotocols=[version]) as link:
        point = POINTS[version](name, link, vehicle or Vehicle())
        serving = asyncio.create_task(point.start())
        try:
            await point.boot()
            yield point
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
