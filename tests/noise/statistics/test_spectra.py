import numpy as np
import pytest
import torch

from napari_periodic_denoise.noise.robust import robust_range
from napari_periodic_denoise.noise.statistics.features import clipped, edges
from napari_periodic_denoise.noise.statistics.gram import spectral_power
from napari_periodic_denoise.noise.statistics.networks import (
    feature_maps,
    load_network,
    to_network,
)
from napari_periodic_denoise.noise.statistics.peaks import find_candidates, find_peaks
from napari_periodic_denoise.noise.statistics.spectra import feature_extractor


def noisy(h: int, w: int) -> torch.Tensor:
    y, x = np.mgrid[:h, :w]
    white = torch.randn(h, w, generator=torch.Generator().manual_seed(0))
    return white + torch.from_numpy(0.5 * np.cos(2 * np.pi * (0.11 * y + 0.07 * x) + 1)).float()


def test_edges_are_looked_at_as_a_whole():
    image = noisy(100, 120)
    peaks = find_peaks(feature_extractor("edges")(image, None), sensitivity=1e-3)
    assert peaks == find_candidates(edges(image), sensitivity=1e-3)


@pytest.mark.parametrize("features", ["edges", "cosines", "vgg16"])
@pytest.mark.parametrize("shape", [(128, 150), (60, 1500)])
def test_a_wave_is_the_strongest_peak(features, shape):
    network = load_network("vgg16", ["conv1_2"], weights="random") if "vgg" in features else None
    first, *_ = find_peaks(
        feature_extractor(features, network)(noisy(*shape), None), sensitivity=1e-3
    )
    assert first.frequency == pytest.approx((0.11, 0.07), abs=4e-3)


def test_the_spectrum_is_that_of_the_clipped_maps_of_all_layers():
    network = load_network("vgg16", ["conv1_1", "conv1_2"], weights="random")
    image = noisy(64, 72)
    seen = feature_extractor("vgg16", network)(image, None)
    maps = feature_maps(network, to_network(image, robust_range(image)))
    expected = sum(spectral_power(clipped(features)) for features in maps.values())
    assert seen.window == (64, 72)
    torch.testing.assert_close(seen.power, expected)


@pytest.mark.parametrize("features", ["edges", "cosines", "vgg16"])
def test_pixels_at_the_limits_are_not_seen(features):
    network = load_network("vgg16", ["conv1_2"], weights="random") if "vgg" in features else None
    extract = feature_extractor(features, network)
    image = noisy(96, 100)
    saturated = torch.zeros(image.shape, dtype=torch.bool)
    saturated[20:40, 30:70] = True
    # between the others, so that what is clipped at, and seen as black and white, stays the same
    image[saturated] = 0.1
    other = image.clone()
    other[25, 45] = 0.11
    torch.testing.assert_close(
        extract(image, saturated).power, extract(other, saturated).power, rtol=1e-3, atol=1e-9
    )
    assert not torch.allclose(
        extract(image, saturated).power, extract(image, None).power, rtol=1e-3
    )
