import numpy as np
import pytest
import torch

from napari_periodic_denoise.noise.fitting.evidence import CONSENSUS, evidence
from napari_periodic_denoise.noise.fitting.gauss_newton import fit_waves, polish_waves, unfitted
from napari_periodic_denoise.noise.fitting.sample import sample_area, sample_gradient

SHAPE = (180, 230)


def specimen() -> np.ndarray:
    """Flat regions with sharp borders."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    rng = np.random.default_rng(2)
    image = np.zeros(SHAPE)
    for cy, cx, r in zip(
        rng.uniform(0, 180, 30), rng.uniform(0, 230, 30), rng.uniform(5, 25, 30), strict=True
    ):
        image += rng.uniform(-5, 5) * (np.hypot(y - cy, x - cx) < r)
    return image


def wave(fy: float, fx: float, coefficient: complex) -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    turns = fy * (y - (SHAPE[0] - 1) / 2) + fx * (x - (SHAPE[1] - 1) / 2)
    return (coefficient * np.exp(2j * np.pi * turns)).real


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.astype(np.float32))


def test_known_frequencies_give_exact_amplitude_and_phase():
    true = np.array([[0.11, 0.07], [0.031, -0.2]])
    coefficients = np.array([0.8 - 0.3j, 0.2 + 0.4j])
    image = specimen() + sum(wave(*f, c) for f, c in zip(true, coefficients, strict=True))
    fit = fit_waves(sample_gradient(tensor(image), 10**6, 0, 1e-5), unfitted(true))
    np.testing.assert_allclose(fit.coefficients, coefficients, atol=2e-3)
    np.testing.assert_array_equal(fit.frequencies, true)


def test_polishing_finds_the_frequency():
    image = specimen() + wave(0.11, 0.07, 1.0)
    sample = sample_gradient(tensor(image), 20_000, 0, 1e-5)
    off = unfitted(np.array([[0.11 + 0.2 / SHAPE[0], 0.07 - 0.2 / SHAPE[1]]]))
    *_, fit = polish_waves(sample, fit_waves(sample, off), 3.0, 12)
    np.testing.assert_allclose(fit.frequencies, [[0.11, 0.07]], atol=2e-6)
    np.testing.assert_allclose(fit.coefficients, [1.0], atol=2e-3)


def test_a_nyquist_wave_stays_finite():
    checkerboard = np.indices(SHAPE).sum(0) % 2
    sample = sample_gradient(tensor(10.0 * checkerboard), 10**6, 0, 1e-5)
    fit = fit_waves(sample, unfitted(np.array([[0.5, 0.5]])))
    *_, fit = polish_waves(sample, fit, 0.5, 3)
    rebuilt = wave(*fit.frequencies[0], fit.coefficients[0])
    assert np.ptp(rebuilt) == pytest.approx(10, rel=0.01)


def test_evidence_tells_a_wave_from_none_and_everywhere_from_somewhere():
    pattern = wave(0.11, 0.07, 0.5)
    frequency = unfitted(np.array([[0.11, 0.07]]))
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


def test_a_sample_is_spread_over_the_image_and_repeatable():
    image = tensor(specimen())
    one, two = sample_gradient(image, 5000, 1, 1e-5), sample_gradient(image, 5000, 1, 1e-5)
    assert 5000 <= len(one) < 5500
    assert torch.equal(one.rows, two.rows)
    assert torch.equal(one.gradient, two.gradient)
    assert not torch.equal(one.rows, sample_gradient(image, 5000, 2, 1e-5).rows)
    assert len(set(one.rows.tolist())) == len(one.rows)
    assert one.rows.max() < SHAPE[0] - 1
    assert one.columns.max() < SHAPE[1] - 1
    row, column = int(one.rows[3]), int(one.columns[5])
    assert one.gradient[0, 3, 5] == image[row + 1, column] - image[row, column]
    assert one.gradient[1, 3, 5] == image[row, column + 1] - image[row, column]


def test_parts_of_a_sample():
    image = tensor(specimen())
    sample = sample_gradient(image, 10_000, 1, 1e-5)
    few = sample.first(1000)
    assert 1000 <= len(few) < 1200
    assert torch.equal(few.gradient, few.of(image).gradient)
    middle = sample.central(60)
    assert 0 < len(middle) < len(sample)
    assert (middle.rows - (SHAPE[0] - 1) / 2).abs().max() <= 30
    assert torch.equal(middle.gradient, middle.of(image).gradient)


def test_an_area_is_sampled_where_it_is():
    area = torch.zeros(SHAPE, dtype=torch.bool)
    area[20:50, 30:70] = True
    area[100:120, 200:] = True
    image = tensor(specimen())
    sample = sample_area(image, area, 10**6, 0, 1e-5)
    # pairs one below the other, and side by side; of the image's last column none is the first
    assert sample.counted[0].sum() == 29 * 40 + 19 * 29
    assert sample.counted[1].sum() == 30 * 39 + 20 * 29
    outside = image + 100 * ~area
    counted = sample.counted > 0
    assert torch.equal(sample.of(outside).gradient[counted], sample.gradient[counted])
    few = sample_area(image, area, 400, 0, 1e-5)
    assert 100 < len(few) <= 128 * 128
    assert few.counted.sum() > 0
