"""MAP fit of noise with a narrow spectrum: quasi-periodic noise, and stripes."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from itertools import product
from typing import Literal

import torch

from napari_periodic_denoise.noise.progress import Stage, Step
from napari_periodic_denoise.noise.remainder.density import (
    Grid,
    frequencies,
    stripe_density,
    texture_density,
)
from napari_periodic_denoise.noise.robust import robust_scale
from napari_periodic_denoise.noise.statistics.features import edges, gradient
from napari_periodic_denoise.noise.statistics.gram import fast_length_above

Kind = Literal["quasi-periodic", "stripes"]

_TILE = 1024  # pixels; bounds the memory (benchmarks.speed)
_OVERLAP = 128  # pixels of two tiles that are blended; twice the longest period
_MARGIN = 32  # padding that absorbs the periodic wrap-around; half of the longest period

# The softening shrinks from above most differences to a fraction of them, see `Schedule`.
# benchmarks.rejection checks these numbers (weave, stripes, clean images).
_ROUNDS = 6  # reweightings
_START = 2.0  # first softening, in mean magnitudes of the gradient
_SHRINK = 0.4  # factor of the next softening
_SHARP = 0.1  # last softening, in mean magnitudes of the gradient
_ROUNDING = 0.3  # smallest softening, in grey levels; the standard deviation of rounding (1/√12)
_STEPS = 4  # conjugate gradient steps per reweighting
_CREDIT = 0.7  # share of saved nats that counts, since a pixel's two differences are dependent
_PASSES = 6  # repetitions on the residual; one that finds nothing is the last


def find_remainder(
    pixels: torch.Tensor, quantum: float, sensitivity: float, *, kind: Kind
) -> Generator[Step, None, torch.Tensor]:
    """Estimate noise that has a narrow spectrum but is not a sum of few waves.

    Parameters
    ----------
    pixels : Tensor of float32, shape (H, W)
        Intensities in robust standard deviations, see `input.normalize`.
    quantum : float
        Step between two grey levels.
    sensitivity : float
        Expected number of false alarms without such noise.
    kind : {"quasi-periodic", "stripes"}
        Noise around some frequencies, all over the image; or stripes in one direction, which is
        detected, anywhere in the image.

    Yields
    ------
    Step
        Before each step.

    Returns
    -------
    Tensor of float32, shape (H, W)
        Noise in the unit of the pixels. It is exactly zero if nothing is found. Periods above 64
        pixels stay in the image, so means over larger areas do not change.

    Notes
    -----
    The model is ``I = C + N``. The gradient of C has a Laplace law with mean magnitude b. The
    Fourier coefficients z of N are normal with the variances s from `density`. The most probable
    N minimises ``Σ|∂(I − N)|/b + ½·Σ|z|²/s``, by reweighted least squares and preconditioned
    conjugate gradients. N is periodic on a grid larger than the image, and only pixels of the
    image count, so nothing is assumed at the borders. N is accepted if it shortens the
    description of the image's gradient by more than its own description (Laplace's approximation
    of the evidence). Images above 1024 pixels are processed in overlapping tiles.
    """
    noise = torch.zeros_like(pixels)
    # weaker frequencies show when the strongest are removed; a second direction of stripes is
    # more likely the specimen's
    for _ in range(_PASSES if kind == "quasi-periodic" else 1):
        more = yield from _find(pixels - noise, quantum, sensitivity, kind)
        if more is None:
            break
        noise += more
    return noise


def _find(
    pixels: torch.Tensor, quantum: float, sensitivity: float, kind: Kind
) -> Generator[Step, None, torch.Tensor | None]:
    """Return the noise of one pass, if it shortens the description."""
    shape = (pixels.shape[0], pixels.shape[1])
    window = (min(shape[0], _TILE), min(shape[1], _TILE))
    grid = (fast_length_above(window[0] + _MARGIN), fast_length_above(window[1] + _MARGIN))
    what = "stripes" if kind == "stripes" else "quasi-periodic noise"
    yield Step(Stage.DETECT, f"searching for {what}")
    features = edges(pixels)
    if kind == "stripes":
        density = stripe_density(features, grid, window, sensitivity)
    else:
        density = texture_density(features, grid, sensitivity)
    if not bool((density > 0).any()):
        return None
    density = density / _response(pixels, features, grid)
    del features

    noise, evidence = torch.zeros_like(pixels), 0.0
    tiles = list(product(_cover(shape[0], window[0]), _cover(shape[1], window[1])))
    for number, ((rows, weight_y), (columns, weight_x)) in enumerate(tiles, 1):
        which = f", part {number} of {len(tiles)}" if len(tiles) > 1 else ""
        part, nats = yield from _fit(pixels[rows, columns], density, grid, quantum, which)
        noise[rows, columns] += part * torch.outer(weight_y, weight_x).to(part)
        evidence += nats
    return noise if evidence > 0 else None


def _response(pixels: torch.Tensor, features: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Power of the features for noise of unit density, shape (h, w // 2 + 1).

    Differences multiply power by ``4·sin²(π·f)``. Clipping multiplies the amplitude of weak
    noise by the share of pixels that are not clipped.
    """
    total = torch.zeros(grid[0], grid[1] // 2 + 1, device=pixels.device)
    for difference, feature, f in zip(
        gradient(pixels), features, frequencies(grid, pixels.device), strict=True
    ):
        passed = float((feature.abs() < 1).float().mean())
        scale = robust_scale(difference)
        total = total + (2 * passed * torch.sin(math.pi * f) / (scale or 1.0)) ** 2
    return total.clamp_min_(torch.finfo(total.dtype).tiny)


@dataclass(frozen=True, slots=True, eq=False)
class _Torus:
    """Linear map from unknowns ``p = z/√s`` to noise on a tile of a periodic grid.

    Attributes
    ----------
    grid : tuple of int
        ``(h, w)`` of the grid, with an even w.
    tile : tuple of int
        ``(H, W)`` of the tile, at most the grid.
    multiplicity : Tensor of float32, shape (1, w // 2 + 1)
        2 for coefficients that stand for their conjugates too, 1 in the first and last column.
    spread, gather : Tensor of float32, shape (h, w // 2 + 1)
        Scales of the coefficients in the map and in its adjoint.
    """

    grid: Grid
    tile: Grid
    multiplicity: torch.Tensor
    spread: torch.Tensor
    gather: torch.Tensor

    @staticmethod
    def of(density: torch.Tensor, grid: Grid, tile: Grid) -> _Torus:
        """Return the map for variances s per (cycle/pixel)², shape (h, w // 2 + 1)."""
        multiplicity = torch.full((1, grid[1] // 2 + 1), 2.0, device=density.device)
        multiplicity[:, [0, -1]] = 1
        scale = math.sqrt(grid[0] * grid[1])
        root = density.sqrt()
        return _Torus(grid, tile, multiplicity, root * scale, root * multiplicity / scale)

    def synthesize(self, p: torch.Tensor) -> torch.Tensor:
        """Noise on the tile, shape (H, W)."""
        full: torch.Tensor = torch.fft.irfft2(p * self.spread, s=self.grid)
        return full[: self.tile[0], : self.tile[1]]

    def adjoint(self, along_y: torch.Tensor, along_x: torch.Tensor) -> torch.Tensor:
        """Adjoint of the noise's differences along y, (H − 1, W), and along x, (H, W − 1)."""
        h, w = self.tile
        plane = torch.zeros(self.grid, device=along_y.device)
        plane[1:h, :w] += along_y
        plane[: h - 1, :w] -= along_y
        plane[:h, 1:w] += along_x
        plane[:h, : w - 1] -= along_x
        spectrum: torch.Tensor = torch.fft.rfft2(plane)
        return spectrum * self.gather


def _fit(
    tile: torch.Tensor, density: torch.Tensor, grid: Grid, quantum: float, which: str
) -> Generator[Step, None, tuple[torch.Tensor, float]]:
    """Return the most probable noise of a tile, and the nats it saves."""
    fy, fx = frequencies(grid, tile.device)
    curvature = 4 * torch.sin(math.pi * fy) ** 2 + 4 * torch.sin(math.pi * fx) ** 2
    torus = _Torus.of(density, grid, (tile.shape[0], tile.shape[1]))
    p = torch.zeros(grid[0], grid[1] // 2 + 1, dtype=torch.complex64, device=tile.device)
    noise = torch.zeros_like(tile)
    first = _mean_gradient(tile)
    softness = _START
    mean_weight = 0.0
    for number in range(_ROUNDS):
        yield Step(Stage.FIT, f"fitting the noise, round {number + 1} of {_ROUNDS}{which}")
        clean = tile - noise
        b = _mean_gradient(clean)
        d = max(softness * b, _ROUNDING * quantum)
        dy, dx = clean.diff(dim=0), clean.diff(dim=1)
        weight_y, weight_x = ((g.square() + d * d).rsqrt_().div_(b) for g in (dy, dx))
        mean_weight = float(weight_y.mean() + weight_x.mean()) / 2
        diagonal = (curvature * density * mean_weight + 1) * torus.multiplicity
        residual = torus.adjoint(weight_y * dy, weight_x * dx) - p * torus.multiplicity
        p, noise = _conjugate_gradients(torus, (weight_y, weight_x), diagonal, residual, p, noise)
        softness = max(softness * _SHRINK, _SHARP)

    saved = 2 * tile.numel() * math.log(first / max(_mean_gradient(tile - noise), 1e-30))
    volume = torch.log1p(curvature * density * mean_weight)
    spent = 0.5 * float((torus.multiplicity * (p.abs().square() + volume)).sum())
    return noise, _CREDIT * saved - spent


def _conjugate_gradients(
    torus: _Torus,
    weights: tuple[torch.Tensor, torch.Tensor],
    diagonal: torch.Tensor,
    residual: torch.Tensor,
    p: torch.Tensor,
    noise: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Take some preconditioned conjugate gradient steps; return the unknowns and the noise."""
    weight_y, weight_x = weights
    scaled = residual / diagonal
    direction, norm = scaled, _dot(residual, scaled)
    for _ in range(_STEPS):
        if norm == 0:
            break
        wave = torus.synthesize(direction)
        image = torus.adjoint(weight_y * wave.diff(dim=0), weight_x * wave.diff(dim=1))
        image += direction * torus.multiplicity
        step = norm / _dot(direction, image)
        p = p + step * direction
        noise = noise + step * wave
        residual = residual - step * image
        scaled = residual / diagonal
        norm, before = _dot(residual, scaled), norm
        direction = scaled + norm / before * direction
    return p, noise


def _mean_gradient(image: torch.Tensor) -> float:
    """Mean magnitude of both first differences. It is a divisor, so it is never zero."""
    magnitude = float(image.diff(dim=0).abs().mean() + image.diff(dim=1).abs().mean()) / 2
    return max(magnitude, 1e-9)


def _dot(a: torch.Tensor, b: torch.Tensor) -> float:
    """Real inner product of complex tensors."""
    return float((torch.view_as_real(a) * torch.view_as_real(b)).sum())


def _cover(length: int, size: int) -> list[tuple[slice, torch.Tensor]]:
    """Overlapping intervals of one size, and their weights, whose sum is one everywhere."""
    gap = length - size
    steps = math.ceil(gap / (size - _OVERLAP)) if gap else 0
    starts = [round(i * gap / max(steps, 1)) for i in range(steps + 1)]
    weights = torch.zeros(len(starts), length)
    for weight, start in zip(weights, starts, strict=True):
        to_end = (torch.arange(size) + 0.5) / _OVERLAP
        weight[start : start + size] = torch.minimum(to_end, to_end.flip(0)).clamp_max(1)
    weights /= weights.sum(0)
    return [
        (slice(start, start + size), weight[start : start + size])
        for weight, start in zip(weights, starts, strict=True)
    ]
