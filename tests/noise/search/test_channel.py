from dataclasses import replace

import numpy as np
import pytest
import torch

from gradients import SHAPE, specimen, wave
from napari_periodic_denoise import Wave
from napari_periodic_denoise.noise.fitting.gauss_newton import Fit
from napari_periodic_denoise.noise.input import normalize
from napari_periodic_denoise.noise.search.channel import (
    Found,
    channel_model,
    is_separate,
    no_waves,
    refit,
)
from napari_periodic_denoise.noise.waves.synthesis import synthesize

F = (0.11, 0.07)


def model_with(coefficient: complex, shift: float = 0.0):
    image = normalize(specimen() + wave(*F, 1.0))
    fit = Fit(np.array([F]) + shift / SHAPE[0], np.eye(1), np.array([coefficient / image.unit]))
    channel = channel_model(image, 0)
    return image, Found(fit, np.array([1e-6]), np.array([500.0])), channel


def test_a_new_model_has_no_waves_and_leaves_the_image():
    image, _, channel = model_with(1.0)
    assert channel.waves() == []
    assert channel.shape == SHAPE
    torch.testing.assert_close(channel.residual(), image.pixels)
    assert channel.zero * image.unit + image.centre == pytest.approx(0, abs=1e-6)


def test_the_residual_is_the_image_without_added_waves():
    image, found, channel = model_with(1.0)
    channel = replace(channel, found=found)
    (known,) = channel.waves()
    assert (known.false_alarms, known.evidence) == (1e-6, 500)
    expected = (specimen() - image.centre) / image.unit
    np.testing.assert_allclose(channel.residual(), expected, atol=2e-4)
    torch.testing.assert_close(channel.before_constant(), image.pixels)
    gains = replace(channel, found=no_waves(), gains=found, dark=channel.zero)
    assert all(w.dark == channel.zero for w in gains.waves())
    assert not torch.equal(gains.residual(), image.pixels)


def test_refitting_improves_amplitude_and_frequency():
    image, found, channel = model_with(0.8, shift=0.05)
    better = refit(replace(channel, found=found)).found.fit
    assert abs(better.coefficients[0] * image.unit) == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(better.frequencies[0], F, atol=1e-4)
    assert refit(channel) is channel


def test_saturated_pixels_are_not_counted():
    _, _, channel = model_with(1.0)
    mask = torch.zeros(SHAPE, dtype=torch.bool)
    mask[20:40] = True
    maps = torch.ones(2, SHAPE[0] - 1, SHAPE[1] - 1)
    counted = replace(channel, saturated=mask).counted(maps.clone())
    assert not counted[:, 20:40].any()
    assert counted[:, 40:].all()
    assert torch.equal(channel.counted(maps.clone()), maps)


def test_found_waves_are_taken_and_joined():
    _, found, _ = model_with(1.0)
    both = found.join(found)
    assert len(both) == 2
    assert len(both.take(np.array([False, True]))) == 1
    assert len(no_waves().join(found)) == 1
    shape = (20, 30)
    (one,) = found.waves(shape)
    assert synthesize([one], shape).std() > 0


@pytest.mark.parametrize(("cycles", "separate"), [(0.0, False), (1.0, False), (1.5, True)])
def test_a_wave_covers_a_band_around_it(cycles, separate):
    constant = Wave(F, 1.0, 0.0, 0, 0)
    beside = (F[0] + cycles / SHAPE[0], F[1])
    assert is_separate(beside, constant, SHAPE) is separate
    assert is_separate((-beside[0], -beside[1]), constant, SHAPE) is separate
    modulated = Wave(F, 1.0, 0.0, 0, 0, envelope=((1, 1), (1, 1), (1, 1)))
    assert not is_separate(beside, modulated, SHAPE)
