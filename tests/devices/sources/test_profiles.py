import pytest

from devices.endpoint import parse_endpoint
from devices.errors import MapError
from devices.sources.profiles import load_source, shipped_sources, source_of

METER = """
title = "mine"
source = "its manual"
kind = "meter"
over = "mqtt"

[values]
p_kw = { at = "{name}/power", unit = "W" }
import_kwh = { at = "{name}/energy", unit = "kWh" }
"""
PV = (
    METER.replace('"meter"', '"pv"').replace('import_kwh = { at = "{name}/energy", unit = "kWh" }', "")
    + """
limit = { at = "{name}/limit", unit = "W" }

[commands]
unit = "W"
shows = "limit"
set = [{ at = "{name}/set", text = "{value}" }]
release = [{ at = "{name}/set", text = "off" }]
"""
)


@pytest.mark.parametrize("name", shipped_sources())
def test_every_shipped_profile_can_be_used(name):
    profile = load_source(name)
    assert profile.title
    assert profile.source


@pytest.mark.parametrize(
    ("text", "was", "becomes", "complaint"),
    [
        (METER, "p_kw", "power_kw", "a meter has to tell p_kw"),
        (METER, 'unit = "W"', 'unit = "V"', "p_kw is not in kW"),
        (METER, "{name}/power", "+/power", "no wildcards"),
        (METER, "{name}/power", "{topic}/power", "{topic} is not filled in"),
        (METER, '"mqtt"', '"ftp"', "ftp"),
        (PV, 'shows = "limit"', "", "nothing would confirm a set-point"),
        (PV, 'shows = "limit"', 'shows = "other"', "there is no value other"),
        (PV, 'text = "{value}"', 'text = "1"', "no message holds {value}"),
        (PV, 'unit = "W"\nshows', 'unit = "W"\nreverts = true\nshows', "no message holds {seconds}"),
        (PV, 'shows = "limit"', 'answer = { at = "{name}/ack" }\nshows = "limit"', "told apart by {id}"),
        (PV, "[values]", '[values]\nstray = { at = "x", unit = "W" }', "values.stray"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused_in_one_line(tmp_path, text, was, becomes, complaint):
    assert was in text
    (tmp_path / "mine.toml").write_text(text.replace(was, becomes))
    with pytest.raises(MapError) as caught:
        load_source("mine", tmp_path)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_not_there_names_what_is():
    with pytest.raises(MapError, match="tasmota"):
        load_source("other")


@pytest.mark.parametrize(
    ("address", "profile", "complaint"),
    [
        ("http://10.0.0.5", "shelly-3em", "speaks mqtt"),
        ("mqtt://10.0.0.5/shelly", "shelly-3em-http", "speaks http"),
    ],
)
def test_a_profile_and_an_address_have_to_match(address, profile, complaint):
    with pytest.raises(MapError, match=complaint):
        source_of(parse_endpoint(address, profile))
