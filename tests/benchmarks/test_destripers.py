import numpy as np
import pytest

from benchmarks.destripers import in_each_direction, rotated
from benchmarks.families import bundled, rejection
from benchmarks.field import LINE_METHODS, OURS
from benchmarks.ground_truth import GroundTruth


def wave(shape, angle, frequency=0.06):
    y, x = np.indices(shape)
    direction = np.radians(angle)
    return np.cos(2 * np.pi * frequency * (np.sin(direction) * y + np.cos(direction) * x))


@pytest.mark.parametrize("angle", [-60.0, 20.0, 90.0, 135.0])
def test_a_rotated_wave_runs_along_x(angle):
    upright = rotated(wave((90, 120), angle), angle)
    middle = upright[len(upright) // 2 - 20 : len(upright) // 2 + 20, 50:90]
    assert np.ptp(middle, axis=0).max() < 0.05
    assert np.ptp(middle, axis=1).min() > 1.9


def test_an_image_rotated_back_is_unchanged():
    image = bundled("moon", 128)
    back = rotated(rotated(image, 33.0), -33.0, image.shape)
    assert rejection(back[1:-1, 1:-1], image[1:-1, 1:-1]) > 25


@pytest.mark.parametrize("angle", [0.0, 90.0, -35.0])
def test_a_filter_of_upright_stripes_finds_those_of_another_direction(angle):
    noise = wave((128, 150), angle)

    def remove(upright):  # what goes on down the columns
        return upright - np.median(upright, 0, keepdims=True)

    estimate = in_each_direction(noise, GroundTruth((angle,), noise), remove)
    assert np.std((estimate - noise)[20:-20, 20:-20]) < 0.15 * np.std(noise)


def test_directions_are_taken_one_after_the_other():
    noise = np.ones((40, 50))
    truth = GroundTruth((0.0, 90.0), noise)
    estimate = in_each_direction(noise, truth, lambda upright: upright / 2)
    np.testing.assert_allclose(estimate, 0.75)


@pytest.mark.parametrize("name", [name for name in LINE_METHODS if name != OURS])
def test_each_method_for_lines_removes_rows_that_it_is_told_of(name):
    method = LINE_METHODS[name]
    pytest.importorskip(method.package or "numpy")
    offsets = 10 * np.random.default_rng(1).normal(size=96)
    rows = np.broadcast_to(offsets[:, None], (96, 128))
    image = np.rint(100 + 60 * bundled("moon", 128)[:96] + rows).astype(np.uint8)
    best = max(
        rejection(method.noise(image, GroundTruth((90.0,), rows), setting), rows)
        for setting in method.settings
    )
    assert best > 3
