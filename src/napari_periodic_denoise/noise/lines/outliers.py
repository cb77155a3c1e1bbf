"""Few lines that differ: single defective ones, and jumps of level between lines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from napari_periodic_denoise.noise.lines.profile import (
    Profile,
    cosine_transform,
    least_squares,
    most_probable,
    noise_power,
    slow_excess,
)

_ROUNDS = 8  # at most; each chooses lines and fits all again
_MOST = 1 / 16  # of the lines; more are not few
_NEXT = 0.25  # of the strongest evidence, what is taken in the same round
_APART = 3  # lines, between those taken in the same round
_PRICE = 2.0  # times ln(lines): which line, which of the two kinds, and how far


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Offsets of the lines as few outliers and a stationary rest.

    Attributes
    ----------
    outliers, rest : Tensor of float64, shape (W,)
        Mean zero.
    single, jumps : Tensor of int64, shape (n,)
        Lines that stand out, and those before which the level changes.
    noise : Tensor of float64, shape (W,)
        Power of the rest by frequency.
    nats : float
        By which the description gets shorter.
    """

    outliers: torch.Tensor
    rest: torch.Tensor
    single: torch.Tensor
    jumps: torch.Tensor
    noise: torch.Tensor
    nats: float


class _Round(NamedTuple):
    """Outliers of a round, what they explain, and what they leave."""

    chosen: torch.Tensor
    explained: torch.Tensor
    rest: torch.Tensor
    noise: torch.Tensor
    specimen: torch.Tensor
    nats: float


def fit_lines(
    profile: Profile, specimen: torch.Tensor, refused: torch.Tensor | None = None
) -> Fitted:
    """Most probable offsets of lines, whether all differ, or few, or both.

    Parameters
    ----------
    profile : Profile
        Its first order is fitted.
    specimen : Tensor of float64, shape (W,)
        Power of the specimen's own profile, by frequency.
    refused : Tensor of bool, shape (2·W,), optional
        Single lines, then jumps before lines, that are the specimen's.

    Returns
    -------
    Fitted
        Of all rounds of a greedy search, each with more outliers, that of the shortest
        description.
    """
    lines, pulls = profile.lines, profile.pulls[:1]
    raw = least_squares(profile, pulls)[0]
    error = profile.error + specimen
    nothing = _length(raw, error)
    chosen = torch.zeros(0, dtype=torch.long)
    heights = torch.zeros(0, dtype=torch.float64)
    best: _Round | None = None
    for _ in range(_ROUNDS):
        explained = heights @ _atoms(chosen, lines)
        left = raw - cosine_transform(explained)
        noise, saved = noise_power(left.square(), error)
        if saved <= 0:
            noise = torch.zeros_like(noise)
        slow = slow_excess(left.square(), error + noise)
        price = _PRICE * math.log(lines) * len(chosen)
        nats = nothing - _length(left, error + noise + slow) - price
        rest = pulls - profile.precision(explained[None])
        if best is None or nats > best.nats:
            best = _Round(chosen, explained, rest, noise, specimen + slow, nats)
        elif nats < best.nats:
            break
        background = noise + specimen + slow
        more = _standing_out(profile, rest, background, chosen, refused)
        if not len(more) or len(chosen) + len(more) > _MOST * lines:
            break
        chosen, heights = _fitted(profile, torch.cat([chosen, more]), background)
    assert best is not None
    return Fitted(
        best.explained,
        most_probable(profile, best.rest, best.noise[None], best.specimen[None])[0],
        best.chosen[best.chosen < lines],
        best.chosen[best.chosen >= lines] - lines,
        best.noise,
        best.nats,
    )


def _length(left: torch.Tensor, power: torch.Tensor) -> float:
    """Nats that describe normal variables of these powers, by frequency but 0."""
    return 0.5 * float((power.log() + left.square() / power)[1:].sum())


def _atoms(chosen: torch.Tensor, lines: int) -> torch.Tensor:
    """One outlier a row, mean zero: single lines, and from ``lines`` on jumps before a line."""
    index = torch.arange(lines)
    single = (index == chosen[:, None]) & (chosen < lines)[:, None]
    jump = (index >= chosen[:, None] - lines) & (chosen >= lines)[:, None]
    atoms = (single | jump).double()
    return atoms - atoms.mean(1, keepdim=True)


def _unexplained(profile: Profile, pulls: torch.Tensor, background: torch.Tensor) -> torch.Tensor:
    """What stationary offsets of this power leave of the pulls, shape (K, W)."""
    power = background.expand(len(pulls), -1)
    smooth = most_probable(profile, pulls, power, torch.zeros_like(power))
    return pulls - profile.precision(smooth)


def _standing_out(
    profile: Profile,
    rest: torch.Tensor,
    background: torch.Tensor,
    chosen: torch.Tensor,
    refused: torch.Tensor | None,
) -> torch.Tensor:
    """Outliers not chosen yet that are worth their price, the strongest of a neighbourhood."""
    lines = profile.lines
    rest = _unexplained(profile, rest, background)[0]
    total = (profile.error + background)[1:]
    variance = profile.differences[0].variance
    # variance of a line about its two neighbours, and of a difference, relative to the mean
    uneven = torch.ones(lines, dtype=torch.float64)
    uneven[1:] = variance / variance.mean()
    beside = torch.nn.functional.pad(uneven[1:], (0, 1), value=1.0)
    turn = torch.arange(1, lines, dtype=torch.float64) * (math.pi / 2 / lines)
    single = rest.square() / ((1 / total).mean() / ((uneven + beside) / 2).clamp_min(1))
    step = (0.25 / turn.sin().square() / total).mean() / uneven.clamp_min(1)
    summed = rest.flip(0).cumsum(0).flip(0)
    jump = summed.square() / step
    jump[0] = 0
    score = torch.cat([single, jump]) / 2
    score[chosen] = 0
    if refused is not None:
        score[refused] = 0
    least = max(_PRICE * math.log(lines), _NEXT * float(score.max()))
    found: list[int] = []
    for index in score.argsort(descending=True).tolist():
        if score[index] < least:
            break
        if all(abs(index % lines - other % lines) >= _APART for other in found):
            found.append(index)
    return torch.tensor(found, dtype=torch.long)


def _fitted(
    profile: Profile, chosen: torch.Tensor, background: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Heights of outliers fitted together; those not worth their price are left out."""
    atoms = _atoms(chosen, profile.lines)
    pulls = torch.cat([profile.precision(atoms), profile.pulls[:1]])
    measured = _unexplained(profile, pulls, background) @ atoms.T
    every, pulled = (measured[:-1] + measured[:-1].T) / 2, measured[-1]
    kept = torch.arange(len(chosen))
    while len(kept):
        curvature, wanted = every[kept][:, kept], pulled[kept]
        covariance = torch.linalg.pinv(curvature, hermitian=True)
        heights = covariance @ wanted
        worth = heights.square() / covariance.diagonal().clamp_min(1e-30) / 2
        keep = worth > _PRICE * math.log(profile.lines)
        if bool(keep.all()):
            return chosen[kept], heights
        kept = kept[keep]
    return chosen[:0], torch.zeros(0, dtype=torch.float64)


def fit_variation(profile: Profile, specimen: torch.Tensor) -> torch.Tensor:
    """Most probable variation of the offsets along the lines, as far as it pays for itself.

    Parameters
    ----------
    profile : Profile
    specimen : Tensor of float64, shape (K, W)
        Power of the specimen's own profile, by order and frequency.

    Returns
    -------
    Tensor of float64, shape (n, W)
        Coefficients of the orders from 1 on; those that don't pay are zero.
    """
    orders = len(profile.pulls) // 2  # the others tell the variance
    raw = least_squares(profile, profile.pulls[1:orders]).square()
    error = profile.error
    noise, specimen = torch.zeros_like(raw), specimen.clone()
    last = 0
    for order in range(1, orders):
        power, nats = noise_power(raw[order - 1], error + specimen[order])
        if nats > _PRICE * math.log(profile.lines):
            noise[order - 1] = power
            specimen[order] += slow_excess(raw[order - 1], error + specimen[order] + power)
            last = order
    if not last:
        return profile.pulls[:0]
    return most_probable(
        profile, profile.pulls[1 : last + 1], noise[:last], specimen[1 : last + 1]
    )
