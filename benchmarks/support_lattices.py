"""Weak lattices in white noise, as of the crystals that support specimens in cryo-EM.

``python -m benchmarks.weak --kinds lattices`` runs it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.families import Array, rejection
from napari_periodic_denoise import estimate_noise
from napari_periodic_denoise.noise.waves.frequency import SAME_FREQUENCY, distances
from napari_periodic_denoise.noise.waves.synthesis import phasors, render_noise

WAVES = 59
AMPLITUDE = 0.04  # largest, in deviations of the random noise
LEAST = 10  # times what a matched filter needs, from which on a wave has to be found
FOUND = 0.9  # share of those, at least
SHORT = 3.0  # dB under least squares at the true frequencies, at most
ORDERS = 8  # largest multiple of a base
# lattice-sub: the pixel size of its examples, in Å, and a choice of its thresholds
PIXEL = 0.56
THRESHOLDS: tuple[str | float, ...] = ("auto", 1.42, 1.56)

Complex = NDArray[np.complex128]


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """A lattice in white noise of deviation one.

    Attributes
    ----------
    image : ndarray of float32, shape (n, n)
    truth : ndarray of float64, shape (n, n)
    frequencies : ndarray of float64, shape (59, 2)
        Cycles/pixel.
    times : ndarray of float64, shape (59,)
        Energy ``a²N / 4σ²`` of each wave, in units of what a matched filter needs.
    period : float
        Of the longer base, in pixels.
    """

    image: NDArray[np.float32]
    truth: Array
    frequencies: Array
    times: Array
    period: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What is found of a lattice, and its rejection.

    Attributes
    ----------
    certain, sure : int
        Waves that have to be found, and those of them that are.
    found, others : int
        Waves of the lattice that are found, and other waves.
    suggested : bool
        Whether waves are only suggested, since they may be the specimen.
    removed : float
        Rejection in dB, with what is suggested.
    bound : float
        Rejection in dB of least squares at the true frequencies.
    peer : float or None
        Rejection in dB of lattice-sub at its best threshold, if it is installed.
    """

    certain: int
    sure: int
    found: int
    others: int
    suggested: bool
    removed: float
    bound: float
    peer: float | None


def support_lattices(pool: Executor, sizes: Iterable[int], seeds: int) -> bool:
    """Print how well lattices are found and removed; tell whether the bounds are met."""
    print(
        f"\n{WAVES} waves of a lattice in white Gaussian noise of σ, up to {AMPLITUDE} σ, half of "
        "them hexagonal\n\nA lattice that may be the specimen is only suggested; the rejection "
        "is with what is suggested. Least squares are told the frequencies, and do not refine "
        "them. lattice-sub is told a pixel size and the period, and has the threshold that does "
        f"best of {', '.join(map(str, THRESHOLDS))}.\n\n"
        f"| pixels | found above {LEAST} × needed | found of all | other waves | suggested only "
        "| rejection, mean (worst), dB | least squares, dB | lattice-sub, dB |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    met = True
    for size in sizes:
        of_size = list(pool.map(measured_on_lattice, ((size, seed) for seed in range(seeds))))
        certain, sure = sum(m.certain for m in of_size), sum(m.sure for m in of_size)
        removed, bound = ([getattr(m, k) for m in of_size] for k in ("removed", "bound"))
        met &= sure >= FOUND * certain and np.mean(removed) > np.mean(bound) - SHORT
        peers = [m.peer for m in of_size if m.peer is not None]
        print(
            f"| {size}² | {sure} of {certain} | {sum(m.found for m in of_size)} of "
            f"{WAVES * seeds} | {sum(m.others for m in of_size)} | "
            f"{sum(m.suggested for m in of_size)} of {seeds} | {np.mean(removed):.1f} "
            f"({min(removed):.1f}) | {np.mean(bound):.1f} | "
            f"{f'{np.mean(peers):.1f}' if peers else 'not installed'} |",
            flush=True,
        )
    return bool(met)


def measured_on_lattice(case: tuple[int, int]) -> Measured:
    """Measure what is found of a lattice of ``(size, seed)``."""
    lattice = made_lattice(*case)
    estimate = estimate_noise(lattice.image)
    waves = [*estimate.waves, *estimate.kept_waves]
    noise = render_noise(torch.from_numpy(lattice.image), waves).numpy()
    both = np.concatenate([lattice.frequencies, *([wave.frequency] for wave in waves)])
    near = distances(both, lattice.truth.shape)[:WAVES, WAVES:] < SAME_FREQUENCY
    found, certain = near.any(1), lattice.times > LEAST
    return Measured(
        certain=int(certain.sum()),
        sure=int((found & certain).sum()),
        found=int(found.sum()),
        others=int((~near.any(0)).sum()),
        suggested=bool(estimate.kept_waves),
        removed=rejection(noise, lattice.truth),
        bound=rejection(least_squares(lattice.image, lattice.frequencies), lattice.truth),
        peer=lattice_sub(lattice),
    )


def made_lattice(size: int, seed: int) -> Lattice:
    """Make a lattice of two bases of 1/40 to 1/20 cycles/pixel, hexagonal if the seed is even.

    It has all sites up to some frequency. Their amplitudes fall with the frequency, to 1/e at the
    last one, times 0.3 to 1 at random; phases are random.
    """
    rng = np.random.default_rng([size, seed])
    lengths, angle = rng.uniform(1 / 40, 1 / 20, 2), rng.uniform(0, np.pi)
    between = rng.uniform(np.pi / 3, np.pi / 2)
    if seed % 2 == 0:
        lengths[1], between = lengths[0], np.pi / 3
    angles = np.array([angle, angle + between])
    bases = lengths[:, None] * np.stack([np.sin(angles), np.cos(angles)], 1)
    orders = np.indices((2 * ORDERS + 1,) * 2).reshape(2, -1).T - ORDERS
    sites = orders[len(orders) // 2 + 1 :] @ bases  # one of each opposite pair
    sites = sites[np.argsort(np.hypot(*sites.T), kind="stable")[:WAVES]]
    far = np.hypot(*sites.T) / np.hypot(*sites[-1])
    amplitudes = AMPLITUDE * np.exp(-(far**2)) * rng.uniform(0.3, 1, WAVES)
    coefficients = amplitudes * np.exp(2j * np.pi * rng.uniform(size=WAVES))
    truth = summed(coefficients, sites, size)
    image = (truth + rng.normal(size=truth.shape)).astype(np.float32)
    times = amplitudes**2 * size**2 / 4 / np.log(500 * size**2)
    return Lattice(image, truth, sites, times, float(1 / lengths.min()))


def summed(coefficients: Complex, frequencies: Array, size: int) -> Array:
    """Sum of waves with these complex amplitudes at pixel (0, 0)."""
    along_y, along_x = (phasors(frequencies[:, axis], size, origin=0) for axis in (0, 1))
    total: Array = ((coefficients[:, None] * along_y).T @ along_x).real
    return total


def least_squares(image: NDArray[np.float32], frequencies: Array) -> Array:
    """Fit amplitudes and phases of waves of these frequencies, jointly."""
    both, size = np.concatenate([frequencies, -frequencies]), len(image)
    along_y, along_x = (phasors(both[:, axis], size, origin=0) for axis in (0, 1))
    normal = (along_y.conj() @ along_y.T) * (along_x.conj() @ along_x.T)
    moment = ((along_y.conj() @ image) * along_x.conj()).sum(1)
    return summed(np.linalg.solve(normal, moment), both, size)


def lattice_sub(lattice: Lattice) -> float | None:
    """Rejection of lattice-sub at its best threshold; None if it is not installed."""
    if importlib.util.find_spec("lattice_subtraction") is None:
        return None
    from lattice_subtraction import Config, LatticeSubtractor

    values = []
    for threshold in THRESHOLDS:
        config = Config(
            pixel_ang=PIXEL,
            unit_cell_ang=PIXEL * lattice.period,
            threshold=threshold,
            backend="numpy",
        )
        config._quiet = True
        cleaned = LatticeSubtractor(config).process(lattice.image).image
        values.append(rejection(lattice.image - cleaned, lattice.truth))
    return max(values)
