"""Masks of what a Labels or Shapes layer marks in a plane of another layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pint
from napari.components import Dims
from napari.layers import Image, Labels, Layer, Shapes
from numpy.typing import NDArray

from napari_periodic_denoise.viewer.layers.plane import Plane

Mask = NDArray[np.bool_]

_ROWS = 256  # of labels looked up at once
_SAME = 1e-6  # pixels


class NothingMarkedError(ValueError):
    """There is no mask, for a reason that its message tells a person."""


def mask_of(layer: Layer, source: Image, plane: Plane, dims: Dims) -> Callable[[], Mask]:
    """Return the function that makes the mask of what a layer marks in a plane of a source.

    Parameters
    ----------
    layer : Labels or Shapes
        What is not zero, or drawn; of stacks, in the plane that the viewer shows together with
        that of the source. It is only read.
    source : Image
    plane : Plane
        Of the source.
    dims : Dims
        The viewer's: where it is along axes that the source does not have.

    Returns
    -------
    callable
        To be called in a worker, since it takes its time. Raises a NothingMarkedError if
        nothing is marked there.
    """
    shape = _plane_shape(source, plane)
    matrix, offset = _to_area(layer, source, plane, dims)
    if isinstance(layer, Labels):
        data = layer.data[0] if layer.multiscale else layer.data
        return partial(_sampled, layer.name, data, matrix, offset, shape)
    assert isinstance(layer, Shapes)
    vertices, kinds = [np.array(one) for one in layer.data], list(layer.shape_type)
    return partial(_drawn, layer.name, vertices, kinds, matrix, offset, shape)


def _plane_shape(source: Image, plane: Plane) -> tuple[int, int]:
    shape = (source.data[0] if source.multiscale else source.data).shape
    height, width = plane.of(np.broadcast_to(False, shape)).shape[:2]
    return height, width


def _to_area(
    layer: Layer, source: Image, plane: Plane, dims: Dims
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix and offset that take pixels of the plane to the layer's own coordinates."""
    known = min(layer.ndim, source.ndim)  # their last axes are the same axes of the world
    factors = _factors(source.units[-known:], layer.units[-known:])

    def there(y: int, x: int) -> NDArray[np.float64]:
        at = np.array(plane.start, dtype=float)
        at[list(plane.axes)] += y, x
        world = np.zeros(layer.ndim)
        reach = min(layer.ndim, dims.ndim)
        world[layer.ndim - reach :] = dims.point[dims.ndim - reach :]
        world[layer.ndim - known :] = np.array(source.data_to_world(at))[-known:] * factors
        return np.asarray(layer.world_to_data(world))

    offset = there(0, 0)
    return np.stack([there(1, 0) - offset, there(0, 1) - offset], axis=1), offset


def _factors(units: Sequence[pint.Unit], others: Sequence[pint.Unit]) -> list[float]:
    """How many of the other units each unit is; one where they don't compare, as in napari."""
    return [
        (1 * unit).to(other).magnitude if unit.is_compatible_with(other) else 1.0
        for unit, other in zip(units, others, strict=True)
    ]


def _across(matrix: NDArray[np.float64]) -> Mask:
    """Which of the layer's axes the plane extends along; at the others it lies at one place."""
    return np.asarray(np.abs(matrix).max(axis=1) > _SAME)


def _sampled(
    name: str,
    data: Any,  # noqa: ANN401 - whatever array napari was given, maybe lazy
    matrix: NDArray[np.float64],
    offset: NDArray[np.float64],
    shape: tuple[int, int],
) -> Mask:
    """Look up the label that is at each pixel."""
    across = _across(matrix)
    where = np.rint(offset[~across]).astype(int)
    lengths = np.array(data.shape)
    if (where < 0).any() or (where >= lengths[~across]).any():
        raise NothingMarkedError(
            f"“{name}” does not reach the plane that is shown: move the sliders."
        )
    index = iter(where.tolist())
    labels = np.asarray(data[tuple(slice(None) if a else next(index) for a in across)])
    if not labels.any():
        raise _nothing_marked(name)
    mask = np.zeros(shape, dtype=bool)
    x = np.arange(shape[1])
    for start in range(0, shape[0], _ROWS):
        y = np.arange(start, min(start + _ROWS, shape[0]))[:, None]
        at, inside = [], np.ones((len(y), len(x)), dtype=bool)
        for (by_y, by_x), o, length in zip(
            matrix[across], offset[across], lengths[across], strict=True
        ):
            place = o
            if abs(by_y) > _SAME:
                place = place + by_y * y
            if abs(by_x) > _SAME:
                place = place + by_x * x
            place = np.rint(place).astype(int)
            inside &= (place >= 0) & (place < length)
            at.append(place.clip(0, length - 1))
        mask[start : start + len(y)] = (labels[tuple(at)] != 0) & inside
    return _not_outside(name, mask)


def _drawn(
    name: str,
    vertices: list[NDArray[np.float64]],
    kinds: list[str],
    matrix: NDArray[np.float64],
    offset: NDArray[np.float64],
    shape: tuple[int, int],
) -> Mask:
    """Fill what is drawn in the plane."""
    across = _across(matrix)
    if np.linalg.matrix_rank(matrix) < 2:
        raise NothingMarkedError(f"“{name}” is drawn in other planes than those that are shown.")
    # as napari decides whether a shape is shown
    level = np.rint(offset[~across])
    shown = [(np.rint(corners[:, ~across]) == level).all() for corners in vertices]
    if not any(shown):
        raise _nothing_marked(name)
    back = np.linalg.pinv(matrix[across])
    moved = Shapes(
        [
            (corners[:, across] - offset[across]) @ back.T
            for corners, is_shown in zip(vertices, shown, strict=True)
            if is_shown
        ],
        shape_type=[kind for kind, is_shown in zip(kinds, shown, strict=True) if is_shown],
    )
    return _not_outside(name, moved.to_labels(shape) != 0)


def _nothing_marked(name: str) -> NothingMarkedError:
    return NothingMarkedError(f"“{name}” marks nothing in the plane that is shown: draw there.")


def _not_outside(name: str, mask: Mask) -> Mask:
    if not mask.any():
        raise NothingMarkedError(f"All that “{name}” marks lies outside of the image.")
    return mask
