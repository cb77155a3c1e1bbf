"""How an image is looked at: what its spectral Gram matrix is taken of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch.nn.functional import max_pool2d

from napari_periodic_denoise.noise.robust import robust_range
from napari_periodic_denoise.noise.statistics.features import (
    clipped,
    cosines,
    edges,
    without_saturated,
)
from napari_periodic_denoise.noise.statistics.gram import spectral_power, window_starts
from napari_periodic_denoise.noise.statistics.networks import Network, feature_maps, to_network
from napari_periodic_denoise.noise.statistics.peaks import Spectrum, feature_spectrum, window_size

# an image, shape (H, W), and which of its pixels are at its limits, where there are such
FeatureExtractor = Callable[[torch.Tensor, torch.Tensor | None], Spectrum]

MAPS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"edges": edges, "cosines": cosines}


def feature_extractor(features: str, network: Network | None = None) -> FeatureExtractor:
    """Return the function that takes a grey image to its spectrum.

    Parameters
    ----------
    features : str
        ``"edges"``, ``"cosines"``, or what the network is called.
    network : Network, optional
        Cut before the first pooling.

    Returns
    -------
    function of Tensor and Tensor or None to Spectrum
        Features that see a pixel at the image's limits are left out: it does not have the
        noise, and would show it where it is taken away.
    """
    if network is not None:
        return partial(_by_network, network)
    return {"edges": _by_edges, "cosines": _by_cosines}[features]


def _by_edges(image: torch.Tensor, saturated: torch.Tensor | None) -> Spectrum:
    return feature_spectrum(without_saturated(edges(image), saturated))


def _by_cosines(image: torch.Tensor, saturated: torch.Tensor | None) -> Spectrum:
    maps = cosines(image)
    if saturated is not None:
        maps.masked_fill_(_near(saturated, 1)[1:-1, 1:-1], 0)
    return feature_spectrum(maps)


@torch.no_grad()
def _by_network(network: Network, image: torch.Tensor, saturated: torch.Tensor | None) -> Spectrum:
    """Spectrum of a network's clipped feature maps, window by window.

    The maps of one window are held at a time: 256 bytes a pixel for a layer of VGG.
    """
    height, width = image.shape
    h, w = window_size(height, width)
    shown = robust_range(image)
    seen = None if saturated is None else ~_near(saturated, network.reach)
    power = image.new_zeros(h, w // 2 + 1)
    corners = [(y, x) for y in window_starts(height, h) for x in window_starts(width, w)]
    for y, x in corners:
        window = slice(y, y + h), slice(x, x + w)
        maps = feature_maps(network, to_network(image[window], shown))
        for channels in maps.values():
            for channel in channels:
                part = clipped(channel[None])
                power += spectral_power(part if seen is None else part * seen[window])
        del maps, channels, channel
    return Spectrum(power / len(corners), (h, w))


def _near(pixels: torch.Tensor, reach: int) -> torch.Tensor:
    """Pixels within so many of others, both ways; shape (H, W)."""
    around = max_pool2d(pixels[None, None].float(), 2 * reach + 1, 1, reach)
    return around[0, 0] > 0
