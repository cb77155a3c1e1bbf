"""Robust differences between neighbouring lines, over several distances and parts of the image.

The lines are the columns of the tensors here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn.functional import avg_pool1d

from napari_periodic_denoise.noise.lines.texture import local_scale

# Constants chosen by `benchmarks.lines`, columns and 1/f rows, on ten bundled images.
PARTS = 16  # along the lines; variation along a line is seen from an eighth of it on
_LEVELS = 6  # distances of 1 to 32 lines
_PIXELS_ALONG = 512  # of a line that are looked at; fewer where lines are averaged, but at least
_LEAST_ALONG = 128
_STEPS = 4
_REFINED = 3
_LEAST_VARIANCE = 0.3  # of the median; a variance from eight values strays as much
_COARSE = 2.0  # overlapping distances share their pixels


@dataclass(frozen=True, slots=True)
class Differences:
    """How much the means of neighbouring blocks of lines differ.

    Attributes
    ----------
    size : int
        Lines per block, L.
    orders : Tensor of float64, shape (PARTS, W − 2·L + 1)
        Coefficients of cosines along the lines; the first is the difference itself.
    variance : Tensor of float64, shape (W − 2·L + 1,)
        Of each coefficient, from those of high order.
    """

    size: int
    orders: torch.Tensor
    variance: torch.Tensor


def line_differences(
    pixels: torch.Tensor, quantum: float, ignored: torch.Tensor | None = None
) -> list[Differences]:
    """Measure the differences between lines over distances of 1, 2, 4... lines.

    Parameters
    ----------
    pixels : Tensor of float32, shape (H, W)
        Each column is a line.
    quantum : float
        Step between two grey levels.
    ignored : Tensor of bool, shape (H, W), optional
        Pixels that tell nothing, as saturated ones.

    Returns
    -------
    list of Differences

    Notes
    -----
    Each difference is the location of a Cauchy law whose scale is the specimen's texture around
    each pixel: quiet pixels decide.
    """
    height, width = pixels.shape
    levels = []
    for level in range(_LEVELS):
        size = 1 << level
        if 4 * size > width:
            break
        along = min(height, max(_PIXELS_ALONG >> level, _LEAST_ALONG)) // PARTS
        steps = torch.arange(max(along, 1) * PARTS, device=pixels.device)
        chosen = steps * height // len(steps)
        apart = _apart(pixels[chosen], size)
        unknown = None
        if ignored is not None:
            means = avg_pool1d(ignored[chosen].to(pixels), size, 1)
            unknown = (means[:, size:] > 0) | (means[:, :-size] > 0)
        orders, variance = _located(apart, quantum / 2, unknown)
        if level:
            variance *= _COARSE * size
        levels.append(Differences(size, orders, variance))
    return levels


def in_parts(orders: torch.Tensor) -> torch.Tensor:
    """Return the differences in each part along the lines.

    Parameters
    ----------
    orders : Tensor of float64, shape (PARTS, n)
        As in `Differences`.

    Returns
    -------
    Tensor of float64, shape (PARTS, n)
        Their mean over the parts is the first order.
    """
    parts = _cosines(PARTS).T @ orders * math.sqrt(PARTS)
    return parts


def _apart(pixels: torch.Tensor, size: int) -> torch.Tensor:
    """Differences between the means of blocks of lines side by side, shape (H, W − 2·size + 1)."""
    means = avg_pool1d(pixels, size, 1) if size > 1 else pixels
    return means[:, size:] - means[:, :-size]


def _located(
    apart: torch.Tensor, least: float, unknown: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Orders of the differences' location along the lines, and their variance."""
    located = apart.median(0).values
    square = torch.empty(0)
    for _ in range(2):
        square = local_scale((apart - located).abs_(), least).square_()
        if unknown is not None:
            square.masked_fill_(unknown, torch.inf)
        for _ in range(_STEPS):
            located = located + _step(apart - located, square, 1)[0][0]
    rest = apart - located
    parts, weight = torch.zeros(PARTS, rest.shape[1]).to(rest), torch.ones(0)
    for _ in range(_REFINED):
        about = (rest.view(PARTS, -1, rest.shape[1]) - parts[:, None]).flatten(0, 1)
        step, weight = _step(about, square, PARTS)
        parts = parts + step
    # a part without quiet pixels says little
    parts = parts * (weight / weight.mean(0).clamp_min(1e-30)).clamp_max(1)
    orders = _cosines(PARTS) @ parts.cpu().double()
    variance = orders[PARTS // 2 :].square().mean(0) / PARTS + (least / 10) ** 2
    variance = variance.clamp_min(_LEAST_VARIANCE * float(variance.median()))
    orders = orders / math.sqrt(PARTS)
    orders[0] = located.cpu().double()
    return orders, variance


def _step(
    rest: torch.Tensor, square: torch.Tensor, parts: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """One reweighted step of the location of each part, and the weights' sums."""
    weight = (rest.square() + square).reciprocal_()
    shape = (parts, -1, rest.shape[1])
    total = weight.view(shape).sum(1)
    moved = weight.mul_(rest).view(shape).sum(1)
    return moved / total.clamp_min(1e-30), total


def _cosines(count: int) -> torch.Tensor:
    """Orthonormal cosines, float64, shape (count, count); one order a row."""
    index = torch.arange(count, dtype=torch.float64)
    waves = torch.cos(math.pi * index[:, None] * (index + 0.5) / count)
    waves *= math.sqrt(2 / count)
    waves[0] /= math.sqrt(2)
    return waves
