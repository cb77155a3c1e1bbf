import numpy as np
import pytest
import torch

from napari_periodic_denoise.noise.fitting.sample import sample_gradient
from napari_periodic_denoise.noise.fitting.tones import (
    Screen,
    choose_screen,
    fit_screen,
    sites_of,
    span_of,
    subtract_screen,
)
from napari_periodic_denoise.noise.statistics.features import gradient
from napari_periodic_denoise.noise.waves.frequency import distances
from napari_periodic_denoise.noise.waves.synthesis import smooth_tone, synthesize_screen
from napari_periodic_denoise.runtime.steps import finish

SHAPE = (150, 170)
BASES = np.array([[0.131, 0.128], [0.128, -0.131]])
PERIOD = float(1 / np.hypot(*BASES[0]))


def specimen() -> torch.Tensor:
    """Steps on a slope."""
    y, x = np.indices(SHAPE)
    image = 0.02 * x + 1.5 * (y > 70) - 1.0 * (x > 90)
    return torch.from_numpy(image.astype(np.float32))


def printed(order: tuple[int, int] = (2, 3)) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """An image with a screen, the screen, and a tone that both have."""
    rng = np.random.default_rng(0)
    tone = smooth_tone(specimen(), PERIOD)
    sites = sites_of(BASES, order[0], SHAPE)
    size = len(sites), order[1]
    coefficients = 0.2 * (rng.normal(size=size) + 1j * rng.normal(size=size))
    span = float(tone.quantile(0.01)), float(tone.quantile(0.99))
    noise = synthesize_screen(specimen(), Screen(BASES, sites, coefficients, span).waves(tone))
    return specimen() + noise, noise, tone


def test_a_screen_is_recovered_from_bases_that_are_a_little_off():
    image, noise, tone = printed()
    sample = sample_gradient(image, 10**6, 0, 1e-3)
    screen = fit_screen(sample, tone, BASES + 0.05 / np.array(SHAPE), (2, 3))
    found = synthesize_screen(specimen(), screen.waves(tone))
    assert float((found - noise).std()) < 0.02 * float(noise.std())
    np.testing.assert_allclose(screen.bases, BASES, atol=2e-5)


def test_the_fit_and_the_result_are_the_same_screen():
    image, _, tone = printed()
    sample = sample_gradient(image, 10**6, 0, 1e-3)
    screen = fit_screen(sample, tone, BASES, (2, 3))
    left = gradient(image - synthesize_screen(specimen(), screen.waves(tone)))
    torch.testing.assert_close(
        subtract_screen(sample, screen, tone),
        left[:, sample.rows][:, :, sample.columns],
        atol=2e-4,
        rtol=0,
    )


def test_amplitudes_are_root_mean_squares_over_the_image():
    _, noise, tone = printed()
    sample = sample_gradient(specimen() + noise, 10**6, 0, 1e-3)
    waves = fit_screen(sample, tone, BASES, (2, 3)).waves(tone)
    power = sum(wave.amplitude**2 / 2 for wave in waves)
    assert power == pytest.approx(float(noise.var()), rel=0.05)


@pytest.mark.parametrize("order", [(2, 3), (3, 4)])
def test_the_order_with_the_shortest_description_is_chosen(order):
    image, _, tone = printed(order)
    image = image + 0.05 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    sample = sample_gradient(image, 10**6, 0, 1e-3)
    assert finish(choose_screen(sample, tone, BASES)).order == order


def test_sites_are_different_waves():
    # some multiples of a short period are aliases of others, or of the mean
    for bases in (BASES, np.array([[0.25, 0.25], [0.25, -0.25]])):
        sites = sites_of(bases, 3, SHAPE)
        assert np.abs(sites).sum(1).max() <= 3
        apart = distances(sites @ bases, SHAPE)
        assert (apart[np.triu_indices(len(sites), 1)] > 1).all()
    assert len(sites_of(BASES, 3, SHAPE)) == 12


def test_one_tone_has_no_span():
    flat = torch.ones(SHAPE)
    darkest, brightest = span_of(sample_gradient(flat, 10**6, 0, 1e-3), flat)
    assert darkest == brightest
