"""A made-up day of a run, as its directory would hold it."""

import json
import re
import zlib
from base64 import b85decode
from datetime import UTC, datetime, timedelta, timezone

import numpy as np

from broker.messages import FeederMap, Traffic
from cosim.control.pacing import Lag
from cosim.results.booking import book_interval
from cosim.results.entries import account_names
from cosim.results.ledger import Ledger
from cosim.results.provenance import provenance
from cosim.results.summarising import RunRecord, build_summary
from cosim.results.trades import GridTrade, LamTrades, ProsumerTrades
from cosim.results.writer import RunWriter

LOCAL = timezone(timedelta(hours=2))
SMALL = FeederMap(
    buses={"1": (0.0, 0.0), "2": (1.0, 0.4), "3": (2.0, 0.1), "4": (2.0, 1.3)},
    segments=[("1", "2"), ("2", "3"), ("2", "4"), ("4", "nowhere")],
    lams=["2", "3", "4"],
    base_kv={f"{bus}.{phase}": 2.4 for bus in "1234" for phase in "123"},
    limits_pu=[(0.95, 1.05)] * 12,
)


def embedded(page):
    """Figures and map of a page, unpacked as its own script does."""
    size, letters = re.search(
        r'<script type="text/plain" id="data" data-size="(\d+)">(.*?)</script>', page
    ).groups()
    return json.loads(zlib.decompress(b85decode(letters.replace(",", "<"))[: int(size)]))


def write_day(path, drawing=SMALL, *, intervals=96, phases=("1", "2", "3"), seed=5, prosumers_per_lam=4):
    """A sunny day: imports at night and in the evening, exports at noon, a voltage limit that binds then."""
    draw = np.random.default_rng(seed)
    lams, nodes = list(drawing.lams), [f"{bus}.{phase}" for bus in drawing.buses for phase in phases]
    far = np.array([np.hypot(*drawing.buses[node.rpartition(".")[0]]) for node in nodes])
    far = far / far.max()
    size, share = len(lams), draw.uniform(0.5, 2.0, len(lams))
    lam = np.repeat(np.arange(size), prosumers_per_lam)
    names = [f"p{at:05d}" for at in range(lam.size)]
    writer = RunWriter(path)
    writer.scenario('[run]\nseed = 5\ninterval_min = 15\ntime_zone = "Europe/Berlin"\n')
    writer.feeder_map(drawing)
    ledger = Ledger.create(path / "ledger.sqlite", account_names(names, lams), run="sunny-day")
    first = datetime(2024, 6, 21, tzinfo=LOCAL)
    for tick in range(intervals):
        hour = 24 * tick / intervals
        sun = max(0.0, np.sin((hour - 5.2) / 16 * np.pi)) ** 1.4 * (1 - 0.25 * draw.random())
        load = (
            0.45 + 0.2 * np.exp(-(((hour - 7.5) / 1.6) ** 2)) + 0.55 * np.exp(-(((hour - 19.5) / 2.4) ** 2))
        )
        net = 60 * share / share.mean() * (load - 1.25 * sun * draw.uniform(0.7, 1.3, size))
        energy = 0.145 + 0.075 * np.tanh(net.sum() / (22 * size)) + 0.003 * draw.normal()
        binds = sun > 0.72
        loss = 0.004 * share * np.sign(net.sum()) * abs(load - sun)
        voltage = -0.03 * share * (sun - 0.72) if binds else np.zeros(size)
        dlmp = energy + loss + voltage
        local = dlmp + 0.004 * draw.normal(size=size)
        volts = 1.0 + far * (0.062 * sun - 0.055 * load) + 0.004 * draw.normal(size=len(nodes))
        trade_kw = draw.normal(0, 2, lam.size)
        net_of_trades = np.bincount(lam, trade_kw, size)
        booking = book_interval(
            0.25,
            ProsumerTrades(
                lam=lam,
                trade_kw=trade_kw,
                trade_price=local[lam],
                metered_kwh=trade_kw * 0.25 + draw.normal(0, 0.03, lam.size),
                short_price=np.full(lam.size, 0.34),
                long_price=np.full(lam.size, 0.07),
            ),
            LamTrades(net_kw=net_of_trades, wam_price=dlmp, alone=np.zeros(size, dtype=bool)),
            GridTrade(
                scheduled_kw=net_of_trades.sum() * 1.02,
                actual_kw=net_of_trades.sum() * 1.02 + draw.normal(),
                import_price=0.22,
                export_price=0.07,
            ),
        )
        ledger.post(tick, booking)
        scheduled = net.sum() * (1 + 0.02 * np.sign(net.sum()))
        possible = size * (0.02 + 0.09 * sun + 0.03 * load)
        bad = tick in (intervals // 2, intervals // 2 + 1)
        base = 0.22 * max(scheduled, 0) * 0.25 - 0.07 * max(-scheduled, 0) * 0.25 + 0.1 * size
        moment = first + timedelta(minutes=15 * tick)
        writer.append(
            "intervals",
            {
                "tick": tick,
                "time": moment.astimezone(UTC),
                "time_local": moment.isoformat(),
                "status": "unconfirmed" if bad else "confirmed",
                "flags": int(bad),
                "rounds": 3 if binds else 2,
                "certified": not bad,
                "duality_gap": 1e-12 if not bad else 0.3,
                **{
                    f"{cause}_rent_usd": amount
                    for cause, amount in (("loss", 0.4), ("voltage", -0.3 * binds))
                },
                "wam_fees_usd": 0.2,
                "energy_price": energy,
                "import_price": 0.22,
                "export_price": 0.07,
                "retail_price": 0.34 if 7 <= hour < 22 else 0.27,
                "feed_in_price": 0.07,
                "grid_scheduled_kw": scheduled,
                "grid_actual_kw": scheduled + 0.01 * abs(scheduled) * draw.normal(),
                "losses_kw": 0.02 * abs(scheduled),
                "v_min_pu": volts.min(),
                "v_max_pu": volts.max(),
                "max_loading": 0.4 + 0.5 * sun,
                "linear_error_pu": 10 ** draw.uniform(-8.5, -5.5),
                "binding_rows": int(binds),
                "violations": int(bad),
                "traded_lam_kwh": size * (2 + 6 * sun + 2 * load) * 0.25,
                "traded_wam_kwh": size * (1 + 5 * sun) * 0.25,
                "imbalance_kwh": 0.4 * size * 0.25,
                "cost_no_sharing": base + possible,
                "cost_lam_only": base + possible * 0.55,
                "cost_market": base + possible * 0.02,
                "cost_optimum": base,
                "efficiency": None if binds else 0.98,
                **{f"{step}_s": draw.uniform(0.01, 0.06) for step in ("measure", "bid", "act", "meter")},
                "clear_s": 0.12,
                "dispatch_s": 0.05,
                "settle_s": 0.08,
                "interval_s": 0.4,
                **{
                    key: getattr(booking, key)
                    for key in (
                        "imbalance_usd",
                        "uplift_usd",
                        "lam_surplus_usd",
                        "wam_surplus_usd",
                        "rounding_micro",
                    )
                },
            },
        )
        writer.append(
            "lams",
            {"tick": tick, "lam": lams, "net_kw": net, "price": local, "wam_price": dlmp, "energy": energy}
            | {"loss": loss, "voltage": voltage, "congestion": 0.0, "alone": False},
        )
        writer.append("nodes", {"tick": tick, "node": nodes, "v_pu": volts})
        if bad:
            detail = f"voltage {nodes[-1]}: 1.0507 pu above 1.05 <b>pu</b>"
            writer.event({"tick": tick, "kind": "flag", "source": "wam", "detail": detail})
    writer.append(
        "prosumers",
        {"prosumer": names, "lam": [lams[at] for at in lam], "saving_usd": draw.gamma(2.0, 0.4, lam.size)},
    )
    record = RunRecord(
        run_id="sunny-day",
        feeder="IEEE 123-node feeder",
        prosumers=11250,
        lams=size,
        live_devices=117,
        planned=intervals,
        interval_h=0.25,
        bidding="curve",
        nodes=12,
        voltage_limits_pu=(0.95, 1.05),
        entries=ledger.entries(),
        sum_micro=ledger.sum_micro(),
        traffic=[Traffic(sent=91_334, received=152_201, modbus_reads=22_464, modbus_writes=11_232)],
        total_s=41.3,
        lag=Lag(),
        origin=provenance(seed=5, broker="embedded amqtt at 127.0.0.1:41883"),
    )
    summary = build_summary(writer.table("intervals"), writer.table("prosumers"), record)
    ledger.close()
    writer.finish(summary)
    return path
