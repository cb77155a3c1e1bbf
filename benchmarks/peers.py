"""Comparison of this package with other methods, on the same arrays.

It measures noise rejection, damage to clean images, seconds, and memory.

``python -m benchmarks.peers [PART...]`` runs in the environment that ``make peers`` creates. It
writes ``benchmarks/results/peers.json``, all parts or the named ones.
``python -m benchmarks.peers --quick`` needs only the package and writes nothing. It fails if the
package does not remove each kind of noise better than the baselines that are written here.

Each method runs in a separate process, so that a crash affects no other method. Times are
processor times, summed over threads, with one process at a time. Settings are chosen by the true
result: for a kind of noise the best on every other image, for a point of a sweep the best in the
middle of its first image.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.families import (
    BUNDLED,
    CLEAN_ONLY,
    FAMILIES,
    cases,
    clean_image,
    rejection,
)
from benchmarks.field import METHODS, ORACLE, OURS, OWN, Method
from benchmarks.ground_truth import Case, GroundTruth, ground_truth
from benchmarks.speed import memory_above
from benchmarks.sweeps import IMAGES as SWEEP_IMAGES
from benchmarks.sweeps import SIZE, SIZES, SWEEPS

RESULTS = Path(__file__).parent / "results" / "peers.json"
IMAGES = ("camera", "cell", "retina", "brick", "coins", "immunohistochemistry", "page", "moon")
GAUSSIAN_IMAGES = IMAGES[::2]
QUICK_IMAGES = ("camera", "coins")
SEEDS = 1
SIGMA = 0.02  # of Gaussian noise
STRIPES = "hard vertical stripes"
PATIENCE = 20  # seconds that a case of a sweep may take
PARTS = ("families", "gaussian", "clean", "memory", "sweeps")
BIG = 1024  # pixels a side of the image for the measurement of memory

Row = dict[str, Any]


class Worker:
    """A process that measures one method."""

    def __init__(self, name: str, method: Method) -> None:
        self.name = name
        self.method = method
        self._pool: ProcessPoolExecutor | None = None

    def call(self, function: Any, *arguments: Any) -> Any:  # noqa: ANN401
        """Call a function there, with the method and arguments."""
        if self._pool is None:
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, mp_context=spawn)
        try:
            return self._pool.submit(function, self.method, *arguments).result()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the process."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pool = None


def one_case(method: Method, setting: object, case: Case) -> tuple[float, float]:
    """Rejection of a case's noise by a method, and its seconds."""
    begun = time.process_time()
    noise = method.noise(case.image, case.truth, setting)
    seconds = time.process_time() - begun
    return rejection(noise[case.counts], case.truth.noise[case.counts]), seconds


def one_clean(method: Method, setting: object, image: np.ndarray) -> float | None:
    """PSNR in dB of a clean image after cleaning; None if it is unchanged."""
    upright = GroundTruth((0.0,), np.zeros(image.shape))
    noise = method.noise(image, upright, setting)
    error = float(np.mean((noise - noise.mean()) ** 2))
    return None if error == 0 else round(10 * math.log10(255**2 / error), 2)


def one_memory(method: Method, setting: object, case: Case) -> float:
    """Peak memory of a method above what it held before, in images of float32."""
    method.noise(middle(case).image, middle(case).truth, setting)  # loads libraries
    held = memory_above(lambda: method.noise(case.image, case.truth, setting))
    return held / (4 * case.image.size)


def middle(case: Case) -> Case:
    """Cut out the middle of a case."""
    part = tuple(slice(max(0, (n - SIZE) // 2), (n + SIZE) // 2) for n in case.image.shape)
    counts = case.counts[part] if isinstance(case.counts, np.ndarray) else case.counts
    return Case(
        case.image[part], GroundTruth(case.truth.directions, case.truth.noise[part]), counts
    )


def best(worker: Worker, settings: Iterable[Any], data: Sequence[Case]) -> Row:
    """Measure a method with each setting, and return the best row by the true result.

    Settings that fail are left out, unless all of them fail.
    """
    rows, failure = [], None
    for setting in settings:
        try:
            results = [worker.call(one_case, setting, case) for case in data]
        except Exception as error:  # any error of a peer is its result
            failure = error
            continue
        values, seconds = zip(*results, strict=True)
        rows.append(
            {
                "setting": setting,
                "rejection": [round(value, 2) for value in values],
                "seconds": [round(value, 3) for value in seconds],
            }
        )
    if failure and not rows:
        raise failure
    return max(rows, key=lambda row: float(np.mean(row["rejection"])))


def tuned(worker: Worker, examples: Sequence[Case], data: Sequence[Case]) -> Row:
    """Measure a method with the setting that does best on examples."""
    settings = worker.method.settings
    if len(settings) > 1:
        settings = (best(worker, settings, examples)["setting"],)
    return best(worker, settings, data)


def attempt(function: Any, *arguments: Any) -> Row:  # noqa: ANN401
    """Return a row, or a row with the reason for the failure."""
    try:
        return function(*arguments)  # type: ignore[no-any-return]
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}


def families(workers: dict[str, Worker], images: tuple[str, ...]) -> Row:
    """Noise rejection for each kind of noise, with the settings best on every other image."""
    rows = {}
    for family in FAMILIES:
        data = noisy_images(family, images, 0.0)
        rows[family] = {
            name: attempt(tuned, worker, data[::2], data) for name, worker in workers.items()
        }
        say(family, rows[family])
    return {"images": images, "seeds": SEEDS, "rows": rows}


def gaussian(workers: dict[str, Worker], families: dict[str, Row]) -> Row:
    """Noise rejection for each kind of noise with Gaussian noise, settings as without."""
    rows = {}
    for family, plain in families.items():
        data = noisy_images(family, GAUSSIAN_IMAGES, SIGMA)
        rows[family] = {
            name: attempt(best, worker, [plain[name]["setting"]], data)
            if "setting" in plain[name]
            else plain[name]
            for name, worker in workers.items()
        }
        say(f"{family}, σ = {SIGMA}", rows[family])
    return {"images": GAUSSIAN_IMAGES, "seeds": SEEDS, "rows": rows}


def noisy_images(family: str, images: tuple[str, ...], sigma: float) -> list[Case]:
    """Cases of a kind of noise."""
    drawn = cases(family, images, SEEDS, sigma)
    return [Case(image, ground_truth(noise)) for _, _, image, noise in drawn]


def clean(workers: dict[str, Worker], settings: dict[str, Any]) -> Row:
    """Damage to clean images, with the settings that are best for stripes."""
    names = (*BUNDLED, *CLEAN_ONLY)
    data = [np.rint(255 * clean_image(name)).astype(np.uint8) for name in names]

    def row(worker: Worker) -> Row:
        values = [worker.call(one_clean, settings[worker.name], image) for image in data]
        return {"setting": settings[worker.name], "psnr": values}

    found = {name: attempt(row, worker) for name, worker in workers.items() if name != ORACLE}
    return {"images": names, "rows": found}


def memory(workers: dict[str, Worker], settings: dict[str, Any]) -> Row:
    """Peak memory for waves in a large image."""
    case = SIZES.case(BIG, "camera", 3, np.random.default_rng(0))

    def row(worker: Worker) -> Row:
        worker.close()  # a fresh process: reused memory would not be counted
        held = worker.call(one_memory, settings[worker.name], case)
        return {"setting": settings[worker.name], "images": round(held, 1)}

    return {
        "size": BIG,
        "rows": {name: attempt(row, worker) for name, worker in workers.items()},
    }


def sweeps(workers: dict[str, Worker]) -> Row:
    """Noise rejection at each point of each sweep."""
    rows: dict[str, Row] = {}
    for title, sweep in SWEEPS.items():
        rows[title] = {}
        left_out: dict[str, Row] = {}
        for point, following in zip(sweep.points, (*sweep.points[1:], None), strict=True):
            data = list(sweep.cases(point))
            found = {
                name: left_out.get(name) or attempt(tuned, worker, [middle(data[0])], data)
                for name, worker in workers.items()
            }
            if sweep is SIZES and following:
                growth = (following / point) ** 2
                left_out |= {
                    name: {"failed": f"left out: over {PATIENCE} s"}
                    for name, row in found.items()
                    if growth * max(row.get("seconds", [0])) > PATIENCE and name != OURS
                }
            rows[title][f"{point:g}"] = found
            say(f"{title}: {point:g} {sweep.unit}", found)
    units = {title: sweep.unit for title, sweep in SWEEPS.items()}
    return {"images": SWEEP_IMAGES, "units": units, "rows": rows}


def say(what: str, rows: dict[str, Row]) -> None:
    """Print mean rejection, or the reason for a failure, and seconds of each method."""
    print(what)
    for name, row in rows.items():
        if "failed" in row:
            print(f"  {name}: {row['failed']}")
        else:
            mean, least = np.mean(row["rejection"]), min(row["rejection"])
            seconds, setting = np.median(row["seconds"]), row["setting"]
            print(f"  {name}: {mean:.1f} / {least:.1f} dB, {seconds:.2f} s, setting {setting}")
    sys.stdout.flush()


def machine() -> str:
    """Description of the machine."""
    import torch

    cores = os.cpu_count()
    gpu = "a GPU that is not used" if torch.cuda.is_available() else "no GPU"
    return f"{cores} cores of an {platform.machine()} computer with {platform.system()}, {gpu}"


def versions(methods: dict[str, Method]) -> dict[str, str]:
    """Versions of methods and of their main dependencies."""
    packages = {method.package for method in methods.values()} | {"numpy", "scipy", "torch"}
    found = {"python": platform.python_version()}
    for package in sorted(filter(None, packages)):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def described(methods: dict[str, Method]) -> Row:
    """Machine, versions and methods, for the results."""
    return {
        "machine": machine(),
        "versions": versions(methods),
        "methods": {
            name: {"package": method.package, "given": method.given, "setting": method.setting}
            for name, method in methods.items()
        },
    }


def written(tree: Row, indent: str = "") -> str:
    """JSON text with one line per row."""
    if not any(isinstance(value, dict) for value in tree.values()):
        return json.dumps(tree, ensure_ascii=False)
    lines = (
        f"{indent} {json.dumps(key, ensure_ascii=False)}: "
        + (
            written(value, indent + " ")
            if isinstance(value, dict)
            else json.dumps(value, ensure_ascii=False)
        )
        for key, value in tree.items()
    )
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def quick(workers: dict[str, Worker]) -> bool:
    """Return whether the package is ahead on all kinds of noise, on a few images."""
    met = True
    for family, found in families(workers, QUICK_IMAGES)["rows"].items():
        means = {name: np.mean(row.get("rejection", [np.nan])) for name, row in found.items()}
        if not means[OURS] > max(mean for name, mean in means.items() if name != OURS):
            print(f"{family}: not ahead")
            met = False
    return met


def main() -> int:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="all by default")
    parser.add_argument("--quick", action="store_true", help="only the baselines")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that are started
    chosen = OWN if options.quick else METHODS
    workers = {name: Worker(name, METHODS[name]) for name in chosen}
    try:
        if options.quick:
            return int(not quick(workers))
        measure(workers, options.parts or PARTS)
    finally:
        for worker in workers.values():
            worker.close()
    return 0


def load(path: Path = RESULTS) -> Row:
    """Read the results."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def measure(workers: dict[str, Worker], parts: Iterable[str]) -> None:
    """Measure parts, and write each when it is finished."""
    for part in parts:
        if part == "families":
            found = families(workers, IMAGES)
        elif part == "gaussian":
            found = gaussian(workers, load()["families"]["rows"])
        elif part == "sweeps":
            found = sweeps(workers)
        else:
            stripes = load()["families"]["rows"][STRIPES]
            settings = {name: row.get("setting") for name, row in stripes.items()}
            found = {"clean": clean, "memory": memory}[part](workers, settings)
        date = datetime.datetime.now(datetime.UTC).date().isoformat()
        results = load() | described(METHODS) | {part: {"date": date, **found}}
        RESULTS.write_text(written(results) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
