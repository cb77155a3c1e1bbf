import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_periodic_denoise.noise.statistics.gram import (
    MAX_WINDOWS,
    fast_length_above,
    fast_length_below,
    gram_matrix,
    hann,
    spectral_gram,
    spectral_power,
    window_starts,
)

sizes = st.integers(3, 20)


def maps(seed: int, channels: int, h: int, w: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(channels, h, w)))


def full_sum(half: torch.Tensor, width: int) -> torch.Tensor:
    """Sum over all frequencies of a quantity known on the half plane, conjugate elsewhere."""
    twice = torch.full((half.shape[1],), 2.0, dtype=torch.float64)
    twice[0] = 1
    if width % 2 == 0:
        twice[-1] = 1
    return torch.einsum("yx...,x->...", half.real, twice)


@given(st.integers(0, 99), st.integers(1, 5), sizes, sizes)
def test_gram_matrix_is_the_mean_product(seed, channels, h, w):
    features = maps(seed, channels, h, w)
    flat = features.numpy().reshape(channels, -1)
    expected = np.array([[np.mean(a * b) for b in flat] for a in flat])
    np.testing.assert_allclose(gram_matrix(features), expected, rtol=1e-12, atol=1e-12)


def test_gram_matrix_has_a_gradient():
    features = maps(0, 3, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(gram_matrix, features)
    assert torch.autograd.gradgradcheck(gram_matrix, features)


@given(st.integers(0, 99), st.integers(1, 4), sizes, sizes)
def test_parseval(seed, channels, h, w):
    features = maps(seed, channels, h, w)
    total = full_sum(spectral_gram(features, taper=False), w)
    torch.testing.assert_close(total, gram_matrix(features), rtol=1e-10, atol=1e-10)


@given(st.integers(0, 99), sizes, sizes)
def test_spectral_gram_is_hermitian_and_positive(seed, h, w):
    gram = spectral_gram(maps(seed, 3, h, w), window=(3, 3))
    torch.testing.assert_close(gram, gram.mH)
    assert torch.linalg.eigvalsh(gram).min() > -1e-12


@given(st.integers(0, 99), sizes, sizes)
def test_power_is_the_trace(seed, h, w):
    features = maps(seed, 3, h, w)
    trace = spectral_gram(features).diagonal(dim1=2, dim2=3).sum(-1).real
    torch.testing.assert_close(spectral_power(features), trace)


def test_off_diagonals_tell_which_channels_share_a_wave():
    x = torch.arange(64.0)
    wave = torch.cos(2 * torch.pi * 8 * x / 64).expand(64, 64)
    noise = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    gram = spectral_gram(torch.stack([wave, 0.5 * wave, noise]), taper=False)[0, 8]
    assert gram[0, 1].abs() / (gram[0, 0] * gram[1, 1]).abs().sqrt() == pytest.approx(1)
    assert gram[0, 2].abs() < 0.1 * gram[0, 0].abs()


@settings(max_examples=200)
@given(st.integers(1, 5000), st.integers(1, 1024))
def test_windows_lie_inside_and_reach_both_ends(length, window):
    window = min(window, length)
    starts = window_starts(length, window)
    assert 1 <= len(starts) <= MAX_WINDOWS
    assert min(starts) >= 0
    assert max(starts) + window <= length
    if len(starts) > 1:
        assert starts[0] == 0
        assert starts[-1] + window == length


@given(st.integers(1, 300))
def test_hann_has_unit_power(length):
    assert float(hann(length).square().mean()) == pytest.approx(1, rel=1e-5)


def has_small_factors(length: int) -> bool:
    for prime in (2, 3, 5):
        while length % prime == 0:
            length //= prime
    return length == 1


@given(st.integers(1, 5000))
def test_fast_lengths_have_small_factors_and_are_near(length):
    shorter, longer = fast_length_below(length), fast_length_above(length)
    assert 0.83 * length < shorter <= length <= longer <= 1.35 * length + 2
    assert longer % 2 == 0
    assert has_small_factors(shorter)
    assert has_small_factors(longer)
