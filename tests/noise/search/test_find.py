import numpy as np
import pytest

from gradients import SHAPE, specimen, tensor, wave
from napari_periodic_denoise.noise.fitting.sample import sample_gradient
from napari_periodic_denoise.noise.input import normalize
from napari_periodic_denoise.noise.progress import Stage
from napari_periodic_denoise.noise.search.find import find_waves, fit_candidates
from napari_periodic_denoise.noise.statistics.peaks import Candidate
from napari_periodic_denoise.noise.statistics.spectra import feature_extractor
from napari_periodic_denoise.noise.wording import Cause
from napari_periodic_denoise.runtime.steps import finish

F = (0.11, 0.07)
RANDOM = np.random.default_rng(0).normal(0, 0.3, SHAPE)


def search(*images: np.ndarray, **options):
    return find_waves(
        [normalize(image) for image in images],
        feature_extractor("edges"),
        **{"noise_model": "additive", "sensitivity": 1e-3, "seed": 0, **options},
    )


def test_a_wave_is_found_and_a_clean_image_has_none():
    noisy, clean = specimen() + RANDOM + wave(*F, 0.6), specimen() + RANDOM
    (channel,) = finish(search(noisy))
    (found,) = channel.waves()
    assert found.frequency == pytest.approx(F, abs=1e-4)
    (channel,) = finish(search(clean))
    assert channel.waves() == []


def test_each_channel_keeps_the_waves_that_it_has():
    noisy, clean = specimen() + RANDOM + wave(*F, 0.6), specimen() + RANDOM
    channels = finish(search(noisy, clean))
    assert [len(channel.waves()) for channel in channels] == [1, 0]


def test_residuals_are_announced_once_a_wave_is_known():
    steps = list(search(specimen() + RANDOM + wave(*F, 0.6)))
    assert {step.stage for step in steps} == {Stage.DETECT, Stage.FIT}
    residuals = [step.residuals for step in steps if step.residuals is not None]
    assert residuals
    assert residuals[0][0].shape == SHAPE


def test_a_known_wave_is_the_start_of_the_search():
    image = specimen() + RANDOM + wave(*F, 0.6)
    known, unknown = Candidate(F, 1e-9), Candidate((0.3, -0.2), 1e-9)
    (channel,) = finish(search(image, known=[known, unknown]))
    (found,) = channel.waves()
    assert found.frequency == pytest.approx(F, abs=1e-4)
    assert found.false_alarms == 1e-9  # of the candidate: it was not found anew


def test_a_proposed_frequency_is_tested_and_refused_with_a_reason():
    (channel,) = finish(search(specimen() + RANDOM, proposed=[(0.2, 0.1)]))
    assert (0.2, 0.1) in {peak.frequency for peak in channel.rejected}


def test_candidates_are_fitted_from_an_inexact_frequency():
    sample = sample_gradient(tensor(RANDOM + wave(*F, 0.6)), 30_000, 0, 1e-5)
    off = Candidate((F[0] + 0.2 / SHAPE[0], F[1]), 1e-6)
    nothing = Candidate((0.3, -0.2), 1e-6)
    (found,), rejected = fit_candidates([sample], [off, nothing])
    np.testing.assert_allclose(found.fit.frequencies, [F], atol=1e-4)
    assert abs(found.fit.coefficients[0]) == pytest.approx(0.6, abs=0.02)
    assert [peak.cause for peak in rejected] == [Cause.NO_GAIN]


def test_no_candidates_give_no_waves():
    sample = sample_gradient(tensor(RANDOM), 5000, 0, 1e-5)
    (found,), rejected = fit_candidates([sample], [])
    assert len(found) == 0
    assert rejected == ()
