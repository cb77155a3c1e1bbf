"""What a run ends with, ready to be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_periodic_denoise.records.record import record
from napari_periodic_denoise.records.replay import made_of
from napari_periodic_denoise.viewer.layers.plane import Plane

if TYPE_CHECKING:
    from napari_periodic_denoise import NoiseEstimate, Wave
    from napari_periodic_denoise.stacks.clean import StackEstimate

_REACH = 4  # times the noise of one plane: what that of other planes may be


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a run ends with.

    Attributes
    ----------
    estimate : NoiseEstimate
        Of one plane: the one that was shown.
    plane : Plane
        Which one that is.
    noise, cleaned : array, or list of the levels of a pyramid
        What the layers show, with the source's axes.
    start : tuple of int
        Where in the source they start.
    limits, reach : tuple of float
        Contrast limits for the noise, and how far they can be moved.
    found : dict
        What the layers' metadata tell.
    summary : str
        In one line, for a person.
    made_of : dict
        What else decides about each bit, see `replay.made_of`.
    computed : mapping
        What of lazy arrays is computed already, for `lazily.remember`.
    image : array or None
        What one plane's estimate was made of; None of all planes.
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
    """Return what a run on one plane ends with.

    Of a stack, the layers have all the source's axes, and are one plane thick: as 2-D layers
    they would lie over the other planes as well, whose noise is another.

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
        found=_found_in(plane, estimate),
        summary=_summary_of(plane, estimate),
        image=image,
        made_of=made_of(image),
    )


def outcome_of_selection(outcome: Outcome, estimate: NoiseEstimate) -> Outcome:
    """Return what a run on one plane would have ended with if it had found fewer waves.

    Parameters
    ----------
    outcome : Outcome
        With all waves.
    estimate : NoiseEstimate
        What `select_waves` made of its estimate.

    Returns
    -------
    Outcome
        Within the same contrast limits, so that what is switched off is seen.
    """
    if estimate is outcome.estimate:
        return outcome
    plane, on = outcome.plane, {wave.frequency for wave in estimate.waves}
    off = [wave for wave in outcome.estimate.waves if wave.frequency not in on]
    return replace(
        outcome,
        estimate=estimate,
        noise=plane.in_place(estimate.noise),
        cleaned=plane.in_place(estimate.cleaned),
        found=_found_in(plane, estimate, off),
        summary=_summary_of(plane, estimate),
    )


def outcome_of_planes(
    image: Any,  # noqa: ANN401
    stack: StackEstimate,
    plane: Plane,
    model: str,
) -> Outcome:
    """Return what a run on all planes ends with, when all are computed.

    Parameters
    ----------
    image : array
        Pixels of the plane that was shown.
    stack : StackEstimate
    plane : Plane
        The one that was shown.
    model : str
        Of `clean_stack`.

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
        summary=f"{_model_in_words(stack)}periodic noise in {noisy} of {len(planes)} planes",
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
    """Return what a run on all planes ends with, when one is computed.

    Parameters
    ----------
    image, stack, plane, model
        As for `outcome_of_planes`.
    estimate : NoiseEstimate
        Of that plane.
    computed : mapping
        What was computed for it.

    Returns
    -------
    Outcome
    """
    low, high = symmetric_limits(estimate.noise)
    planes = f"{stack.estimates.size} planes, each cleaned when it is shown or saved"
    return Outcome(
        estimate=estimate,
        plane=plane,
        noise=stack.noise,
        cleaned=stack.cleaned,
        start=(0,) * plane.ndim,
        limits=(low, high),
        reach=(_REACH * low, _REACH * high),
        found={"model": model, "planes": [{"plane": list(plane.index), **record(estimate)}]},
        summary=_model_in_words(stack) + planes,
        made_of=made_of(image),
        computed=computed,
    )


def symmetric_limits(noise: np.ndarray) -> tuple[float, float]:
    """Contrast limits that hold all of the noise, with zero in the middle."""
    limit = float(max(noise.max(), -noise.min()))
    return (-limit, limit) if limit else (-1.0, 1.0)


def _found_in(plane: Plane, estimate: NoiseEstimate, off: Sequence[Wave] = ()) -> dict[str, Any]:
    found = record(estimate, off)
    return {**found, "plane": list(plane.index)} if plane.index else found


def _summary_of(plane: Plane, estimate: NoiseEstimate) -> str:
    return f"{plane}: {estimate.summary}" if plane.index else estimate.summary


def _model_in_words(stack: StackEstimate) -> str:
    if stack.model is None:
        return ""
    from napari_periodic_denoise.noise.wording import plural

    return f"one model of {plural(stack.model.frequencies.shape[1])}: "


def _finest(data: Any) -> Any:  # noqa: ANN401 - an array, or a list of levels
    return data[0] if isinstance(data, list) else data
