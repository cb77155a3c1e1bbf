"""Synthesis of waves on a pixel grid, and the noise model of an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.nn.functional import conv2d, pad

from napari_periodic_denoise.noise.waves.frequency import Frequency
from napari_periodic_denoise.noise.waves.wave import Wave

# Deviation of the Gaussian whose mean is the tone, in periods of the screen. It leaves a tenth of
# the screen's first waves, and details of the tone (benchmarks.lines, tone-following dots).
_TONE_REACH = 0.35
MIN_GAIN = 0.05  # division by less amplifies the random noise by more than 20 (26 dB)


def divide_by_gain(pixels: torch.Tensor, waves: Sequence[Wave]) -> torch.Tensor:
    """Divide an image by the waves that multiply it, ``dark + (I − dark) / (1 + M)``.

    Parameters
    ----------
    pixels : Tensor of float32, shape (H, W)
        Intensities I.
    waves : sequence of Wave
        Waves with a `dark`, which is the same for all. Their sum is M.

    Returns
    -------
    Tensor of float32, shape (H, W)
        The gain ``1 + M`` is at least 0.05, so very dark pixels stay dark.
    """
    if not waves:
        return pixels
    dark = waves[0].dark
    assert dark is not None
    gain = synthesize(waves, (pixels.shape[0], pixels.shape[1]), pixels.device)
    gain.add_(1).clamp_(min=MIN_GAIN)
    return (pixels - dark).div_(gain).add_(dark)


def render_noise(pixels: torch.Tensor, waves: Sequence[Wave]) -> torch.Tensor:
    """Render the noise N of an image ``I = C + N``.

    M is the sum of the waves that multiply, A is the sum of the waves that are added, and S is
    that of the waves that follow the tone of I: ``I = b + (C + A + S − b)(1 + M)``, with the dark
    level b.

    Parameters
    ----------
    pixels : Tensor of float32, shape (H, W)
        Intensities I.
    waves : sequence of Wave
        Waves of all kinds.

    Returns
    -------
    Tensor of float32, shape (H, W)
    """
    multiplying = [wave for wave in waves if wave.dark is not None]
    following = [wave for wave in waves if wave.tones is not None]
    added = [wave for wave in waves if wave.dark is None and wave.tones is None]
    noise = synthesize(added, (pixels.shape[0], pixels.shape[1]), pixels.device)
    if multiplying:
        noise.add_(pixels - divide_by_gain(pixels, multiplying))
    if following:
        noise.add_(synthesize_screen(pixels, following))
    return noise


def synthesize_screen(pixels: torch.Tensor, waves: Sequence[Wave]) -> torch.Tensor:
    """Sum waves that follow the tone of an image.

    Parameters
    ----------
    pixels : Tensor of float32, shape (H, W)
        Intensities with the waves.
    waves : sequence of Wave
        Waves with `tones`.

    Returns
    -------
    Tensor of float32, shape (H, W)
    """
    noise = torch.zeros_like(pixels)
    tones = [(wave, wave.tones) for wave in waves if wave.tones is not None]
    for screen in dict.fromkeys(each.screen for _, each in tones):
        members = [(wave, each.coefficients) for wave, each in tones if each.screen == screen]
        darkest, brightest, period = screen
        count = len(members[0][1])
        powers = polynomials(smooth_tone(pixels, period), (darkest, brightest), count)
        for degree, power in enumerate(powers):
            plain = [_constant(wave, each[degree]) for wave, each in members]
            noise.addcmul_(
                power, synthesize(plain, (noise.shape[0], noise.shape[1]), noise.device)
            )
    return noise


def _constant(wave: Wave, coefficient: complex) -> Wave:
    """Constant wave of the frequency of another."""
    phase = float(np.angle(coefficient))
    return replace(wave, amplitude=abs(coefficient), phase=phase, tones=None)


def smooth_tone(image: torch.Tensor, period: float) -> torch.Tensor:
    """Mean of each pixel's surroundings, which hardly shows a screen of this period.

    Parameters
    ----------
    image : Tensor of float32, shape (H, W)
        It goes on mirrored.
    period : float
        Pixels.

    Returns
    -------
    Tensor of float32, shape (H, W)
    """
    deviation = _TONE_REACH * period
    reach = min(math.ceil(3 * deviation), min(image.shape) - 1)
    at = torch.arange(-reach, reach + 1, device=image.device, dtype=torch.float32)
    weights = torch.exp(-0.5 * (at / deviation) ** 2)
    weights /= weights.sum()
    values = pad(image[None, None], (reach,) * 4, mode="reflect")
    values = conv2d(conv2d(values, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))
    return values[0, 0]


def polynomials(tone: torch.Tensor, span: tuple[float, float], count: int) -> list[torch.Tensor]:
    """Chebyshev polynomials of tones, which are clipped to a span.

    Parameters
    ----------
    tone : Tensor of float32, any shape
    span : tuple of float
        Darkest and brightest tone, for which the argument is −1 and 1.
    count : int
        Number of polynomials.

    Returns
    -------
    list of Tensor of float32, shapes of the tone
    """
    darkest, brightest = span
    t = ((tone - darkest) * (2 / (brightest - darkest)) - 1).clamp_(-1, 1)
    powers = [torch.ones_like(t), t]
    while len(powers) < count:
        powers.append(2 * t * powers[-1] - powers[-2])
    return powers[:count]


_BAND = 1 << 18  # pixels per band of a profile; 2 MB of float64 phases fit the cache


def phasors(frequencies: np.ndarray, length: int, origin: float = 0.0) -> np.ndarray:
    """One-dimensional phase vectors ``exp(2πi f (n − origin))``.

    They are computed in float64. A float32 phase has an error of degrees after a few thousand
    pixels.

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
    # whole turns are subtracted first, so the argument of exp stays small and exact
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
    """Sum waves on a pixel grid, ``N = Σ Re(R_yᵀ · e · C_x)``.

    Sinusoids take one matrix product. Profiles are looked up by phase.

    Parameters
    ----------
    waves : sequence of Wave
    shape : tuple of int
        ``(H, W)`` of the image, to which the envelopes belong.
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
        # Re(ab) = Re a Re b − Im a Im b: one real product, since MPS has no complex matrices
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
    """Add ``T(f·x mod 1)`` to an image in bands of rows, since phases are float64."""
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
        # phases before the first start belong to the last step, index −1
        band += values[torch.bucketize(phase, starts, right=True) - 1]


def _float32(array: np.ndarray, device: torch.device | str) -> torch.Tensor:
    """Copy an array to a device as float32."""
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(device)
