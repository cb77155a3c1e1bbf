"""Local means of the known pixels of an image, in place of the unknown ones."""

from __future__ import annotations

import torch
from torch.nn.functional import avg_pool2d

# Reaches in pixels of the mean around an unknown pixel, tried in turn: the smallest with a known
# pixel is the most local.
_REACHES = (2, 4, 8, 16)


def local_means(image: torch.Tensor, known: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean of the known neighbours of each unknown pixel.

    Parameters
    ----------
    image : Tensor of float32, shape (H, W)
        Finite, in unknown pixels too.
    known : Tensor of bool, shape (H, W)

    Returns
    -------
    means : Tensor of float32, shape (H, W)
        Zero in known pixels, and in those that are more than 16 pixels from any along an axis.
    found : Tensor of bool, shape (H, W)
        Unknown pixels with a mean.
    """
    means, missing = torch.zeros_like(image), ~known
    layers = torch.stack([image.masked_fill(missing, 0), known.to(image.dtype)])[None]
    for reach in _REACHES:
        if not missing.any():
            break
        size = 2 * reach + 1
        total, count = avg_pool2d(layers, size, 1, reach)[0]
        filled = missing & (count * size**2 > 0.5)
        means[filled] = total[filled] / count[filled]
        missing &= ~filled
    return means, ~known & ~missing


def filled(image: torch.Tensor, missing: torch.Tensor | None) -> torch.Tensor:
    """Fill pixels with the mean of their neighbours, and with zero far from any.

    Parameters
    ----------
    image : Tensor of float32, shape (H, W)
        Finite, in missing pixels too.
    missing : Tensor of bool, shape (H, W), or None
        None returns the image itself.

    Returns
    -------
    Tensor of float32, shape (H, W)
    """
    if missing is None:
        return image
    return torch.where(missing, local_means(image, ~missing)[0], image)
