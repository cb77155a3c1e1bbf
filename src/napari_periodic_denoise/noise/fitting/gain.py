"""Fit waves that multiply the image: illumination, grids, a flickering light sheet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from napari_periodic_denoise.noise.fitting.evidence import description_length
from napari_periodic_denoise.noise.fitting.gauss_newton import Fit
from napari_periodic_denoise.noise.fitting.sample import GradientSample
from napari_periodic_denoise.noise.fitting.schedule import (
    Schedule,
    next_softening,
    shifted_bases,
    solve_damped,
)
from napari_periodic_denoise.noise.waves.synthesis import MIN_GAIN, phasors

# Pixels a side of the local mean. 81 pixels bring independent noise down to a ninth, and with it
# the bias of errors in variables to an 81st (benchmarks.rejection, multiplicative wave).
_LOCAL = 9


@dataclass(frozen=True, slots=True)
class GainFit:
    """Waves that multiply, fitted to an image's gradient.

    Attributes
    ----------
    waves : Fit
        Amplitudes as shares of the intensity above ``dark``.
    dark : float
        Intensity that is not multiplied, such as a camera's offset.
    description : float
        Description length of the clean image's gradient, in nats.
    """

    waves: Fit
    dark: float
    description: float


def fit_gain(
    pixels: torch.Tensor,
    clean: torch.Tensor,
    sample: GradientSample,
    start: GainFit,
    schedule: Schedule,
) -> Iterator[GainFit]:
    """Minimise ``Σ |∂C|`` over waves that multiply, ``I = b + (C − b)(1 + M)``.

    The method is Gauss–Newton on amplitude, phase and frequency of all waves in M and on the
    dark level b, reweighted as in `gauss_newton.polish_waves`. M has mean zero, so the base
    level does not change.

    The derivative of C contains C itself. If C came from the pixels, their noise would
    correlate with the residual and bias all amplitudes towards zero (errors in variables). The
    local mean of a clean image replaces it, as an instrumental variable.

    Parameters
    ----------
    pixels : Tensor of float32, shape (H, W)
    clean : Tensor of float32, shape (H, W)
        Current estimate of the image without noise.
    sample : GradientSample
        Sample of the pixels.
    start : GainFit
        Its description is not used.
    schedule : Schedule

    Yields
    ------
    GainFit
        After each step, with the description before it.
    """
    here, (below, beside) = sample.levels(pixels), sample.gradient
    light = torch.stack([here, here + below, here + beside])
    smooth = _local_mean(clean)
    here, (below, beside) = sample.levels(smooth), sample.of(smooth).gradient
    guide = torch.stack([here, here + below, here + beside])
    fit = start
    softening = schedule.softening * float(sample.gradient.abs().mean())
    for _ in range(schedule.steps):
        fit, softening = _step(light, guide, sample, fit, softening)
        yield fit


def _step(
    light: torch.Tensor,
    guide: torch.Tensor,
    sample: GradientSample,
    fit: GainFit,
    softening: float,
) -> tuple[GainFit, float]:
    """Take one step; return the fit and the softening of the next step."""
    waves, device = fit.waves, light.device
    count = len(waves)
    columns = waves_at(sample, waves.frequencies)
    both = np.concatenate([waves.coefficients.real, waves.coefficients.imag])
    coefficients = torch.from_numpy(both.astype(np.float32)).to(device)
    gain = (coefficients @ columns.flatten(1)).view_as(light).add_(1).clamp_(min=MIN_GAIN)
    residual = differences((light - fit.dark) / gain)
    weight = (residual.square() + softening**2).rsqrt_() * sample.counted
    # d/df of Re(c·E) is −2π x·Im(c·E)
    real, imaginary = coefficients.view(2, count, 1, 1, 1)
    turned = (columns[count:] * real - columns[:count] * imaginary).mul_(2 * np.pi)
    ties = torch.from_numpy(waves.ties.T.astype(np.float32)).to(device)
    turned = (ties @ turned.flatten(1)).view(-1, *light.shape)
    h, w = sample.shape
    y = ((sample.rows - (h - 1) / 2) / h)[:, None]
    x = (sample.columns - (w - 1) / 2) / w
    change = torch.cat([columns, turned * y, turned * x]) * ((guide - fit.dark) / gain)
    jacobian = differences(torch.cat([change, (1 / gain - 1)[None]])).flatten(1)
    weighted = jacobian * weight.flatten()
    normal = (weighted @ jacobian.T).cpu().double()
    moment = (weighted @ residual.flatten()).cpu().double()
    scale = normal.diagonal().clamp_min(torch.finfo(torch.float32).tiny).rsqrt()
    step = solve_damped(normal, moment, scale)
    moved = replace(
        waves,
        coefficients=waves.coefficients + step[:count] + 1j * step[count : 2 * count],
        bases=shifted_bases(waves.bases, waves.ties, step[2 * count : -1], sample.shape),
    )
    # division by the gain has amplified the random noise where the light is weak
    description = description_length(sample, residual * gain[0], 4 * count + 1)
    following = next_softening(softening, residual, sample.quantum)
    return GainFit(moved, fit.dark + float(step[-1]), description), following


def _local_mean(image: torch.Tensor) -> torch.Tensor:
    """Mean over a square neighbourhood, with mirrored borders."""
    sides = (_LOCAL // 2,) * 4
    padded = torch.nn.functional.pad(image[None, None], sides, mode="reflect")
    return torch.nn.functional.avg_pool2d(padded, _LOCAL, stride=1)[0, 0]


def differences(values: torch.Tensor) -> torch.Tensor:
    """Return both first differences of values here, below and beside, (..., 3, m, n)."""
    return values[..., 1:, :, :] - values[..., :1, :, :]


def waves_at(sample: GradientSample, frequencies: np.ndarray) -> torch.Tensor:
    """Cosine and −sine at each pixel, the one below and the one beside; (2K, 3, m, n)."""
    tables = []
    for axis, lines in enumerate((sample.rows, sample.columns)):
        length = sample.shape[axis]
        values = phasors(frequencies[:, axis], length, origin=(length - 1) / 2)
        at = lines.cpu().numpy()
        pair = np.stack([values[:, at], values[:, at + 1]], 1)
        parts = np.stack([pair.real, pair.imag]).astype(np.float32)
        tables.append(torch.from_numpy(parts).to(sample.gradient.device))
    (y_re, y_im), (x_re, x_im) = tables
    out = []
    for below, beside in ((0, 0), (1, 0), (0, 1)):
        a_re, a_im = y_re[:, below, :, None], y_im[:, below, :, None]
        b_re, b_im = x_re[:, beside, None, :], x_im[:, beside, None, :]
        out.append(torch.cat([a_re * b_re - a_im * b_im, -a_re * b_im - a_im * b_re]))
    return torch.stack(out, 1)
