"""Which waves belong together: harmonics of one base frequency, lattices of two."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from napari_periodic_denoise.noise.waves.frequency import Float, distances, lowest_alias

_STRONGEST = 8  # waves that bases are sought among
_NEAR = 0.3  # cycles across the image, by which a member may miss its place
_HARMONICS = 32
_LATTICE = 4
_FURTHER = 2  # places, up to which the next are sought beside those that are taken
_DIVISORS = (1, 2, 3, 4, 5, 7)  # of a wave that may itself be a harmonic
_PROVEN = 3  # harmonics, which no chance brings together
_NEXT = 1.5  # cycles across the image, that places keep from waves and from the mean
_DISTORTED = 1.5  # cycles across the image, by which a specimen's lattice may be bent
_ACROSS = 0.1  # sine of the angle between two directions that are not the same
_SHORTEST = 2.5  # pixels, the period of a base


def index_lattice(
    frequencies: Float, strengths: Float, shape: tuple[int, int]
) -> tuple[Float, Float]:
    """Describe waves as whole combinations of as few base frequencies as will do.

    Parameters
    ----------
    frequencies : ndarray, shape (K, 2)
        Cycles/pixel, right to a small part of a cycle across the image.
    strengths : ndarray, shape (K,)
        Bases are sought among the strongest.
    shape : tuple of int
        ``(H, W)`` of the image.

    Returns
    -------
    bases : ndarray, shape (G, 2)
        Cycles/pixel.
    ties : ndarray of whole numbers, shape (K, G)
        ``ties @ bases`` are the frequencies, up to whole cycles per pixel, and sign: a frequency
        and its opposite are one wave.
    """
    count = len(frequencies)
    free = np.ones(count, dtype=bool)
    bases: list[Float] = []
    columns: list[Float] = []
    while free.sum() >= 2:
        found = _richest(frequencies, np.where(free, strengths, -1), shape)
        if found is None:
            break
        own_bases, ties = found
        ties[~free] = 0
        bases.extend(own_bases)
        columns.extend(ties.T)
        free &= ~ties.any(1)
    for index in np.flatnonzero(free):
        bases.append(frequencies[index])
        columns.append(np.eye(count)[index])
    return np.array(bases).reshape(-1, 2), np.array(columns).reshape(-1, count).T


def _richest(
    frequencies: Float, strengths: Float, shape: tuple[int, int]
) -> tuple[Float, Float] | None:
    """Find the bases, one or two, that tie the most waves more than their own number."""
    order = [int(i) for i in np.argsort(-strengths)[:_STRONGEST] if strengths[i] >= 0]
    best, result = 0, None
    for chosen in [*((i,) for i in order), *itertools.combinations(order, 2)]:
        bases = frequencies[list(chosen)]
        if len(bases) == 2 and _parallel(*lowest_alias(bases)):
            continue
        reach = _HARMONICS if len(chosen) == 1 else _LATTICE
        ties = places(frequencies, bases, reach, shape)
        score = int((ties.any(1) & (strengths >= 0)).sum()) - len(chosen)
        if score > best:
            best, result = score, (bases, ties)
    return result


def places(frequencies: Float, bases: Float, reach: int, shape: tuple[int, int]) -> Float:
    """Combination of the bases that each frequency is, zeros where it is none.

    Parameters
    ----------
    frequencies : ndarray, shape (K, 2)
    bases : ndarray, shape (G, 2)
        One or two.
    reach : int
        Largest multiple of a base.
    shape : tuple of int
        ``(H, W)`` of the image.

    Returns
    -------
    ndarray of whole numbers, shape (K, G)
    """
    points = combinations(len(bases), reach)
    points = np.concatenate([points, -points])
    points = points[np.argsort(np.abs(points).sum(1), kind="stable")]
    difference = lowest_alias(frequencies[:, None] - points @ bases)
    near = np.hypot(*np.moveaxis(difference * shape, 2, 0)) < _NEAR
    # the lowest of the combinations that fit
    ties: Float = np.where(near.any(1)[:, None], points[near.argmax(1)], 0.0)
    return ties


def combinations(bases: int, reach: int) -> Float:
    """Whole combinations of one or two bases up to a multiple, one of each opposite pair."""
    multiples = range(-reach, reach + 1)
    points = [p for p in itertools.product(multiples, repeat=bases) if p > (0,) * bases]
    return np.array(points, dtype=np.float64)


def missing_sites(bases: Float, ties: Float, shape: tuple[int, int]) -> Float:
    """Places of lattices and harmonic series that no wave is found at, near those that are.

    Parameters
    ----------
    bases : ndarray, shape (G, 2)
        Cycles/pixel.
    ties : ndarray of whole numbers, shape (K, G)
        Of the waves that are found.
    shape : tuple of int
        ``(H, W)`` of the image.

    Returns
    -------
    ndarray of whole numbers, shape (M, G)
    """
    together = ties.astype(bool)
    taken = ties @ bases
    places = []
    for first in range(len(bases)):
        shared = together[together[:, first]].any(0)
        partners = np.flatnonzero(shared)
        if partners[0] != first or together[:, first].sum() < 2:
            continue  # done with its partner, or a wave of its own
        members = ties[together[:, first]][:, partners]
        for point in combinations(len(partners), int(np.abs(members).max()) + _FURTHER):
            if np.abs(np.abs(point) - np.abs(members)).sum(1).min() > _FURTHER:
                continue
            place = np.zeros(len(bases))
            place[partners] = point
            frequency = place @ bases
            apart = distances(np.concatenate([frequency[None], taken]), shape)[0, 1:]
            if np.hypot(*(lowest_alias(frequency) * shape)) > _NEXT and apart.min() > _NEXT:
                places.append(place)
                taken = np.concatenate([taken, frequency[None]])
    return np.array(places).reshape(-1, len(bases))


def in_lattices(frequencies: Float, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell which waves belong to lattices: three of different directions, one the sum of two.

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
        # waves of one direction are harmonics, as of stripes
        crossing = ~_parallel(frequency, later)
        for one, other in itertools.product((1, -1), repeat=2):
            sums = lowest_alias(frequency + one * later[:, None] + other * later) * shape
            missing = np.hypot(sums[..., 0], sums[..., 1])
            threes = np.triu((missing < _DISTORTED) & crossing[:, None], 1)
            members[first] |= threes.any()
            members[first + 1 :] |= threes.any(0) | threes.any(1)
    return members


def _parallel(f: Float, g: Float) -> NDArray[np.bool_]:
    across = np.abs(f[0] * g[..., 1] - f[1] * g[..., 0])
    parallel: NDArray[np.bool_] = across <= _ACROSS * np.hypot(*f) * np.hypot(g[..., 0], g[..., 1])
    return parallel


def fundamental(
    frequencies: Float, strengths: Float, shape: tuple[int, int]
) -> tuple[Float, NDArray[np.bool_]] | None:
    """Find the base frequency that the most variance is harmonics of.

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
        Its harmonics, aliased ones included.

    None where no base has three of them.
    """
    results = []
    order = np.argsort(-strengths)[:_STRONGEST]
    differences = [frequencies[i] - frequencies[j] for i, j in itertools.permutations(order, 2)]
    for base in [frequencies[i] / d for d in _DIVISORS for i in order] + differences:
        if np.hypot(*base) > 1 / _SHORTEST or np.hypot(*(base * shape)) < _PROVEN:
            continue
        multiples = np.abs(places(frequencies, base[None], _HARMONICS, shape)[:, 0])
        if np.count_nonzero(multiples) >= _PROVEN:
            reject_incomplete = float((strengths[multiples > 0] ** 2).sum())
            results.append(
                (reject_incomplete, float(strengths**2 @ multiples), base, multiples > 0)
            )
    if not results:
        return None
    most = max(reject_incomplete for reject_incomplete, *_ in results)
    # of bases that explain the same, an alias or a part of the period, that of low harmonics
    *_, base, members = min(
        (result for result in results if result[0] > 0.999 * most), key=lambda result: result[1]
    )
    return _averaged(base, frequencies, strengths, shape), members


def _averaged(base: Float, frequencies: Float, strengths: Float, shape: tuple[int, int]) -> Float:
    """Base frequency of harmonics: the more exact, the stronger and the higher one is."""
    multiples = places(frequencies, base[None], _HARMONICS, shape)[:, 0]
    missed = lowest_alias(frequencies - multiples[:, None] * base)
    weights = strengths**2 * multiples
    averaged: Float = base + weights @ missed / (weights @ multiples)
    return averaged
