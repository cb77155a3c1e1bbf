"""Robust scale and range of pixel values."""

from __future__ import annotations

from dataclasses import dataclass

import torch

_SAMPLE = 1 << 16  # values; the median of so many has a standard error of 0.5% (1.25 σ/√n)
MAD_TO_SIGMA = 1.4826  # 1/Φ⁻¹(3/4): standard deviation of a normal law per median magnitude
_TAILS = (0.005, 0.995)  # quantiles of the intensity range; 1% of the pixels lie outside


def robust_scale(values: torch.Tensor) -> float:
    """Estimate the standard deviation from the median magnitude.

    Quantised images with flat areas have a median of zero. The mean magnitude replaces it then.

    Parameters
    ----------
    values : Tensor of float, any shape
        Values about zero. Large tensors are sampled.

    Returns
    -------
    float
        In the unit of the values.
    """
    magnitude = _subsample(values).abs()
    median = float(magnitude.median())
    return MAD_TO_SIGMA * median if median > 0 else float(magnitude.mean())


@dataclass(frozen=True, slots=True)
class Range:
    """Intensities that become 0 and 1 for a network. Values outside are not clipped.

    Attributes
    ----------
    low, high : float
    """

    low: float
    high: float


def robust_range(image: torch.Tensor) -> Range:
    """Range of intensities without the darkest and the brightest 0.5% of the pixels.

    Parameters
    ----------
    image : Tensor of float32, any shape
        Large images are sampled.

    Returns
    -------
    Range
        One unit wide if all pixels are equal.
    """
    flat = _subsample(image)
    low, high = (float(flat.quantile(share)) for share in _TAILS)
    if low == high:
        low, high = float(image.min()), float(image.max())
    return Range(low, high if high > low else low + 1)


def _subsample(values: torch.Tensor) -> torch.Tensor:
    """Draw at most `_SAMPLE` values at random, shape (n,), the same ones in each call."""
    flat = values.flatten()
    if flat.numel() <= _SAMPLE:
        return flat
    generator = torch.Generator().manual_seed(0)
    return flat[torch.randint(flat.numel(), (_SAMPLE,), generator=generator).to(flat.device)]
