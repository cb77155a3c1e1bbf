"""Noisy images in which one parameter is varied: amplitude, frequency, number of waves..."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.ndimage

from benchmarks.families import Array, bundled, corrupt, sinusoids
from benchmarks.ground_truth import Case, ground_truth

IMAGES = ("camera", "cell", "immunohistochemistry", "moon")
SIZE = 256  # pixels a side
LARGE = 512  # pixels a side; larger images are enlarged ones
RANGE = 0.2  # amplitude of all waves together, of the specimen's range, unless it is varied
LOWEST, HIGHEST = 0.02, 0.35  # cycles/pixel


@dataclass(frozen=True)
class Sweep:
    """A parameter that is varied, and the cases at its points.

    Attributes
    ----------
    unit : str
        Unit of the points, in words.
    points : tuple of float
    case : callable
        Makes the case of a point, an image name, a number of waves and a random generator.
    long : float
        Beyond this point, only two images are measured, to save time.
    """

    unit: str
    points: tuple[float, ...]
    case: Callable[[float, str, int, np.random.Generator], Case]
    long: float = math.inf

    def cases(self, point: float) -> Iterator[Case]:
        """Yield a case for each image, with one, two or three waves, the same at all points."""
        for number, name in enumerate(IMAGES if point <= self.long else IMAGES[:2]):
            yield self.case(point, name, 1 + number % 3, np.random.default_rng(number))


def waves(rng: np.random.Generator, size: int, count: int, amplitude: float = RANGE) -> Array:
    """Waves of random frequency and direction, with a given amplitude together."""
    return sinusoids(
        rng,
        (size, size),
        count=count,
        amplitude=amplitude / count,
        lowest=LOWEST,
        highest=HIGHEST,
    )


def noisy(clean: Array, noise: Array, rng: np.random.Generator, sigma: float = 0.0) -> Case:
    """Add noise as the families do."""
    return Case(corrupt(clean, noise, rng, sigma), ground_truth(255 * 0.6 * noise))


def of_amplitude(point: float, name: str, count: int, rng: np.random.Generator) -> Case:
    """Waves with a given amplitude together."""
    return noisy(bundled(name, SIZE), waves(rng, SIZE, count, point), rng)


def of_number(point: float, name: str, _count: int, rng: np.random.Generator) -> Case:
    """A number of waves."""
    return noisy(bundled(name, SIZE), waves(rng, SIZE, int(point)), rng)


def of_frequency(cycles: float, name: str, _count: int, rng: np.random.Generator) -> Case:
    """A wave of so many cycles along one axis, fewer along the other: all whole, or none."""
    least = cycles % 1
    other = least + rng.integers(0, max(1, int(cycles / 2)))
    along = [cycles, other if cycles < SIZE / 2 else 0]
    if rng.random() < 0.5:
        along.reverse()
    y, x = np.ogrid[:SIZE, :SIZE]
    wave = np.cos(2 * np.pi * ((along[0] * y + along[1] * x) / SIZE + rng.uniform()))
    return noisy(bundled(name, SIZE), RANGE * np.sqrt(0.5) * wave / wave.std(), rng)


def under_gaussian(sigma: float, name: str, count: int, rng: np.random.Generator) -> Case:
    """Waves and Gaussian noise."""
    return noisy(bundled(name, SIZE), waves(rng, SIZE, count), rng, sigma)


def under_poisson(photons: float, name: str, count: int, rng: np.random.Generator) -> Case:
    """Waves and Poisson noise, with a given number of photons at white."""
    noise = waves(rng, SIZE, count)
    expected = photons * (0.6 * bundled(name, SIZE) + 0.2 + 0.6 * noise)
    image = np.rint(255 * rng.poisson(expected) / photons).clip(0, 255).astype(np.uint8)
    return Case(image, ground_truth(255 * 0.6 * noise))


def of_size(size: float, name: str, count: int, rng: np.random.Generator) -> Case:
    """The middle of an image, or an enlarged image."""
    size = int(size)
    clean = bundled(name, min(size, LARGE))
    if size > LARGE:
        clean = np.clip(scipy.ndimage.zoom(clean, size / LARGE, order=1), 0, 1)
    return noisy(clean, waves(rng, size, count), rng)


def saturated(share: float, name: str, count: int, rng: np.random.Generator) -> Case:
    """Waves in an image with a given share of saturated pixels, which do not count."""
    noise = waves(rng, SIZE, count)
    exposed = 0.6 * bundled(name, SIZE) + 0.2 + 0.6 * noise
    gain = 255 / np.quantile(exposed, 1 - share)
    image = np.rint(gain * exposed).clip(0, 255).astype(np.uint8)
    return Case(image, ground_truth(gain * 0.6 * noise), image < 255)


SIZES = Sweep("pixels a side", (128, 256, 512, 1024, 2048, 4096), of_size, LARGE)
SWEEPS = {
    "amplitude": Sweep("amplitude, of the range", (0.005, 0.01, 0.03, 0.1, 0.3), of_amplitude),
    "frequency off the grid": Sweep(
        "cycles in 256 pixels", (1.5, 3.5, 10.5, 40.5, 127.5), of_frequency
    ),
    "frequency on the grid": Sweep("cycles in 256 pixels", (2, 10, 40, 128), of_frequency),
    "number of waves": Sweep("waves", (1, 2, 4, 8, 12), of_number),
    "Gaussian noise": Sweep("σ, of the range", (0.01, 0.03, 0.1), under_gaussian),
    "Poisson noise": Sweep("photons where white", (10000, 1000, 100), under_poisson),
    "saturation": Sweep("share of pixels", (0.0, 0.02, 0.08, 0.2), saturated),
    "size": SIZES,
}
