"""What sparse rows of the feeder's models would bring: entries that could go, bytes and time.

    python -m benchmarks.sparse_rows MASTER [--tight]

An AC-confirmed interval as in `benchmarks.networks`; of its largest model the message is encoded and read as
it is, and with its rows as indices and values (12 bytes instead of 8), where a row leaves out its smallest
entries as long as all that they can move within the bids stays below a threshold.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from pathlib import Path

import click
import msgspec
import numpy as np
import numpy.typing as npt

from benchmarks.cases import households, seen_by_wam
from benchmarks.network_interval import (
    MEMBERS,
    confirmed_interval,
    least_s,
    limits_of,
    operation_within,
    tight_limits,
)
from broker.messages import NetworkModel, columns
from cosim.feeder.opendss import Feeder
from market.solver.lam_bids import GridBids

THRESHOLDS_PU = (0.0, 1e-8, 1e-6, 1e-5, 1e-4)
_REPEAT = 9


Floats = npt.NDArray[np.float64]


def kept(matrix: Floats, width_kw: Floats, most: float) -> npt.NDArray[np.bool_]:
    """Entries of each row that remain where the others together move it by no more than ``most``."""
    moves = np.abs(matrix) * width_kw
    order = np.argsort(moves, axis=1)
    gone = np.cumsum(np.take_along_axis(moves, order, axis=1), axis=1) <= most
    stays = np.empty_like(gone)
    np.put_along_axis(stays, order, ~gone, axis=1)
    return stays


class _Sparse(msgspec.Struct):
    count: columns.Index
    at: columns.Index
    value: columns.Column


def figures(model: NetworkModel, width_kw: Floats) -> None:
    """Print what is at stake of one model."""
    rows, lams = len(model.name), len(model.balance)
    matrix = columns.unpack(model.matrix).reshape(rows, lams)
    dense = msgspec.json.encode(model)
    rest = len(msgspec.json.encode(msgspec.structs.replace(model, matrix=b"")))
    decoder, sparse_decoder = msgspec.json.Decoder(NetworkModel), msgspec.json.Decoder(_Sparse)
    bare = msgspec.structs.replace(model, matrix=b"")
    bare_s = least_s(lambda: decoder.decode(msgspec.json.encode(bare)), _REPEAT)
    whole_s = least_s(
        lambda: columns.unpack(decoder.decode(msgspec.json.encode(model)).matrix).reshape(rows, lams), _REPEAT
    )
    print(f"{rows} rows x {lams} LAMs; the message has {len(dense):,} bytes, {rest:,} without the matrix")
    print(f"matrix whole: {1e3 * (whole_s - bare_s):.2f} ms to write and read")
    for most in THRESHOLDS_PU:
        stays = kept(matrix, width_kw, most)

        def both(stays: npt.NDArray[np.bool_] = stays) -> None:
            told = _Sparse(
                columns.pack_index(stays.sum(axis=1)),
                columns.pack_index(np.nonzero(stays)[1]),
                columns.pack(matrix[stays]),
            )
            read = sparse_decoder.decode(msgspec.json.encode(told))
            back = np.zeros((rows, lams))
            places = np.repeat(np.arange(rows), columns.unpack_index(read.count))
            back[places, columns.unpack_index(read.at)] = columns.unpack(read.value)

        size = 16 * int(stays.sum())  # 12 bytes in base64
        print(
            f"off by at most {most:g}: {stays.mean():.2%} of the entries stay, "
            f"{size / max(1, 32 * rows * lams // 3):.2f} of the bytes, {1e3 * least_s(both, _REPEAT):.2f} ms"
        )


@click.command()
@click.argument("master", type=click.Path(path_type=Path, exists=True))
@click.option("--tight", is_flag=True, help="Voltage limits that bind.")
def main(master: Path, tight: bool) -> None:
    """Measure one circuit."""
    feeder = Feeder(str(master))
    spot_kw = feeder.layout.spot_kw
    case = households(np.random.default_rng(1), spot_kw, MEMBERS)
    limits = limits_of(feeder.solve(spot_kw, spot_kw * feeder.layout.tan_phi), feeder)
    if tight:
        limits = tight_limits(feeder, case, limits)
    models: list[NetworkModel] = []
    operation = operation_within(feeder, limits, controls_act=False)
    found = confirmed_interval(feeder, case, operation, on_model=models.append)
    print(f"{master.parent.name}: {found['rounds']}, interval {found['interval [s]']:.2f} s of the processor")
    bids = GridBids(seen_by_wam(case))
    figures(max(models, key=lambda each: len(each.name)), bids.highest_kw - bids.lowest_kw)


if __name__ == "__main__":
    main()
