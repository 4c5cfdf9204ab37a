"""What the buttons of a view ask of a run: passed on as it was asked, or refused with the reason."""

import asyncio

import httpx
import pytest

from broker.messages import FeederEvent
from cosim.view.access import KEY_HEADER, Access
from cosim.view.hub import Hub
from cosim.view.live import LiveModel
from cosim.view.server import Pages, application


@pytest.fixture
def served():
    """A client of a view that may lead, with its key, and what was asked of the run."""
    asked = []

    async def lead(*words):
        asked.append(words)

    async def beside():
        await asyncio.Event().wait()

    access, model = Access("127.0.0.1"), LiveModel("r", may_command=True)
    transport = httpx.ASGITransport(application(Pages(model, Hub(model), access, None, lead), access, beside))
    headers = {KEY_HEADER: access.key}
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8050", headers=headers), asked


async def test_an_event_is_passed_on(served):
    client, asked = served
    event = {"kind": "line-outage", "element": "l7", "for_min": 30}
    answer = await client.post("/lead", json={"action": "event", "event": event})
    assert answer.status_code == 204
    assert asked == [("event", None, FeederEvent(kind="line-outage", element="l7", for_min=30.0))]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"action": "event", "event": {"kind": "source-voltage", "pu": 7}}, "pu"),
        ({"action": "event", "event": {"kind": "line-outage"}}, "needs element"),
        ({"action": "event", "event": {"kind": "flood", "element": "l7"}}, "flood"),
        ({"action": "event", "event": "l7"}, "no such action, pace or event"),
        ({"action": "dance"}, "no such action"),
        ({"action": "pace", "pace": -1.0}, "no such action"),
    ],
)
async def test_what_cannot_be_is_refused_with_the_reason(served, body, said):
    client, asked = served
    answer = await client.post("/lead", json=body)
    assert answer.status_code == 422
    assert said in answer.text
    assert asked == []
