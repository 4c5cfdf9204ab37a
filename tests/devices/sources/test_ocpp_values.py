"""What chargers tell of power and energy: a charger of plain JSON over WebSocket, in both versions."""

import asyncio
import itertools
import json
import socket
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import websockets

from broker.messages import DeviceSetPoint
from devices.endpoint import LiveProsumer, parse_endpoint, tcp
from devices.gateway.gateway import Gateway
from devices.limits import SetPointLimits

ENVELOPE = SetPointLimits(real=True, armed=True, min_kw=-11.0, max_kw=0.0, revert_s=60.0)
BOTH = pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1"])


def told(measurand, value, **more):
    return {"measurand": measurand, "value": value, **more}


class Plain:
    """A charger that speaks JSON, and answers what it is asked by a table."""

    def __init__(self, version, connection):
        self.is_old, self._connection = version == "ocpp1.6", connection
        self._numbers = itertools.count()
        self.asked, self.limit_w = [], {}

    async def serve(self):
        async for text in self._connection:
            kind, number, *rest = json.loads(text)
            if kind == 2:
                self.asked.append(rest[0])
                await self._connection.send(json.dumps([3, number, self.answer(*rest)]))

    def answer(self, action, body):
        if action == "SetChargingProfile":
            profile = body["csChargingProfiles" if self.is_old else "chargingProfile"]
            schedule = profile["chargingSchedule"]
            schedule = schedule if self.is_old else schedule[0]
            self.limit_w[profile["stackLevel"]] = schedule["chargingSchedulePeriod"][0]["limit"]
        if action == "ClearChargingProfile":
            self.limit_w.clear()
        # This one shows no schedules.
        return {"status": "Rejected" if action == "GetCompositeSchedule" else "Accepted"}

    async def say(self, action, **body):
        await self._connection.send(json.dumps([2, f"c{next(self._numbers)}", action, body]))
        await asyncio.sleep(0.05)

    async def plug(self):
        if self.is_old:
            await self.say("StatusNotification", connectorId=1, errorCode="NoError", status="Charging")
        else:
            await self.say(
                "StatusNotification",
                timestamp=moment(), connectorStatus="Occupied", evseId=1, connectorId=1,
            )  # fmt: skip
            await self.tell()

    async def tell(self, *sampled, age_s=0.0):
        values = [{"timestamp": moment(age_s), "sampledValue": list(sampled)}]
        if self.is_old:
            await self.say("MeterValues", connectorId=1, meterValue=values)
        else:
            for each in sampled:
                each["value"] = float(each["value"])
                if "unit" in each:
                    each["unitOfMeasure"] = {"unit": each.pop("unit")}
            await self.say(
                "TransactionEvent",
                eventType="Updated", timestamp=moment(age_s), triggerReason="MeterValuePeriodic", seqNo=0,
                transactionInfo={"transactionId": "t1", "chargingState": "Charging"}, evse={"id": 1},
                **({"meterValue": values} if sampled else {}),
            )  # fmt: skip


def moment(age_s=0.0):
    return (datetime.now(UTC) - timedelta(seconds=age_s)).isoformat(timespec="seconds").replace("+00:00", "Z")


@asynccontextmanager
async def charging(version):
    """A gateway, and a charger at which a vehicle charges."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    home = LiveProsumer(
        id="home",
        meter=tcp("127.0.0.1", 1, 1, "sdm630"),
        ev=parse_endpoint(f"ocpp://127.0.0.1:{port}/CP1", "ocpp"),
        ev_limits=ENVELOPE,
    )
    gateway = Gateway([home], timeout_s=0.5, interval_s=900.0, hold_polls=0)
    await gateway.open()
    try:
        async with websockets.connect(f"ws://127.0.0.1:{port}/CP1", subprotocols=[version]) as connection:
            point = Plain(version, connection)
            serving = asyncio.create_task(point.serve())
            await point.plug()
            yield gateway, point
            serving.cancel()
    finally:
        await gateway.close()


async def power_of(gateway):
    (reading,) = await gateway.poll()
    return reading.devices[0].p_kw


@BOTH
async def test_power_without_a_unit_is_in_watts(version):
    async with charging(version) as (gateway, point):
        await point.tell(told("Power.Active.Import", "7400"))
        assert await power_of(gateway) == pytest.approx(-7.4)
        await point.tell(told("Power.Active.Import", "3.5", unit="kW"))
        assert await power_of(gateway) == pytest.approx(-3.5)


@BOTH
async def test_what_waited_in_a_charger_until_it_was_connected_is_not_its_power_now(version):
    async with charging(version) as (gateway, point):
        await point.tell(told("Power.Active.Import", "7400", unit="W"))
        for age_s in (3600.0, 1800.0):
            await point.tell(told("Power.Active.Import", "100", unit="W"), age_s=age_s)
        assert await power_of(gateway) == pytest.approx(-7.4)
        # A clock that is off is off by as much each time.
        await point.tell(told("Power.Active.Import", "5000", unit="W"), age_s=-7200.0)
        await point.tell(told("Power.Active.Import", "6000", unit="W"), age_s=-7200.0)
        assert await power_of(gateway) == pytest.approx(-6.0)


@BOTH
async def test_an_energy_counter_that_falls_is_named_once(version):
    async with charging(version) as (gateway, point):
        await point.tell(told("Power.Active.Import", "7400", unit="W"))
        for wh, fell in ((500_000, False), (501_000, False), (2_000, True), (3_000, False)):
            await point.tell(told("Energy.Active.Import.Register", f"{wh}", unit="Wh"))
            await gateway.poll()
            lines = [line for line in gateway.problems if "energy counter fell" in line]
            assert len(lines) == fell
            assert all("ev of home" in line and "499 kWh" in line for line in lines)


@BOTH
async def test_a_charger_of_plain_frames_is_limited_stopped_and_released(version):
    async with charging(version) as (gateway, point):
        await point.tell(told("Power.Active.Import", "7400", unit="W"))
        outcome = await gateway.command("home", [DeviceSetPoint(device="ev", power_kw=-4.0)], 900.0)
        assert outcome.ok, outcome.detail
        assert point.limit_w == {0: 11_000.0, 1: 4000.0}
        assert await gateway.stop("fire") == []
        assert point.limit_w[1] == 0.0
