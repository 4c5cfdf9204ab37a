"""How long processes of a run's roles may take to end."""

from cosim.options import RunOptions
from cosim.processes import _closing_s
from cosim.world.names import Role
from devices.gateway.stopping import SECURED_WITHIN_S


def test_a_process_that_commands_hardware_is_not_killed_while_it_brings_it_to_its_safe_value():
    armed, plain = RunOptions(arm=True), RunOptions()
    assert _closing_s(Role.DEVICES, armed) > SECURED_WITHIN_S
    assert _closing_s(Role.DEVICES, plain) == _closing_s(Role.MARKET, armed) < 5.0
