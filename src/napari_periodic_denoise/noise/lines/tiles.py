"""Shading of tiles: line noise that is the same in each of several equal tiles.

The lines are the columns of the tensors here. An image put together from fields has the uneven
light of one field again and again, and seams between the fields.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from napari_periodic_denoise.noise.lines.differences import PARTS, Differences, in_parts
from napari_periodic_denoise.noise.lines.profile import Profile, apart, as_profile

_FEWEST = 4  # tiles across; three coins in a row repeat as well
_SHORTEST = 3.0  # lines, so that shorter repetition is not taken for tiles
_SMALLEST = 40  # lines; of shorter periods waves remove more, tiles of a mosaic are longer
_SHIFT = 0.5  # lines, by which the last tile moves from one period to the next that is tried
# Of 500 crops of clean images, those of a row of coins pass 9 and 0.97 in one direction with
# less than five tiles; none passes 5 and 0.9 in both (`benchmarks.lines --crops`).
_STRENGTH, _AGREEING, _MANY = 9.0, 0.97, 5
_BESIDE_STRENGTH, _BESIDE_AGREEING = 5.0, 0.9
_ASPECT = 1.6  # fields of cameras are at most so much longer than high
_SHOWS = 0.2  # of the usual shading, which a part of the image that agrees has at least
_FINER = 10  # steps to each side of a period, when it is refined
_CLIP = 4.0  # deviations of a difference, so that no pair of edges decides
_ROUNDS = 6  # of reweighting
_ITERATIONS = 200  # of conjugate gradients, at most
_CONVERGED = 1e-5  # of the first residual
_RIDGE = 1e-9  # of the largest curvature
_ORDERS = 8  # half cycles along the lines, up to which the strength may vary
_BESIDE = 2  # harmonics to each side, over which the agreement of tiles is averaged


@dataclass(frozen=True, slots=True)
class Tiling:
    """How long the tiles are, and how certain that is.

    Attributes
    ----------
    period : float
        Lines per tile.
    strength : float
        Sum of the products of differences that are a whole number of tiles apart, in its
        standard deviations without tiles.
    """

    period: float
    strength: float


@dataclass(frozen=True, slots=True, eq=False)
class Shading:
    """Shading of tiles.

    Attributes
    ----------
    offsets : Tensor of float64, shape (K, W)
        Of the lines, order by order of cosines along them. The mean of each is zero.
    nats : float
        By which the description of the differences between lines gets shorter.
    agreeing : float
        Share of the parts of all tiles that have it.
    tiles : float
        Number of tiles across.
    """

    offsets: torch.Tensor
    nats: float
    agreeing: float
    tiles: float


def find_tiling(differences: Sequence[Differences]) -> Tiling:
    """Find the length of the tiles from the differences between neighbouring lines.

    Parameters
    ----------
    differences : sequence of Differences

    Returns
    -------
    Tiling
        The strongest one; of strength 0 if it is too short for tiles.

    Notes
    -----
    Differences are white where lines do not repeat, so that their autocorrelation tells.
    """
    best = Tiling(0.0, 0.0)
    if not differences:
        return best
    first = differences[0]
    known = first.orders[0] / first.variance.sqrt()
    known = (known - known.median()).clamp(-_CLIP, _CLIP)
    count = len(known)
    spectrum = torch.fft.rfft(known, 2 * count).abs().square()
    products = torch.fft.irfft(spectrum, 2 * count)[:count]
    power = float(products[0].clamp_min(1e-30)) / count
    period = _SHORTEST
    while period <= count / _FEWEST:
        lags = _lags(period, count)
        pairs = float((count - lags).sum())
        strength = float(products[lags.round().long()].sum()) / (power * math.sqrt(pairs))
        if strength > best.strength:
            best = Tiling(period, strength)
        period += _SHIFT * period / count
    if best.period < _SMALLEST / _ASPECT:
        return Tiling(0.0, 0.0)
    return replace(best, period=_refined(products, best.period))


def _lags(period: float, count: int) -> torch.Tensor:
    """All whole numbers of tiles, in lines."""
    return period * torch.arange(1, int((count - 1) / period) + 1, dtype=torch.float64)


def _refined(products: torch.Tensor, period: float) -> float:
    """Period around one, with the largest products between whole lines."""
    count = len(products)
    step = 2 * _SHIFT * period / count / _FINER
    beside = torch.nn.functional.pad(products, (0, 2))

    def sum_at(trial: float) -> float:
        lags = _lags(trial, count)
        whole = lags.long()
        return float(torch.lerp(beside[whole], beside[whole + 1], lags - whole).sum())

    return max((period + step * i for i in range(-_FINER, _FINER + 1)), key=sum_at)


def may_be_tiles(tiling: Tiling, other: Tiling) -> bool:
    """Whether lines repeat as tiles do.

    Parameters
    ----------
    tiling : Tiling
    other : Tiling
        Of the other direction.

    Returns
    -------
    bool
        Beside tiles of about the same length, less strength suffices, and they may be shorter.
    """
    beside = (
        min(tiling.strength, other.strength) >= _BESIDE_STRENGTH
        and 1 / _ASPECT <= tiling.period / other.period <= _ASPECT
    )
    longer = max(tiling.period, other.period) if beside else tiling.period
    return longer >= _SMALLEST and (beside or tiling.strength >= _STRENGTH)


def are_certain(shadings: Sequence[Shading]) -> bool:
    """Whether tiles are certain, by their shading in one or both directions."""
    if len(shadings) > 1 and all(s.agreeing >= _BESIDE_AGREEING for s in shadings):
        return True
    return any(s.agreeing >= _AGREEING and s.tiles >= _MANY for s in shadings)


def fit_tiles(differences: Sequence[Differences], period: float) -> Shading:
    """Fit the offsets that all tiles share, as strong in each tile as it shows.

    Parameters
    ----------
    differences : sequence of Differences
    period : float
        Lines per tile.

    Returns
    -------
    Shading

    Notes
    -----
    Each phase within a tile has one offset, fitted by reweighted least squares. Tiles of even
    and odd number are fitted by themselves as well: what they do not agree upon is specimen, and
    each harmonic is weakened by that share (Wiener). Light is uneven in proportion to the
    brightness, so that the shading differs in strength from tile to tile.
    """
    count = math.ceil(period)
    line = torch.arange(len(differences[0].variance) + 1, dtype=torch.float64)
    _, phase = _within(line / period, count)
    values = _folded(differences, phase, count, torch.zeros_like(line, dtype=torch.bool))
    seam = int((values - values.roll(1)).abs().argmax())
    tile, phase = _within(line / period - seam / count + 1, count)
    values, even_tiles, odd_tiles = (
        _folded(differences, phase, count, unknown)
        for unknown in (tile < 0, tile % 2 == 1, tile % 2 == 0)
    )
    agreed = _agreement(even_tiles, odd_tiles)
    shared = torch.fft.irfft(agreed * torch.fft.rfft(values), count)[phase]
    strengths, nats, agreeing = _strengths(differences, shared, tile)
    offsets = shared * strengths[:, tile]
    unknowns = float(agreed.sum()) + strengths.numel() / 2
    return Shading(
        offsets - offsets.mean(1, keepdim=True),
        nats - unknowns * math.log(len(line)),
        agreeing,
        len(line) / period,
    )


def _within(position: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Tile of each position in tiles, and its phase within the tile in ``count`` steps."""
    tile = position.long()
    return tile - tile[0], ((position - tile) * count).long().clamp_max(count - 1)


def _strengths(
    differences: Sequence[Differences], shared: torch.Tensor, tile: torch.Tensor
) -> tuple[torch.Tensor, float, float]:
    """Strength of the shading in each tile, order by order along the lines, shape (K, tiles).

    It is weakened towards that of all tiles by the share that is error (Wiener). Also the nats
    that it saves, and the share of the parts of all tiles that have it.
    """
    alone = torch.nn.functional.one_hot(tile).T * shared  # shape (tiles, W)
    products = torch.zeros(len(alone), len(alone), dtype=torch.float64)
    orders = torch.zeros(_ORDERS, len(alone), dtype=torch.float64)
    parts = torch.zeros(PARTS, len(alone), dtype=torch.float64)
    for d in differences:
        shown = apart(alone, d.size)
        weight = (shown / d.variance).T
        products += shown @ weight
        orders += d.orders[:_ORDERS] @ weight
        parts += in_parts(d.orders) @ weight
    # a tile may have no lines inside, and all of them no shading
    products.diagonal().add_(_RIDGE * products.diagonal().max().clamp_min(_RIDGE))
    error = torch.linalg.inv(products)
    usual = torch.zeros(_ORDERS, len(alone), dtype=torch.float64)
    usual[0] = orders[0].sum() / products.sum()
    agreeing = float((parts @ error > _SHOWS * usual[0]).double().mean())
    known = 1 / error.diagonal()  # a tile of which little is inside tells little
    spread = ((orders @ error - usual).square() * known - 1).sum(1) / known.sum()
    strengths = usual.clone()
    for order, variance in enumerate(spread.clamp_min(1e-12)):
        weakened = products + torch.eye(len(alone), dtype=torch.float64) / variance
        own = orders[order] - products @ usual[order]
        strengths[order] += torch.linalg.solve(weakened, own)
    strengths[:, strengths[0] <= 0] = 0  # these tiles lie elsewhere
    nats = float((strengths * orders).sum() - (strengths @ products * strengths).sum() / 2)
    return strengths, nats, agreeing


def _folded(
    differences: Sequence[Differences], phase: torch.Tensor, count: int, unknown: torch.Tensor
) -> torch.Tensor:
    """Offset of each phase, from the lines that are not unknown, shape (count,)."""
    hidden = [unknown[d.size :][: len(d.variance)] for d in differences]
    values = torch.zeros(count, dtype=torch.float64)
    for _ in range(_ROUNDS):
        weighted = []
        for d, hide in zip(differences, hidden, strict=True):
            rest = d.orders[0] - apart(values[phase], d.size)
            variance = (d.variance + rest.square()).masked_fill(hide, math.inf)
            weighted.append(replace(d, orders=d.orders[:1], variance=variance))
        values = _solved(as_profile(weighted), phase, values)
    return values - values.mean()


def _solved(profile: Profile, phase: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Least-squares offsets of the phases by conjugate gradients, from a first guess."""

    def gathered(lines: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(values).index_add_(0, phase, lines)

    def applied(offsets: torch.Tensor) -> torch.Tensor:
        return gathered(profile.precision(offsets[phase][None])[0])

    pulls = gathered(profile.pulls[0])
    rest = pulls - applied(values)
    direction, norm = rest, rest.square().sum()
    for _ in range(_ITERATIONS):
        if norm <= _CONVERGED**2 * pulls.square().sum():
            break
        image = applied(direction)
        step = norm / (direction * image).sum().clamp_min(1e-300)
        values = values + step * direction
        rest = rest - step * image
        norm, before = rest.square().sum(), norm
        direction = rest + norm / before * direction
    return values


def _agreement(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Share of each harmonic that two profiles have in common, 0 to 1."""
    a, b = torch.fft.rfft(a), torch.fft.rfft(b)
    both = torch.stack([(a * b.conj()).real, (a.abs().square() + b.abs().square()) / 2])
    around = torch.nn.functional.pad(both, (_BESIDE, _BESIDE)).unfold(1, 2 * _BESIDE + 1, 1).sum(2)
    return (around[0] / around[1].clamp_min(1e-300)).clamp(0, 1)
