"""Clean one plane of a stack, and its coarser levels."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
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

_IMAGES = 12  # float32 images of memory per plane at most (benchmarks.speed measures it)


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
    """Estimate the noise of one plane, on the CPU if the memory of a GPU is too small.

    Parameters
    ----------
    plane : array-like, shape (H, W), or with one more axis of channels
    number : int
        Number of the plane in its stack.
    model : SharedModel, optional
        Noise model of the whole stack. Without it the plane is estimated alone.
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
        If the plane is computed on the CPU instead.
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
    """Start the estimate of a plane on a device, without a fallback."""
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
    """Estimate the noise of one plane in one of several threads, see `iter_clean_plane`.

    On the CPU, torch uses one thread per plane, since the threads of parallel planes would wait
    for each other. On a GPU, as many planes run at a time as its memory is likely to hold. A
    plane that runs out of memory is repeated alone, and then on the CPU.

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
    """Estimate the noise of a coarse level of a plane.

    Parameters
    ----------
    coarse, fine : ndarray
        The coarse level and the finest level of the plane.
    estimate : NoiseEstimate
        Estimate of the finest level.
    options : dict
        Options of `clean_plane`.

    Returns
    -------
    NoiseEstimate
        The estimate of the finest level, reduced like the plane. If the reduction is unknown, the
        coarse level is estimated by itself. A level that is too small has no noise.
    """
    axis, alpha = options["channel_axis"], options["alpha"]
    colours = partial(without_last, count=alpha if axis is not None else 0, axis=axis)
    reduction = find_reduction(colours(fine), colours(coarse))
    if reduction is not None:
        # the removed intensities are less than the noise in saturated pixels
        whole = colours(fine)
        removed = np.zeros(whole.shape)
        np.subtract(
            whole,
            colours(estimate.cleaned),
            out=removed,
            where=np.isfinite(whole),
            dtype=np.float64,
        )
        cleaned = coarse.copy()
        colours(cleaned)[...] = subtract(colours(coarse), reduction(removed).astype(np.float32))
        missing = ~np.isfinite(colours(coarse))
        noise = np.where(missing, np.float32(0), reduction(estimate.noise).astype(np.float32))
        return replace(
            estimate, noise=noise, cleaned=cleaned, not_finite=int(np.count_nonzero(missing))
        )
    height, width = (n for i, n in enumerate(coarse.shape) if i != axis)
    if min(height, width) < MIN_SIZE:
        zero = np.zeros(colours(coarse).shape, np.float32)
        return replace(
            estimate, noise=zero, cleaned=coarse, waves=(), lines=(), removed_variance=0.0
        )
    return clean_plane(coarse, **{**options, "model": None})


@contextmanager
def naming_plane(index: tuple[int, ...]) -> Iterator[None]:
    """Name the plane in the errors of a block.

    Parameters
    ----------
    index : tuple of int
        Its place along the stacked axes; nothing is said where there are none.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        if not index:
            raise
        place = ", ".join(map(str, index))
        raise type(error)(f"plane {place}: {error}") from error


def without_last(array: NDArray[Any], count: int, axis: int | None) -> NDArray[Any]:
    """Return a view of an array without the last entries along an axis.

    Parameters
    ----------
    array : ndarray
    count : int
        Number of entries to omit.
    axis : int or None
        None returns the whole array.

    Returns
    -------
    ndarray
    """
    return array if axis is None else np.split(array, [array.shape[axis] - count], axis)[0]
