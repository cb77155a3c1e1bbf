"""The result of a run, ready to be shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_periodic_denoise.records.record import record
from napari_periodic_denoise.records.replay import made_of
from napari_periodic_denoise.viewer.layers.plane import Plane

if TYPE_CHECKING:
    from napari_periodic_denoise import NoiseEstimate
    from napari_periodic_denoise.stacks.clean import StackEstimate

_REACH = 4  # times the noise of the computed plane; a choice: that of other planes may be stronger


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """The result of a run.

    Attributes
    ----------
    estimate : NoiseEstimate
        Of the displayed plane.
    plane : Plane
        The displayed plane.
    noise, cleaned : array, or list of the levels of a pyramid
        Data of the layers, with the source's axes.
    start : tuple of int
        Index in the source of their first pixel.
    limits, reach : tuple of float
        Contrast limits of the noise, and the range of their slider.
    found : dict
        Record for the layers' metadata.
    summary : str
        One line for the user.
    made_of : dict
        What else the exact result depends on; see `replay.made_of`.
    computed : mapping
        Computed parts of lazy arrays, for `lazily.seed_cache`.
    image : array or None
        The pixels of a single plane's estimate; None for all planes.
    """

    estimate: NoiseEstimate
    plane: Plane
    noise: Any
    cleaned: Any
    start: tuple[int, ...]
    limits: tuple[float, float]
    reach: tuple[float, float]
    found: dict[str, Any]
    summary: str
    made_of: dict[str, Any]
    computed: Mapping[Any, Any] = field(default_factory=dict)
    image: Any = None


def outcome_of_plane(image: Any, estimate: NoiseEstimate, plane: Plane) -> Outcome:  # noqa: ANN401
    """Return the result of a run on one plane.

    The layers of a stack keep all the source's axes and are one plane thick. As 2-D layers they
    would cover the other planes too, whose noise is different.

    Parameters
    ----------
    image : array
        The plane's pixels.
    estimate : NoiseEstimate
    plane : Plane

    Returns
    -------
    Outcome
    """
    limits = symmetric_limits(estimate.noise)
    return Outcome(
        estimate=estimate,
        plane=plane,
        noise=plane.in_place(estimate.noise),
        cleaned=plane.in_place(estimate.cleaned),
        start=plane.start,
        limits=limits,
        reach=limits,
        found=_record_of(plane, estimate),
        summary=_summary_of_plane(plane, estimate),
        image=image,
        made_of=made_of(image),
    )


def outcome_of_selection(outcome: Outcome, estimate: NoiseEstimate) -> Outcome:
    """Return the result of a run on one plane with fewer waves.

    Parameters
    ----------
    outcome : Outcome
        With all waves.
    estimate : NoiseEstimate
        From `select_waves`.

    Returns
    -------
    Outcome
        With the same contrast limits, so that the difference is visible; with others if the
        noise is outside of them, or if there was none before.
    """
    if estimate is outcome.estimate:
        return outcome
    plane = outcome.plane
    limits, reach = outcome.limits, outcome.reach
    wider = symmetric_limits(estimate.noise)
    if wider[1] > limits[1] or not outcome.estimate.noise.any():
        limits = reach = wider
    return replace(
        outcome,
        limits=limits,
        reach=reach,
        estimate=estimate,
        noise=plane.in_place(estimate.noise),
        cleaned=plane.in_place(estimate.cleaned),
        found=_record_of(plane, estimate),
        summary=_summary_of_plane(plane, estimate),
    )


def outcome_of_planes(
    image: Any,  # noqa: ANN401
    stack: StackEstimate,
    plane: Plane,
    model: str,
) -> Outcome:
    """Return the result of a run on all planes, all of them computed.

    Parameters
    ----------
    image : array
        Pixels of the displayed plane.
    stack : StackEstimate
    plane : Plane
        The displayed plane.
    model : str
        As for `clean_stack`.

    Returns
    -------
    Outcome
    """
    estimates = dict(np.ndenumerate(stack.estimates))
    limits = symmetric_limits(_finest(stack.noise))
    noisy = sum(estimate.removed_variance > 0 for estimate in estimates.values())
    planes = [{"plane": list(index), **record(found)} for index, found in estimates.items()]
    return Outcome(
        estimate=estimates[plane.index],
        plane=plane,
        noise=stack.noise,
        cleaned=stack.cleaned,
        start=(0,) * plane.ndim,
        limits=limits,
        reach=limits,
        found={"model": model, "planes": planes},
        summary=_summary_of_planes(stack, noisy),
        made_of=made_of(image),
    )


def outcome_of_lazy_planes(
    image: Any,  # noqa: ANN401
    stack: StackEstimate,
    plane: Plane,
    model: str,
    estimate: NoiseEstimate,
    computed: Mapping[Any, Any],
) -> Outcome:
    """Return the result of a run on all planes, one of them computed.

    Parameters
    ----------
    image, stack, plane, model
        As for `outcome_of_planes`.
    estimate : NoiseEstimate
        Of the displayed plane.
    computed : mapping
        Results computed for it.

    Returns
    -------
    Outcome
    """
    low, high = symmetric_limits(estimate.noise)
    return Outcome(
        estimate=estimate,
        plane=plane,
        noise=stack.noise,
        cleaned=stack.cleaned,
        start=(0,) * plane.ndim,
        limits=(low, high),
        reach=(_REACH * low, _REACH * high),
        found={"model": model, "planes": [{"plane": list(plane.index), **record(estimate)}]},
        summary=_lazy_summary(stack),
        made_of=made_of(image),
        computed=computed,
    )


def symmetric_limits(noise: np.ndarray) -> tuple[float, float]:
    """Return contrast limits that span all of the noise, with zero in the middle."""
    limit = float(max(noise.max(), -noise.min()))
    return (-limit, limit) if limit else (-1.0, 1.0)


def _record_of(plane: Plane, estimate: NoiseEstimate) -> dict[str, Any]:
    found = record(estimate)
    return {**found, "plane": list(plane.index)} if plane.index else found


def _summary_of_plane(plane: Plane, estimate: NoiseEstimate) -> str:
    return f"{plane}: {estimate.summary}" if plane.index else estimate.summary


def _summary_of_planes(stack: StackEstimate, noisy: int) -> str:
    count = stack.estimates.size
    noise = f"periodic noise in {noisy} of {count} planes"
    return noise if stack.model is None else f"{_model_in_words(stack, count)}; {noise}"


def _lazy_summary(stack: StackEstimate) -> str:
    count = stack.estimates.size
    planes = f"{count} planes" if stack.model is None else _model_in_words(stack, count)
    return f"{planes}; each plane is cleaned when shown or saved"


def _model_in_words(stack: StackEstimate, count: int) -> str:
    from napari_periodic_denoise.noise.wording import plural

    assert stack.model is not None
    return f"{plural(stack.model.frequencies.shape[1])}, one model for all {count} planes"


def _finest(data: Any) -> Any:  # noqa: ANN401 - an array or a list of levels
    return data[0] if isinstance(data, list) else data
