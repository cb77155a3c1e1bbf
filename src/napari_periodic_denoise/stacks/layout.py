"""Axes of a stack, and whether it is in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Layout:
    """Which axes of a stack are what."""

    plane: tuple[int, ...]  # rising, with that of the channels
    stacked: tuple[int, ...]
    channel_axis: int | None  # in a plane

    @staticmethod
    def of(ndim: int, plane_axes: tuple[int, int], channel_axis: int | None) -> Layout:
        """Return the layout that axes of a stack say; raise a ValueError if they are wrong."""
        given = [*plane_axes, *([] if channel_axis is None else [channel_axis])]
        if not all(-ndim <= axis < ndim for axis in given):
            raise ValueError(
                f"plane_axes={plane_axes} and channel_axis={channel_axis} are not all there in a "
                f"stack of {ndim} axes"
            )
        plane = tuple(sorted({axis % ndim for axis in given}))
        if len(plane_axes) != 2 or len(plane) < len(given):
            raise ValueError(
                f"plane_axes={plane_axes} and channel_axis={channel_axis}: two axes of a plane "
                "are taken, and another one of the channels"
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
        """Shape of the noise, which the last channels have none of."""
        shape = list(data.shape)
        if self.channel_axis is not None:
            shape[self.plane[self.channel_axis]] -= alpha
        return tuple(shape)

    def at(self, index: Sequence[int | slice]) -> tuple[int | slice, ...]:
        """Where in the stack a plane is, or several are."""
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
