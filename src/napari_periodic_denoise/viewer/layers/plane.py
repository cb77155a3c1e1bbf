"""Which planes of a layer are worked on: what the viewer shows of it, what the user chooses."""

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

THIS = "this plane"

#: What is said where the sliders are beyond a layer.
NOT_SHOWN = "No plane of this layer is shown: move the sliders to one."

#: Pixels a side of a square: what a preview has, at most.
PREVIEW_SIZE = 1024

_WORDS = {
    "per_plane": "Every plane, by itself",
    "shared": "One model for all",
    "drifting": "One model, drifting",
}
#: The choices: words and value.
PLANES = [("This plane", THIS), *((_WORDS[model], model) for model in STACK_MODELS)]


@dataclass(frozen=True, slots=True)
class Plane:
    """One plane of a layer, or a part of it.

    Attributes
    ----------
    axes : tuple of int
        The layer's axes that are the plane's, rising.
    index : tuple of int
        Where it is along the others, which are stacked; empty if the layer is a plane itself.
    part : tuple of (int, int), optional
        Along each of its axes, the first pixel and the one after the last; by default, all.
    """

    axes: tuple[int, int] = (0, 1)
    index: tuple[int, ...] = ()
    part: tuple[tuple[int, int], tuple[int, int]] | None = None

    @property
    def ndim(self) -> int:
        """How many axes the layer has."""
        return len(self.axes) + len(self.index)

    @property
    def stacked(self) -> tuple[int, ...]:
        """The layer's other axes."""
        return tuple(axis for axis in range(self.ndim) if axis not in self.axes)

    @property
    def start(self) -> tuple[int, ...]:
        """Index of the plane's first pixel in the layer's data."""
        at = dict(zip(self.stacked, self.index, strict=True))
        if self.part is not None:
            at |= {axis: first for axis, (first, _) in zip(self.axes, self.part, strict=True)}
        return tuple(at.get(axis, 0) for axis in range(self.ndim))

    def of(self, data: Any) -> Any:  # noqa: ANN401 - whatever array napari was given
        """Return the plane's pixels; of lazy data lazy ones."""
        where: list[int | slice] = list(self.start)
        for axis, ends in zip(self.axes, self.part or ((None, None),) * 2, strict=True):
            where[axis] = slice(*ends)
        return data[tuple(where)] if self.index or self.part else data

    def in_place(self, pixels: np.ndarray) -> np.ndarray:
        """Return pixels of the plane with the layer's axes, one plane thick."""
        return np.expand_dims(pixels, self.stacked) if self.index else pixels

    def __str__(self) -> str:
        return f"plane {', '.join(map(str, self.index))}"


def shown(layer: Image, dims: Dims) -> Plane:
    """Return the plane of a layer that a viewer shows in two dimensions.

    Parameters
    ----------
    layer : Image
    dims : Dims
        The viewer's.

    Returns
    -------
    Plane
        May lie outside the layer, if other layers reach further.
    """
    offset = dims.ndim - layer.ndim  # a layer's axes are the viewer's last ones
    first, second = sorted([axis - offset for axis in dims.order if axis >= offset][-2:])
    at = np.round(layer.world_to_data(dims.point)).astype(int).tolist()
    index = tuple(i for axis, i in enumerate(at) if axis not in (first, second))
    return Plane((first, second), index)


def is_inside(plane: Plane, layer: Image) -> bool:
    """Whether a layer has a plane."""
    shape = _shape(layer)
    return all(0 <= i < shape[axis] for axis, i in zip(plane.stacked, plane.index, strict=True))


def nearest(plane: Plane, layer: Image) -> Plane:
    """Return the plane that a layer has nearest to another one."""
    shape = _shape(layer)
    return replace(
        plane,
        index=tuple(
            min(max(i, 0), shape[axis] - 1)
            for axis, i in zip(plane.stacked, plane.index, strict=True)
        ),
    )


def in_view(plane: Plane, layer: Image, dims: Dims, centre: Sequence[float]) -> Plane:
    """Return the part of a large plane that is in the middle of the view; of others all.

    Parameters
    ----------
    plane : Plane
    layer : Image
        Whose plane it is.
    dims : Dims
        The viewer's.
    centre : sequence of float
        Of the viewer's camera.

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


def why_not_taken(layer: Image, dims: Dims, planes: str, options: dict[str, Any]) -> str:
    """Say why a run would not make sense; empty where it would.

    Parameters
    ----------
    layer : Image
    dims : Dims
        The viewer's.
    planes : str
        One of the choices.
    options : dict
        Of the engine.

    Returns
    -------
    str
        What to choose instead, in words for the layer's owner.
    """
    if layer.ndim == 2:
        return ""
    if dims.ndisplay > 2:
        return (
            "Planes are cleaned as the viewer shows them: switch it from 3-D to 2-D, with the "
            "button below the layer list."
        )
    if planes != THIS and options["method"] == "texture":
        return "A texture is made of one plane: choose This plane."
    if planes != THIS and options["gram"]:
        return "Gram matrices are shown of one plane: choose This plane, or leave them out."
    if planes not in (THIS, "per_plane") and (
        "weights" in options or options["remainder"] != "none"  # weights are of a network
    ):
        return (
            "One model is found by phase-aligned waves of edges or cosine patterns, and nothing "
            "more is removed: choose these, or other planes."
        )
    return ""


def _shape(layer: Image) -> tuple[int, ...]:
    return tuple((layer.data[0] if layer.multiscale else layer.data).shape)
