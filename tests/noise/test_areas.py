import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_periodic_denoise.noise.areas import (
    as_exemplar,
    as_mask,
    as_protected,
    largest_rectangle,
    rectangles,
    subtraction_weight,
)

SHAPE = (60, 80)


def box(y0, x0, y1, x1, shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def disc(shape=SHAPE, centre=(30, 40), radius=20):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(y - centre[0], x - centre[1]) < radius


@pytest.mark.parametrize(
    "area",
    [
        box(5, 10, 30, 50),
        3 * box(5, 10, 30, 50).astype(np.uint16),
        -box(5, 10, 30, 50).astype(int),
        [(5, 10, 30, 50)],
        [[5.0, 10.0, 30.0, 50.0]],
        np.array([[5, 10, 30, 30], [5, 25, 30, 50]]),
    ],
)
def test_masks_labels_and_rectangles_say_the_same(area):
    np.testing.assert_array_equal(as_mask(area, SHAPE, "area"), box(5, 10, 30, 50))


@pytest.mark.parametrize(
    ("exemplar", "message"),
    [
        (np.zeros(SHAPE, bool), "empty"),
        ([], "empty"),
        (box(0, 0, 15, 15), "225 pixels; at least 256 are needed"),
        (np.ones((80, 60), bool), r"shape \(60, 80\).*bool of shape \(80, 60\)"),
        (np.ones(SHAPE), "mask or labels"),
        ((5, 10, 30, 50), "list of rectangles"),
        ("corner", "list of rectangles"),
        ([(1, 2), (3, 4, 5)], "list of rectangles"),
        ([(5, 10, 30)], "list of rectangles"),
        ([(5.5, 10, 30, 50)], "whole pixels"),
        ([(5, 10, np.inf, 50)], "whole pixels"),
        ([(5, np.nan, 30, 50)], "whole pixels"),
        ([(30, 10, 5, 50)], "y0 < y1"),
        ([(5, 10, 61, 50)], r"inside the image of shape \(60, 80\)"),
        ([(-1, 10, 30, 50)], "inside the image"),
    ],
)
def test_what_is_no_exemplar_is_refused(exemplar, message):
    with pytest.raises(ValueError, match=message):
        as_exemplar(exemplar, SHAPE)


def test_nothing_may_be_protected_but_not_all():
    assert not as_protected(np.zeros(SHAPE, int), SHAPE).any()
    assert not as_protected([], SHAPE).any()
    with pytest.raises(ValueError, match="only 255 pixels are unprotected; at least 256"):
        as_protected(~box(0, 0, 15, 17), SHAPE)


def test_an_areas_error_names_it():
    with pytest.raises(ValueError, match="expected protect as a mask"):
        as_protected(np.ones((3, 3), bool), SHAPE)


@given(
    st.integers(0, 40),
    st.integers(0, 60),
    st.integers(1, 20),
    st.integers(1, 20),
    st.integers(0, 30),
)
def test_the_noise_fades_from_all_to_none(y, x, height, width, edge):
    area = box(y, x, y + height, x + width)
    share = subtraction_weight(area, edge, torch.device("cpu")).numpy()
    assert (share[area] == 0).all()
    rows, columns = np.indices(SHAPE)
    distance = np.maximum(
        np.maximum(y - rows, rows - (y + height - 1)),
        np.maximum(x - columns, columns - (x + width - 1)),
    )
    assert (share[distance > edge] == 1).all()
    assert share.min() == 0
    assert share.max() <= 1
    # monotonous along each way out
    assert (np.diff(share[y, x + width - 1 :]) >= -1e-6).all()


@pytest.mark.parametrize("edge", [300.0, 1e9, 1e300])
def test_over_a_wide_edge_nothing_is_taken_away_and_nobody_waits(edge):
    share = subtraction_weight(box(5, 10, 9, 12), edge, torch.device("cpu"))
    assert not share.any()


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
