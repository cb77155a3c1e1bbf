"""Axes of a stack, and whether it is in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Layout:
    """Roles of the axes of a stack.

    Attributes
    ----------
    plane : tuple of int
        Axes of a plane, including the channel axis, ascending.
    stacked : tuple of int
        All other axes, ascending.
    channel_axis : int or None
        Channel axis within a plane.
    """

    plane: tuple[int, ...]
    stacked: tuple[int, ...]
    channel_axis: int | None

    @staticmethod
    def of(ndim: int, plane_axes: tuple[int, int], channel_axis: int | None) -> Layout:
        """Make a layout from the axes of a stack.

        Parameters
        ----------
        ndim : int
            Number of axes of the stack.
        plane_axes : tuple of int
            Both axes of a plane; negative ones count from the end.
        channel_axis : int or None

        Raises
        ------
        ValueError
            If an axis does not exist, or has two roles.
        """
        given = [*plane_axes, *([] if channel_axis is None else [channel_axis])]
        if not all(-ndim <= axis < ndim for axis in given):
            raise ValueError(
                f"expected axes of a stack with {ndim} axes, got plane_axes={plane_axes} and "
                f"channel_axis={channel_axis}"
            )
        plane = tuple(sorted({axis % ndim for axis in given}))
        if len(plane_axes) != 2 or len(plane) < len(given):
            raise ValueError(
                "expected two different plane_axes and another channel_axis, got "
                f"plane_axes={plane_axes} and channel_axis={channel_axis}"
            )
        stacked = tuple(axis for axis in range(ndim) if axis not in plane)
        within = None if channel_axis is None else plane.index(channel_axis % ndim)
        return Layout(plane, stacked, within)

    def stacked_shape(self, data: Any) -> tuple[int, ...]:  # noqa: ANN401
        """Shape along the stacked axes."""
        return tuple(data.shape[axis] for axis in self.stacked)

    def plane_shape(self, data: Any) -> tuple[int, ...]:  # noqa: ANN401
        """Shape of a plane."""
        return tuple(data.shape[axis] for axis in self.plane)

    def noise_shape(self, data: Any, alpha: int) -> tuple[int, ...]:  # noqa: ANN401
        """Shape of the noise, which does not contain the last ``alpha`` channels."""
        shape = list(data.shape)
        if self.channel_axis is not None:
            shape[self.plane[self.channel_axis]] -= alpha
        return tuple(shape)

    def at(self, index: Sequence[int | slice]) -> tuple[int | slice, ...]:
        """Index of a plane, or of several, in the stack."""
        where: list[int | slice] = [slice(None)] * (len(self.plane) + len(self.stacked))
        for axis, i in zip(self.stacked, index, strict=True):
            where[axis] = i
        return tuple(where)


def is_in_memory(data: Any) -> bool:  # noqa: ANN401
    """Return whether an array is neither lazy nor on disk.

    Parameters
    ----------
    data : array-like
    """
    import torch  # slow, so not for those who only need axes

    return isinstance(data, np.ndarray | torch.Tensor) and not isinstance(data, np.memmap)
