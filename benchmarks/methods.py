"""Textbook synthesis, aligned waves, and aligned waves with a Gram term, on one noisy image.

``python -m benchmarks.methods [--weights PATH] [--steps N] [--optimizer NAME] [--check]``
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from benchmarks.families import Array, bundled, rejection
from napari_periodic_denoise import Wave, estimate_noise
from napari_periodic_denoise.noise.gram_aligned import noise_grams, refine_waves
from napari_periodic_denoise.noise.networks import Network, load_network, robust_range
from napari_periodic_denoise.noise.texture import synthesize_texture
from napari_periodic_denoise.noise.waves import synthesize

SIZE, EXEMPLAR = 256, 128
FREQUENCY = (0.061, 0.083)
MOST_TEXTBOOK, LEAST_ALIGNED = 1.0, 35.0  # dB

T = TypeVar("T")


def sinusoid(phase: float) -> Array:
    """A diagonal wave of amplitude 0.06 of the range, in grey levels."""
    y, x = np.mgrid[:SIZE, :SIZE]
    return 0.06 * 255 * np.cos(2 * np.pi * (FREQUENCY[0] * y + FREQUENCY[1] * x) + phase)


def noisy(name: str = "camera") -> tuple[np.ndarray, Array]:
    """8-bit image and the noise in it."""
    noise = sinusoid(0.7)
    image = 255 * (0.6 * bundled(name, SIZE) + 0.2) + noise
    return np.clip(np.round(image), 0, 255).astype(np.uint8), noise


def result(run: Generator[Any, None, T]) -> T:
    """Run a generator to its end."""
    while True:
        try:
            next(run)
        except StopIteration as end:
            value: T = end.value
            return value


def textbook(image: np.ndarray, network: Network, optimizer: str, steps: int) -> np.ndarray:
    """Texture with the image's Gram matrices."""
    pixels = torch.from_numpy(image.astype(np.float32))
    return result(synthesize_texture(pixels, network, optimizer=optimizer, steps=steps)).numpy()


def with_gram(
    image: np.ndarray, waves: tuple[Wave, ...], network: Network, exemplar: np.ndarray
) -> np.ndarray:
    """Refine the waves against the Gram matrices of noise alone."""
    pixels = torch.from_numpy(image.astype(np.float32))
    shown = robust_range(pixels)
    with torch.no_grad():
        target = noise_grams(network, torch.from_numpy(exemplar.astype(np.float32)), shown)
    refined = result(refine_waves(pixels, waves, network, target, shown))
    return synthesize(refined, (SIZE, SIZE)).numpy()


def main() -> int:
    """Print noise rejection in dB and seconds of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="file of VGG16's ImageNet weights")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--optimizer", default="adam")
    parser.add_argument("--check", action="store_true", help="exit with 1 out of the bounds")
    options = parser.parse_args()
    torch.set_num_threads(1)
    weights = "imagenet" if options.weights else "random"
    network = load_network("vgg16", weights=weights, weights_path=options.weights)
    image, noise = noisy()
    waves = estimate_noise(image).waves
    start = synthesize(waves, (SIZE, SIZE)).numpy()

    print(f"camera, {SIZE}², 8 bits, one sinusoid; VGG16, {weights} weights\n")
    print("| method | rejection, dB | correlation with the noise | seconds |\n|---|---|---|---|")
    methods: dict[str, Callable[[], np.ndarray]] = {
        f"textbook, {options.optimizer}, {options.steps} steps": lambda: textbook(
            image, network, options.optimizer, options.steps
        ),
        "aligned": lambda: estimate_noise(image).noise,
        "gram_aligned, target the estimate": lambda: with_gram(image, waves, network, start),
        "gram_aligned, target an exemplar": lambda: with_gram(
            image, waves, network, sinusoid(2.1)[:EXEMPLAR, :EXEMPLAR]
        ),
    }
    values = []
    for name, method in methods.items():
        begun = time.perf_counter()
        found = method()
        spent = time.perf_counter() - begun
        values.append(rejection(found, noise))
        alike = np.corrcoef(found.ravel(), noise.ravel())[0, 1]
        print(f"| {name} | {values[-1]:.1f} | {alike:.3f} | {spent:.1f} |", flush=True)
    good = values[0] < MOST_TEXTBOOK and min(values[1:]) > LEAST_ALIGNED
    return int(options.check and not good)


if __name__ == "__main__":
    sys.exit(main())
