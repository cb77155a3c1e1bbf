import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_periodic_denoise.noise.fitting.gauss_newton import fit_waves, zero_fit
from napari_periodic_denoise.noise.fitting.profile import fit_profile
from napari_periodic_denoise.noise.fitting.sample import GradientSample, sample_gradient
from napari_periodic_denoise.noise.waves.synthesis import synthesize
from napari_periodic_denoise.noise.waves.wave import profile_at_centre

SHAPE = (150, 210)


def bands(frequency: np.ndarray, duty: float = 0.5, phase: float = 0.1234567) -> np.ndarray:
    # the phase is no round number: on an edge, rounding would say on which side a pixel is
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.where((frequency[0] * y + frequency[1] * x + phase) % 1 < duty, 1.0, -1.0)


def specimen() -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return 6.0 * (np.hypot(y - 70, x - 90) < 50) + 0.02 * x


def sample(image: np.ndarray) -> GradientSample:
    return sample_gradient(torch.from_numpy(image.astype(np.float32)), 10**6, 0, 1e-3)


def fitted(image: np.ndarray, frequency: np.ndarray, waves: int = 0):
    taken = sample(image)
    rival = fit_waves(taken, zero_fit(np.outer(range(1, waves + 1), frequency)))
    steps = fit_profile(taken, frequency, rival)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def rejection(fit, noise: np.ndarray) -> float:
    wave = profile_at_centre(
        fit.frequency, fit.starts, fit.values, SHAPE, false_alarms=0, evidence=0
    )
    error = synthesize([wave], SHAPE).numpy() - noise
    return 10 * np.log10(noise.var() / error.var())


@settings(max_examples=8)
@given(st.floats(0.04, 0.12), st.floats(-0.12, 0.12), st.floats(0.2, 0.8))
@example(0.11962310637667306, 0.01687641584151478, 0.8)  # a coarser search missed it
def test_hard_edges_at_any_angle(fy, fx, duty):
    frequency = np.array([fy, fx])
    noise = bands(frequency, duty)
    off = frequency + np.array([0.005, -0.005]) / SHAPE
    # of 220 draws of frequencies that are no round numbers, the worst was 26.6 dB
    assert rejection(fitted(specimen() + noise, off), noise) > 24


def test_hard_edges_are_usually_fitted_better():
    rng = np.random.default_rng(0)
    values = []
    for _ in range(12):
        frequency, duty = rng.uniform([0.04, -0.12], 0.12), rng.uniform(0.2, 0.8)
        noise = bands(frequency, duty)
        off = frequency + np.array([0.005, -0.005]) / SHAPE
        values.append(rejection(fitted(specimen() + noise, off), noise))
    assert np.mean(values) > 33


@pytest.mark.parametrize("period", [5.0, 8.3, 12.5])
def test_stripes_of_any_period(period):
    frequency = np.array([0.0, 1 / period])
    noise = bands(frequency)
    assert rejection(fitted(specimen() + noise, frequency), noise) > 35


def test_no_profile_where_it_does_not_pay():
    frequency = np.array([0.05, 0.09])
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    wave = np.cos(2 * np.pi * (frequency[0] * y + frequency[1] * x))
    rng = np.random.default_rng(0)
    clean = specimen() + rng.normal(0, 0.1, SHAPE)
    assert fitted(clean + wave, frequency, waves=1) is None
    assert fitted(clean + bands(frequency), frequency, waves=1) is not None


def test_a_few_bands_are_no_proof():
    frequency = np.array([0.0, 3 / SHAPE[1]])
    assert fitted(bands(frequency), frequency) is None


@given(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.integers(2, 40), st.integers(0, 99))
def test_a_profile_is_looked_up_at_its_phase(fy, fx, steps, seed):
    rng = np.random.default_rng(seed)
    starts = np.sort(rng.uniform(0, 1, steps))
    values = rng.normal(size=steps)
    wave = profile_at_centre(np.array([fy, fx]), starts, values, SHAPE, false_alarms=0, evidence=0)
    y, x = (np.arange(n) - (n - 1) / 2 for n in SHAPE)
    phase = (fy * y[:, None] + fx * x) % 1
    expected = values[np.searchsorted(starts, phase, side="right") - 1]
    different = synthesize([wave], SHAPE).numpy() != expected.astype(np.float32)
    assert different.mean() < 1e-3  # phases within rounding of the start of a step
    assert wave.frequency >= (0, 0)
    assert wave.amplitude == pytest.approx(
        np.sqrt(2 * np.sum(values**2 * np.diff(starts, append=1.0 + starts[0])))
    )
