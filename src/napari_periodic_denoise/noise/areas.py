"""Areas of an image: where only noise is seen, and where nothing is to be touched."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import avg_pool2d, max_pool2d

Mask = NDArray[np.bool_]
Rectangle = tuple[int, int, int, int]  # y0, x0, y1, x1; the last two excluded

LEAST_PIXELS = 256


def as_mask(area: Any, shape: tuple[int, int], name: str) -> Mask:  # noqa: ANN401 - checked
    """Mask of an area, however it is given, or why it can't be one.

    Parameters
    ----------
    area : array-like
        Mask of bool, or labels of integers that are not zero there, of the image's shape; or
        rectangles ``(y0, x0, y1, x1)`` in whole pixels, row y1 and column x1 excluded.
    shape : tuple of int
        ``(H, W)`` of the image.
    name : str
        What the area is called in errors.

    Returns
    -------
    ndarray of bool, shape (H, W)

    Raises
    ------
    ValueError
        If it is neither, or does not fit the image.
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
        f"{name} must be a mask or labels of the image's shape {shape}, or a list of "
        f"rectangles (y0, x0, y1, x1), not "
        + (repr(area) if array.dtype == object else f"{array.dtype} of shape {array.shape}")
    )


def as_exemplar(area: Any, shape: tuple[int, int]) -> Mask:  # noqa: ANN401 - checked
    """Mask of an area where only noise is seen.

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
        As for `as_mask`, and if it marks too few pixels to tell anything.
    """
    mask = as_mask(area, shape, "exemplar")
    marked = int(np.count_nonzero(mask))
    if not marked:
        raise ValueError("the exemplar is empty: no pixel is marked where only noise is seen")
    if marked < LEAST_PIXELS:
        raise ValueError(
            f"the exemplar of {marked} pixels is too small to tell noise from specimen: mark at "
            f"least {LEAST_PIXELS}, such as 16×16, and better some periods of the noise"
        )
    return mask


def as_protected(area: Any, shape: tuple[int, int]) -> Mask:  # noqa: ANN401 - checked
    """Mask of an area that the fit leaves out.

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
        As for `as_mask`, and if it leaves too few pixels to tell anything.
    """
    mask = as_mask(area, shape, "protect")
    free = mask.size - int(np.count_nonzero(mask))
    if free < LEAST_PIXELS:
        raise ValueError(
            f"protect leaves {free} pixels of the image to tell the noise by, of which there have "
            f"to be {LEAST_PIXELS}: protect a smaller area"
        )
    return mask


def subtraction_weight(
    protected: Mask | None, edge: float | None, device: torch.device
) -> torch.Tensor | None:
    """Share of the noise that is taken away from each pixel.

    Parameters
    ----------
    protected : ndarray of bool, shape (H, W), or None
    edge : float or None
        Pixels around the area over which the share rises, at most. None takes all away
        everywhere.
    device : torch.device

    Returns
    -------
    Tensor of float32, shape (H, W), or None
        Zero within the area, one further from it than the edge, smooth between them. None for
        one everywhere.
    """
    if protected is None or edge is None:
        return None
    # a mask grown by half of the edge, and averaged over as much: zero and one stay exact.
    # More than the image's sides would change nothing, and take as long as the edge is wide.
    reach = int(min(edge / 2, max(protected.shape)))
    covered = torch.from_numpy(protected.astype(np.float32)).to(device)[None, None]
    for pool in (max_pool2d, partial(avg_pool2d, count_include_pad=False)):
        for size, padding in (((2 * reach + 1, 1), (reach, 0)), ((1, 2 * reach + 1), (0, reach))):
            covered = pool(covered, size, 1, padding)
    return 1 - covered[0, 0]


def rectangles(mask: Mask) -> list[Rectangle]:
    """Rectangles that together are the mask, without overlap.

    Parameters
    ----------
    mask : ndarray of bool, shape (H, W)

    Returns
    -------
    list of tuple of int
        ``(y0, x0, y1, x1)``, row y1 and column x1 excluded; those of a rectangle are itself.
    """
    found: list[Rectangle] = []
    growing: dict[tuple[int, int], int] = {}  # runs of columns, and the rows they began in
    for y, row in enumerate([*mask, np.zeros_like(mask[0])]):
        ends = np.flatnonzero(np.diff(row, prepend=False, append=False)).tolist()
        runs = list(zip(ends[::2], ends[1::2], strict=True))
        for x0, x1 in growing.keys() - runs:
            found.append((growing.pop((x0, x1)), x0, y, x1))
        for run in runs:
            growing.setdefault(run, y)
    return sorted(found)


def largest_rectangle(mask: Mask) -> Rectangle:
    """Part of the mask that is a rectangle, grown from the largest square in it.

    Parameters
    ----------
    mask : ndarray of bool, shape (H, W)
        Not empty.

    Returns
    -------
    tuple of int
        ``(y0, x0, y1, x1)``, row y1 and column x1 excluded.
    """
    total = np.pad(mask.cumsum(0).cumsum(1), ((1, 0), (1, 0)))

    def square(side: int) -> NDArray[np.int64]:
        inside = total[side:, side:] - total[:-side, side:] - total[side:, :-side]
        return np.argwhere(inside + total[:-side, :-side] == side * side)[:1]

    low, high = 1, min(mask.shape) + 1  # a square of this side is there, and of this side none
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if len(square(middle)) else (low, middle)
    (y0, x0), *_ = square(low).tolist()
    y1, x1 = y0 + low, x0 + low
    # lengthened the better of both ways: both at once, a corner may be missing
    rows = _run(np.asarray(mask[:, x0:x1].all(1)), y0)
    columns = _run(np.asarray(mask[y0:y1].all(0)), x0)
    if rows[1] - rows[0] >= columns[1] - columns[0]:
        y0, y1 = rows
    else:
        x0, x1 = columns
    return y0, x0, y1, x1


def _filled(corners: NDArray[Any], shape: tuple[int, int], name: str) -> Mask:
    mask = np.zeros(shape, dtype=bool)
    for corner in corners.tolist():
        if not all(float(place).is_integer() for place in corner):
            raise ValueError(f"rectangle {tuple(corner)} of {name} is not in whole pixels")
        y0, x0, y1, x1 = map(int, corner)
        if not (0 <= y0 < y1 <= shape[0] and 0 <= x0 < x1 <= shape[1]):
            raise ValueError(
                f"rectangle {(y0, x0, y1, x1)} of {name} is no (y0, x0, y1, x1) with "
                f"y0 < y1 and x0 < x1 inside the image of shape {shape}"
            )
        mask[y0:y1, x0:x1] = True
    return mask


def _run(full: NDArray[np.bool_], at: int) -> tuple[int, int]:
    """Start and end of the run of true values around one of them."""
    gaps = np.flatnonzero(~full)
    before = gaps[gaps < at]
    after = gaps[gaps > at]
    return (
        int(before[-1]) + 1 if len(before) else 0,
        int(after[0]) if len(after) else len(full),
    )
