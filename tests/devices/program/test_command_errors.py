import pytest
from click.testing import CliRunner

from cosim.cli import main


def called(*arguments):
    done = CliRunner().invoke(main, ["device", *arguments])
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("meter", "--tcp", "nowhere"), "is no HOST:PORT with a port up to 65535"),
        (("inverter", "--tcp", "127.0.0.1:99999"), "is no HOST:PORT with a port up to 65535"),
        (("meter", "--tcp", "192.0.2.1:502"), "192.0.2.1:502"),
        (("battery", "--rtu", "/nowhere/tty", "--stop-bits", "2"), "/nowhere/tty"),
        (("meter", "--tcp", "[::1]:0", "--rtu", "/nowhere/tty"), "/nowhere/tty"),
        (("probe", "tcp://127.0.0.1:9", "--timeout", "0.05"), "127.0.0.1:9"),
    ],
)
def test_where_nothing_can_be_served_or_found_is_one_line(arguments, says):
    status, said = called(*arguments)
    assert status == 2
    assert says in said
    assert len(said.splitlines()) == 1
