"""Feature extractors for the spectral Gram matrix."""

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

#: Takes an image, shape (H, W), and the mask of its saturated pixels, if there are any.
FeatureExtractor = Callable[[torch.Tensor, torch.Tensor | None], Spectrum]

#: Feature maps of an image without a network, by name.
MAPS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"edges": edges, "cosines": cosines}


def feature_extractor(features: str, network: Network | None = None) -> FeatureExtractor:
    """Return the function that computes the spectrum of a grey image.

    Parameters
    ----------
    features : str
        ``"edges"``, ``"cosines"``, or the name of the network.
    network : Network, optional
        Network that is cut before the first pooling.

    Returns
    -------
    function of Tensor and Tensor or None to Spectrum
        It sets features of saturated pixels to zero. These pixels do not have the noise.
    """
    if network is not None:
        return partial(_by_network, network)
    return {"edges": _by_edges, "cosines": _by_cosines}[features]


def _by_edges(image: torch.Tensor, saturated: torch.Tensor | None) -> Spectrum:
    """Spectrum of clipped differences."""
    return feature_spectrum(without_saturated(edges(image), saturated))


def _by_cosines(image: torch.Tensor, saturated: torch.Tensor | None) -> Spectrum:
    """Spectrum of clipped cosine patterns."""
    maps = cosines(image)
    if saturated is not None:
        maps.masked_fill_(_near(saturated, 1)[1:-1, 1:-1], 0)
    return feature_spectrum(maps)


@torch.no_grad()
def _by_network(network: Network, image: torch.Tensor, saturated: torch.Tensor | None) -> Spectrum:
    """Spectrum of a network's clipped feature maps, window by window.

    Memory holds the maps of one window: 256 bytes per pixel for a layer of VGG.
    """
    height, width = image.shape
    h, w = window_size(height, width)
    span = robust_range(image)
    valid = None if saturated is None else ~_near(saturated, network.reach)
    power = image.new_zeros(h, w // 2 + 1)
    corners = [(y, x) for y in window_starts(height, h) for x in window_starts(width, w)]
    for y, x in corners:
        window = slice(y, y + h), slice(x, x + w)
        maps = feature_maps(network, to_network(image[window], span))
        for channels in maps.values():
            for channel in channels:
                part = clipped(channel[None])
                power += spectral_power(part if valid is None else part * valid[window])
        del maps, channels, channel
    return Spectrum(power / len(corners), (h, w))


def _near(pixels: torch.Tensor, reach: int) -> torch.Tensor:
    """Pixels within ``reach`` of marked ones along both axes, shape (H, W)."""
    around = max_pool2d(pixels[None, None].float(), 2 * reach + 1, 1, reach)
    return around[0, 0] > 0
