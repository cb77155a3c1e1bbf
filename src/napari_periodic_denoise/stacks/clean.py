"""Clean the planes of a stack, at once or lazily."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
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
from napari_periodic_denoise.stacks.planes import (
    iter_clean_levels,
    naming_plane,
    without_last,
)

_Arrays = tuple[Any, Any, Any]  # noise, cleaned, estimates


@dataclass(frozen=True, slots=True, eq=False)
class StackEstimate:
    """Periodic noise found in a stack, and the stack without it.

    Attributes
    ----------
    noise : array of float32, shape of the stack
        numpy or dask array, see `clean_stack`. A list of levels gives a list of arrays.
    cleaned : array, shape and dtype of the stack
        Likewise.
    estimates : array of NoiseEstimate, shape of the stacked axes
        Estimate of each plane (of the finest level). Their arrays are views of ``noise`` and
        ``cleaned``.
    model : SharedModel or None
        Model that the planes share (of the finest level). None with ``model="per_plane"``.
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
    """Estimate the periodic noise of each plane of a stack, and remove it.

    Lazy data give lazy results. Only requested planes are computed, on request. The noise and
    the cleaned image of a plane are computed once if they are requested together.

    Parameters
    ----------
    data : array-like, or sequence of array-like
        Array of at least two axes. A numpy array or torch tensor gives numpy arrays. Anything
        else (dask and zarr arrays, `numpy.memmap` and other arrays on disk) gives dask arrays in
        chunks of whole planes. A chunk has as many planes as a chunk of the data: a dask chunk, a
        zarr shard or chunk, or one plane. Chunks of several planes are computed together; use
        ``data.rechunk`` for quick access to single planes.

        A sequence contains the levels of a pyramid, the finest first, and gives lists of levels.
        The noise of a coarse level is the noise of the finest level, reduced like the level (one
        pixel of each block, or its mean) if the pixels show how. Otherwise, or if the level has
        other stacked axes, it is estimated from the level.
    plane_axes : tuple of int
        Both axes of a plane. The first one in the data is the axis of the rows. All axes except
        these and the channel axis are stacked.
    channel_axis : int, optional
        Axis of the channels, see `estimate_noise`.
    alpha : int
        Number of last channels, such as transparency, that do not change. ``noise`` does not
        contain them.
    model : {"per_plane", "shared", "drifting"}
        ``"per_plane"`` estimates each plane like `estimate_noise`. ``"shared"`` finds waves once,
        in up to 32 planes together. It finds noise that is too weak for one plane. All planes have
        the same frequencies, with their own amplitudes and phases, and each further plane takes a
        fraction of the time. ``"drifting"`` finds waves in the middle of the stack, and follows
        their frequencies to both ends. These planes are read at once, also from lazy data. See
        `stack_model.find_shared`.
    **options
        Options of `estimate_noise`. A model of all planes supports ``features`` without a
        network, ``noise_model``, ``sensitivity``, ``device`` and ``seed``.

    Returns
    -------
    StackEstimate

    Raises
    ------
    TypeError
        If the pixels are not real numbers, or an option is unknown.
    ValueError
        If an option is not one of its choices, the model does not support it, or an axis does
        not exist. An error of `estimate_noise` for a plane is raised when the plane is computed.

    Warns
    -----
    RuntimeWarning
        If the memory of a GPU is too small for a plane, which is then computed on the CPU.

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
    >>> plane = result.cleaned[7].compute()  # computes this plane only
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
    """Run `clean_stack` step by step, for progress bars and cancellation within a plane.

    Parameters
    ----------
    data, plane_axes, channel_axis, alpha, model, **options
        As for `clean_stack`.

    Yields
    ------
    Progress
        Before each step of the engine. ``done`` and ``total`` count planes. Lazy data give
        progress only while a model is found.

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
        raise ValueError(
            "expected the levels of a pyramid as one or more arrays with the same number of axes, "
            f"got arrays with {sorted({level.ndim for level in levels})} axes"
        )
    layout = Layout.of(levels[0].ndim, plane_axes, channel_axis)
    options["channel_axis"] = layout.channel_axis
    _check(levels[0], layout, model, options)
    _check_planes(levels[0], layout, model, alpha)
    options["alpha"] = alpha
    groups: dict[tuple[int, ...], list[int]] = {}  # levels with the same planes, finest first
    for i, level in enumerate(levels):
        groups.setdefault(layout.stacked_shape(level), []).append(i)
    planned = []
    for members in groups.values():
        found = yield from _find_model(levels[members[0]], layout, model, options)
        planned.append((members, {**options, "model": found}))
    return StackPlan(layout, planned)


def of_each(function: Callable[[NoiseEstimate], Any], estimates: Any) -> Any:  # noqa: ANN401
    """Apply a function to each estimate of a stack.

    Parameters
    ----------
    function : callable
    estimates : array of NoiseEstimate
        numpy or dask array.

    Returns
    -------
    array of object, same shape and kind
        numpy or dask array of the results.
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
    """Return a numpy array for a tensor, and other arrays unchanged."""
    if isinstance(data, torch.Tensor):
        return data.detach().cpu().numpy()
    if hasattr(data, "magnitude") or hasattr(data, "to_value"):  # of pint, of astropy
        raise TypeError(
            "expected an array of plain numbers, got a quantity with a unit; pass its magnitude "
            "(pint) or its value (astropy)"
        )
    if not all(hasattr(data, name) for name in ("shape", "dtype", "ndim", "__getitem__")):
        raise TypeError(
            f"expected an array, or a sequence of the levels of a pyramid, got {type(data)}"
        )
    return data


def _check(
    data: Any,  # noqa: ANN401
    layout: Layout,
    model: str,
    options: dict[str, Any],
) -> None:
    """Raise errors of options, shape and dtype before any plane is computed."""
    plane = np.broadcast_to(np.zeros((), data.dtype), layout.plane_shape(data))
    as_image(plane, layout.channel_axis)
    chosen = Options.of(options)
    resolve_device(chosen.device)
    if model != "per_plane":
        check_shared(model, chosen)


def _check_planes(data: Any, layout: Layout, model: str, alpha: int) -> None:  # noqa: ANN401
    """Raise a ValueError for a number of channels that is none, and a model of no planes."""
    axis = layout.channel_axis
    channels = 1 if axis is None else layout.plane_shape(data)[axis]
    if not isinstance(alpha, int | np.integer) or not 0 <= alpha < channels:
        raise ValueError(
            f"expected a whole number of the {channels} channels, and not all, as alpha, got "
            f"{alpha!r}"
        )
    if model != "per_plane" and not math.prod(layout.stacked_shape(data)):
        raise ValueError(f"a stack of shape {data.shape} has no planes to find a model in")


def _find_model(
    data: Any,  # noqa: ANN401
    layout: Layout,
    model: str,
    options: dict[str, Any],
) -> Generator[Progress, None, SharedModel | None]:
    """Find the shared model of a level's planes; None with ``"per_plane"``."""
    if model == "per_plane":
        return None
    shape = layout.stacked_shape(data)
    total = math.prod(shape)

    def read(number: int) -> NDArray[Any]:
        # slices, which all kinds of arrays support
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
    """Compute the noise, the cleaned stack and the estimates of each level."""
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
        with naming_plane(index):
            found = yield from _of_plane(run, done, total)
        for estimate, (noise, cleaned, estimates) in zip(found, made, strict=True):
            noise[where], cleaned[where] = estimate.noise, estimate.cleaned
            # views, so each plane is stored once
            estimates[index] = replace(estimate, noise=noise[where], cleaned=cleaned[where])
    yield Progress(Stage.SUBTRACT, total, total, f"cleaned {total} planes")
    return made


def _of_plane(
    run: Generator[Progress, None, list[NoiseEstimate]], done: int, total: int
) -> Generator[Progress, None, list[NoiseEstimate]]:
    """Turn the progress of a plane into progress of the stack."""

    def progress(step: Progress) -> Progress:
        message = f"plane {done + 1} of {total}: {step.message}"
        return Progress(step.stage, done, total, message, step.preview)

    return (yield from mapped(run, progress))
