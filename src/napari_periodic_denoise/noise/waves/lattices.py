"""Find waves that belong together: harmonics of one base frequency, lattices of two."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from napari_periodic_denoise.noise.waves.frequency import (
    LEAKAGE_FREE,
    Float,
    distances,
    lowest_alias,
)

# benchmarks.rejection checks these numbers (hexagonal lattice, clipped square grid, stripes).
_STRONGEST = 8  # number of waves among which bases are searched
_NEAR = 0.3  # cycles across the image; largest error of a member's frequency
_HARMONICS = 32  # highest multiple of one base
_LATTICE = 4  # highest multiple of two bases
_FAR = 8  # the same, for thorough searches; of 59 sites it is 8 (benchmarks.weak)
_NEIGHBOURHOOD = 2  # steps from an occupied site within which missing sites are searched
# the strongest waves of a lattice may be sites of a coarser one, of a half or a third of the sites
_FINER = (2, 3)
_DIVISORS = (1, 2, 3, 4, 5, 7)  # a wave may be the harmonic of this order
_MIN_HARMONICS = 3  # minimum number of harmonics in a series
MIN_DISTANCE = 1.5  # cycles across the image between a site and the waves, and the mean
_DISTORTION = 1.5  # cycles across the image; largest error of a bent lattice
_MIN_SINE = 0.1  # sine of the smallest angle between two different directions
# Relative to both, largest difference of the periods, and of the angle from 90°, of a print's
# screen (benchmarks.lines, tone-following dots).
SQUARE = 0.05
_MIN_PERIOD = 2.5  # pixels; shorter periods alias from the first harmonic on


def index_lattice(
    frequencies: Float, strengths: Float, shape: tuple[int, int], *, thorough: bool = False
) -> tuple[Float, Float]:
    """Describe waves as integer combinations of as few base frequencies as possible.

    Parameters
    ----------
    frequencies : ndarray, shape (K, 2)
        Cycles/pixel, with an error well below a cycle across the image.
    strengths : ndarray, shape (K,)
        Bases are searched among the strongest waves.
    shape : tuple of int
        ``(H, W)`` of the image.
    thorough : bool
        Whether to look for finer lattices too, and for multiples up to 8 of the shortest bases:
        for waves so weak that the strongest ones need not be those of the lowest orders.

    Returns
    -------
    bases : ndarray, shape (G, 2)
        Cycles/pixel.
    ties : ndarray of whole numbers, shape (K, G)
        ``ties @ bases`` are the frequencies, up to aliases and signs.
    """
    count = len(frequencies)
    free = np.ones(count, dtype=bool)
    bases: list[Float] = []
    columns: list[Float] = []
    while free.sum() >= 2:
        found = _richest(frequencies, np.where(free, strengths, -1), shape, thorough=thorough)
        if found is None:
            break
        new_bases, ties = found
        ties[~free] = 0
        bases.extend(new_bases)
        columns.extend(ties.T)
        free &= ~ties.any(1)
    for index in np.flatnonzero(free):
        bases.append(frequencies[index])
        columns.append(np.eye(count)[index])
    return np.array(bases).reshape(-1, 2), np.array(columns).reshape(-1, count).T


def _richest(
    frequencies: Float, strengths: Float, shape: tuple[int, int], *, thorough: bool
) -> tuple[Float, Float] | None:
    """Find the one or two bases with the most members, not counting themselves."""
    order = [int(i) for i in np.argsort(-strengths)[:_STRONGEST] if strengths[i] >= 0]
    chosen = [*((i,) for i in order), *itertools.combinations(order, 2)]
    candidates = [frequencies[list(each)] for each in chosen]
    best, result = 0, None
    while candidates:
        bases = candidates.pop(0)
        if len(bases) == 2:
            if parallel(*lowest_alias(bases)):
                continue
            bases = _shortest(lowest_alias(bases)) if thorough else bases
        reach = _HARMONICS if len(bases) == 1 else _FAR if thorough else _LATTICE
        ties = lattice_indices(frequencies, bases, reach, shape)
        score = int((ties.any(1) & (strengths >= 0)).sum()) - len(bases)
        if score > best:
            best, result = score, (bases, ties)
            finer = _finer(bases) if thorough else []
        if not candidates and result is not None:
            candidates, finer = finer, []
    return result


def _shortest(bases: Float) -> Float:
    """Shortest two bases of the same lattice (Lagrange 1773): multiples are low then."""
    one, other = bases
    while True:
        if one @ one > other @ other:
            one, other = other, one
        steps = np.rint(one @ other / (one @ one))
        if not steps:
            return np.array([one, other])
        other = other - steps * one


def _finer(bases: Float) -> list[Float]:
    """Bases of all lattices that contain that of two bases, with two or three times its sites."""
    if len(bases) < 2:
        return []
    one, other = bases
    return [
        np.array(pair)
        for p in _FINER
        for pair in (
            (one / p, other),
            *(((other + j * one) / p, one) for j in range(-((p - 1) // 2), p // 2 + 1)),
        )
    ]


def lattice_indices(frequencies: Float, bases: Float, reach: int, shape: tuple[int, int]) -> Float:
    """Integer combination of the bases that gives each frequency.

    Parameters
    ----------
    frequencies : ndarray, shape (K, 2)
        Cycles/pixel.
    bases : ndarray, shape (G, 2)
        One or two bases in cycles/pixel.
    reach : int
        Largest multiple of a base.
    shape : tuple of int
        ``(H, W)`` of the image.

    Returns
    -------
    ndarray of whole numbers, shape (K, G)
        The lowest combination that fits. Zeros where none fits.
    """
    points = combinations(len(bases), reach)
    points = np.concatenate([points, -points])
    points = points[np.argsort(np.abs(points).sum(1), kind="stable")]
    difference = lowest_alias(frequencies[:, None] - points @ bases)
    near = np.hypot(*np.moveaxis(difference * shape, 2, 0)) < _NEAR
    ties: Float = np.where(near.any(1)[:, None], points[near.argmax(1)], 0.0)
    return ties


def combinations(bases: int, reach: int) -> Float:
    """List integer combinations, one of each opposite pair.

    Parameters
    ----------
    bases : int
        Number of bases G, one or two.
    reach : int
        Largest multiple of a base.

    Returns
    -------
    ndarray of whole numbers, shape (M, G)
    """
    multiples = range(-reach, reach + 1)
    points = [p for p in itertools.product(multiples, repeat=bases) if p > (0,) * bases]
    return np.array(points, dtype=np.float64)


def missing_sites(bases: Float, ties: Float, shape: tuple[int, int]) -> Float:
    """List lattice sites and harmonics without a wave, close to those with one.

    Parameters
    ----------
    bases : ndarray, shape (G, 2)
        Cycles/pixel.
    ties : ndarray of whole numbers, shape (K, G)
        Multiples of the bases for each known wave.
    shape : tuple of int
        ``(H, W)`` of the image.

    Returns
    -------
    ndarray of whole numbers, shape (M, G)
    """
    together = ties.astype(bool)
    occupied = ties @ bases
    missing = []
    for first in range(len(bases)):
        shared = together[together[:, first]].any(0)
        partners = np.flatnonzero(shared)
        if partners[0] != first or together[:, first].sum() < 2:
            continue  # already done with its partner, or a single wave
        members = ties[together[:, first]][:, partners]
        for point in combinations(len(partners), int(np.abs(members).max()) + _NEIGHBOURHOOD):
            if np.abs(np.abs(point) - np.abs(members)).sum(1).min() > _NEIGHBOURHOOD:
                continue
            site = np.zeros(len(bases))
            site[partners] = point
            frequency = site @ bases
            nearest = distances(np.concatenate([frequency[None], occupied]), shape)[0, 1:].min()
            cycles = np.hypot(*(lowest_alias(frequency) * shape))
            if cycles > MIN_DISTANCE and nearest > MIN_DISTANCE:
                missing.append(site)
                occupied = np.concatenate([occupied, frequency[None]])
    return np.array(missing).reshape(-1, len(bases))


def in_lattices(frequencies: Float, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Find the waves of lattices: three waves of different directions, one the sum of two.

    Parameters
    ----------
    frequencies : ndarray, shape (K, 2)
        Cycles/pixel.
    shape : tuple of int
        ``(H, W)`` of the image.

    Returns
    -------
    ndarray of bool, shape (K,)
    """
    members = np.zeros(len(frequencies), dtype=bool)
    for first, frequency in enumerate(frequencies):
        later = frequencies[first + 1 :]
        # waves of one direction are harmonics, for example of stripes
        crossing = ~parallel(frequency, later)
        for one, other in itertools.product((1, -1), repeat=2):
            sums = lowest_alias(frequency + one * later[:, None] + other * later) * shape
            error = np.hypot(sums[..., 0], sums[..., 1])
            threes = np.triu((error < _DISTORTION) & crossing[:, None], 1)
            members[first] |= threes.any()
            members[first + 1 :] |= threes.any(0) | threes.any(1)
    return members


def square_lattice(frequencies: Float, strengths: Float, shape: tuple[int, int]) -> Float | None:
    """Find two bases of equal length at a right angle, whose sites have the most variance.

    Parameters
    ----------
    frequencies : ndarray, shape (K, 2)
        Cycles/pixel.
    strengths : ndarray, shape (K,)
        Amplitudes. Bases are searched among the strongest waves.
    shape : tuple of int
        ``(H, W)`` of the image.

    Returns
    -------
    ndarray, shape (2, 2), or None
        Cycles/pixel. None if no two waves are such bases.
    """
    most, result = 0.0, None
    for first, second in itertools.combinations(np.argsort(-strengths)[:_STRONGEST], 2):
        bases = frequencies[[first, second]]
        lengths = np.hypot(*bases.T)
        cosine = abs(bases[0] @ bases[1]) / lengths.prod()
        if max(cosine, abs(lengths[0] / lengths[1] - 1)) > SQUARE:
            continue
        members = lattice_indices(frequencies, bases, _LATTICE, shape).any(1)
        energy = float((strengths[members] ** 2).sum())
        if energy > most:
            most, result = energy, bases
    return result


def parallel(f: Float, g: Float) -> NDArray[np.bool_]:
    """Whether one frequency has the same direction as others, or nearly.

    Parameters
    ----------
    f : ndarray, shape (2,)
        Cycles/pixel.
    g : ndarray, shape (..., 2)

    Returns
    -------
    ndarray of bool, shape (...)
    """
    cross = np.abs(f[0] * g[..., 1] - f[1] * g[..., 0])
    lengths = np.hypot(*f), np.hypot(g[..., 0], g[..., 1])
    same: NDArray[np.bool_] = cross <= _MIN_SINE * lengths[0] * lengths[1]
    return same


def fundamental(
    frequencies: Float, strengths: Float, shape: tuple[int, int]
) -> tuple[Float, NDArray[np.bool_]] | None:
    """Find the base frequency whose harmonics have the most variance.

    Parameters
    ----------
    frequencies : ndarray, shape (K, 2)
        Cycles/pixel.
    strengths : ndarray, shape (K,)
        Amplitudes.
    shape : tuple of int
        ``(H, W)`` of the image.

    Returns
    -------
    base : ndarray, shape (2,)
        Cycles/pixel.
    members : ndarray of bool, shape (K,)
        Harmonics of the base, including aliased ones.

    None is returned if no base has three harmonics.
    """
    results = []
    order = np.argsort(-strengths)[:_STRONGEST]
    differences = [frequencies[i] - frequencies[j] for i, j in itertools.permutations(order, 2)]
    for base in [frequencies[i] / d for d in _DIVISORS for i in order] + differences:
        if np.hypot(*base) > 1 / _MIN_PERIOD or np.hypot(*(base * shape)) < LEAKAGE_FREE:
            continue
        multiples = np.abs(lattice_indices(frequencies, base[None], _HARMONICS, shape)[:, 0])
        if np.count_nonzero(multiples) >= _MIN_HARMONICS:
            energy = float((strengths[multiples > 0] ** 2).sum())
            results.append((energy, float(strengths**2 @ multiples), base, multiples > 0))
    if not results:
        return None
    highest = max(energy for energy, *_ in results)
    # several bases can have the same members: aliases, and parts of the period; the one with the
    # lowest harmonics is the period
    *_, base, members = min(
        (result for result in results if result[0] > 0.999 * highest), key=lambda result: result[1]
    )
    return _averaged(base, frequencies, strengths, shape), members


def _averaged(base: Float, frequencies: Float, strengths: Float, shape: tuple[int, int]) -> Float:
    """Weighted least-squares estimate of the base; strong and high harmonics count most."""
    multiples = lattice_indices(frequencies, base[None], _HARMONICS, shape)[:, 0]
    errors = lowest_alias(frequencies - multiples[:, None] * base)
    weights = strengths**2 * multiples
    averaged: Float = base + weights @ errors / (weights @ multiples)
    return averaged
