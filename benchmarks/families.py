"""Clean images, kinds of periodic noise, and how well an estimate matches the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import skimage.data
from numpy.typing import NDArray

Array = NDArray[np.float64]

# every photograph and micrograph that scikit-image bundles
BUNDLED = (
    "astronaut",
    "brick",
    "camera",
    "cell",
    "chelsea",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "immunohistochemistry",
    "moon",
    "page",
    "retina",
    "rocket",
)


def bundled(name: str, size: int = 512) -> Array:
    """Middle of a bundled image in grey, intensities 0 to 1; at most ``size`` pixels a side."""
    image = getattr(skimage.data, name)().astype(float)
    if image.ndim == 3:
        image = image[..., :3].mean(-1)
    top, left = (max(0, (n - size) // 2) for n in image.shape)
    return image[top : top + size, left : left + size] / 255


def sinusoids(
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    count: int,
    amplitude: float,
    lowest: float,
    highest: float,
) -> Array:
    """Waves of random direction and phase, frequencies uniform between two bounds."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    noise = np.zeros(shape)
    for _ in range(count):
        frequency, angle = rng.uniform(lowest, highest), rng.uniform(0, np.pi)
        fy, fx = frequency * np.sin(angle), frequency * np.cos(angle)
        noise += amplitude * np.cos(2 * np.pi * (fy * y + fx * x + rng.uniform()))
    return noise


def one_sinusoid(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """One wave of amplitude 0.2, 0.02 to 0.1 cycles/pixel."""
    return sinusoids(rng, shape, count=1, amplitude=0.2, lowest=0.02, highest=0.1)


def four_sinusoids(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Four waves of amplitude 0.1, 0.02 to 0.35 cycles/pixel."""
    return sinusoids(rng, shape, count=4, amplitude=0.1, lowest=0.02, highest=0.35)


FAMILIES: dict[str, Callable[[np.random.Generator, tuple[int, int]], Array]] = {
    "one sinusoid": one_sinusoid,
    "four sinusoids": four_sinusoids,
}


def corrupt(
    clean: Array, noise: Array, rng: np.random.Generator, sigma: float = 0.0
) -> NDArray[np.uint8]:
    """Add noise and, first, Gaussian noise of deviation sigma: ``0.6·c + 0.2 + 0.6·n``, 8 bits."""
    image = 0.6 * clean + 0.2 + 0.6 * noise
    if sigma:
        image += rng.normal(0, sigma, clean.shape)
    return np.clip(np.round(255 * image), 0, 255).astype(np.uint8)


def cases(
    family: str, images: tuple[str, ...], seeds: int, sigma: float
) -> Iterator[tuple[str, int, NDArray[np.uint8], Array]]:
    """Image name, seed, noisy image and true noise (in its grey levels) of each case."""
    for name in images:
        clean = bundled(name)
        for seed in range(seeds):
            rng = np.random.default_rng([seed, len(name), int(1000 * sigma)])
            noise = FAMILIES[family](rng, (clean.shape[0], clean.shape[1]))
            yield name, seed, corrupt(clean, noise, rng, sigma), 255 * 0.6 * noise


def rejection(estimate: NDArray[np.floating], truth: Array) -> float:
    """Noise rejection in dB, means removed: 0 is doing nothing, negative is making it worse."""
    error = estimate - truth
    error -= error.mean()
    return float(10 * np.log10(np.var(truth) / np.mean(error**2)))
