"""Streaks: parts of single lines that are brighter or darker than both lines beside them.

The lines are the columns of the tensors here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch.nn.functional import avg_pool2d, pad

BLOCK = 8  # pixels along a line that are taken together
_PRICE = 2.0  # times ln(blocks): where it begins and how far it goes, and how bright it is
CLIP = 4.0  # deviations that a block counts as at most, so that a streak needs three blocks
_TEXTURE = 1.6  # of a median's deviation to a mean's, and of a normal variable's to its magnitude
_ROUNDS = 3  # a streak beside another shows when that is gone
_LEAST_BLOCKS = 4  # along a line; fewer show no part of it


@dataclass(frozen=True, slots=True, eq=False)
class Streaks:
    """Streaks of constant offset.

    Attributes
    ----------
    line, first, last : Tensor of int64, shape (n,)
        Which line, its first pixel, and the one after the last.
    offset : Tensor of float64, shape (n,)
    nats : float
        By which they shorten the image's description.
    """

    line: torch.Tensor
    first: torch.Tensor
    last: torch.Tensor
    offset: torch.Tensor
    nats: float

    def draw(self, shape: tuple[int, int]) -> torch.Tensor:
        """Noise of float32 with the lines as columns, shape (H, W)."""
        steps = torch.zeros(shape[0] + 1, shape[1], dtype=torch.float64)
        steps.index_put_((self.first, self.line), self.offset, accumulate=True)
        steps.index_put_((self.last, self.line), -self.offset, accumulate=True)
        return steps.cumsum(0)[:-1].float()

    def times(self, factor: float) -> Streaks:
        """Return the streaks of an image whose contrast is as many times as high."""
        return replace(self, offset=factor * self.offset)


def find_streaks(
    pixels: torch.Tensor, quantum: float, ignored: torch.Tensor | None = None
) -> Streaks:
    """Find streaks of a line or less.

    Parameters
    ----------
    pixels : Tensor of float32, shape (H, W)
        Each column is a line.
    quantum : float
        Step between two grey levels.
    ignored : Tensor of bool, shape (H, W), optional
        Pixels that tell nothing.

    Returns
    -------
    Streaks
        Empty if there are none.
    """
    pixels = pixels.cpu()  # of many small steps
    found = [_found(pixels, quantum, ignored)]
    while len(found[-1].line) and len(found) < _ROUNDS:
        pixels = pixels - found[-1].draw((pixels.shape[0], pixels.shape[1]))
        found.append(_found(pixels, quantum, ignored))
    return Streaks(
        torch.cat([s.line for s in found]),
        torch.cat([s.first for s in found]),
        torch.cat([s.last for s in found]),
        torch.cat([s.offset for s in found]),
        sum(s.nats for s in found),
    )


def _found(pixels: torch.Tensor, quantum: float, ignored: torch.Tensor | None) -> Streaks:
    """Streaks that stand out from the lines beside them as these are now."""
    blocks = len(pixels) // BLOCK
    if blocks < _LEAST_BLOCKS:
        nothing = torch.zeros(0, dtype=torch.long)
        return Streaks(nothing, nothing, nothing, nothing.double(), 0.0)
    apart = pixels[: blocks * BLOCK].diff()
    if ignored is not None:
        hidden = ignored.cpu()[: blocks * BLOCK]
        apart = apart.masked_fill(hidden[:, 1:] | hidden[:, :-1], 0)
    by_block = apart.view(blocks, BLOCK, -1)
    middle = by_block.median(1).values
    texture = (by_block - middle[:, None]).abs_().mean(1)
    offsets, scale = relative_offsets(middle, texture, quantum)
    line, first, last, nats = _segments(offsets.clamp_(-CLIP, CLIP), scale, price(offsets.numel()))
    return _refined(apart, line, first * BLOCK, last * BLOCK, nats)


def relative_offsets(
    middle: torch.Tensor, texture: torch.Tensor, quantum: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """How far blocks stand out from those in both lines beside them, in deviations.

    Parameters
    ----------
    middle, texture : Tensor of float32, shape (B, W − 1)
        Location and mean magnitude of the differences between neighbouring lines in each of B
        blocks along the lines.
    quantum : float
        Step between two grey levels.

    Returns
    -------
    offsets, scale : Tensor of float32, shape (B, W)
        Offsets in deviations; zero where one line beside is brighter and the other darker. The
        deviations.
    """
    texture = _around(pad(texture, (1, 1)), 3)
    scale = (texture[:, 1:] + texture[:, :-1]) / 2 * (_TEXTURE / math.sqrt(BLOCK)) + quantum / 2
    left, right = pad(middle, (1, 0)), pad(-middle, (0, 1))
    both = torch.where(left.abs() < right.abs(), left, right)
    both = torch.where(left * right > 0, both, 0.0)
    # what the specimen itself makes of it, around
    usual = both.abs().clamp_max(3 * float(both.abs().mean()))
    scale = scale + _around(usual, 5)
    return both / scale, scale


def _around(values: torch.Tensor, size: int) -> torch.Tensor:
    """Mean over a square around each value, at the border over what there is of it."""
    half = size // 2
    mean = avg_pool2d(values[None], (size, 1), 1, (half, 0), count_include_pad=False)
    mean = avg_pool2d(mean, (1, size), 1, (0, half), count_include_pad=False)
    return mean[0]


def price(blocks: int) -> float:
    """Nats that a streak among so many blocks has to save."""
    return _PRICE * math.log(blocks)


def _segments(
    relative: torch.Tensor, scale: torch.Tensor, price: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, float]:
    """Segments of all lines that save the most nats together, by dynamic programming."""
    # by Cauchy and Schwarz, blocks of one sign save at most half the sum of their squares
    most = torch.maximum(
        relative.clamp_min(0).square().sum(0), relative.clamp_max(0).square().sum(0)
    )
    able = (most > 2 * price).nonzero()[:, 0]
    relative, scale = relative[:, able], scale[:, able]
    blocks, lines = relative.shape
    if not lines:
        return able, able, able, 0.0
    weight = pad((1 / scale.square()).cumsum(0), (0, 0, 1, 0))
    pull = pad((relative / scale).cumsum(0), (0, 0, 1, 0))
    best = torch.zeros(blocks + 1, lines)
    start = torch.full((blocks + 1, lines), -1)
    for last in range(1, blocks + 1):
        gain = (pull[last] - pull[:last]).square() / (weight[last] - weight[:last]) / 2
        value, begin = (best[:last] + gain - price).max(0)
        streak = value > best[last - 1]
        best[last] = torch.where(streak, value, best[last - 1])
        start[last] = torch.where(streak, begin, -1)
    segments = []
    for line in (best[-1] > 0).nonzero()[:, 0].tolist():
        end = blocks
        while end > 0:
            first = int(start[end, line])
            if first >= 0:
                segments.append((line, first, end))
            end = first if first >= 0 else end - 1
    found = torch.tensor(segments, dtype=torch.long).view(-1, 3)
    return able[found[:, 0]], found[:, 1], found[:, 2], float(best[-1].sum())


def _refined(
    apart: torch.Tensor, line: torch.Tensor, first: torch.Tensor, last: torch.Tensor, nats: float
) -> Streaks:
    """Offsets from all pixels of a streak, and its ends to the pixel."""
    offset = torch.zeros(len(line), dtype=torch.float64)
    for i, (x, a, b) in enumerate(zip(line.tolist(), first.tolist(), last.tolist(), strict=True)):
        sides = ([apart[:, x - 1]] if x else []) + ([-apart[:, x]] if x < apart.shape[1] else [])
        about = torch.stack(sides).mean(0)
        level = float(about[a:b].median())
        size = max(abs(level), 1e-9)
        # up to half a block beyond and within: a pixel belongs if it is nearer to the level
        belongs = (about * math.copysign(1, level)).clamp(-size, 2 * size) - size / 2
        low, high = max(a - BLOCK, 0), min(b + BLOCK, len(about))
        inner = min(BLOCK, (b - a) // 2)
        head = belongs[low : a + inner].flip(0).cumsum(0)
        tail = belongs[b - inner : high].cumsum(0)
        first[i] = a + inner - (int(head.argmax()) + 1 if float(head.max()) > 0 else 0)
        last[i] = b - inner + (int(tail.argmax()) + 1 if float(tail.max()) > 0 else 0)
        offset[i] = float(about[int(first[i]) : int(last[i])].median())
    return Streaks(line, first, last, offset, nats)
