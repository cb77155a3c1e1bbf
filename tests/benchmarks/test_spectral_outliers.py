import numpy as np

from benchmarks.families import bundled, corrupt, rejection
from benchmarks.spectral_outliers import robust_line, spectral_outliers


def test_it_does_what_its_paper_says_on_a_fast_wave():
    rng = np.random.default_rng(0)
    clean = bundled("camera")
    y, x = np.indices(clean.shape)
    noise = 0.1 * np.cos(2 * np.pi * (0.21 * y + 0.13 * x))
    estimate = spectral_outliers(corrupt(clean, noise, rng))
    assert rejection(estimate, 153 * noise) > 10


def test_nothing_is_an_outlier_of_a_power_law():
    assert not spectral_outliers(bundled("grass")).any()


def test_the_line_ignores_outliers():
    x = np.linspace(0, 1, 200)
    y = 2 - 3 * x + np.random.default_rng(0).normal(0, 0.1, 200)
    y[::7] += 10
    intercept, slope, spread = robust_line(x, y)
    np.testing.assert_allclose([intercept, slope, spread], [2, -3, 0.1], atol=0.06)
