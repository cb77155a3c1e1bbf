"""Fringes that bend are found as one wave with an envelope; textures and crystals are not."""

import numpy as np
import pytest
import scipy.ndimage

from benchmarks.families import corrupt, rejection
from benchmarks.lines import curved_fringes
from napari_periodic_denoise import estimate_noise, select_waves

SHAPE = (320, 288)


def specimen() -> np.ndarray:
    """Discs of several intensities, from 0 to 1."""
    rng = np.random.default_rng(0)
    y, x = np.indices(SHAPE)
    image = np.full(SHAPE, 0.3)
    for _ in range(12):
        cy, cx, radius = rng.uniform(0, 320), rng.uniform(0, 288), rng.uniform(10, 40)
        image[np.hypot(y - cy, x - cx) < radius] = rng.uniform(0, 1)
    return image


@pytest.mark.parametrize("seed", range(3))
def test_fringes_that_bend_are_one_wave(seed):
    rng = np.random.default_rng(seed)
    noise = curved_fringes(rng, specimen())
    image = corrupt(specimen(), noise, rng, 0.01)
    estimate = estimate_noise(image, remainder="none")
    assert rejection(estimate.noise, 255 * 0.6 * noise) > 15
    (wave,) = estimate.waves
    assert wave.envelope is not None
    kept = select_waves(image, estimate, off=[wave.frequency])
    np.testing.assert_array_equal(kept.cleaned, image)


def test_a_texture_of_a_preferred_period_stays():
    rng = np.random.default_rng(0)
    y, x = np.indices(SHAPE)
    smooth = [scipy.ndimage.gaussian_filter(rng.normal(size=SHAPE), 16) for _ in range(2)]
    phase = 2 * np.pi * (0.09 * y + 0.04 * x)
    texture = smooth[0] * np.cos(phase) + smooth[1] * np.sin(phase)
    image = corrupt(specimen(), 0.1 * texture / texture.std(), rng, 0.01)
    estimate = estimate_noise(image, remainder="none")
    assert not estimate.noise.any()


def test_a_crystal_that_bends_stays():
    rng = np.random.default_rng(0)
    y, x = np.indices(SHAPE)
    bent = x + 0.0008 * (y - 160) ** 2, y + 0.0008 * (x - 140) ** 2
    atoms = sum(
        np.cos(2 * np.pi * (fy * bent[1] + fx * bent[0]))
        for fy, fx in ((0.08, 0.02), (0.0227, -0.0793), (0.1027, -0.0593))
    )
    image = corrupt(specimen(), 0.06 * atoms, rng, 0.01)
    estimate = estimate_noise(image, remainder="none")
    assert not estimate.noise.any()
