"""IEEE 123-node test feeder as package data, and the OpenDSS commands that build it.

The tables (TOML and CSV beside this file) hold the figures of the IEEE PES Distribution Test Feeder Working
Group; `commands` turns them into OpenDSS commands. Nothing here calls OpenDSS.
"""

import csv
import math
from importlib import resources
from typing import Any

from sharegrid.decoding import decode_toml

NAME = "IEEE 123-node test feeder"

_PHASE_NODE = {"A": 1, "B": 2, "C": 3}
_LOAD_MODEL = {"PQ": 1, "Z": 2, "I": 5}
_FREQUENCY_HZ = 60.0
_SWITCH_OHM = 1e-6
_TAP_STEP_PU = 0.00625


def _table(name: str) -> list[dict[str, str]]:
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _figures() -> dict[str, Any]:
    return decode_toml(resources.files(__package__).joinpath("feeder.toml").read_bytes())


def _at(bus: str, phases: str) -> str:
    return ".".join([bus, *(str(_PHASE_NODE[phase]) for phase in phases)])


def _triangle(rows: list[list[float]], scale: float = 1.0) -> str:
    return "(" + " | ".join(" ".join(repr(scale * value) for value in row) for row in rows) + ")"


def coordinates() -> dict[str, tuple[float, float]]:
    """Coordinates of the buses on the published drawing, in its own units, ``{bus: (x, y)}``."""
    return {row["bus"]: (float(row["x"]), float(row["y"])) for row in _table("coordinates.csv")}


def closing(name: str) -> tuple[str, ...]:
    """OpenDSS commands that close a normally open switch, which then leaves its dummy bus; else none."""
    for switch in _figures()["switch"]:
        if switch["name"] == name and not switch["closed"]:
            beyond = switch["to"].removesuffix("_open")
            return (f"edit line.{name} enabled=yes bus2={_at(beyond, switch['phases'])}",)
    return ()


def commands() -> list[str]:
    """OpenDSS commands that build the feeder, regulators at their published taps and controls free to act.

    Returns
    -------
    list of str
        One command each, from ``clear`` to the voltage bases; no solution is started.
    """
    figures = _figures()
    return [
        "clear",
        f"set defaultbasefrequency={_FREQUENCY_HZ}",
        *_source(figures["source"]),
        *_line_configs(figures["line_config"]),
        *_segments(),
        *_switches(figures["switch"]),
        *_transformers(figures["transformer"]),
        *_regulators(figures["regulator"], figures["source"]["kv"]),
        *_capacitors(figures["capacitor"]),
        *_spot_loads(),
        "set voltagebases=[4.16, 0.48]",
        "calcvoltagebases",
    ]


def _source(source: dict[str, Any]) -> list[str]:
    x = source["x_ohm"]
    return [
        (
            f"new circuit.ieee123 bus1={source['bus']} basekv={source['kv']} pu={source['pu']}"
            f" r1=0 x1={x} r0=0 x0={x}"
        )
    ]


def _line_configs(configs: dict[str, dict[str, Any]]) -> list[str]:
    # B = 2 pi f C turns the published microsiemens into the nanofarads that OpenDSS asks for.
    nanofarad = 1e3 / (2 * math.pi * _FREQUENCY_HZ)
    return [
        f"new linecode.{name} nphases={len(config['r'])} basefreq={_FREQUENCY_HZ} units=mi"
        f" rmatrix={_triangle(config['r'])} xmatrix={_triangle(config['x'])}"
        f" cmatrix={_triangle(config['b'], nanofarad)} normamps={config['ampacity_a']}"
        for name, config in configs.items()
    ]


def _segments() -> list[str]:
    return [
        f"new line.{row['name']} phases={len(row['phases'])} bus1={_at(row['from'], row['phases'])}"
        f" bus2={_at(row['to'], row['phases'])} linecode={row['config']} length={row['length_ft']} units=ft"
        for row in _table("segments.csv")
    ]


def _switches(switches: list[dict[str, Any]]) -> list[str]:
    # normamps=0 stands for "no rating published"; an open switch leads to a dummy bus, so it too conducts
    # here.
    r = _SWITCH_OHM
    return [
        f"new line.{switch['name']} switch=yes phases={len(switch['phases'])}"
        f" bus1={_at(switch['from'], switch['phases'])} bus2={_at(switch['to'], switch['phases'])}"
        f" r1={r} r0={r} x1=0 x0=0 c1=0 c0=0 length=1 normamps=0"
        for switch in switches
    ]


def _transformers(transformers: list[dict[str, Any]]) -> list[str]:
    return [
        f"new transformer.{t['name']} phases=3 windings=2 buses=[{t['from']} {t['to']}] conns=[delta delta]"
        f" kvs={t['kv']} kvas=[{t['kva']} {t['kva']}] xhl={t['x_percent']}"
        f" %rs=[{t['r_percent'] / 2} {t['r_percent'] / 2}] normhkva={t['kva']}"
        for t in transformers
    ]


def _regulators(regulators: list[dict[str, Any]], kv: float) -> list[str]:
    result = []
    for reg in regulators:
        three_phase = len(reg["phases"]) == 3
        winding_kv, kva = (kv, 5000) if three_phase else (round(kv / math.sqrt(3), 3), 2000)
        buses = f"{_at(reg['from'], reg['phases'])} {_at(reg['to'], reg['phases'])}"
        # The rating is a base for the near-zero impedance alone, so no current limit follows from it.
        result.append(
            f"new transformer.{reg['name']} phases={len(reg['phases'])} windings=2 buses=[{buses}]"
            f" conns=[wye wye] kvs=[{winding_kv} {winding_kv}] kvas=[{kva} {kva}] xhl=0.001"
            f" %loadloss=0.00001 ppm_antifloat=0 normhkva=0 wdg=2"
            f" tap={1 + _TAP_STEP_PU * reg['published_tap']}"
        )
        result.append(
            f"new regcontrol.{reg['name']} transformer={reg['name']} winding=2 vreg={reg['level_v']}"
            f" band={reg['bandwidth_v']} ptratio={reg['pt_ratio']} ctprim={reg['ct_primary_a']}"
            f" r={reg['r_v']} x={reg['x_v']}"
        )
    return result


def _capacitors(capacitors: list[dict[str, Any]]) -> list[str]:
    return [
        f"new capacitor.{cap['name']} bus1={_at(cap['bus'], cap['phases'])} phases={len(cap['phases'])}"
        f" kvar={cap['kvar']} kv={cap['kv']}"
        for cap in capacitors
    ]


def _spot_loads() -> list[str]:
    result = []
    for row in _table("loads.csv"):
        # A single load between two phases has one winding, not two.
        phases = 1 if len(row["phases"]) == 2 else len(row["phases"])
        result.append(
            f"new load.{row['name']} bus1={_at(row['bus'], row['phases'])} phases={phases}"
            f" conn={row['connection']} model={_LOAD_MODEL[row['model']]}"
            f" kv={row['kv']} kw={row['kw']} kvar={row['kvar']}"
        )
    return result
