"""Robust scale and range of pixel values."""

from __future__ import annotations

from dataclasses import dataclass

import torch

_SCALE_SAMPLE = 1 << 16
_MAD_TO_SIGMA = 1.4826


def robust_scale(values: torch.Tensor) -> float:
    """Estimate the standard deviation of the bulk of the values from their median magnitude.

    Where most values are exactly zero, as in quantized images with flat areas, the mean
    magnitude takes the median's place. Large arrays are sampled.
    """
    flat = values.flatten()
    if flat.numel() > _SCALE_SAMPLE:
        pick = torch.Generator().manual_seed(0)
        flat = flat[torch.randint(flat.numel(), (_SCALE_SAMPLE,), generator=pick).to(flat.device)]
    magnitude = flat.abs()
    median = float(magnitude.median())
    return _MAD_TO_SIGMA * median if median > 0 else float(magnitude.mean())


_TAILS = (0.005, 0.995)  # of the intensities: what the network sees as black and as white
_SAMPLE = 1 << 16


@dataclass(frozen=True, slots=True)
class Range:
    """Intensities that a network sees as 0 and as 1; those beyond are not clipped."""

    low: float
    high: float


def robust_range(image: torch.Tensor) -> Range:
    """Range that all but the darkest and the brightest 0.5% of the pixels lie in.

    Parameters
    ----------
    image : Tensor of float32, any shape
        Large ones are sampled.

    Returns
    -------
    Range
        One unit wide if all pixels are equal.
    """
    flat = image.flatten()
    if flat.numel() > _SAMPLE:
        pick = torch.Generator().manual_seed(0)
        flat = flat[torch.randint(flat.numel(), (_SAMPLE,), generator=pick).to(flat.device)]
    low, high = (float(flat.quantile(share)) for share in _TAILS)
    if low == high:
        low, high = float(image.min()), float(image.max())
    return Range(low, high if high > low else low + 1)
