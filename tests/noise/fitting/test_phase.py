import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_periodic_denoise.noise.fitting.phase import (
    SmoothPhase,
    phase_of_envelope,
    phase_of_frequencies,
)

SHAPE = (120, 150)


def random_phase(seed: int, degree: int) -> SmoothPhase:
    i, j = np.indices((degree + 1, degree + 1))
    values = np.random.default_rng(seed).normal(size=i.shape)
    return SmoothPhase(np.where((i + j > 0) & (i + j <= degree), values, 0), SHAPE)


@given(st.integers(0, 99), st.integers(1, 5))
def test_the_frequency_is_the_gradient_of_the_phase(seed, degree):
    phase = random_phase(seed, degree)
    y, x, h = np.linspace(10, 90, 5), np.linspace(10, 90, 4), 1e-4
    fy, fx = phase.frequency(y, x)
    np.testing.assert_allclose(
        fy, (phase.turns(y + h, x) - phase.turns(y - h, x)) / (2 * h), atol=1e-6
    )
    np.testing.assert_allclose(
        fx, (phase.turns(y, x + h) - phase.turns(y, x - h)) / (2 * h), atol=1e-6
    )


@given(st.integers(0, 99), st.integers(1, 4))
def test_the_phase_is_recovered_from_its_frequencies_despite_outliers(seed, degree):
    phase = random_phase(seed, degree)
    y, x = np.linspace(5, 110, 9), np.linspace(5, 140, 10)
    frequencies = np.stack(phase.frequency(y, x), -1).reshape(-1, 2)
    frequencies[::17] += 0.3
    at = np.meshgrid(y, x, indexing="ij")
    found, _ = phase_of_frequencies(at[0].ravel(), at[1].ravel(), frequencies, SHAPE, degree)
    np.testing.assert_allclose(found.coefficients, phase.coefficients, atol=0.02)
    assert found.unknowns == (degree + 1) * (degree + 2) // 2 - 1


def test_the_description_chooses_the_degree():
    phase = random_phase(3, 3)
    at = np.meshgrid(np.linspace(5, 110, 12), np.linspace(5, 140, 12), indexing="ij")
    y, x = (each.ravel() for each in at)
    grid = phase.frequency(at[0][:, 0], at[1][0])
    frequencies = np.stack(grid, -1).reshape(-1, 2)
    frequencies += np.random.default_rng(0).normal(0, 1e-4, frequencies.shape)
    lengths = [phase_of_frequencies(y, x, frequencies, SHAPE, d)[1] for d in range(1, 6)]
    assert 1 + int(np.argmin(lengths)) == 3


@given(st.integers(0, 99), st.integers(1, 4))
def test_the_phase_of_an_envelope_needs_no_unwrapping(seed, degree):
    phase = random_phase(seed, degree)
    points = 160  # the steepest phase changes by less than half a turn from point to point
    y, x = ((np.arange(points) + 0.5) * n / points - 0.5 for n in SHAPE)
    envelope = 2.5 * np.exp(2j * np.pi * phase.turns(y, x))
    found = phase_of_envelope(envelope, degree)
    np.testing.assert_allclose(found, phase.coefficients, atol=1e-6)


def test_phases_add():
    one, other = random_phase(0, 2), random_phase(1, 4)
    y, x = np.arange(5.0), np.arange(7.0)
    both = one.plus(other.coefficients)
    np.testing.assert_allclose(both.turns(y, x), one.turns(y, x) + other.turns(y, x), atol=1e-12)
    assert both.degree == 4
