"""Maps of an image that the Gram statistics are taken of."""

from __future__ import annotations

import torch

_SCALE_SAMPLE = 1 << 16
_MAD_TO_SIGMA = 1.4826


def gradient(image: torch.Tensor) -> torch.Tensor:
    """Both first differences of an image.

    Parameters
    ----------
    image : Tensor, shape (H, W)

    Returns
    -------
    Tensor, shape (2, H − 1, W − 1)
        ``image[y + 1, x] − image[y, x]`` and ``image[y, x + 1] − image[y, x]``.
    """
    h, w = image.shape
    out = image.new_empty(2, h - 1, w - 1)
    torch.sub(image[1:, :-1], image[:-1, :-1], out=out[0])
    torch.sub(image[:-1, 1:], image[:-1, :-1], out=out[1])
    return out


def edges(image: torch.Tensor) -> torch.Tensor:
    """First differences, each clipped at one robust standard deviation, in units of it.

    A specimen's edges are a few large differences, noise is many small ones: clipped, the
    spectrum shows noise that the plain spectrum hides.

    Parameters
    ----------
    image : Tensor of float32, shape (H, W)

    Returns
    -------
    Tensor of float32, shape (2, H − 1, W − 1)
        Values in [−1, 1].
    """
    maps = gradient(image)
    for channel in maps:
        scale = robust_scale(channel)
        if scale > 0:
            channel.div_(scale).clamp_(-1, 1)
    return maps


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
