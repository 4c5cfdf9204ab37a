import numpy as np
import pytest

from cosim.feeder.powerflow.admittance import Network, derivatives, load_current_changes, reduce_network

SOURCE_V = 2400.0
LINE_OHM = 0.3 + 0.6j
STIFF_OHM = 1e-6


def voltage_at_load(va: complex) -> complex:
    """Upper solution of V = E - Z conj(S / V), in closed form."""
    z = LINE_OHM + STIFF_OHM
    drop = z * np.conj(va)
    # |V|^4 + |V|^2 (2 Re(drop) - E^2) + |drop|^2 = 0
    b = 2 * drop.real - SOURCE_V**2
    square = (-b + np.sqrt(b * b - 4 * abs(drop) ** 2)) / 2
    return np.conj((square + drop) / SOURCE_V) if square > 0 else np.nan


def two_bus() -> Network:
    """Node 1 behind a stiff source, node 2 with the load; node 3 hangs on nothing."""
    line, source = 1 / LINE_OHM, 1 / STIFF_OHM
    y = np.zeros((4, 4), dtype=complex)
    y[1:3, 1:3] = [[source + line, -line], [-line, line]]
    return Network(
        y=y,
        fed=np.array([False, True, True, False]),
        winding_ends=np.array([[2, 0]]),
        monitored=np.array([2]),
        branch_rows=np.array([[0, line, -line, 0]]),
        source_nodes=np.array([1]),
        source_rows=np.array([[0, source, 0, 0]]),
    )


def exact_derivatives(va: complex, per_unit: complex):
    reduced = reduce_network(two_bus())
    v2 = np.array([voltage_at_load(va)])
    current = np.conj(va / v2)
    v1 = SOURCE_V - STIFF_OHM * current
    changes = load_current_changes(reduced, v2, np.array([va]), np.array([[per_unit]]))
    return derivatives(reduced, changes, v2, v1, -current)


@pytest.mark.parametrize("va", [150e3 + 70e3j, -150e3 + 0j, 400e3 - 50e3j])
@pytest.mark.parametrize("per_unit", [1e3 + 0j, 1e3j])
def test_derivatives_are_those_of_the_closed_form(va, per_unit):
    found = exact_derivatives(va, per_unit)
    step = 1e-3

    def quantities(amount):
        v = voltage_at_load(va + amount * per_unit)
        i = np.conj((va + amount * per_unit) / v)
        return np.array([abs(v), i.real, i.imag, (SOURCE_V * np.conj(i) - STIFF_OHM * abs(i) ** 2).real])

    slope = (quantities(step) - quantities(-step)) / (2 * step)
    assert voltage_at_load(va) == pytest.approx(
        SOURCE_V - (LINE_OHM + STIFF_OHM) * np.conj(va / voltage_at_load(va))
    )
    result = [found.volts[0, 0], found.current[0, 0].real, found.current[0, 0].imag, found.source_w[0]]
    np.testing.assert_allclose(result, slope, rtol=2e-6, atol=1e-6)


def test_a_load_between_phases_sees_both():
    """A winding between two nodes is a source of opposite currents in them."""
    y = np.diag([0.0, 2.0, 4.0]).astype(complex)
    network = Network(
        y=y,
        fed=np.array([False, True, True]),
        winding_ends=np.array([[1, 2]]),
        monitored=np.array([1, 2]),
        branch_rows=np.zeros((0, 3), dtype=complex),
        source_nodes=np.array([1]),
        source_rows=np.array([[0, 2.0, 0]], dtype=complex),
    )
    reduced = reduce_network(network)
    np.testing.assert_allclose(reduced.node[:, 0], [-0.5, 0.25])
    np.testing.assert_allclose(reduced.winding, [[0.75]])


def test_a_network_without_source_is_singular():
    network = two_bus()
    y = network.y.copy()
    y[1, 1] -= 1 / STIFF_OHM
    with pytest.raises(np.linalg.LinAlgError):
        reduce_network(Network(y, np.array([False, False, True, True]), *list(vars(network).values())[2:]))
