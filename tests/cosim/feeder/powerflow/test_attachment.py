import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.feeder.circuit import FeederError, LamSite
from cosim.feeder.powerflow.attachment import SpotLoad, attach, check_sites, own_loads, sites_of_loads

NAMES = ("ground", "a.1", "a.2", "a.3", "b.1", "b.2", "c.1")
FED = np.array([False, True, True, True, True, True, False])


def spot(
    name: str,
    bus: str,
    nodes: list[int],
    kw: float,
    kvar: float = 0.0,
    *,
    delta: bool = False,
    phases: int = 1,
):
    return SpotLoad(name, bus, np.array(nodes), tuple(range(1, phases + 1)), delta, kw, kvar)


LOADS = (
    spot("a1", "a", [1, 0], 30.0, 10.0),
    spot("a3", "a", [1, 2, 3, 0], 60.0, 35.0, phases=3),
    spot("b12", "b", [4, 5], 20.0, 10.0, delta=True),
)


def test_one_lam_for_each_load_bus_splits_by_spot_load():
    sites = sites_of_loads(LOADS)
    attachment = attach(sites, LOADS, [(), ()])
    assert [site.name for site in sites] == ["a", "b"]
    assert attachment.lam.tolist() == [0, 0, 1]
    np.testing.assert_allclose(attachment.part_kw, [1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(attachment.spot_kw, [90, 20])
    np.testing.assert_allclose(attachment.tan_phi, [0.5, 0.5])
    np.testing.assert_allclose(attachment.load_kw(np.array([-9.0, 4.0])), [-3, -6, 4])
    assert attachment.members == ((0, 1), (2,))


def test_windings_follow_the_connection():
    loads = (*LOADS, spot("d", "a", [1, 2, 3], 30.0, delta=True, phases=3))
    attachment = attach(sites_of_loads(loads), loads, [(), ()])
    assert attachment.winding_ends.tolist() == [
        [1, 0],
        [1, 0],
        [2, 0],
        [3, 0],
        [4, 5],
        [1, 2],
        [2, 3],
        [3, 1],
    ]
    assert attachment.winding_load.tolist() == [0, 1, 1, 1, 2, 3, 3, 3]
    np.testing.assert_allclose(attachment.winding_part, [1, 1 / 3, 1 / 3, 1 / 3, 1, 1 / 3, 1 / 3, 1 / 3])


@given(
    st.lists(st.floats(-500, 500), min_size=2, max_size=2),
    st.lists(st.floats(-500, 500), min_size=2, max_size=2),
)
def test_windings_carry_all_the_power(kw, kvar):
    attachment = attach(sites_of_loads(LOADS), LOADS, [(), ()])
    va = attachment.winding_va(np.array(kw), np.array(kvar))
    assert va.sum() == pytest.approx(1e3 * complex(sum(kw), sum(kvar)), abs=1e-6)
    np.testing.assert_allclose(attachment.winding_va_per_kw().sum(axis=0), [1e3, 1e3])


def test_a_bus_without_active_load_is_shared_evenly_and_keeps_its_kvar():
    loads = (spot("x", "a", [1, 0], 0.0, 5.0), spot("y", "a", [2, 0], 0.0))
    attachment = attach(sites_of_loads(loads), loads, [()])
    np.testing.assert_allclose(attachment.load_kw(np.array([8.0])), [4.0, 4.0])
    np.testing.assert_allclose(attachment.load_kvar(np.array([0.0])), [5.0, 0.0])
    assert attachment.tan_phi.tolist() == [0.0]


@given(st.lists(st.tuples(st.floats(-90, 90), st.floats(-90, 90)), min_size=1, max_size=4))
def test_at_its_own_power_every_load_draws_its_own_kw_and_kvar(powers):
    powers = [(round(kw, 1), round(kvar, 1)) for kw, kvar in powers]
    loads = tuple(spot(f"l{i}", "a", [1, 0], kw, kvar) for i, (kw, kvar) in enumerate(powers))
    attachment = attach(sites_of_loads(loads), loads, [()])
    at_kw = attachment.spot_kw
    np.testing.assert_allclose(attachment.load_kw(at_kw), [kw for kw, _ in powers], atol=1e-6)
    np.testing.assert_allclose(
        attachment.load_kvar(at_kw * attachment.tan_phi), [kvar for _, kvar in powers], atol=1e-6
    )


def test_loads_of_no_lam_stay_as_they_are():
    sites = (LamSite("north", "b", phases=(1, 2), spot_kw=10.0, spot_kvar=4.0),)
    made = own_loads(sites, {"b.1": 2.4, "b.2": 2.4}, {"a": "a.4"})
    assert made[0]["sharegrid_lam0_2"].split()[-2:] == ["kw=5.0", "kvar=2.0"]
    loads = (*LOADS, *(spot(name, "b", [4 + i, 0], 5.0, 2.0) for i, name in enumerate(made[0])))
    attachment = attach(sites, loads, made)
    np.testing.assert_allclose(attachment.load_kw(np.array([8.0])), [30, 60, 20, 4, 4])
    np.testing.assert_allclose(attachment.load_kvar(np.array([0.0])), [10, 35, 10, 0, 0])


def test_held_generation_belongs_to_no_lam():
    loads = (*LOADS, spot("sharegrid_generator_g", "a", [1, 2, 3], -100.0, delta=True, phases=3))
    attachment = attach(sites_of_loads(LOADS), loads, [(), ()], {"sharegrid_generator_g"})
    assert attachment.lam.tolist() == [0, 0, 1, -1]
    np.testing.assert_allclose(attachment.load_kw(np.array([9.0, 4.0])), [3, 6, 4, -100])


@pytest.mark.parametrize(
    ("sites", "message"),
    [
        ([], "no load to which a LAM could attach"),
        ([LamSite("n", "a"), LamSite("n", "b")], "LAM 'n' is named twice"),
        ([LamSite("n", "z")], "bus 'z', which the feeder does not have"),
        ([LamSite("n", "c")], "bus 'c' has no load; name the phases"),
        ([LamSite("n", "a"), LamSite("m", "a")], "already belong to another LAM"),
        ([LamSite("n", "b", phases=(3,))], "bus 'b' has no phase 3 that is fed"),
        ([LamSite("n", "c", phases=(1,))], "bus 'c' has no phase 1 that is fed"),
    ],
)
def test_sites_that_cannot_be_are_refused_in_one_line(sites, message):
    with pytest.raises(FeederError, match=message) as refused:
        check_sites(sites, NAMES, FED, {"a", "b"})
    assert "\n" not in str(refused.value)
