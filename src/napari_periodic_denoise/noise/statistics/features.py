"""Feature maps for the Gram statistics: differences, cosine patterns, clipping."""

from __future__ import annotations

import torch

from napari_periodic_denoise.noise.robust import robust_scale

_MIN_SCALE = 1e-3  # minimum scale, relative to the other direction; above float32 rounding


def gradient(image: torch.Tensor) -> torch.Tensor:
    """First differences of an image along both axes.

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


def edges(image: torch.Tensor, like: torch.Tensor | None = None) -> torch.Tensor:
    """First differences, clipped at one robust standard deviation and in units of it.

    The edges of a specimen are few large differences; noise is many small ones. Clipping
    therefore shows noise in the spectrum that the plain spectrum hides.

    Parameters
    ----------
    image : Tensor of float32, shape (H, W)
    like : Tensor of float32, shape (H, W), optional
        Image whose standard deviations are used, so that two images can be compared.

    Returns
    -------
    Tensor of float32, shape (2, H − 1, W − 1)
        Values in [−1, 1].
    """
    maps = gradient(image)
    scales = [robust_scale(measured) for measured in (maps if like is None else gradient(like))]
    # a wave along one axis leaves only rounding errors along the other
    smallest = _MIN_SCALE * max(scales)
    if smallest > 0:
        for channel, scale in zip(maps, scales, strict=True):
            channel.div_(max(scale, smallest)).clamp_(-1, 1)
    return maps


def without_saturated(maps: torch.Tensor, saturated: torch.Tensor | None) -> torch.Tensor:
    """Set differences of saturated pixels to zero, in place.

    Parameters
    ----------
    maps : Tensor of float32, shape (2, H − 1, W − 1)
        Differences from `gradient` or `edges`.
    saturated : Tensor of bool, shape (H, W), or None
        See `input.Normalized`.

    Returns
    -------
    Tensor of float32, same shape
    """
    if saturated is None:
        return maps
    here = saturated[:-1, :-1]
    along_y, along_x = here | saturated[1:, :-1], here | saturated[:-1, 1:]
    return maps.masked_fill_(torch.stack([along_y, along_x]), 0)


def cosines(image: torch.Tensor) -> torch.Tensor:
    """Products of 3×3 neighbourhoods with the eight cosine patterns that are not constant.

    They are clipped like `edges`. This larger filter bank finds waves about a tenth weaker under
    random noise, at four times the cost (benchmarks.detection).

    Parameters
    ----------
    image : Tensor of float32, shape (H, W)

    Returns
    -------
    Tensor of float32, shape (8, H − 2, W − 2)
        Values in [−1, 1].
    """
    banks = [bank for rows in _three_cosines(image) for bank in _three_cosines(rows.T)]
    return clipped(torch.stack([bank.T for bank in banks[1:]]))


def _three_cosines(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Products of three rows with ``(1, 1, 1)``, ``(−1, 0, 1)`` and ``(1, −2, 1)``.

    The order of the sums makes the last two exactly zero where pixels are equal. Clipping would
    amplify rounding errors.
    """
    above, here, below = image[:-2], image[1:-1], image[2:]
    return above + here + below, below - above, (above - here) + (below - here)


def clipped(maps: torch.Tensor, deviations: float = 1.0) -> torch.Tensor:
    """Feature maps about their medians, clipped at a multiple of their robust deviations.

    Parameters
    ----------
    maps : Tensor of float32, shape (C, H, W)
        Feature maps, for example from `networks.feature_maps`.
    deviations : float
        Clipping level in robust standard deviations. It becomes the unit of the result.

    Returns
    -------
    Tensor of float32, shape (C, H, W)
        Values in [−1, 1]. A constant map becomes zero.
    """
    result = []
    for channel in maps:
        centred = channel - channel.median()
        scale = deviations * robust_scale(centred)
        result.append((centred / scale).clamp_(-1, 1) if scale > 0 else centred)
    return torch.stack(result)
