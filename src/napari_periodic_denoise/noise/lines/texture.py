"""Strength of the specimen's texture around each difference: quiet pixels decide about lines."""

from __future__ import annotations

import torch
from torch.nn.functional import avg_pool2d

# Constants chosen by `benchmarks.lines`, columns and 1/f rows, on ten bundled images.
_NEIGHBOURHOOD = 5  # pixels, over which the texture is measured
_CLIP = 6.0  # medians, so that an edge does not hide the quiet pixels beside it
_SCALE = 1.25  # of a normal variable's deviation to its mean magnitude


def local_scale(size: torch.Tensor, least: float) -> torch.Tensor:
    """Scale of differences by those around.

    Parameters
    ----------
    size : Tensor of float32, shape (H, W)
        Magnitudes of differences.
    least : float
        Part of the scale that is there without any texture, half a grey level.

    Returns
    -------
    Tensor of float32, shape (H, W)
    """
    texture = size.clamp_max(_CLIP * float(size.median()) + least)
    half = _NEIGHBOURHOOD // 2
    mean = avg_pool2d(texture[None], _NEIGHBOURHOOD, 1, half, count_include_pad=False)[0]
    return mean.mul_(_SCALE).add_(least)
