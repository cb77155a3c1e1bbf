"""Time and memory of one estimate, in units of the image.

``python -m benchmarks.speed [--size N] [--check]``
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.fft
import scipy.ndimage
import torch

from benchmarks.families import bundled, corrupt, four_sinusoids
from napari_periodic_denoise import estimate_noise

MOST_ROUND_TRIPS = 100
MOST_IMAGES_OF_MEMORY = 10


def seconds(function: Callable[[], object], runs: int) -> float:
    """Return the median time of a call."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def memory_above(function: Callable[[], object]) -> int:
    """Return the most bytes that a call held above what was held before; on Linux."""

    def status(name: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))

    Path("/proc/self/clear_refs").write_text("5")  # sets the peak to what is held now
    before = status("VmRSS")
    function()
    return status("VmHWM") - before


def main() -> int:
    """Print time in FFT round trips and peak memory in float32 images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--check", action="store_true", help="exit with 1 over the bounds")
    options = parser.parse_args()
    size = options.size
    torch.set_num_threads(2)

    rng = np.random.default_rng(0)
    clean = np.clip(scipy.ndimage.zoom(bundled("camera"), size / 512, order=1), 0, 1)
    image = corrupt(clean, four_sinusoids(rng, clean.shape), rng)
    reference = image.astype(np.float32)

    estimate_noise(image[:256, :256])  # libraries are loaded and threads started
    memory = memory_above(lambda: estimate_noise(image)) / reference.nbytes

    def round_trip() -> None:
        with scipy.fft.set_workers(2):
            scipy.fft.irfft2(scipy.fft.rfft2(reference), s=reference.shape)

    # in turns, as the machine's speed drifts
    ratios = [seconds(lambda: estimate_noise(image), 1) / seconds(round_trip, 5) for _ in range(9)]
    ratio = statistics.median(ratios)
    print(f"{size}×{size}, four waves: {estimate_noise(image).summary}")
    print(
        f"time: {ratio:.0f} FFT round trips (median of 9, {min(ratios):.0f} to {max(ratios):.0f})"
    )
    print(f"peak extra memory: {memory:.1f} float32 images")
    over = ratio > MOST_ROUND_TRIPS or memory > MOST_IMAGES_OF_MEMORY
    return int(options.check and over)


if __name__ == "__main__":
    sys.exit(main())
