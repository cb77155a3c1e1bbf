"""Markdown of what ``benchmarks.peers`` measured: the README's block, and a page of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.families import FAMILIES
from benchmarks.field import ORACLE, OURS
from benchmarks.peers import PARTS, SIGMA, Row

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
ADDRESS = "https://github.com/napari-periodic-denoise/napari-periodic-denoise/blob/main/docs/benchmarks.md"
FIGURES = {
    "bench_families.png": "Rejection of all cases of all kinds of noise, sorted method by method",
    "bench_sweeps.png": "Rejection where one thing changes: medians and quartiles",
    "bench_seconds.png": "Seconds of the processor by size of the image: medians and quartiles",
}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def mean(row: Row) -> float:
    """Mean rejection; of what failed, nothing is less."""
    return float(np.mean(row["rejection"])) if "rejection" in row else -np.inf


def seconds(row: Row) -> float:
    """Median seconds."""
    return float(np.median(row["seconds"]))


def decibels(row: Row) -> str:
    """Mean and worst, or why there is neither."""
    if "failed" in row:
        return f"failed: {row['failed']}"
    return f"{mean(row):.1f}, {min(row['rejection']):.1f}"


def best_other(rows: Row) -> str:
    """Name of the method, told the truth's spectrum or not, that does best after this package."""
    others = {name: row for name, row in rows.items() if name not in (OURS, ORACLE)}
    return max(others, key=lambda name: mean(others[name]))


def compared(rows: Row) -> tuple[str, str]:
    """Cells of this package and of the best other method, which say what that does better."""
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
    """What a kind of noise is."""
    return (FAMILIES[family].__doc__ or family).splitlines()[0].rstrip(".")


def kinds_of_noise(results: Row) -> Iterator[tuple[str, Row, Row]]:
    """Yield what is meant by each kind of noise, its rows, and the part that these are of."""
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
    """By how much this package is ahead of a method, by default the best, at least, and where."""
    return min(
        (mean(rows[OURS]) - mean(rows[name or best_other(rows)]), kind)
        for kind, rows, _ in kinds_of_noise(results)
    )


def readme_block(results: Row) -> str:
    """What the README says of this package beside others."""
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
            f"to 8 bits; the clean images are {len(plain['images'])} of the photographs and "
            "micrographs that scikit-image bundles, at most 512×512, with one random draw of "
            "each kind of noise. Noise rejection is how far the error of the noise estimate lies "
            "below the noise: 0 dB is doing nothing, 40 dB leaves a hundredth of the amplitude. "
            "Other methods get the same arrays in the same run, the true directions of the noise "
            "where they need any, and the settings with which they do best; the best of them is "
            "shown. Each cell has the mean, the worst image, and the median time of one "
            "processor.",
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
            f"the others by {abs(ahead_of_others):.1f} dB at least ({where_of_others}), and "
            f"{is_ahead(ahead)} a notch filter that is told the true spectrum of the noise by "
            f"{abs(ahead):.1f} dB at least ({where}). Of {tried} cases, {counted(lost)} came out "
            f"better with any of these. Of {points} points at which amplitude, frequency, number "
            "of waves, random noise, saturation or size is varied, another method has the better "
            f"median at {counted(points_lost)}. Of {len(clean['images'])} clean images this "
            f"package changes {changed[OURS]}; the others: {others}.",
            f"Measured {plain['date']} on {results['machine']}. [All methods, settings and "
            "versions, and what happens when noise gets weaker, slower or more complicated]"
            f"({ADDRESS}).",
        ]
    )


def counted(lines: list[str]) -> str:
    """How many there are, and which."""
    return f"{len(lines)} ({'; '.join(lines)})" if lines else "none"


def is_ahead(decibels: float) -> str:
    """Words for a lead that may be none."""
    return "is ahead of" if decibels > 0 else "is **behind**"


def setting(row: Row) -> str:
    """Cell of a setting."""
    return "" if row.get("setting") is None else f"; {row['setting']}"


def all_methods(kinds: Row) -> str:
    """Table of all methods on all kinds of noise, with the settings that did best."""
    methods = list(next(iter(kinds.values())))
    return table(
        ["noise", *methods],
        (
            [family, *(decibels(rows[name]) + setting(rows[name]) for name in methods)]
            for family, rows in kinds.items()
        ),
    )


def all_seconds(kinds: Row) -> str:
    """Table of all methods' median seconds on all kinds of noise."""
    methods = list(next(iter(kinds.values())))
    return table(
        ["noise", *methods],
        (
            [family, *(f"{seconds(r):.2f}" if "seconds" in r else "–" for r in rows.values())]
            for family, rows in kinds.items()
        ),
    )


def told(results: Row) -> str:
    """Table of the methods."""
    versions = results["versions"]
    return table(
        ["method", "version", "what it is told of the truth", "what is set by the true result"],
        (
            [
                name,
                versions.get(method["package"], "written here"),
                method["told"],
                method["setting"],
            ]
            for name, method in results["methods"].items()
        ),
    )


def damage(rows: Row) -> str:
    """Table of what is done to clean images."""

    def cells(row: Row) -> list[str]:
        if "failed" in row:
            return [f"failed: {row['failed']}", "", ""]
        changed = sorted(value for value in row["psnr"] if value is not None)
        if not changed:
            return ["0", "–", "–"]
        return [str(len(changed)), f"{changed[0]:.1f}", f"{np.median(changed):.1f}"]

    return table(
        ["method", "images changed", "least PSNR, dB", "median PSNR of those, dB"],
        ([name, *cells(row)] for name, row in rows.items()),
    )


def sweep(unit: str, points: Row) -> str:
    """Table of a sweep: median, and lower and upper quartile."""
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
    """Markdown list, or that there is nothing."""
    return "\n".join(f"- {line}" for line in lines) or "- None."


def page(results: Row) -> str:
    """The page of all that was measured."""
    families, gaussian, clean, memory, sweeps = (results[part] for part in PARTS)
    parts = [
        "# This package beside others",
        "Made by `python -m benchmarks.figures` from `benchmarks/results/peers.json`, which "
        "`make peers` and `.venv-peers/bin/python -m benchmarks.peers` measure anew. "
        f"Measured {families['date']} on {results['machine']}, one thread.",
        "All methods get the same arrays in the same run. Methods that know one direction of "
        "stripes are told the true directions, up to four: the image is turned until the stripes "
        "are upright, filtered, and the noise turned back, for one direction after the other. "
        "Of a method's settings that one is taken with which it does best by the true result, on "
        "average over every other image of a kind of noise (without Gaussian noise), or in the "
        "middle 256×256 pixels of the first image of a sweep's point. This package and the "
        "spectral outliers (Sur & Grédiac 2015) have one setting, and are told nothing. Algotom's "
        "other filters (sorting, filtering, fitting, normalization...) were tried first on three "
        "kinds of noise in two images, and did no better than the best of those shown. Seconds "
        "are the processor's, all threads added up, and like the memory they include what it "
        "takes to turn an image.",
        told(results),
        "## Kinds of noise",
        f"Noise rejection in dB, mean and worst of {len(families['images'])} images "
        f"({', '.join(families['images'])}), one random draw of each kind of noise; then the "
        "setting. 8 bits.",
        all_methods(families["rows"]),
        f"With Gaussian noise of σ = {SIGMA} of the range, and the settings as without; "
        f"{', '.join(gaussian['images'])}:",
        all_methods(gaussian["rows"]),
        "Cases in which another method did better than this package:",
        listed(cases_lost(results)),
        figure("bench_families.png"),
        "Median seconds, without Gaussian noise:",
        all_seconds(families["rows"]),
        "## Clean images",
        f"What is done to {len(clean['images'])} images without periodic noise, by the settings "
        "that did best on hard vertical stripes; those that need a direction are told that one. "
        f"{clean['date']}.",
        damage(clean["rows"]),
        "## Memory",
        f"Most memory held above what was held before, by a process that does nothing else, in "
        f"images of float32; three waves in {memory['size']}×{memory['size']} pixels. The peak of "
        "the process' resident memory, as the system counts it.",
        table(
            ["method", "images"],
            (
                [name, row.get("failed") or f"{row['images']:.1f}"]
                for name, row in memory["rows"].items()
            ),
        ),
        "## What happens when...",
        "Median noise rejection in dB, and quartiles, of the middle 256×256 pixels of "
        f"{', '.join(sweeps['images'])}, with one wave, two, three, and one. Where images are "
        "larger than 512×512, of the first two, enlarged; where the frequency changes, always "
        "with one wave. Together they have an amplitude of 0.2 of the specimen's range, "
        "frequencies are 0.02 to 0.35 cycles/pixel. Of saturated images, pixels that are not "
        f"saturated count. {sweeps['date']}.",
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
