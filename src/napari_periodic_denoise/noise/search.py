"""Which waves an image holds: detect, fit, subtract, and again on what is left."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
import torch

from napari_periodic_denoise.noise.detect import (
    find_candidates,
    local_excess,
    present_in_most,
)
from napari_periodic_denoise.noise.envelope import (
    choose_envelope,
    description_length,
)
from napari_periodic_denoise.noise.features import edges
from napari_periodic_denoise.noise.fit import (
    CONSENSUS,
    EVIDENCE_PER_LOG_PIXEL,
    Fit,
    GradientSample,
    evidence,
    fit_waves,
    polish_waves,
    sample_gradient,
    unfitted,
)
from napari_periodic_denoise.noise.waves import Frequency, Wave, synthesize, wave_at_centre

Shape = tuple[int, int]
Steps = Generator[tuple[str, str], None, "_Found"]

_SEARCH_PIXELS = 30_000
_SEARCH_SIZE = 2048  # pixels a side around the centre, from which a fit is widened step by step
_WIDEN = 4
_FINAL_PIXELS = 200_000
_ROUNDS = 12
_BATCH = 8
_HOPEFUL = 0.25  # share of the needed evidence that a rough fit must show
_OVERWHELMING = 50.0  # times the needed evidence
_UNEVEN = 2 / 3  # of the consensus, which is then enough
_VISIBLE = 0.25  # grey levels, under which a wave can be an artefact of rounding another
_APART = 1.2  # cycles across the image, below which two waves are one
_MODULATED = 2.0  # local excess of what is left of a wave, above which its envelope is fitted
_PATIENCE = 2  # suspects that turn out constant, after which the weaker ones are left alone
_SIDEBAND = 16.0  # cycles across the image, within which waves may be parts of a modulated one
_SIDEBAND_STRENGTH = 0.5  # of the carrier's amplitude, at most

# of each Gauss–Newton fit: softening of the first step, and number of steps
_APPROACH = (3.0, 6)
_REFIT = (0.5, 3)
_FINISH = (0.2, 5)


def find_waves(
    pixels: torch.Tensor, quantum: float, sensitivity: float, seed: int
) -> Generator[tuple[str, str], None, list[Wave]]:
    """Find all waves of an image that pay for themselves.

    Parameters
    ----------
    pixels : Tensor of float32, shape (H, W)
        Intensities in robust deviations, see `images.normalize`.
    quantum : float
        Step between two grey levels.
    sensitivity : float
        False alarms to expect, see `detect.find_candidates`.
    seed : int
        Of the random choice of pixels.

    Yields
    ------
    stage, message : str
        What is done next.

    Returns
    -------
    list of Wave
        Amplitudes in the unit of the pixels.
    """
    shape = (pixels.shape[0], pixels.shape[1])
    sample = sample_gradient(pixels, _FINAL_PIXELS, seed, quantum)
    found = _Found(unfitted(np.empty((0, 2))), np.empty(0), np.empty(0), shape)
    modulated: list[Wave] = []
    rest = pixels
    for _ in range(_ROUNDS):
        found = yield from _find_constant(rest, sample.of(rest), found, modulated, sensitivity)
        count = len(modulated)
        found = yield from _find_modulated(pixels, sample, found, modulated)
        if len(modulated) == count:
            break
        rest = pixels - synthesize(modulated, shape, pixels.device)
    return [*modulated, *found.waves()]


@dataclass(frozen=True, slots=True)
class _Found:
    """Constant waves found so far, and why each was believed."""

    fit: Fit
    false_alarms: np.ndarray
    evidence: np.ndarray
    shape: Shape

    def take(self, keep: np.ndarray) -> _Found:
        return _Found(
            self.fit.take(keep), self.false_alarms[keep], self.evidence[keep], self.shape
        )

    def join(self, other: _Found) -> _Found:
        return _Found(
            self.fit.join(other.fit),
            np.concatenate([self.false_alarms, other.false_alarms]),
            np.concatenate([self.evidence, other.evidence]),
            self.shape,
        )

    def waves(self) -> list[Wave]:
        return [
            wave_at_centre(
                frequency,
                np.array([[coefficient]]),
                self.shape,
                false_alarms=float(false_alarms),
                evidence=float(nats),
            )
            for frequency, coefficient, false_alarms, nats in zip(
                self.fit.frequencies,
                self.fit.coefficients,
                self.false_alarms,
                self.evidence,
                strict=True,
            )
        ]


def _find_constant(
    pixels: torch.Tensor,
    sample: GradientSample,
    found: _Found,
    modulated: list[Wave],
    sensitivity: float,
) -> Steps:
    """Add to the waves that are found those that an image still holds, and fit all again."""
    shape = found.shape
    residual = (
        pixels - synthesize(found.waves(), shape, pixels.device) if len(found.fit) else pixels
    )
    for _ in range(_ROUNDS):
        count = len(found.fit) + len(modulated)
        yield "detect", f"looking for waves ({count} found)"
        features = edges(residual)
        yield "detect", f"looking for waves ({count} found)"
        known = [*modulated, *found.waves()]
        candidates = [
            candidate
            for candidate in find_candidates(features, sensitivity=sensitivity)
            if all(_apart(candidate.frequency, wave, shape) for wave in known)
        ]
        if candidates:  # a peak at the edge of the half plane has a twin on its other edge
            near = _distances(np.array([c.frequency for c in candidates]), shape) < _APART
            candidates = [c for i, c in enumerate(candidates) if not near[i, :i].any()]
        left = sample.of(residual)
        for start in range(0, len(candidates), _BATCH):
            batch = candidates[start : start + _BATCH]
            yield "fit", f"fitting {_plural(len(batch))} ({count} found)"
            batch = present_in_most(features, batch)
            trial = _Found(
                unfitted(np.array([candidate.frequency for candidate in batch])),
                np.array([candidate.false_alarms for candidate in batch]),
                np.zeros(len(batch)),
                shape,
            )
            accepted = _examine(left, trial)
            if len(accepted.fit):
                break
        else:
            break
        found = found.join(accepted)
        *_, fit = polish_waves(sample.first(_SEARCH_PIXELS), found.fit, *_REFIT)
        found = replace(found, fit=fit)
        residual = pixels - synthesize(found.waves(), shape, pixels.device)

    if len(found.fit):
        for step, fit in enumerate(polish_waves(sample, found.fit, *_FINISH)):
            yield "fit", f"refining {_plural(len(fit))}, step {step + 1} of {_FINISH[1]}"
            found = replace(found, fit=fit)
        found = _believed(sample, found)
    return found


def _find_modulated(
    pixels: torch.Tensor, sample: GradientSample, found: _Found, modulated: list[Wave]
) -> Steps:
    """Turn those of the constant waves that are not into modulated ones, added to the list.

    Returns the waves that stay constant.
    """
    if not len(found.fit):
        return found
    shape, device = found.shape, pixels.device
    yield "detect", "looking for drift and fading"
    residual = pixels - synthesize([*modulated, *found.waves()], shape, device)
    excess = local_excess(edges(residual), found.fit.frequencies)
    near = _distances(found.fit.frequencies, shape) < _SIDEBAND
    strength = np.abs(found.fit.coefficients)
    # a wave that changes leaves something behind, or was found with weaker ones at its sides
    sidebands = near & (strength < _SIDEBAND_STRENGTH * strength[:, None])
    suspect = (near & (excess > _MODULATED)).any(1) | sidebands.any(1)
    failures = 0
    while suspect.any() and failures < _PATIENCE:
        carrier = int(np.where(suspect, np.abs(found.fit.coefficients), 0).argmax())
        frequency = found.fit.frequencies[carrier]
        parts = near[carrier]
        others = [*modulated, *found.take(~parts).waves()]
        own = sample.of(pixels - synthesize(others, shape, device))
        constant = own.of(
            pixels - synthesize([*others, *found.take(parts).waves()], shape, device)
        )
        before = description_length(constant.gradient, 4 * int(parts.sum()), sample.quantum)
        tries = choose_envelope(own, frequency, complex(found.fit.coefficients[carrier]), before)
        while True:
            try:
                order = next(tries)
            except StopIteration as end:
                fit = end.value
                break
            yield "fit", f"fitting drift and fading of order {order[0]}, {order[1]}"
        if fit is None:
            suspect &= ~parts
            failures += 1
            continue
        modulated.append(
            wave_at_centre(
                frequency,
                fit.coefficients,
                shape,
                false_alarms=float(found.false_alarms[parts].min()),
                evidence=float(found.evidence[parts].sum() + before - fit.description),
            )
        )
        found, suspect, near = found.take(~parts), suspect[~parts], near[~parts][:, ~parts]
    return found


def _examine(left: GradientSample, trial: _Found) -> _Found:
    """Those of the candidates that pay for themselves, fitted to what is left of the image."""
    if not len(trial.fit):
        return trial
    # a peak's frequency is not known well enough to follow the wave over a long image
    size = _SEARCH_SIZE
    few = left.central(size).first(_SEARCH_PIXELS)
    trial = replace(trial, fit=fit_waves(few, trial.fit))
    # a candidate off by a fraction of a cycle still saves a good part of what it can
    nats, _ = evidence(few, trial.fit)
    trial = trial.take(nats > _HOPEFUL * EVIDENCE_PER_LOG_PIXEL * math.log(len(few)))
    if not len(trial.fit):
        return trial
    *_, fit = polish_waves(few, trial.fit, *_APPROACH)
    while size < max(left.shape):
        size *= _WIDEN
        few = left.central(size).first(_SEARCH_PIXELS)
        *_, fit = polish_waves(few, fit, *_APPROACH)
    return _believed(left, replace(trial, fit=fit))


def _believed(sample: GradientSample, found: _Found) -> _Found:
    """Those of the waves that pay for themselves, all over the image, and are no rounding."""
    nats, consensus = evidence(sample, found.fit)
    strength = np.abs(found.fit.coefficients)
    # overwhelming evidence may be uneven: two waves close by are at first found as one that beats
    agreed = np.where(nats > _OVERWHELMING * _needed(sample), _UNEVEN * CONSENSUS, CONSENSUS)
    believed = (nats > _needed(sample)) & (consensus > agreed)
    believed &= strength >= _VISIBLE * sample.quantum
    # two waves that have moved onto each other describe one that changes
    twin = (_distances(found.fit.frequencies, found.shape) < _APART) & (
        strength[:, None] < strength
    )
    return replace(found, evidence=nats).take(believed & ~twin.any(1))


def _needed(sample: GradientSample) -> float:
    return EVIDENCE_PER_LOG_PIXEL * math.log(len(sample))


def _apart(frequency: Frequency, wave: Wave, shape: Shape) -> bool:
    """Whether a frequency lies outside what a wave, and its envelope, can take up."""
    reach = _APART + np.array(wave.order) / 2
    return all(
        np.hypot(*(((np.subtract(frequency, other) + 0.5) % 1 - 0.5) * shape / reach)) > 1
        for other in (np.array(wave.frequency), -np.array(wave.frequency))
    )


def _distances(frequencies: np.ndarray, shape: Shape) -> np.ndarray:
    """Cycles across the image by which each two waves differ, shape (K, K).

    A frequency and its opposite are the same wave.
    """
    distances = np.full((len(frequencies), len(frequencies)), np.inf)
    for sign in (1, -1):
        difference = (frequencies[:, None] - sign * frequencies + 0.5) % 1 - 0.5
        apart = np.hypot(*np.moveaxis(difference * shape, 2, 0))
        distances = np.minimum(distances, apart)
    return distances


def _plural(count: int) -> str:
    return "1 wave" if count == 1 else f"{count} waves"
