"""Markdown of the results: the README's block, docs/benchmarks.md, and noise of lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.families import FAMILIES
from benchmarks.field import ORACLE, OURS
from benchmarks.lines import AHEAD
from benchmarks.peers import PARTS, SIGMA, Row

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
ADDRESS = "https://github.com/napari-periodic-denoise/napari-periodic-denoise/blob/main/docs/benchmarks.md"
FIGURES = {
    "bench_families.png": "Rejection of all cases of all kinds of noise, sorted method by method",
    "bench_sweeps.png": "Rejection where one parameter is varied: medians and quartiles",
    "bench_seconds.png": "Processor time by image size: medians and quartiles",
}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def mean(row: Row) -> float:
    """Mean rejection; a failed method has the lowest possible one."""
    return float(np.mean(row["rejection"])) if "rejection" in row else -np.inf


def seconds(row: Row) -> float:
    """Median seconds."""
    return float(np.median(row["seconds"]))


def decibels(row: Row) -> str:
    """Mean and worst rejection, or why there is neither."""
    if "failed" in row:
        return f"failed: {row['failed']}"
    return f"{mean(row):.1f}, {min(row['rejection']):.1f}"


def best_other(rows: Row) -> str:
    """Name of the best method besides this package and the oracle."""
    others = {name: row for name, row in rows.items() if name not in (OURS, ORACLE)}
    return max(others, key=lambda name: mean(others[name]))


def compared(rows: Row) -> tuple[str, str]:
    """Cells of this package and of the best other method, with what the other does better."""
    name = best_other(rows)
    ours, other = rows[OURS], rows[name]
    remarks = {
        "better on average": mean(other) >= mean(ours),
        "better at worst": min(other["rejection"]) >= min(ours["rejection"]),
        "faster": seconds(other) < seconds(ours),
    }
    better = ", ".join(remark for remark, is_so in remarks.items() if is_so)
    first, second = (f"{decibels(row)} dB; {seconds(row):.2f} s" for row in (ours, other))
    return first, f"{name}: {second}" + (f" (**{better}**)" if better else "")


def description(family: str) -> str:
    """Description of a kind of noise."""
    return (FAMILIES[family].__doc__ or family).splitlines()[0].rstrip(".")


def kinds_of_noise(results: Row) -> Iterator[tuple[str, Row, Row]]:
    """Yield the name of each kind of noise, its rows, and the part of the results with them."""
    for part, suffix in (("families", ""), ("gaussian", f", with Gaussian noise of σ = {SIGMA}")):
        for family, rows in results[part]["rows"].items():
            yield family + suffix, rows, results[part]


def cases_lost(results: Row) -> Iterator[str]:
    """Name the cases in which another method does better than this package."""
    for kind, rows, part in kinds_of_noise(results):
        for number, ours in enumerate(rows[OURS]["rejection"]):
            image = part["images"][number // part["seeds"]]
            for name, row in rows.items():
                if name != OURS and "rejection" in row and row["rejection"][number] > ours:
                    theirs = row["rejection"][number]
                    yield f"{kind}, {image}: {name} {theirs} dB, {OURS} {ours} dB"


def lead(results: Row, name: str | None = None) -> tuple[float, str]:
    """Smallest lead of this package over a method, by default the best other one, and where."""
    return min(
        (mean(rows[OURS]) - mean(rows[name or best_other(rows)]), kind)
        for kind, rows, _ in kinds_of_noise(results)
    )


def readme_block(results: Row) -> str:
    """README block that compares this package with others."""
    plain, gaussian, clean = (results[part] for part in ("families", "gaussian", "clean"))
    ahead, where = lead(results, ORACLE)
    ahead_of_others, where_of_others = lead(results)
    lost, points_lost = list(cases_lost(results)), list(sweep_points_lost(results))
    points = sum(map(len, results["sweeps"]["rows"].values()))
    tried = sum(len(rows[OURS]["rejection"]) for _, rows, _ in kinds_of_noise(results))
    changed = {
        name: sum(value is not None for value in row["psnr"])
        for name, row in clean["rows"].items()
        if "psnr" in row
    }
    others = ", ".join(f"{name} {number}" for name, number in changed.items() if name != OURS)
    return "\n\n".join(
        [
            "Known noise `n` is added to a clean image `c`, and `0.6·c + 0.2 + 0.6·n` is rounded "
            f"to 8 bits. The clean images are {len(plain['images'])} of the photographs and "
            "micrographs that scikit-image bundles, at most 512×512, with one random draw of "
            "each kind of noise. Noise rejection is how far the error of the noise estimate lies "
            "below the noise: 0 dB is doing nothing, 40 dB leaves a hundredth of the amplitude. "
            "Other methods get the same arrays in the same run, the true directions of the noise "
            "if they need any, and the settings with which they do best; the best of them is "
            "shown. Each cell has the mean rejection, that of the worst image, and the median "
            "time on one processor.",
            table(
                [
                    "noise",
                    "this package",
                    "best of the others",
                    f"with Gaussian noise of σ = {SIGMA}, {len(gaussian['images'])} images: "
                    "this package",
                    "best of the others",
                ],
                (
                    [
                        description(family),
                        *compared(plain["rows"][family]),
                        *compared(gaussian["rows"][family]),
                    ]
                    for family in plain["rows"]
                ),
            ),
            f"On average over the images, this package {is_ahead(ahead_of_others)} the best of "
            f"the others by at least {abs(ahead_of_others):.1f} dB ({where_of_others}), and "
            f"{is_ahead(ahead)} a notch filter that is given the true spectrum of the noise by "
            f"at least {abs(ahead):.1f} dB ({where}). Of {tried} cases, another "
            f"method did better in {counted(lost)}. Amplitude, frequency, number of waves, random "
            f"noise, saturation and size are varied over {points} points; another method has the "
            f"better median at {counted(points_lost)}. Of {len(clean['images'])} clean images "
            f"this package changes {changed[OURS]}; the others: {others}.",
            f"Measured {plain['date']} on {results['machine']}. [Benchmarks]({ADDRESS}) has all "
            "methods, settings and versions, and results for weaker, slower and more complicated "
            "noise.",
        ]
    )


def lines_block(results: Row) -> str:
    """Block that compares this package with others on noise of rows and columns."""
    kinds, images = results["rows"], results["images"]
    names = [name for name in results["methods"] if name != OURS]
    near = [kind for kind, rows in kinds.items() if lead_over_best(rows) < AHEAD]
    failures = sorted(
        {
            f"{name}: {row['failed']}"
            for rows in kinds.values()
            for name, row in rows.items()
            if "failed" in row
        }
    )

    def cells(rows: Row) -> Iterator[str]:
        ours = rows[OURS]["rejection"]
        yield f"{np.mean(ours):.1f} / {min(ours):.1f} ({images[int(np.argmin(ours))]})"
        yield from (f"{mean(rows[n]):.1f}" if "rejection" in rows[n] else "–" for n in names)
        yield standing(rows)

    return "\n\n".join(
        [
            table(
                ["noise", "this package, mean / worst", *names, "compared with the best of them"],
                ([kind, *cells(rows)] for kind, rows in kinds.items()),
            ),
            f"On average over the {len(images)} images, this package is at least {AHEAD} dB ahead "
            f"of every other method in {len(kinds) - len(near)} of {len(kinds)} kinds of noise"
            + (f"; it is not in {', '.join(near)}." if near else "."),
            methods_table(results),
            *([f"Not measured: {'; '.join(failures)}."] if failures else []),
            f"Measured {results['date']} by `python -m benchmarks.line_peers`; "
            "`benchmarks/results/lines.json` has all images and the settings chosen.",
        ]
    )


def lead_over_best(rows: Row) -> float:
    """Lead of this package over the best other method, in dB."""
    return mean(rows[OURS]) - mean(rows[best_other(rows)])


def standing(rows: Row) -> str:
    """Words for the lead of this package over the best other method."""
    lead, name = lead_over_best(rows), best_other(rows)
    if lead >= AHEAD:
        return f"{lead:.2f} dB ahead of {name}"
    if lead >= 0:
        return f"**only {lead:.2f} dB ahead of {name}**"
    return f"**{-lead:.2f} dB behind {name}**"


def counted(lines: list[str]) -> str:
    """Number of lines, and the lines."""
    return f"{len(lines)} ({'; '.join(lines)})" if lines else "none"


def is_ahead(decibels: float) -> str:
    """Words for a lead that may be negative."""
    return "is ahead of" if decibels > 0 else "is **behind**"


def setting(row: Row) -> str:
    """Text of a setting in a cell."""
    return "" if row.get("setting") is None else f"; {row['setting']}"


def all_methods(kinds: Row) -> str:
    """Table of all methods and all kinds of noise, with the settings that did best."""
    methods = list(next(iter(kinds.values())))
    return table(
        ["noise", *methods],
        (
            [family, *(decibels(rows[name]) + setting(rows[name]) for name in methods)]
            for family, rows in kinds.items()
        ),
    )


def all_seconds(kinds: Row) -> str:
    """Table of the median seconds of all methods, for all kinds of noise."""
    methods = list(next(iter(kinds.values())))
    return table(
        ["noise", *methods],
        (
            [family, *(f"{seconds(r):.2f}" if "seconds" in r else "–" for r in rows.values())]
            for family, rows in kinds.items()
        ),
    )


def methods_table(results: Row) -> str:
    """Table of the methods."""
    versions = results["versions"]
    return table(
        ["method", "version", "ground truth given", "setting chosen by the true result"],
        (
            [
                name,
                versions.get(method["package"], "own implementation"),
                method["given"],
                method["setting"],
            ]
            for name, method in results["methods"].items()
        ),
    )


def damage(rows: Row) -> str:
    """Table of the changes to clean images."""

    def cells(row: Row) -> list[str]:
        if "failed" in row:
            return [f"failed: {row['failed']}", "", ""]
        changed = sorted(value for value in row["psnr"] if value is not None)
        if not changed:
            return ["0", "–", "–"]
        return [str(len(changed)), f"{changed[0]:.1f}", f"{np.median(changed):.1f}"]

    return table(
        ["method", "images changed", "lowest PSNR, dB", "median PSNR of the changed images, dB"],
        ([name, *cells(row)] for name, row in rows.items()),
    )


def sweep(unit: str, points: Row) -> str:
    """Table of a sweep: median, lower and upper quartile."""
    methods = list(next(iter(points.values())))

    def cell(row: Row) -> str:
        if "failed" in row:
            return row["failed"].partition(":")[0]
        low, middle, high = np.percentile(row["rejection"], [25, 50, 75])
        return f"{middle:.1f} ({low:.1f} to {high:.1f})"

    return table(
        [unit, *methods],
        ([point, *(cell(rows[name]) for name in methods)] for point, rows in points.items()),
    )


def sweep_points_lost(results: Row) -> Iterator[str]:
    """Name the points of sweeps at which another method's median is better."""
    for title, points in results["sweeps"]["rows"].items():
        for point, rows in points.items():
            ours = np.median(rows[OURS]["rejection"])
            for name, row in rows.items():
                if name != OURS and "rejection" in row and np.median(row["rejection"]) > ours:
                    median = np.median(row["rejection"])
                    unit = results["sweeps"]["units"][title]
                    yield f"{title}, {point} {unit}: {name} {median:.1f} dB, {OURS} {ours:.1f} dB"


def listed(lines: Iterable[str]) -> str:
    """Markdown list; an empty one says so."""
    return "\n".join(f"- {line}" for line in lines) or "- None."


def page(results: Row) -> str:
    """Page of all results."""
    families, gaussian, clean, memory, sweeps = (results[part] for part in PARTS)
    parts = [
        "# Benchmarks: comparison with other methods",
        "`python -m benchmarks.figures` writes this page from `benchmarks/results/peers.json`; "
        "`make peers` and `.venv-peers/bin/python -m benchmarks.peers` repeat the measurements. "
        f"Measured {families['date']} on {results['machine']}, one thread.",
        "All methods get the same arrays in the same run. Methods that filter stripes of one "
        "direction are given the true directions, up to four. For one direction after the other, "
        "the image is rotated until the stripes are vertical and filtered, and the noise is "
        "rotated back. Each method is used with the setting that does best by the true result, "
        "on average over every other image of a kind of noise (without Gaussian noise), or in "
        "the middle 256×256 pixels of the first image at a point of a sweep. This package and "
        "the spectral outliers (Sur & Grédiac 2015) have one setting and are given nothing. "
        "Algotom's other filters (sorting, filtering, fitting, normalization...) were tried first "
        "on three kinds of noise in two images, and did no better than the best of those shown. "
        "Seconds are processor time, summed over all threads. Seconds and memory include the "
        "rotation of the image.",
        methods_table(results),
        "## Kinds of noise",
        f"Noise rejection in dB, mean and worst of {len(families['images'])} images "
        f"({', '.join(families['images'])}), with one random draw of each kind of noise, 8 bits; "
        "after the semicolon, the setting.",
        all_methods(families["rows"]),
        f"With Gaussian noise of σ = {SIGMA} of the range, and the same settings as without; "
        f"{', '.join(gaussian['images'])}:",
        all_methods(gaussian["rows"]),
        "Cases in which another method did better than this package:",
        listed(cases_lost(results)),
        figure("bench_families.png"),
        "Median seconds, without Gaussian noise:",
        all_seconds(families["rows"]),
        "## Clean images",
        f"Changes to {len(clean['images'])} images without periodic noise, with the settings "
        "that did best on hard vertical stripes. Methods that need a direction are given that of "
        f"these stripes. Measured {clean['date']}.",
        damage(clean["rows"]),
        "## Memory",
        "Peak resident memory of a process that does nothing else, above what it held before, as "
        "the system counts it. The unit is the image in float32; the image has three waves in "
        f"{memory['size']}×{memory['size']} pixels.",
        table(
            ["method", "images"],
            (
                [name, row.get("failed") or f"{row['images']:.1f}"]
                for name, row in memory["rows"].items()
            ),
        ),
        "## Sweeps: one parameter varied",
        "Median and quartiles of the noise rejection in dB, for the middle 256×256 pixels of "
        f"{', '.join(sweeps['images'])}, with one wave, two, three, and one. Images larger than "
        "512×512 are enlargements of the first two. If the frequency is varied, there is always "
        "one wave. The waves together have an amplitude of 0.2 of the specimen's range; their "
        "frequencies are 0.02 to 0.35 cycles/pixel. In saturated images, only pixels that are "
        f"not saturated count. Measured {sweeps['date']}.",
        figure("bench_sweeps.png"),
        *(
            f"### {title[0].upper()}{title[1:]}\n\n{sweep(sweeps['units'][title], points)}"
            for title, points in sweeps["rows"].items()
        ),
        "Points at which another method's median is better than this package's:",
        listed(sweep_points_lost(results)),
        figure("bench_seconds.png"),
    ]
    return "\n\n".join(parts) + "\n"


def figure(name: str) -> str:
    """Markdown of a figure."""
    return f"![{FIGURES[name]}](images/{name})"
