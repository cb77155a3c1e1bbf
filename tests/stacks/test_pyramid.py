import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_periodic_denoise.stacks.pyramid import find_reduction

FINE = np.random.default_rng(0).integers(0, 60_000, (66, 83)).astype(np.uint16)


@given(factor=st.integers(1, 5), offset=st.integers(0, 4))
def test_picked_pixels_are_found(factor, offset):
    offset %= factor
    coarse = FINE[offset::factor, offset::factor]
    reduction = find_reduction(FINE, coarse)
    other = FINE[::-1].astype(float)
    np.testing.assert_array_equal(reduction(other), other[offset::factor, offset::factor])


def mean(array, factor):
    height, width = (n // factor for n in array.shape)
    whole = array[: height * factor, : width * factor]
    return whole.reshape(height, factor, width, factor).mean((1, 3))


@given(factor=st.integers(2, 5), cut=st.booleans())
def test_means_of_blocks_are_found_though_rounded(factor, cut):
    coarse = mean(FINE, factor)
    coarse = (coarse if cut else np.rint(coarse)).astype(np.uint16)
    reduction = find_reduction(FINE, coarse)
    np.testing.assert_allclose(reduction(FINE[::-1]), mean(FINE[::-1], factor))


def test_means_of_means_are_means():
    fine = FINE[:64, :80]
    coarse = fine
    for _ in range(3):
        coarse = np.floor(mean(coarse, 2)).astype(np.uint16)
    assert find_reduction(fine, coarse) is not None


def test_means_of_floats_are_found():
    fine = FINE.astype(np.float32) / 7
    assert find_reduction(fine, mean(fine, 3).astype(np.float32)) is not None


def test_channels_are_left_alone():
    fine = np.stack([FINE, FINE[::-1]])
    reduction = find_reduction(fine, fine[:, ::2, ::2])
    np.testing.assert_array_equal(reduction(fine), fine[:, ::2, ::2])


@pytest.mark.parametrize(
    "coarse",
    [
        np.maximum(FINE[::2, :-1:2], FINE[::2, 1::2]),
        (FINE[::2, ::2] // 2),
        FINE[:10, :10],
        np.zeros((132, 166), np.uint16),
        FINE[0],
    ],
)
def test_other_arrays_are_not_taken_for_reductions(coarse):
    assert find_reduction(FINE, coarse) is None
