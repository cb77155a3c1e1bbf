"""Rejection of known noise, and changes to clean images.

``python -m benchmarks.rejection [--seeds N] [--every N] [--check]``

The images are those that scikit-image bundles, and those in ``shared/data/clean`` if that folder
is beside the repository.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
from concurrent.futures import Executor, ProcessPoolExecutor
from itertools import repeat

import numpy as np
import torch

from benchmarks.families import (
    CLEAN_ONLY,
    DATA,
    LATTICES,
    available,
    cases,
    clean_image,
    rejection,
    rejection_at_border,
    sinusoids,
)
from napari_periodic_denoise import estimate_noise

# lower bounds of mean and worst rejection in dB; 8 dB less with Gaussian noise of σ = 0.02
BOUNDS = {
    "one sinusoid": (43, 22),
    "four sinusoids": (43, 22),
    "slow amplitude modulation": (36, 20),
    "scan hum, drift per line": (30, 18),
    "square wave, any angle": (25, 12),
    "hard vertical stripes": (28, 14),
    "clipped square grid": (28, 14),
    "hexagonal lattice": (40, 20),
    "smooth phase jitter": (24, 14),
    "multiplicative wave": (30, 18),
    "mixture: hum and lattice": (24, 14),
    "mixture: stripes and wave": (24, 14),
}
SIGMAS = {0.0: 0, 0.02: 8}
WEAK = ("camera", "cell", "retina")
WEAK_BOUND = 25
TOUCHED = 2  # clean images that may change
DAMAGE_BOUND = 50  # dB


def main() -> int:
    """Print one row per family and per clean image; with ``--check`` fail below the bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="cases per image and family")
    parser.add_argument("--every", type=int, default=1, help="families on every Nth image")
    parser.add_argument("--check", action="store_true", help="exit with 1 below the bounds")
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    one = {"initializer": torch.set_num_threads, "initargs": (1,)}
    with ProcessPoolExecutor(mp_context=spawn, **one) as pool:
        met = families(pool, options.seeds, available()[:: options.every])
        met &= weak(pool, options.seeds)
        met &= clean(pool)
        if (DATA / LATTICES["STM step edge"][0]).exists():
            lattices(pool)
    return int(options.check and not met)


def families(pool: Executor, seeds: int, names: tuple[str, ...]) -> bool:
    """Print the rejection of each kind of noise; return whether all bounds are met."""
    met = True
    print(f"Noise rejection in dB, {len(names)} images, {seeds} seeds, 8 bits\n")
    print("| family | Gaussian σ | mean | worst | (on) | outer 8 px, mean | bounds |")
    print("|---|---|---|---|---|---|---|")
    for family, (mean_bound, worst_bound) in BOUNDS.items():
        for sigma, allowed in SIGMAS.items():
            results = list(pool.map(measured, cases(family, names, seeds, sigma)))
            values, borders = [r[:2] for r in results], [r[2] for r in results]
            mean, (worst, where) = np.mean([value for value, _ in values]), min(values)
            least = mean_bound - allowed, worst_bound - allowed
            met &= bool(mean >= least[0] and worst >= least[1])
            print(
                f"| {family} | {sigma} | {mean:.1f} | {worst:.1f} | {where} "
                f"| {np.mean(borders):.1f} | {least[0]} / {least[1]} |",
                flush=True,
            )
    return met


def measured(case: tuple[str, int, np.ndarray, np.ndarray]) -> tuple[float, str, float]:
    """Rejection of a case's noise, the image's name, and the rejection at the border."""
    name, _, image, truth = case
    noise = estimate_noise(image).noise
    return rejection(noise, truth), name, rejection_at_border(noise, truth)


def weak(pool: Executor, seeds: int) -> bool:
    """Print the rejection of one wave of 1% of the range; return whether the bound is met."""
    print("\nOne wave of amplitude 1% of the range, 0.02 to 0.35 cycles/pixel, 8 bits\n")
    print("| image | mean, dB | worst | bound |\n|---|---|---|---|")
    met = True
    for name in WEAK:
        values = list(pool.map(measured_weak, repeat(name), range(4 * seeds)))
        met &= min(values) >= WEAK_BOUND
        print(f"| {name} | {np.mean(values):.1f} | {min(values):.1f} | {WEAK_BOUND} |", flush=True)
    return met


def measured_weak(name: str, seed: int) -> float:
    """Rejection of one weak wave in an image."""
    clean = clean_image(name)
    rng = np.random.default_rng(seed)
    wave = sinusoids(rng, clean.shape, count=1, amplitude=0.01, lowest=0.02, highest=0.35)
    image = np.clip(np.round(255 * (0.6 * clean + 0.2 + wave)), 0, 255).astype(np.uint8)
    return rejection(estimate_noise(image).noise, 255 * wave)


def damage(image: np.ndarray) -> float:
    """PSNR in dB of the cleaned image against a clean input; infinite if it is unchanged."""
    noise = estimate_noise(image).noise
    error = float(np.mean(noise.astype(float) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def clean(pool: Executor) -> bool:
    """Print the changes to clean images; return whether the bounds are met."""
    names, met = (*available(), *CLEAN_ONLY), True
    print(f"\nClean images, 8 bits: PSNR of {len(names)} cleaned images in dB (∞: unchanged)\n")
    print("| intensities | unchanged | others |\n|---|---|---|")
    for label, contrast, offset in (("full range", 1.0, 0.0), ("0.6·c + 0.2", 0.6, 0.2)):
        images = (np.round(255 * (contrast * clean_image(name) + offset)) for name in names)
        damages = pool.map(damage, (image.astype(np.uint8) for image in images))
        values = dict(zip(names, damages, strict=True))
        touched = {name: value for name, value in values.items() if math.isfinite(value)}
        met &= len(touched) <= TOUCHED and min(values.values()) >= DAMAGE_BOUND
        others = ", ".join(f"{name} {value:.1f}" for name, value in touched.items()) or "none"
        print(f"| {label} | {len(names) - len(touched)} of {len(names)} | {others} |", flush=True)
    return met


def lattices(pool: Executor) -> None:
    """Print the summaries for specimens that are themselves lattices."""
    print("\nSpecimens that are lattices: summaries\n")
    print("| image | summary |\n|---|---|")
    images = (np.round(255 * clean_image(name)).astype(np.uint8) for name in LATTICES)
    for name, summary in zip(LATTICES, pool.map(summed_up, images), strict=True):
        print(f"| {name} | {summary} |", flush=True)


def summed_up(image: np.ndarray) -> str:
    """Summary of the noise in an image."""
    return estimate_noise(image).summary


if __name__ == "__main__":
    sys.exit(main())
