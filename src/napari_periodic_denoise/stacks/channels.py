"""Run the engine on images with channels, such as alpha, that must not change."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_periodic_denoise.noise.progress import Progress
    from napari_periodic_denoise.noise.result import NoiseEstimate

    Engine = Callable[..., Generator[Progress, None, NoiseEstimate]]


def leaving_alpha(
    engine: Engine,
    image: Any,  # noqa: ANN401 - whatever array the engine takes
    *,
    channel_axis: int | None,
    alpha: int,
    **options: Any,  # noqa: ANN401
) -> Generator[Progress, None, NoiseEstimate]:
    """Run the engine on all channels except the last ones, which do not change.

    Parameters
    ----------
    engine : callable
        :func:`napari_periodic_denoise.iter_estimate_noise`, whose import takes seconds.
    image : array-like, shape (H, W), or with one more axis of channels
    channel_axis : int or None
        See the engine.
    alpha : int
        Number of last channels to exclude.
    **options
        Options of the engine.

    Yields
    ------
    Progress

    Returns
    -------
    NoiseEstimate
        ``cleaned`` has all channels. ``noise`` has no excluded channels.
    """
    if channel_axis is None or not alpha:
        return (yield from engine(image, channel_axis=channel_axis, **options))
    colours, others = np.split(image, [-alpha], axis=channel_axis)
    estimate = yield from engine(colours, channel_axis=channel_axis, **options)
    return replace(estimate, cleaned=np.concatenate([estimate.cleaned, others], channel_axis))
