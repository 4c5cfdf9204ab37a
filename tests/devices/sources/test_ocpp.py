"""Chargers by OCPP 1.6 and 2.0.1 through the gateway, over real WebSockets."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import websockets

from broker.messages import DeviceSetPoint
from broker.wall_time import since_boot
from devices.endpoint import ChargingWish, LiveProsumer, parse_endpoint, tcp
from devices.errors import EndpointError, ServerError
from devices.gateway.attempt import failures
from devices.gateway.gateway import Gateway
from devices.gateway.stopping import arming
from devices.limits import SetPointLimits
from devices.sources.ocpp.central import CentralSystem
from devices.sources.ocpp.charger import instant, measurands
from tests.devices.sources.charge_point import Vehicle, connected

BOTH = pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1"])
ENVELOPE = SetPointLimits(real=True, min_kw=-7.4, max_kw=0.0)


@asynccontextmanager
async def gateway_of(address="ocpp://127.0.0.1:9/CP1", wish=ChargingWish(), limits=ENVELOPE, **options):  # noqa: B008
    """A gateway with a charger, and the port that chargers connect to."""
    with websockets_port() as port:
        home = LiveProsumer(
            id="home",
            meter=tcp("127.0.0.1", 1, 1, "sdm630"),
            ev=parse_endpoint(address.replace(":9/", f":{port}/"), "ocpp"),
            ev_limits=limits,
            session=wish,
        )
        gateway = Gateway([home], timeout_s=0.5, interval_s=900.0, hold_polls=0, **options)
    await gateway.open()
    try:
        yield gateway, port
    finally:
        await gateway.close()


class websockets_port:  # noqa: N801  # used as a function
    """A port that is free."""

    def __enter__(self):
        import socket

        with socket.create_server(("127.0.0.1", 0)) as free:
            return free.getsockname()[1]

    def __exit__(self, *_):
        pass


async def state(gateway):
    return (await gateway.poll())[0].devices[0]


async def command(gateway, power_kw, valid_s=0.0):
    return await gateway.command("home", [DeviceSetPoint(device="ev", power_kw=power_kw)], valid_s)


@BOTH
async def test_a_vehicle_comes_charges_by_set_points_and_goes(version):
    wish = ChargingWish(energy_kwh=20.0)
    async with gateway_of(wish=wish) as (gateway, port), connected(version, port) as point:
        empty = await state(gateway)
        assert (empty.quality, empty.p_kw, empty.min_kw, empty.max_kw) == ("good", 0.0, 0.0, 0.0)

        await point.plug()
        here = await state(gateway)
        assert (here.p_kw, here.min_kw, here.max_kw, here.needs_kwh) == (0.0, -7.4, 0.0, 20.0)

        assert (await command(gateway, -3.7, valid_s=900.0)).ok
        # The envelope's edge for good, and above it the set-point for its time.
        assert [each[:3] for each in point.vehicle.installed] == [(9101, 0, 7400.0), (9102, 1, 3700.0)]
        assert point.vehicle.installed[0][3] is None
        assert point.vehicle.installed[1][3] == pytest.approx(900, abs=60)

        point.vehicle.let_pass(1.0)
        await point.tell()
        charging = await state(gateway)
        assert (charging.p_kw, charging.needs_kwh) == (pytest.approx(-3.7), pytest.approx(16.3))

        await point.plug(plugged=False)
        point.vehicle.let_pass(1.0)
        gone = await state(gateway)
        assert (gone.p_kw, gone.min_kw, gone.needs_kwh) == (0.0, 0.0, None)


@BOTH
async def test_nothing_beyond_the_envelope_is_sent_and_release_stays_within(version):
    async with gateway_of() as (gateway, port), connected(version, port) as point:
        await point.plug()
        assert (await command(gateway, -22.0)).ok
        assert point.vehicle.limit_w == 7400.0
        assert (await command(gateway, 5.0)).ok
        assert point.vehicle.limit_w == 0.0
        assert (await command(gateway, None)).ok
        assert point.vehicle.limit_w == 7400.0
        assert all(watts <= 7400.0 for _, _, watts, _ in point.vehicle.installed)
        assert gateway.actuators[0].limits.min_kw == -7.4


@BOTH
async def test_a_stop_sets_nothing_flows_for_good(version):
    async with gateway_of() as (gateway, port), connected(version, port) as point:
        await point.plug()
        assert (await command(gateway, -5.0, valid_s=900.0)).ok
        assert await gateway.stop("a test") == []
        assert point.vehicle.limit_w == 0.0
        assert point.vehicle.installed[-1][3] is None
        assert (await command(gateway, -5.0)).barred


@BOTH
async def test_what_a_charger_does_not_accept_or_go_by_is_not_carried_out(version):
    async with gateway_of() as (gateway, port), connected(version, port) as point:
        await point.plug()
        point.vehicle.answer = "Rejected"
        refused = await command(gateway, -3.0)
        assert not refused.ok
        assert "answers SetChargingProfile with Rejected" in refused.detail
        point.vehicle.answer, point.vehicle.shows = "Accepted", 11_000.0
        ignored = await command(gateway, -3.0)
        assert not ignored.ok
        assert "goes by 11000 W after 3000 W was sent" in ignored.detail


@BOTH
async def test_what_another_master_installs_is_flagged(version):
    async with gateway_of() as (gateway, port), connected(version, port) as point:
        await point.plug()
        assert (await command(gateway, -3.0)).ok
        await gateway.poll()
        assert gateway.overwritten == []
        point.vehicle.install(5, 7, 6000.0, None)
        await gateway.poll()
        assert "6000 W where 3000 W was sent" in gateway.overwritten[0]


@BOTH
async def test_a_charger_that_is_away_or_silent_is_not_good(version):
    async with gateway_of() as (gateway, port):
        assert (await state(gateway)).quality == "missing"
        assert "CP1 has not connected" in gateway.problems[0]
        vehicle = Vehicle()
        vehicle.status_is_told = version == "ocpp2.0.1"
        async with connected(version, port, vehicle=vehicle):
            expected = "good" if version == "ocpp2.0.1" else "missing"
            assert (await state(gateway)).quality == expected
        await asyncio.sleep(0.05)
        assert (await state(gateway)).quality == "missing"


async def test_a_charger_that_charges_without_telling_its_power_is_not_good(monkeypatch):
    async with gateway_of() as (gateway, port), connected("ocpp1.6", port) as point:
        await point.plug()
        point.vehicle.let_pass(0.1)
        await point.tell()
        assert (await state(gateway)).p_kw == pytest.approx(-11.0)
        now = since_boot()
        monkeypatch.setattr("devices.sources.ocpp.port.since_boot", lambda: now + 100.0)
        assert (await state(gateway)).quality == "missing"
        assert "charges without telling its power" in gateway.problems[0]


@BOTH
async def test_a_charger_that_draws_although_it_says_that_it_does_not_shows_its_power(version):
    async with gateway_of() as (gateway, port), connected(version, port) as point:
        await point.plug()
        point.vehicle.let_pass(0.1)
        await point.tell()
        assert (await state(gateway)).p_kw == pytest.approx(-11.0)
        point.vehicle.says = "SuspendedEVSE"
        await point.tell()
        assert (await state(gateway)).p_kw == pytest.approx(-11.0)
        point.vehicle.power_is_told = False
        await point.tell()
        # What it told before it said that nothing flows no longer counts.
        assert (await state(gateway)).p_kw == 0.0


async def test_a_counter_that_starts_anew_takes_nothing_from_what_a_vehicle_got():
    wish = ChargingWish(energy_kwh=10.0)
    async with gateway_of(wish=wish) as (gateway, port), connected("ocpp1.6", port) as point:
        await point.plug()
        point.vehicle.energy_kwh = 104.0
        await point.tell()
        assert (await state(gateway)).needs_kwh == pytest.approx(6.0)
        for energy_kwh in (0.0, 1.0):
            point.vehicle.energy_kwh = energy_kwh
            await point.tell()
        assert (await state(gateway)).needs_kwh == pytest.approx(5.0)


async def test_a_vehicle_that_tells_what_it_wants_and_when_it_leaves_is_heard():
    wish = ChargingWish(energy_kwh=1.0)
    async with gateway_of(wish=wish) as (gateway, port), connected("ocpp2.0.1", port) as point:
        await point.plug()
        departs = (datetime.now(UTC) + timedelta(hours=2)).isoformat(timespec="seconds")
        await point.need(14_000, departs)
        here = await state(gateway)
        assert here.needs_kwh == 14.0
        assert here.left_s == pytest.approx(7200.0, abs=5.0)
        # 14 kWh in two hours at 7.4 kW: 12.95 kWh fit into the other seven quarters.
        assert here.max_kw == pytest.approx(-(14.0 - 7.4 * 1.75) / 0.25, abs=0.05)


async def test_a_charger_falls_back_to_its_envelope_and_says_so_at_arming():
    limits = SetPointLimits(real=True, armed=True, min_kw=-7.4, max_kw=0.0, revert_s=600.0)
    async with gateway_of(limits=limits) as (gateway, port), connected("ocpp1.6", port) as point:
        await point.plug()
        (line,) = await arming(gateway.actuators)
        assert line.endswith("falls back by itself, within its envelope")
        assert (await command(gateway, -3.0, valid_s=900.0)).ok
        del point.vehicle.profiles[9102]  # as when its time is over
        assert point.vehicle.limit_w == 7400.0


@BOTH
async def test_a_charger_that_was_restarted_is_brought_back_within_its_envelope(version):
    async with gateway_of() as (gateway, port):
        async with connected(version, port) as point:
            await point.plug()
            assert (await command(gateway, -3.0, valid_s=900.0)).ok
        vehicle = Vehicle()
        vehicle.is_plugged = True
        async with connected(version, port, vehicle=vehicle):
            assert vehicle.limit_w == 11_000.0
            await gateway.poll()
            assert vehicle.limit_w == 7400.0
            assert "has connected anew" in gateway.overwritten[0]
            assert (await command(gateway, -3.0, valid_s=900.0)).ok
            assert vehicle.limit_w == 3000.0


@BOTH
async def test_a_charger_that_comes_back_stays_stopped(version):
    async with gateway_of() as (gateway, port):
        async with connected(version, port) as point:
            await point.plug()
            assert await gateway.stop("a test") == []
        async with connected(version, port) as again:
            await gateway.poll()
            assert failures(await gateway.tend()) == []
            assert again.vehicle.limit_w == 0.0


async def test_a_charger_that_is_only_observed_is_never_limited():
    limits = SetPointLimits(real=True, armed=False, min_kw=-7.4, max_kw=0.0)
    async with gateway_of(limits=limits) as (gateway, port):
        for _ in range(2):
            async with connected("ocpp1.6", port) as point:
                await point.plug()
                assert (await state(gateway)).quality == "good"
                assert (await command(gateway, -3.0)).barred
                assert await gateway.stop("a test") == []
                assert point.vehicle.installed == []


async def test_who_is_not_in_the_scenario_or_has_another_password_is_turned_away():
    async with gateway_of("ocpp://:s3cret@127.0.0.1:9/CP1") as (gateway, port):
        with pytest.raises(websockets.InvalidStatus, match="404"):
            await websockets.connect(f"ws://127.0.0.1:{port}/CP9", subprotocols=["ocpp1.6"])
        assert (await state(gateway)).quality == "missing"
        assert "CP9 has, and is not in the scenario" in gateway.problems[0]
        for password in (None, "other"):
            with pytest.raises(websockets.InvalidStatus, match="401"):
                async with connected("ocpp1.6", port, password=password):
                    pass
        async with connected("ocpp1.6", port, password="s3cret"):
            assert (await state(gateway)).quality == "good"
        assert "s3cret" not in str(gateway.hardware)


async def test_a_charger_that_connects_again_takes_its_own_place():
    async with (
        gateway_of() as (gateway, port),
        connected("ocpp1.6", port),
        connected("ocpp1.6", port) as again,
    ):
        await again.plug()
        assert (await command(gateway, -3.0)).ok
        assert again.vehicle.limit_w == 3000.0


async def test_nonsense_ends_no_connection():
    async with gateway_of() as (gateway, port), connected("ocpp1.6", port) as point:
        for text in (
            "x",
            "[]",
            '[2, "1", "Nothing", {}]',
            '[2, "1", "MeterValues", {"connectorId": "x"}]',
            "[9]",
        ):
            await point._connection.send(text)
        await asyncio.sleep(0.05)
        await point.plug()
        assert (await state(gateway)).quality == "good"


async def test_a_port_that_is_taken_is_one_line():
    async with gateway_of() as (_, port):
        other = CentralSystem(parse_endpoint(f"ocpp://127.0.0.1:{port}/CP2", "ocpp").link)
        with pytest.raises(ServerError, match="choose another port"):
            await other.open()


@pytest.mark.parametrize("address", ["ocpp://0.0.0.0:9000", "ocpp://0.0.0.0/CP1/x", "ocpp://0.0.0.0/CP1/0"])
def test_other_addresses_are_refused(address):
    with pytest.raises(EndpointError):
        parse_endpoint(address, "ocpp")


def test_phases_are_added_up_where_no_total_is_told():
    phases = [
        {"measurand": "Power.Active.Import", "unit": "W", "phase": p, "value": "1000"} for p in ("L1", "L2-N")
    ]
    assert measurands(phases) == {"Power.Active.Import": 2.0}
    total = {"measurand": "Power.Active.Import", "unit": "kW", "value": "2.5"}
    assert measurands([*phases, total]) == {"Power.Active.Import": 2.5}
    assert measurands([{"value": "1500"}, {"value": "x"}, {"measurand": "SoC", "value": "nan"}]) == {
        "Energy.Active.Import.Register": 1.5
    }


def test_times_without_a_zone_are_utc():
    assert (
        instant("2024-05-01T10:00:00Z")
        == instant("2024-05-01T12:00:00+02:00")
        == instant("2024-05-01T10:00:00")
    )
    assert instant("tomorrow") is None
