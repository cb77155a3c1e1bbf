"""Noise that is only where there is light."""

import json

import numpy as np
import pytest
import torch

from benchmarks.families import bundled, rejection
from napari_periodic_denoise import estimate_noise, select_waves
from napari_periodic_denoise.noise.input import normalize
from napari_periodic_denoise.noise.unlit import dark_ground, is_dark_without, may_need_light
from napari_periodic_denoise.noise.waves.wave import Rejected
from napari_periodic_denoise.noise.wording import Cause
from napari_periodic_denoise.records.record import record

SIZE = 256


def field_of_view(share: float = 0.34) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    return np.hypot(y, x) < SIZE * np.sqrt(share / np.pi)


def grid() -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE]
    return 9 * (np.cos(2 * np.pi * (0.11 * y + 0.03 * x)) + np.cos(2 * np.pi * (0.1 * x)))


def seen_through(black: float, dtype=np.uint8) -> tuple[np.ndarray, np.ndarray]:
    """A noisy image that is black around a round field of view, and the noise."""
    inside, random = field_of_view(), np.random.default_rng(0).normal(0, 2.5, (SIZE, SIZE))
    image = np.where(inside, 50 + 150 * bundled("moon", SIZE) + grid(), black) + random
    return np.clip(np.rint(image), 0, 255).astype(dtype), grid() * inside


@pytest.mark.parametrize(("black", "dtype"), [(0, np.uint8), (20, np.uint8), (7, np.float32)])
def test_a_grid_in_a_round_field_of_view_is_removed(black, dtype):
    image, noise = seen_through(black, dtype)
    estimate = estimate_noise(image)
    assert rejection(estimate.noise, noise) > 20
    outside = ~field_of_view(0.38)
    np.testing.assert_array_equal(estimate.cleaned[outside], image[outside])
    assert json.loads(json.dumps(record(estimate)))["lit_only"]
    assert estimate.settings["protect"] is None


def test_waves_are_switched_off_where_there_is_light_only():
    image, noise = seen_through(20)
    estimate = estimate_noise(image)
    off = estimate.waves[0].frequency
    fewer = select_waves(image, estimate, off=[off])
    assert not fewer.noise[0, 0]
    assert 0 < rejection(fewer.noise, noise) < 5
    back = select_waves(image, fewer, off=[], on=[off])
    np.testing.assert_allclose(back.noise, estimate.noise, atol=1e-3)


def test_a_wave_over_all_of_a_dark_image_is_removed_from_all_of_it():
    inside = field_of_view()
    noise = grid()
    image = 40.0 + np.where(inside, 150 * bundled("moon", SIZE), 0) + noise
    image += np.random.default_rng(0).normal(0, 2.5, image.shape)
    estimate = estimate_noise(np.rint(image))
    assert not estimate.lit_only
    assert rejection(estimate.noise, noise) > 25


def test_the_ground_is_what_is_dark_in_all_channels():
    image, _ = seen_through(20)
    ground = dark_ground([normalize(image)])
    assert float((ground.numpy() == ~field_of_view()).mean()) > 0.995
    assert dark_ground([normalize(image), normalize(image[::-1, ::-1])]) is not None
    bright = normalize(np.rint(50 + 150 * bundled("moon", SIZE)))
    assert dark_ground([normalize(image), bright]) is None


@pytest.mark.parametrize("share", [0.05, 1.2])
def test_little_darkness_and_little_light_are_no_ground(share):
    image = np.where(field_of_view(share), 100.0, 10.0)
    image += np.random.default_rng(0).normal(0, 2, image.shape)
    assert dark_ground([normalize(image)]) is None


def test_a_shade_is_no_ground():
    y, x = np.mgrid[:SIZE, :SIZE]
    image = 10 + 200 * np.exp(-np.hypot(y - 128, x - 128) / 60)
    assert dark_ground([normalize(np.rint(image))]) is None


def test_noise_that_the_ground_shows_is_everywhere():
    dark = torch.from_numpy(~field_of_view())
    pattern = torch.from_numpy(grid()).float()
    assert is_dark_without(dark, [normalize(np.where(dark, 20, 100 + grid()))], [pattern])
    image = normalize(20 + grid() + 100.0 * field_of_view())
    assert not is_dark_without(dark, [image], [pattern / image.unit])


@pytest.mark.parametrize(
    ("cause", "alarms", "may"),
    [
        (Cause.FEW_PARTS, 1e-30, True),
        (Cause.PARTS_DISAGREE, 1e-30, True),
        (Cause.FEW_PARTS, 1e-10, False),
        (Cause.INCOMPLETE, 1e-30, False),
    ],
)
def test_only_certain_peaks_are_searched_again(cause, alarms, may):
    assert may_need_light([Rejected((0.1, 0.1), alarms, cause)]) is may
