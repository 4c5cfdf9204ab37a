"""OCPP 1.6 from the side of the central system, for one charger."""

from datetime import UTC, datetime, timedelta
from typing import Any

from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.datatypes import ChargingProfile, ChargingSchedule, ChargingSchedulePeriod, IdTagInfo
from ocpp.v16.enums import (
    Action,
    AuthorizationStatus,
    ChargingProfileKindType,
    ChargingProfilePurposeType,
    ChargingRateUnitType,
    DataTransferStatus,
    MessageTrigger,
    RegistrationStatus,
)

from devices.sources.ocpp.charger import Charger
from devices.sources.ocpp.session import LIBRARY_WITHIN_S, Limit, accepted, answer_of, handles, shown_limit_w

_PLUGGED = ("Preparing", "Charging", "SuspendedEV", "SuspendedEVSE", "Finishing")
# A schedule begins a little in the past, so that a charger's clock may be slow.
_SLACK_S = 30
# What is to stay began so long ago that it stands although a clock is set back [s].
_FOR_GOOD_S = 86_400
_COMPOSITE_S = 60


class Session16(ChargePoint):  # type: ignore[misc]
    """Charger that speaks OCPP 1.6 (`devices.sources.ocpp.session.Session`).

    Parameters
    ----------
    name, connection
        Its name and its WebSocket.
    chargers
        What is known of its connectors, by number.
    heartbeat_s
        How often it is to say that it is alive [s].
    """

    def __init__(self, name: str, connection: Any, chargers: dict[int, Charger], heartbeat_s: int) -> None:
        super().__init__(name, connection, response_timeout=LIBRARY_WITHIN_S)
        self._chargers = chargers
        self._heartbeat_s = heartbeat_s
        self._transactions: dict[int, int] = {}

    async def set_limit(self, connector: int, limit: Limit) -> None:
        """See `devices.sources.ocpp.session.Session`."""
        period = ChargingSchedulePeriod(start_period=0, limit=round(limit.watts, 1))
        schedule = ChargingSchedule(
            charging_rate_unit=ChargingRateUnitType.watts,
            charging_schedule_period=[period],
            start_schedule=_now(-(_FOR_GOOD_S if limit.seconds is None else _SLACK_S)),
            duration=None if limit.seconds is None else limit.seconds + _SLACK_S,
        )
        profile = ChargingProfile(
            charging_profile_id=limit.number,
            stack_level=limit.level,
            charging_profile_purpose=ChargingProfilePurposeType.tx_default_profile,
            charging_profile_kind=ChargingProfileKindType.absolute,
            charging_schedule=schedule,
        )
        request = call.SetChargingProfile(connector_id=connector, cs_charging_profiles=profile)
        accepted((await answer_of(self, request, self.id)).status, self.id, "SetChargingProfile")

    async def clear_limit(self, number: int) -> None:
        """See `devices.sources.ocpp.session.Session`."""
        await answer_of(self, call.ClearChargingProfile(id=number), self.id)

    async def shown_w(self, connector: int) -> float | None:
        """See `devices.sources.ocpp.session.Session`."""
        request = call.GetCompositeSchedule(
            connector_id=connector, duration=_COMPOSITE_S, charging_rate_unit=ChargingRateUnitType.watts
        )
        answer = await answer_of(self, request, self.id)
        return shown_limit_w(answer.charging_schedule) if answer.status == "Accepted" else None

    async def ask_for_state(self, connector: int) -> None:
        """See `devices.sources.ocpp.session.Session`."""
        for message in (MessageTrigger.status_notification, MessageTrigger.meter_values):
            request = call.TriggerMessage(requested_message=message, connector_id=connector)
            await answer_of(self, request, self.id)

    async def leave(self) -> None:
        """End the connection."""
        await self._connection.close()

    @handles(Action.boot_notification)
    def _boot(self, **_: Any) -> object:
        return call_result.BootNotification(
            current_time=_now(), interval=self._heartbeat_s, status=RegistrationStatus.accepted
        )

    @handles(Action.heartbeat)
    def _heartbeat(self, **_: Any) -> object:
        return call_result.Heartbeat(current_time=_now())

    @handles(Action.authorize)
    def _authorize(self, **_: Any) -> object:
        return call_result.Authorize(id_tag_info=IdTagInfo(status=AuthorizationStatus.accepted))

    @handles(Action.data_transfer)
    def _data(self, **_: Any) -> object:
        return call_result.DataTransfer(status=DataTransferStatus.unknown_vendor_id)

    @handles(Action.status_notification)
    def _status(self, connector_id: int, status: str, **_: Any) -> object:
        charger = self._chargers.get(connector_id)
        if charger is not None:
            if status in _PLUGGED:
                charger.come()
            elif status in ("Available", "Reserved"):
                charger.go()
            charger.charges(status == "Charging")
        return call_result.StatusNotification()

    @handles(Action.start_transaction)
    def _start(self, connector_id: int, meter_start: float, **_: Any) -> object:
        number = len(self._transactions) + 1
        self._transactions[number] = connector_id
        charger = self._chargers.get(connector_id)
        if charger is not None:
            charger.energy_kwh = meter_start / 1000.0
            charger.come()
            charger.began_kwh = charger.energy_kwh
        return call_result.StartTransaction(
            transaction_id=number, id_tag_info=IdTagInfo(status=AuthorizationStatus.accepted)
        )

    @handles(Action.stop_transaction)
    def _stop(self, meter_stop: float, transaction_id: int, **_: Any) -> object:
        charger = self._chargers.get(self._transactions.pop(transaction_id, 0))
        if charger is not None:
            charger.energy_kwh = meter_stop / 1000.0
            charger.charges(False)
        return call_result.StopTransaction(id_tag_info=IdTagInfo(status=AuthorizationStatus.accepted))

    @handles(Action.meter_values)
    def _meter(self, connector_id: int, meter_value: list[dict[str, Any]], **_: Any) -> object:
        charger = self._chargers.get(connector_id)
        if charger is not None:
            charger.take(meter_value)
        return call_result.MeterValues()

    @handles(Action.firmware_status_notification)
    def _firmware(self, **_: Any) -> object:
        return call_result.FirmwareStatusNotification()

    @handles(Action.diagnostics_status_notification)
    def _diagnostics(self, **_: Any) -> object:
        return call_result.DiagnosticsStatusNotification()


def _now(offset_s: float = 0.0) -> str:
    moment = datetime.now(UTC) + timedelta(seconds=offset_s)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
