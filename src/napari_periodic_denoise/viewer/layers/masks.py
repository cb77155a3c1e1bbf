"""Masks of a plane, from a Labels or Shapes layer."""

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

_ROWS = 256  # rows of labels looked up at once; a few MB of indices for usual images
_TOLERANCE = 1e-6  # pixels; far above the rounding errors of float64, far below a pixel


class NothingMarkedError(ValueError):
    """The mask would be empty; the message tells the user why."""


def mask_of(layer: Layer, source: Image, plane: Plane, dims: Dims) -> Callable[[], Mask]:
    """Return a function that computes the mask that a layer marks in a plane of a source.

    Parameters
    ----------
    layer : Labels or Shapes
        Marks non-zero labels, or the inside of shapes. Of a stack, the plane that the viewer
        shows together with that of the source. The layer is only read.
    source : Image
    plane : Plane
        The source's.
    dims : Dims
        The viewer's, for the position along axes that the source does not have.

    Returns
    -------
    callable
        Slow, so call it in a thread. Raises a NothingMarkedError if nothing is marked.
    """
    shape = _plane_shape(source, plane)
    matrix, offset = _to_layer(layer, source, plane, dims)
    if isinstance(layer, Labels):
        data = layer.data[0] if layer.multiscale else layer.data
        return partial(_sample_labels, layer.name, data, matrix, offset, shape)
    assert isinstance(layer, Shapes)
    vertices, kinds = [np.array(one) for one in layer.data], list(layer.shape_type)
    return partial(_fill_shapes, layer.name, vertices, kinds, matrix, offset, shape)


def _plane_shape(source: Image, plane: Plane) -> tuple[int, int]:
    shape = (source.data[0] if source.multiscale else source.data).shape
    height, width = plane.of(np.broadcast_to(False, shape)).shape[:2]
    return height, width


def _to_layer(
    layer: Layer, source: Image, plane: Plane, dims: Dims
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return matrix and offset from the plane's pixels to the layer's own coordinates."""
    known = min(layer.ndim, source.ndim)  # the last axes of both are the same world axes
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
    """Return the conversion factors between units; 1 if they are not comparable, as in napari."""
    return [
        (1 * unit).to(other).magnitude if unit.is_compatible_with(other) else 1.0
        for unit, other in zip(units, others, strict=True)
    ]


def _extended_axes(matrix: NDArray[np.float64]) -> Mask:
    """Return which of the layer's axes the plane extends along; it is one slice of the others."""
    return np.asarray(np.abs(matrix).max(axis=1) > _TOLERANCE)


def _sample_labels(
    name: str,
    data: Any,  # noqa: ANN401 - any array that napari accepts, perhaps lazy
    matrix: NDArray[np.float64],
    offset: NDArray[np.float64],
    shape: tuple[int, int],
) -> Mask:
    """Look up the label at each pixel."""
    extended = _extended_axes(matrix)
    where = np.rint(offset[~extended]).astype(int)
    lengths = np.array(data.shape)
    if (where < 0).any() or (where >= lengths[~extended]).any():
        raise NothingMarkedError(f"“{name}” does not reach the displayed plane. Move the sliders.")
    index = iter(where.tolist())
    labels = np.asarray(data[tuple(slice(None) if a else next(index) for a in extended)])
    if not labels.any():
        raise _nothing_marked(name)
    mask = np.zeros(shape, dtype=bool)
    x = np.arange(shape[1])
    for start in range(0, shape[0], _ROWS):
        y = np.arange(start, min(start + _ROWS, shape[0]))[:, None]
        at, inside = [], np.ones((len(y), len(x)), dtype=bool)
        for (by_y, by_x), o, length in zip(
            matrix[extended], offset[extended], lengths[extended], strict=True
        ):
            place = o
            if abs(by_y) > _TOLERANCE:
                place = place + by_y * y
            if abs(by_x) > _TOLERANCE:
                place = place + by_x * x
            place = np.rint(place).astype(int)
            inside &= (place >= 0) & (place < length)
            at.append(place.clip(0, length - 1))
        mask[start : start + len(y)] = (labels[tuple(at)] != 0) & inside
    return _check_not_empty(name, mask)


def _fill_shapes(
    name: str,
    vertices: list[NDArray[np.float64]],
    kinds: list[str],
    matrix: NDArray[np.float64],
    offset: NDArray[np.float64],
    shape: tuple[int, int],
) -> Mask:
    """Fill the shapes in the plane."""
    extended = _extended_axes(matrix)
    if np.linalg.matrix_rank(matrix) < 2:
        raise NothingMarkedError(
            f"“{name}” is not drawn parallel to the displayed plane. Draw in this view."
        )
    # napari's rule for whether a shape is visible
    level = np.rint(offset[~extended])
    visible = [(np.rint(corners[:, ~extended]) == level).all() for corners in vertices]
    if not any(visible):
        raise _nothing_marked(name)
    to_plane = np.linalg.pinv(matrix[extended])
    projected = Shapes(
        [
            (corners[:, extended] - offset[extended]) @ to_plane.T
            for corners, is_visible in zip(vertices, visible, strict=True)
            if is_visible
        ],
        shape_type=[kind for kind, is_visible in zip(kinds, visible, strict=True) if is_visible],
    )
    return _check_not_empty(name, projected.to_labels(shape) != 0)


def _nothing_marked(name: str) -> NothingMarkedError:
    return NothingMarkedError(f"“{name}” marks nothing in the displayed plane. Draw there.")


def _check_not_empty(name: str, mask: Mask) -> Mask:
    if not mask.any():
        raise NothingMarkedError(f"Everything that “{name}” marks lies outside the image.")
    return mask
