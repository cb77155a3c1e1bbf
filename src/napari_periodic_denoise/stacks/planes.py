"""One plane of a stack: the engine's run on it, and what follows for its coarser levels."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_periodic_denoise.noise import estimate as engine
from napari_periodic_denoise.noise.assemble import subtract
from napari_periodic_denoise.noise.input import MIN_SIZE
from napari_periodic_denoise.noise.progress import Progress
from napari_periodic_denoise.noise.result import NoiseEstimate
from napari_periodic_denoise.noise.stack_model import SharedModel, iter_estimate_plane
from napari_periodic_denoise.runtime.device import (
    gpu_memory,
    is_out_of_memory,
    memory_of,
    one_thread,
    release_memory,
    resolve_device,
    run_with_cpu_fallback,
)
from napari_periodic_denoise.runtime.steps import finish
from napari_periodic_denoise.stacks.channels import leaving_alpha
from napari_periodic_denoise.stacks.pyramid import find_reduction

if TYPE_CHECKING:
    from napari_periodic_denoise.stacks.channels import Engine

_IMAGES = 12  # float32 images that a plane takes at most, measured by benchmarks.speed


def iter_clean_plane(
    plane: Any,  # noqa: ANN401
    number: int = 0,
    *,
    model: SharedModel | None = None,
    channel_axis: int | None = None,
    alpha: int = 0,
    device: str = "auto",
    **options: Any,  # noqa: ANN401
) -> Generator[Progress, None, NoiseEstimate]:
    """Estimate the noise of one plane: on the CPU, where a GPU's memory does not suffice.

    Parameters
    ----------
    plane : array-like, shape (H, W), or with one more axis of channels
    number : int
        Of the plane in its stack.
    model : SharedModel, optional
        What is known of the noise from the whole stack. Without it the plane is taken alone.
    channel_axis, alpha, device, **options
        As for `clean_stack`.

    Yields
    ------
    Progress

    Returns
    -------
    NoiseEstimate

    Warns
    -----
    RuntimeWarning
        If it is computed on the CPU instead.
    """
    begin = partial(
        _begin, plane, number, model=model, channel_axis=channel_axis, alpha=alpha, **options
    )
    return (yield from run_with_cpu_fallback(begin, device, f"a plane of shape {np.shape(plane)}"))


def _begin(
    plane: Any,  # noqa: ANN401
    number: int,
    device: str,
    *,
    model: SharedModel | None = None,
    channel_axis: int | None = None,
    alpha: int = 0,
    **options: Any,  # noqa: ANN401
) -> Generator[Progress, None, NoiseEstimate]:
    """Begin the estimate of a plane, on a device and nowhere else."""
    estimate: Engine = engine.iter_estimate_noise
    if model is not None:
        estimate = partial(iter_estimate_plane, model, number)
        options = {name: options[name] for name in ("seed",) if name in options}
    given = {"channel_axis": channel_axis, "alpha": alpha, "device": device, **options}
    return leaving_alpha(estimate, plane, **given)


def iter_clean_levels(
    planes: Sequence[NDArray[Any]], number: int, options: dict[str, Any]
) -> Generator[Progress, None, list[NoiseEstimate]]:
    """Estimate the noise of one plane in all levels of a pyramid.

    Parameters
    ----------
    planes : sequence of ndarray
        The plane in each level, the finest first.
    number : int
        Of the plane in its stack.
    options : dict
        Of `clean_plane`.

    Yields
    ------
    Progress

    Returns
    -------
    list of NoiseEstimate
        One for each level.
    """
    fine = yield from iter_clean_plane(planes[0], number, **options)
    coarse = [clean_level(plane, planes[0], fine, options) for plane in planes[1:]]
    return [fine, *coarse]


def clean_plane(
    plane: Any,  # noqa: ANN401
    number: int = 0,
    *,
    device: str = "auto",
    **options: Any,  # noqa: ANN401
) -> NoiseEstimate:
    """Estimate the noise of one plane, in a thread of several; see `iter_clean_plane`.

    On the CPU with one of torch's threads: where planes are computed side by side, those of one
    would wait for those of another. On a GPU as many planes at a time as its memory is likely to
    hold; one that runs out of memory is tried again alone, and then on the CPU.

    Parameters
    ----------
    plane, number, device, **options
        As for `iter_clean_plane`.

    Returns
    -------
    NoiseEstimate
    """
    where = resolve_device(device)
    if where.type == "cpu":
        with one_thread():
            return finish(iter_clean_plane(plane, number, device=device, **options))
    try:
        with gpu_memory.share(_IMAGES * 4 * np.size(plane), memory_of(where)):
            return finish(_begin(plane, number, device, **options))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    release_memory(where)
    with gpu_memory.alone():
        return finish(iter_clean_plane(plane, number, device=device, **options))


def clean_level(
    coarse: NDArray[Any],
    fine: NDArray[Any],
    estimate: NoiseEstimate,
    options: dict[str, Any],
) -> NoiseEstimate:
    """Estimate the noise of a plane's coarse level.

    Parameters
    ----------
    coarse, fine : ndarray
        The plane's coarse level and its finest.
    estimate : NoiseEstimate
        Of the finest level.
    options : dict
        Of `clean_plane`.

    Returns
    -------
    NoiseEstimate
        The finest level's, reduced as the plane was; where the plane does not tell how it was
        reduced, that of the coarse level by itself, and nothing if it is too small for that.
    """
    axis, alpha = options["channel_axis"], options["alpha"]
    colours = partial(without_last, count=alpha if axis is not None else 0, axis=axis)
    reduction = find_reduction(colours(fine), colours(coarse))
    if reduction is not None:
        # what was taken away: less than the noise in pixels at the limits
        removed = np.subtract(colours(fine), colours(estimate.cleaned), dtype=np.float64)
        cleaned = coarse.copy()
        colours(cleaned)[...] = subtract(colours(coarse), reduction(removed).astype(np.float32))
        return replace(
            estimate, noise=reduction(estimate.noise).astype(np.float32), cleaned=cleaned
        )
    height, width = (n for i, n in enumerate(coarse.shape) if i != axis)
    if min(height, width) < MIN_SIZE:
        zero = np.zeros(colours(coarse).shape, np.float32)
        return replace(estimate, noise=zero, cleaned=coarse, waves=(), removed_variance=0.0)
    return clean_plane(coarse, **{**options, "model": None})


def without_last(array: NDArray[Any], count: int, axis: int | None) -> NDArray[Any]:
    """View of an array without the last entries along an axis.

    Parameters
    ----------
    array : ndarray
    count : int
    axis : int or None
        None leaves the array as it is.
    """
    return array if axis is None else np.split(array, [array.shape[axis] - count], axis)[0]
