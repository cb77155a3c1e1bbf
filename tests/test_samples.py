"""The sample images."""

import numpy as np
import pytest

from napari_periodic_denoise.samples import CELL_INTERFERENCE, SAMPLES, cell_with_interference


@pytest.mark.parametrize("make", SAMPLES)
def test_samples_are_grey_images_with_their_origin(make):
    sample = make()
    assert sample.image.ndim == 2
    assert sample.image.dtype == np.uint8
    assert sample.name
    assert "(" in sample.attribution  # the licence
    np.testing.assert_array_equal(make().image, sample.image)


def test_the_interference_is_added_and_rounded():
    from skimage.data import cell

    sample = cell_with_interference()
    y, x = np.indices(sample.image.shape)
    noise = sum(
        a * np.cos(2 * np.pi * (fy * y + fx * x) + p) for fy, fx, a, p in CELL_INTERFERENCE
    )
    clean = 0.6 * cell() + 51
    np.testing.assert_allclose(sample.image - clean, noise, atol=0.51)
    assert sample.image.min() > 0
    assert sample.image.max() < 255


def test_no_frequency_is_on_the_images_grid():
    shape = np.array(cell_with_interference().image.shape)
    for fy, fx, *_ in CELL_INTERFERENCE:
        cycles = shape * (fy, fx)
        assert np.abs(cycles - np.rint(cycles)).max() > 0.05
