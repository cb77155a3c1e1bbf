import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_periodic_denoise.noise.fitting.envelope import _factors, choose_envelope, fit_envelope
from napari_periodic_denoise.noise.fitting.evidence import description_length
from napari_periodic_denoise.noise.fitting.sample import GradientSample, sample_gradient
from napari_periodic_denoise.noise.waves.synthesis import synthesize
from napari_periodic_denoise.noise.waves.wave import wave_at_centre

SHAPE = (150, 190)
FREQUENCY = np.array([0.11, -0.07])


def noise(coefficients: np.ndarray) -> torch.Tensor:
    wave = wave_at_centre(FREQUENCY, coefficients, SHAPE, false_alarms=0, evidence=0)
    return synthesize([wave], SHAPE)


def specimen() -> torch.Tensor:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return torch.from_numpy(5.0 * (np.hypot(y - 70, x - 90) < 40)).float()


def sample(image: torch.Tensor) -> GradientSample:
    return sample_gradient(image, 10**6, 0, 1e-5)


def random(seed: int, *shape: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def chosen(image: torch.Tensor, coefficient: complex, description: float):
    tries = choose_envelope(sample(image), FREQUENCY, coefficient, description)
    orders = []
    while True:
        try:
            orders.append(next(tries))
        except StopIteration as end:
            return end.value, orders


@given(st.integers(0, 99), st.integers(0, 4), st.integers(0, 4))
def test_the_gradient_of_the_factors_is_that_of_the_wave(seed, j, k):
    coefficients = random(seed, j + 1, k + 1)
    taken = sample(noise(coefficients))
    parts = torch.from_numpy(np.stack([coefficients.real, coefficients.imag])).float()
    gradient = _factors(taken, FREQUENCY, (j, k)).gradient(parts)
    torch.testing.assert_close(gradient, taken.gradient, atol=2e-5, rtol=1e-4)


@given(st.integers(0, 99), st.integers(0, 3), st.integers(0, 3))
def test_the_transpose_is_one(seed, j, k):
    taken = sample(specimen())
    factors = _factors(taken, FREQUENCY, (j, k))
    generator = torch.Generator().manual_seed(seed)
    coefficients = torch.randn(2, j + 1, k + 1, generator=generator)
    gradient = torch.randn(taken.gradient.shape, generator=generator)
    one = float((factors.gradient(coefficients) * gradient).sum())
    other = float((coefficients * factors.transpose(gradient)).sum())
    assert one == pytest.approx(other, abs=0.05)


def test_a_known_envelope_is_recovered_under_a_specimen():
    coefficients = random(3, 3, 4)
    fit = fit_envelope(sample(specimen() + noise(coefficients)), FREQUENCY, (2, 3), [[0]])
    np.testing.assert_allclose(fit.coefficients, coefficients, atol=5e-3)


def test_the_order_that_is_needed_is_chosen():
    coefficients = np.zeros((9, 1), complex)
    coefficients[[0, 8], 0] = 1, 0.5
    image = specimen() + noise(coefficients) + 0.1 * torch.randn(SHAPE)
    fit, orders = chosen(image, 1.0, np.inf)
    assert fit.coefficients.shape == (9, 1)
    assert orders[0] == (2, 2)
    np.testing.assert_allclose(fit.coefficients[[0, 8], 0], [1, 0.5], atol=0.02)


def test_a_constant_wave_needs_none():
    image = specimen() + noise(np.array([[1.0]])) + 0.1 * torch.randn(SHAPE)
    rest = sample(image - noise(np.array([[1.0]])))
    fit, _ = chosen(image, 1.0, description_length(rest, rest.gradient, 4))
    assert fit is None


def test_a_small_image_has_no_room_for_fast_envelopes():
    small = sample_gradient(torch.randn(40, 30), 10**6, 0, 1e-5)
    # an order above 5 would be as quick as the carrier, or have too few pixels
    for alias in (FREQUENCY, np.add(FREQUENCY, [1.0, -2.0])):
        tries = list(choose_envelope(small, alias, 1.0, -np.inf))
        assert tries
        assert all(max(order) <= 5 for order in tries)
