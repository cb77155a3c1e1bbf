import math

import numpy as np
import pytest

from gradients import SHAPE, specimen, tensor, wave
from napari_periodic_denoise.noise.fitting.gauss_newton import Fit, fit_waves, zero_fit
from napari_periodic_denoise.noise.fitting.sample import sample_gradient
from napari_periodic_denoise.noise.search.acceptance import (
    accept_waves,
    assess_waves,
    evidence_threshold,
)
from napari_periodic_denoise.noise.search.channel import Found
from napari_periodic_denoise.noise.wording import Cause

F = np.array([[0.11, 0.07]])
RANDOM = np.random.default_rng(0).normal(0, 0.3, SHAPE)


def assessed(image: np.ndarray, frequencies: np.ndarray, quantum: float = 1e-5):
    sample = sample_gradient(tensor(image), 10**6, 0, quantum)
    fit = fit_waves(sample, zero_fit(frequencies))
    return assess_waves([sample], [fit], np.full(len(frequencies), 1e-5))


def test_the_threshold_is_four_nats_per_log_pixel():
    sample = sample_gradient(tensor(specimen()), 5000, 0, 1e-5)
    assert evidence_threshold([sample]) == pytest.approx(4 * math.log(len(sample)))
    assert evidence_threshold([sample] * 2) == pytest.approx(4 * math.log(2 * len(sample)))


def test_noise_is_accepted_and_nothing_is_too_weak():
    frequencies = np.concatenate([F, [[0.31, -0.2]]])
    keep, nats, rejected = assessed(specimen() + RANDOM + wave(*F[0], 0.5), frequencies)
    assert keep.tolist() == [True, False]
    (peak,) = rejected
    assert peak.cause is Cause.TOO_WEAK
    assert peak.frequency == (0.31, -0.2)
    assert peak.measured == nats[1] < peak.required < nats[0]
    assert peak.false_alarms == 1e-5


def test_a_wave_in_a_part_of_the_image_is_rejected():
    part = 1.5 * wave(*F[0], 0.5) * (np.arange(SHAPE[1]) < 60)
    keep, _, (peak,) = assessed(specimen() + RANDOM + part, F)
    assert not keep.any()
    assert peak.cause is Cause.PARTS_DISAGREE
    assert peak.measured <= peak.required


def test_less_than_a_quarter_of_a_grey_level_is_rounding():
    faint = wave(*F[0], 0.2)
    keep, _, (peak,) = assessed(specimen() + faint, F, quantum=1.0)
    assert not keep.any()
    assert peak.cause in (Cause.ROUNDING, Cause.TOO_WEAK)
    sample = sample_gradient(tensor(faint), 10**6, 0, 1e-3)
    keep, _, (peak,) = assess_waves(
        [sample], [Fit(F, np.eye(1), np.array([0.2e-3 + 0j]))], np.ones(1)
    )
    assert peak.cause in (Cause.ROUNDING, Cause.PARTS_DISAGREE)


def test_of_two_waves_on_one_frequency_the_stronger_stays():
    sample = sample_gradient(tensor(RANDOM + wave(*F[0], 1.0)), 10**6, 0, 1e-5)
    fit = Fit(
        np.repeat(F, 2, 0) + np.array([[0, 0], [1e-5, 0]]), np.eye(2), np.array([0.6, 0.4 + 0j])
    )
    keep, _, rejected = assess_waves([sample], [fit], np.ones(2))
    assert keep.tolist() == [True, False]
    assert [peak.cause for peak in rejected] == [Cause.DUPLICATE]


def test_accepted_waves_have_their_evidence():
    sample = sample_gradient(tensor(RANDOM + wave(*F[0], 0.5)), 10**6, 0, 1e-5)
    fit = fit_waves(sample, zero_fit(F))
    found, rejected = accept_waves(sample, Found(fit, np.ones(1), np.zeros(1)))
    assert found.evidence[0] > evidence_threshold([sample])
    assert rejected == ()
