from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_periodic_denoise.noise.fitting.evidence import description_length
from napari_periodic_denoise.noise.fitting.fringes import (
    Fringes,
    _warped,
    as_envelope,
    bend,
    gradient_of,
    refit_fringes,
    with_order,
)
from napari_periodic_denoise.noise.fitting.phase import SmoothPhase
from napari_periodic_denoise.noise.fitting.sample import GradientSample, sample_gradient
from napari_periodic_denoise.noise.statistics.features import edges
from napari_periodic_denoise.noise.statistics.local_frequency import follow
from napari_periodic_denoise.noise.waves.synthesis import synthesize
from napari_periodic_denoise.noise.waves.wave import wave_at_centre
from napari_periodic_denoise.runtime.steps import finish

SHAPE = (220, 260)


def phase() -> SmoothPhase:
    """From 0.07 to 0.13 cycles/pixel along x, and bent along y."""
    coefficients = np.zeros((3, 3))
    coefficients[0, 1], coefficients[1, 0] = 13, 3
    coefficients[0, 2], coefficients[1, 1], coefficients[2, 0] = 1.2, 0.8, 1
    return SmoothPhase(coefficients, SHAPE)


def fringes(seed: int = 0, order: int = 1) -> Fringes:
    rng = np.random.default_rng(seed)
    envelope = 0.2 * (rng.normal(size=(order + 1,) * 2) + 1j * rng.normal(size=(order + 1,) * 2))
    envelope[0, 0] = 1.5
    return Fringes(phase(), envelope, 0.0)


def drawn(which: Fringes) -> torch.Tensor:
    y, x = (np.arange(n, dtype=np.float64) for n in SHAPE)
    values = which.complex_amplitude(y, x) * np.exp(2j * np.pi * which.phase.turns(y, x))
    return torch.from_numpy(values.real).float()


def sample(image: torch.Tensor) -> GradientSample:
    return sample_gradient(image, 10**6, 0, 1e-5)


@given(st.integers(0, 99), st.integers(0, 3))
def test_the_gradient_is_that_of_the_fringes(seed, order):
    which = fringes(seed, order)
    taken = sample(drawn(which))
    torch.testing.assert_close(gradient_of(taken, which), taken.gradient, atol=2e-5, rtol=1e-4)


@given(st.integers(0, 99), st.integers(0, 3), st.integers(0, 3))
def test_the_transpose_is_one(seed, j, k):
    taken = sample(drawn(fringes()))
    factors = _warped(taken, phase(), (j, k))
    generator = torch.Generator().manual_seed(seed)
    coefficients = torch.randn(2, j + 1, k + 1, generator=generator)
    gradient = torch.randn(taken.gradient.shape, generator=generator)
    one = (factors.gradient(coefficients) * gradient).sum()
    other = (factors.transpose(gradient) * coefficients).sum()
    assert float(one) == pytest.approx(float(other), abs=0.05)


def test_fringes_are_a_carrier_with_an_envelope():
    which = fringes(3, 2)
    frequency, coefficients = as_envelope(which)
    wave = wave_at_centre(frequency, coefficients, SHAPE, false_alarms=0, evidence=0)
    error = synthesize([wave], SHAPE) - drawn(which)
    assert float(error.var() / drawn(which).var()) < 2e-3
    assert max(wave.order) < 50


def test_fringes_that_change_too_fast_for_an_envelope_are_none():
    coefficients = np.zeros((3, 3))
    coefficients[0, 1], coefficients[0, 2] = 13, 25
    which = Fringes(SmoothPhase(coefficients, SHAPE), np.ones((1, 1), complex), 0.0)
    assert as_envelope(which) is None


def test_fringes_on_a_specimen_are_recovered():
    y, x = np.indices(SHAPE)
    specimen = torch.from_numpy(6.0 * (np.hypot(y - 100, x - 140) < 60)).float()
    noise = 0.2 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    truth = drawn(fringes())
    image = specimen + truth + noise
    taken = sample(image)
    few = taken.first(30_000)
    local = follow(edges(image), (0.02, 0.1))
    found = finish(bend(few, local, description_length(few, few.gradient, 0)))
    found = finish(refit_fringes(taken, found, local.clumped))
    assert float((drawn(found) - truth).var() / truth.var()) < 0.005
    assert found.description < description_length(taken, taken.gradient, 0)


def test_fringes_that_save_nothing_are_none():
    image = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    taken = sample(image)
    local = follow(edges(drawn(fringes())), (0.02, 0.1))
    assert finish(bend(taken, local, description_length(taken, taken.gradient, 0))) is None


def test_what_is_slow_has_no_fringes():
    image = drawn(fringes())
    local = follow(edges(image), (0.02, 0.1))
    still = replace(local, frequencies=np.zeros_like(local.frequencies))
    taken = sample(image)
    assert finish(bend(taken, still, description_length(taken, taken.gradient, 0))) is None


def test_fringes_without_a_gradient_describe_nothing():
    still = Fringes(SmoothPhase(np.zeros((2, 2)), SHAPE), np.zeros((1, 1), complex), 0.0)
    assert with_order(sample(drawn(fringes())), still, 1.0, (3, 3)).description > 0
