"""Find how a coarse level of an image pyramid was computed from the finest level."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Reduction = Callable[[NDArray[Any]], NDArray[Any]]

_ROUNDING = 1e-5  # of the largest value; larger than the rounding of float32 means (10⁻⁷ · 64)


def find_reduction(fine: NDArray[Any], coarse: NDArray[Any]) -> Reduction | None:
    """Find how one plane was reduced to another, among the common methods.

    The methods are any one pixel of each block, and the mean of each block. Both are linear, so
    the reduced noise is exactly the noise of the coarse plane, including aliases.

    Parameters
    ----------
    fine, coarse : ndarray
        Planes with the same number of axes.

    Returns
    -------
    callable or None
        Reduces an array of the fine shape to the coarse shape. None if no method fits.
    """
    known = np.isfinite(coarse)
    if fine.dtype.kind == "f":
        tolerance = _ROUNDING * float(np.abs(coarse).max(initial=0, where=known))
    else:  # pyramids are computed level by level, and each level may truncate a fraction
        tolerance = 1 + math.log2(max(fine.size / max(coarse.size, 1), 1)) / 2
    for is_exact, reduction in _reductions(fine.shape, coarse.shape):
        with np.errstate(invalid="ignore"):  # of infinity less infinity
            made = reduction(fine)
            if is_exact:
                is_same = np.array_equal(made, coarse, equal_nan=True)
            else:
                is_same = np.abs(made - coarse).max(initial=0, where=known) <= tolerance
        if is_same:
            return reduction
    return None


def _reductions(
    fine: tuple[int, ...], coarse: tuple[int, ...]
) -> Iterator[tuple[bool, Reduction]]:
    """Yield reductions from one shape to another, and whether they only pick pixels."""
    if len(fine) != len(coarse):
        return
    factors = [round(n / m) for n, m in zip(fine, coarse, strict=True)]
    if min(factors) < 1:
        return
    for offsets in product(*map(range, factors)):
        where = tuple(slice(o, None, f) for o, f in zip(offsets, factors, strict=True))
        picked = [len(range(n)[part]) for n, part in zip(fine, where, strict=True)]
        if all(count >= m for count, m in zip(picked, coarse, strict=True)):
            yield True, _pick(where, coarse)
    if all(n >= f * m for n, f, m in zip(fine, factors, coarse, strict=True)):
        yield False, _mean(factors, coarse)


def _pick(where: tuple[slice, ...], coarse: tuple[int, ...]) -> Reduction:
    """Reduction by one pixel of each block."""
    return lambda array: array[where][tuple(map(slice, coarse))]


def _mean(factors: list[int], coarse: tuple[int, ...]) -> Reduction:
    """Reduction by the mean of each block."""
    blocks = [length for pair in zip(coarse, factors, strict=True) for length in pair]
    whole = tuple(slice(f * m) for f, m in zip(factors, coarse, strict=True))
    within = tuple(range(1, len(blocks), 2))
    return lambda array: array[whole].reshape(blocks).mean(within, dtype=np.float64)
