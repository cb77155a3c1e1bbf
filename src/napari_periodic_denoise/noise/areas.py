"""Areas of an image: exemplars of noise alone, and protected areas."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import avg_pool2d, max_pool2d

Mask = NDArray[np.bool_]
Rectangle = tuple[int, int, int, int]  # y0, x0, y1, x1; row y1 and column x1 are excluded

MIN_PIXELS = 256  # 16×16, the smallest image; smaller areas show no period of most noise


def as_mask(area: Any, shape: tuple[int, int], name: str) -> Mask:  # noqa: ANN401 - checked
    """Convert an area to a mask.

    Parameters
    ----------
    area : array-like
        A mask of bool or labels of integers (nonzero inside), of the image's shape; or
        rectangles ``(y0, x0, y1, x1)`` in whole pixels, row y1 and column x1 excluded.
    shape : tuple of int
        ``(H, W)`` of the image.
    name : str
        Name of the area for errors.

    Returns
    -------
    ndarray of bool, shape (H, W)

    Raises
    ------
    ValueError
        If the area is neither, or does not fit the image.
    """
    try:
        array = np.asarray(area)
    except ValueError:  # lists of different lengths
        array = np.asarray(None)
    if array.shape == shape and array.dtype.kind in "biu":
        mask: Mask = array != 0
        return mask
    if array.ndim == 2 and array.shape[1] == 4 and array.dtype.kind in "iuf":
        return _filled(array, shape, name)
    if array.size == 0:
        return np.zeros(shape, dtype=bool)
    raise ValueError(
        f"expected {name} as a mask or labels of the image's shape {shape}, or as a list of "
        f"rectangles (y0, x0, y1, x1), got "
        + (repr(area) if array.dtype == object else f"{array.dtype} of shape {array.shape}")
    )


def as_exemplar(area: Any, shape: tuple[int, int]) -> Mask:  # noqa: ANN401 - checked
    """Convert an area of noise alone to a mask.

    Parameters
    ----------
    area, shape
        As for `as_mask`.

    Returns
    -------
    ndarray of bool, shape (H, W)

    Raises
    ------
    ValueError
        As for `as_mask`, or if fewer than 256 pixels are marked.
    """
    mask = as_mask(area, shape, "exemplar")
    marked = int(np.count_nonzero(mask))
    if not marked:
        raise ValueError("the exemplar is empty: mark an area that contains only noise")
    if marked < MIN_PIXELS:
        raise ValueError(
            f"the exemplar has {marked} pixels; at least {MIN_PIXELS} are needed, for example "
            "16×16: mark an area of several periods of the noise"
        )
    return mask


def as_protected(area: Any, shape: tuple[int, int]) -> Mask:  # noqa: ANN401 - checked
    """Convert an area that the fit ignores to a mask.

    Parameters
    ----------
    area, shape
        As for `as_mask`.

    Returns
    -------
    ndarray of bool, shape (H, W)

    Raises
    ------
    ValueError
        As for `as_mask`, or if fewer than 256 pixels are unprotected.
    """
    mask = as_mask(area, shape, "protect")
    free = mask.size - int(np.count_nonzero(mask))
    if free < MIN_PIXELS:
        raise ValueError(
            f"only {free} pixels are unprotected; at least {MIN_PIXELS} are needed: protect a "
            "smaller area"
        )
    return mask


def subtraction_weight(
    protected: Mask | None, edge: float | None, device: torch.device
) -> torch.Tensor | None:
    """Weight of the subtraction at each pixel.

    Parameters
    ----------
    protected : ndarray of bool, shape (H, W), or None
    edge : float or None
        Largest width in pixels of the transition around the area. None subtracts all noise
        everywhere.
    device : torch.device

    Returns
    -------
    Tensor of float32, shape (H, W), or None
        Zero inside the area, one farther away than the edge, and smooth between. None stands for
        one everywhere.
    """
    if protected is None or edge is None:
        return None
    # The mask is dilated by half of the edge and averaged over as much, so zero and one are
    # exact. A reach beyond the image's sides would only take time.
    reach = int(min(edge / 2, max(protected.shape)))
    covered = torch.from_numpy(protected.astype(np.float32)).to(device)[None, None]
    for pool in (max_pool2d, partial(avg_pool2d, count_include_pad=False)):
        for size, padding in (((2 * reach + 1, 1), (reach, 0)), ((1, 2 * reach + 1), (0, reach))):
            covered = pool(covered, size, 1, padding)
    return 1 - covered[0, 0]


def rectangles(mask: Mask) -> list[Rectangle]:
    """Split a mask into rectangles without overlap.

    Parameters
    ----------
    mask : ndarray of bool, shape (H, W)

    Returns
    -------
    list of tuple of int
        ``(y0, x0, y1, x1)``, row y1 and column x1 excluded. A rectangular mask gives one.
    """
    found: list[Rectangle] = []
    growing: dict[tuple[int, int], int] = {}  # runs of columns, and the rows where they start
    for y, row in enumerate([*mask, np.zeros_like(mask[0])]):
        ends = np.flatnonzero(np.diff(row, prepend=False, append=False)).tolist()
        runs = list(zip(ends[::2], ends[1::2], strict=True))
        for x0, x1 in growing.keys() - runs:
            found.append((growing.pop((x0, x1)), x0, y, x1))
        for run in runs:
            growing.setdefault(run, y)
    return sorted(found)


def largest_rectangle(mask: Mask) -> Rectangle:
    """Find a large rectangle in a mask, extended from the largest square.

    Parameters
    ----------
    mask : ndarray of bool, shape (H, W)
        A mask with at least one pixel.

    Returns
    -------
    tuple of int
        ``(y0, x0, y1, x1)``, row y1 and column x1 excluded.
    """
    total = np.pad(mask.cumsum(0).cumsum(1), ((1, 0), (1, 0)))

    def square(side: int) -> NDArray[np.int64]:
        inside = total[side:, side:] - total[:-side, side:] - total[side:, :-side]
        return np.argwhere(inside + total[:-side, :-side] == side * side)[:1]

    low, high = 1, min(mask.shape) + 1  # a square of side low exists, one of side high does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if len(square(middle)) else (low, middle)
    (y0, x0), *_ = square(low).tolist()
    y1, x1 = y0 + low, x0 + low
    # extend along the better axis; along both, a corner may be missing
    rows = _run(np.asarray(mask[:, x0:x1].all(1)), y0)
    columns = _run(np.asarray(mask[y0:y1].all(0)), x0)
    if rows[1] - rows[0] >= columns[1] - columns[0]:
        y0, y1 = rows
    else:
        x0, x1 = columns
    return y0, x0, y1, x1


def _filled(corners: NDArray[Any], shape: tuple[int, int], name: str) -> Mask:
    """Convert rectangles, shape (n, 4), to a mask."""
    mask = np.zeros(shape, dtype=bool)
    for corner in corners.tolist():
        if not all(float(position).is_integer() for position in corner):
            raise ValueError(f"rectangle {tuple(corner)} of {name} is not in whole pixels")
        y0, x0, y1, x1 = map(int, corner)
        if not (0 <= y0 < y1 <= shape[0] and 0 <= x0 < x1 <= shape[1]):
            raise ValueError(
                f"expected rectangles (y0, x0, y1, x1) of {name} with y0 < y1 and x0 < x1 inside "
                f"the image of shape {shape}, got {(y0, x0, y1, x1)}"
            )
        mask[y0:y1, x0:x1] = True
    return mask


def _run(full: NDArray[np.bool_], at: int) -> tuple[int, int]:
    """Start and end of the run of true values around an index."""
    gaps = np.flatnonzero(~full)
    before = gaps[gaps < at]
    after = gaps[gaps > at]
    return (
        int(before[-1]) + 1 if len(before) else 0,
        int(after[0]) if len(after) else len(full),
    )
