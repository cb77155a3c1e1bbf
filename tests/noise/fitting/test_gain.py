import math

import numpy as np
import pytest
import skimage.data
import torch

from napari_periodic_denoise.noise.fitting.gain import GainFit, fit_gain
from napari_periodic_denoise.noise.fitting.gauss_newton import Fit
from napari_periodic_denoise.noise.fitting.sample import sample_gradient
from napari_periodic_denoise.noise.fitting.schedule import Schedule
from napari_periodic_denoise.noise.waves.synthesis import divide_by_gain, render_noise, synthesize
from napari_periodic_denoise.noise.waves.wave import Wave

SHAPE = (180, 220)
FREQUENCY = np.array([[0.06, 0.083]])
WAVE = Wave((0.06, 0.083), 0.25, 0.7, 0.0, 0.0, dark=12.0)


def specimen() -> torch.Tensor:
    image = skimage.data.camera()[100 : 100 + SHAPE[0], 120 : 120 + SHAPE[1]]
    return torch.from_numpy(image.astype(np.float32)) + 50


def multiplied(clean: torch.Tensor) -> torch.Tensor:
    return 12 + (clean - 12) * (1 + synthesize([WAVE], SHAPE))


def test_flattening_undoes_the_multiplication():
    image = multiplied(specimen())
    torch.testing.assert_close(divide_by_gain(image, [WAVE]), specimen(), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(
        render_noise(image, [WAVE]), image - specimen(), rtol=1e-3, atol=2e-3
    )
    assert divide_by_gain(image, []) is image


def test_noise_that_is_added_and_multiplied():
    added = Wave((0.2, -0.1), 3.0, 0.0, 0.0, 0.0)
    image = multiplied(specimen() + synthesize([added], SHAPE))
    torch.testing.assert_close(
        image - render_noise(image, [WAVE, added]), specimen(), rtol=1e-4, atol=2e-3
    )


@pytest.mark.parametrize("sigma", [0.0, 5.0])
def test_amplitude_phase_and_dark_level_are_recovered(sigma):
    rng = np.random.default_rng(0)
    image = multiplied(specimen()) + torch.from_numpy(rng.normal(0, sigma, SHAPE)).float()
    sample = sample_gradient(image, 10**6, 0, 0.1)
    off = Fit(FREQUENCY + 0.1 / np.array(SHAPE), np.eye(1), np.array([0.1j]))
    fit = GainFit(off, 0.0, math.inf)
    clean = image
    for schedule in (Schedule(3.0, 8), Schedule(0.5, 4), Schedule(0.5, 4)):
        *_, fit = fit_gain(image, clean, sample, fit, schedule)
        wave = Wave(
            tuple(fit.waves.frequencies[0]),
            float(abs(fit.waves.coefficients[0])),
            float(np.angle(fit.waves.coefficients[0] * np.exp(-2j * np.pi * turns(fit)))),
            0.0,
            0.0,
            dark=fit.dark,
        )
        clean = divide_by_gain(image, [wave])
    # noise in the image must not pull the amplitude towards zero
    assert wave.amplitude == pytest.approx(0.25, abs=0.002 + 0.002 * sigma)
    assert wave.phase == pytest.approx(0.7, abs=0.05)
    assert fit.dark == pytest.approx(12, abs=3 + sigma)


def turns(fit: GainFit) -> float:
    return float(fit.waves.frequencies[0] @ ((np.array(SHAPE) - 1) / 2))
