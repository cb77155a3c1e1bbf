"""Cost and sensitivity of one model for all planes; growth of an estimate with image size.

``python -m benchmarks.shared [--check] [--margin M]``
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import scipy.fft
import scipy.ndimage
import torch
from numpy.typing import NDArray

from benchmarks.families import bundled, rejection
from napari_periodic_denoise import clean_stack, estimate_noise
from napari_periodic_denoise.noise.stack_model import SharedModel
from napari_periodic_denoise.stacks.planes import clean_plane

MOST_A_FURTHER_PLANE = 6  # FFT round trips
MOST_AT_4096 = 20
MOST_GROWTH = 1.3  # relative to 16 times, from 1024² to 4096²
LEAST_WEAK = 5  # dB
FREQUENCIES = ((0.113, 0.171), (0.05, -0.02), (0.2, 0.01), (0.31, 0.22))
PLANES = 32

Array = NDArray[np.float64]


def specimen(number: int, size: int) -> Array:
    """A photograph, shifted differently in each plane, in grey levels."""
    clean = np.clip(scipy.ndimage.zoom(bundled("camera"), size / 512, order=1), 0, 1)
    rng = np.random.default_rng([number, 1])
    return 255 * (0.6 * np.roll(clean, rng.integers(0, size, 2), (0, 1)) + 0.2)


def waves(number: int, size: int, amplitude: float, count: int) -> Array:
    """Waves with the same frequencies and different phases in each plane."""
    y, x = np.ogrid[:size, :size]
    noise = np.zeros((size, size))
    for i, (fy, fx) in enumerate(FREQUENCIES[:count]):
        noise += amplitude * np.cos(2 * np.pi * (fy * y + fx * x) + 2.4 * number + i)
    return noise


def plane(number: int, size: int, amplitude: float, count: int, sigma: float) -> Array:
    """A plane with waves and Gaussian noise, in grey levels."""
    noise = np.random.default_rng([number, 2]).normal(0, sigma, (size, size))
    return specimen(number, size) + waves(number, size, amplitude, count) + noise


def turns(function: Callable[[], object], image: Array, runs: int) -> tuple[float, float]:
    """Return the median time of a call in FFT round trips of an image, and in seconds."""
    reference = image.astype(np.float32)

    def round_trip() -> None:
        with scipy.fft.set_workers(2):
            scipy.fft.irfft2(scipy.fft.rfft2(reference), s=reference.shape)

    def seconds(call: Callable[[], object]) -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    function()
    # alternating, since the machine's speed drifts
    times = [
        (seconds(function), statistics.median(seconds(round_trip) for _ in range(5)))
        for _ in range(runs)
    ]
    ratio = statistics.median(own / trip for own, trip in times)
    return ratio, statistics.median(own for own, _ in times)


def further_planes(margin: float) -> bool:
    """Print the cost of a plane whose waves are known; return whether the bound is met."""
    print("A further plane of 1024×1024 pixels, 16 bits, two threads\n")
    print("| waves | FFT round trips | bound | rejection | rejection of a single plane |")
    print("|---|---|---|---|---|")
    met = True
    for count in (1, 4):
        stack = [plane(i, 1024, 7.0, count, 2.0) for i in range(8)]
        planes = [np.clip(np.rint(256 * image), 0, 65535).astype(np.uint16) for image in stack]
        model: SharedModel | None = clean_stack(np.stack(planes), model="shared").model
        ratio, _ = turns(lambda m=model, p=planes: clean_plane(p[3], 3, model=m), stack[3], 9)
        truth = 256 * waves(3, 1024, 7.0, count)
        shared = rejection(clean_plane(planes[3], 3, model=model).noise, truth)
        alone = rejection(estimate_noise(planes[3]).noise, truth)
        met &= ratio <= margin * MOST_A_FURTHER_PLANE
        print(
            f"| {count} | {ratio:.1f} | {MOST_A_FURTHER_PLANE} | {shared:.1f} dB "
            f"| {alone:.1f} dB |",
            flush=True,
        )
    return met


def weak_noise() -> bool:
    """Print which waves one plane shows, and many; return whether many show half as weak ones."""
    print(
        f"\nA weak wave in {PLANES} planes of 512×512 pixels, Gaussian σ = 5 grey levels, float\n"
    )
    print("| amplitude, grey levels | found in single planes | found by the model | rejection |")
    print("|---|---|---|---|")
    found = {}
    for amplitude in (0.125, 0.25, 0.375, 0.5, 0.75):
        planes = [plane(i, 512, amplitude, 1, 5.0) for i in range(PLANES)]
        alone = sum(bool(estimate_noise(image).waves) for image in planes[:8])
        result = clean_stack(np.stack(planes), model="shared")
        gains = [
            rejection(noise, waves(i, 512, amplitude, 1)) for i, noise in enumerate(result.noise)
        ]
        found[amplitude] = alone, float(np.median(gains))
        seen = "yes" if len(result.model.frequencies[0]) else "no"
        print(f"| {amplitude} | {alone} of 8 | {seen} | {np.median(gains):.1f} dB |", flush=True)
    reveals = min((a for a, (alone, _) in found.items() if alone == 8), default=max(found))
    return max(gain for a, (_, gain) in found.items() if a <= reveals / 2) >= LEAST_WEAK


def growth(margin: float) -> bool:
    """Print how the time of an estimate grows with the image; return whether bounds are met."""
    print("\nOne wave in images of increasing size, 8 bits, two threads\n")
    print("| pixels | FFT round trips | seconds |\n|---|---|---|")
    times = {}
    for size in (1024, 2048, 4096):
        image = np.clip(np.rint(plane(0, size, 15.0, 1, 0.0)), 0, 255).astype(np.uint8)
        times[size] = turns(lambda image=image: estimate_noise(image), image, 5)
        print(f"| {size}×{size} | {times[size][0]:.1f} | {times[size][1]:.2f} |", flush=True)
    (_, small), (ratio, large) = times[1024], times[4096]
    print(f"\n4096² takes {large / (16 * small):.2f} times 16 times as long as 1024²")
    return ratio <= margin * MOST_AT_4096 and large / (16 * small) <= margin * MOST_GROWTH


def main() -> int:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 over the bounds")
    parser.add_argument("--margin", type=float, default=1.0, help="of the bounds in time")
    options = parser.parse_args()
    torch.set_num_threads(2)
    met = further_planes(options.margin)
    met &= weak_noise()
    met &= growth(options.margin)
    return int(options.check and not met)


if __name__ == "__main__":
    sys.exit(main())
