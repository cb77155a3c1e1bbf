import math

import numpy as np
import pytest
import torch

from gradients import SHAPE, specimen, tensor, wave
from napari_periodic_denoise.noise.fitting.evidence import (
    CONSENSUS,
    consensus_of,
    description_length,
    evidence,
    independent_images,
    saved_in_parts,
)
from napari_periodic_denoise.noise.fitting.gauss_newton import (
    fit_waves,
    subtract_waves,
    zero_fit,
)
from napari_periodic_denoise.noise.fitting.sample import sample_gradient


def test_evidence_tells_a_wave_from_none_and_everywhere_from_somewhere():
    pattern = wave(0.11, 0.07, 0.5)
    frequency = zero_fit(np.array([[0.11, 0.07]]))
    results = {}
    for name, image in {
        "everywhere": specimen() + pattern,
        "nowhere": specimen(),
        "somewhere": specimen() + 2 * pattern * (np.arange(SHAPE[1]) < 60),
    }.items():
        noisy = image + np.random.default_rng(0).normal(0, 0.3, SHAPE)
        sample = sample_gradient(tensor(noisy), 10**6, 0, 1e-5)
        nats, consensus = evidence([sample], [fit_waves(sample, frequency)])
        results[name] = float(nats[0]), float(consensus[0])
    assert results["everywhere"][0] > 500
    assert results["everywhere"][1] > CONSENSUS
    assert results["nowhere"][0] < 20
    assert results["somewhere"][1] < CONSENSUS


def test_planes_that_are_alike_count_as_one():
    def sample(image: np.ndarray):
        return sample_gradient(torch.from_numpy(image.astype(np.float32)), 10**5, 0, 1e-5)

    noise = np.random.default_rng(0).normal(size=(8, *SHAPE))
    assert independent_images([sample(image) for image in noise]) > 7.5
    assert independent_images([sample(noise[0])] * 8) == pytest.approx(1)


def test_the_description_is_that_of_a_laplace_law_and_its_unknowns():
    sample = sample_gradient(tensor(specimen()), 10**6, 0, 1e-6)
    n = sample.counted.numel()
    residual = torch.full_like(sample.gradient, 0.5)
    length = description_length(sample, residual, 0)
    assert length == pytest.approx(n * math.log(0.5), rel=1e-5)
    assert description_length(sample, residual / 2, 0) - length == pytest.approx(
        -n * math.log(2), rel=1e-4
    )
    two = description_length(sample, residual, 2)
    assert two - length == pytest.approx(math.log(n / 2), rel=1e-6)


def test_similar_images_count_as_one():
    noise = np.random.default_rng(1).normal(0, 0.3, SHAPE)
    sample = sample_gradient(tensor(specimen() + noise + wave(0.11, 0.07, 0.5)), 10**6, 0, 1e-5)
    fit = fit_waves(sample, zero_fit(np.array([[0.11, 0.07]])))
    one, _ = evidence([sample], [fit])
    three, _ = evidence([sample] * 3, [fit] * 3)
    # the residuals are the same, so two more of the same images add next to nothing
    assert three[0] == pytest.approx(one[0], rel=0.01)


def test_the_parts_save_what_a_single_wave_saves():
    sample = sample_gradient(tensor(specimen() + wave(0.11, 0.07, 0.5)), 10**6, 0, 1e-5)
    sample.counted[:, sample.rows < SHAPE[0] // 4] = 0
    fit = fit_waves(sample, zero_fit(np.array([[0.11, 0.07]])))
    saved = saved_in_parts(sample, subtract_waves(sample, fit).gradient)
    nats, consensus = evidence([sample], [fit])
    assert len(saved) == 48
    assert saved.sum() == pytest.approx(nats[0], rel=1e-3)
    assert float(consensus_of(saved)) == pytest.approx(consensus[0], rel=1e-3)
