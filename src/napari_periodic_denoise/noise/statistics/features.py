"""Maps of an image that the Gram statistics are taken of."""

from __future__ import annotations

import torch

from napari_periodic_denoise.noise.robust import robust_scale

_LEAST = 1e-3  # of the deviations in one direction, those that the other is taken to have


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


def edges(image: torch.Tensor, like: torch.Tensor | None = None) -> torch.Tensor:
    """First differences, each clipped at one robust standard deviation, in units of it.

    A specimen's edges are a few large differences, noise is many small ones: clipped, the
    spectrum shows noise that the plain spectrum hides.

    Parameters
    ----------
    image : Tensor of float32, shape (H, W)
    like : Tensor of float32, shape (H, W), optional
        Another image, by whose deviations to clip, so that both can be compared.

    Returns
    -------
    Tensor of float32, shape (2, H − 1, W − 1)
        Values in [−1, 1].
    """
    maps = gradient(image)
    scales = [robust_scale(measured) for measured in (maps if like is None else gradient(like))]
    # where nothing changes along a wave's crests, what rounding makes of it is no edge
    least = _LEAST * max(scales)
    if least > 0:
        for channel, scale in zip(maps, scales, strict=True):
            channel.div_(max(scale, least)).clamp_(-1, 1)
    return maps


def without_saturated(maps: torch.Tensor, saturated: torch.Tensor | None) -> torch.Tensor:
    """Differences without those of pixels at an image's limits, in place.

    Parameters
    ----------
    maps : Tensor of float32, shape (2, H − 1, W − 1)
        Of `gradient` or `edges`.
    saturated : Tensor of bool, shape (H, W), or None
        See `images.Normalized`.

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
    """Products of an image's 3×3 neighbourhoods with all cosine patterns but the constant one.

    Clipped as `edges` are; the larger bank finds a wave under random noise that is about a
    tenth weaker, at four times the cost.

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

    Written so that where pixels are equal the last two are zero, not rounding errors, which
    clipping would make as large as anything.
    """
    above, here, below = image[:-2], image[1:-1], image[2:]
    return above + here + below, below - above, (above - here) + (below - here)


def clipped(maps: torch.Tensor, deviations: float = 1.0) -> torch.Tensor:
    """Feature maps about their medians, clipped at so many robust deviations, in units of it.

    Parameters
    ----------
    maps : Tensor of float32, shape (C, H, W)
        Of `networks.feature_maps`, for example.
    deviations : float

    Returns
    -------
    Tensor of float32, shape (C, H, W)
        Values in [−1, 1]; zero where a map is constant.
    """
    found = []
    for channel in maps:
        about = channel - channel.median()
        scale = deviations * robust_scale(about)
        found.append((about / scale).clamp_(-1, 1) if scale > 0 else about)
    return torch.stack(found)
