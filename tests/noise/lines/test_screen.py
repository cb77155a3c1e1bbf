import numpy as np
import pytest
import skimage.data
import torch

from napari_periodic_denoise.noise.input import normalize
from napari_periodic_denoise.noise.lines.screen import may_show_lines


def shows(image, ignored=None):
    given = normalize(image)
    return may_show_lines(given.pixels, given.quantum, ignored)


def noisy(offsets, seed=0, size=512):
    """White noise of deviation 1, with offsets of columns."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(size, size)) + offsets).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_random_noise_is_left_after_a_look(seed):
    assert not shows(noisy(0, seed))


@pytest.mark.parametrize("name", ["camera", "grass", "gravel"])
@pytest.mark.parametrize("is_turned", [False, True])
def test_clean_images_are_left_after_a_look(name, is_turned):
    image = getattr(skimage.data, name)()
    assert not shows(np.ascontiguousarray(image.T) if is_turned else image)


def test_weak_offsets_of_all_columns_are_seen():
    rng = np.random.default_rng(1)
    assert shows(noisy(0.2 * rng.normal(size=512)))


def test_offsets_of_rows_are_not_those_of_columns():
    rng = np.random.default_rng(1)
    assert not shows(noisy(0.2 * rng.normal(size=(512, 1))))


def test_a_single_column_is_seen():
    offsets = np.zeros(512)
    offsets[200] = 1
    assert shows(noisy(offsets))


def test_a_streak_along_a_part_of_a_column_is_seen():
    offsets = np.zeros((512, 512))
    offsets[100:250, 200] = 3
    assert shows(noisy(offsets))


def test_offsets_are_seen_where_there_is_no_other_noise():
    offsets = np.zeros(512, np.uint8)
    offsets[[100, 300]] = 1
    assert shows(np.broadcast_to(50 + offsets, (512, 512)).copy())


def test_ignored_pixels_show_no_lines():
    offsets = np.zeros(512)
    offsets[200] = 5
    ignored = torch.zeros(512, 512, dtype=torch.bool)
    ignored[:, 200] = True
    assert not shows(noisy(offsets), ignored)


def test_small_images_have_no_streaks():
    assert not shows(noisy(0, size=20))
