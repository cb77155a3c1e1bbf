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

# least mean and worst rejection in dB, without and with Gaussian noise of σ = 0.02; None where
# the model does not hold yet and some of the noise stays
BOUNDS: dict[str, tuple[tuple[float, float], tuple[float, float]] | None] = {
    "one sinusoid": ((43, 22), (35, 14)),
    "four sinusoids": ((43, 22), (35, 14)),
    "slow amplitude modulation": ((36, 20), (28, 12)),
    "scan hum, drift per line": ((30, 18), (22, 10)),
    "smooth phase jitter": ((24, 14), (16, 6)),
    "hexagonal lattice": ((40, 20), (32, 12)),
    "clipped square grid": None,
    "square wave, any angle": None,
    "hard vertical stripes": None,
}
SIGMAS = (0.0, 0.02)
CLEAN_BOUND = 50


def damage(image: np.ndarray) -> float:
    """PSNR in dB of the cleaned image against a clean input: infinite where nothing is done."""
    noise = estimate_noise(image).noise
    error = float(np.mean(noise.astype(float) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def main() -> int:
    """Print one row per family and per clean image; with ``--check`` fail under the bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="cases per image and family")
    parser.add_argument("--check", action="store_true", help="exit with 1 under the bounds")
    options = parser.parse_args()
    failed = False

    print(f"Noise rejection in dB, {len(BUNDLED)} images, {options.seeds} seeds, 8 bits\n")
    print("| family | Gaussian σ | mean | worst | (on) | bounds |\n|---|---|---|---|---|---|")
    for family, bounds in BOUNDS.items():
        for sigma, bound in zip(SIGMAS, bounds or (None, None), strict=True):
            rows = [
                (rejection(estimate_noise(image).noise, truth), name)
                for name, _, image, truth in cases(family, BUNDLED, options.seeds, sigma)
            ]
            mean, (worst, where) = np.mean([value for value, _ in rows]), min(rows)
            least = f"{bound[0]} / {bound[1]}" if bound else "none yet"
            failed |= bound is not None and (mean < bound[0] or worst < bound[1])
            print(
                f"| {family} | {sigma} | {mean:.1f} | {worst:.1f} | {where} | {least} |",
                flush=True,
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
