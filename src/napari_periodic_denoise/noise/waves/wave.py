"""Waves and rejected peaks, as parts of a result."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from napari_periodic_denoise.noise.outcome import Outcome
from napari_periodic_denoise.noise.waves.frequency import Frequency, is_nyquist, lowest_alias
from napari_periodic_denoise.noise.wording import Cause, reason_of

_CERTAIN = 1e-20  # false alarms of a peak that is there for sure, whatever it is


@dataclass(frozen=True, slots=True)
class Rejected:
    """A peak of the spectrum that was not accepted as a wave of the noise.

    Attributes
    ----------
    frequency : tuple of float
        ``(fy, fx)`` in cycles/pixel.
    false_alarms : float
        Expected number of peaks this strong in an image without periodic noise.
    cause : Cause
        Test that the peak failed.
    measured, required : float
        Measured quantity of the test, and its threshold: saved nats, t of the agreement between
        parts, grey levels, or the share of the wave that would remain or that the exemplar
        shows. Zero for tests without a quantity.
    """

    frequency: Frequency
    false_alarms: float
    cause: Cause
    measured: float = 0.0
    required: float = 0.0

    @property
    def is_certain(self) -> bool:
        """Whether the peak is there for sure, be it noise or specimen."""
        return self.false_alarms < _CERTAIN

    @property
    def reason(self) -> str:
        """Why it was not accepted, in words."""
        return reason_of(self.cause, self.measured, self.required)

    def to_dict(self) -> dict[str, object]:
        """Return the attributes and the reason as plain values for JSON."""
        plain: dict[str, object] = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"frequency": list(self.frequency), "reason": self.reason}


Order = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Tones:
    """How a wave of a print's screen follows the tone, see `synthesis.smooth_tone`.

    The wave is ``Re(e(t) exp(2πi (fy·y + fx·x)))``, ``e(t) = Σ_d e_d T_d(t)``, with Chebyshev
    polynomials T_d of the tone t, from −1 at the darkest to 1 at the brightest.

    Attributes
    ----------
    coefficients : tuple of complex
        ``e_d`` in the unit of the amplitude.
    darkest, brightest : float
        Tones in the image's intensity unit. Beyond them, e does not change.
    period : float
        Period of the screen in pixels. The tone is the image's mean over about one.
    """

    coefficients: tuple[complex, ...]
    darkest: float
    brightest: float
    period: float

    @property
    def screen(self) -> tuple[float, float, float]:
        """Tones and period, which all waves of a screen have in common."""
        return self.darkest, self.brightest, self.period

    def in_units(self, unit: float, zero: float) -> Tones:
        """Convert tones of pixels to intensities, ``unit · pixels + zero``."""
        return Tones(
            tuple(unit * each for each in self.coefficients),
            unit * self.darkest + zero,
            unit * self.brightest + zero,
            self.period,
        )

    def to_dict(self) -> dict[str, object]:
        """Return the attributes as plain numbers and lists for JSON."""
        plain: dict[str, object] = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"coefficients": [[e.real, e.imag] for e in self.coefficients]}


@dataclass(frozen=True, slots=True)
class Wave:
    """One wave ``amplitude · cos(2π (fy·y + fx·x) + phase)``. The origin is pixel (0, 0).

    An envelope e changes amplitude and phase over the image of H×W pixels:
    ``Re Σ_jk e_jk cos(πj(y+½)/H) cos(πk(x+½)/W) exp(2πi (fy·y + fx·x))``. A profile T has hard
    edges: ``T((fy·y + fx·x) mod 1)``. A wave of a print's screen follows the tone, see `Tones`.

    Attributes
    ----------
    frequency : tuple of float
        ``(fy, fx)`` in cycles/pixel, in the half plane ``fy > 0`` or ``fy = 0, fx > 0``.
    amplitude : float
        Root mean square over the image times √2, which is half of the peak-to-peak height of a
        constant wave. Signs of odd and even pixels have half of their peak-to-peak height too.
        The unit is the image's intensity unit, or a share of the intensity if ``dark`` is given.
    phase : float
        Radians, in (−π, π]. Phase of the envelope's mean, of the profile's fundamental, or of the
        mean over all tones.
    false_alarms : float
        Expected number of peaks this strong in the spectrum of an image without periodic noise.
        Smaller is more certain.
    evidence : float
        Nats by which the wave shortens the description of the image.
    envelope : tuple of tuple of complex, optional
        Coefficients ``e_jk`` in the unit of the amplitude. None for a constant wave.
    profile : tuple of tuple of float, optional
        Steps ``(start, value)``. T has the value from this phase, in turns from 0 to 1, to the
        start of the next step. None for a sinusoid.
    dark : float, optional
        Intensity that is not multiplied. A wave with ``dark`` multiplies: ``I − dark`` is the
        clean ``C − dark`` times one plus the waves. A wave without is added.
    tones : Tones, optional
        Amplitudes and phases of a wave that follows the tone. None for other waves.
    channel : int
        Index of the channel that has the wave.
    share : float
        Share of the wave in the variance of the noise in its channel, 0 to 1; zero if it is not
        removed.
    outcome : Outcome
        Whether it is removed. A wave that may be part of the specimen is only suggested.
    amplitude_error, phase_error : float, optional
        Standard errors of the amplitude, in its unit, and of the phase, in radians. The phase is
        that at pixel (0, 0), so the error of the frequency, which turns the wave about the
        image's centre, is part of it. None for a wave with an envelope or a profile, a wave that
        multiplies or follows the tone, signs of odd and even pixels, waves that a network has
        refined, and waves that planes of a stack share. Rounding of an image without random noise
        changes amplitudes everywhere alike, by some hundredths of a grey level; the errors do not
        show it.
    frequency_error : tuple of float, optional
        Standard errors of ``(fy, fx)`` in cycles/pixel. None where the others are None.
    """

    frequency: Frequency
    amplitude: float
    phase: float
    false_alarms: float
    evidence: float
    envelope: tuple[tuple[complex, ...], ...] | None = None
    profile: tuple[tuple[float, float], ...] | None = None
    dark: float | None = None
    tones: Tones | None = None
    channel: int = 0
    share: float = 0.0
    outcome: Outcome = Outcome.REMOVED
    amplitude_error: float | None = None
    phase_error: float | None = None
    frequency_error: tuple[float, float] | None = None

    @property
    def key(self) -> Frequency:
        """What switches it, see `selection.select_waves`: its frequency."""
        return self.frequency

    @property
    def period(self) -> float:
        """Distance between two crests, in pixels."""
        return 1 / math.hypot(*self.frequency)

    @property
    def angle(self) -> float:
        """Direction of travel in degrees, 0 along x (vertical stripes), 90 along y."""
        return math.degrees(math.atan2(*self.frequency))

    @property
    def order(self) -> Order:
        """Largest number of half cycles of the envelope along y and x; (0, 0) without one."""
        if self.envelope is None:
            return 0, 0
        return len(self.envelope) - 1, len(self.envelope[0]) - 1

    @property
    def reason(self) -> str:
        """Why the wave was accepted, in words."""
        return (
            f"{self.false_alarms:.0e} false alarms expected; shortens the description of the "
            f"image by {self.evidence:.0f} nats; all parts of the image agree"
        )

    def to_dict(self) -> dict[str, object]:
        """Return the attributes as plain numbers and lists for JSON.

        A complex number becomes a list of its real and imaginary parts.
        """
        plain = {name: getattr(self, name) for name in self.__slots__}
        plain["frequency"] = list(self.frequency)
        if self.frequency_error is not None:
            plain["frequency_error"] = list(self.frequency_error)
        plain["outcome"] = str(self.outcome)
        if self.envelope is not None:
            plain["envelope"] = [[[e.real, e.imag] for e in row] for row in self.envelope]
        if self.profile is not None:
            plain["profile"] = [list(step) for step in self.profile]
        if self.tones is not None:
            plain["tones"] = self.tones.to_dict()
        return plain


def wave_at_centre(
    frequency: np.ndarray,
    coefficients: np.ndarray,
    shape: tuple[int, int],
    *,
    false_alarms: float,
    evidence: float,
    dark: float | None = None,
    errors: np.ndarray | None = None,
) -> Wave:
    """Make a wave from coefficients with phases at the image's centre.

    Parameters
    ----------
    frequency : ndarray of float64, shape (2,)
        Cycles/pixel, in any half plane.
    coefficients : ndarray of complex128, shape (J + 1, K + 1)
        Coefficients of the cosine basis, ``[[c]]`` for a constant wave.
    shape : tuple of int
        ``(H, W)`` of the image.
    false_alarms, evidence : float
        See `Wave`.
    dark : float, optional
        See `Wave`.
    errors : ndarray of float64, shape (4,), optional
        Standard errors of the amplitude, the phase at pixel (0, 0), ``fy`` and ``fx`` of a
        constant wave.

    Returns
    -------
    Wave
    """
    fy, fx = lowest_alias(frequency)
    centre = (np.array(shape) - 1) / 2
    envelope = coefficients * np.exp(-2j * np.pi * float(frequency @ centre))
    if is_nyquist(frequency):
        envelope = envelope.real + 0j  # the other phase is zero on all pixels
        errors = None  # its frequency is not fitted
    if (fy, fx) < (0, 0):
        fy, fx, envelope = -fy, -fx, envelope.conj()
    share_y, share_x = (np.where(np.arange(n) > 0, 0.5, 1.0) for n in envelope.shape)
    wave = Wave(
        frequency=(float(fy), float(fx)),
        amplitude=float(np.sqrt(share_y @ np.abs(envelope) ** 2 @ share_x)),
        phase=float(np.angle(envelope[0, 0])),
        false_alarms=false_alarms,
        evidence=evidence,
        envelope=None if envelope.size == 1 else tuple(map(tuple, envelope.tolist())),
        dark=dark,
    )
    if errors is None or not np.isfinite(errors).all():  # too small for float64
        return wave
    amplitude, phase, along_y, along_x = errors.tolist()
    return replace(
        wave, amplitude_error=amplitude, phase_error=phase, frequency_error=(along_y, along_x)
    )


def toned_at_centre(
    frequency: np.ndarray,
    tones: Tones,
    weights: np.ndarray,
    shape: tuple[int, int],
    *,
    false_alarms: float,
    evidence: float,
) -> Wave:
    """Make a wave that follows the tone from coefficients with phases at the image's centre.

    Parameters
    ----------
    frequency : ndarray of float64, shape (2,)
        Cycles/pixel, in any half plane.
    tones : Tones
        Its coefficients have their phases at the image's centre.
    weights : ndarray of float64, shape (D, D)
        Mean products of the polynomials of the tone over the image.
    shape : tuple of int
        ``(H, W)`` of the image.
    false_alarms, evidence : float
        See `Wave`.

    Returns
    -------
    Wave
    """
    parts = [
        wave_at_centre(
            frequency, np.array([[each]]), shape, false_alarms=false_alarms, evidence=evidence
        )
        for each in tones.coefficients
    ]
    coefficients = np.array([part.amplitude * np.exp(1j * part.phase) for part in parts])
    return replace(
        parts[0],
        amplitude=float(np.sqrt((coefficients.conj() @ weights @ coefficients).real)),
        phase=float(np.angle(weights[0] @ coefficients)),
        tones=replace(tones, coefficients=tuple(coefficients.tolist())),
    )


def profile_at_centre(
    frequency: np.ndarray,
    starts: np.ndarray,
    values: np.ndarray,
    shape: tuple[int, int],
    *,
    false_alarms: float,
    evidence: float,
) -> Wave:
    """Make a wave from a profile with phase zero at the image's centre.

    Parameters
    ----------
    frequency : ndarray of float64, shape (2,)
        Cycles/pixel, in any half plane. It is not aliased, since its sign is the direction of
        the profile.
    starts, values : ndarray of float64, shape (S,)
        Starts of the steps in turns, ascending, and their values.
    shape : tuple of int
        ``(H, W)`` of the image.
    false_alarms, evidence : float
        See `Wave`.

    Returns
    -------
    Wave
    """
    fy, fx = frequency
    starts = starts + float(frequency @ (np.array(shape) - 1)) / 2
    if (fy, fx) < (0, 0):  # reversed, a step begins where it ended
        fy, fx, starts = -fy, -fx, -np.roll(starts, -1)
    starts = starts % 1.0
    order = np.argsort(starts, kind="stable")
    starts, values = starts[order], values[order]
    widths = np.diff(starts, append=starts[0] + 1)
    # first Fourier coefficient of a piecewise constant function
    middles = starts + widths / 2
    first = np.sum(values * np.sinc(widths) * widths * np.exp(-2j * np.pi * middles))
    return Wave(
        frequency=(float(fy), float(fx)),
        amplitude=float(np.sqrt(2 * np.sum(widths * values**2))),
        phase=float(np.angle(first)),
        false_alarms=false_alarms,
        evidence=evidence,
        profile=tuple(zip(starts.tolist(), values.tolist(), strict=True)),
    )


def in_units(wave: Wave, unit: float, zero: float) -> Wave:
    """Convert a wave of pixels to intensities, ``unit · pixels + zero``.

    Parameters
    ----------
    wave : Wave
        Wave in the unit of the pixels.
    unit : float
        Intensity per pixel unit. Positive.
    zero : float
        Intensity of a pixel of zero.

    Returns
    -------
    Wave
        Wave in intensity units.
    """
    if wave.dark is not None:
        return replace(wave, dark=unit * wave.dark + zero)
    envelope, profile = wave.envelope, wave.profile
    if envelope is not None:
        envelope = tuple(tuple(unit * e for e in row) for row in envelope)
    if profile is not None:
        profile = tuple((start, unit * value) for start, value in profile)
    error = None if wave.amplitude_error is None else unit * wave.amplitude_error
    return replace(
        wave,
        amplitude=unit * wave.amplitude,
        envelope=envelope,
        profile=profile,
        tones=None if wave.tones is None else wave.tones.in_units(unit, zero),
        amplitude_error=error,
    )
