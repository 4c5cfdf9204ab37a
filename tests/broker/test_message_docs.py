import runpy
from pathlib import Path

import msgspec
import pytest

from broker import messages
from broker.messages import Availability, WamOutcome

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generator():
    return runpy.run_path(str(ROOT / "scripts" / "make_message_docs.py"))


def test_page_is_in_step_with_the_structs(generator):
    assert (ROOT / "docs" / "messages.md").read_text(encoding="utf-8") == generator["render"]()


def test_schema_is_in_step_with_the_structs(generator):
    assert (ROOT / "docs" / "messages.schema.json").read_text(encoding="utf-8") == generator["schema"]()


def test_schema_names_the_fields_that_go_over_the_wire():
    definitions = msgspec.json.decode((ROOT / "docs" / "messages.schema.json").read_bytes())["$defs"]
    message = Availability(run="r", tick=-1, sender="wam", seq=0, online=True)
    sent = msgspec.json.decode(messages.encode(message))
    described = definitions["Availability"]
    assert set(sent) == set(described["properties"])
    assert sent["kind"] in described["properties"]["kind"]["enum"]
    assert described["additionalProperties"] is False
    assert {field.name for field in msgspec.structs.fields(WamOutcome)} < set(
        definitions["WamOutcome"]["properties"]
    )
