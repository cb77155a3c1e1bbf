import numpy as np
import pytest
import torch

from napari_periodic_denoise.noise.statistics.features import edges
from napari_periodic_denoise.noise.statistics.local_energy import (
    independent_energy,
    local_energy,
    local_excess,
    present_in_most,
)
from napari_periodic_denoise.noise.statistics.peaks import Candidate


def white(h: int, w: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(h, w, generator=torch.Generator().manual_seed(seed))


def wave(h: int, w: int, fy: float, fx: float) -> torch.Tensor:
    y, x = np.mgrid[:h, :w]
    return torch.from_numpy(np.cos(2 * np.pi * (fy * y + fx * x) + 1)).float()


def test_what_only_a_corner_shows_is_not_noise():
    pattern = wave(256, 256, 0.11, 0.07)
    corner = torch.zeros(256, 256)
    corner[:100, :100] = 1
    candidates = [Candidate((0.11, 0.07), 0.0)]
    everywhere = edges(white(256, 256) + pattern)
    somewhere = edges(white(256, 256) + 3 * pattern * corner)
    assert present_in_most(everywhere, candidates) == candidates
    assert present_in_most(somewhere, candidates) == []
    assert present_in_most(everywhere, []) == []


def test_parts_that_are_ignored_have_no_say():
    pattern = wave(256, 256, 0.11, 0.07)
    half = torch.zeros(256, 256)
    half[:, :128] = 1
    features = edges(white(256, 256) + 3 * pattern * half)
    candidates = [Candidate((0.11, 0.07), 0.0)]
    assert present_in_most(features, candidates) == []
    assert present_in_most(features, candidates, half == 0) == candidates


def test_a_wave_whose_phase_changes_exceeds_its_surroundings():
    y, x = np.mgrid[:256, :256]
    jumping = np.cos(2 * np.pi * (0.11 * y + 0.07 * x) + 2.5 * (x // 64) + 1.3 * (y // 64))
    features = edges(white(256, 256) + 0.7 * torch.from_numpy(jumping).float())
    excess = local_excess(features, np.array([[0.11, 0.07], [0.31, -0.2]]))
    assert excess[0] > 5
    assert excess[1] < 1.5


def test_independent_pixels_have_the_same_energy_everywhere():
    features = white(256, 256)[None]
    at, beside = local_energy(features, np.array([[0.11, 0.07], [0.3, -0.2], [0.02, 0.4]]))
    expected = independent_energy(features)
    np.testing.assert_allclose(np.concatenate([at, beside]), expected, rtol=0.7)
    assert np.mean([at, beside]) == pytest.approx(expected, rel=0.3)
