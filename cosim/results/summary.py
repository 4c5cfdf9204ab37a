"""The figures of a whole run, typed from writer to reader: what ``summary.json`` holds.

Each key stands beside its meaning, which docs/results.md shows.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from cosim.results.figures import (
    CERTIFICATE,
    AcFigures,
    BiddingFigures,
    CertificateCounts,
    CostFigures,
    EnergyFigures,
    IntervalCounts,
    Number,
    Period,
    PowerQuality,
    SavingFigures,
    SettlementFigures,
    VoltageRange,
)
from cosim.results.network import NetworkFigures
from cosim.results.run_figures import (
    FaultFigures,
    MessageCounts,
    ModbusCounts,
    PacingFigures,
    Provenance,
    Seconds,
    SetPointFigures,
    Unfinished,
)
from market.analysis.indicators import Indicators
from sharegrid.decoding import decode_json


def _key(meaning: str) -> msgspec.Meta:
    return msgspec.Meta(description=meaning)


def _indicators(struct: type[msgspec.Struct]) -> msgspec.Meta:
    names = ", ".join(f"`{name}`" for name in struct.__struct_fields__)
    return _key(f"{names}: [kpis.md](kpis.md)")


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of a run, as ``summary.json`` has them; each key with its meaning."""

    run_id: Annotated[str, _key("name of the run")]
    feeder: Annotated[str, _key("name of the feeder")]
    prosumers: Annotated[int, _key("how many there are")]
    lams: Annotated[int, _key("how many there are")]
    live_devices: Annotated[int, _key("how many there are; a live prosumer may own two devices")]
    time: Annotated[
        Period, _key("`first` and `last` interval (local, ISO 8601) and the length `interval_min`")
    ]
    intervals: Annotated[
        IntervalCounts,
        _key(
            "`planned`; `settled` (whatever their status); `cleared` (confirmed or not); `confirmed` by AC "
            "power flow; `unconfirmed`; `held`; `flagged`"
        ),
    ]
    voltage_pu: Annotated[
        VoltageRange, _key("`min` and `max` over all nodes and intervals, and the limits `lower` and `upper`")
    ]
    power_quality: Annotated[
        PowerQuality,
        _key("highest voltage unbalance of a bus `unbalance_pct`, and neutral to earth `neutral_v`"),
    ]
    max_loading: Annotated[Number, _key("highest current over rating")]
    violations: Annotated[int, _key("limits broken, summed over intervals")]
    ac: Annotated[AcFigures, _key("`max_linear_error_pu` and `rounds_p95`")]
    bidding: Annotated[
        BiddingFigures,
        _key(
            "`form` of the bids; `wam_rounds` and `lam_rounds` of an interval (`p50`, `max`); `messages` and "
            "`bytes` over the run"
        ),
    ]
    network: Annotated[NetworkFigures, _indicators(NetworkFigures)]
    energy_kwh: Annotated[
        EnergyFigures,
        _key("`lam` (inside LAMs), `wam` (between LAMs), `import`, `export`, `losses`, `imbalance`"),
    ]
    cost: Annotated[
        CostFigures,
        _key(
            "`market`, `no_sharing`, `lam_only`, `single_layer`, `single_layer_network`, `optimum` in $ over "
            "the `intervals` that have them all, and `efficiency` over the `efficiency_intervals` where it "
            "is defined (null where there are none)"
        ),
    ]
    kpis: Annotated[Indicators, _indicators(Indicators)]
    savings_usd: Annotated[
        SavingFigures,
        _key(
            "what prosumers saved against no sharing, over `intervals` intervals: `total`, and of one "
            "prosumer `min`, `p05`, `median`, `p95`, `max`"
        ),
    ]
    certificate: Annotated[
        CertificateCounts,
        _key(
            "`intervals` that were certified, for how many the certificate `holds`, and the largest of each "
            f"figure: {', '.join(f'`{name}`' for name in CERTIFICATE)}"
        ),
    ]
    settlement: Annotated[
        SettlementFigures,
        _key(
            "`entries` and `sum_micro` of the ledger; what LAMs and the WAM kept and why (`lam_surplus_usd` "
            "with `lam_fees_usd`, `wam_surplus_usd` with `wam_fees_usd`, `loss_rent_usd`, "
            "`voltage_rent_usd`, `congestion_rent_usd`, `limit_rent_usd`); `uplift_usd`, "
            "`imbalance_usd`, `rounding_micro`"
        ),
    ]
    messages: Annotated[
        MessageCounts, _key("`sent`, `received`, `gaps`, `duplicates`, `late`, `rejected`, `quarantined`")
    ]
    modbus: Annotated[ModbusCounts, _key("`reads`, `writes`, `errors`")]
    set_points: Annotated[
        SetPointFigures,
        _key(
            "`limited` by an envelope; `renewed` before they reverted; `budgets_spent`: devices that had had "
            "their writes of the day at the end; `emergency_stops`; `tripped`: armed devices that showed "
            "power beyond their envelopes and were brought to their safe values; `lost`: how often an armed "
            "device could not be read any more; wall time from a set-point's "
            "arrival at the gateway until its registers read back (`to_register_s`) and until "
            "the meter showed it (`to_meter_s`): `p50`, `p95`"
        ),
    ]
    seconds: Annotated[
        Seconds,
        _key(
            "`total`; `p50` and `p95` of each step (`measure`, `bid`, `clear`, `dispatch`, `act`, `meter`, "
            "`settle`), of the whole `interval` and of the `audit`"
        ),
    ]
    faults: Annotated[
        FaultFigures | None,
        _key(
            "null, or of injected faults: `injected`, `noticed`; `by_kind` both and the `checks` that "
            "noticed; `false_alarms`; energy settled off the true one, `wrong_kwh`, of that `early_kwh` "
            "before the fault was noticed and `silent_kwh` never noticed; `left_kwh`, what never came right; "
            "`cost` against a run without ([faults.md](faults.md))"
        ),
    ]
    provenance: Annotated[
        Provenance,
        _key(
            "`versions`, `commit`, `seed`, `broker`, `machine`; `world`: hash of the scenario and all that "
            "it names; `inputs`: SHA-256 of each file that it names, by key, of a feeder over all files that "
            "describe it"
        ),
    ]
    pacing: Annotated[
        PacingFigures,
        _key(
            "`worst_lag_s`: how late an interval opened against its deadline; `overruns`: how many opened "
            "later than an interval"
        ),
    ]
    unfinished: Annotated[
        Unfinished | None,
        _key(
            "null in `summary.json`; of a run that is not over, as `sharegrid.load` finds it, its `state` "
            "(`killed` or `going on`) and `as_of`, when that was looked at"
        ),
    ] = None

    @property
    def incomplete(self) -> str:
        """What a reader has to know first of a run without all of its intervals; empty for any other."""
        counts = self.intervals
        of = f"{counts.settled:,} of {counts.planned:,} intervals"
        if self.unfinished is None:
            return "" if counts.settled >= counts.planned else f"not complete: ended after {of}"
        if self.unfinished.state == "killed":
            return f"not complete: killed, or failed, after {of}"
        return f"not over: goes on, with {of} as of {self.unfinished.as_of[:19].replace('T', ' ')}"


def read_summary(content: bytes) -> Summary:
    """Summary from JSON; raises ``msgspec.DecodeError`` that names the key that is missing or wrong."""
    return decode_json(content, Summary)


def write_summary(summary: Summary) -> bytes:
    """JSON of a summary, indented for people."""
    return msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"


def meanings() -> dict[str, str]:
    """Meaning of each key of ``summary.json``."""
    schema = msgspec.json.schema_components([Summary])[1]["Summary"]["properties"]
    return {key: value["description"] for key, value in schema.items()}
