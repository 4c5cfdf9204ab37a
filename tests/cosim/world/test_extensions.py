from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from cosim.population.build import build_population
from cosim.population.expectation import Expectation, ForecastView
from cosim.population.members import LamSites
from cosim.population.portfolios import ProfileCache
from cosim.population.profiles import Forecast, build_profiles
from cosim.scenario import Extension, Scenario, ScenarioError, load_scenario
from cosim.world.build import digest_of
from cosim.world.extensions import make, source_hash

N = 4


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Writes a module under a name of its own and names a class in it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name, source, kind="Mine", **parameters):
        (tmp_path / f"{name}.py").write_text(source)
        return Extension(use=f"{name}:{kind}", folder=str(tmp_path), parameters=parameters)

    return write


def test_a_class_is_made_with_its_parameters(lab):
    source = "class Mine:\n    bid = print\n    def __init__(self, part):\n        self.part = part\n"
    assert make(lab("lab_made", source, part=0.5), "market.strategy", "bid").part == 0.5


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("lab_other", "class Other: pass\n", "lab_other has no class Mine"),
        ("lab_idle", "class Mine: pass\n", "lab_idle:Mine has no method bid()"),
        (
            "lab_picky",
            "class Mine:\n    def __init__(self, a): ...\n    def bid(self, view): ...\n",
            "cannot be made",
        ),
        ("lab_broken", "1 / 0\n", "lab_broken fails as it is imported (ZeroDivisionError: division by zero)"),
        ("lab_needy", "import no_such_library\n", "lab_needy needs no_such_library; install it"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(lab, name, source, message):
    with pytest.raises(ScenarioError) as caught:
        make(lab(name, source), "market.strategy", "bid")
    assert message in str(caught.value)
    assert str(caught.value).startswith("market.strategy.")
    assert "\n" not in str(caught.value)


def test_a_module_that_is_nowhere_is_named(tmp_path):
    with pytest.raises(
        ScenarioError, match=r"market\.strategy\.use: no module nowhere\.at_all in .* correct"
    ):
        make(Extension(use="nowhere.at_all:Mine", folder=str(tmp_path)), "market.strategy", "bid")


def test_worlds_differ_by_the_source_of_a_class_and_not_by_its_folder(lab, tmp_path):
    def digest(extension):
        market = msgspec.structs.replace(Scenario().market, strategy=extension)
        return digest_of(msgspec.structs.replace(Scenario(), market=market), SimpleNamespace(digest=""))

    mine = lab("lab_hashed", "class Mine: pass\n")
    first = digest(mine)
    assert digest(msgspec.structs.replace(mine, folder=str(tmp_path / "elsewhere"))) == first
    lab("lab_hashed", "class Mine: pass  # changed\n")
    assert digest(mine) != first
    assert source_hash(Extension(), "market.strategy") == ""


def test_a_name_that_is_no_import_path_is_refused(tmp_path):
    path = tmp_path / "scenario.toml"
    path.write_text('[market.strategy]\nuse = "conduct.py"\n')
    with pytest.raises(ScenarioError, match=r"scenario\.toml:2: market\.strategy\.use"):
        load_scenario(path)


@pytest.fixture(scope="module")
def profiles():
    scenario = Scenario(
        population=msgspec.structs.replace(Scenario().population, prosumers=N, minimum_per_lam=2)
    )
    sites = LamSites(("a", "b"), np.array([10.0, 10.0]), np.array([0.3, 0.3]))
    return build_profiles(scenario, build_population(scenario, sites), 2)


class Persistence:
    def expect(self, view: ForecastView):
        load_kw, pv_kw = view.history(2)
        return Forecast(load_kw.mean(axis=0), pv_kw.mean(axis=0)) if len(load_kw) else view.built_in


class Odd:
    def expect(self, view: ForecastView):
        load_kw = view.built_in.load_kw + 1.0
        load_kw[0] = np.nan
        return Forecast(load_kw, np.full(N, 1e6))


class Short:
    def expect(self, view: ForecastView):
        return Forecast(view.built_in.load_kw[1:], view.built_in.pv_kw)


def everyone(forecaster):
    return Expectation(forecaster, np.ones(N, dtype=bool))


def test_a_forecast_sees_the_means_of_the_past_and_nothing_before_the_start(profiles):
    cache, usual = ProfileCache(profiles, everyone(Persistence())), ProfileCache(profiles)
    assert cache.forecast(0).load_kw == pytest.approx(usual.forecast(0).load_kw)
    assert cache.forecast(1).load_kw == pytest.approx(profiles.sample(0).load_kw.mean(axis=0))
    past = [profiles.sample(tick) for tick in (46, 47)]
    assert cache.forecast(48).load_kw == pytest.approx(
        np.mean([a.load_kw.mean(axis=0) for a in past], axis=0)
    )
    assert cache.forecast(48).pv_kw == pytest.approx(np.mean([a.pv_kw.mean(axis=0) for a in past], axis=0))
    assert cache.notes(48) == ()


def test_only_those_who_go_by_it_expect_what_a_forecast_says(profiles):
    follows = np.array([True, False, True, False])
    cache, usual = (
        ProfileCache(profiles, Expectation(Persistence(), follows)),
        ProfileCache(profiles).forecast(40),
    )
    mine = profiles.sample(38).load_kw.mean(axis=0) / 2 + profiles.sample(39).load_kw.mean(axis=0) / 2
    assert cache.forecast(40).load_kw == pytest.approx(np.where(follows, mine, usual.load_kw))


def test_values_that_are_no_power_are_replaced_and_told(profiles):
    cache, usual = ProfileCache(profiles, everyone(Odd())), ProfileCache(profiles).forecast(40)
    assert cache.forecast(40).load_kw == pytest.approx(usual.load_kw + np.array([0.0, 1.0, 1.0, 1.0]))
    assert (cache.forecast(40).pv_kw[1:] == profiles.population.pv_kwp[1:]).all()
    assert cache.notes(40) == (
        "the forecast failed 1 prosumers, the built-in stands in: a value is no power",
    )


def test_a_forecast_that_fails_leaves_the_built_in(profiles):
    cache, usual = ProfileCache(profiles, everyone(Short())), ProfileCache(profiles).forecast(40)
    assert (cache.forecast(40).load_kw == usual.load_kw).all()
    (note,) = cache.notes(40)
    assert "expect() gave shape (3,) for 4 prosumers" in note
