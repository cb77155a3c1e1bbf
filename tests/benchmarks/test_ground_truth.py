import numpy as np
import pytest

from benchmarks.ground_truth import directions, ground_truth


def wave(fy, fx, shape=(200, 256)):
    y, x = np.indices(shape)
    return np.cos(2 * np.pi * (fy * y + fx * x) + 1)


@pytest.mark.parametrize(("fy", "fx"), [(0.0131, 0.0274), (-0.21, 0.083), (0.0, 0.11), (0.3, 0.0)])
def test_the_direction_of_a_wave_is_known_to_a_fraction_of_a_degree(fy, fx):
    (angle,) = directions(wave(fy, fx))
    off = angle - np.degrees(np.arctan2(fy, fx))
    assert abs((off + 90) % 180 - 90) < 0.5


def test_directions_are_sorted_by_strength_without_repeating_harmonics():
    noise = wave(0.1, 0) + 2 * wave(0, 0.05) + wave(0, 0.15)
    assert [round(abs(angle)) % 180 for angle in ground_truth(noise).directions] == [0, 90]


def test_no_more_than_four_directions_are_given():
    angles = np.radians(np.arange(0, 180, 25))
    assert len(directions(sum(wave(0.2 * np.sin(a), 0.2 * np.cos(a)) for a in angles))) == 4
