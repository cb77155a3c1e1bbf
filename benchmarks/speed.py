"""Time and memory of one estimate, in units of the image.

``python -m benchmarks.speed [--size N] [--check] [--margin M]``
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.fft
import scipy.ndimage
import torch

from benchmarks.families import Array, bundled, corrupt, four_sinusoids
from napari_periodic_denoise import estimate_noise

MOST_ROUND_TRIPS = {"clean": 15, "four waves": 100, "lattice of 24": 300}
MOST_IMAGES_OF_MEMORY = 10


def lattice(rng: np.random.Generator, clean: Array) -> Array:
    """Waves at 24 integer combinations of two frequencies."""
    y, x = np.ogrid[: clean.shape[0], : clean.shape[1]]
    noise = np.zeros(clean.shape)
    for a, b in itertools.product(range(-3, 4), repeat=2):
        if (a, b) > (0, 0):
            turns = a * (0.031 * y + 0.047 * x) + b * (0.052 * y - 0.034 * x) + rng.uniform()
            noise += 0.1 / (a * a + b * b) * np.cos(2 * np.pi * turns)
    return noise


def seconds(function: Callable[[], object], runs: int) -> float:
    """Return the median time of a call."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def memory_above(function: Callable[[], object]) -> int:
    """Return the peak memory of a call in bytes above what was held before; on Linux only."""

    def status(name: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))

    Path("/proc/self/clear_refs").write_text("5")  # resets the peak to the current value
    before = status("VmRSS")
    function()
    return status("VmHWM") - before


def main() -> int:
    """Print time in FFT round trips and peak memory in float32 images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bound is exceeded")
    parser.add_argument("--margin", type=float, default=1.0, help="factor on the bounds in time")
    options = parser.parse_args()
    size = options.size
    torch.set_num_threads(2)

    clean = np.clip(scipy.ndimage.zoom(bundled("camera"), size / 512, order=1), 0, 1)
    reference = corrupt(clean, np.zeros_like(clean), np.random.default_rng(0)).astype(np.float32)

    def round_trip() -> None:
        with scipy.fft.set_workers(2):
            scipy.fft.irfft2(scipy.fft.rfft2(reference), s=reference.shape)

    kinds = {
        "clean": lambda rng, c: np.zeros_like(c),
        "four waves": four_sinusoids,
        "lattice of 24": lattice,
    }
    met = True
    print(f"{size}×{size} pixels, 8 bits, two threads\n")
    print("| noise | FFT round trips, median | (least to most) | bound | extra memory, images |")
    print("|---|---|---|---|---|")
    for name, noise in kinds.items():
        rng = np.random.default_rng(0)
        image = corrupt(clean, noise(rng, clean), rng)

        estimate_noise(image[:256, :256])  # loads libraries and starts threads
        memory = memory_above(lambda image=image: estimate_noise(image)) / reference.nbytes
        # alternating, since the machine's speed drifts
        ratios = [
            seconds(lambda image=image: estimate_noise(image), 1) / seconds(round_trip, 5)
            for _ in range(options.runs)
        ]
        ratio, most = statistics.median(ratios), MOST_ROUND_TRIPS[name]
        met &= ratio <= options.margin * most and memory <= MOST_IMAGES_OF_MEMORY
        print(
            f"| {name} | {ratio:.0f} | {min(ratios):.0f} to {max(ratios):.0f} | {most} "
            f"| {memory:.1f} |",
            flush=True,
        )
    return int(options.check and not met)


if __name__ == "__main__":
    sys.exit(main())
