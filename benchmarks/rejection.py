"""How much of known noise is removed, and what is done to clean images.

``python -m benchmarks.rejection [--seeds N] [--check]``
"""

from __future__ import annotations

import argparse
import math
import sys

import numpy as np

from benchmarks.families import BUNDLED, bundled, cases, rejection
from napari_periodic_denoise import estimate_noise

# family, Gaussian noise, least mean and worst rejection in dB
BOUNDS = (
    ("one sinusoid", 0.0, 40, 20),
    ("four sinusoids", 0.0, 40, 20),
    ("one sinusoid", 0.02, 32, 12),
    ("four sinusoids", 0.02, 32, 12),
)
CLEAN_BOUND = 50


def damage(image: np.ndarray) -> float:
    """PSNR in dB of the cleaned image against a clean input: infinite where nothing is done."""
    noise = estimate_noise(image).noise
    error = float(np.mean(noise.astype(float) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def main() -> int:
    """Print one row per family and per clean image; with ``--check`` fail under the bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="cases per image and family")
    parser.add_argument("--check", action="store_true", help="exit with 1 under the bounds")
    options = parser.parse_args()
    failed = False

    print(f"Noise rejection in dB, {len(BUNDLED)} images, {options.seeds} seeds, 8 bits\n")
    print("| family | Gaussian σ | mean | worst | (on) | bounds |\n|---|---|---|---|---|---|")
    for family, sigma, least_mean, least in BOUNDS:
        rows = [
            (rejection(estimate_noise(image).noise, truth), name)
            for name, _, image, truth in cases(family, BUNDLED, options.seeds, sigma)
        ]
        mean, (worst, where) = np.mean([value for value, _ in rows]), min(rows)
        failed |= mean < least_mean or worst < least
        print(
            f"| {family} | {sigma} | {mean:.1f} | {worst:.1f} | {where} | {least_mean} / {least} |"
        )

    print("\nClean images, 8 bits: PSNR of the cleaned image, in dB (∞: unchanged)\n")
    print("| image | full range | 0.6·c + 0.2 |\n|---|---|---|")
    for name in BUNDLED:
        clean = bundled(name)
        values = [damage(np.round(255 * c).astype(np.uint8)) for c in (clean, 0.6 * clean + 0.2)]
        failed |= min(values) < CLEAN_BOUND
        shown = ("∞" if math.isinf(value) else f"{value:.1f}" for value in values)
        print(f"| {name} | {' | '.join(shown)} |", flush=True)
    return int(options.check and failed)


if __name__ == "__main__":
    sys.exit(main())
