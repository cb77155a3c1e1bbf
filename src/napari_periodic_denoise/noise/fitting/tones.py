"""Fit the waves of a print's screen, whose dots follow the tone of the image."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
import torch

from napari_periodic_denoise.noise.fitting.evidence import description_length
from napari_periodic_denoise.noise.fitting.gain import differences, waves_at
from napari_periodic_denoise.noise.fitting.gauss_newton import real_and_imaginary
from napari_periodic_denoise.noise.fitting.sample import GradientSample
from napari_periodic_denoise.noise.fitting.schedule import (
    LINEAR,
    REFIT,
    next_softening,
    shifted_bases,
    solve_damped,
)
from napari_periodic_denoise.noise.waves.frequency import Float, Shape, distances, lowest_alias
from napari_periodic_denoise.noise.waves.lattices import MIN_DISTANCE, combinations
from napari_periodic_denoise.noise.waves.synthesis import polynomials
from napari_periodic_denoise.noise.waves.wave import Order, Tones, Wave, toned_at_centre

# Highest sum of multiples of both bases, and number of polynomials of the tone, tried in turn
# while the description gets shorter (benchmarks.lines, tone-following dots).
ORDERS = ((2, 3), (3, 4))
_SPAN = (0.01, 0.99)  # quantiles of the tone, beyond which amplitudes do not change


@dataclass(frozen=True, slots=True, eq=False)
class Screen:
    """A screen fitted to an image.

    Attributes
    ----------
    bases : ndarray of float64, shape (2, 2)
        Base frequencies in cycles/pixel.
    sites : ndarray of whole numbers, shape (K, 2)
        Multiples of the bases.
    coefficients : ndarray of complex128, shape (K, D)
        Coefficients of D polynomials of the tone, with phases at the image's centre.
    span : tuple of float
        Darkest and brightest tone.
    description : float
        Description length of the sample's gradient without the screen, in nats.
    """

    bases: Float
    sites: Float
    coefficients: np.ndarray
    span: tuple[float, float]
    description: float = math.inf

    @property
    def order(self) -> Order:
        """Highest sum of multiples of both bases, and number of polynomials of the tone."""
        return int(np.abs(self.sites).sum(1).max()), self.coefficients.shape[1]

    @property
    def unknowns(self) -> int:
        """Number of real unknowns."""
        return 2 * self.coefficients.size + self.bases.size

    def waves(
        self, tone: torch.Tensor, *, false_alarms: float = 0.0, evidence: float = 0.0
    ) -> list[Wave]:
        """Return the screen's waves in an image of this tone, shape (H, W)."""
        period = period_of(self.bases)
        powers = torch.stack(polynomials(tone, self.span, self.coefficients.shape[1])).flatten(1)
        weights = (powers @ powers.T / powers.shape[1]).cpu().double().numpy()
        return [
            toned_at_centre(
                frequency,
                Tones(tuple(coefficients.tolist()), *self.span, period),
                weights,
                (tone.shape[0], tone.shape[1]),
                false_alarms=false_alarms,
                evidence=evidence,
            )
            for frequency, coefficients in zip(
                self.sites @ self.bases, self.coefficients, strict=True
            )
        ]


def choose_screen(
    sample: GradientSample, tone: torch.Tensor, bases: Float
) -> Generator[Order, None, Screen | None]:
    """Fit screens of higher and higher order, while the description gets shorter.

    Parameters
    ----------
    sample, tone, bases
        See `fit_screen`.

    Yields
    ------
    tuple of int
        Next order, see `fit_screen`.

    Returns
    -------
    Screen or None
        The one with the shortest description. None if no fit comes to rest near the bases.
    """
    best: Screen | None = None
    for order in ORDERS:
        yield order
        screen = fit_screen(sample, tone, bases, order)
        if best is not None and screen.description >= best.description:
            break
        if not len(sites_of(screen.bases, order[0], sample.shape)):
            break  # the bases have run away
        best, bases = screen, screen.bases
    return best


def fit_screen(sample: GradientSample, tone: torch.Tensor, bases: Float, order: Order) -> Screen:
    """Fit a screen by iteratively reweighted least squares.

    Minimises ``Σ |∂(I − N)|`` over the coefficients and the bases of the waves of N, see
    `wave.Tones`.

    Parameters
    ----------
    sample : GradientSample
        Sample of the image without any other waves.
    tone : Tensor of float32, shape (H, W)
        See `synthesis.smooth_tone`. Not all pixels have the same.
    bases : ndarray, shape (2, 2)
        Base frequencies in cycles/pixel.
    order : tuple of int
        Highest sum of multiples of both bases, and number of polynomials of the tone.

    Returns
    -------
    Screen
    """
    sites = sites_of(bases, order[0], sample.shape)
    zero = np.zeros((len(sites), order[1]), dtype=np.complex128)
    screen = Screen(bases, sites, zero, span_of(sample, tone))
    powers = _at(sample, polynomials(tone, screen.span, order[1]))
    for schedule, move in ((LINEAR, False), (REFIT, True)):
        softening = schedule.softening * float(sample.gradient.abs().mean())
        for _ in range(schedule.steps):
            screen, softening = _step(sample, screen, powers, softening, move=move)
    residual = subtract_screen(sample, screen, tone)
    return replace(screen, description=description_length(sample, residual, screen.unknowns))


def span_of(sample: GradientSample, tone: torch.Tensor) -> tuple[float, float]:
    """Darkest and brightest tone of a sample, but for outliers."""
    darkest, brightest = np.quantile(sample.levels(tone).cpu().numpy(), _SPAN).tolist()
    return darkest, brightest


def subtract_screen(sample: GradientSample, screen: Screen, tone: torch.Tensor) -> torch.Tensor:
    """Gradient of a sample without a screen, shape (2, m, n).

    Parameters
    ----------
    sample : GradientSample
    screen : Screen
    tone : Tensor of float32, shape (H, W)

    Returns
    -------
    Tensor of float32, shape (2, m, n)
    """
    powers = _at(sample, polynomials(tone, screen.span, screen.coefficients.shape[1]))
    return _without(sample, screen, _columns(sample, screen, powers))


def period_of(bases: Float) -> float:
    """Larger period of two bases, in pixels."""
    return float(1 / np.hypot(*bases.T).min())


def sites_of(bases: Float, order: int, shape: Shape) -> Float:
    """List the multiples of two bases up to an order that are different waves.

    Parameters
    ----------
    bases : ndarray, shape (2, 2)
        Cycles/pixel.
    order : int
        Largest sum of both multiples.
    shape : tuple of int
        ``(H, W)`` of the image.

    Returns
    -------
    ndarray of whole numbers, shape (K, 2)
        The lowest multiples first. Sites near the mean, and aliases of others, are left out.
    """
    sites = combinations(2, order)
    sums = np.abs(sites).sum(1)
    sites = sites[np.argsort(sums, kind="stable")][: int((sums <= order).sum())]
    frequencies = sites @ bases
    away = np.hypot(*(lowest_alias(frequencies) * shape).T) > MIN_DISTANCE
    twin = np.tril(distances(frequencies, shape) <= MIN_DISTANCE, -1).any(1)
    different: Float = sites[away & ~twin]
    return different


def _at(sample: GradientSample, powers: list[torch.Tensor]) -> torch.Tensor:
    """Polynomials of the tone at each pixel, the one below it and the one beside, (D, 3, m, n)."""
    out = []
    for power in powers:
        here, (below, beside) = sample.levels(power), sample.of(power).gradient
        out.append(torch.stack([here, here + below, here + beside]))
    return torch.stack(out)


def _columns(sample: GradientSample, screen: Screen, powers: torch.Tensor) -> torch.Tensor:
    """Gradients of cos and −sin of each wave times each polynomial, (2KD, 2, m, n)."""
    parts = waves_at(sample, screen.sites @ screen.bases)[:, None]
    return differences((parts * powers).flatten(0, 1))


def _without(sample: GradientSample, screen: Screen, columns: torch.Tensor) -> torch.Tensor:
    """Gradient of a sample without a screen, shape (2, m, n)."""
    coefficients = real_and_imaginary(screen.coefficients.ravel(), columns.device)
    return sample.gradient - (coefficients @ columns.flatten(1)).view_as(sample.gradient)


def _step(
    sample: GradientSample, screen: Screen, powers: torch.Tensor, softening: float, *, move: bool
) -> tuple[Screen, float]:
    """Take one step at a given tone; return the screen and the softening of the next step."""
    count, degree = screen.coefficients.shape
    columns = _columns(sample, screen, powers)
    residual = _without(sample, screen, columns)
    weight = (residual.square() + softening**2).rsqrt_() * sample.counted
    if move:
        columns = torch.cat([columns, _shifts(sample, screen, columns)])
    flat = columns.flatten(1)
    weighted = flat * weight.flatten()
    normal = (weighted @ flat.T).cpu().double()
    moment = (weighted @ residual.flatten()).cpu().double()
    scale = normal.diagonal().clamp_min(torch.finfo(torch.float32).tiny).rsqrt()
    step = solve_damped(normal, moment, scale)
    real, imaginary = step[: 2 * count * degree].reshape(2, count, degree)
    bases = screen.bases
    if move:
        shift = step[2 * count * degree :]
        bases = shifted_bases(bases, screen.sites, shift, sample.shape)
    moved = replace(screen, bases=bases, coefficients=screen.coefficients + real + 1j * imaginary)
    return moved, next_softening(softening, residual, sample.quantum)


def _shifts(sample: GradientSample, screen: Screen, columns: torch.Tensor) -> torch.Tensor:
    """Columns of shifts of both bases along y, then along x, in cycles across the image."""
    count, degree = screen.coefficients.shape
    coefficients = real_and_imaginary(screen.coefficients.ravel(), columns.device)
    real, imaginary = coefficients.view(2, -1, 1, 1, 1)
    cosines, sines = columns.view(2, count * degree, *columns.shape[1:])
    # d/df of Re(c·∂E) is nearly −2π x·Im(c·∂E), since x changes little between two pixels
    turned = (sines * real - cosines * imaginary).mul_(2 * np.pi)
    ties = torch.from_numpy(np.repeat(screen.sites, degree, 0).T.astype(np.float32))
    turned = (ties.to(columns.device) @ turned.flatten(1)).view(-1, *columns.shape[1:])
    h, w = sample.shape
    y, x = (sample.rows - (h - 1) / 2) / h, (sample.columns - (w - 1) / 2) / w
    return torch.cat([turned * y[:, None], turned * x])
