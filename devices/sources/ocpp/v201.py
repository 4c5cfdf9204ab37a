"""OCPP 2.0.1 from the side of the central system, for one charger."""

from datetime import UTC, datetime, timedelta
from typing import Any

from ocpp.v201 import ChargePoint, call, call_result
from ocpp.v201.datatypes import (
    ChargingProfileType,
    ChargingSchedulePeriodType,
    ChargingScheduleType,
    EVSEType,
    IdTokenInfoType,
)
from ocpp.v201.enums import (
    Action,
    AuthorizationStatusEnumType,
    ChargingProfileKindEnumType,
    ChargingProfilePurposeEnumType,
    ChargingRateUnitEnumType,
    DataTransferStatusEnumType,
    MessageTriggerEnumType,
    NotifyEVChargingNeedsStatusEnumType,
    RegistrationStatusEnumType,
)

from devices.sources.ocpp.charger import Charger, instant
from devices.sources.ocpp.session import LIBRARY_WITHIN_S, Limit, accepted, answer_of, handles, shown_limit_w

_SLACK_S = 30
# What is to stay began so long ago that it stands although a clock is set back [s].
_FOR_GOOD_S = 86_400
_COMPOSITE_S = 60
_ACCEPTED = IdTokenInfoType(status=AuthorizationStatusEnumType.accepted)


class Session201(ChargePoint):  # type: ignore[misc]
    """Charger that speaks OCPP 2.0.1; parameters as in `devices.sources.ocpp.v16.Session16`."""

    def __init__(self, name: str, connection: Any, chargers: dict[int, Charger], heartbeat_s: int) -> None:
        super().__init__(name, connection, response_timeout=LIBRARY_WITHIN_S)
        self._chargers = chargers
        self._heartbeat_s = heartbeat_s
        self._evses: dict[str, int] = {}

    async def set_limit(self, connector: int, limit: Limit) -> None:
        """See `devices.sources.ocpp.session.Session`."""
        period = ChargingSchedulePeriodType(start_period=0, limit=round(limit.watts, 1))
        schedule = ChargingScheduleType(
            id=limit.number,
            charging_rate_unit=ChargingRateUnitEnumType.watts,
            charging_schedule_period=[period],
            start_schedule=_now(-(_FOR_GOOD_S if limit.seconds is None else _SLACK_S)),
            duration=None if limit.seconds is None else limit.seconds + _SLACK_S,
        )
        profile = ChargingProfileType(
            id=limit.number,
            stack_level=limit.level,
            charging_profile_purpose=ChargingProfilePurposeEnumType.tx_default_profile,
            charging_profile_kind=ChargingProfileKindEnumType.absolute,
            charging_schedule=[schedule],
        )
        request = call.SetChargingProfile(evse_id=connector, charging_profile=profile)
        accepted((await answer_of(self, request, self.id)).status, self.id, "SetChargingProfile")

    async def clear_limit(self, number: int) -> None:
        """See `devices.sources.ocpp.session.Session`."""
        await answer_of(self, call.ClearChargingProfile(charging_profile_id=number), self.id)

    async def shown_w(self, connector: int) -> float | None:
        """See `devices.sources.ocpp.session.Session`."""
        request = call.GetCompositeSchedule(
            duration=_COMPOSITE_S, evse_id=connector, charging_rate_unit=ChargingRateUnitEnumType.watts
        )
        answer = await answer_of(self, request, self.id)
        return shown_limit_w(answer.schedule) if answer.status == "Accepted" else None

    async def ask_for_state(self, connector: int) -> None:
        """See `devices.sources.ocpp.session.Session`."""
        for message in (MessageTriggerEnumType.status_notification, MessageTriggerEnumType.transaction_event):
            at = EVSEType(id=connector, connector_id=1)
            await answer_of(self, call.TriggerMessage(requested_message=message, evse=at), self.id)

    async def leave(self) -> None:
        """End the connection."""
        await self._connection.close()

    @handles(Action.boot_notification)
    def _boot(self, **_: Any) -> object:
        return call_result.BootNotification(
            current_time=_now(), interval=self._heartbeat_s, status=RegistrationStatusEnumType.accepted
        )

    @handles(Action.heartbeat)
    def _heartbeat(self, **_: Any) -> object:
        return call_result.Heartbeat(current_time=_now())

    @handles(Action.authorize)
    def _authorize(self, **_: Any) -> object:
        return call_result.Authorize(id_token_info=_ACCEPTED)

    @handles(Action.data_transfer)
    def _data(self, **_: Any) -> object:
        return call_result.DataTransfer(status=DataTransferStatusEnumType.unknown_vendor_id)

    @handles(Action.status_notification)
    def _status(self, connector_status: str, evse_id: int, **_: Any) -> object:
        charger = self._chargers.get(evse_id)
        if charger is not None and connector_status == "Occupied":
            charger.come()
        elif charger is not None and connector_status in ("Available", "Reserved"):
            charger.go()
        return call_result.StatusNotification()

    @handles(Action.transaction_event)
    def _transaction(
        self,
        event_type: str,
        transaction_info: dict[str, Any],
        evse: dict[str, Any] | None = None,
        meter_value: list[dict[str, Any]] | None = None,
        id_token: dict[str, Any] | None = None,
        **_: Any,
    ) -> object:
        name = str(transaction_info.get("transaction_id", ""))
        if evse is not None:
            self._evses[name] = int(evse["id"])
        charger = self._chargers.get(self._evses.get(name, 0))
        if charger is not None:
            state = transaction_info.get("charging_state")
            if state is not None:
                charger.charges(state == "Charging")
                if state == "Idle":
                    charger.go()
                else:
                    charger.come()
            charger.take(meter_value or ())
            if event_type == "Ended":
                charger.charges(False)
                self._evses.pop(name, None)
        return call_result.TransactionEvent(id_token_info=_ACCEPTED if id_token else None)

    @handles(Action.meter_values)
    def _meter(self, evse_id: int, meter_value: list[dict[str, Any]], **_: Any) -> object:
        charger = self._chargers.get(evse_id)
        if charger is not None:
            charger.take(meter_value)
        return call_result.MeterValues()

    @handles(Action.notify_ev_charging_needs)
    def _needs(self, charging_needs: dict[str, Any], evse_id: int, **_: Any) -> object:
        charger = self._chargers.get(evse_id)
        if charger is not None:
            charger.come()
            alternating = charging_needs.get("ac_charging_parameters") or {}
            direct = charging_needs.get("dc_charging_parameters") or {}
            energy_wh = alternating.get("energy_amount", direct.get("energy_amount"))
            charger.wanted_kwh = None if energy_wh is None else float(energy_wh) / 1000.0
            departs = charging_needs.get("departure_time")
            charger.departs_at = None if departs is None else instant(departs)
        return call_result.NotifyEVChargingNeeds(status=NotifyEVChargingNeedsStatusEnumType.accepted)

    @handles(Action.security_event_notification)
    def _security(self, **_: Any) -> object:
        return call_result.SecurityEventNotification()

    @handles(Action.firmware_status_notification)
    def _firmware(self, **_: Any) -> object:
        return call_result.FirmwareStatusNotification()

    @handles(Action.log_status_notification)
    def _log(self, **_: Any) -> object:
        return call_result.LogStatusNotification()

    @handles(Action.notify_event)
    def _event(self, **_: Any) -> object:
        return call_result.NotifyEvent()

    @handles(Action.notify_report)
    def _report(self, **_: Any) -> object:
        return call_result.NotifyReport()


def _now(offset_s: float = 0.0) -> str:
    moment = datetime.now(UTC) + timedelta(seconds=offset_s)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
