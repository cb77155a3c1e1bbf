"""What is known of one channel: its waves, why they were believed, and what they leave."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from napari_periodic_denoise.noise.families import distances
from napari_periodic_denoise.noise.features import without_limited
from napari_periodic_denoise.noise.fit import (
    CONSENSUS,
    EVIDENCE_PER_LOG_PIXEL,
    Fit,
    GradientSample,
    evidence,
    polish_waves,
    sample_area,
    sample_gradient,
    unfitted,
)
from napari_periodic_denoise.noise.gain import flatten
from napari_periodic_denoise.noise.images import Normalized
from napari_periodic_denoise.noise.waves import (
    Frequency,
    Wave,
    lowest_alias,
    synthesize,
    wave_at_centre,
)

Shape = tuple[int, int]

SEARCH_PIXELS = 30_000
FINAL_PIXELS = 200_000
APART = 1.2  # cycles across the image, below which two waves are one
# of a Gauss–Newton fit of waves that have been fitted: softening at first, and steps
REFIT = (0.5, 3)

_OVERWHELMING = 50.0  # times the needed evidence
_UNEVEN = 2 / 3  # of the consensus, which is then enough
_RELATED = 1 / 2  # of the consensus, which is enough where other waves share the bases
_EXEMPLAR_PIXELS = 60_000
_VISIBLE = 0.25  # grey levels, under which a wave can be an artefact of rounding another


@dataclass(frozen=True, slots=True)
class Rejected:
    """A peak of the spectrum that was not taken for a wave.

    Attributes
    ----------
    frequency : tuple of float
        ``(fy, fx)`` in cycles/pixel.
    false_alarms : float
        Expected number of peaks this strong without periodic noise.
    reason : str
        Why it was dropped, for a person.
    """

    frequency: Frequency
    false_alarms: float
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """Constant waves, and why each was believed.

    Attributes
    ----------
    fit : Fit
        K waves.
    false_alarms, evidence : ndarray of float64, shape (K,)
        See `Wave`.
    """

    fit: Fit
    false_alarms: NDArray[np.float64]
    evidence: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.fit)

    def take(self, keep: np.ndarray) -> Found:
        """Take some of the waves, by index or by mask."""
        return Found(self.fit.take(keep), self.false_alarms[keep], self.evidence[keep])

    def join(self, other: Found) -> Found:
        """Join the waves of both."""
        return Found(
            self.fit.join(other.fit),
            np.concatenate([self.false_alarms, other.false_alarms]),
            np.concatenate([self.evidence, other.evidence]),
        )

    def waves(self, shape: Shape, dark: float | None = None) -> list[Wave]:
        """Return the waves of an image of that shape; with ``dark`` they multiply."""
        return [
            wave_at_centre(
                frequency,
                np.array([[coefficient]]),
                shape,
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


def nothing() -> Found:
    """No waves."""
    return Found(unfitted(np.empty((0, 2))), np.empty(0), np.empty(0))


@dataclass(frozen=True, slots=True, eq=False)
class Channel:
    """One channel of an image, and the model of its noise so far.

    Attributes
    ----------
    pixels : Tensor of float32, shape (H, W)
        In robust deviations.
    sample : GradientSample
        Of the pixels, for final fits.
    zero : float
        No light, in the unit of the pixels.
    limited : Tensor of bool, shape (H, W), or None
        Pixels that tell nothing: at the image's limits, see `images.Normalized`, or protected.
    exemplar : GradientSample or None
        Of the pixels where only noise is seen, where such are known.
    found : Found
        Constant waves that are added.
    gains : Found
        Constant waves that multiply.
    dark : float or None
        The intensity that is not multiplied, where there are such.
    settled : tuple of Wave
        Added waves with envelopes or profiles.
    rejected : tuple of Rejected
    folded, multiplied : tuple of ndarray
        Frequencies that have been tried as a profile's, and as a gain's.
    """

    pixels: torch.Tensor
    sample: GradientSample
    zero: float
    limited: torch.Tensor | None
    exemplar: GradientSample | None
    found: Found
    gains: Found
    dark: float | None = None
    settled: tuple[Wave, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    folded: tuple[NDArray[np.float64], ...] = ()
    multiplied: tuple[NDArray[np.float64], ...] = ()

    @property
    def shape(self) -> Shape:
        """``(H, W)``."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def multiplying(self) -> list[Wave]:
        """Waves that multiply."""
        return self.gains.waves(self.shape, self.dark)

    def added(self) -> list[Wave]:
        """Waves that are added."""
        return [*self.settled, *self.found.waves(self.shape)]

    def waves(self) -> list[Wave]:
        """All waves."""
        return [*self.multiplying(), *self.added()]

    def residual(self) -> torch.Tensor:
        """The image without the waves, shape (H, W)."""
        return self._without(self.added())

    def before_constant(self) -> torch.Tensor:
        """The image without the waves, but with the constant ones that are added."""
        return self._without(self.settled)

    def counted(self, maps: torch.Tensor) -> torch.Tensor:
        """Differences, shape (2, H − 1, W − 1), without those of pixels at the image's limits.

        A pixel at a limit does not have the noise, and would show it where it is taken away.
        """
        return without_limited(maps, self.limited)

    def _without(self, added: Sequence[Wave]) -> torch.Tensor:
        flat = flatten(self.pixels, self.multiplying())
        return flat - synthesize(added, self.shape, self.pixels.device) if added else flat


def channel_of(image: Normalized, seed: int, exemplar: torch.Tensor | None = None) -> Channel:
    """A channel of which no waves are known yet.

    Parameters
    ----------
    image : Normalized
    seed : int
        Of the random choice of pixels.
    exemplar : Tensor of bool, shape (H, W), optional
        Pixels where only noise is seen.
    """
    sample = sample_gradient(image.pixels, FINAL_PIXELS, seed, image.quantum, image.limited)
    area = None
    if exemplar is not None:
        known = exemplar if image.limited is None else exemplar & ~image.limited
        area = sample_area(image.pixels, known, _EXEMPLAR_PIXELS, seed, image.quantum)
    zero = -image.centre / image.unit
    return Channel(
        image.pixels, sample, zero, image.limited, area, found=nothing(), gains=nothing()
    )


def refitted(channel: Channel) -> Channel:
    """Fit all constant waves that are added again, jointly, to some of the sample."""
    if not len(channel.found):
        return channel
    few = channel.sample.first(SEARCH_PIXELS).of(channel.before_constant())
    *_, fit = polish_waves(few, channel.found.fit, *REFIT)
    return replace(channel, found=replace(channel.found, fit=fit))


def needed(samples: Sequence[GradientSample]) -> float:
    """Nats that a wave has to save in the description of samples."""
    return EVIDENCE_PER_LOG_PIXEL * math.log(sum(map(len, samples)))


def believed(sample: GradientSample, found: Found) -> tuple[Found, tuple[Rejected, ...]]:
    """Those of the waves that are noise, with their evidence, and why the others are not.

    Parameters
    ----------
    sample : GradientSample
        Of the image with these waves.
    found : Found
    """
    keep, nats, rejected = judged([sample], [found.fit], found.false_alarms)
    return replace(found, evidence=nats).take(keep), rejected


def judged(
    samples: Sequence[GradientSample], fits: Sequence[Fit], false_alarms: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64], tuple[Rejected, ...]]:
    """Tell which waves pay for themselves, all over the image, and are no rounding.

    Parameters
    ----------
    samples : sequence of GradientSample
        Of P images with these waves.
    fits : sequence of Fit
        The same K waves in each image.
    false_alarms : ndarray of float64, shape (K,)

    Returns
    -------
    keep : ndarray of bool, shape (K,)
    nats : ndarray of float64, shape (K,)
        Evidence.
    rejected : tuple of Rejected
        Those that are not kept.
    """
    fit, shape = fits[0], samples[0].shape
    nats, consensus = evidence(samples, fits)
    needs = needed(samples)
    strength = np.sqrt(np.mean([np.abs(each.coefficients) ** 2 for each in fits], 0))
    grey = np.sqrt(
        np.mean(
            [
                np.abs(each.coefficients / sample.quantum) ** 2
                for sample, each in zip(samples, fits, strict=True)
            ],
            0,
        )
    )
    # overwhelming evidence may be uneven: two waves close by are at first found as one that beats
    agreed = np.where(nats > _OVERWHELMING * needs, _UNEVEN * CONSENSUS, CONSENSUS)
    # the company of waves that share a base is evidence too
    shared = fit.ties != 0
    related = (shared * shared.sum(0)).max(1, initial=0) > 2
    agreed = np.where(related, _RELATED * CONSENSUS, agreed)
    # two waves that have moved onto each other describe one that changes
    twin = (distances(fit.frequencies, shape) < APART) & (strength[:, None] < strength)
    tests = (
        (nats <= needs, "saves {nats:.0f} nats of the {needs:.0f} it has to"),
        (consensus <= agreed, "parts of the image disagree: t = {t:.1f}, not above {agreed:.1f}"),
        (
            ~related & (grey < _VISIBLE),
            "{grey:.2f} grey levels, which rounding can make of another wave",
        ),
        (twin.any(1), "has moved onto a stronger wave"),
    )
    keep: NDArray[np.bool_] = ~np.any([failed for failed, _ in tests], axis=0)
    rejected = []
    for i in np.flatnonzero(~keep):
        reason = next(text for failed, text in tests if failed[i]).format(
            nats=nats[i], needs=needs, t=consensus[i], agreed=agreed[i], grey=grey[i]
        )
        fy, fx = fit.frequencies[i].tolist()
        rejected.append(Rejected((fy, fx), float(false_alarms[i]), reason))
    return keep, nats, tuple(rejected)


def outside(frequency: Frequency | NDArray[np.float64], wave: Wave, shape: Shape) -> bool:
    """Whether a frequency lies outside what a wave, and its envelope, can take up."""
    reach = APART + np.array(wave.order) / 2
    return all(
        np.hypot(*(lowest_alias(np.subtract(frequency, other)) * shape / reach)) > 1
        for other in (np.array(wave.frequency), -np.array(wave.frequency))
    )
