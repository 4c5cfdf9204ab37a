"""Devices behind JSON over HTTP, on a real server, through the gateway."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from broker.messages import DeviceSetPoint
from devices.endpoint import LiveProsumer, parse_endpoint, tcp
from devices.gateway.gateway import Gateway
from devices.limits import SetPointLimits

EM = {"total_act_power": 800.0, "a_voltage": 230.0, "b_voltage": 230.0, "c_voltage": 230.0}
EMDATA = {"total_act": 5000.0, "total_act_ret": 1000.0}
PV = """
title = "a limiter behind HTTP"
source = "this test"
kind = "pv"
over = "http"

[values]
p_kw = { at = "/state", json = "inverter.power", unit = "W" }
limit = { at = "/state", json = "inverter.limit", unit = "%" }

[constants]
rating_kw = 5.0

[commands]
unit = "%"
step = 1.0
shows = "limit"
set = [{ at = "/limit", text = '{"percent": {value}}' }]
release = [{ at = "/limit", text = '{"percent": 100}' }]
"""


class Web:
    """What a server answers: by path a status, a text and a delay; and what it was asked."""

    def __init__(self, **pages):
        self.pages = pages
        self.asked = []
        self.delay_s = 0.0
        self.status = 200
        self.percent = 100.0

    def page(self, path):
        if path == "/state":
            return {"inverter": {"power": 4000.0, "limit": self.percent}}
        return self.pages[path]


@contextmanager
def served(web):
    class Handler(BaseHTTPRequestHandler):
        def _answer(self, page):
            time.sleep(web.delay_s)
            body = page if isinstance(page, bytes) else json.dumps(page).encode()
            self.send_response(web.status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            web.asked.append((self.path, self.headers.get("authorization")))
            self._answer(web.page(self.path))

        def do_POST(self):
            said = json.loads(self.rfile.read(int(self.headers["content-length"])))
            web.asked.append((self.path, said))
            if web.status == 200:
                web.percent = said["percent"]
            self._answer({})

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def shelly(**changed):
    return Web(**{"/rpc/EM.GetStatus?id=0": EM, "/rpc/EMData.GetStatus?id=0": EMDATA} | changed)


async def read_once(address, profile="shelly-3em-http", **options):
    endpoint = parse_endpoint(address, profile)
    gateway = Gateway([LiveProsumer(id="home", meter=endpoint)], **{"timeout_s": 5.0} | options)
    try:
        (reading,) = await gateway.poll()
        return reading, gateway.problems
    finally:
        await gateway.close()


async def test_a_shelly_is_read_with_our_units_and_each_page_once():
    web = shelly()
    with served(web) as place:
        reading, problems = await read_once(f"http://{place}")
    assert (reading.quality, reading.p_kw, reading.import_kwh, reading.export_kwh) == ("good", 0.8, 5.0, 1.0)
    assert problems == []
    assert [path for path, _ in web.asked] == ["/rpc/EM.GetStatus?id=0", "/rpc/EMData.GetStatus?id=0"]


async def test_a_password_goes_along_and_is_not_shown():
    web = shelly()
    web.status = 401
    with served(web) as place:
        reading, problems = await read_once(f"http://admin:secret@{place}")
    assert reading.quality == "missing"
    assert web.asked[0][1] == "Basic YWRtaW46c2VjcmV0"
    assert "status 401; check path and password" in problems[0]
    assert "secret" not in problems[0]


@pytest.mark.parametrize(
    ("page", "complaint"),
    [(b"<html>", "is no JSON"), ({"other": 1}, "there is no total_act_power"), (b"\xff", "profile")],
)
async def test_other_pages_are_said_to_be_such(page, complaint):
    with served(shelly(**{"/rpc/EM.GetStatus?id=0": page})) as place:
        reading, problems = await read_once(f"http://{place}")
    assert reading.quality == "missing"
    assert complaint in problems[0]


async def test_a_page_without_end_is_not_read_to_its_end():
    with served(shelly(**{"/rpc/EM.GetStatus?id=0": b"x" * 1_000_000})) as place:
        reading, problems = await read_once(f"http://{place}")
    assert reading.quality == "missing"
    assert "sends no end" in problems[0]


async def test_a_server_that_does_not_answer_is_silent():
    web = shelly()
    web.delay_s = 0.5
    with served(web) as place:
        reading, problems = await read_once(f"http://{place}", timeout_s=0.1)
    assert reading.quality == "missing"
    assert "did not answer within 0.1 s" in problems[0]


async def test_a_server_that_is_not_there_is_unreachable():
    reading, problems = await read_once("http://127.0.0.1:1")
    assert reading.quality == "missing"
    assert "127.0.0.1:1 cannot be reached" in problems[0]


async def test_a_set_point_is_sent_in_percent_within_the_envelope_and_read_back(tmp_path):
    (tmp_path / "limiter.toml").write_text(PV)
    web = Web()
    with served(web) as place:
        home = LiveProsumer(
            id="home",
            meter=tcp("127.0.0.1", 1, 1, "sdm630"),
            pv=parse_endpoint(f"http://{place}", "limiter"),
            pv_limits=SetPointLimits(real=True, min_kw=0.0, max_kw=3.0),
        )
        gateway = Gateway([home], timeout_s=0.5, profiles=tmp_path)
        try:
            assert (await gateway.command("home", [DeviceSetPoint(device="pv", power_kw=1.0)])).ok
            assert web.percent == 20.0
            assert (await gateway.command("home", [DeviceSetPoint(device="pv", power_kw=9.0)])).ok
            assert web.percent == 60.0
            web.status = 500
            refused = await gateway.command("home", [DeviceSetPoint(device="pv", power_kw=1.0)])
            assert not refused.ok
            assert "status 500" in refused.detail
            web.status = 200
            assert await gateway.stop("a test") == []
            assert web.percent == 0.0
        finally:
            await gateway.close()
