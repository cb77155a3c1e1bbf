"""Comparison of textbook synthesis, aligned waves, and aligned waves refined by Gram matrices.

``python -m benchmarks.methods [--weights PATH] [--steps N] [--optimizer NAME] [--check]``
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.families import Array, bundled, rejection
from napari_periodic_denoise import estimate_noise

SIZE = 256
EXEMPLAR = [(0, 0, 64, 64)]  # the camera's sky
FREQUENCY = (0.061, 0.083)
MOST_TEXTBOOK, LEAST_ALIGNED = 1.0, 35.0  # dB


def sinusoid(phase: float) -> Array:
    """A diagonal wave of amplitude 0.06 of the range, in grey levels."""
    y, x = np.mgrid[:SIZE, :SIZE]
    return 0.06 * 255 * np.cos(2 * np.pi * (FREQUENCY[0] * y + FREQUENCY[1] * x) + phase)


def noisy(name: str = "camera") -> tuple[np.ndarray, Array]:
    """8-bit image and the noise in it."""
    noise = sinusoid(0.7)
    image = 255 * (0.6 * bundled(name, SIZE) + 0.2) + noise
    return np.clip(np.round(image), 0, 255).astype(np.uint8), noise


def main() -> int:
    """Print noise rejection in dB and seconds of each method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="file of VGG16's ImageNet weights")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--optimizer", default="adam")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bound is missed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    weights = "imagenet" if options.weights else "random"
    network = {"features": "vgg16", "weights": weights, "weights_path": options.weights}
    synthesis = {"steps": options.steps, "optimizer": options.optimizer}
    image, noise = noisy()

    print(f"camera, {SIZE}², 8 bits, one sinusoid; VGG16, {weights} weights\n")
    print("| method | rejection, dB | correlation with the noise | seconds |\n|---|---|---|---|")
    methods: dict[str, dict[str, Any]] = {
        f"texture, {options.optimizer}, {options.steps} steps": {
            "method": "texture",
            **network,
            **synthesis,
        },
        "aligned": {},
        "aligned, VGG16 features": network,
        "gram_aligned": {"method": "gram_aligned", **network},
        "gram_aligned, exemplar": {"method": "gram_aligned", "exemplar": EXEMPLAR, **network},
    }
    values = []
    for name, chosen in methods.items():
        begun = time.perf_counter()
        found = estimate_noise(image, **chosen).noise
        spent = time.perf_counter() - begun
        values.append(rejection(found, noise))
        alike = np.corrcoef(found.ravel(), noise.ravel())[0, 1]
        print(f"| {name} | {values[-1]:.1f} | {alike:.3f} | {spent:.1f} |", flush=True)
    good = values[0] < MOST_TEXTBOOK and min(values[1:]) > LEAST_ALIGNED
    return int(options.check and not good)


if __name__ == "__main__":
    sys.exit(main())
