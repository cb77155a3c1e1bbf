"""Plane waves, what may change about them, and their synthesis."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

Frequency = tuple[float, float]
Order = tuple[int, int]

_BAND = 1 << 18  # pixels of a profile looked up at once


def as_frequencies(frequencies: Sequence[Frequency], name: str) -> list[Frequency]:
    """Frequencies as plain numbers, or what is wrong with them.

    Parameters
    ----------
    frequencies : sequence of tuple of float
        ``(fy, fx)`` in cycles/pixel.
    name : str
        What they are called in errors.

    Returns
    -------
    list of tuple of float

    Raises
    ------
    ValueError
        If they are not pairs of finite numbers.
    """
    try:
        array = np.asarray(frequencies, dtype=np.float64)
    except (TypeError, ValueError):  # no numbers, or tuples of different lengths
        array = np.asarray(np.nan)
    if not array.size:
        return []
    if array.ndim != 2 or array.shape[1] != 2 or not np.isfinite(array).all():
        raise ValueError(
            f"{name} must be a list of frequencies (fy, fx) in cycles/pixel, not "
            f"{reprlib.repr(frequencies)}"
        )
    return [(fy, fx) for fy, fx in array.tolist()]


@dataclass(frozen=True, slots=True)
class Wave:
    """One wave ``amplitude · cos(2π (fy·y + fx·x) + phase)``; pixel (0, 0) is the origin.

    With an envelope e, amplitude and phase change over the image of H×W pixels:
    ``Re Σ_jk e_jk cos(πj(y+½)/H) cos(πk(x+½)/W) exp(2πi (fy·y + fx·x))``. With a profile T, the
    wave has hard edges: ``T((fy·y + fx·x) mod 1)``.

    Attributes
    ----------
    frequency : tuple of float
        ``(fy, fx)`` in cycles/pixel, in the half plane ``fy > 0`` or ``fy = 0, fx > 0``.
    amplitude : float
        Root mean square over the image times √2, which is half of the peak-to-peak height of a
        constant wave; in the image's intensity units, or where ``dark`` is given as a share of
        the intensity.
    phase : float
        Radians, in (−π, π]; with an envelope, that of its mean; with a profile, that of its
        fundamental.
    false_alarms : float
        Expected number of peaks this strong in the spectrum of an image without periodic
        noise; the smaller, the surer.
    evidence : float
        How much shorter the image's description becomes with this wave, in nats.
    envelope : tuple of tuple of complex, optional
        The coefficients ``e_jk``, in the unit of the amplitude; none for a constant wave.
    profile : tuple of tuple of float, optional
        Steps ``(start, value)``: T has the value from this phase on, in turns from 0 to 1, to
        the start of the next step; none for a sinusoid.
    dark : float, optional
        Given where the wave multiplies: of each intensity I, ``I − dark`` is that of the clean
        image times one plus the waves. Without, the wave is added.
    channel : int
        Of the image's channels, that which has the wave.
    share : float
        Of the variance of the noise in its channel, that which is the wave's, 0 to 1.
    """

    frequency: Frequency
    amplitude: float
    phase: float
    false_alarms: float
    evidence: float
    envelope: tuple[tuple[complex, ...], ...] | None = None
    profile: tuple[tuple[float, float], ...] | None = None
    dark: float | None = None
    channel: int = 0
    share: float = 0.0

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
        """Half cycles of the envelope along y and x, at most; (0, 0) for a constant wave."""
        if self.envelope is None:
            return 0, 0
        return len(self.envelope) - 1, len(self.envelope[0]) - 1

    @property
    def reason(self) -> str:
        """Why the wave was kept, in words."""
        return (
            f"{self.false_alarms:.0e} false alarms expected; makes the image's description "
            f"{self.evidence:.0f} nats shorter, all parts of the image agreeing"
        )

    def to_dict(self) -> dict[str, object]:
        """Return the attributes as plain numbers and lists, ready for JSON.

        A complex number becomes a list of its real and its imaginary part.
        """
        plain = {name: getattr(self, name) for name in self.__slots__}
        plain["frequency"] = list(self.frequency)
        if self.envelope is not None:
            plain["envelope"] = [[[e.real, e.imag] for e in row] for row in self.envelope]
        if self.profile is not None:
            plain["profile"] = [list(step) for step in self.profile]
        return plain


def lowest_alias(frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    """Frequencies less whole cycles per pixel, from -0.5 to 0.5, which pixels can't tell apart."""
    lowest: NDArray[np.float64] = (frequency + 0.5) % 1 - 0.5
    return lowest


def wave_at_centre(
    frequency: np.ndarray,
    coefficients: np.ndarray,
    shape: tuple[int, int],
    *,
    false_alarms: float,
    evidence: float,
    dark: float | None = None,
) -> Wave:
    """Make a wave of coefficients that hold for the image's centre.

    Parameters
    ----------
    frequency : ndarray of float64, shape (2,)
        Cycles/pixel, in any half plane.
    coefficients : ndarray of complex128, shape (J + 1, K + 1)
        Of the cosine basis; ``[[c]]`` for a constant wave. Phases from the centre.
    shape : tuple of int
        ``(H, W)`` of the image.
    false_alarms, evidence : float
        See `Wave`.
    dark : float, optional
        See `Wave`.

    Returns
    -------
    Wave
    """
    fy, fx = lowest_alias(frequency)
    centre = (np.array(shape) - 1) / 2
    envelope = coefficients * np.exp(-2j * np.pi * float(frequency @ centre))
    if (fy, fx) < (0, 0):
        fy, fx, envelope = -fy, -fx, envelope.conj()
    share_y, share_x = (np.where(np.arange(n) > 0, 0.5, 1.0) for n in envelope.shape)
    return Wave(
        frequency=(float(fy), float(fx)),
        amplitude=float(np.sqrt(share_y @ np.abs(envelope) ** 2 @ share_x)),
        phase=float(np.angle(envelope[0, 0])),
        false_alarms=false_alarms,
        evidence=evidence,
        envelope=None if envelope.size == 1 else tuple(map(tuple, envelope.tolist())),
        dark=dark,
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
    """Make a wave of a profile whose phase is zero at the image's centre.

    Parameters
    ----------
    frequency : ndarray of float64, shape (2,)
        Cycles/pixel, in any half plane; not aliased, its sign is that of the profile's phase.
    starts, values : ndarray of float64, shape (S,)
        Where the steps begin, in turns, ascending; and their values.
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
    if (fy, fx) < (0, 0):  # seen from the other side, a step begins where it ended
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
    """Return the wave of an image whose intensities are ``unit · pixels + zero``.

    Parameters
    ----------
    wave : Wave
        Of the pixels.
    unit : float
        Positive.
    zero : float

    Returns
    -------
    Wave
    """
    if wave.dark is not None:
        return replace(wave, dark=unit * wave.dark + zero)
    envelope, profile = wave.envelope, wave.profile
    if envelope is not None:
        envelope = tuple(tuple(unit * e for e in row) for row in envelope)
    if profile is not None:
        profile = tuple((start, unit * value) for start, value in profile)
    return replace(wave, amplitude=unit * wave.amplitude, envelope=envelope, profile=profile)


def phasors(frequencies: np.ndarray, length: int, origin: float = 0.0) -> np.ndarray:
    """One-dimensional phase vectors ``exp(2πi f (n − origin))``.

    Computed in float64: a float32 phase is off by whole degrees after a few thousand pixels.

    Parameters
    ----------
    frequencies : ndarray of float64, shape (K,)
        Cycles/pixel.
    length : int
        Number of pixels N.
    origin : float
        Position of phase zero, in pixels.

    Returns
    -------
    ndarray of complex128, shape (K, N)
    """
    turns = np.outer(frequencies, np.arange(length) - origin)
    # whole turns are taken off first, so that the argument of exp stays small and exact
    return np.exp(2j * np.pi * (turns - np.rint(turns)))


def modulated_phasors(
    frequency: float, order: int, length: int, origin: float = 0.0
) -> np.ndarray:
    """Phase vector times each function of a cosine basis.

    ``cos(πj(n + ½)/N) · exp(2πi f (n − origin))``, j from 0 to the order.

    Parameters
    ----------
    frequency : float
        Cycles/pixel.
    order : int
        Largest j: half cycles over the length.
    length : int
        Number of pixels N.
    origin : float
        Position of phase zero, in pixels.

    Returns
    -------
    ndarray of complex128, shape (order + 1, N)
    """
    turns = np.outer(np.arange(order + 1), np.arange(length) + 0.5) / (2 * length)
    modulated: np.ndarray = np.cos(2 * np.pi * turns) * phasors(
        np.array([frequency]), length, origin
    )
    return modulated


def synthesize(
    waves: Sequence[Wave], shape: tuple[int, int], device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Sum of waves on a pixel grid, ``N = Σ Re(R_yᵀ · e · C_x)``, one small matrix product.

    Profiles are looked up instead.

    Parameters
    ----------
    waves : sequence of Wave
    shape : tuple of int
        ``(H, W)`` of the image; that which the envelopes belong to.
    device : torch.device or str

    Returns
    -------
    Tensor of float32, shape (H, W)
    """
    rows, columns = [], []
    for wave in waves:
        if wave.profile is not None:
            continue
        envelope = np.array(wave.envelope or [[wave.amplitude * np.exp(1j * wave.phase)]])
        (fy, fx), (j, k) = wave.frequency, wave.order
        rows.append(envelope.T @ modulated_phasors(fy, j, shape[0]))
        columns.append(modulated_phasors(fx, k, shape[1]))
    if rows:
        along_y, along_x = np.concatenate(rows), np.concatenate(columns)
        # Re(ab) = Re a Re b − Im a Im b: one real product, no complex matrices, which MPS lacks
        left = np.concatenate([along_y.real, -along_y.imag]).T
        right = np.concatenate([along_x.real, along_x.imag])
        total = _float32(left, device) @ _float32(right, device)
    else:
        total = torch.zeros(shape, dtype=torch.float32, device=device)
    for wave in waves:
        if wave.profile is not None:
            _add_profile(total, wave.frequency, np.array(wave.profile))
    return total


def _add_profile(total: torch.Tensor, frequency: Frequency, profile: np.ndarray) -> None:
    """Add ``T(f·x mod 1)`` to an image, some rows at a time: phases are float64."""
    h, w = total.shape
    starts = torch.from_numpy(profile[:, 0].copy()).to(total.device)
    values = torch.from_numpy(profile[:, 1].astype(np.float32)).to(total.device)
    phase_y, phase_x = (
        torch.arange(n, dtype=torch.float64, device=total.device) * f
        for n, f in zip((h, w), frequency, strict=True)
    )
    height = max(1, _BAND // w)
    for top in range(0, h, height):
        band = total[top : top + height]
        phase = (phase_y[top : top + height, None] + phase_x).remainder_(1.0)
        # before the first start lasts the last step: index −1
        band += values[torch.bucketize(phase, starts, right=True) - 1]


def _float32(array: np.ndarray, device: torch.device | str) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(device)
