import numpy as np

from benchmarks.families import bundled, corrupt, rejection
from benchmarks.oracle_notch import oracle_notch


def wave(shape, fy, fx):
    y, x = np.indices(shape)
    return 0.1 * np.cos(2 * np.pi * (fy * y + fx * x))


def removed(fy, fx):
    clean = bundled("camera", 256)
    noise = wave(clean.shape, fy, fx)
    image = corrupt(clean, noise, np.random.default_rng(0))
    return rejection(oracle_notch(image, 153 * noise), 153 * noise)


def test_a_wave_on_the_grid_of_the_transform_is_one_bin():
    assert removed(40 / 256, 52 / 256) > 35


def test_one_off_the_grid_leaks():
    assert 10 < removed(40.5 / 256, 52.5 / 256) < 25
