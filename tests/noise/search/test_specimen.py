from dataclasses import replace

import numpy as np
import pytest
import torch

from gradients import SHAPE, specimen, wave
from napari_periodic_denoise.noise.fitting.gauss_newton import Fit
from napari_periodic_denoise.noise.input import normalize
from napari_periodic_denoise.noise.search.channel import ChannelModel, Found, channel_model
from napari_periodic_denoise.noise.search.specimen import (
    reject_incomplete,
    reject_outside_exemplar,
)
from napari_periodic_denoise.noise.wording import Cause
from napari_periodic_denoise.runtime.steps import finish

F = (0.11, 0.07)
RANDOM = np.random.default_rng(0).normal(0, 0.3, SHAPE)


def model(image: np.ndarray, amplitude: float, exemplar=None) -> ChannelModel:
    """A channel with one wave of a given amplitude in its model."""
    normalized = normalize(image)
    fit = Fit(np.array([F]), np.eye(1), np.array([amplitude / normalized.unit + 0j]))
    found = Found(fit, np.array([1e-6]), np.array([500.0]))
    return replace(channel_model(normalized, 0, exemplar), found=found)


def test_noise_that_is_gone_after_subtraction_stays_in_the_model():
    channel = model(specimen() + RANDOM + wave(*F, 1.0), 1.0)
    assert finish(reject_incomplete(channel)) is channel


def test_a_wave_that_leaves_much_behind_is_the_specimens():
    # the phase of the pattern jumps, so a constant wave removes a part of it only
    x = np.arange(SHAPE[1])
    pattern = np.where((x // 57) % 2, 1, -0.4) * wave(*F, 2.0)
    channel = finish(reject_incomplete(model(specimen() + RANDOM + pattern, 0.6)))
    assert channel.waves() == []
    (peak,) = channel.rejected
    assert peak.cause is Cause.INCOMPLETE
    assert peak.frequency == pytest.approx(F)
    assert peak.required < peak.measured <= 1
    assert finish(reject_incomplete(channel)) is channel  # nothing more to reject


def exemplar() -> torch.Tensor:
    mask = torch.zeros(SHAPE, dtype=torch.bool)
    mask[:60, :60] = True
    return mask


def test_a_wave_that_the_exemplar_does_not_show_is_the_specimens():
    image = RANDOM + wave(*F, 1.0)
    channel = model(image, 1.0, exemplar())
    assert len(finish(reject_outside_exemplar(channel)).waves()) == 1
    image = np.where(exemplar(), RANDOM, image)
    channel = finish(reject_outside_exemplar(model(image, 1.0, exemplar())))
    assert channel.waves() == []
    (peak,) = channel.rejected
    assert peak.cause is Cause.OUTSIDE_EXEMPLAR
    assert peak.measured < 0.2 < peak.required


def test_without_an_exemplar_all_waves_stay():
    channel = model(RANDOM + wave(*F, 1.0), 1.0)
    assert finish(reject_outside_exemplar(channel)) is channel
