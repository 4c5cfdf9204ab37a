"""What can be wrong with a scenario beyond one key's type and range, and where in the file it stands."""

import re
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import msgspec

from broker.address import parse_address
from broker.errors import BrokerAddressError
from cosim.feeder.settings import misfit
from cosim.scenario.scenario import Scenario
from cosim.scenario.timeline import tick_of, timeline_of
from cosim.scenario.units import Hourly
from cosim.scenario.web import webhook_wrong
from sharegrid.text import closest


def hourly(price: Hourly) -> tuple[float, ...]:
    """Twenty-four values of a price that may be one number."""
    return price if isinstance(price, tuple) else (price,) * 24


def find_line(text: str, key: str) -> int | None:
    """Line of a dotted key in TOML text, from 1; None if not written as ``[table]`` and ``key =``.

    Tables of a list are counted from 0: ``events[1].at`` stands below the second ``[[events]]``.
    """
    table, _, name = key.rpartition(".")
    name = name.partition("[")[0] if table else name
    here = ""
    lists: Counter[str] = Counter()
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*(\[+)\s*([^\[\]]+?)\s*\]+", line)
        if header:
            here = header.group(2)
            if header.group(1) == "[[" and "[" in key:
                lists[here] += 1
                here = f"{here}[{lists[here] - 1}]"
            if here == key:
                return number
        elif here == table and re.match(rf"\s*{re.escape(name)}\s*=", line):
            return number
    return None


def unknown_key(raw: dict[str, Any], struct: type[msgspec.Struct], at: str = "") -> tuple[str, str] | None:
    """First key of nested tables that the structs do not have: (dotted key, remedy), or None."""
    fields = {field.name: field.type for field in msgspec.structs.fields(struct)}
    for name, value in raw.items():
        key = f"{at}{name}"
        if name not in fields:
            hint = closest(name, list(fields)) or f"known are {', '.join(fields)}"
            return key, f"unknown key; {hint}"
        for inner in _structs_in(fields[name]):
            for table in value if isinstance(value, list) else [value]:
                found = unknown_key(table, inner, f"{key}.") if isinstance(table, dict) else None
                if found is not None:
                    return found
    return None


def choices(key: str, struct: type[msgspec.Struct]) -> tuple[Any, ...]:
    """Values that a dotted key admits, if its type lists them."""
    name, _, rest = key.partition(".")
    name = name.partition("[")[0]
    kind = next(field.type for field in msgspec.structs.fields(struct) if field.name == name)
    if rest:
        return choices(rest, _structs_in(kind)[0])
    listed = getattr(kind, "__origin__", kind)
    return tuple(getattr(listed, "__args__", ()))


def _structs_in(annotation: Any) -> list[type[msgspec.Struct]]:
    """Struct classes named in a field's annotation, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return [annotation]
    inner = [getattr(annotation, "__origin__", None), *getattr(annotation, "__args__", ())]
    return [
        found for part in inner if part is not None and part is not annotation for found in _structs_in(part)
    ]


def inconsistency(scenario: Scenario) -> tuple[str, str] | None:
    """First contradiction between keys: (dotted key, what and remedy), or None."""
    return (
        _time(scenario)
        or _ranges(scenario)
        or _prices(scenario)
        or _rule(scenario)
        or _network(scenario)
        or _addresses(scenario)
    )


def _addresses(scenario: Scenario) -> tuple[str, str] | None:
    """Addresses to which nothing could ever be sent."""
    if wrong := webhook_wrong(scenario.alarms.webhook):
        return "alarms.webhook", wrong
    if "://" in scenario.broker.use:
        try:
            parse_address(scenario.broker.use)
        except BrokerAddressError as error:
            return "broker.use", str(error)
    return None


def _time(scenario: Scenario) -> tuple[str, str] | None:
    run, site = scenario.run, scenario.site
    if not 1990 <= run.start.year <= 2100:
        return "run.start", f"the year {run.start.year} is outside 1990 to 2100; give another"
    since_midnight = run.start - datetime.combine(run.start.date(), datetime.min.time())
    if since_midnight % timedelta(minutes=run.interval_min):
        return "run.start", f"{run.start:%H:%M:%S} is not a multiple of {run.interval_min} min; move it"
    try:
        timeline = timeline_of(run)
    except ValueError as error:
        return ("run.time_zone" if "time zone" in str(error) else "run.start"), str(error)
    offset = timeline.local(0).utcoffset() or timedelta(0)
    apart_h = (offset / timedelta(hours=1) - site.longitude_deg / 15.0 + 12.0) % 24.0 - 12.0
    if abs(apart_h) > 4.0:
        return "run.time_zone", (
            f"{run.time_zone} is {abs(apart_h):.0f} h off the sun at "
            f"site.longitude_deg = {site.longitude_deg}; correct one of them"
        )
    return None


def _ranges(scenario: Scenario) -> tuple[str, str] | None:
    population = scenario.population
    pv, battery, flexible = population.pv, population.battery, population.flexible
    ev, heat, wash = population.ev, population.heat_pump, population.appliance
    pairs = (
        ("population.pv.kwp_max", pv.kwp_min, pv.kwp_max),
        ("population.battery.kwh_max", battery.kwh_min, battery.kwh_max),
        ("population.battery.soc_start_max", battery.soc_start_min, battery.soc_start_max),
        ("population.flexible.cost_linear_max", flexible.cost_linear_min, flexible.cost_linear_max),
        ("population.ev.kwh_max", ev.kwh_min, ev.kwh_max),
        ("population.ev.trip_kwh_max", ev.trip_kwh_min, ev.trip_kwh_max),
        ("population.heat_pump.w_per_k_max", heat.w_per_k_min, heat.w_per_k_max),
        ("population.appliance.kwh_max", wash.kwh_min, wash.kwh_max),
    )
    for key, low, high in pairs:
        if low > high:
            name = key.rpartition(".")[2]
            return key, f"{high} is below {name.replace('max', 'min')} = {low}; swap or correct them"
    if ev.trip_kwh_max > ev.kwh_min:
        what = f"{ev.trip_kwh_max} is more than the smallest vehicle holds, kwh_min = {ev.kwh_min}"
        return "population.ev.trip_kwh_max", f"{what}; lower it, or raise that"
    if not ev.leaves_h + 4.0 * ev.hours_sigma < ev.comes_h:
        what = f"{ev.comes_h} is not {4.0 * ev.hours_sigma} h (4 hours_sigma) after leaves_h = {ev.leaves_h}"
        return "population.ev.comes_h", f"{what}; move one of them, or lower hours_sigma"
    if not heat.low_c < heat.high_c:
        return "population.heat_pump.high_c", f"{heat.high_c} is not above low_c = {heat.low_c}; raise it"
    if not wash.begins_h + wash.kwh_max / wash.kw <= wash.ends_h:
        what = f"{wash.kwh_max} kWh cannot be drawn at {wash.kw} kW from {wash.begins_h} to {wash.ends_h} h"
        return "population.appliance.ends_h", f"{what}; give more time or power"
    law = population.voltage_dependence
    if law.constant_impedance + law.constant_current > 1.0:
        return "population.voltage_dependence.constant_current", (
            f"{law.constant_current} and constant_impedance = {law.constant_impedance} are above 1 together; "
            "lower one"
        )
    names = [orientation.name for orientation in pv.orientations]
    if len(set(names)) < len(names):
        return "population.pv.orientations", "two classes have one name; rename one"
    if sum(orientation.weight for orientation in pv.orientations) <= 0.0:
        return "population.pv.orientations", "all weights are 0; give one above"
    return None


def _network(scenario: Scenario) -> tuple[str, str] | None:
    feeder = scenario.feeder
    if feeder.lams_at == "phase" and scenario.tables.lams:
        return (
            "feeder.lams_at",
            "tables.lams says where LAMs attach, with their phases; leave one of both out",
        )
    v1, v2, v3, v4 = feeder.volt_var_pu
    if not 0.5 < v1 < v2 <= v3 < v4 < 1.5:
        return "feeder.volt_var_pu", "give four voltages V1 < V2 <= V3 < V4 between 0.5 and 1.5"
    names = [each.name for each in feeder.voltage_classes]
    if len(set(names)) < len(names):
        return "feeder.voltage_classes", "two classes have one name; rename one"
    timeline = timeline_of(scenario.run)
    for place, event in enumerate(scenario.events):
        key = f"events[{place}]"
        if wrong := misfit(event):
            return f"{key}.{wrong[0]}", wrong[1]
        try:
            tick_of(event.at, timeline)
        except ValueError as error:
            return f"{key}.at", str(error)
        if feeder.regulators == "held" and event.kind.startswith("regulator"):
            return f"{key}.kind", 'feeder.regulators = "held" lets none act; set it to "free"'
    return None


def _rule(scenario: Scenario) -> tuple[str, str] | None:
    """What the rule of quantities cannot have beside it."""
    market = scenario.market
    if market.rule != "quantity":
        return None
    for name in ("lam_fee", "wam_fee"):
        if getattr(market, name):
            return f"market.{name}", 'rule = "quantity" has no fees, the tariff parts its prices; set it to 0'
    if market.horizon:
        return "market.horizon", 'rule = "quantity" clears each interval by itself; set it to 0'
    if scenario.feeder.reactive == "market":
        return (
            "feeder.reactive",
            'rule = "quantity" has no market for reactive power; set it to "volt-var" or "unity"',
        )
    tariff = market.tariff
    for hour, (retail, feed_in) in enumerate(
        zip(hourly(tariff.retail_price), hourly(tariff.feed_in_price), strict=True)
    ):
        if not retail > feed_in:
            what = f"{retail} $/kWh is not above market.tariff.feed_in_price = {feed_in} in hour {hour}"
            return "market.tariff.retail_price", f'{what}, as rule = "quantity" needs; raise it'
    return None


def _prices(scenario: Scenario) -> tuple[str, str] | None:
    grid, tariff = scenario.market.grid, scenario.market.tariff
    rules = (
        (
            "market.grid.export_price",
            grid.export_price,
            "market.grid.import_price",
            grid.import_price,
            "lower it",
        ),
        (
            "market.tariff.retail_price",
            grid.import_price,
            "market.grid.import_price",
            tariff.retail_price,
            "raise it",
        ),
        (
            "market.tariff.feed_in_price",
            tariff.feed_in_price,
            "market.grid.export_price",
            grid.export_price,
            "lower it",
        ),
    )
    for key, low, other, high, remedy in rules:
        for hour, (below, above) in enumerate(zip(hourly(low), hourly(high), strict=True)):
            if below > above:
                own, its, side = (above, below, "below") if remedy == "raise it" else (below, above, "above")
                return key, f"{own} $/kWh is {side} {other} = {its} in hour {hour}; {remedy}"
    return None
