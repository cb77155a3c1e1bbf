"""Phase-aligned robust fit: where the waves are, and whether the image is better off without."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from napari_periodic_denoise.noise.waves import phasors

EVIDENCE_PER_LOG_PIXEL = 4.0
CONSENSUS = 6.0
NATS_PER_UNKNOWN = 0.5  # times ln(number of pixels): the Bayesian information criterion

# The softening d starts above most differences, whatever their law, and shrinks step by step to
# the bulk of the residuals: set there at once, it would hold on to the residuals there are.
_START = 3.0  # mean magnitudes of the gradient
_SHRINK = 0.5
_BULK = 0.5  # median magnitudes of the residual
_STEPS = 8
_CHANCE = 2.0  # nats that an amplitude and a phase save without a wave: twice the mean
_BLOCKS = 8  # per axis, over which a wave's evidence must agree
_LEAST_LINES = 128
_BAND = 1 << 14  # pixels of four waves worked on at once, few enough for the processor's cache
_NEGLIGIBLE = 1e-6
_RIDGE = 1e-4  # damps steps along which two waves look alike; the optimum stays where it is
_LARGEST_STEP = 0.3  # cycles across the image, per iteration


@dataclass(frozen=True, slots=True)
class GradientSample:
    """First differences of an image where some of its rows and columns cross.

    Attributes
    ----------
    rows : Tensor of int64, shape (m,)
        In random order.
    columns : Tensor of int64, shape (n,)
        In random order. Crossing lines rather than scattered pixels keep waves separable.
    gradient : Tensor of float32, shape (2, m, n)
        Differences along y and along x.
    counted : Tensor of float32, shape (2, m, n)
        One, or zero for differences that tell nothing, as of pixels at the image's limits.
    shape : tuple of int
        ``(H, W)`` of the image.
    quantum : float
        Step between two grey levels; residuals below it are rounding, and an exact fit would
        divide by them.
    """

    rows: torch.Tensor
    columns: torch.Tensor
    gradient: torch.Tensor
    counted: torch.Tensor
    shape: tuple[int, int]
    quantum: float

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def first(self, count: int) -> GradientSample:
        """About ``count`` pixels of the sample: a random sample too."""
        m, n = _thinned(len(self.rows), len(self.columns), count)
        return replace(
            self,
            rows=self.rows[:m],
            columns=self.columns[:n],
            gradient=self.gradient[:, :m, :n].contiguous(),
            counted=self.counted[:, :m, :n].contiguous(),
        )

    def central(self, size: int) -> GradientSample:
        """Keep the pixels in the middle ``size`` rows and columns."""
        spans = ((math.ceil((n - 1 - size) / 2), (n - 1 + size) // 2 + 1) for n in self.shape)
        (y0, y1), (x0, x1) = spans
        return self.within((y0, x0, y1, x1))

    def within(self, rectangle: tuple[int, int, int, int]) -> GradientSample:
        """Keep the pixels in a rectangle, row ``y1`` and column ``x1`` excluded."""
        y0, x0, y1, x1 = rectangle
        near = [
            ((start <= at) & (at < end)).nonzero()[:, 0]
            for at, start, end in ((self.rows, y0, y1), (self.columns, x0, x1))
        ]
        return replace(
            self,
            rows=self.rows[near[0]],
            columns=self.columns[near[1]],
            gradient=self.gradient[:, near[0]][:, :, near[1]],
            counted=self.counted[:, near[0]][:, :, near[1]],
        )

    def cpu(self) -> GradientSample:
        """The same in the computer's own memory, for what a GPU lacks, as MPS lacks float64."""
        return replace(
            self,
            rows=self.rows.cpu(),
            columns=self.columns.cpu(),
            gradient=self.gradient.cpu(),
            counted=self.counted.cpu(),
        )

    def levels(self, image: torch.Tensor) -> torch.Tensor:
        """Intensities of an image of the same shape at the same pixels, shape (m, n)."""
        return image[self.rows][:, self.columns]

    def of(self, image: torch.Tensor) -> GradientSample:
        """Take the same pixels of another image of the same shape."""
        return replace(self, gradient=_gradient_at(image, self.rows, self.columns))


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


def sample_gradient(
    image: torch.Tensor,
    count: int,
    seed: int,
    quantum: float,
    ignored: torch.Tensor | None = None,
) -> GradientSample:
    """Draw rows and columns at random and take the image's gradient where they cross.

    Parameters
    ----------
    image : Tensor of float32, shape (H, W)
    count : int
        Number of pixels, about; all of the image where it has fewer.
    seed : int
    quantum : float
        Step between two grey levels, or of rounding; positive.
    ignored : Tensor of bool, shape (H, W), optional
        Pixels whose differences are not counted.

    Returns
    -------
    GradientSample
    """
    h, w = image.shape
    generator = torch.Generator().manual_seed(seed)
    rows, columns = (
        torch.randperm(n - 1, generator=generator)[:kept].to(image.device)
        for n, kept in zip((h, w), _thinned(h - 1, w - 1, count), strict=True)
    )
    differences = _gradient_at(image, rows, columns)
    counted = torch.ones_like(differences)
    if ignored is not None:
        here = ignored[rows][:, columns]
        counted[0][here | ignored[rows + 1][:, columns]] = 0
        counted[1][here | ignored[rows][:, columns + 1]] = 0
    return GradientSample(rows, columns, differences, counted, (h, w), quantum)


def sample_area(
    image: torch.Tensor, area: torch.Tensor, count: int, seed: int, quantum: float
) -> GradientSample:
    """Draw rows and columns at random among those that cross an area.

    Parameters
    ----------
    image : Tensor of float32, shape (H, W)
    area : Tensor of bool, shape (H, W)
        Differences are counted where both pixels are in it.
    count : int
        Number of crossings, about, within the area or not.
    seed : int
    quantum : float
        Step between two grey levels, or of rounding; positive.

    Returns
    -------
    GradientSample
        Without a row if no two pixels of the area are neighbours.
    """
    inside = area[:-1, :-1] & (area[1:, :-1] | area[:-1, 1:])
    lines = [inside.any(1 - axis).nonzero()[:, 0] for axis in (0, 1)]
    generator = torch.Generator().manual_seed(seed)
    kept = _thinned(max(len(lines[0]), 1), max(len(lines[1]), 1), count)
    rows, columns = (
        at[torch.randperm(len(at), generator=generator)[:number].to(at.device)]
        for at, number in zip(lines, kept, strict=True)
    )
    here = area[rows][:, columns]
    counted = torch.stack([here & area[rows + 1][:, columns], here & area[rows][:, columns + 1]])
    differences = _gradient_at(image, rows, columns)
    shape = (image.shape[0], image.shape[1])
    return GradientSample(rows, columns, differences, counted.float(), shape, quantum)


def _thinned(rows: int, columns: int, count: int) -> tuple[int, int]:
    """Numbers of lines, evenly fewer along both axes, that cross in about ``count`` pixels.

    Of a long and narrow image the short side is kept, as far as `_LEAST_LINES`.
    """
    share = min(1.0, math.sqrt(count / (rows * columns)))
    shorter = min(rows, columns)
    kept = min(shorter, max(math.ceil(share * shorter), _LEAST_LINES))
    other = min(max(rows, columns), math.ceil(count / kept))
    return (kept, other) if rows <= columns else (other, kept)


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


def subtracted(sample: GradientSample, fit: Fit) -> GradientSample:
    """Return the sample of the image without the waves."""
    coefficients = _parts(fit.coefficients, sample.gradient.device)
    rest = [
        gradient - (coefficients @ columns.flatten(1)).view_as(gradient)
        for columns, gradient, *_ in _bands(sample, fit.frequencies)
    ]
    return replace(sample, gradient=torch.cat(rest, 1))


def description_length(sample: GradientSample, residual: torch.Tensor, unknowns: float) -> float:
    """Nats that a gradient's residual takes under a Laplace law, and the fit's unknowns.

    Parameters
    ----------
    sample : GradientSample
        Tells which differences are counted, and the quantum that magnitudes are softened by.
    residual : Tensor of float32, shape (2, m, n)
        What a fit leaves of the sample's gradient.
    unknowns : float
        Number of real unknowns of the fit, or what they count for.
    """
    count = max(float(sample.counted.sum()), 2.0)
    magnitudes = residual.square().add_(sample.quantum**2).sqrt_().mul_(sample.counted)
    cost = NATS_PER_UNKNOWN * unknowns * math.log(count / 2)
    return count * math.log(float(magnitudes.sum()) / count) + cost


def evidence(
    samples: Sequence[GradientSample], fits: Sequence[Fit]
) -> tuple[np.ndarray, np.ndarray]:
    """By how much each wave shortens the description of images, and whether all parts agree.

    Under a Laplace law of the clean image's gradient, the description of a residual r takes
    ``Σ |r| / b`` nats, b the mean magnitude: so count what is saved with the wave in against
    the wave left out, the others unchanged. Magnitudes are softened by the quantum, below
    which a residual tells nothing. A specimen that happens to repeat saves much in few places;
    noise saves a little everywhere.

    Parameters
    ----------
    samples : sequence of GradientSample
        Of P images of one shape.
    fits : sequence of Fit
        The same K waves in each image.

    Returns
    -------
    nats : ndarray of float64, shape (K,)
        All images together, those that are alike counted as one, less what chance gives each
        further one's amplitude and phase.
        Above ``EVIDENCE_PER_LOG_PIXEL · ln(len(sample))`` a wave is worth keeping.
    consensus : ndarray of float64, shape (K,)
        Mean saving of 8×8 parts of the image, in units of its standard error. Each part is that
        of all images; parts of which nothing is counted are left out.
    """
    saved, counted = np.zeros((len(fits[0]), _BLOCKS**2)), np.zeros(_BLOCKS**2)
    for sample, fit in zip(samples, fits, strict=True):
        saved += _saved_in_parts(sample, fit)
        counted += _counted_in_parts(sample)
    if len(samples) > 1:
        rest = [subtracted(sample, fit) for sample, fit in zip(samples, fits, strict=True)]
        different = independent(rest)
        saved *= different / len(samples)
        saved -= _CHANCE * (different - 1) / _BLOCKS**2
    # a part that is protected or saturated has no say
    saved = saved[:, counted > 0]
    parts = saved.shape[1]
    if parts < 2:  # nothing to agree
        return saved.sum(1), np.zeros(len(saved))
    error = saved.std(1, ddof=1) / math.sqrt(parts)
    consensus = saved.mean(1) / np.maximum(error, np.finfo(np.float64).tiny)
    return saved.sum(1), consensus


def independent(samples: Sequence[GradientSample]) -> float:
    """How many images of independent pixels tell as much: one, if the specimen does not change.

    Parameters
    ----------
    samples : sequence of GradientSample
        Of the same pixels of P images.

    Returns
    -------
    float
        From 1 to P.
    """
    total = torch.zeros_like(samples[0].gradient)
    energy = 0.0
    for sample in samples:
        clipped = sample.gradient.sign() * sample.counted
        energy += float(clipped.square().sum())
        total += clipped
    alike = float(total.square().sum()) / max(energy, 1.0)
    return len(samples) / min(max(alike, 1.0), float(len(samples)))


def _saved_in_parts(sample: GradientSample, fit: Fit) -> np.ndarray:
    """Nats that each wave saves in each of 8×8 parts of the image, shape (K, 64)."""
    count = len(fit)
    coefficients = _parts(fit.coefficients, sample.gradient.device)
    saved = torch.zeros(count, _BLOCKS, _BLOCKS, device=sample.gradient.device)
    magnitude, square = 0.0, sample.quantum**2
    for columns, gradient, counted, (y, x) in _bands(sample, fit.frequencies):
        columns *= coefficients[:, None, None, None]
        each = columns[:count].add_(columns[count:])
        residual = gradient - each.sum(0)
        absent = each.add_(residual).square_().add_(square).sqrt_()
        present = residual.square_().add_(square).sqrt_()
        magnitude += float((present * counted).sum())
        saved += _membership(y).T @ absent.sub_(present).mul_(counted).sum(1) @ _membership(x)
    mean = magnitude / max(float(sample.counted.sum()), 1.0)
    nats: np.ndarray = saved.flatten(1).cpu().double().numpy()
    nats /= max(mean, np.finfo(np.float32).tiny)
    return nats


def _counted_in_parts(sample: GradientSample) -> np.ndarray:
    """Differences that are counted in each of 8×8 parts of the image, shape (64,)."""
    parts = (
        _membership((lines - (length - 1) / 2) / length)
        for lines, length in zip((sample.rows, sample.columns), sample.shape, strict=True)
    )
    y, x = parts
    counted: np.ndarray = (y.T @ sample.counted.sum(0) @ x).flatten().cpu().double().numpy()
    return counted


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
    coefficients = _parts(fit.coefficients, sample.gradient.device)
    real, imaginary = coefficients.view(2, count, 1, 1, 1)
    bulk = 0.0
    for columns, gradient, counted, (y, x) in _bands(sample, fit.frequencies):
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


def _parts(coefficients: np.ndarray, device: torch.device) -> torch.Tensor:
    both = np.concatenate([coefficients.real, coefficients.imag])
    return torch.from_numpy(both.astype(np.float32)).to(device)


def _bands(
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


def _membership(position: torch.Tensor) -> torch.Tensor:
    """Which of the equal parts of the image a position from −½ to ½ is in; shape (m, 8)."""
    part = (_BLOCKS * (position + 0.5)).long().clamp_(0, _BLOCKS - 1)
    return torch.nn.functional.one_hot(part, _BLOCKS).to(torch.float32)


def _table(frequencies: np.ndarray, length: int, device: torch.device) -> torch.Tensor:
    """Phase vectors and their first differences, real and imaginary; shape (4, K, length − 1)."""
    values = phasors(frequencies, length, origin=(length - 1) / 2)
    here, difference = values[:, :-1], np.diff(values)
    parts = np.stack([here.real, here.imag, difference.real, difference.imag])
    return torch.from_numpy(parts.astype(np.float32)).to(device)


def _gradient_at(image: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    lines = image[rows]
    here = lines[:, columns]
    return torch.stack([image[rows + 1][:, columns] - here, lines[:, columns + 1] - here])
