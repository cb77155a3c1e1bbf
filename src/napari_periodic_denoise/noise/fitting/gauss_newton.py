"""Phase-aligned robust fit: where the waves are, and whether the image is better off without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from napari_periodic_denoise.noise.fitting.sample import GradientSample
from napari_periodic_denoise.noise.waves.synthesis import phasors

# The softening d starts above most differences, whatever their law, and shrinks step by step to
# the bulk of the residuals: set there at once, it would hold on to the residuals there are.
_START = 3.0  # mean magnitudes of the gradient
_SHRINK = 0.5
_BULK = 0.5  # median magnitudes of the residual
_STEPS = 8
_BAND = 1 << 14  # pixels of four waves worked on at once, few enough for the processor's cache
_NEGLIGIBLE = 1e-6
_RIDGE = 1e-4  # damps steps along which two waves look alike; the optimum stays where it is
_LARGEST_STEP = 0.3  # cycles across the image, per iteration


@dataclass(frozen=True, slots=True)
class Fit:
    """Waves fitted jointly, ``N = Σ Re(c · exp(2πi f·(x − centre)))``.

    Attributes
    ----------
    bases : ndarray of float64, shape (G, 2)
        Base frequencies in cycles/pixel.
    ties : ndarray of float64, shape (K, G)
        Whole numbers: of which bases each wave's frequency is the sum. The identity where
        waves are free; harmonics and lattices share bases.
    coefficients : ndarray of complex128, shape (K,)
        Complex amplitudes at the image's centre ``((H − 1)/2, (W − 1)/2)``, where errors of
        frequency and phase are independent.
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
        """Take some of the waves, by index or by mask."""
        ties = self.ties[keep]
        used = ties.any(0)
        return Fit(self.bases[used], ties[:, used], self.coefficients[keep])

    def join(self, other: Fit) -> Fit:
        """Join the waves of both."""
        (k, g), (m, h) = self.ties.shape, other.ties.shape
        return Fit(
            np.concatenate([self.bases, other.bases]),
            np.block([[self.ties, np.zeros((k, h))], [np.zeros((m, g)), other.ties]]),
            np.concatenate([self.coefficients, other.coefficients]),
        )


def unfitted(bases: np.ndarray, ties: np.ndarray | None = None) -> Fit:
    """Waves of amplitude zero: one for each base, shape (G, 2), or as ``ties`` tell."""
    bases = np.asarray(bases, dtype=np.float64).reshape(-1, 2)
    ties = np.eye(len(bases)) if ties is None else np.asarray(ties, dtype=np.float64)
    return Fit(bases, ties, np.zeros(len(ties), dtype=np.complex128))


def fit_waves(sample: GradientSample, start: Fit) -> Fit:
    """Minimise ``Σ |∂(I − N)|`` over amplitude and phase of all waves jointly.

    Frequencies stay as they are. Iteratively reweighted least squares, weights
    ``1/√(r² + d²)``; d shrinks from above most residuals to the bulk of them.

    Parameters
    ----------
    sample : GradientSample
    start : Fit
        K waves; only the frequencies are used.

    Returns
    -------
    Fit
    """
    fits = [unfitted(start.bases, start.ties)]
    softenings = [_START * float(sample.gradient.abs().mean())]
    for _ in range(_STEPS):
        fits, softenings = _step([sample], fits, softenings, move=False)
    return fits[0]


def polish_waves(
    sample: GradientSample, start: Fit, softening: float, steps: int, *, move: bool = True
) -> Iterator[Fit]:
    """Minimise the same objective over amplitudes, phases and frequencies together.

    Reweighted Gauss–Newton.

    Parameters
    ----------
    sample : GradientSample
    start : Fit
        K waves.
    softening : float
        d of the first step, in mean magnitudes of the gradient: the larger, the further the
        start may be off.
    steps : int
    move : bool
        Whether frequencies are fitted too, or stay as they are.

    Yields
    ------
    Fit
        After each step.
    """
    for (fit,) in polish_together([sample], [start], softening, steps, move=move):
        yield fit


def polish_together(
    samples: Sequence[GradientSample],
    starts: Sequence[Fit],
    softening: float,
    steps: int,
    *,
    move: bool = True,
) -> Iterator[list[Fit]]:
    """`polish_waves` for several images that share frequencies, but not amplitudes and phases.

    Parameters
    ----------
    samples : sequence of GradientSample
        Of P images of one shape.
    starts : sequence of Fit
        Of each image; all with the same bases and ties.
    softening, steps, move
        As for `polish_waves`.

    Yields
    ------
    list of Fit
        After each step.
    """
    fits = list(starts)
    softenings = [softening * float(sample.gradient.abs().mean()) for sample in samples]
    for _ in range(steps):
        fits, softenings = _step(samples, fits, softenings, move=move)
        yield fits


def subtract_waves(sample: GradientSample, fit: Fit) -> GradientSample:
    """Return the sample of the image without the waves."""
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
    """One reweighted least squares step; ``move``: of the shared frequencies as well.

    Returns the next fits, and the softenings for the step after.
    """
    systems, moments, next_softenings = [], [], []
    for sample, fit, softening in zip(samples, fits, softenings, strict=True):
        system, moment, bulk = _equations(sample, fit, softening, move=move)
        # magnitudes count in units of what is left of them in their own image
        systems.append(system * softening)
        moments.append(moment * softening)
        next_softenings.append(max(_SHRINK * softening, bulk))
    steps, shift = _solve(systems, moments, fits)
    bases = fits[0].bases
    if move:
        largest = _LARGEST_STEP / np.abs(fits[0].ties).max(0)[:, None]
        moved = np.clip(shift.reshape(2, -1).T, -largest, largest)
        bases = bases + moved / np.array(samples[0].shape)
    stepped = [
        replace(fit, bases=bases, coefficients=fit.coefficients + step[0] + 1j * step[1])
        for fit, step in zip(fits, steps, strict=True)
    ]
    return stepped, next_softenings


def _equations(
    sample: GradientSample, fit: Fit, softening: float, *, move: bool
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Normal equations of a step for one image: matrix, right side.

    The unknowns are the real and the imaginary parts of the coefficients, then, with ``move``,
    the bases' shifts along y and along x. Returned too is the least softening that the residual
    is worth.
    """
    count = len(fit)
    unknowns = 2 * (count + len(fit.bases)) if move else 2 * count
    ties = torch.from_numpy(fit.ties.T.astype(np.float32)).to(sample.gradient.device)
    normal = torch.zeros(unknowns, unknowns, dtype=torch.float64)
    moment = torch.zeros(unknowns, dtype=torch.float64)
    coefficients = real_and_imaginary(fit.coefficients, sample.gradient.device)
    real, imaginary = coefficients.view(2, count, 1, 1, 1)
    bulk = 0.0
    for columns, gradient, counted, (y, x) in bands(sample, fit.frequencies):
        residual = gradient - (coefficients @ columns.flatten(1)).view_as(gradient)
        # the sample is in random order, so that any band of it tells
        bulk = bulk or max(_BULK * float(residual.abs().median()), sample.quantum)
        weight = residual.square().add_(softening**2).rsqrt_().mul_(counted)
        if move:
            # d/df of Re(c·∂E) is nearly −2π x·Im(c·∂E): x changes little between two pixels
            turned = (columns[count:] * real).sub_(columns[:count] * imaginary).mul_(2 * np.pi)
            turned = (ties @ turned.flatten(1)).view(-1, *gradient.shape)
            columns = torch.cat([columns, turned * y[:, None], turned * x])
        flat = columns.flatten(1)
        weighted = (columns * weight).flatten(1)
        normal += (weighted @ flat.T).cpu().double()
        moment += (weighted @ residual.flatten()).cpu().double()
    return normal, moment, bulk


def _solve(
    systems: Sequence[torch.Tensor], moments: Sequence[torch.Tensor], fits: Sequence[Fit]
) -> tuple[np.ndarray, np.ndarray]:
    """Solve the normal equations of images that share the bases' shifts.

    Damped along directions that the pixels can't tell apart: a wave at the Nyquist frequency
    has only one phase, and no sideways shift. Its other columns are zero but for rounding, and
    must stay so when columns are scaled to equal size.

    Returns the steps of real and imaginary parts, shape (P, 2, K), and the shifts.
    """
    count = len(fits[0])
    own, before = 2 * count, 2 * count * len(fits)
    size = before + len(moments[0]) - own
    joint = torch.zeros(size, size, dtype=torch.float64)
    right = torch.zeros(size, dtype=torch.float64)
    for i, (system, moment) in enumerate(zip(systems, moments, strict=True)):
        at = torch.cat([torch.arange(own * i, own * (i + 1)), torch.arange(before, size)])
        joint[at[:, None], at] += system
        right[at] += moment
    diagonal = joint.diagonal().numpy()
    expected, sideways = [], 0.0
    for system, fit in zip(systems, fits, strict=True):
        energy = system.diagonal().numpy()[:own].reshape(2, count).max(0)
        expected += [energy, energy]
        sideways += (fit.ties**2).T @ ((np.pi * np.abs(fit.coefficients)) ** 2 * energy)
    expected += [sideways, sideways]
    floor = _NEGLIGIBLE * np.concatenate(expected)[: len(diagonal)] + np.finfo(np.float64).tiny
    scale = torch.from_numpy((diagonal + floor) ** -0.5)
    system = joint * scale * scale[:, None]
    system.diagonal().add_(_RIDGE)
    solution: np.ndarray = (torch.linalg.solve(system, right * scale) * scale).numpy()
    steps, shift = np.split(solution, [own * len(fits)])
    return steps.reshape(len(fits), 2, count), shift


def real_and_imaginary(coefficients: np.ndarray, device: torch.device) -> torch.Tensor:
    """Real parts, then imaginary parts, of complex coefficients; float32, shape (2K,)."""
    both = np.concatenate([coefficients.real, coefficients.imag])
    return torch.from_numpy(both.astype(np.float32)).to(device)


def bands(
    sample: GradientSample, frequencies: np.ndarray
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor, tuple[torch.Tensor, torch.Tensor]]]:
    """Gradients of cos and −sin of each wave, band by band of the sample's rows.

    Yields the columns, shape (2K, 2, m, n), so that ``[Re c, Im c] @ columns`` is the gradient
    of the waves; the image's gradient and whether it is counted, shape (2, m, n); and the
    distances of rows and columns from the centre, as shares of the image, shapes (m,) and (n,).
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


def _table(frequencies: np.ndarray, length: int, device: torch.device) -> torch.Tensor:
    """Phase vectors and their first differences, real and imaginary; shape (4, K, length − 1)."""
    values = phasors(frequencies, length, origin=(length - 1) / 2)
    here, difference = values[:, :-1], np.diff(values)
    parts = np.stack([here.real, here.imag, difference.real, difference.imag])
    return torch.from_numpy(parts.astype(np.float32)).to(device)
