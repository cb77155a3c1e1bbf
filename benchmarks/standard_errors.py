"""Whether standard errors are true: how often the truth lies within two of them.

``python -m benchmarks.standard_errors [--cases N] [--check]``
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray

from benchmarks.families import Array, bundled
from benchmarks.weak import rounded
from benchmarks.weak import specimen as shapes
from napari_periodic_denoise import Wave, estimate_noise

SPECIMENS = {
    "photograph": ("camera", "astronaut", "chelsea", "coffee", "moon", "rocket"),
    "micrograph": ("cell", "immunohistochemistry", "retina"),
    "made cells": ("disks", "blobs"),
    "none": ("none",),
}
QUANTITIES = ("amplitude", "phase", "frequency y", "frequency x")
SIZES = 256, 512  # pixels a side
SIGMAS = 0.004, 0.04  # of the range
AMPLITUDES = 0.006, 0.1  # of the range
LEVELS = 0.6  # of the range that the specimen fills
MOST = 4  # waves at once
WITHIN = 0.90, 0.99  # share of cases within two standard errors; 95.4% of a normal law


def main() -> int:
    """Print the coverage of each kind of specimen; with ``--check`` fail outside the bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=500, help="images")
    parser.add_argument("--check", action="store_true", help="exit with 1 outside the bounds")
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    one = {"initializer": torch.set_num_threads, "initargs": (1,)}
    kinds = list(SPECIMENS)
    with ProcessPoolExecutor(mp_context=spawn, **one) as pool:
        noisy = [(kinds[i % len(kinds)], i, True) for i in range(options.cases)]
        exact = [(kinds[i % len(kinds)], i, False) for i in range(options.cases // 5)]
        scores = list(pool.map(in_errors, noisy, chunksize=4))
        without = list(pool.map(in_errors, exact, chunksize=4))
    print(f"Truth within two standard errors, {options.cases} images of {SIZES} pixels a side\n")
    print(f"| specimen | waves | found | {' | '.join(QUANTITIES)} |")
    print("|---" * (3 + len(QUANTITIES)) + "|")
    for kind in kinds:
        row(kind, [s for s, case in zip(scores, noisy, strict=True) if case[0] == kind])
    shares = row("all", scores)
    for kind in kinds:
        values = [s for s, case in zip(without, exact, strict=True) if case[0] == kind]
        row(f"{kind}, no random noise, 8 bits", values)
    met = bool(((shares >= WITHIN[0]) & (shares <= WITHIN[1])).all())
    print(f"\nBounds for all: {WITHIN[0]:.0%} to {WITHIN[1]:.0%}. {'Met' if met else 'Missed'}.")
    return int(options.check and not met)


def row(name: str, scores: list[Array]) -> Array:
    """Print and return the shares of found waves within two standard errors."""
    errors = np.concatenate(scores)
    found = np.isfinite(errors).all(1)
    shares: Array = (np.abs(errors[found]) < 2).mean(0)
    cells = " | ".join(f"{share:.1%}" for share in shares)
    print(f"| {name} | {len(errors)} | {found.sum()} | {cells} |", flush=True)
    return shares


def in_errors(case: tuple[str, int, bool]) -> Array:
    """Deviations from the truth in standard errors, shape (K, 4); NaN for waves not found."""
    kind, number, noisy = case
    rng = np.random.default_rng([number, int(noisy)])
    image = LEVELS * clean(rng, kind) + (1 - LEVELS) / 2
    truths = [wave(rng) for _ in range(rng.integers(1, MOST + 1))]
    y, x = np.ogrid[: image.shape[0], : image.shape[1]]
    for truth in truths:
        fy, fx = truth.frequency
        image += truth.amplitude / 255 * np.cos(2 * np.pi * (fy * y + fx * x) + truth.phase)
    if noisy:
        image += rng.normal(0, np.exp(rng.uniform(*np.log(SIGMAS))), image.shape)
    pixels: NDArray[np.number] = (255 * image).astype(np.float32)
    if number % 2 or not noisy:
        pixels = rounded(255 * image)
    waves = estimate_noise(pixels, remainder="none").waves
    return np.array([deviations(truth, waves, image.shape) for truth in truths])


def wave(rng: np.random.Generator) -> Wave:
    """Wave of random amplitude, phase, frequency and direction."""
    frequency, angle = rng.uniform(0.02, 0.35), rng.uniform(0, np.pi)
    return Wave(
        (frequency * np.sin(angle), frequency * np.cos(angle)),
        255 * np.exp(rng.uniform(*np.log(AMPLITUDES))),
        rng.uniform(-np.pi, np.pi),
        0.0,
        0.0,
    )


def clean(rng: np.random.Generator, kind: str) -> Array:
    """Part of a specimen, at random, intensities 0 to 1."""
    name = SPECIMENS[kind][rng.integers(len(SPECIMENS[kind]))]
    shape = rng.integers(SIZES[0], SIZES[1] + 1, 2)
    if kind == "none":
        return np.full(shape, 0.5)
    if kind == "made cells":
        image = scipy.ndimage.gaussian_filter(shapes(rng, name, SIZES[1]), 1)
    else:
        image = bundled(name)
    top, left = (rng.integers(max(1, n - k + 1)) for n, k in zip(image.shape, shape, strict=True))
    return image[top : top + shape[0], left : left + shape[1]].copy()


def deviations(truth: Wave, waves: tuple[Wave, ...], shape: tuple[int, ...]) -> list[float]:
    """Deviations of the wave nearest to the truth, in its standard errors; NaN without one."""
    off = [np.hypot(*np.multiply(np.subtract(w.frequency, truth.frequency), shape)) for w in waves]
    if not off or min(off) > 1:
        return [np.nan] * len(QUANTITIES)
    found = waves[int(np.argmin(off))]
    if found.amplitude_error is None or found.phase_error is None or found.frequency_error is None:
        return [np.nan] * len(QUANTITIES)
    turned = np.angle(np.exp(1j * (found.phase - truth.phase)))
    by = np.subtract(found.frequency, truth.frequency) / found.frequency_error
    amplitude = (found.amplitude - truth.amplitude) / found.amplitude_error
    return [amplitude, float(turned) / found.phase_error, *by.tolist()]


if __name__ == "__main__":
    sys.exit(main())
