"""Comparison of this package with other methods on noise of rows and columns, on the same arrays.

``python -m benchmarks.line_peers`` runs in the environment that ``make peers`` creates, and writes
``benchmarks/results/lines.json``. The images and the noise are those of `benchmarks.lines`. Each
method has the setting that does best by the true result, on average over the images of a kind of
noise. A slow method has the one that does best in the middle of every other image, where there is
noise.
"""

from __future__ import annotations

import argparse
import datetime
import os

import numpy as np

from benchmarks.field import LINE_METHODS, SLOW
from benchmarks.lines import FAMILIES, IMAGES, SIGMA, drawn
from benchmarks.peers import (
    RESULTS,
    Row,
    Worker,
    attempt,
    best,
    described,
    middle,
    say,
    tuned,
    written,
)

LINES = RESULTS.with_name("lines.json")


def compared(worker: Worker, family: str) -> Row:
    """Noise rejection of a method on a kind of noise, with its best setting."""
    data = [drawn(family, name, 0) for name in IMAGES]
    if worker.name in SLOW:
        middles = map(middle, data[::2])
        return tuned(worker, [case for case in middles if np.ptp(case.truth.noise)], data)
    return best(worker, worker.method.settings, data)


def write(rows: Row) -> None:
    """Write the results so far."""
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    found = {"date": date, "images": IMAGES, "sigma": SIGMA, "rows": rows}
    LINES.write_text(written(described(LINE_METHODS) | found) + "\n", encoding="utf-8")


def main() -> None:
    """Measure, and write the results."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that are started
    workers = {name: Worker(name, method) for name, method in LINE_METHODS.items()}
    rows: Row = {}
    try:
        for family, (_, directions) in FAMILIES.items():
            if directions:  # of lines, which the other methods need
                rows[family] = {
                    name: attempt(compared, worker, family) for name, worker in workers.items()
                }
                say(family, rows[family])
                write(rows)
    finally:
        for worker in workers.values():
            worker.close()


if __name__ == "__main__":
    main()
