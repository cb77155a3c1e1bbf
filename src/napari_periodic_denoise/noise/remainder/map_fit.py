"""What no short list of waves explains: quasi-periodic noise, and stripes in one direction."""

from __future__ import annotations

import math
from collections.abc import Generator
from itertools import count, product
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
from napari_periodic_denoise.noise.statistics.gram import is_fast

Kind = Literal["quasi-periodic", "stripes"]

_TILE = 1024
_OVERLAP = 128
_MARGIN = 32  # pixels beyond the tile, where the noise may do as it likes before it goes around

# The softening starts above most differences and shrinks to a fraction of them, as in `fit`.
_ROUNDS = 6
_START = 2.0  # mean magnitudes of the gradient
_SHRINK = 0.4
_SHARP = 0.1
_ROUNDING = 0.3  # grey levels
_STEPS = 4  # of conjugate gradients per round
_CREDIT = 0.7  # that counts of the nats saved: a pixel's two differences are not independent
_PASSES = 6


def find_remainder(
    pixels: torch.Tensor, quantum: float, sensitivity: float, *, kind: Kind
) -> Generator[Step, None, torch.Tensor]:
    """Estimate noise that has a narrow spectrum but is no sum of few waves.

    Parameters
    ----------
    pixels : Tensor of float32, shape (H, W)
        Intensities in robust deviations, see `images.normalize`.
    quantum : float
        Step between two grey levels.
    sensitivity : float
        False alarms to expect where there is no such noise.
    kind : {"quasi-periodic", "stripes"}
        Noise around some frequencies, all over the image; or stripes in one direction, found
        by itself, wherever they are.

    Yields
    ------
    stage, message : str
        What is done next.

    Returns
    -------
    Tensor of float32, shape (H, W)
        In the unit of the pixels; exactly zero where nothing is found. Waves over 64 pixels
        long are left in the image, so that means over larger areas stay as they are.

    Notes
    -----
    The model is ``I = C + N``, the gradient of C of Laplace law with mean magnitude b, the
    Fourier coefficients z of N normal with the variances s that `density` finds. The most
    probable N minimises ``Σ|∂(I − N)|/b + ½·Σ|z|²/s``: reweighted least squares, preconditioned
    conjugate gradients. N lives on a torus larger than the image, and only pixels of the image
    count: nothing is assumed at the borders. N is kept if it shortens the description of the
    image's gradient by clearly more than its own takes (Laplace's approximation of the
    evidence). Images over 1024 pixels are done in tiles that overlap.
    """
    noise = torch.zeros_like(pixels)
    # what stood in the shade of the strongest frequencies shows once they are gone; a second
    # direction of stripes would rather be the specimen's
    for _ in range(_PASSES if kind == "quasi-periodic" else 1):
        more = yield from _find(pixels - noise, quantum, sensitivity, kind)
        if more is None:
            break
        noise += more
    return noise


def _find(
    pixels: torch.Tensor, quantum: float, sensitivity: float, kind: Kind
) -> Generator[Step, None, torch.Tensor | None]:
    """Return the noise found at once, if there is any that pays for itself."""
    shape = (pixels.shape[0], pixels.shape[1])
    window = (min(shape[0], _TILE), min(shape[1], _TILE))
    grid = (_fast_length(window[0] + _MARGIN), _fast_length(window[1] + _MARGIN))
    what = "stripes" if kind == "stripes" else "quasi-periodic noise"
    yield Step(Stage.DETECT, f"looking for {what}")
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
    """Power that noise of unit density adds to the features, shape (h, w // 2 + 1).

    Differences multiply it by ``4·sin²(π·f)``, and clipping lets through, of what is weak
    beside the rest of the gradient, the share of pixels that are not clipped.
    """
    total = torch.zeros(grid[0], grid[1] // 2 + 1, device=pixels.device)
    for difference, feature, f in zip(
        gradient(pixels), features, frequencies(grid, pixels.device), strict=True
    ):
        passed = float((feature.abs() < 1).float().mean())
        scale = robust_scale(difference)
        total = total + (2 * passed * torch.sin(math.pi * f) / (scale or 1.0)) ** 2
    return total.clamp_min_(torch.finfo(total.dtype).tiny)


def _fit(
    tile: torch.Tensor, density: torch.Tensor, grid: Grid, quantum: float, which: str
) -> Generator[Step, None, tuple[torch.Tensor, float]]:
    """Return the most probable noise of a tile, and the nats it saves.

    The unknowns are ``p = z/√s`` at the frequencies of ``torch.fft.rfft2``.
    """
    h, w = tile.shape
    device = tile.device
    fy, fx = frequencies(grid, device)
    curvature = 4 * torch.sin(math.pi * fy) ** 2 + 4 * torch.sin(math.pi * fx) ** 2
    # coefficients that stand for their conjugates too; those of the last column, if the width
    # is even, and of the first do not
    twice = torch.full((1, grid[1] // 2 + 1), 2.0, device=device)
    twice[:, [0, -1]] = 1
    spread = density.sqrt() * math.sqrt(grid[0] * grid[1])
    gather = density.sqrt() * twice / math.sqrt(grid[0] * grid[1])
    plane = torch.zeros(grid, device=device)

    def synthesize(p: torch.Tensor) -> torch.Tensor:
        full: torch.Tensor = torch.fft.irfft2(p * spread, s=grid)
        return full[:h, :w]

    def adjoint(along_y: torch.Tensor, along_x: torch.Tensor) -> torch.Tensor:
        plane.zero_()
        plane[1:h, :w] += along_y
        plane[: h - 1, :w] -= along_y
        plane[:h, 1:w] += along_x
        plane[:h, : w - 1] -= along_x
        spectrum: torch.Tensor = torch.fft.rfft2(plane)
        return spectrum * gather

    p = torch.zeros(grid[0], grid[1] // 2 + 1, dtype=torch.complex64, device=device)
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
        diagonal = (curvature * density * mean_weight + 1) * twice
        residual = adjoint(weight_y * dy, weight_x * dx) - p * twice
        scaled = residual / diagonal
        direction, norm = scaled, _dot(residual, scaled)
        for _ in range(_STEPS):
            if norm == 0:
                break
            wave = synthesize(direction)
            image = adjoint(weight_y * wave.diff(dim=0), weight_x * wave.diff(dim=1))
            image += direction * twice
            step = norm / _dot(direction, image)
            p = p + step * direction
            noise = noise + step * wave
            residual = residual - step * image
            scaled = residual / diagonal
            norm, before = _dot(residual, scaled), norm
            direction = scaled + norm / before * direction
        softness = max(softness * _SHRINK, _SHARP)

    saved = 2 * tile.numel() * math.log(first / max(_mean_gradient(tile - noise), 1e-30))
    volume = torch.log1p(curvature * density * mean_weight)
    spent = 0.5 * float((twice * (p.abs().square() + volume)).sum())
    return noise, _CREDIT * saved - spent


def _mean_gradient(image: torch.Tensor) -> float:
    """Mean magnitude of both first differences; never zero, as it divides."""
    magnitude = float(image.diff(dim=0).abs().mean() + image.diff(dim=1).abs().mean()) / 2
    return max(magnitude, 1e-9)


def _dot(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((torch.view_as_real(a) * torch.view_as_real(b)).sum())


def _cover(length: int, size: int) -> list[tuple[slice, torch.Tensor]]:
    """Stretches of one size that overlap, and their weights, which add up to one everywhere."""
    rest = length - size
    steps = math.ceil(rest / (size - _OVERLAP)) if rest else 0
    starts = [round(i * rest / max(steps, 1)) for i in range(steps + 1)]
    weights = torch.zeros(len(starts), length)
    for weight, start in zip(weights, starts, strict=True):
        to_end = (torch.arange(size) + 0.5) / _OVERLAP
        weight[start : start + size] = torch.minimum(to_end, to_end.flip(0)).clamp_max(1)
    weights /= weights.sum(0)
    return [
        (slice(start, start + size), weight[start : start + size])
        for weight, start in zip(weights, starts, strict=True)
    ]


def _fast_length(least: int) -> int:
    """Return the smallest even length from ``least`` that is fast to transform."""
    return next(length for length in count(least + least % 2, 2) if is_fast(length))
