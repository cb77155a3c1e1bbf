import numpy as np
import pytest
import torch

from gradients import SHAPE, specimen, tensor, wave
from napari_periodic_denoise.noise.fitting.gauss_newton import Fit, polish_waves
from napari_periodic_denoise.noise.fitting.sample import sample_gradient
from napari_periodic_denoise.noise.fitting.schedule import FINAL
from napari_periodic_denoise.noise.fitting.standard_errors import errors_of, standard_errors

F = (0.11, 0.07)
C = 1.5 - 0.8j
CENTRE = (np.array(SHAPE) - 1) / 2


def fitted(image: np.ndarray, coefficient: complex = C, pixels: int = 50_000):
    """Return the fit of one wave from a start nearby, and its errors."""
    sample = sample_gradient(tensor(image), pixels, 0, 1e-6)
    start = Fit(np.array([F]), np.eye(1), np.array([coefficient]))
    *_, fit = polish_waves(sample, start, FINAL)
    return fit, standard_errors(sample, fit)[0]


def noisy(rng: np.random.Generator, clean: np.ndarray | float = 0.0) -> np.ndarray:
    return clean + wave(*F, C) + rng.normal(0, 1, SHAPE)


def deviations(fit: Fit, error: np.ndarray) -> np.ndarray:
    """Deviations from the truth in standard errors."""
    turn = 2 * np.pi * float(fit.frequencies[0] @ CENTRE - np.array(F) @ CENTRE)
    phase = np.angle(fit.coefficients[0] / C * np.exp(-1j * turn))
    off = [abs(fit.coefficients[0]) - abs(C), phase, *(fit.frequencies[0] - F)]
    return np.array(off) / error


@pytest.mark.parametrize("has_specimen", [False, True])
def test_the_truth_is_as_far_off_as_the_errors_say(has_specimen):
    rng = np.random.default_rng(1)
    clean = specimen() if has_specimen else 0.0
    scores = np.array([deviations(*fitted(noisy(rng, clean))) for _ in range(40)])
    # the root mean square of 40 normal deviations is 1 ± 0.11
    spread = np.sqrt(np.mean(scores**2, 0))
    assert (spread > 0.7).all()
    assert (spread < 1.4).all()
    assert 0.88 < (np.abs(scores) < 2).mean() < 0.995


def test_errors_have_the_unit_of_what_they_belong_to():
    image = noisy(np.random.default_rng(2), specimen())
    _, one = fitted(image)
    _, double = fitted(2 * image, 2 * C)
    np.testing.assert_allclose(double / one, [2, 1, 1, 1], rtol=2e-3)


def test_more_noise_means_larger_errors():
    rng = np.random.default_rng(3)
    random = rng.normal(0, 1, SHAPE)
    _, one = fitted(wave(*F, C) + 0.2 * random)
    _, more = fitted(wave(*F, C) + 0.6 * random)
    np.testing.assert_allclose(more / one, 3, rtol=0.1)


def test_a_larger_image_has_smaller_errors():
    y, x = np.mgrid[:480, :480]
    image = np.cos(2 * np.pi * (F[0] * y + F[1] * x))
    image += np.random.default_rng(4).normal(0, 0.5, image.shape)
    turn = 2j * np.pi * sum(F)
    _, small = fitted(image[:120, :120], np.exp(turn * 119 / 2))
    _, large = fitted(image, np.exp(turn * 479 / 2), pixels=480**2)
    # all pixels count: amplitude and phase as 1/size, frequency as 1/size²
    np.testing.assert_allclose(large / small, [1 / 4, 1 / 4, 1 / 16, 1 / 16], rtol=0.35)


def test_fewer_pixels_have_larger_errors():
    image = noisy(np.random.default_rng(5))
    _, few = fitted(image, pixels=2_500)
    _, all_ = fitted(image)
    assert (few > 1.5 * all_).all()


def test_tied_waves_share_the_error_of_their_base():
    image = noisy(np.random.default_rng(6)) + wave(2 * F[0], 2 * F[1], C)
    sample = sample_gradient(tensor(image), 50_000, 0, 1e-6)
    tied = Fit(np.array([F]), np.array([[1.0], [2.0]]), np.array([C, C]))
    *_, fit = polish_waves(sample, tied, FINAL)
    base, harmonic = standard_errors(sample, fit)
    np.testing.assert_allclose(harmonic[2:], 2 * base[2:])
    _, alone = fitted(noisy(np.random.default_rng(6)))
    # the harmonic tells four times as much about the base
    assert (base[2:] < 0.7 * alone[2:]).all()


def test_differences_that_are_not_counted_tell_nothing():
    image = noisy(np.random.default_rng(7))
    hidden = torch.zeros(SHAPE, dtype=torch.bool)
    hidden[:, 115:] = True
    fit, whole = fitted(image)
    half = standard_errors(sample_gradient(tensor(image), 50_000, 0, 1e-6, hidden), fit)[0]
    assert (half > 1.2 * whole).all()
    assert half[3] > 1.8 * whole[3]  # its frequency along x is told by half the width


def test_the_phase_at_the_corner_has_the_error_of_the_frequency():
    coefficients = np.array([2j])
    # of two parts, one turns the wave at the centre, the other shifts the frequency along x
    changes = np.array([[0.2, 0.0]], dtype=complex)
    shifts = np.zeros((2, 1, 2))
    shifts[1, 0, 1] = 0.01
    amplitude, phase, fy, fx = errors_of(coefficients, changes, shifts, (50, 101))[0]
    of_two = np.sqrt(2)  # parts / (parts − 1)
    assert (amplitude, fy) == pytest.approx((0, 0), abs=1e-15)
    assert fx == pytest.approx(of_two * 0.01 / 101)
    assert phase == pytest.approx(of_two * np.hypot(0.1, 0.01 * np.pi * 100 / 101))
