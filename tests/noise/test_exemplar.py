import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_periodic_denoise.noise.exemplar import as_mask, largest_rectangle, rectangles

SHAPE = (60, 80)


def box(y0, x0, y1, x1, shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def disc(shape=SHAPE, centre=(30, 40), radius=20):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(y - centre[0], x - centre[1]) < radius


@pytest.mark.parametrize(
    "exemplar",
    [
        box(5, 10, 30, 50),
        3 * box(5, 10, 30, 50).astype(np.uint16),
        -box(5, 10, 30, 50).astype(int),
        [(5, 10, 30, 50)],
        [[5.0, 10.0, 30.0, 50.0]],
        np.array([[5, 10, 30, 30], [5, 25, 30, 50]]),
    ],
)
def test_masks_labels_and_rectangles_say_the_same(exemplar):
    np.testing.assert_array_equal(as_mask(exemplar, SHAPE), box(5, 10, 30, 50))


@pytest.mark.parametrize(
    ("exemplar", "message"),
    [
        (np.zeros(SHAPE, bool), "empty"),
        ([], "empty"),
        (box(0, 0, 15, 15), "225 pixels is too small"),
        (np.ones((80, 60), bool), r"shape \(60, 80\).*bool of shape \(80, 60\)"),
        (np.ones(SHAPE), "mask or labels"),
        ((5, 10, 30, 50), "list of rectangles"),
        ("corner", "list of rectangles"),
        ([(1, 2), (3, 4, 5)], "list of rectangles"),
        ([(5, 10, 30)], "list of rectangles"),
        ([(5.5, 10, 30, 50)], "whole pixels"),
        ([(30, 10, 5, 50)], "y0 < y1"),
        ([(5, 10, 61, 50)], r"inside the image of shape \(60, 80\)"),
        ([(-1, 10, 30, 50)], "inside the image"),
    ],
)
def test_what_is_no_exemplar_is_refused(exemplar, message):
    with pytest.raises(ValueError, match=message):
        as_mask(exemplar, SHAPE)


def test_a_rectangle_is_described_by_itself():
    assert rectangles(box(5, 10, 30, 50)) == [(5, 10, 30, 50)]
    two = box(0, 0, 20, 20) | box(40, 60, 60, 80)
    assert rectangles(two) == [(0, 0, 20, 20), (40, 60, 60, 80)]


@given(st.integers(0, 1000), st.integers(1, 20), st.integers(1, 20))
def test_rectangles_are_the_mask_without_overlap(seed, height, width):
    mask = np.random.default_rng(seed).random((height, width)) < 0.6
    total = np.zeros(mask.shape, int)
    for y0, x0, y1, x1 in rectangles(mask):
        total[y0:y1, x0:x1] += 1
    np.testing.assert_array_equal(total, mask)


@given(st.integers(0, 1000), st.integers(1, 20), st.integers(1, 20))
def test_the_largest_rectangle_is_inside(seed, height, width):
    mask = np.random.default_rng(seed).random((height, width)) < 0.8
    mask[0, 0] = True
    y0, x0, y1, x1 = largest_rectangle(mask)
    assert mask[y0:y1, x0:x1].all()
    assert y1 > y0
    assert x1 > x0


def test_the_largest_rectangle_is_large():
    assert largest_rectangle(box(5, 10, 30, 70)) == (5, 10, 30, 70)
    assert largest_rectangle(box(5, 10, 55, 15) | box(0, 60, 4, 64)) == (5, 10, 55, 15)
    y0, x0, y1, x1 = largest_rectangle(disc())
    assert (y1 - y0) * (x1 - x0) > 0.6 * disc().sum()
