"""Pictures of the gallery, from runs that are there: ``python -m scripts.make_gallery DAY STRESS FREE``.

DAY is a run of the default day, STRESS and FREE are runs of the examples ``stress-day`` and
``stress-day-without-network``.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

import sharegrid
from sharegrid import Run

FOLDER = Path(__file__).parents[1] / "docs" / "images"
LIMITS_PU = (0.95, 1.05)
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
}


def hours(run: Run) -> list[float]:
    """Local hour of each interval."""
    time = run.intervals["time"]
    return (time.dt.hour + time.dt.minute / 60.0).tolist()


def draw_prices(axes: Axes, run: Run) -> None:
    """The price at the feeder head, the band of all DLMPs, and what the utility and the grid ask and give."""
    at, rows = hours(run), run.intervals
    dlmp = run.lams.groupby("tick")["wam_price"].agg(["min", "max"])
    axes.fill_between(at, dlmp["min"], dlmp["max"], alpha=0.3, label="DLMPs of all LAMs")
    axes.plot(at, rows["energy_price"], label="at the feeder head")
    for name, dashes in (("retail", "--"), ("feed_in", ":")):
        axes.plot(at, rows[f"{name}_price"], dashes, color="grey", label=name.replace("_", "-"))
    axes.set(ylabel="$/kWh", xlim=(0, 24))
    axes.legend(ncols=4, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)


def draw_energy(axes: Axes, run: Run) -> None:
    """What was traded inside LAMs, between them, and with the grid."""
    at, rows = hours(run), run.intervals
    per_hour = 60.0 / run.summary.time.interval_min
    layers = {
        "inside LAMs": rows["traded_lam_kwh"] * per_hour,
        "between LAMs": rows["traded_wam_kwh"] * per_hour,
        "imported": rows["grid_actual_kw"].clip(lower=0.0),
    }
    axes.stackplot(at, list(layers.values()), labels=list(layers), alpha=0.75)
    axes.plot(at, rows["grid_actual_kw"].clip(upper=0.0), color="black", lw=1, label="exported")
    axes.set(ylabel="kW", xlabel="hour of the day", xlim=(0, 24), xticks=range(0, 25, 3))
    axes.legend(ncols=4, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)


def draw_voltages(axes: Axes, run: Run, title: str) -> None:
    """The range of all node voltages, and the limits."""
    at, rows = hours(run), run.intervals
    axes.fill_between(at, rows["v_min_pu"], rows["v_max_pu"], alpha=0.4)
    for limit in LIMITS_PU:
        axes.axhline(limit, color="crimson", lw=1, ls="--")
    axes.set(title=title, xlim=(0, 24), xticks=range(0, 25, 6))


def draw_loading(axes: Axes, run: Run) -> None:
    """The highest current over rating."""
    axes.plot(hours(run), 100.0 * run.intervals["max_loading"])
    axes.axhline(100.0, color="crimson", lw=1, ls="--")
    axes.set(xlabel="hour of the day")


def draw_map(axes: Axes, run: Run, tick: int) -> None:
    """The feeder with the DLMP of each LAM in one interval."""
    plan = run.feeder_map
    ends = [(plan.buses[a], plan.buses[b]) for a, b in plan.segments if a in plan.buses and b in plan.buses]
    axes.add_collection(LineCollection(ends, colors="0.75", lw=1))
    lams = run.lams[(run.lams["tick"] == tick) & run.lams["lam"].isin(list(plan.buses))]
    x, y = zip(*(plan.buses[lam] for lam in lams["lam"]), strict=True)
    points = axes.scatter(x, y, c=lams["wam_price"], cmap="cividis", s=28, zorder=2)
    plt.colorbar(points, ax=axes, label="DLMP [$/kWh]", shrink=0.8)
    axes.set(aspect="equal", xticks=[], yticks=[])
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)


def main(day: Run, stress: Run, free: Run) -> None:
    """Draw all pictures."""
    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 5.2), sharex=True, layout="constrained")
    draw_prices(above, day)
    draw_energy(below, day)
    figure.savefig(FOLDER / "gallery-day.png", dpi=110)

    figure, all_axes = plt.subplots(2, 2, figsize=(8, 4.6), sharex=True, sharey="row", layout="constrained")
    for column, (run, title) in enumerate(
        ((free, "a market without network"), (stress, "a market over the feeder"))
    ):
        draw_voltages(all_axes[0, column], run, title)
        draw_loading(all_axes[1, column], run)
    all_axes[0, 0].set(ylabel="voltage of nodes [pu]")
    all_axes[1, 0].set(ylabel="highest loading [%]")
    figure.savefig(FOLDER / "gallery-limits.png", dpi=110)

    spread = stress.lams.groupby("tick")["wam_price"].agg(lambda price: price.max() - price.min())
    figure, axes = plt.subplots(figsize=(8, 4.6), layout="constrained")
    draw_map(axes, stress, int(spread.idxmax()))
    moment = stress.intervals.set_index("tick")["time"][spread.idxmax()]
    axes.set_title(f"{moment:%H:%M}, when DLMPs differ most")
    figure.savefig(FOLDER / "gallery-map.png", dpi=110)


if __name__ == "__main__":
    mpl.use("agg")
    with plt.style.context(STYLE):
        main(*(sharegrid.load(path) for path in sys.argv[1:4]))
