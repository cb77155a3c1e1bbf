import numpy as np
import pytest
import torch

from gradients import SHAPE, specimen, tensor, wave
from napari_periodic_denoise.noise.fitting.gauss_newton import (
    Fit,
    fit_waves,
    polish_together,
    polish_waves,
    subtract_waves,
    zero_fit,
)
from napari_periodic_denoise.noise.fitting.sample import sample_gradient
from napari_periodic_denoise.noise.fitting.schedule import REFIT, Schedule


def test_known_frequencies_give_exact_amplitude_and_phase():
    true = np.array([[0.11, 0.07], [0.031, -0.2]])
    coefficients = np.array([0.8 - 0.3j, 0.2 + 0.4j])
    image = specimen() + sum(wave(*f, c) for f, c in zip(true, coefficients, strict=True))
    fit = fit_waves(sample_gradient(tensor(image), 10**6, 0, 1e-5), zero_fit(true))
    np.testing.assert_allclose(fit.coefficients, coefficients, atol=2e-3)
    np.testing.assert_array_equal(fit.frequencies, true)


def test_polishing_finds_the_frequency():
    image = specimen() + wave(0.11, 0.07, 1.0)
    sample = sample_gradient(tensor(image), 20_000, 0, 1e-5)
    off = zero_fit(np.array([[0.11 + 0.2 / SHAPE[0], 0.07 - 0.2 / SHAPE[1]]]))
    *_, fit = polish_waves(sample, fit_waves(sample, off), Schedule(3.0, 12))
    np.testing.assert_allclose(fit.frequencies, [[0.11, 0.07]], atol=2e-6)
    np.testing.assert_allclose(fit.coefficients, [1.0], atol=2e-3)


def test_a_nyquist_wave_stays_finite():
    checkerboard = np.indices(SHAPE).sum(0) % 2
    sample = sample_gradient(tensor(10.0 * checkerboard), 10**6, 0, 1e-5)
    fit = fit_waves(sample, zero_fit(np.array([[0.5, 0.5]])))
    *_, fit = polish_waves(sample, fit, REFIT)
    rebuilt = wave(*fit.frequencies[0], fit.coefficients[0])
    assert np.ptp(rebuilt) == pytest.approx(10, rel=0.01)


def test_images_share_frequencies_but_not_amplitudes():
    images = [specimen() + wave(0.11, 0.07, c) for c in (1.0, 0.5j)]
    samples = [sample_gradient(tensor(image), 20_000, 0, 1e-5) for image in images]
    start = zero_fit(np.array([[0.11 + 0.1 / SHAPE[0], 0.07]]))
    fits = [fit_waves(sample, start) for sample in samples]
    *_, fits = polish_together(samples, fits, Schedule(3.0, 8))
    np.testing.assert_array_equal(fits[0].bases, fits[1].bases)
    np.testing.assert_allclose(fits[0].bases, [[0.11, 0.07]], atol=5e-6)
    np.testing.assert_allclose(
        [fits[0].coefficients, fits[1].coefficients], [[1], [0.5j]], atol=5e-3
    )


def test_frequencies_that_may_not_move_stay():
    sample = sample_gradient(tensor(specimen() + wave(0.11, 0.07, 1.0)), 5000, 0, 1e-5)
    start = fit_waves(sample, zero_fit(np.array([[0.1101, 0.07]])))
    *_, fit = polish_waves(sample, start, REFIT, move=False)
    np.testing.assert_array_equal(fit.bases, start.bases)


def test_waves_are_subtracted_from_a_sample():
    image = specimen()
    sample = sample_gradient(tensor(image + wave(0.11, 0.07, 1 - 2j)), 5000, 0, 1e-5)
    fit = Fit(np.array([[0.11, 0.07]]), np.eye(1), np.array([1 - 2j]))
    clean = subtract_waves(sample, fit)
    torch.testing.assert_close(
        clean.gradient, sample.of(tensor(image)).gradient, rtol=0, atol=2e-5
    )


def test_fits_are_joined_and_taken_apart():
    one = Fit(np.array([[0.1, 0.2]]), np.array([[1.0], [2.0]]), np.array([1j, 2j]))
    other = zero_fit(np.array([[0.3, 0.0]]))
    both = one.join(other)
    np.testing.assert_allclose(both.frequencies, [[0.1, 0.2], [0.2, 0.4], [0.3, 0.0]])
    np.testing.assert_array_equal(both.take(np.array([2])).bases, other.bases)
    assert len(both.take(np.array([True, True, False]))) == 2
