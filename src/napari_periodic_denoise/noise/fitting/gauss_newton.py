"""Phase-aligned robust fit: amplitude, phase and frequency of waves by Gauss–Newton."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from napari_periodic_denoise.noise.fitting.sample import GradientSample
from napari_periodic_denoise.noise.fitting.schedule import (
    LINEAR,
    Schedule,
    next_softening,
    shifted_bases,
    solve_damped,
)
from napari_periodic_denoise.noise.waves.synthesis import phasors

_BAND = 1 << 14  # pixels of four waves per band; they fit the processor's cache (benchmarks.speed)
_NEGLIGIBLE = 1e-6  # share of a column's expected energy that float32 rounding can leave


@dataclass(frozen=True, slots=True)
class Fit:
    """Waves fitted jointly, ``N = Σ Re(c · exp(2πi f·(x − centre)))``.

    Attributes
    ----------
    bases : ndarray of float64, shape (G, 2)
        Base frequencies in cycles/pixel.
    ties : ndarray of float64, shape (K, G)
        Whole numbers. Wave k has the frequency ``Σ_g ties[k, g] · bases[g]``. Free waves have
        the identity; harmonics and lattices share bases.
    coefficients : ndarray of complex128, shape (K,)
        Complex amplitudes at the image's centre ``((H − 1)/2, (W − 1)/2)``. Errors of
        frequency and phase are independent there.
    """

    bases: np.ndarray
    ties: np.ndarray
    coefficients: np.ndarray

    def __len__(self) -> int:
        return len(self.coefficients)

    @property
    def frequencies(self) -> np.ndarray:
        """Frequencies of the waves in cycles/pixel, shape (K, 2)."""
        frequencies: np.ndarray = self.ties @ self.bases
        return frequencies

    def take(self, keep: np.ndarray) -> Fit:
        """Return some of the waves, by index or by mask."""
        ties = self.ties[keep]
        used = ties.any(0)
        return Fit(self.bases[used], ties[:, used], self.coefficients[keep])

    def join(self, other: Fit) -> Fit:
        """Return the waves of both fits; they share no base."""
        (k, g), (m, h) = self.ties.shape, other.ties.shape
        return Fit(
            np.concatenate([self.bases, other.bases]),
            np.block([[self.ties, np.zeros((k, h))], [np.zeros((m, g)), other.ties]]),
            np.concatenate([self.coefficients, other.coefficients]),
        )


def zero_fit(bases: np.ndarray, ties: np.ndarray | None = None) -> Fit:
    """Return waves of amplitude zero, the start of a fit.

    Parameters
    ----------
    bases : ndarray of float64, shape (G, 2)
        Base frequencies in cycles/pixel.
    ties : ndarray of whole numbers, shape (K, G), optional
        See `Fit`. By default one wave for each base.

    Returns
    -------
    Fit
    """
    bases = np.asarray(bases, dtype=np.float64).reshape(-1, 2)
    ties = np.eye(len(bases)) if ties is None else np.asarray(ties, dtype=np.float64)
    return Fit(bases, ties, np.zeros(len(ties), dtype=np.complex128))


def fit_waves(sample: GradientSample, start: Fit) -> Fit:
    """Minimise ``Σ |∂(I − N)|`` over amplitude and phase of all waves jointly.

    The frequencies are fixed. The method is iteratively reweighted least squares with weights
    ``1/√(r² + d²)``. The softening d shrinks from above most residuals to half their median.

    Parameters
    ----------
    sample : GradientSample
        Gradient of the image I.
    start : Fit
        K waves. Only their frequencies are used.

    Returns
    -------
    Fit
    """
    *_, fit = polish_waves(sample, zero_fit(start.bases, start.ties), LINEAR, move=False)
    return fit


def polish_waves(
    sample: GradientSample, start: Fit, schedule: Schedule, *, move: bool = True
) -> Iterator[Fit]:
    """Minimise ``Σ |∂(I − N)|`` over amplitudes, phases and frequencies jointly.

    The method is reweighted Gauss–Newton.

    Parameters
    ----------
    sample : GradientSample
        Gradient of the image I.
    start : Fit
        K waves.
    schedule : Schedule
    move : bool
        Whether frequencies are fitted too. Otherwise they are fixed.

    Yields
    ------
    Fit
        After each step.
    """
    for (fit,) in polish_together([sample], [start], schedule, move=move):
        yield fit


def polish_together(
    samples: Sequence[GradientSample],
    starts: Sequence[Fit],
    schedule: Schedule,
    *,
    move: bool = True,
) -> Iterator[list[Fit]]:
    """Run `polish_waves` on images that share frequencies, but not amplitudes and phases.

    Parameters
    ----------
    samples : sequence of GradientSample
        Samples of P images of one shape.
    starts : sequence of Fit
        Waves of each image, all with the same bases and ties.
    schedule, move
        As for `polish_waves`.

    Yields
    ------
    list of Fit
        After each step.
    """
    fits = list(starts)
    softenings = [schedule.softening * float(s.gradient.abs().mean()) for s in samples]
    for _ in range(schedule.steps):
        fits, softenings = _step(samples, fits, softenings, move=move)
        yield fits


def subtract_waves(sample: GradientSample, fit: Fit) -> GradientSample:
    """Subtract waves from a sample.

    Parameters
    ----------
    sample : GradientSample
    fit : Fit

    Returns
    -------
    GradientSample
        Sample of the image without the waves.
    """
    coefficients = real_and_imaginary(fit.coefficients, sample.gradient.device)
    rest = [
        gradient - (coefficients @ columns.flatten(1)).view_as(gradient)
        for columns, gradient, *_ in bands(sample, fit.frequencies)
    ]
    return replace(sample, gradient=torch.cat(rest, 1))


def _step(
    samples: Sequence[GradientSample],
    fits: Sequence[Fit],
    softenings: Sequence[float],
    *,
    move: bool,
) -> tuple[list[Fit], list[float]]:
    """Take one reweighted least-squares step.

    The function returns the next fits, and the softenings of the next step.
    """
    systems, moments, next_softenings = [], [], []
    for sample, fit, softening in zip(samples, fits, softenings, strict=True):
        system, moment, following = _equations(sample, fit, softening, move=move)
        # each image counts in units of its own residual
        systems.append(system * softening)
        moments.append(moment * softening)
        next_softenings.append(following)
    steps, shift = _solve(systems, moments, fits)
    bases = fits[0].bases
    if move:
        bases = shifted_bases(bases, fits[0].ties, shift, samples[0].shape)
    stepped = [
        replace(fit, bases=bases, coefficients=fit.coefficients + step[0] + 1j * step[1])
        for fit, step in zip(fits, steps, strict=True)
    ]
    return stepped, next_softenings


def _equations(
    sample: GradientSample, fit: Fit, softening: float, *, move: bool
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Build the normal equations of a step for one image.

    The function returns the matrix, the right side, and the softening of the next step. The
    unknowns are the real and the imaginary parts of the coefficients, then, with ``move``, the
    shifts of the bases along y and along x.
    """
    count = len(fit)
    unknowns = 2 * (count + len(fit.bases)) if move else 2 * count
    ties = torch.from_numpy(fit.ties.T.astype(np.float32)).to(sample.gradient.device)
    normal = torch.zeros(unknowns, unknowns, dtype=torch.float64)
    moment = torch.zeros(unknowns, dtype=torch.float64)
    coefficients = real_and_imaginary(fit.coefficients, sample.gradient.device)
    real, imaginary = coefficients.view(2, count, 1, 1, 1)
    following = 0.0
    for columns, gradient, counted, position in bands(sample, fit.frequencies):
        residual = gradient - (coefficients @ columns.flatten(1)).view_as(gradient)
        # the sample is in random order, so its first band represents all of it
        following = following or next_softening(softening, residual, sample.quantum)
        weight = residual.square().add_(softening**2).rsqrt_().mul_(counted)
        if move:
            columns = with_shifts(columns, (real, imaginary), ties, position)
        flat = columns.flatten(1)
        weighted = (columns * weight).flatten(1)
        normal += (weighted @ flat.T).cpu().double()
        moment += (weighted @ residual.flatten()).cpu().double()
    return normal, moment, following


def _solve(
    systems: Sequence[torch.Tensor], moments: Sequence[torch.Tensor], fits: Sequence[Fit]
) -> tuple[np.ndarray, np.ndarray]:
    """Solve the normal equations of images that share the shifts of the bases.

    Directions that the pixels cannot distinguish are damped. A wave at the Nyquist frequency
    has only one phase and no sideways shift. Its other columns are zero except for rounding,
    and must stay so when columns are scaled to equal size.

    The function returns the steps of the real and imaginary parts, shape (P, 2, K), and the
    shifts.
    """
    count = len(fits[0])
    private, shared = 2 * count, 2 * count * len(fits)  # unknowns of an image; first shared one
    size = shared + len(moments[0]) - private
    joint = torch.zeros(size, size, dtype=torch.float64)
    right = torch.zeros(size, dtype=torch.float64)
    for i, (system, moment) in enumerate(zip(systems, moments, strict=True)):
        at = torch.cat([torch.arange(private * i, private * (i + 1)), torch.arange(shared, size)])
        joint[at[:, None], at] += system
        right[at] += moment
    diagonal = joint.diagonal().numpy()
    expected, sideways = [], 0.0
    for system, fit in zip(systems, fits, strict=True):
        energy = system.diagonal().numpy()[:private].reshape(2, count).max(0)
        expected += [energy, energy]
        sideways += (fit.ties**2).T @ ((np.pi * np.abs(fit.coefficients)) ** 2 * energy)
    expected += [sideways, sideways]
    floor = _NEGLIGIBLE * np.concatenate(expected)[: len(diagonal)] + np.finfo(np.float64).tiny
    scale = torch.from_numpy((diagonal + floor) ** -0.5)
    steps, shift = np.split(solve_damped(joint, right, scale), [private * len(fits)])
    return steps.reshape(len(fits), 2, count), shift


def real_and_imaginary(coefficients: np.ndarray, device: torch.device) -> torch.Tensor:
    """Stack real and imaginary parts of coefficients, shape (K,), as float32, shape (2K,)."""
    both = np.concatenate([coefficients.real, coefficients.imag])
    return torch.from_numpy(both.astype(np.float32)).to(device)


def bands(
    sample: GradientSample, frequencies: np.ndarray
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor, tuple[torch.Tensor, torch.Tensor]]]:
    """Compute the gradients of cos and −sin of each wave, in bands of the sample's rows.

    Parameters
    ----------
    sample : GradientSample
    frequencies : ndarray of float64, shape (K, 2)
        Cycles/pixel.

    Yields
    ------
    columns : Tensor of float32, shape (2K, 2, m, n)
        ``[Re c, Im c] @ columns`` is the gradient of the waves.
    gradient, counted : Tensor of float32, shape (2, m, n)
        See `GradientSample`.
    position : tuple of Tensor, shapes (m,) and (n,)
        Distances of rows and columns from the centre, as shares of the image.
    """
    h, w = sample.shape
    device = sample.gradient.device
    count = len(frequencies)
    table_x = _table(frequencies[:, 1], w, device)[..., sample.columns]
    x_re, x_im, dx_re, dx_im = table_x[:, :, None, :]
    table_y = _table(frequencies[:, 0], h, device)[..., sample.rows]
    x = (sample.columns - (w - 1) / 2) / w
    height = max(1, _BAND // (len(sample.columns) * max(1, count // 4)))
    for start in range(0, len(sample.rows), height):
        rows = slice(start, start + height)
        y_re, y_im, dy_re, dy_im = table_y[:, :, rows, None]
        y = (sample.rows[rows] - (h - 1) / 2) / h
        columns = torch.empty(2 * count, 2, len(y), len(x), device=device)
        for axis, (a_re, a_im, b_re, b_im) in enumerate(
            ((dy_re, dy_im, x_re, x_im), (y_re, y_im, dx_re, dx_im))
        ):
            torch.mul(a_re, b_re, out=columns[:count, axis]).addcmul_(a_im, b_im, value=-1)
            torch.mul(-a_re, b_im, out=columns[count:, axis]).addcmul_(a_im, b_re, value=-1)
        yield columns, sample.gradient[:, rows], sample.counted[:, rows], (y, x)


def with_shifts(
    columns: torch.Tensor,
    coefficients: tuple[torch.Tensor, torch.Tensor],
    ties: torch.Tensor,
    position: tuple[torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    """Join the columns of the coefficients with those of shifts of the bases.

    Parameters
    ----------
    columns, position
        See `bands`.
    coefficients : tuple of Tensor of float32, shape (K, 1, 1, 1)
        Real and imaginary parts.
    ties : Tensor of float32, shape (G, K)
        See `Fit`, transposed.

    Returns
    -------
    Tensor of float32, shape (2K + 2G, 2, m, n)
        The shifts are along y, then along x, in cycles across the image.
    """
    (real, imaginary), (y, x), count = coefficients, position, len(columns) // 2
    # d/df of Re(c·∂E) is nearly −2π x·Im(c·∂E), since x changes little between two pixels
    turned = (columns[count:] * real).sub_(columns[:count] * imaginary).mul_(2 * np.pi)
    turned = (ties @ turned.flatten(1)).view(-1, *columns.shape[1:])
    return torch.cat([columns, turned * y[:, None], turned * x])


def _table(frequencies: np.ndarray, length: int, device: torch.device) -> torch.Tensor:
    """Phase vectors and their first differences, real and imaginary, (4, K, length − 1)."""
    values = phasors(frequencies, length, origin=(length - 1) / 2)
    here, difference = values[:, :-1], np.diff(values)
    parts = np.stack([here.real, here.imag, difference.real, difference.imag])
    return torch.from_numpy(parts.astype(np.float32)).to(device)
