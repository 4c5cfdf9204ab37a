"""Rows of what the market over a horizon found."""

import numpy as np

from broker.messages import Outlook, columns
from cosim.recording.outlook_rows import outlook_tables


def test_each_store_is_told_by_owner_kind_and_number():
    none = columns.pack(np.zeros(1))
    by_lam = dict.fromkeys(("price", "loss", "voltage", "congestion", "net_kw"), none)
    outlook = Outlook(
        run="r",
        tick=3,
        sender="market",
        seq=0,
        ahead=1,
        energy_price=[0.1],
        grid_kw=[0.0],
        **by_lam,
        store=columns.pack_index([1, 0, 1, 1]),
        store_kind=["battery", "vehicle", "vehicle", "vehicle"],
        **dict.fromkeys(("state_kwh", "energy_value", "store_gain"), columns.pack(np.ones(4))),
        stored_kwh=[4.0, 4.0],
        shortfall_kwh=0.0,
        proof=None,
        beyond=[],
        notes=[],
        iterations=1,
        seconds=0.0,
    )
    stores = outlook_tables(["lam"], ["anna", "bert"], outlook)["stores"]
    assert list(stores["prosumer"]) == ["bert", "anna", "bert", "bert"]
    assert list(stores["kind"]) == ["battery", "vehicle", "vehicle", "vehicle"]
    assert list(stores["number"]) == [1, 1, 1, 2]
