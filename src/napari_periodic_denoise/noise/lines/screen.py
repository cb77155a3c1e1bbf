"""A quick look whether lines of an image could have noise of their own.

The lines are the columns of the tensors here. A clean image is left alone after this look, at a
hundredth of the time of a fit.
"""

from __future__ import annotations

import math

import torch
from torch.nn.functional import pad

from napari_periodic_denoise.noise.lines.streaks import BLOCK, CLIP, price, relative_offsets

# Of whole clean images 20 of 27 pass neither bound in either direction; of made noise of the
# kinds of `benchmarks.lines`, all images pass one, by a factor of 1.2 or more.
_PARTS = 8  # along the lines; noise of lines agrees in all of them, a specimen does not
_PIXELS = 32  # of a line in each part that are looked at
_CLIP_DIFFERENCES = 2.0  # mean magnitudes
_CLIP_MEANS = 3.0  # deviations
_OF_A_MEDIAN = 2.2  # deviations of a normal variable, one and a half times, per median magnitude
_MANY_LINES = 12.0  # deviations of the sum over all pairs of parts, if parts did not agree
_ONE_LINE = 6.5  # deviations of a single line, of 8.5 at most
_STREAK = 0.6  # of its price
_LENGTHS = (3, 6, 12, 24, 48, 96)  # blocks that a streak may be long


def may_show_lines(
    pixels: torch.Tensor, quantum: float, ignored: torch.Tensor | None = None
) -> bool:
    """Tell whether lines may have offsets, or parts of lines may be streaks.

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
    bool
        False if a fit would find nothing, but for what is very weak.

    Notes
    -----
    Differences between neighbouring lines are averaged over each of eight parts along the lines.
    Offsets of lines are the same in all parts, so that the sum of the products of pairs of parts
    is far above that of independent parts. Single lines stand out in the sum over the parts.
    """
    means = _means(pixels, quantum, ignored)
    total = means.sum(0)
    pairs = float((total.square() - means.square().sum(0)).sum()) / 2
    count = _PARTS * (_PARTS - 1) / 2 * means.shape[1]
    if pairs > _MANY_LINES * math.sqrt(count):
        return True
    agreeing = (means * total.sign() > 0).sum(0) >= _PARTS - 1
    if float((total.abs() * agreeing).max()) > _ONE_LINE * math.sqrt(_PARTS):
        return True
    return _may_show_streaks(pixels, quantum, ignored)


def _means(pixels: torch.Tensor, quantum: float, ignored: torch.Tensor | None) -> torch.Tensor:
    """Mean differences between lines in deviations, one part along the lines a row."""
    height = len(pixels)
    each = min(height // _PARTS, _PIXELS)
    first = torch.arange(_PARTS, device=pixels.device)[:, None] * height // _PARTS
    step = torch.arange(each, device=pixels.device) * (height // _PARTS) // each
    rows = (first + step).flatten()
    apart = pixels[rows].diff()
    if ignored is not None:
        hidden = ignored[rows]
        apart = apart.masked_fill(hidden[:, 1:] | hidden[:, :-1], 0)
    apart = apart.view(_PARTS, each, -1)
    most = _CLIP_DIFFERENCES * apart.abs().mean((1, 2), keepdim=True) + quantum / 2
    means = apart.clamp(-most, most).mean(1)
    deviation = means.square().mean(1, keepdim=True).sqrt()
    usual = _OF_A_MEDIAN * means.abs().median(1, keepdim=True).values
    # without noise most means may be exactly zero; then the few others stand out
    deviation = torch.minimum(deviation, usual).clamp_min(quantum * 1e-3)
    return (means / deviation).clamp_(-_CLIP_MEANS, _CLIP_MEANS)


def _may_show_streaks(pixels: torch.Tensor, quantum: float, ignored: torch.Tensor | None) -> bool:
    """Tell whether a part of a line stands out from the lines on both sides."""
    blocks = len(pixels) // BLOCK
    if blocks < min(_LENGTHS):
        return False
    inside = pixels[: blocks * BLOCK]
    apart = inside.diff()
    if ignored is not None:
        hidden = ignored[: blocks * BLOCK]
        apart = apart.masked_fill(hidden[:, 1:] | hidden[:, :-1], 0)
    middle = _block_means(apart)
    texture = _block_means(apart.abs_())
    offsets, _ = relative_offsets(middle, texture, quantum)
    offsets = offsets.clamp_(-CLIP, CLIP)
    least = _STREAK * price(offsets.numel())
    total = pad(offsets.cumsum_(0), (0, 0, 1, 0))
    for length in _LENGTHS:
        if length > blocks:
            break
        worth = (total[length:] - total[:-length]).square_().mul_(1 / (2 * length))
        if float(worth.max()) > least:
            return True
    return False


def _block_means(values: torch.Tensor) -> torch.Tensor:
    return values.view(-1, BLOCK, values.shape[1]).mean(1)
