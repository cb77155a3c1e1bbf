import numpy as np
import pytest

from benchmarks.families import rejection
from benchmarks.ground_truth import GroundTruth
from benchmarks.medians import line_median, median_difference

FLAT = np.full((60, 80), 100.0)


def offsets(count):
    return np.random.default_rng(1).normal(size=count)


@pytest.mark.parametrize("median", [line_median, median_difference])
def test_a_median_finds_offsets_along_the_lines_that_it_is_told(median):
    rows = np.broadcast_to(offsets(60)[:, None], FLAT.shape)
    across, along = (median(FLAT + rows, GroundTruth((angle,), rows), 31) for angle in (90.0, 0.0))
    assert rejection(across, rows) > 10
    np.testing.assert_allclose(along, 0, atol=1e-12)


@pytest.mark.parametrize("median", [line_median, median_difference])
def test_what_is_slow_across_the_lines_is_left(median):
    slope = np.broadcast_to(0.1 * np.arange(80.0), FLAT.shape)
    estimate = median(FLAT + slope, GroundTruth((0.0,), slope), 11)
    np.testing.assert_allclose(estimate[:, 25:-25], 0, atol=1e-9)


def test_columns_and_rows_are_taken_one_after_the_other():
    noise = offsets(80)[None] + offsets(60)[:, None]
    estimate = line_median(FLAT + noise, GroundTruth((0.0, 90.0), noise), 31)
    assert rejection(estimate, noise) > 8
