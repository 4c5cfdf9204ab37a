"""Meters on one link that bears several requests at once."""

from devices.endpoint import LiveProsumer, tcp
from devices.gateway.gateway import Gateway
from tests.devices.link_faults import faulty_link
from tests.integration.plain_modbus import Registers

METER = """
title = "Meter whose registers stand side by side"
kind = "meter"
source = "made up for this test"

[quantities]
p_kw = "power"
import_kwh = "import"
export_kwh = "export"

[points]
power = { at = 0, type = "int16", unit = "W" }
import = { at = 1, type = "uint16", unit = "kWh" }
export = { at = 2, type = "uint16", unit = "kWh" }
"""
UNITS = range(1, 9)
AT_ONCE = 4


async def test_a_poll_that_runs_out_of_time_counts_those_that_it_did_not_reach(tmp_path):
    (tmp_path / "plain.toml").write_text(METER)
    async with faulty_link(Registers({unit: {0: 1000 * unit, 1: 0, 2: 0} for unit in UNITS})) as link:
        gateway = Gateway(
            [
                LiveProsumer(id=str(unit), meter=tcp("127.0.0.1", link.port, unit, "plain", AT_ONCE))
                for unit in UNITS
            ],
            poll_limit_s=1.2,
            profiles=tmp_path,
        )
        try:
            assert [reading.p_kw for reading in await gateway.poll()] == list(UNITS)
            assert gateway.problems == []
            # The first four come in after 0.8 s, and the others would after 1.6 s.
            link.delay_s = 0.2
            readings = await gateway.poll()
        finally:
            await gateway.close()
    assert [reading.quality for reading in readings] == ["good"] * 4 + ["held"] * 4
    (problem,) = gateway.problems
    assert problem.startswith(f"4 devices at 127.0.0.1:{link.port} were not read within 1.2 s")
