import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_periodic_denoise import Wave
from napari_periodic_denoise.noise.waves.frequency import is_nyquist
from napari_periodic_denoise.noise.waves.synthesis import (
    phasors,
    render_noise,
    synthesize,
    synthesize_screen,
)
from napari_periodic_denoise.noise.waves.wave import Tones, in_units, wave_at_centre

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


TONED = Wave(
    (0.21, -0.17), 1.0, 0.0, 0.0, 0.0, tones=Tones((0.5 + 1j, -2 + 0.3j, 0.7j), -1.0, 3.0, 4.0)
)


@given(st.floats(-3, 5))
def test_in_one_tone_a_wave_that_follows_it_is_constant(tone):
    t = min(max((tone + 1) / 2 - 1, -1), 1)
    e = (0.5 + 1j) + (-2 + 0.3j) * t + 0.7j * (2 * t**2 - 1)
    noise = synthesize_screen(torch.full((19, 23), tone), [TONED])
    constant = replace(TONED, amplitude=abs(e), phase=float(np.angle(e)), tones=None)
    np.testing.assert_allclose(noise, synthesize([constant], (19, 23)), atol=1e-4)


@given(st.floats(0.5, 200), st.floats(-100, 100))
def test_units_do_not_change_what_follows_the_tone(unit, zero):
    y, x = np.mgrid[:19, :23]
    pixels = torch.from_numpy(0.1 * y + 0.05 * x).float()
    noise = render_noise(unit * pixels + zero, [in_units(TONED, unit, zero)])
    np.testing.assert_allclose(noise, unit * render_noise(pixels, [TONED]), atol=2e-3 * unit)
