import json
from dataclasses import replace

import numpy as np
import pytest

from napari_periodic_denoise import Wave
from napari_periodic_denoise.noise.waves.synthesis import synthesize
from napari_periodic_denoise.noise.waves.wave import (
    Rejected,
    Tones,
    in_units,
    profile_at_centre,
    wave_at_centre,
)
from napari_periodic_denoise.noise.wording import Cause

SURE = {"false_alarms": 1e-9, "evidence": 100.0}


def test_period_and_angle():
    wave = Wave((0.03, 0.04), 1.0, 0.0, 0.0, 0.0)
    assert wave.period == pytest.approx(20)
    assert wave.angle == pytest.approx(36.87, abs=0.01)
    assert Wave((0.0, 0.1), 1.0, 0.0, 0.0, 0.0).angle == 0
    assert Wave((0.1, 0.0), 1.0, 0.0, 0.0, 0.0).angle == 90


def test_to_dict_is_json():
    wave = Wave((0.1, -0.2), 3.0, 0.5, 1e-9, 100.0)
    assert json.loads(json.dumps(wave.to_dict())) == {
        "frequency": [0.1, -0.2],
        "amplitude": 3.0,
        "phase": 0.5,
        "false_alarms": 1e-9,
        "evidence": 100.0,
        "envelope": None,
        "profile": None,
        "dark": None,
        "tones": None,
        "channel": 0,
        "share": 0.0,
        "outcome": "removed",
        "amplitude_error": None,
        "phase_error": None,
        "frequency_error": None,
    }


def test_errors_are_json_too():
    errors = np.array([0.1, 0.2, 1e-4, 2e-4])
    wave = wave_at_centre(np.array([-0.1, 0.2]), np.array([[2j]]), (21, 31), **SURE, errors=errors)
    plain = json.loads(json.dumps(wave.to_dict()))
    assert (plain["amplitude_error"], plain["phase_error"]) == (0.1, 0.2)
    assert plain["frequency_error"] == [1e-4, 2e-4]


def test_signs_of_odd_and_even_pixels_have_no_errors():
    signs = np.array([0.5, 0.5])
    wave = wave_at_centre(signs, np.array([[2.0]]), (21, 31), **SURE, errors=np.ones(4))
    assert wave.amplitude_error is wave.phase_error is wave.frequency_error is None


def test_an_envelope_is_json_too():
    wave = Wave((0.1, -0.2), 3.0, 0.5, 1e-9, 100.0, envelope=((1 + 2j, 0j),))
    assert json.loads(json.dumps(wave.to_dict()))["envelope"] == [[[1.0, 2.0], [0.0, 0.0]]]


def test_tones_are_json_too():
    tones = Tones((1 + 2j, -3j), -1.0, 2.0, 5.5)
    wave = Wave((0.1, -0.2), 3.0, 0.5, 1e-9, 100.0, tones=tones)
    assert json.loads(json.dumps(wave.to_dict()))["tones"] == {
        "coefficients": [[1.0, 2.0], [0.0, -3.0]],
        "darkest": -1.0,
        "brightest": 2.0,
        "period": 5.5,
    }


def test_a_wave_at_the_centre_is_in_the_upper_half_plane():
    for frequency in ([0.1, 0.2], [-0.1, -0.2], [1.1, -0.8]):
        wave = wave_at_centre(np.array(frequency), np.array([[2j]]), (21, 31), **SURE)
        assert wave.frequency == pytest.approx((0.1, 0.2))
        assert wave.amplitude == pytest.approx(2)
    # at the centre, 2j·exp(0) has a real part of zero
    assert float(synthesize([wave], (21, 31))[10, 15]) == pytest.approx(0, abs=1e-5)


def test_a_profile_is_the_same_from_both_sides():
    starts, values = np.array([0.1, 0.45]), np.array([1.0, -1.0])
    one = profile_at_centre(np.array([0.03, 0.05]), starts, values, (40, 50), **SURE)
    # reversed, the step from 0.1 to 0.45 goes from −0.45 to −0.1
    other = profile_at_centre(
        np.array([-0.03, -0.05]), np.array([-0.45, -0.1]), values, (40, 50), **SURE
    )
    assert one.frequency == other.frequency == (0.03, 0.05)
    differing = (synthesize([one], (40, 50)) != synthesize([other], (40, 50))).float().mean()
    assert differing < 0.01  # pixels exactly on an edge
    assert one.amplitude == pytest.approx(np.sqrt(2))


def test_units_scale_what_is_an_intensity():
    added = Wave((0.1, 0.2), 2.0, 0.3, 0, 0, envelope=((2 + 1j,),), profile=((0.1, 4.0),))
    scaled = in_units(added, 3.0, 7.0)
    assert (scaled.amplitude, scaled.envelope, scaled.profile) == (6, ((6 + 3j,),), ((0.1, 12),))
    multiplying = in_units(Wave((0.1, 0.2), 0.25, 0.3, 0, 0, dark=2.0), 3.0, 7.0)
    assert (multiplying.amplitude, multiplying.dark) == (0.25, 13)


def test_units_scale_the_error_of_the_amplitude_alone():
    wave = Wave((0.1, 0.2), 2.0, 0.3, 0, 0, amplitude_error=0.1, phase_error=0.2)
    scaled = in_units(wave, 3.0, 7.0)
    assert (scaled.amplitude_error, scaled.phase_error) == (pytest.approx(0.3), 0.2)
    gain = in_units(replace(wave, dark=2.0), 3.0, 7.0)
    assert gain.amplitude_error == 0.1


def test_a_rejected_peak_is_json_with_its_reason():
    peak = Rejected((0.1, 0.2), 1e-3, Cause.TOO_WEAK, 40.0, 44.0)
    assert json.loads(json.dumps(peak.to_dict())) == {
        "frequency": [0.1, 0.2],
        "false_alarms": 1e-3,
        "cause": "too weak",
        "measured": 40.0,
        "required": 44.0,
        "reason": "too weak: saves 40 of the required 44 nats",
    }


def test_the_reason_of_a_wave_has_its_numbers():
    reason = Wave((0.1, 0.2), 1.0, 0.0, 2e-5, 123.4).reason
    assert "2e-05 false alarms" in reason
    assert "123 nats" in reason
