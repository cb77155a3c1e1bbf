import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_periodic_denoise import Wave
from napari_periodic_denoise.noise.waves.frequency import is_nyquist
from napari_periodic_denoise.noise.waves.synthesis import phasors, synthesize
from napari_periodic_denoise.noise.waves.wave import in_units, wave_at_centre

frequencies = st.floats(-0.5, 0.5, allow_subnormal=False)
waves = st.builds(
    Wave,
    frequency=st.tuples(frequencies, frequencies),
    amplitude=st.floats(0, 10),
    phase=st.floats(-math.pi, math.pi),
    false_alarms=st.just(0.0),
    evidence=st.just(0.0),
)


@given(st.lists(waves, max_size=4), st.integers(1, 30), st.integers(1, 30))
def test_synthesis_is_the_sum_of_cosines(parts, h, w):
    y, x = np.mgrid[:h, :w]
    expected = np.zeros((h, w))
    for wave in parts:
        fy, fx = wave.frequency
        expected += wave.amplitude * np.cos(2 * np.pi * (fy * y + fx * x) + wave.phase)
    noise = synthesize(parts, (h, w))
    assert noise.dtype == torch.float32
    np.testing.assert_allclose(noise, expected, atol=2e-5)


def test_phases_stay_exact_over_many_pixels():
    frequency = 0.123456789
    exact = np.exp(2j * np.pi * math.fmod(frequency * 65_535, 1))
    assert abs(phasors(np.array([frequency]), 65_536)[0, -1] - exact) < 1e-9


def test_origin_is_where_the_phase_is_zero():
    assert phasors(np.array([0.37]), 11, origin=5.0)[0, 5] == pytest.approx(1)


@given(
    st.tuples(frequencies, frequencies),
    st.integers(0, 9999),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_a_modulated_wave_is_its_carrier_times_its_envelope(frequency, seed, j, k):
    h, w = 23, 31
    rng = np.random.default_rng(seed)
    e = rng.normal(size=(j + 1, k + 1)) + 1j * rng.normal(size=(j + 1, k + 1))
    wave = wave_at_centre(np.array(frequency), e, (h, w), false_alarms=0.0, evidence=0.0)
    y, x = np.mgrid[:h, :w]
    local = sum(
        e[a, b] * np.cos(np.pi * a * (y + 0.5) / h) * np.cos(np.pi * b * (x + 0.5) / w)
        for a in range(j + 1)
        for b in range(k + 1)
    )
    turns = frequency[0] * (y - (h - 1) / 2) + frequency[1] * (x - (w - 1) / 2)
    expected = (local * np.exp(2j * np.pi * turns)).real
    np.testing.assert_allclose(synthesize([wave], (h, w)), expected, atol=2e-5)
    np.testing.assert_allclose(
        synthesize([in_units(wave, 3.0, 7.0)], (h, w)), 3 * expected, atol=6e-5
    )
    assert wave.order == (j, k)
    assert wave.frequency >= (0, 0) or wave.frequency[0] == -0.5
    if is_nyquist(np.array(frequency)):
        local = expected  # the other phase is zero on all pixels
    assert wave.amplitude == pytest.approx(np.sqrt(np.mean(np.abs(local) ** 2)), rel=1e-6)
