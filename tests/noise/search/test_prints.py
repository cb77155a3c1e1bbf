"""Dots that follow the tone are removed in all tones; other lattices stay what they were."""

import json

import numpy as np
import pytest
import scipy.ndimage

from benchmarks.families import bundled, corrupt, rejection, square_grid
from benchmarks.lines import dots
from napari_periodic_denoise import estimate_noise, select_waves
from napari_periodic_denoise.noise.search import find
from napari_periodic_denoise.records.record import record

SHAPE = (224, 256)


def specimen() -> np.ndarray:
    """Discs on a slope, in all tones."""
    rng = np.random.default_rng(0)
    y, x = np.indices(SHAPE)
    image = x / SHAPE[1]
    for _ in range(12):
        cy, cx, radius = rng.uniform(0, 224), rng.uniform(0, 256), rng.uniform(10, 25)
        image[np.hypot(y - cy, x - cx) < radius] = rng.uniform(0, 1)
    return image


@pytest.fixture(scope="module")
def screen():
    return dots(np.random.default_rng(4), specimen())


@pytest.fixture(scope="module")
def image(screen):
    return corrupt(specimen(), screen, np.random.default_rng(1), 0.01)


@pytest.fixture(scope="module")
def estimate(image):
    return estimate_noise(image, remainder="none")


def test_dots_are_removed_in_light_middle_and_dark_tones(screen, estimate):
    tone = scipy.ndimage.gaussian_filter(specimen(), 3)
    for darkest, brightest in ((0.05, 0.3), (0.3, 0.7), (0.7, 0.95)):
        there = (darkest < tone) & (tone < brightest)
        assert rejection(estimate.noise[there], 255 * 0.6 * screen[there]) > 10
    toned = [wave for wave in estimate.waves if wave.tones is not None]
    assert len(toned) == 12
    assert {wave.order for wave in toned} == {(0, 0)}


def test_constant_waves_leave_more(screen, image, estimate, monkeypatch):
    monkeypatch.setattr(find, "follow_tones", lambda channel: iter_of(channel))
    before = estimate_noise(image, remainder="none")
    truth = 255 * 0.6 * screen
    assert rejection(estimate.noise, truth) > rejection(before.noise, truth) + 3


def iter_of(channel):
    """A search that finds nothing."""
    yield from ()
    return channel


def test_each_wave_is_switched_by_itself(image, estimate):
    first, second = estimate.waves[:2]
    without = [
        select_waves(image, estimate, off=off).noise
        for off in ([first.frequency], [second.frequency], [first.frequency, second.frequency])
    ]
    # the tone is that of the image, whatever is removed
    np.testing.assert_allclose(
        estimate.noise - without[0], without[1] - without[2], atol=0.01 * estimate.noise.std()
    )
    every = [wave.frequency for wave in estimate.waves]
    np.testing.assert_array_equal(select_waves(image, estimate, off=every).cleaned, image)


def test_the_record_has_the_tones(estimate):
    found = json.loads(json.dumps(record(estimate)))
    for written, wave in zip(found["waves"], estimate.waves, strict=True):
        if wave.tones is not None:
            assert written["tones"]["period"] == wave.tones.period
            assert "follows the tone" in written["family"]


def test_a_lattice_of_constant_amplitude_stays_as_it_was(monkeypatch):
    rng = np.random.default_rng(0)
    image = corrupt(bundled("camera"), square_grid(rng, bundled("camera")), rng)
    estimate = estimate_noise(image, remainder="none")
    assert len(estimate.waves) > 2
    assert all(wave.tones is None for wave in estimate.waves)
    monkeypatch.setattr(find, "follow_tones", lambda channel: iter_of(channel))
    before = estimate_noise(image, remainder="none")
    np.testing.assert_array_equal(estimate.noise, before.noise)


def test_a_square_crystal_on_a_step_is_no_print():
    y, x = np.indices((256, 256))
    one, other = (
        np.cos(2 * np.pi * (fy * y + fx * x)) for fy, fx in ((0.07, 0.02), (0.02, -0.07))
    )
    # a tenth stronger above the step
    above = x > 120
    atoms = 20 * (1 + 0.1 * above) * (one + other + one * other / 2)
    random = np.random.default_rng(0).normal(0, 3, above.shape)
    image = np.rint(100 + 30 * above + atoms + random).astype(np.uint8)
    estimate = estimate_noise(image, remainder="none")
    assert len(estimate.suggested) == 4
    np.testing.assert_array_equal(estimate.cleaned, image)


def test_a_channel_without_a_screen_stays(image, screen):
    part = np.s_[:128, :160]
    clean = corrupt(specimen(), np.zeros(SHAPE), np.random.default_rng(3), 0.01)[part]
    both = estimate_noise(np.stack([image[part], clean], -1), channel_axis=-1, remainder="none")
    assert any(wave.tones is not None for wave in both.waves)
    assert rejection(both.noise[..., 0], 255 * 0.6 * screen[part]) > 10
    np.testing.assert_array_equal(both.cleaned[..., 1], clean)


def test_signs_of_odd_and_even_pixels_follow_no_tone():
    """As of a colour filter: a lattice of two bases that are both at the Nyquist frequency."""
    image = 255 * bundled("astronaut")[:320, :320]
    image[::2, ::2] *= 0.8
    image[1::2, 1::2] *= 0.7
    estimate = estimate_noise(np.rint(image).astype(np.uint8))
    assert {wave.frequency for wave in estimate.waves} == {(0.5, 0.5), (0.5, 0.0), (0.0, 0.5)}
    assert all(wave.tones is None for wave in estimate.waves)
