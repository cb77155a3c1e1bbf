"""Fit hard-edged periodic patterns: a profile of any shape, folded at its period."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch

from napari_periodic_denoise.noise.fitting.evidence import description_length
from napari_periodic_denoise.noise.fitting.gauss_newton import Fit, subtract_waves
from napari_periodic_denoise.noise.fitting.sample import GradientSample
from napari_periodic_denoise.noise.fitting.schedule import SHRINK, Schedule
from napari_periodic_denoise.noise.waves.frequency import Float

# The step counts and widths below are checked by benchmarks.rejection (square wave, hard stripes).
_STEPS = 240  # first number of equal steps; divisible by 2, 3, 4, 5, 6 and 8 pixels
# golden section of a step: no phase of a rational period falls on the border of two steps
_OFFSET = (math.sqrt(5) - 1) / 2 / _STEPS
_PARTS = 4  # a step beside an edge is split into so many
_SPLITS = 3  # times; for a period of 15 pixels the last steps are a thousandth of a pixel wide
_FIRST_FOLD = Schedule(2.0, 9)
_NEXT_FOLD = Schedule(0.3, 8)
_EQUAL = 0.1  # quanta; total variation has merged steps that differ by less
_TRIAL_PIXELS = 60_000  # pixels of the first fold, which decides whether to go on
_EDGE = 2.0  # quanta between the steps on both sides of an edge: more than rounding makes
_REACH = 0.02  # cycles across the image; first search radius, twice the error of the waves' fit
_FINEST = 1 / 16  # last search step, in units of the radius
_MIN_CYCLES = 4.0  # across the image; fewer periods do not prove repetition


@dataclass(frozen=True, slots=True)
class ProfileFit:
    """A folded profile fitted to a gradient.

    Attributes
    ----------
    frequency : ndarray of float64, shape (2,)
        Cycles/pixel.
    starts : ndarray of float64, shape (S,)
        Phase at which each step begins, in turns, ascending. The phase is zero at the image's
        centre.
    values : ndarray of float64, shape (S,)
        Values of the steps. Their mean over a period is zero.
    saved : float
        Nats by which the description is shorter than the description with the rival.
    """

    frequency: Float
    starts: Float
    values: Float
    saved: float


def fit_profile(
    sample: GradientSample, frequency: Float, rival: Fit
) -> Generator[str, None, ProfileFit | None]:
    """Fit a periodic profile of any shape that varies along one direction.

    The profile T is piecewise constant in the phase, ``N(x) = T(f·x mod 1)``, and minimises
    ``Σ |∂(I − N)| + λ Σ |T_s − T_s₋₁|``. The second term is total variation: it keeps edges and
    smooths what the image does not determine. λ is the universal threshold for noise of random
    signs (Donoho & Johnstone 1994). A truncated harmonic series would lower the gradient at the
    few pixels on an edge and raise it everywhere else. Steps beside edges are split, and the
    frequency is searched again with the sharper profile, until the position of an edge is known
    to a small part of a pixel.

    Parameters
    ----------
    sample : GradientSample
    frequency : ndarray, shape (2,)
        Cycles/pixel, with an error of at most about 0.01 cycles across the image.
    rival : Fit
        Waves that fit the same sample. The profile must have the shorter description.

    Yields
    ------
    str
        Description of the next step.

    Returns
    -------
    ProfileFit or None
        None if no profile has a shorter description.
    """
    if float(np.hypot(*(frequency * sample.shape))) < _MIN_CYCLES:
        return None
    sample = sample.cpu()
    starts = torch.arange(_STEPS, dtype=torch.float64) / _STEPS
    values = torch.zeros_like(starts)
    yield f"folding a profile of {len(starts)} steps"
    few = sample.first(_TRIAL_PIXELS)
    values = _fold(few, frequency, starts, values, _FIRST_FOLD)
    if _description(few, frequency, starts, values) >= _rival_description(few, rival):
        return None
    best, reach = None, _REACH
    to_beat = shortest = _rival_description(sample, rival)
    for _ in range(_SPLITS):
        yield "searching the period of a profile"
        frequency = _search(sample, frequency, starts, values, reach)
        starts, values = _split(starts, values, _EDGE * sample.quantum)
        yield f"folding a profile of {len(starts)} steps"
        values = _fold(sample, frequency, starts, values, _NEXT_FOLD)
        description = _description(sample, frequency, starts, values)
        if description >= shortest:
            break
        shortest, reach = description, reach / _PARTS
        best = ProfileFit(
            frequency,
            starts.numpy() - _OFFSET,
            values.numpy(),
            to_beat - description,
        )
    return best


def _rival_description(sample: GradientSample, rival: Fit) -> float:
    """Description length with the rival waves, in nats."""
    return description_length(sample, subtract_waves(sample, rival).gradient, 4 * len(rival))


def _description(
    sample: GradientSample, frequency: Float, starts: torch.Tensor, values: torch.Tensor
) -> float:
    """Description length with the profile, in nats."""
    here, below, beside = _steps(sample, frequency, starts)
    level = values[here]
    differences = torch.stack([values[below] - level, values[beside] - level])
    residual = sample.gradient - differences.view_as(sample.gradient).to(torch.float32)
    # steps that total variation has made equal count as one unknown
    different = int(((values - values.roll(1)).abs() > _EQUAL * sample.quantum).sum())
    return description_length(sample, residual, different + 2)


def _fold(
    sample: GradientSample,
    frequency: Float,
    starts: torch.Tensor,
    values: torch.Tensor,
    schedule: Schedule,
) -> torch.Tensor:
    """Fit the values of the steps by iteratively reweighted least squares."""
    count, pixels = len(starts), len(sample)
    here, below, beside = _steps(sample, frequency, starts)
    along_y, along_x = sample.gradient.flatten(1).double()
    counted_y, counted_x = sample.counted.flatten(1)
    soft = schedule.softening * float(sample.gradient.abs().mean())
    variation = math.sqrt(2 * (4 * pixels / _STEPS) * math.log(_STEPS))
    step = torch.arange(count)
    before = step.roll(1)
    for _ in range(schedule.steps):
        level = values[here]
        rest_y, rest_x = along_y + level - values[below], along_x + level - values[beside]
        weight_y = rest_y.square_().add_(soft**2).rsqrt_().mul_(counted_y)
        weight_x = rest_x.square_().add_(soft**2).rsqrt_().mul_(counted_x)
        pairs = torch.bincount(below * count + here, weight_y, count * count)
        pairs += torch.bincount(beside * count + here, weight_x, count * count)
        pairs = pairs.view(count, count)
        jump = values - values[before]
        pairs[step, before] += variation * jump.square_().add_(soft**2).rsqrt_()
        normal = -pairs - pairs.T
        normal.diagonal().add_(pairs.sum(0) + pairs.sum(1))
        # differences do not determine the mean; one more equation makes it zero
        normal += normal.diagonal().mean() / count
        rise_y, rise_x = weight_y.mul_(along_y), weight_x.mul_(along_x)
        moment = torch.bincount(below, rise_y, count) + torch.bincount(beside, rise_x, count)
        moment -= torch.bincount(here, rise_y.add_(rise_x), count)
        values = torch.linalg.solve(normal, moment)
        soft = max(SHRINK * soft, 0.5 * sample.quantum)
    widths = _widths(starts)
    return values - (values * widths).sum()


def _search(
    sample: GradientSample,
    frequency: Float,
    starts: torch.Tensor,
    values: torch.Tensor,
    reach: float,
) -> Float:
    """Search the frequency with the smallest L1 gradient, for a fixed profile.

    The method is a pattern search (Hooke & Jeeves 1961).
    """
    # only pixels whose phase is near an edge can move to another step
    edges = starts[(values - values.roll(1)).abs() > _EDGE * sample.quantum]
    if not len(edges):
        return frequency
    near = torch.zeros(len(sample), dtype=torch.bool)
    margin = 3 * reach
    ring = torch.cat([edges[-1:] - 1, edges, edges[:1] + 1])
    for phase in _phases(sample, frequency):
        after = torch.bucketize(phase, ring)
        near |= torch.minimum(phase - ring[after - 1], ring[after] - phase) < margin
    pick = near.nonzero()[:, 0]
    y, x = _positions(sample)
    columns = len(sample.columns)
    y, x = y[pick // columns], x[pick % columns]
    gradient = sample.gradient.flatten(1)[:, pick].double()
    counted = sample.counted.flatten(1)[:, pick]

    def magnitude(f: Float) -> float:
        phase = f[0] * y + f[1] * x + _OFFSET
        level = _at(phase, starts, values)
        residual = gradient + level
        residual[0] -= _at(phase + f[0], starts, values)
        residual[1] -= _at(phase + f[1], starts, values)
        return float(residual.square_().add_(sample.quantum**2).sqrt_().mul_(counted).sum())

    step, smallest = reach, magnitude(frequency)
    size = np.array(sample.shape)
    while step > _FINEST * reach:
        moved = False
        for direction in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            while True:
                trial = frequency + step * np.array(direction) / size
                value = magnitude(trial)
                if value >= smallest or np.abs((trial - frequency) * size).max() > 1:
                    break
                frequency, smallest, moved = trial, value, True
        if not moved:
            step /= 2
    return frequency


def _split(
    starts: torch.Tensor, values: torch.Tensor, edge: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Split the steps on both sides of every edge into equal parts."""
    before = (values - values.roll(1)).abs() > edge
    parts = torch.where(before | before.roll(-1), _PARTS, 1)
    first = torch.repeat_interleave(parts.cumsum(0) - parts, parts)
    index = torch.arange(len(first)) - first
    width = torch.repeat_interleave(_widths(starts) / parts, parts)
    return (
        torch.repeat_interleave(starts, parts) + index * width,
        torch.repeat_interleave(values, parts),
    )


def _widths(starts: torch.Tensor) -> torch.Tensor:
    """Widths of the steps, in turns."""
    return torch.cat([starts[1:], starts[:1] + 1]) - starts


def _positions(sample: GradientSample) -> tuple[torch.Tensor, torch.Tensor]:
    """Distances of the sample's rows and columns from the image's centre, in pixels."""
    h, w = sample.shape
    return sample.rows.double() - (h - 1) / 2, sample.columns.double() - (w - 1) / 2


def _phases(sample: GradientSample, frequency: Float) -> list[torch.Tensor]:
    """Phase of each pixel, the one below it and the one beside it, in turns."""
    y, x = _positions(sample)
    phase = (frequency[0] * y[:, None] + frequency[1] * x + _OFFSET).flatten()
    return [(phase + more).remainder_(1.0) for more in (0.0, frequency[0], frequency[1])]


def _steps(
    sample: GradientSample, frequency: Float, starts: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Index of the step of each pixel, the one below it and the one beside it."""
    here, below, beside = (
        torch.bucketize(phase, starts, right=True) - 1 for phase in _phases(sample, frequency)
    )
    return here, below, beside


def _at(phase: torch.Tensor, starts: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Value of the profile at each phase."""
    return values[torch.bucketize(phase.remainder(1.0), starts, right=True) - 1]
