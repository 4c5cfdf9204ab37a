"""Who may see the view and press its buttons."""

import asyncio

import httpx
import pytest

from cosim.view.access import Access
from cosim.view.hub import Hub
from cosim.view.live import LiveModel
from cosim.view.server import Pages, application


@pytest.fixture
def served():
    """A client of a view with an address and a token, and the reasons of the stops that were asked for."""

    def serve(access, base="http://127.0.0.1:8050", may_stop=True):
        stops = []

        async def stop(reason):
            stops.append(reason)

        async def beside():
            await asyncio.Event().wait()

        model = LiveModel("r", may_command=may_stop)
        pages = Pages(model, Hub(model), access, stop if may_stop else None)
        transport = httpx.ASGITransport(application(pages, access, beside))
        return httpx.AsyncClient(transport=transport, base_url=base), stops

    return serve


async def test_this_computer_sees_the_page_and_nothing_in_it_comes_from_elsewhere(served):
    client, _ = served(Access("127.0.0.1"))
    answer = await client.get("/")
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "//" not in answer.text.replace("http://www.w3.org", "")
    for name in ("main.js", "view.css", "icon.svg"):
        assert (await client.get(f"/static/{name}")).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8050", "127.0.0.1.evil.example", ""])
async def test_a_name_that_is_made_to_lead_here_is_refused(served, host):
    client, _ = served(Access("127.0.0.1"))
    assert (await client.get("/", headers={"host": host})).status_code == 403


async def test_others_need_the_token_and_keep_it_as_a_cookie(served):
    client, _ = served(Access("0.0.0.0", "secret"), base="http://lab:8050")
    assert (await client.get("/")).status_code == 403
    assert (await client.get("/?token=wrong")).status_code == 403
    assert (await client.get("/?token=secret")).status_code == 200
    assert (await client.get("/parts/../devices")).status_code == 200
    without = Access("0.0.0.0")
    client, _ = served(without, base="http://lab:8050")
    assert (await client.get("/?token=")).status_code == 403


async def test_only_the_pages_own_buttons_stop(served):
    access = Access("127.0.0.1")
    client, stops = served(access)
    assert (await client.post("/stop")).status_code == 403
    assert (await client.post("/stop", headers={"x-view-key": "guess"})).status_code == 403
    assert (await client.post("/stop", data={"key": "guess"})).status_code == 403
    assert (await client.post("/stop", content=b"x" * 5000)).status_code == 413
    assert stops == []
    assert (await client.post("/stop", headers={"x-view-key": access.key})).status_code == 204
    # Before scripts are there, and without any: a question, and a form.
    assert f'value="{access.key}"' in (await client.get("/stop")).text
    answer = await client.post("/stop", data={"key": access.key}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    await asyncio.sleep(0)
    assert stops == ["asked for in the view"] * 2


async def test_whoever_only_looks_has_no_stop(served):
    access = Access("127.0.0.1")
    client, stops = served(access, may_stop=False)
    assert 'id="stop-form" hidden' in (await client.get("/")).text
    assert (await client.get("/stop")).status_code == 403
    assert (await client.post("/stop", headers={"x-view-key": access.key})).status_code == 403
    assert stops == []
