import pytest
import torch

from napari_periodic_denoise.noise.lines.differences import line_differences
from napari_periodic_denoise.noise.lines.profile import (
    _gathered,
    apart,
    as_profile,
    cosine_transform,
    inverse_cosine_transform,
    least_squares,
    most_probable,
    noise_power,
)


def white(h, w, seed=0):
    return torch.randn(h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_cosine_transform_is_orthonormal():
    values = white(3, 50)
    transformed = cosine_transform(values)
    assert torch.allclose(inverse_cosine_transform(transformed), values)
    assert torch.allclose(transformed.square().sum(1), values.square().sum(1))


@pytest.mark.parametrize("size", [1, 2, 4, 16])
def test_gathering_is_the_transpose_of_differences(size):
    offsets, weights = white(3, 70), white(3, 70 - 2 * size + 1, 1)
    one = (apart(offsets, size) * weights).sum()
    assert torch.allclose(one, (offsets * _gathered(weights, size)).sum())


def profile_of(offsets, noise=0.05):
    image = offsets + noise * white(200, offsets.shape[0], 3)
    return as_profile(line_differences(image.float(), 1e-3))


def test_bands_hold_the_differences_of_all_distances():
    profile = profile_of(white(1, 150)[0])
    offsets = white(2, 150, 5)
    expected = sum(
        _gathered(apart(offsets, d.size) / d.variance, d.size) for d in profile.differences
    )
    assert torch.allclose(profile.precision(offsets), expected)


def test_least_squares_finds_the_offsets():
    offsets = white(1, 150)[0]
    profile = profile_of(offsets, 0.01)
    found = inverse_cosine_transform(least_squares(profile, profile.pulls[:1]))[0]
    assert torch.allclose(found, offsets - offsets.mean(), atol=0.05)


def test_the_most_probable_offsets_solve_their_equations():
    profile = profile_of(white(1, 90)[0], 1.0)
    noise, specimen = torch.full((1, 90), 0.3).double(), torch.full((1, 90), 0.2).double()
    found = most_probable(profile, profile.pulls[:1], noise, specimen)
    both = found * (0.5 / 0.3)  # noise and specimen together
    gradient = profile.pulls[:1] - profile.precision(both) - both / 0.5
    gradient = gradient - gradient.mean()
    assert gradient.norm() < 1e-3 * profile.pulls[:1].norm()


def test_the_power_of_noise_is_found_under_the_error():
    frequency = torch.arange(1, 2000, dtype=torch.float64) / 2000
    for slope in (0.0, 1.0):
        expected = torch.nn.functional.pad(3 * frequency**-slope, (1, 0))
        power = (expected + 1) * white(1, 2000)[0].square()
        found, nats = noise_power(power, torch.ones(2000, dtype=torch.float64))
        assert nats > 100
        assert 0.8 < float(found[1000] / expected[1000]) < 1.25
        assert 0.7 < float(found[100] / expected[100]) < 1.4


def test_no_noise_saves_nothing_to_speak_of():
    _, nats = noise_power(white(1, 500)[0].square(), torch.ones(500, dtype=torch.float64))
    assert nats < 5
