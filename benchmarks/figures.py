"""Draw the results and write the page of tables: ``python -m benchmarks.figures``.

Reads ``benchmarks/results/peers.json``, writes ``docs/benchmarks.md`` and ``docs/images/bench_*``.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.field import OURS
from benchmarks.peers import Row, load
from benchmarks.tables import PAGE, kinds_of_noise, page

IMAGES = PAGE.parent / "images"
LOGARITHMIC = {
    "amplitude",
    "frequency off the grid",
    "frequency on the grid",
    "Poisson noise",
    "size",
}
# the colour-blind safe palette of Okabe and Ito
COLOURS = ("#000000", "#999999", "#E69F00", "#0072B2", "#009E73", "#56B4E9", "#D55E00", "#CC79A7")


def curve(axes: Axes, points: Row, name: str, colour: str, of: str) -> None:
    """Draw a method's median along a sweep, and its quartile range."""
    there = {float(point): rows[name][of] for point, rows in points.items() if of in rows[name]}
    if not there:
        return
    low, middle, high = np.transpose([np.percentile(v, [25, 50, 75]) for v in there.values()])
    width, order = (2.5, 3) if name == OURS else (1.2, 2)
    axes.plot(list(there), middle, ".-", color=colour, linewidth=width, label=name, zorder=order)
    axes.fill_between(list(there), low, high, color=colour, alpha=0.12, linewidth=0)


def along(axes: Axes, points: Row, scale: str) -> None:
    """Scale the x axis and put its ticks at a sweep's points."""
    axes.set_xscale(scale)
    axes.set_xticks([float(point) for point in points], list(points))
    axes.minorticks_off()


def colours(rows: Row) -> dict[str, str]:
    """A colour for each method."""
    return dict(zip(rows, COLOURS, strict=True))


def sweeps(results: Row) -> Figure:
    """Rejection along each sweep."""
    figure = Figure(figsize=(10, 16), layout="constrained")
    panels = figure.subplots(4, 2, sharey=True)
    part = results["sweeps"]
    for axes, (title, points) in zip(panels.flat, part["rows"].items(), strict=True):
        for name, colour in colours(results["methods"]).items():
            curve(axes, points, name, colour, "rejection")
        axes.set(title=title, xlabel=part["units"][title])
        along(axes, points, "log" if title in LOGARITHMIC else "linear")
        axes.axhline(0, color="0.7", linewidth=0.8, zorder=1)
    for axes in panels[:, 0]:
        axes.set_ylabel("noise rejection, dB")
    panels[0, 0].set_ylim(bottom=-10)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def seconds(results: Row) -> Figure:
    """Seconds by size."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    sizes = results["sweeps"]["rows"]["size"]
    for name, colour in colours(results["methods"]).items():
        curve(axes, sizes, name, colour, "seconds")
    along(axes, sizes, "log")
    axes.set(yscale="log", xlabel="pixels a side", ylabel="processor time, s")
    axes.legend(fontsize="small")
    return figure


def families(results: Row) -> Figure:
    """Rejection of all cases, sorted."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    kinds = [rows for _, rows, _ in kinds_of_noise(results)]
    for name, colour in colours(results["methods"]).items():
        values = np.sort(np.concatenate([rows[name].get("rejection", []) for rows in kinds]))
        share = 100 * (np.arange(len(values)) + 0.5) / max(len(values), 1)
        axes.plot(share, values, color=colour, linewidth=2.5 if name == OURS else 1.2, label=name)
    axes.axhline(0, color="0.7", linewidth=0.8, zorder=1)
    axes.set(
        xlabel="cases, % of all kinds of noise", ylabel="noise rejection, dB", ylim=(-15, None)
    )
    axes.legend(fontsize="small", ncols=2)
    return figure


def main() -> None:
    """Draw the figures and write the page."""
    results = load()
    drawn = {"families": families, "sweeps": sweeps, "seconds": seconds}
    for name, draw in drawn.items():
        draw(results).savefig(IMAGES / f"bench_{name}.png", dpi=110)
    PAGE.write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
