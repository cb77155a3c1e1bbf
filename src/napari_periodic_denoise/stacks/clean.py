"""Stacks of planes, each cleaned by itself: at once, or lazily when it is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_periodic_denoise.noise.input import as_image
from napari_periodic_denoise.noise.progress import Progress, Stage, Step
from napari_periodic_denoise.noise.result import NoiseEstimate
from napari_periodic_denoise.noise.stack_model import SharedModel, find_shared
from napari_periodic_denoise.options import (
    SHARED_OPTIONS,
    STACK_MODELS,
    Options,
    check_choice,
    check_shared,
)
from napari_periodic_denoise.runtime.device import resolve_device, run_with_cpu_fallback
from napari_periodic_denoise.runtime.steps import finish, mapped
from napari_periodic_denoise.stacks.layout import Layout, is_in_memory
from napari_periodic_denoise.stacks.planes import iter_clean_levels, without_last

_Arrays = tuple[Any, Any, Any]  # noise, cleaned, estimates


@dataclass(frozen=True, slots=True, eq=False)
class StackEstimate:
    """Periodic noise found in a stack, and the stack without it.

    Attributes
    ----------
    noise : array of float32, shape of the stack
        numpy or dask, as described in `clean_stack`; a list of such for a list of levels.
    cleaned : array, shape and dtype of the stack
        The same.
    estimates : array of NoiseEstimate, shape of the stacked axes
        What was found in each plane, of the finest level if there are several. Its arrays are
        those of ``noise`` and ``cleaned``.
    model : SharedModel or None
        What the planes share, of the finest level if there are several.
    """

    noise: Any
    cleaned: Any
    estimates: Any
    model: SharedModel | None


def clean_stack(
    data: Any,  # noqa: ANN401
    *,
    plane_axes: tuple[int, int] = (-2, -1),
    channel_axis: int | None = None,
    alpha: int = 0,
    model: str = "per_plane",
    **options: Any,  # noqa: ANN401
) -> StackEstimate:
    """Find the periodic noise of each plane of a stack, and the stack without it.

    Lazy data give lazy results: nothing is computed before it is asked for, and then only the
    planes that are asked for; the noise and the cleaned image of a plane, asked for together,
    are computed once.

    Parameters
    ----------
    data : array-like, or sequence of such
        Of at least two axes. A numpy array or a torch tensor gives numpy arrays, everything
        else (dask and zarr arrays, `numpy.memmap` and other arrays on disk) gives dask arrays
        in chunks of whole planes, of which there are as many in a chunk as in those of the data:
        in dask's chunks, zarr's shards or chunks, or one by one. Data in chunks of several
        planes are computed by chunks: ``data.rechunk`` them to see single planes quickly.

        A sequence are the levels of a pyramid, the finest first, and gives lists of levels. The
        noise of a coarse level is that of the finest one, reduced as the level was (one pixel
        of each block, or its mean) if the pixels show that it was; otherwise, and where the
        level has other stacked axes, it is estimated by itself.
    plane_axes : tuple of int
        The two axes of a plane; rows are along the first of them in the data. All axes but
        these and that of the channels are stacked.
    channel_axis : int, optional
        Axis of the channels, see `estimate_noise`.
    alpha : int
        How many of the last channels, as transparency, stay as they are; their noise is left
        out of ``noise``.
    model : {"per_plane", "shared", "drifting"}
        ``"per_plane"`` estimates each plane by itself, just as `estimate_noise` does.
        ``"shared"`` finds the waves once, in up to 32 planes together: weak noise that no plane
        shows is found, frequencies are the same in all planes, amplitude and phase each
        plane's own, and each further plane takes a fraction of the time. ``"drifting"`` finds
        them in the middle of the stack, and follows their frequencies to both ends. Of lazy
        data too these planes are read at once. See `noise.shared.find_shared`.
    **options
        Of `estimate_noise`; with a model of all planes, those of waves alone: ``features`` that
        need no network, ``noise_model``, ``sensitivity``, ``device`` and ``seed``.

    Returns
    -------
    StackEstimate

    Raises
    ------
    TypeError
        If the pixels are not real numbers, or an option is unknown.
    ValueError
        If an option is not one of its choices or does not go with the model, or an axis is not
        there. Where `estimate_noise`
        raises an error for a plane, this is raised when the plane is computed.

    Warns
    -----
    RuntimeWarning
        If the memory of a GPU does not suffice for a plane, which is computed on the CPU then.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from napari_periodic_denoise import clean_stack
    >>> y, x = np.mgrid[:64, :64]
    >>> hum = 5 * np.cos(2 * np.pi * (0.11 * y + 0.07 * x))
    >>> stack = da.stack([100.0 * (y > 20 + t) + hum for t in range(50)])
    >>> result = clean_stack(stack)
    >>> result.cleaned.chunks == stack.chunks
    True
    >>> plane = result.cleaned[7].compute()  # the other 49 are not
    >>> len(result.estimates[7].compute().waves)
    1
    """
    run = iter_clean_stack(
        data,
        plane_axes=plane_axes,
        channel_axis=channel_axis,
        alpha=alpha,
        model=model,
        **options,
    )
    return finish(run)


def iter_clean_stack(
    data: Any,  # noqa: ANN401
    *,
    plane_axes: tuple[int, int] = (-2, -1),
    channel_axis: int | None = None,
    alpha: int = 0,
    model: str = "per_plane",
    **options: Any,  # noqa: ANN401
) -> Generator[Progress, None, StackEstimate]:
    """`clean_stack` step by step, for progress bars and to be stopped within a plane.

    Parameters
    ----------
    data, plane_axes, channel_axis, alpha, model, **options
        As for `clean_stack`.

    Yields
    ------
    Progress
        Before each step of the engine; ``done`` and ``total`` count planes. Of lazy data while a
        model is found.

    Returns
    -------
    StackEstimate
    """
    is_pyramid = isinstance(data, Sequence)
    levels = [_as_array(level) for level in (data if is_pyramid else [data])]
    axes: dict[str, Any] = {"plane_axes": plane_axes, "channel_axis": channel_axis}
    plan = yield from iter_plan_stack(levels, **axes, alpha=alpha, model=model, **options)
    results: dict[int, _Arrays] = {}
    for members, group_options in plan.groups:
        group = [levels[i] for i in members]
        if all(map(is_in_memory, group)):
            made = yield from _clean_now(group, plan.layout, group_options)
        else:
            from napari_periodic_denoise.stacks.lazy import as_lazy, clean_lazily

            lazy = [as_lazy(level, plan.layout) for level in group]
            made = clean_lazily(lazy, plan.layout, group_options)
        results.update(zip(members, made, strict=True))
    noise, cleaned, estimates = zip(*(results[i] for i in range(len(levels))), strict=True)
    found = plan.groups[0][1]["model"]
    if is_pyramid:
        return StackEstimate(list(noise), list(cleaned), estimates[0], found)
    return StackEstimate(noise[0], cleaned[0], estimates[0], found)


@dataclass(frozen=True, slots=True, eq=False)
class StackPlan:
    """How the planes of a stack are cleaned.

    Attributes
    ----------
    layout : Layout
    groups : list of (list of int, dict)
        Levels that hold the same planes, by number, the finest first; and the options of
        `planes.clean_plane` for them, with the model that their planes share.
    """

    layout: Layout
    groups: list[tuple[list[int], dict[str, Any]]]


def iter_plan_stack(
    levels: Sequence[Any],
    *,
    plane_axes: tuple[int, int],
    channel_axis: int | None,
    alpha: int,
    model: str,
    **options: Any,  # noqa: ANN401
) -> Generator[Progress, None, StackPlan]:
    """Check the options for a stack, and find the model that its planes share.

    Parameters
    ----------
    levels : sequence of array
        Of a pyramid, the finest first; or one stack.
    plane_axes, channel_axis, alpha, model, **options
        As for `clean_stack`, whose errors are raised.

    Yields
    ------
    Progress

    Returns
    -------
    StackPlan
    """
    check_choice("model", model, STACK_MODELS)
    if not levels or len({level.ndim for level in levels}) > 1:
        raise ValueError("the levels of a pyramid are one or more arrays of as many axes")
    layout = Layout.of(levels[0].ndim, plane_axes, channel_axis)
    options["channel_axis"] = layout.channel_axis
    _check(levels[0], layout, alpha, model, options)
    options["alpha"] = alpha
    groups: dict[tuple[int, ...], list[int]] = {}  # levels of the same planes, finest first
    for i, level in enumerate(levels):
        groups.setdefault(layout.stacked_shape(level), []).append(i)
    planned = []
    for members in groups.values():
        found = yield from _found(levels[members[0]], layout, model, options)
        planned.append((members, {**options, "model": found}))
    return StackPlan(layout, planned)


def of_each(function: Callable[[NoiseEstimate], Any], estimates: Any) -> Any:  # noqa: ANN401
    """Apply a function to each estimate of a stack.

    Parameters
    ----------
    function : callable
    estimates : array of NoiseEstimate
        numpy or dask.

    Returns
    -------
    array of object, same shape and kind
    """
    if not isinstance(estimates, np.ndarray):
        from napari_periodic_denoise.stacks.lazy import objects

        return estimates.map_blocks(partial(of_each, function), **objects(estimates.ndim))
    results = np.empty(estimates.shape, dtype=object)
    for index in np.ndindex(estimates.shape):
        estimate: Any = estimates[index]
        results[index] = function(estimate)
    return results


def _as_array(data: Any) -> Any:  # noqa: ANN401
    """Return a numpy array if the data are in memory, else the data, if they are an array."""
    if hasattr(data, "magnitude") or (isinstance(data, np.ndarray) and hasattr(data, "unit")):
        raise TypeError(
            f"expected an array without units, got {type(data).__name__}; pass its values "
            "(.value of astropy, .magnitude of pint)"
        )
    if isinstance(data, torch.Tensor):
        return data.detach().cpu().numpy()
    if not all(hasattr(data, name) for name in ("shape", "dtype", "ndim", "__getitem__")):
        raise TypeError(
            "expected an array, or a sequence of the levels of a pyramid, got "
            f"{type(data).__name__}"
        )
    return data


def _check(
    data: Any,  # noqa: ANN401
    layout: Layout,
    alpha: int,
    model: str,
    options: dict[str, Any],
) -> None:
    """Raise the engine's errors for options, shape and dtype, before any plane is computed."""
    channels = 1 if layout.channel_axis is None else layout.plane_shape(data)[layout.channel_axis]
    if not isinstance(alpha, Integral) or not 0 <= alpha < max(channels, 1):
        raise ValueError(f"expected alpha as a whole number from 0 to {channels - 1}, got {alpha}")
    if model != "per_plane" and not math.prod(layout.stacked_shape(data)):
        raise ValueError(f"model={model!r} needs at least one plane; the stack is empty")
    plane = np.broadcast_to(np.zeros((), data.dtype), layout.plane_shape(data))
    as_image(plane, layout.channel_axis)
    chosen = Options.of(options)
    resolve_device(chosen.device)
    if model != "per_plane":
        check_shared(model, chosen)


def _found(
    data: Any,  # noqa: ANN401
    layout: Layout,
    model: str,
    options: dict[str, Any],
) -> Generator[Progress, None, SharedModel | None]:
    """Find what the planes of a level share, if they do."""
    if model == "per_plane":
        return None
    shape = layout.stacked_shape(data)
    total = math.prod(shape)

    def read(number: int) -> NDArray[Any]:
        # slices, which all arrays take
        index = [slice(i, i + 1) for i in map(int, np.unravel_index(number, shape))]
        plane = np.squeeze(np.asarray(data[layout.at(index)]), layout.stacked)
        return without_last(plane, options["alpha"], layout.channel_axis)

    given = {name: value for name, value in options.items() if name in SHARED_OPTIONS}
    given["features"] = given.get("features") or "edges"
    device = given.pop("device", "auto")

    def run(device: str) -> Generator[Step, None, SharedModel]:
        drifting = model == "drifting"
        return find_shared(read, total, drifting=drifting, device=device, **given)

    def progress(step: Step) -> Progress:
        return Progress(step.stage, 0, total, step.message)

    steps = run_with_cpu_fallback(run, device, "the model of a stack")
    return (yield from mapped(steps, progress))


def _clean_now(
    levels: list[NDArray[Any]], layout: Layout, options: dict[str, Any]
) -> Generator[Progress, None, list[_Arrays]]:
    """Noise, cleaned stack and estimates of each level, computed."""
    shape = layout.stacked_shape(levels[0])
    made = [
        (
            np.empty(layout.noise_shape(level, options["alpha"]), np.float32),
            np.empty_like(level),
            np.empty(shape, object),
        )
        for level in levels
    ]
    total = math.prod(shape)
    for done, index in enumerate(np.ndindex(shape)):
        where = layout.at(index)
        run = iter_clean_levels([level[where] for level in levels], done, options)
        try:
            found = yield from _of_plane(run, done, total)
        except (TypeError, ValueError) as error:
            error.add_note(f"This is about plane {index} of the stack.")
            raise
        for estimate, (noise, cleaned, estimates) in zip(found, made, strict=True):
            noise[where], cleaned[where] = estimate.noise, estimate.cleaned
            # views, lest each plane is kept twice
            estimates[index] = replace(estimate, noise=noise[where], cleaned=cleaned[where])
    yield Progress(Stage.SUBTRACT, total, total, f"cleaned {total} planes")
    return made


def _of_plane(
    run: Generator[Progress, None, list[NoiseEstimate]], done: int, total: int
) -> Generator[Progress, None, list[NoiseEstimate]]:
    """Turn the steps of a plane into steps of the stack."""

    def progress(step: Progress) -> Progress:
        message = f"plane {done + 1} of {total}: {step.message}"
        return Progress(step.stage, done, total, message, step.preview)

    return (yield from mapped(run, progress))
