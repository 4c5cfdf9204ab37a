"""The command ``sharegrid device``: an emulated device by itself, with the extra ``devices`` alone."""

from pathlib import Path
from typing import Any, Literal

import click

from devices.program.probe_command import probe
from sharegrid.numbers import FiniteNumber, FiniteRange, WholeRange


class DeviceCommand(click.Command):
    """``device KIND``, and ``device probe ADDRESS`` beside it."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Context of what the first word names."""
        if args[:1] == ["probe"]:
            return probe.make_context(f"{info_name} probe", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


_PROFILES = {"meter": "sdm630", "inverter": "sunspec-pv", "battery": "sunspec-battery"}


@click.command(
    cls=DeviceCommand, epilog="What is at an address? `sharegrid device probe tcp://HOST:PORT` finds out."
)
@click.argument("kind", type=click.Choice(["meter", "inverter", "battery"]))
@click.option("--name", default=None, help="Name of the device.  [default: KIND]")
@click.option("--profile", help="Profile of its registers.  [default: sdm630, sunspec-pv, sunspec-battery]")
@click.option("--profiles", type=click.Path(path_type=Path), help="Folder of profiles of one's own.")
@click.option("--model", default="", metavar="N", help="SunSpec model: 203, 213; 103, 113, 701; 802.")
@click.option("--base", default="40000", show_default=True, type=click.Choice(["0", "40000", "50000"]))
@click.option(
    "--common",
    default="66",
    show_default=True,
    type=click.Choice(["65", "66"]),
    help="Registers of SunSpec's common model; --base is where its marker stands.",
)
@click.option("--tcp", metavar="HOST:PORT", help="Serve Modbus TCP; port 0 takes a free one.")
@click.option("--rtu", metavar="/dev/ttyX", help="Serve Modbus RTU on a serial port.")
@click.option("--baud", default=9600, show_default=True, type=WholeRange(300), help="Of the serial port.")
@click.option("--parity", default="N", show_default=True, type=click.Choice(["N", "E", "O"]))
@click.option("--stop-bits", default="1", show_default=True, type=click.Choice(["1", "2"]))
@click.option("--unit", default=1, show_default=True, type=WholeRange(1, 247), help="Modbus unit id.")
@click.option("--meter-unit", type=WholeRange(1, 247), help="Serve the meter that it lies behind, too.")
@click.option("--load", default=0.0, type=FiniteNumber(), metavar="KW", help="Load behind that meter.")
@click.option(
    "--mqtt",
    envvar="SHAREGRID_BROKER",
    metavar="mqtt[s]://[USER:PASSWORD@]HOST[:PORT][?credentials=DIR]",
    help="Speak MQTT too, or alone.",
)
@click.option("--topic", help="Root of its topics.  [default: sharegrid/v1/devices]")
@click.option("--home-assistant/--no-home-assistant", default=True, help="Announce it to Home Assistant.")
@click.option("--publish-every", default=5.0, show_default=True, type=FiniteRange(0.1), metavar="S")
@click.option("--power", default=0.0, type=FiniteNumber(), metavar="KW", help="Load of a meter, or sun.")
@click.option("--follow", type=click.Path(path_type=Path), help="CSV file of time and kW, not --power.")
@click.option("--rating", default=5.0, show_default=True, type=FiniteRange(0.01), metavar="KW")
@click.option(
    "--modules",
    default=0.0,
    type=FiniteRange(0.0),
    metavar="KWP",
    help="Peak power of an inverter's modules: then --power and --follow are irradiance in W/m2.",
)
@click.option("--capacity", default=10.0, show_default=True, type=FiniteRange(0.01), metavar="KWH")
@click.option("--soc", default=0.5, show_default=True, type=FiniteRange(0.0, 1.0), help="First charge.")
@click.option("--phases", default="123", show_default=True, type=click.Choice(["1", "2", "3", "123"]))
@click.option("--voltage", default=230.0, show_default=True, type=FiniteRange(1.0), metavar="V")
@click.option("--frequency", default=50.0, show_default=True, type=FiniteRange(40.0, 70.0), metavar="HZ")
@click.option("--volt-var", is_flag=True, help="Reactive power by voltage (IEEE 1547, category B).")
@click.option("--volt-watt", is_flag=True, help="Less power at high voltage (IEEE 1547, category B).")
@click.option("--state", type=click.Path(path_type=Path), help="File that keeps counters over a restart.")
@click.option("--save-every", default=10.0, show_default=True, type=FiniteRange(0.1), metavar="S")
@click.option("--step", default=1.0, show_default=True, type=FiniteRange(0.05), metavar="S")
@click.option("--quiet", is_flag=True, help="Do not show the registers.")
def device(kind: Literal["meter", "inverter", "battery"], **given: Any) -> None:
    """Emulate one meter, PV inverter or battery in real time, until Ctrl-C or SIGTERM."""
    from devices.mqtt.messages import ROOT
    from devices.physics.grid_support import GridSupport
    from devices.program.run import DeviceOptions, run_device
    from devices.program.standalone import Nameplate
    from devices.registers.sunspec import SunSpecPlace

    if given["load"] and given["meter_unit"] is None:
        raise click.BadParameter(
            "is behind a meter that is not served; add --meter-unit", param_hint=f"--load {given['load']:g}"
        )
    plate = Nameplate(
        name=given["name"] or kind,
        kind=kind,
        profile=given["profile"] or _PROFILES[kind],
        model=given["model"],
        rating_kw=given["rating"],
        modules_kwp=given["modules"],
        capacity_kwh=given["capacity"],
        soc=given["soc"],
        phases=tuple(int(phase) for phase in given["phases"]),
        nominal_v=given["voltage"],
        frequency_hz=given["frequency"],
        support=GridSupport(volt_var=given["volt_var"], volt_watt=given["volt_watt"]),
        place=SunSpecPlace(int(given["base"]), 65 if given["common"] == "65" else 66),
    )
    run_device(
        DeviceOptions(
            plate=plate,
            links=_links(given),
            unit=given["unit"],
            meter_unit=given["meter_unit"],
            load_kw=given["load"],
            serial=(given["baud"], given["parity"], int(given["stop_bits"])),
            mqtt=given["mqtt"],
            topic=given["topic"] or ROOT,
            home_assistant=given["home_assistant"],
            power=given["follow"] or given["power"],
            state=given["state"],
            profiles=given["profiles"],
            step_s=given["step"],
            publish_s=given["publish_every"],
            save_s=given["save_every"],
            quiet=given["quiet"],
        )
    )


def _links(given: dict[str, Any]) -> tuple[Any, ...]:
    from devices.endpoint import Link

    links: list[Link] = []
    if given["tcp"]:
        host, _, port = given["tcp"].rpartition(":")
        if not host or not port.isdigit() or int(port) > 65_535:
            what = f"{given['tcp']!r} is no HOST:PORT with a port up to 65535; give one such as 0.0.0.0:502"
            raise click.BadParameter(what, param_hint="--tcp")
        links.append(Link("tcp", host.strip("[]"), int(port)))
    if given["rtu"]:
        stop_bits: Literal[1, 2] = 2 if given["stop_bits"] == "2" else 1
        links.append(
            Link("rtu", given["rtu"], baud=given["baud"], parity=given["parity"], stop_bits=stop_bits)
        )
    return tuple(links)
