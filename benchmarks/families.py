"""Clean images, kinds of periodic noise, and how well an estimate matches the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import scipy.ndimage
import skimage.data
import skimage.io
from numpy.typing import NDArray

Array = NDArray[np.float64]

# the photographs and micrographs that scikit-image bundles
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


# clean images with too few pixels or grey levels to measure noise on
CLEAN_ONLY = ("cat", "clock", "microaneurysms", "text")
# more clean images, if present: file and channel
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "clean"
SHARED = {
    "stardist nuclei": ("stardist_nuclei.tif", None),
    "ixmtest nuclei": ("bia_ixmtest_a02_s9.tif", None),
    "maize": ("bia_maize_clsm.png", None),
    "hela, red": ("bia_hela-cells-8bit.png", 0),
    "hela, green": ("bia_hela-cells-8bit.png", 1),
    "hela, blue": ("bia_hela-cells-8bit.png", 2),
}
# specimens that are themselves periodic
LATTICES = {
    "STM step edge": ("h_stm_step_edge.tif", None),
    "STM step edge and atoms": ("h_stm_step_edge_and_atoms.tif", None),
}


def available() -> tuple[str, ...]:
    """Names of the clean images that are present."""
    return (*BUNDLED, *(name for name, (file, _) in SHARED.items() if (DATA / file).exists()))


def clean_image(name: str) -> Array:
    """Middle of a clean image in grey, intensities 0 to 1; at most 512 pixels a side."""
    if name in BUNDLED or name in CLEAN_ONLY:
        return bundled(name)
    file, channel = {**SHARED, **LATTICES}[name]
    image = skimage.io.imread(DATA / file).astype(float)
    if channel is not None:
        image = image[..., channel]
    top, left = (max(0, (n - 512) // 2) for n in image.shape)
    image = image[top : top + 512, left : left + 512]
    scaled: Array = (image - image.min()) / np.ptp(image)
    return scaled


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


def one_sinusoid(rng: np.random.Generator, clean: Array) -> Array:
    """One wave of amplitude 0.2, 0.02 to 0.1 cycles/pixel."""
    return sinusoids(rng, clean.shape, count=1, amplitude=0.2, lowest=0.02, highest=0.1)


def four_sinusoids(rng: np.random.Generator, clean: Array) -> Array:
    """Four waves of amplitude 0.1, 0.02 to 0.35 cycles/pixel."""
    return sinusoids(rng, clean.shape, count=4, amplitude=0.1, lowest=0.02, highest=0.35)


def _carrier(
    rng: np.random.Generator, shape: tuple[int, int], lowest: float, highest: float
) -> Array:
    """Phase in radians of a wave of random frequency, direction and start."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    frequency, angle = rng.uniform(lowest, highest), rng.uniform(0, np.pi)
    turns = frequency * (np.sin(angle) * y + np.cos(angle) * x) + rng.uniform()
    return 2 * np.pi * turns


def _smooth(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Array:
    """Gaussian noise smoothed over ``scale`` pixels."""
    return scipy.ndimage.gaussian_filter(rng.normal(size=shape), scale)


def amplitude_modulation(rng: np.random.Generator, clean: Array) -> Array:
    """A wave of amplitude 0.06 to 0.2, changing over 80 pixels."""
    envelope = _smooth(rng, clean.shape, 80)
    envelope = (envelope - envelope.min()) / np.ptp(envelope)
    return 0.2 * (0.3 + 0.7 * envelope) * np.cos(_carrier(rng, clean.shape, 0.03, 0.2))


def scan_hum(rng: np.random.Generator, clean: Array) -> Array:
    """A wave in time under a line scan; its phase drifts at random from line to line."""
    y, x = np.ogrid[: clean.shape[0], : clean.shape[1]]
    turns = rng.uniform(0.05, 0.25) * (1.13 * clean.shape[1] * y + x)
    return 0.12 * np.cos(
        2 * np.pi * turns + np.cumsum(rng.normal(0, 0.02, clean.shape[0]))[:, None]
    )


def phase_jitter(rng: np.random.Generator, clean: Array) -> Array:
    """A wave whose phase strays by 0.6 rad over 55 pixels."""
    jitter = _smooth(rng, clean.shape, 55)
    return 0.15 * np.cos(_carrier(rng, clean.shape, 0.05, 0.2) + 0.6 * jitter / jitter.std())


def hexagonal_lattice(rng: np.random.Generator, clean: Array) -> Array:
    """Three waves of one period, 60° apart."""
    y, x = np.ogrid[: clean.shape[0], : clean.shape[1]]
    frequency, angle = rng.uniform(0.05, 0.15), rng.uniform(0, np.pi)
    noise = np.zeros(clean.shape)
    for direction in angle + np.pi / 3 * np.arange(3):
        turns = frequency * (np.sin(direction) * y + np.cos(direction) * x) + rng.uniform()
        noise += 0.07 * np.cos(2 * np.pi * turns)
    return noise


def square_grid(rng: np.random.Generator, clean: Array) -> Array:
    """A clipped product of two waves at right angles."""
    y, x = np.ogrid[: clean.shape[0], : clean.shape[1]]
    frequency, angle = rng.uniform(0.05, 0.12), rng.uniform(0, np.pi)
    fy, fx = frequency * np.sin(angle), frequency * np.cos(angle)
    one, other = (
        np.cos(2 * np.pi * (a * y + b * x + rng.uniform())) for a, b in ((fy, fx), (fx, -fy))
    )
    grid = np.clip(one * other + 0.3, 0, None)
    return 0.2 * (grid - grid.mean())


def square_wave(rng: np.random.Generator, clean: Array) -> Array:
    """Hard-edged bands in any direction, period 6 to 30 pixels."""
    return 0.1 * np.sign(np.sin(_carrier(rng, clean.shape, 1 / 30, 1 / 6)))


def vertical_stripes(rng: np.random.Generator, clean: Array) -> Array:
    """Hard-edged vertical stripes, period 5 to 20 pixels, usually not an integer."""
    x = np.broadcast_to(np.arange(clean.shape[1]), clean.shape)
    return 0.12 * np.sign(np.sin(2 * np.pi * (x / rng.uniform(5, 20) + rng.uniform())))


def multiplicative_wave(rng: np.random.Generator, clean: Array) -> Array:
    """A wave that raises and lowers every intensity by 25%."""
    return 0.25 * np.cos(_carrier(rng, clean.shape, 0.03, 0.15)) * _intensity(clean) / _CONTRAST


def hum_and_lattice(rng: np.random.Generator, clean: Array) -> Array:
    """Scan hum over a hexagonal lattice."""
    return 0.6 * scan_hum(rng, clean) + 0.6 * hexagonal_lattice(rng, clean)


def stripes_and_wave(rng: np.random.Generator, clean: Array) -> Array:
    """Hard vertical stripes and a wave across them."""
    wave = sinusoids(rng, clean.shape, count=1, amplitude=0.08, lowest=0.02, highest=0.35)
    return 0.7 * vertical_stripes(rng, clean) + wave


FAMILIES: dict[str, Callable[[np.random.Generator, Array], Array]] = {
    "one sinusoid": one_sinusoid,
    "four sinusoids": four_sinusoids,
    "slow amplitude modulation": amplitude_modulation,
    "scan hum, drift per line": scan_hum,
    "smooth phase jitter": phase_jitter,
    "hexagonal lattice": hexagonal_lattice,
    "clipped square grid": square_grid,
    "square wave, any angle": square_wave,
    "hard vertical stripes": vertical_stripes,
    "multiplicative wave": multiplicative_wave,
    "mixture: hum and lattice": hum_and_lattice,
    "mixture: stripes and wave": stripes_and_wave,
}

_CONTRAST = 0.6


def _intensity(clean: Array) -> Array:
    """Intensities with room for noise on both sides."""
    return _CONTRAST * clean + 0.2


def corrupt(
    clean: Array, noise: Array, rng: np.random.Generator, sigma: float = 0.0
) -> NDArray[np.uint8]:
    """Add noise and Gaussian noise of deviation sigma: ``0.6·c + 0.2 + 0.6·n``, then 8 bits."""
    image = _intensity(clean) + _CONTRAST * noise
    if sigma:
        image += rng.normal(0, sigma, clean.shape)
    return np.clip(np.round(255 * image), 0, 255).astype(np.uint8)


def cases(
    family: str, images: tuple[str, ...], seeds: int, sigma: float
) -> Iterator[tuple[str, int, NDArray[np.uint8], Array]]:
    """Yield image name, seed, noisy image and true noise (in grey levels) of each case."""
    for name in images:
        clean = clean_image(name)
        for seed in range(seeds):
            which = (*BUNDLED, *SHARED).index(name)
            rng = np.random.default_rng([seed, which, int(1000 * sigma)])
            noise = FAMILIES[family](rng, clean)
            yield name, seed, corrupt(clean, noise, rng, sigma), 255 * _CONTRAST * noise


def rejection(estimate: NDArray[np.floating], truth: Array) -> float:
    """Noise rejection in dB, without means: 0 is doing nothing, less makes it worse."""
    error = estimate - truth
    error -= error.mean()
    return float(10 * np.log10(np.var(truth) / np.mean(error**2)))


def rejection_at_border(estimate: NDArray[np.floating], truth: Array, width: int = 8) -> float:
    """Noise rejection in dB of the outer pixels, relative to the noise of the whole image."""
    error = estimate - truth
    error -= error.mean()
    outer = np.ones(error.shape, dtype=bool)
    outer[width:-width, width:-width] = False
    return float(10 * np.log10(np.var(truth) / np.mean(error[outer] ** 2)))
