"""What an observer makes of a run that goes on."""

import asyncio
import io

from rich.console import Console

from broker import messages
from broker.client.mqtt import connect
from broker.messages import Availability, Done, Step, Telemetry, Traffic
from broker.server.choose import open_broker
from broker.topics import Topics
from cosim.observation.top import RunView, watch_run

HEADER = {"run": "r", "seq": 0}


def step(name, tick=2):
    return Step(**HEADER, tick=tick, sender="clock", step=name, opened=0.0, deadline=1.0, interval_s=900.0)


def done(name, tick=2, **fields):
    return Done(**HEADER, tick=tick, sender="wam", step=name, **fields)


def reading(quality):
    values = dict.fromkeys(("p_kw", "q_kvar", "v_pu", "import_kwh", "export_kwh"))
    return Telemetry(**HEADER, tick=2, sender="gateway-0", phase="measure", quality=quality, **values)


def printed(view, width):
    out = Console(file=io.StringIO(), width=width)
    out.print(view.table())
    return out.file.getvalue()


def test_a_view_follows_what_services_say():
    times = iter([10.0, 12.5, 20.0])
    view = RunView("r", clock=lambda: next(times))
    view.take(Availability(**HEADER, tick=-1, sender="wam", online=True))
    view.take(step("bid"))
    view.take(done("bid", flags=["a", "b"], traffic=Traffic(sent=7, rejected=1)))
    view.take(done("measure"))
    assert view.services["wam"].step_s == 2.5
    assert view.services["wam"].flags == 2
    view.take(step("measure", tick=3))
    for quality in ("good", "good", "held"):
        view.take(reading(quality))
    assert view.qualities == {"good": 2, "held": 1}
    view.take(Availability(**HEADER, tick=-1, sender="wam", online=False))
    text = printed(view, width=140)
    assert "run r: tick 3, measure" in text
    assert "offline" in text
    assert "readings: 2 good, 1 held" in text


def test_a_usual_terminal_shows_all_names_and_every_trouble():
    view = RunView("r")
    names = ("population-0", "devices-0", "gateway-0", "recorder")
    for name in names:
        view.take(Availability(**HEADER, tick=-1, sender=name, online=True))
    shown = printed(view, width=80)
    assert "run r: no step heard yet" in shown
    assert "-1" not in shown
    assert all(name in shown for name in (*names, "online", "seconds", "received"))
    assert not any(name in shown for name in ("gaps", "late", "rejected", "quarantined"))
    view.take(step("dispatch", tick=34999))
    view.take(done("dispatch", tick=34999, traffic=Traffic(sent=123456, received=1234567, rejected=1)))
    shown = printed(view, width=80)
    assert "run r: tick 34999, dispatch" in shown
    assert all(name in shown for name in (*names, "rejected", "1234567"))
    assert max(map(len, shown.splitlines())) <= 80


async def test_a_run_is_watched_to_its_end():
    topics = Topics("r")
    async with open_broker() as broker, connect(broker.url, "clock") as bus:
        hello = Availability(**HEADER, tick=-1, sender="wam", online=True)
        await bus.publish(topics.availability("wam"), messages.encode(hello), retain=True)
        console = Console(file=io.StringIO(), width=140)
        watching = asyncio.create_task(watch_run(broker.url, "r", console))
        async with asyncio.timeout(10):
            number = 0
            while not watching.done():
                end = {"step": "end", "opened": 0.0, "deadline": 1.0, "interval_s": 900.0, "seq": number}
                last = Step(run="r", tick=1, sender="clock", **end)
                await bus.publish(topics.step, b"nonsense")
                await bus.publish(topics.step, messages.encode(last))
                number += 1
                await asyncio.wait({watching}, timeout=0.05)
        view = watching.result()
    assert view.services["wam"].online
    assert "online" in console.file.getvalue()
