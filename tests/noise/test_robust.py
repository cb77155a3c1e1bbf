import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_periodic_denoise.noise.robust import Range, robust_range, robust_scale


def normal(count: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=count)).float()


def test_the_scale_of_a_normal_law_is_its_standard_deviation():
    assert robust_scale(3 * normal(50_000)) == pytest.approx(3, rel=0.02)


def test_the_scale_ignores_outliers():
    values = normal(10_000)
    values[:500] = 1e6
    assert robust_scale(values) == pytest.approx(1, rel=0.1)


@given(st.floats(1e-3, 1e3), st.integers(0, 99))
def test_the_scale_scales(factor, seed):
    values = normal(200, seed)
    assert robust_scale(factor * values) == pytest.approx(factor * robust_scale(values), rel=1e-4)


def test_values_that_are_mostly_zero_have_their_mean_magnitude():
    values = torch.zeros(100)
    values[:10] = torch.tensor([5.0, -5.0]).repeat(5)
    assert robust_scale(values) == pytest.approx(0.5)
    assert robust_scale(torch.zeros(10)) == 0


def test_large_tensors_are_sampled_repeatably():
    values = normal(300_000)
    assert robust_scale(values) == robust_scale(values.clone())
    assert robust_scale(values) == pytest.approx(1, rel=0.03)
    assert robust_range(values) == robust_range(values.clone())


def test_the_range_leaves_out_half_a_percent_on_each_side():
    span = robust_range(torch.arange(1001.0).view(7, 143))
    assert (span.low, span.high) == pytest.approx((5, 995))


def test_equal_pixels_have_a_range_of_one():
    assert robust_range(torch.full((5, 5), 7.0)) == Range(7.0, 8.0)


def test_few_other_pixels_are_the_range():
    image = torch.zeros(100, 100)
    image[0, 0] = 3
    assert robust_range(image) == Range(0.0, 3.0)
