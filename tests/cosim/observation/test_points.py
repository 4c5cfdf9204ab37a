"""A run's messages as lines for a time series database."""

import httpx
import pytest

from broker.messages import Done, FeederState, Settled, Telemetry, columns
from broker.messages.observer import Facts, FeederMap, RunFacts
from cosim.observation.influx import Database, InfluxError
from cosim.observation.points import Points

HEADER = {"run": "r", "seq": 0, "tick": 2}
START = 1_718_964_000
AT_NS = (START + 2 * 900) * 10**9
URL = "http://127.0.0.1:8086/write?db=lab"


@pytest.fixture
def points():
    found = Points("r")
    facts = RunFacts(
        start=START,
        time_zone="UTC",
        interval_s=900.0,
        intervals=4,
        prosumers=3,
        lams=["north side", "south"],
        members=[2, 1],
        map=FeederMap(buses={}, segments=[], lams=[]),
        live=[],
    )
    assert found.lines(Facts(**HEADER, sender="recorder", content=facts.packed()), "facts") == []
    return found


def reading(**fields):
    values = dict.fromkeys(("q_kvar", "v_pu", "import_kwh", "export_kwh"))
    return Telemetry(**HEADER, sender="gateway-0", phase="meter", quality="held", **values, **fields)


def state(v_pu, loading, unnamed=0):
    lams = columns.pack([1.0, 2.0])
    return FeederState(
        **HEADER,
        sender="feeder",
        solved=True,
        v_pu=columns.pack(v_pu),
        loading=columns.pack(loading),
        lam_kw=lams,
        lam_kvar=lams,
        lam_v_pu=columns.pack([0.0, 1.01]),
        source_kw=5.0,
        source_kvar=None,
        losses_kw=0.25,
        tap_changes=3,
        violations=["a bus is low"],
        unnamed=unnamed,
        estimated=[],
    )


def test_a_reading_is_named_by_its_prosumer_and_has_what_is_known(points):
    (line,) = points.lines(reading(p_kw=1.5), "p 1")
    assert line == f'sharegrid_device,prosumer=p\\ 1,run=r p_kw=1.5,quality="held" {AT_NS}'


def test_nodes_without_source_have_no_voltage(points):
    feeder, south = points.lines(state([0.0, 0.98, 1.02], [0.5, 0.2]), "state")
    assert "v_max_pu=1.02,v_min_pu=0.98" in feeder
    assert "max_loading=0.5" in feeder
    assert "tap_changes=3," in feeder
    assert "violations=1" in feeder
    assert "source_kvar" not in feeder
    assert south == f"sharegrid_lam,lam=south,run=r v_pu=1.01 {AT_NS}"
    broken, _ = points.lines(state([0.0, 0.98, 1.02], [0.5, 0.2], unnamed=7999), "state")
    assert "violations=8000" in broken


def test_flags_alike_stay_apart(points):
    done = Done(**HEADER, sender="wam", step="clear", flags=['the "grid" is, say, full', "x"])
    first, second = points.lines(done, "wam")
    assert 'text="the \\"grid\\" is, say, full"' in first
    assert "number=0" in first
    assert "number=1" in second


def test_before_the_facts_nothing_has_a_time():
    assert Points("r").lines(reading(p_kw=1.0), "p1") == []


def settled(**fields):
    values = dict.fromkeys(
        (
            "made_kwh",
            "saving_usd",
            "cost_market",
            "cost_no_sharing",
            "cost_optimum",
            "efficiency",
            "certified",
        )
    )
    zero = dict.fromkeys(
        (
            "import_price",
            "export_price",
            "retail_price",
            "feed_in_price",
            "bought_kwh",
            "traded_lam_kwh",
            "traded_wam_kwh",
            "imbalance_kwh",
            "grid_scheduled_kw",
            "grid_actual_kw",
        ),
        0.0,
    )
    return Settled(**HEADER, sender="recorder", **{**zero, **values, **fields}, entries=4, money=[])


def test_what_is_not_known_is_left_out(points):
    (line,) = points.lines(settled(efficiency=0.99, certified=True), "settled")
    assert "certified=true" in line
    assert "efficiency=0.99" in line
    assert "saving_usd" not in line


async def test_lines_wait_for_a_database_that_is_away():
    answers, written, said = iter([503, httpx.ConnectError("refused"), 204]), [], []

    def answer(request):
        given = next(answers)
        if isinstance(given, Exception):
            raise given
        written.append(request.content.decode() if given < 500 else "")
        return httpx.Response(given)

    database = Database(URL, "secret", said.append)
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        database.put(["a v=1 1"])
        assert not await database.write(client)
        database.put(["a v=2 2"])
        assert not await database.write(client)
        assert await database.write(client)
    assert written == ["", "a v=1 1\na v=2 2"]
    assert said == [
        "the database takes nothing (it answers 503); lines wait for it",
        "the database answers again",
    ]


async def test_a_database_that_wants_none_of_it_is_quoted():
    refusal = httpx.MockTransport(lambda _: httpx.Response(404, text='{"error":"database not found"}'))
    database = Database(URL, "", lambda _: None)
    database.put(["a v=1 1"])
    async with httpx.AsyncClient(transport=refusal) as client:
        with pytest.raises(InfluxError, match=r"404.*database not found"):
            await database.write(client)


@pytest.mark.parametrize("url", ["lab", "ftp://lab/x", "http:///write"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(InfluxError, match="give an address such as"):
        Database(url, "", lambda _: None)
