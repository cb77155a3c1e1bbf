"""Planes of a layer: the displayed one, the part in view, and the user's choice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_periodic_denoise.options import STACK_MODELS

if TYPE_CHECKING:
    from napari.components import Dims
    from napari.layers import Image

THIS_PLANE = "this plane"

#: Message if the sliders are outside the layer.
NO_PLANE_SHOWN = "No plane of this layer is displayed. Move the sliders to one."

#: Pixels per side of the largest preview, which takes 0.4 to 0.7 s on two cores (docs/dock.md).
PREVIEW_SIZE = 1024

_LABELS = {
    "per_plane": "Every plane, by itself",
    "shared": "One model for all",
    "drifting": "One model, drifting",
}
#: The choices: label and value.
PLANES = [("This plane", THIS_PLANE), *((_LABELS[model], model) for model in STACK_MODELS)]


@dataclass(frozen=True, slots=True)
class Plane:
    """One plane of a layer, or a part of it.

    Attributes
    ----------
    axes : tuple of int
        The layer's axes that span the plane, in ascending order.
    index : tuple of int
        Position along the other, stacked axes; empty if the layer is 2-D.
    part : tuple of (int, int), optional
        First pixel and end along each of its axes; by default, the whole plane.
    """

    axes: tuple[int, int] = (0, 1)
    index: tuple[int, ...] = ()
    part: tuple[tuple[int, int], tuple[int, int]] | None = None

    @property
    def ndim(self) -> int:
        """Number of the layer's axes."""
        return len(self.axes) + len(self.index)

    @property
    def stacked(self) -> tuple[int, ...]:
        """The layer's stacked axes."""
        return tuple(axis for axis in range(self.ndim) if axis not in self.axes)

    @property
    def start(self) -> tuple[int, ...]:
        """Index of the plane's first pixel in the layer's data."""
        at = dict(zip(self.stacked, self.index, strict=True))
        if self.part is not None:
            at |= {axis: first for axis, (first, _) in zip(self.axes, self.part, strict=True)}
        return tuple(at.get(axis, 0) for axis in range(self.ndim))

    def of(self, data: Any) -> Any:  # noqa: ANN401 - any array that napari accepts
        """Return the plane's pixels; lazy if the data are."""
        slices: list[int | slice] = list(self.start)
        for axis, ends in zip(self.axes, self.part or ((None, None),) * 2, strict=True):
            slices[axis] = slice(*ends)
        return data[tuple(slices)] if self.index or self.part else data

    def in_place(self, pixels: np.ndarray) -> np.ndarray:
        """Return pixels of the plane with the layer's axes, one plane thick."""
        return np.expand_dims(pixels, self.stacked) if self.index else pixels

    def __str__(self) -> str:
        return f"plane {', '.join(map(str, self.index))}"


def displayed_plane(layer: Image, dims: Dims) -> Plane:
    """Return the plane of a layer that a viewer displays in 2-D.

    Parameters
    ----------
    layer : Image
    dims : Dims
        The viewer's.

    Returns
    -------
    Plane
        It may be outside the layer, if other layers extend further.
    """
    offset = dims.ndim - layer.ndim  # a layer's axes are the viewer's last ones
    first, second = sorted([axis - offset for axis in dims.order if axis >= offset][-2:])
    at = np.round(layer.world_to_data(dims.point)).astype(int).tolist()
    index = tuple(i for axis, i in enumerate(at) if axis not in (first, second))
    return Plane((first, second), index)


def is_inside(plane: Plane, layer: Image) -> bool:
    """Whether a plane is inside a layer."""
    shape = _shape(layer)
    return all(0 <= i < shape[axis] for axis, i in zip(plane.stacked, plane.index, strict=True))


def nearest_plane(plane: Plane, layer: Image) -> Plane:
    """Return the layer's plane nearest to a given one."""
    shape = _shape(layer)
    return replace(
        plane,
        index=tuple(
            min(max(i, 0), shape[axis] - 1)
            for axis, i in zip(plane.stacked, plane.index, strict=True)
        ),
    )


def part_in_view(plane: Plane, layer: Image, dims: Dims, centre: Sequence[float]) -> Plane:
    """Return the part of a large plane in the middle of the view, or a small plane as it is.

    Parameters
    ----------
    plane : Plane
    layer : Image
        The plane's layer.
    dims : Dims
        The viewer's.
    centre : sequence of float
        Centre of the viewer's camera.

    Returns
    -------
    Plane
    """
    shape = _shape(layer)
    lengths = [shape[axis] for axis in plane.axes]
    if math.prod(lengths) <= PREVIEW_SIZE**2:
        return plane
    point = np.array(dims.point)
    point[list(dims.displayed[-2:])] = centre[-2:]
    middle = layer.world_to_data(point)[list(plane.axes)]
    first, second = (
        _around(float(at), length) for at, length in zip(middle, lengths, strict=True)
    )
    return replace(plane, part=(first, second))


def _around(middle: float, length: int) -> tuple[int, int]:
    size = min(length, PREVIEW_SIZE)
    start = min(max(0, round(middle) - size // 2), length - size)
    return start, start + size


def reason_not_to_run(layer: Image, dims: Dims, planes: str, options: dict[str, Any]) -> str:
    """Return why a run is not possible, or an empty string.

    Parameters
    ----------
    layer : Image
    dims : Dims
        The viewer's.
    planes : str
        One of `PLANES`.
    options : dict
        The engine's options.

    Returns
    -------
    str
        Tells the user what to choose instead.
    """
    if layer.ndim == 2:
        return ""
    if dims.ndisplay > 2:
        return (
            "Stacks are cleaned by planes. Switch the viewer from 3-D to 2-D with the button "
            "below the layer list."
        )
    if planes != THIS_PLANE and options["method"] == "texture":
        return "A texture is made from one plane. Choose This plane."
    if planes != THIS_PLANE and options["gram"]:
        return "Gram matrices are shown for one plane only. Choose This plane, or hide them."
    is_for_a_plane = options.get("remainder") in ("stripes", "quasi-periodic")
    is_for_a_plane |= "weights" in options  # only networks have weights
    if planes not in (THIS_PLANE, "per_plane") and is_for_a_plane:
        return (
            "A model for all planes needs phase-aligned waves of edges or cosine patterns, and "
            "removes nothing else. Choose these, or other planes."
        )
    return ""


def _shape(layer: Image) -> tuple[int, ...]:
    return tuple((layer.data[0] if layer.multiscale else layer.data).shape)
