import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_periodic_denoise.noise.waves.frequency import (
    SAME_FREQUENCY,
    SAME_WAVE,
    distances,
    in_half_plane,
    is_near_any,
    is_nyquist,
    lowest_alias,
    onto_nyquist,
)

SHAPE = (200, 260)
ONE, OTHER = np.array([0.071, 0.032]), np.array([-0.025, 0.083])
frequencies = st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))


def test_opposite_and_aliased_frequencies_are_one():
    frequencies = np.array([ONE, -ONE, ONE + 1, OTHER])
    np.testing.assert_allclose(distances(frequencies, SHAPE)[0, :3], 0, atol=1e-9)
    assert distances(frequencies, SHAPE)[0, 3] > 5


@given(st.lists(frequencies, min_size=1, max_size=5))
def test_distances_are_symmetric_and_zero_to_oneself(points):
    between = distances(np.array(points), SHAPE)
    np.testing.assert_allclose(between, between.T, atol=1e-9)
    np.testing.assert_allclose(between.diagonal(), 0, atol=1e-9)


@given(st.floats(-5, 5))
def test_the_lowest_alias_differs_by_whole_cycles(frequency):
    (lowest,) = lowest_alias(np.array([frequency]))
    assert -0.5 <= lowest <= 0.5
    assert (frequency - lowest) == pytest.approx(round(frequency - lowest), abs=1e-9)


@pytest.mark.parametrize(
    ("cycles", "same_wave", "same_frequency"),
    [(0.5, True, True), (0.7, True, False), (1.1, True, False), (1.3, False, False)],
)
def test_each_threshold_has_its_distance(cycles, same_wave, same_frequency):
    beside = ONE + np.array([cycles / SHAPE[0], 0])
    assert is_near_any(beside, [OTHER, ONE], SHAPE) is same_wave
    assert is_near_any(beside, [OTHER, ONE], SHAPE, SAME_FREQUENCY) is same_frequency
    assert SAME_FREQUENCY < SAME_WAVE


def test_nothing_is_near_none():
    assert not is_near_any(ONE, [], SHAPE)
    assert is_near_any((-0.071, -0.032), [ONE], SHAPE)


def test_frequencies_near_nyquist_are_moved_onto_it():
    shape = (100, 200)
    close = np.array([[0.4999, -0.5], [0.5, 0.001], [0.001, 0.0005], [0.5, 0.25], [0.48, 0.5]])
    moved = onto_nyquist(close, shape)
    np.testing.assert_array_equal(moved[:2], [[0.5, -0.5], [0.5, 0.0]])
    np.testing.assert_array_equal(moved[2:], close[2:])
    np.testing.assert_array_equal(is_nyquist(moved), [True, True, False, False, False])


@pytest.mark.parametrize(
    ("frequency", "expected"),
    [
        ((0.0, 0.6), (0.0, 0.4)),
        ((-0.1, 0.2), (0.1, -0.2)),
        ((0.0, -0.2), (0.0, 0.2)),
        ((0.3, 0.4), (0.3, 0.4)),
    ],
)
def test_the_half_plane(frequency, expected):
    assert in_half_plane(np.array(frequency)) == pytest.approx(expected)
