"""Effect of the Gram term on the L1 fit of waves, and of the L1 term on the Gram fit.

The fit starts from waves that are slightly off. With ``--estimate`` it starts from those of the
aligned method, through `estimate_noise`, with a flat patch of the image as the exemplar.

``python -m benchmarks.gram_aligned [--network NAME] [--weights PATH] [--random] [--layers N]
[--estimate]``
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.families import Array, bundled, rejection
from napari_periodic_denoise import estimate_noise
from napari_periodic_denoise.noise.gram_matching.refine import noise_grams, refine_waves
from napari_periodic_denoise.noise.robust import robust_range
from napari_periodic_denoise.noise.statistics.networks import LAYER_WEIGHTS, Network, load_network
from napari_periodic_denoise.noise.waves.synthesis import synthesize
from napari_periodic_denoise.noise.waves.wave import Wave

IMAGES = ("camera", "cell", "retina", "coins", "moon", "grass")
SIZE, EXEMPLAR, PATCH = 256, 128, 72
GRAM_WEIGHTS = (0.0, 0.1, 0.3, 1.0, 10.0)
STEPS = 25

Y, X = np.mgrid[:SIZE, :SIZE]
# frequency, harmonics fitted, and how far off the frequency starts, in cycles across the image
CASES = {
    "sinusoid": ((0.061, 0.083), 1, 0.2),
    "square wave": ((0.047, 0.061), 9, 0.03),
    "vertical stripes": ((0.0, 1 / 11.3), 9, 0.03),
}


def pattern(case: str, phase: float) -> Array:
    """Noise of one kind, in grey levels."""
    (fy, fx), harmonics, _ = CASES[case]
    wave = np.sin(2 * np.pi * (fy * Y + fx * X) + phase)
    return 0.1 * 0.6 * 255 * (wave if harmonics == 1 else np.sign(wave))


def start(image: Array, case: str) -> list[Wave]:
    """Amplitudes and phases from the image's own spectrum, which contains the specimen too."""
    (fy, fx), harmonics, off = CASES[case]
    taper = np.outer(*[np.hanning(SIZE + 2)[1:-1]] * 2)
    waves = []
    for number in range(1, harmonics + 1):
        f = np.array([fy, fx + off / SIZE]) * number
        f = (f + 0.5) % 1 - 0.5
        if tuple(f) < (0, 0):
            f = -f
        turn = np.exp(-2j * np.pi * (f[0] * Y + f[1] * X))
        c = 2 * np.sum(taper * (image - image.mean()) * turn) / taper.sum()
        waves.append(Wave((float(f[0]), float(f[1])), abs(c), float(np.angle(c)), 0.0, 0.0))
    return waves


def refined(
    image: torch.Tensor, waves: list[Wave], network: Network, exemplar: Array, gram_weight: float
) -> list[Wave]:
    """Waves after refinement against an exemplar of the noise."""
    shown = robust_range(image)
    with torch.no_grad():
        target = noise_grams(network, torch.from_numpy(exemplar.astype(np.float32)), shown)
    run = refine_waves(image, waves, network, target, shown, gram_weight=gram_weight, steps=STEPS)
    while True:
        try:
            next(run)
        except StopIteration as end:
            found: list[Wave] = end.value
            return found


def fading(phase: float) -> Array:
    """A wave half as strong again at the top as at the bottom."""
    return (0.6 + 0.4 * np.cos(np.pi * Y / SIZE)) * pattern("sinusoid", phase)


def estimates(network: dict[str, Any]) -> None:
    """Print mean and worst rejection in dB of both methods, without and with an exemplar."""
    patch = slice(0, PATCH), slice(0, PATCH)
    exemplar = [(1, 1, PATCH - 1, PATCH - 1)]
    refined = {"method": "gram_aligned", **network}
    ways: list[dict[str, Any]] = [{}, refined, {"exemplar": exemplar, **refined}]
    kinds = {**{case: pattern(case, 0.4) for case in CASES}, "fading wave": fading(0.4)}
    print(
        "| noise | Gaussian σ | aligned | gram_aligned | with an exemplar |\n|---|---|---|---|---|"
    )
    for kind, noise in kinds.items():
        for sigma in (0.0, 0.02):
            rows = []
            for name in IMAGES:
                clean = bundled(name, SIZE)
                clean[patch] = clean[patch].mean()
                random = np.random.default_rng(0).normal(0, sigma, clean.shape)
                image = np.round(255 * (0.6 * clean + 0.2 + random) + noise).clip(0, 255)
                rows.append(
                    [
                        rejection(estimate_noise(image.astype(np.uint8), **way).noise, noise)
                        for way in ways
                    ]
                )
            means = zip(np.mean(rows, 0), np.min(rows, 0), strict=True)
            shown = " | ".join(f"{mean:.1f} / {worst:.1f}" for mean, worst in means)
            print(f"| {kind} | {sigma} | {shown} |", flush=True)


def main() -> None:
    """Print noise rejection in dB at the start and for each weight of the Gram term."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="vgg16")
    parser.add_argument("--weights", type=Path, help="file of the ImageNet weights")
    parser.add_argument("--random", action="store_true", help="random weights")
    parser.add_argument("--layers", type=int, default=3, help="number of layers, at most 5")
    parser.add_argument("--estimate", action="store_true", help="run estimate_noise")
    options = parser.parse_args()
    torch.set_num_threads(1)
    layers = tuple(LAYER_WEIGHTS)[: options.layers]
    weights = "random" if options.random else "imagenet"
    if options.estimate:
        chosen = {"features": options.network, "layers": layers, "steps": STEPS}
        return estimates({**chosen, "weights": weights, "weights_path": options.weights})
    network = load_network(options.network, layers, weights=weights, weights_path=options.weights)
    print(f"{options.network}, {', '.join(network.layers)}; dB, {SIZE}², 8 bits\n")
    heads = "".join(f" γ={weight:g} |" for weight in GRAM_WEIGHTS)
    print(f"| noise | image | start |{heads} seconds |\n|{'---|' * (4 + len(GRAM_WEIGHTS))}")
    for case in CASES:
        rows = []
        for name in IMAGES:
            noise = pattern(case, 0.4)
            image = np.clip(np.round(255 * (0.6 * bundled(name, SIZE) + 0.2) + noise), 0, 255)
            waves = start(image, case)
            begun = time.perf_counter()
            pixels = torch.from_numpy(image.astype(np.float32))
            exemplar = pattern(case, 2.1)[:EXEMPLAR, :EXEMPLAR]
            results = [
                waves,
                *(refined(pixels, waves, network, exemplar, g) for g in GRAM_WEIGHTS),
            ]
            rows.append([rejection(synthesize(w, (SIZE, SIZE)).numpy(), noise) for w in results])
            values = " | ".join(f"{value:.1f}" for value in rows[-1])
            spent = time.perf_counter() - begun
            print(f"| {case} | {name} | {values} | {spent:.0f} |", flush=True)
        means = " | ".join(f"**{value:.1f}**" for value in np.mean(rows, 0))
        print(f"| {case} | mean | {means} | |", flush=True)


if __name__ == "__main__":
    main()
