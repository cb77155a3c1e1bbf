"""How an image is looked at: what its spectral Gram matrix is taken of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from napari_periodic_denoise.noise.detect import Spectrum, feature_spectrum, window_size
from napari_periodic_denoise.noise.features import clipped, cosines, edges
from napari_periodic_denoise.noise.gram import spectral_power, window_starts
from napari_periodic_denoise.noise.networks import (
    Network,
    feature_maps,
    robust_range,
    to_network,
)

Look = Callable[[torch.Tensor], Spectrum]

MAPS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"edges": edges, "cosines": cosines}


def look_at(features: str, network: Network | None = None) -> Look:
    """Return the function that takes a grey image, shape (H, W), to its spectrum.

    Parameters
    ----------
    features : str
        ``"edges"``, ``"cosines"``, or what the network is called.
    network : Network, optional
        Cut before the first pooling.

    Returns
    -------
    function of Tensor to Spectrum
    """
    if network is not None:
        return partial(_network_spectrum, network)
    maps = MAPS[features]
    return lambda image: feature_spectrum(maps(image))


@torch.no_grad()
def _network_spectrum(network: Network, image: torch.Tensor) -> Spectrum:
    """Spectrum of a network's clipped feature maps, window by window.

    The maps of one window are held at a time: 256 bytes a pixel for a layer of VGG.
    """
    height, width = image.shape
    h, w = window_size(height, width)
    shown = robust_range(image)
    power = image.new_zeros(h, w // 2 + 1)
    corners = [(y, x) for y in window_starts(height, h) for x in window_starts(width, w)]
    for y, x in corners:
        maps = feature_maps(network, to_network(image[y : y + h, x : x + w], shown))
        for channels in maps.values():
            for channel in channels:
                power += spectral_power(clipped(channel[None]))
        del maps, channels, channel
    return Spectrum(power / len(corners), (h, w))
