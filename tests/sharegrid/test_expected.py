"""Refusals speak of values as people do, never of Python's types, wherever a value comes from."""

import datetime
import re
from typing import Annotated, Literal

import click
import msgspec
import pytest

from cosim.cli import main
from cosim.feeder.settings import event_of
from cosim.market_studies.catalogue import STUDIES
from cosim.market_studies.declaration import StudyError
from cosim.scenario import load_scenario
from cosim.scenario.keys import sections
from cosim.scenario.scenario import ScenarioError
from devices.registers.profiles import MapError, load_profile
from market.files.case_file import CaseError, decode_document
from sharegrid.expected import explained, form
from sharegrid.numbers import FiniteNumber, FiniteRange, WholeRange

PYTHON = re.compile(
    r"\b(int|str|float|bool|dict|tuple|array|object|datetime|NoneType|None|True|False|null|enum|RFC\d+|"
    r"Expected|Object|Invalid|codec|Errno)\b|`|<=|>=|x<|<x|\bclass\b|\[\.\.\.\]|\^|\\d"
)
WRONG = ("many", -1e9, 1.5, True, [1, "a"], datetime.date(2024, 6, 21))
KEYS = [f"{section.name}.{key.name}" for section in sections() if not section.is_list for key in section.keys]


def refusal(key, value):
    try:
        load_scenario(changes={key: value})
    except ScenarioError as error:
        return str(error)
    return None


@pytest.mark.parametrize("value", WRONG, ids=str)
def test_every_key_of_a_scenario_refuses_in_words(value):
    said = {key: refusal(key, value) for key in KEYS}
    refused = {key: line for key, line in said.items() if line is not None}
    assert len(refused) > 20
    for key, line in refused.items():
        assert not PYTHON.search(line.replace(f"--set {key}", "")), line
        assert "\n" not in line


@pytest.mark.parametrize(
    "text",
    [
        "events = 3",
        "[[events]]\nat = 3",
        '[[events]]\nkind = 7\nat = "x"',
        "live = []",
        "[[faults]]\nkind = 1",
    ],
)
def test_lists_of_a_scenario_refuse_in_words(text, tmp_path):
    file = tmp_path / "lab.toml"
    file.write_text(f"{text}\n")
    with pytest.raises(ScenarioError) as refused:
        load_scenario(file)
    assert not PYTHON.search(str(refused.value)), refused.value


class Kinds(msgspec.Struct):
    """A key of each kind."""

    whole: Annotated[int, msgspec.Meta(ge=2, le=9)] = 2
    part: Annotated[float, msgspec.Meta(gt=0.0)] = 1.0
    name: Annotated[str, msgspec.Meta(min_length=1, pattern="^[a-z]+$")] = "a"
    chosen: Literal["one", "two"] = "one"
    maybe: int | None = None
    several: Annotated[list[float], msgspec.Meta(min_length=2)] = []
    switch: bool = True
    when: Annotated[datetime.datetime, msgspec.Meta(tz=False)] | None = None


@pytest.mark.parametrize(
    ("given", "key", "remedy"),
    [
        ({"whole": 1}, "whole", "give a whole number of at least 2"),
        ({"whole": 10}, "whole", "give a whole number of at most 9"),
        ({"part": 0.0}, "part", "give a number above 0"),
        ({"name": ""}, "name", "give a text of at least 1 characters"),
        ({"name": "A"}, "name", "give a text of the form ^[a-z]+$"),
        ({"chosen": "three"}, "chosen", "give one of one, two, not 'three'"),
        ({"maybe": "x"}, "maybe", "give a whole number or nothing"),
        ({"several": [1.0]}, "several", "give a list of at least 2 entries"),
        ({"several": [1.0, "x"]}, "several[1]", "give a number"),
        ({"switch": 1}, "switch", "give true or false"),
        ({"when": "noon"}, "when", "give a date and time such as 2024-06-21T10:00:00"),
        ([], "", "give a table of keys"),
    ],
)
def test_what_msgspec_says_is_said_in_words(given, key, remedy):
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.convert(given, Kinds)
    assert explained(error.value, lambda _: ("one", "two")) == (key, remedy)


class Formed(msgspec.Struct):
    """A key whose pattern has words."""

    at: Annotated[str, msgspec.Meta(pattern=form(r"^\d\d'?$", "two digits"))] = "13"


def test_a_pattern_with_words_is_never_shown():
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.convert({"at": "x"}, Formed)
    assert explained(error.value) == ("at", "give two digits")


@pytest.mark.parametrize(
    ("key", "value", "remedy"),
    [
        (
            "broker.use",
            "rabbit",
            'give "auto", "embedded", "mosquitto" or an address such as "mqtt://host:1883"',
        ),
        ("broker.use", "mqtt://:99", "no host; give mqtt://"),
        ("broker.use", "mqtts://host/x", "unexpected text after the host; give mqtt://"),
        ("market.strategy.use", "x", 'give a module and a name in it, such as "package.module:Name"'),
        ("alarms.webhook", "notaurl", "no web address; give one with http or https and a host"),
        ("alarms.webhook", "ftp://host/x", "no web address"),
        ("alarms.webhook", "https:///path", "no web address"),
        ("alarms.webhook", "http://host:99999/", "no web address"),
        ("alarms.webhook", "http://a host/", "no web address"),
    ],
)
def test_addresses_and_forms_are_asked_for_in_words(key, value, remedy):
    line = refusal(key, value)
    assert remedy in line
    assert not PYTHON.search(line), line
    assert refusal("alarms.webhook", "https://user:pw@lab.example:8443/hook?x=1") is None


def test_studies_ask_for_times_in_words():
    for study in STUDIES.values():
        if "start" in study.settings.__struct_fields__:
            with pytest.raises(StudyError, match='give a time of day as HH:MM, such as "13:00"'):
                study.settled({"start": "1 pm"}, quick=True)


def commands(group, path="sharegrid"):
    for name, command in sorted(group.commands.items()):
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


def number_refusal(parameter, text):
    """What an option says of a number that it does not take; nothing where it does."""
    try:
        parameter.type.convert(text, parameter, None)
    except click.BadParameter as refused:
        return refused.message
    return ""


def test_every_number_on_a_command_line_is_refused_in_words():
    numbers = {
        (path, parameter.name): parameter
        for path, command in commands(main)
        for parameter in command.params
        if isinstance(parameter.type, click.types.IntParamType | click.types.FloatParamType)
    }
    assert len(numbers) > 30
    for where, parameter in numbers.items():
        assert isinstance(parameter.type, FiniteNumber | FiniteRange | WholeRange), where
        for text in ("many", "nan", "1e400", "-1e9"):
            line = number_refusal(parameter, text)
            assert not PYTHON.search(line), (where, line)
            assert line.startswith(f"{text} cannot be used; give a") or (line, text) == ("", "-1e9")


def test_cases_maps_and_events_refuse_in_words(tmp_path):
    said = []
    for content in (b"[]", b'{"lams": 3}', b'{"prosumers": {"id": [1]}}', b'{"version": "x"}'):
        with pytest.raises(CaseError) as case:
            decode_document(content)
        said.append(str(case.value))
    for text in ("kind = 3", 'kind = "pv"\nwords = "x"', "registers = 4", 'kind = "meter"\nnth = "x"'):
        (tmp_path / "mine.toml").write_text(f"{text}\n")
        load_profile.cache_clear()
        with pytest.raises(MapError) as wrong:
            load_profile("mine", tmp_path)
        said.append(str(wrong.value).replace(str(tmp_path), ""))
    for fields in ({"kind": "fire"}, {"kind": "outage", "for_min": "x"}):
        with pytest.raises(ValueError, match=r"give|none of") as event:
            event_of(fields)
        said.append(str(event.value))
    for line in said:
        assert not PYTHON.search(line), line
        assert "\n" not in line
