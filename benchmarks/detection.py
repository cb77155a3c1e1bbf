"""The weakest wave that each kind of features finds, at equal false alarms.

It is the smallest amplitude, for each image and frequency, at which at most N peaks of the
spectral Gram matrix are stronger than the wave's own; by default N is 0.

``python -m benchmarks.detection [--weights PATH] [--false-alarms N] [--images N]``
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.families import BUNDLED, Array, bundled
from napari_periodic_denoise.noise.robust import robust_range
from napari_periodic_denoise.noise.statistics.features import clipped, cosines, edges, gradient
from napari_periodic_denoise.noise.statistics.networks import (
    Network,
    feature_maps,
    load_network,
    to_network,
)
from napari_periodic_denoise.noise.statistics.peaks import find_candidates

SIZE = 256
FREQUENCIES = ((0.021, 0.034), (0.0, 0.113), (0.171, -0.207))  # cycles/pixel
AMPLITUDES = 0.0015 * np.sqrt(2.0) ** np.arange(14)  # of the range, up to 0.14
PHOTONS = 1000  # at white, for Poisson noise
SIGMA = 0.02  # of the range, of Gaussian noise
NEAR = 1.5  # cycles across the image; a peak this near is the wave's

Features = Callable[[torch.Tensor], torch.Tensor]


def first_layers(network: Network, layer: str) -> Features:
    """Maps of one layer of a network."""

    @torch.no_grad()
    def maps(image: torch.Tensor) -> torch.Tensor:
        return feature_maps(network, to_network(image, robust_range(image)))[layer]

    return maps


def kinds(network: Network | None) -> dict[str, Features]:
    """Features by name."""
    found: dict[str, Features] = {
        "pixels": lambda image: image[None],
        "differences": gradient,
        "differences, 3σ": lambda image: clipped(gradient(image), 3),
        "edges": edges,
        "3×3 cosines, 1σ": cosines,
    }
    for layer in network.layers if network else ():
        plain = first_layers(network, layer)
        found[layer] = plain
        found[f"{layer}, 1σ"] = lambda image, plain=plain: clipped(plain(image))
    return found


def degraded(clean: Array, noise: str, rng: np.random.Generator) -> torch.Tensor:
    """8-bit image with random noise of one kind."""
    if noise == "Gaussian":
        clean = clean + rng.normal(0, SIGMA, clean.shape)
    elif noise == "Poisson":
        clean = rng.poisson(PHOTONS * clean.clip(0)) / PHOTONS
    return torch.from_numpy(np.clip(np.round(255 * clean), 0, 255).astype(np.float32))


def found(maps: torch.Tensor, frequency: tuple[float, float], false_alarms: int) -> bool:
    """Whether the wave is among the strongest peaks."""
    anything = maps.shape[1] * maps.shape[2] / 6
    for candidate in find_candidates(maps, sensitivity=anything)[: false_alarms + 1]:
        off = np.array(candidate.frequency) - frequency
        mirrored = np.array(candidate.frequency) + frequency
        if min(np.hypot(*(off - np.rint(off))), np.hypot(*(mirrored - np.rint(mirrored)))) < (
            NEAR / SIZE
        ):
            return True
    return False


def weakest(
    clean: Array, frequency: tuple[float, float], features: Features, noise: str, allowed: int
) -> float:
    """Smallest amplitude found, by bisection; √2 times the largest tried if none is found."""
    y, x = np.mgrid[: clean.shape[0], : clean.shape[1]]
    wave = np.cos(2 * np.pi * (frequency[0] * y + frequency[1] * x) + 1)
    low, high = 0, len(AMPLITUDES)
    while low < high:
        middle = (low + high) // 2
        image = 0.6 * clean + 0.2 + AMPLITUDES[middle] * wave
        maps = features(degraded(image, noise, np.random.default_rng(0)))
        if found(maps, frequency, allowed):
            high = middle
        else:
            low = middle + 1
    return float(AMPLITUDES[0] * np.sqrt(2.0) ** low)


def main() -> None:
    """Print the smallest amplitudes in thousandths, for each kind of noise and features."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="file of VGG16's ImageNet weights")
    parser.add_argument("--random", action="store_true", help="VGG16 with random weights")
    parser.add_argument("--false-alarms", type=int, default=0)
    parser.add_argument("--images", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(1)
    network = None
    if options.weights or options.random:
        network = load_network(
            "vgg16",
            ["conv1_1", "conv1_2"],
            weights="random" if options.random else "imagenet",
            weights_path=options.weights,
        )
    names = [name for name in BUNDLED if min(bundled(name, SIZE).shape) == SIZE]
    names = names[: options.images]
    print(
        f"{len(names)} images of {SIZE}², {len(FREQUENCIES)} frequencies; amplitude ‰ of range\n"
    )
    print("| noise | features | geometric mean | median | worst | edges better / equal / worse |")
    print("|---|---|---|---|---|---|")
    for noise in ("none", "Gaussian", "Poisson"):
        results = {
            kind: np.array(
                [
                    weakest(bundled(name, SIZE), f, features, noise, options.false_alarms)
                    for name in names
                    for f in FREQUENCIES
                ]
            )
            for kind, features in kinds(network).items()
        }
        for kind, least in results.items():
            ours = results["edges"]
            versus = [int(c.sum()) for c in (ours < least, ours == least, ours > least)]
            mean, middle = 1000 * np.exp(np.log(least).mean()), 1000 * np.median(least)
            print(
                f"| {noise} | {kind} | {mean:.1f} | {middle:.1f} | {1000 * least.max():.0f} | "
                f"{' / '.join(map(str, versus))} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
