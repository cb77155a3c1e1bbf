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
    EnvelopeFit,
    choose_envelope,
    description_length,
)
from napari_periodic_denoise.noise.families import distances, fundamental, tie, vacant
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
    subtracted,
    unfitted,
)
from napari_periodic_denoise.noise.gain import GainFit, fit_gain, flatten
from napari_periodic_denoise.noise.profile import fit_profile
from napari_periodic_denoise.noise.waves import (
    Frequency,
    Wave,
    profile_at_centre,
    synthesize,
    wave_at_centre,
)

Shape = tuple[int, int]
Progress = tuple[str, str]  # stage, message

_SEARCH_PIXELS = 30_000
_SEARCH_SIZE = 2048  # pixels a side around the centre, from which a fit is widened step by step
_WIDEN = 4
_FINAL_PIXELS = 200_000
_LEAST_FINAL, _FINAL_WORK = 60_000, 2_400_000  # pixels, and pixels times waves
_ROUNDS = 40
_BATCH = 8
_HOPEFUL = 0.25  # share of the needed evidence that a rough fit must show
_OVERWHELMING = 50.0  # times the needed evidence
_UNEVEN = 2 / 3  # of the consensus, which is then enough
_RELATED = 1 / 2  # of the consensus, which is enough where other waves share the bases
_VISIBLE = 0.25  # grey levels, under which a wave can be an artefact of rounding another
_APART = 1.2  # cycles across the image, below which two waves are one
_MODULATED = 2.0  # local excess of what is left of a wave, above which its envelope is fitted
_UNEXPLAINED = 1.5  # local excess at a place of a lattice, above which a wave is tried there
_LEADING = 4  # waves, the strongest, that may multiply
_BLACK = 0.1  # of the way from the darkest to the middle intensity, above which none is dark
_GROWTH = 4  # times that a lattice is filled up
_PATIENCE = 2  # suspects that turn out constant, after which the weaker ones are left alone
_SIDEBAND = 16.0  # cycles across the image, within which waves may be parts of a modulated one
_SIDEBAND_STRENGTH = 0.5  # of the carrier's amplitude, at most

# of each Gauss–Newton fit: softening of the first step, and number of steps
_APPROACH = (3.0, 6)
_REFIT = (0.5, 3)
_FINISH = (0.2, 5)


def find_waves(
    pixels: torch.Tensor,
    quantum: float,
    zero: float,
    *,
    noise_model: str,
    sensitivity: float,
    seed: int,
) -> Generator[Progress, None, list[Wave]]:
    """Find all waves of an image that pay for themselves.

    Waves are found as constant ones. Those that others are harmonics of may have hard edges,
    those that follow the brightness may multiply, those that leave something behind may drift
    and fade; each is described by what makes the image's description the shortest.

    Parameters
    ----------
    pixels : Tensor of float32, shape (H, W)
        Intensities in robust deviations, see `images.normalize`.
    quantum : float
        Step between two grey levels.
    zero : float
        No light, in the same unit.
    noise_model : {"auto", "additive", "multiplicative"}
        Whether waves may, or have to, multiply.
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
    none = _Found(unfitted(np.empty((0, 2))), np.empty(0), np.empty(0), shape)
    model = _Model(found=none, gains_found=none)
    folded: list[np.ndarray] = []  # frequencies that have been tried as such
    multiplied: list[np.ndarray] = []
    for _ in range(_ROUNDS):
        before = model
        model = yield from _add_constant(pixels, sample, model, sensitivity)
        if model is not before:
            model = yield from _fold(pixels, sample, model, folded)
            if noise_model != "additive":
                forced = noise_model == "multiplicative"
                model = yield from _multiply(
                    pixels, sample, model, zero, multiplied, forced=forced
                )
            continue
        model = yield from _finish(pixels, sample, model)
        before = model
        model = yield from _modulate(pixels, sample, model)
        if model is before:
            break
    return model.waves()


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

    def waves(self, dark: float | None = None) -> list[Wave]:
        return [
            wave_at_centre(
                frequency,
                np.array([[coefficient]]),
                self.shape,
                false_alarms=float(false_alarms),
                evidence=float(nats),
                dark=dark,
            )
            for frequency, coefficient, false_alarms, nats in zip(
                self.fit.frequencies,
                self.fit.coefficients,
                self.false_alarms,
                self.evidence,
                strict=True,
            )
        ]


@dataclass(frozen=True, slots=True)
class _Model:
    """All that is known of an image's waves."""

    found: _Found  # constant waves that are added
    gains_found: _Found  # constant waves that multiply
    dark: float | None = None  # the intensity that is not multiplied, where there are such
    settled: tuple[Wave, ...] = ()  # added ones with envelopes or profiles

    @property
    def shape(self) -> Shape:
        return self.found.shape

    def of(self, fit: GainFit) -> _Model:
        """Return the model with its gains fitted."""
        return replace(self, gains_found=replace(self.gains_found, fit=fit.waves), dark=fit.dark)

    def gains(self) -> list[Wave]:
        return self.gains_found.waves(self.dark)

    def added(self) -> list[Wave]:
        return [*self.settled, *self.found.waves()]

    def waves(self) -> list[Wave]:
        return [*self.gains(), *self.added()]

    def residual(self, pixels: torch.Tensor, *, without_found: bool = False) -> torch.Tensor:
        """Return the image cleaned of all waves, or of all but the constant ones."""
        flat = flatten(pixels, self.gains())
        added = self.settled if without_found else self.added()
        return flat - synthesize(added, self.shape, pixels.device) if added else flat


Steps = Generator[Progress, None, _Model]


def _add_constant(
    pixels: torch.Tensor, sample: GradientSample, model: _Model, sensitivity: float
) -> Steps:
    """Add some of the waves that an image still holds, and fit all again.

    Returns the model itself where there is none.
    """
    shape, known = model.shape, model.waves()
    yield "detect", f"looking for waves ({len(known)} found)"
    residual = model.residual(pixels)
    features = edges(residual)
    yield "detect", f"looking for waves ({len(known)} found)"
    candidates = [
        candidate
        for candidate in find_candidates(features, sensitivity=sensitivity)
        if all(_apart(candidate.frequency, wave, shape) for wave in known)
    ]
    if candidates:  # a peak at the edge of the half plane has a twin on its other edge
        near = distances(np.array([c.frequency for c in candidates]), shape) < _APART
        candidates = [c for i, c in enumerate(candidates) if not near[i, :i].any()]
    left = sample.of(residual)
    for start in range(0, len(candidates), _BATCH):
        batch = candidates[start : start + _BATCH]
        yield "fit", f"fitting {_plural(len(batch))} ({len(known)} found)"
        batch = present_in_most(features, batch)
        trial = _Found(
            unfitted(np.array([candidate.frequency for candidate in batch])),
            np.array([candidate.false_alarms for candidate in batch]),
            np.zeros(len(batch)),
            shape,
        )
        accepted = _examine(left, trial)
        if len(accepted.fit):
            return _refitted(pixels, sample, replace(model, found=model.found.join(accepted)))
    return model


def _refitted(pixels: torch.Tensor, sample: GradientSample, model: _Model) -> _Model:
    """Fit all constant waves again, jointly, to some of the sample."""
    if not len(model.found.fit):
        return model
    bare = model.residual(pixels, without_found=True)
    *_, fit = polish_waves(sample.first(_SEARCH_PIXELS).of(bare), model.found.fit, *_REFIT)
    return replace(model, found=replace(model.found, fit=fit))


def _finish(pixels: torch.Tensor, sample: GradientSample, model: _Model) -> Steps:
    """Tie harmonics and lattices together, fit all constant waves exactly, test them again."""
    if not len(model.found.fit):
        return model
    full = sample.of(model.residual(pixels, without_found=True))
    full = full.first(max(_LEAST_FINAL, _FINAL_WORK // len(model.found.fit)))
    yield "fit", "looking for harmonics and lattices"
    model = _tied(pixels, full.first(_SEARCH_PIXELS), model)
    found = model.found
    for step, fit in enumerate(polish_waves(full, found.fit, *_FINISH)):
        yield "fit", f"refining {_plural(len(fit))}, step {step + 1} of {_FINISH[1]}"
        found = replace(found, fit=fit)
    return replace(model, found=_believed(full, found))


def _tied(pixels: torch.Tensor, few: GradientSample, model: _Model) -> _Model:
    """Let waves share base frequencies, and add what is missing of a lattice."""
    found, shape = model.found, model.shape
    strengths = np.abs(found.fit.coefficients)
    bases, ties = tie(found.fit.frequencies, strengths, shape)
    if len(bases) == len(found.fit):
        return model
    fit = fit_waves(few, unfitted(bases, ties))
    *_, fit = polish_waves(few, fit, *_REFIT)
    free, tied = (
        description_length(subtracted(few, f).gradient, 2 * (len(f) + len(f.bases)), few.quantum)
        for f in (found.fit, fit)
    )
    if tied > free:
        return model
    model = replace(model, found=replace(found, fit=fit))
    for _ in range(_GROWTH):
        grown = _filled(pixels, few, model)
        if len(grown.found.fit) <= len(model.found.fit):
            break
        model = grown
    return model


def _filled(pixels: torch.Tensor, few: GradientSample, model: _Model) -> _Model:
    """Add waves at places of a lattice where something is left."""
    found = model.found
    missing = vacant(found.fit.bases, found.fit.ties, model.shape)
    if len(missing):
        excess = local_excess(edges(model.residual(pixels)), missing @ found.fit.bases)
        missing = missing[excess > _UNEXPLAINED]
    if not len(missing):
        return model
    fit = unfitted(found.fit.bases, np.concatenate([found.fit.ties, missing]))
    # a place of a lattice is not found among all frequencies: it can be no false alarm of its own
    alarms = np.full(len(missing), found.false_alarms.max())
    grown = _Found(
        fit_waves(few, fit),
        np.concatenate([found.false_alarms, alarms]),
        np.zeros(len(fit)),
        model.shape,
    )
    return replace(model, found=_believed(few, grown))


def _fold(
    pixels: torch.Tensor, sample: GradientSample, model: _Model, tried: list[np.ndarray]
) -> Steps:
    """Replace harmonics by one profile where that describes the image shorter."""
    found, shape = model.found, model.shape
    hint = fundamental(found.fit.frequencies, np.abs(found.fit.coefficients), shape)
    if hint is None:
        return model
    base, members = hint
    if _known(base, tried, shape):
        return model
    tried.append(base)
    others = replace(model, found=found.take(~members))
    own = sample.of(others.residual(pixels))
    harmonics = found.fit.take(members)
    before = description_length(
        subtracted(own, harmonics).gradient, 4 * len(harmonics), own.quantum
    )
    search = fit_profile(own, base, before)
    while True:
        try:
            yield "fit", next(search)
        except StopIteration as end:
            fit = end.value
            break
    if fit is None:
        return model
    wave = profile_at_centre(
        fit.frequency,
        fit.starts,
        fit.values,
        shape,
        false_alarms=float(found.false_alarms[members].min()),
        evidence=float(found.evidence[members].sum() + before - fit.description),
    )
    model = _refitted(pixels, sample, replace(others, settled=(*model.settled, wave)))
    # what was found beside a pattern with hard edges may have been part of it
    bare = model.residual(pixels, without_found=True)
    return replace(model, found=_believed(sample.of(bare), model.found))


def _multiply(
    pixels: torch.Tensor,
    sample: GradientSample,
    model: _Model,
    zero: float,
    tried: list[np.ndarray],
    *,
    forced: bool,
) -> Steps:
    """Let constant waves multiply where that describes the image shorter."""
    while True:
        strengths = np.abs(model.found.fit.coefficients)
        for carrier in np.argsort(-strengths)[:_LEADING]:
            frequency = model.found.fit.frequencies[carrier]
            if not _known(frequency, tried, model.shape):
                break
        else:
            return model
        tried.append(frequency)
        yield "fit", "looking whether the noise follows the brightness"
        model = yield from _multiplied(pixels, sample, model, int(carrier), zero, forced=forced)


def _multiplied(
    pixels: torch.Tensor,
    sample: GradientSample,
    model: _Model,
    carrier: int,
    zero: float,
    *,
    forced: bool,
) -> Steps:
    """Let one constant wave, and those that it may have been found with, multiply."""
    found, shape = model.found, model.shape
    parts = distances(found.fit.frequencies, shape)[carrier] < _SIDEBAND
    wave = found.take(np.arange(len(parts)) == carrier)
    kept = replace(model, found=found.take(~parts))
    gain = 1 + synthesize(model.gains(), shape, pixels.device)
    # what is added is taken away as it was before the multiplication
    lit = pixels - gain * synthesize(kept.added(), shape, pixels.device)
    clean = model.residual(pixels)
    own = sample.of(lit)
    noisy = own.of(clean).gradient * own.levels(gain)
    unknowns = 4 * (len(model.gains()) + int(parts.sum()))

    darkest, middle = (float(own.levels(lit).quantile(share)) for share in (0.01, 0.5))
    dark = min(zero, darkest) if model.dark is None else model.dark
    if middle <= dark:
        return model
    relative = replace(wave.fit, coefficients=wave.fit.coefficients / (middle - dark))
    start = GainFit(model.gains_found.fit.join(relative), dark, math.inf)
    few = own.first(_SEARCH_PIXELS)
    rows, columns = few.gradient.shape[1:]
    *_, fit = fit_gain(lit, clean, few, start, *_APPROACH)
    before = description_length(noisy[:, :rows, :columns], unknowns, few.quantum)
    if not forced and fit.description > before - _needed(few):
        return model
    multiplied = replace(kept, gains_found=model.gains_found.join(wave))
    for _ in range(2):  # the second time beside what the first has cleaned
        yield "fit", "fitting waves that follow the brightness"
        clean = flatten(lit, multiplied.of(fit).gains())
        *_, fit = fit_gain(lit, clean, own, fit, *_REFIT)
    before = description_length(noisy, unknowns, own.quantum)
    likely = np.abs(
        fit.waves.coefficients
    ).sum() < 1 and 2 * zero - middle < fit.dark < darkest + _BLACK * (middle - darkest)
    if not likely or (not forced and fit.description > before - _needed(own)):
        return model
    if not forced:
        frequency, coefficient = wave.fit.frequencies[0], complex(wave.fit.coefficients[0])
        envelope = yield from _enveloped(own, frequency, coefficient, before)
        if envelope is not None and envelope.description < fit.description:
            return model
    multiplied = _refitted(pixels, sample, multiplied.of(fit))
    # beside a wave that multiplies, what it did to the specimen was found as waves
    bare = multiplied.residual(pixels, without_found=True)
    return replace(multiplied, found=_believed(sample.of(bare), multiplied.found))


def _modulate(pixels: torch.Tensor, sample: GradientSample, model: _Model) -> Steps:
    """Give those of the constant waves an envelope that are not constant.

    Returns the model itself where all are.
    """
    found, shape = model.found, model.shape
    if not len(found.fit):
        return model
    yield "detect", "looking for drift and fading"
    excess = local_excess(edges(model.residual(pixels)), found.fit.frequencies)
    near = distances(found.fit.frequencies, shape) < _SIDEBAND
    strength = np.abs(found.fit.coefficients)
    # a wave that changes leaves something behind, or was found with weaker ones at its sides
    sidebands = near & (strength < _SIDEBAND_STRENGTH * strength[:, None])
    suspect = (near & (excess > _MODULATED)).any(1) | sidebands.any(1)
    failures = 0
    while suspect.any() and failures < _PATIENCE:
        found = model.found
        carrier = int(np.where(suspect, np.abs(found.fit.coefficients), 0).argmax())
        parts = near[carrier]
        own = sample.of(model.residual(pixels) + synthesize(found.take(parts).waves(), shape))
        before = description_length(
            sample.of(model.residual(pixels)).gradient, 4 * int(parts.sum()), sample.quantum
        )
        frequency = found.fit.frequencies[carrier]
        fit = yield from _enveloped(
            own, frequency, complex(found.fit.coefficients[carrier]), before
        )
        if fit is None:
            suspect &= ~parts
            failures += 1
            continue
        wave = wave_at_centre(
            frequency,
            fit.coefficients,
            shape,
            false_alarms=float(found.false_alarms[parts].min()),
            evidence=float(found.evidence[parts].sum() + before - fit.description),
        )
        model = replace(model, found=found.take(~parts), settled=(*model.settled, wave))
        suspect, near = suspect[~parts], near[~parts][:, ~parts]
    return model


def _enveloped(
    sample: GradientSample, frequency: np.ndarray, coefficient: complex, description: float
) -> Generator[Progress, None, EnvelopeFit | None]:
    tries = choose_envelope(sample, frequency, coefficient, description)
    while True:
        try:
            order = next(tries)
        except StopIteration as end:
            fit: EnvelopeFit | None = end.value
            return fit
        yield "fit", f"fitting drift and fading of order {order[0]}, {order[1]}"


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
    # the company of waves that share a base is evidence too
    shared = found.fit.ties != 0
    related = (shared * shared.sum(0)).max(1, initial=0) > 2
    agreed = np.where(related, _RELATED * CONSENSUS, agreed)
    believed = (nats > _needed(sample)) & (consensus > agreed)
    believed &= related | (strength >= _VISIBLE * sample.quantum)
    # two waves that have moved onto each other describe one that changes
    twin = (distances(found.fit.frequencies, found.shape) < _APART) & (
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


def _known(frequency: np.ndarray, others: list[np.ndarray], shape: Shape) -> bool:
    return bool((distances(np.array([frequency, *others]), shape)[0, 1:] < _APART).any())


def _plural(count: int) -> str:
    return "1 wave" if count == 1 else f"{count} waves"
