import numpy as np
import pytest
import torch

from napari_periodic_denoise.noise.statistics.features import edges
from napari_periodic_denoise.noise.statistics.local_frequency import follow, split

SHAPE = (256, 320)
CENTRE = (128, 1000)  # of circles, to the right of the image


def circles(period: float) -> torch.Tensor:
    y, x = np.indices(SHAPE)
    distance = np.hypot(y - CENTRE[0], x - CENTRE[1])
    return torch.from_numpy(np.cos(2 * np.pi * distance / period)).float()


def white(seed: int = 0) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def test_the_frequency_of_circles_is_followed_all_over_the_image():
    features = edges(circles(9) + 0.5 * white())
    local = follow(features, (0.0, -1 / 9))
    assert local is not None
    assert local.share == 1
    y, x = np.meshgrid(local.parts.y, local.parts.x, indexing="ij")
    away = np.stack([y - CENTRE[0], x - CENTRE[1]], -1)
    expected = away / np.linalg.norm(away, axis=-1, keepdims=True) / 9
    assert np.abs(local.frequencies - expected).max() < 0.3 / local.parts.side


def test_random_noise_is_hardly_followed():
    local = follow(edges(white()), (0.0, 1 / 9))
    assert local is not None
    assert local.share < 0.2
    assert local.clumped == pytest.approx(1 - np.cos(2 * np.pi / 9), rel=0.25)


def test_parts_without_pixels_are_not_able_to_show_a_wave():
    features = edges(circles(9))
    features[:, :, 160:] = 0
    local = follow(features, (0.0, -1 / 9))
    assert local is not None
    assert not local.able[:, local.parts.x > 200].any()
    assert local.share == 1


def test_parts_have_several_periods_and_a_small_image_none():
    features = edges(white())
    assert split(features, 8).side == 64
    assert split(features, 25).side == 100
    assert split(features, 60) is None
    assert follow(features, (0.0, 1 / 60)) is None


def test_the_level_is_the_mean_power_of_random_noise():
    parts = split(white()[None], 8)
    assert parts.level((0.1, 0.1)).mean() == pytest.approx(parts.power.mean(), rel=0.1)
    assert parts.power.mean() == pytest.approx(64**2, rel=0.1)
