"""Axes of stacks, and where their pixels are."""

import dask.array as da
import numpy as np
import pytest
import torch

from napari_periodic_denoise.stacks.layout import Layout, is_in_memory


def test_arrays_in_memory_and_elsewhere(tmp_path):
    array = np.zeros((4, 16, 16))
    np.save(tmp_path / "stack.npy", array)
    mapped = np.load(tmp_path / "stack.npy", mmap_mode="r")
    assert is_in_memory(array)
    assert is_in_memory(torch.zeros(4, 16, 16))
    assert not is_in_memory(mapped)
    assert not is_in_memory(da.from_array(array))


def test_axes_of_planes_channels_and_the_stack():
    layout = Layout.of(5, (-3, -2), -1)
    assert (layout.plane, layout.stacked, layout.channel_axis) == ((2, 3, 4), (0, 1), 2)
    data = np.zeros((6, 5, 4, 3, 4))
    assert layout.stacked_shape(data) == (6, 5)
    assert layout.plane_shape(data) == (4, 3, 4)
    assert layout.noise_shape(data, alpha=1) == (6, 5, 4, 3, 3)
    assert data[layout.at((1, 2))].shape == (4, 3, 4)


@pytest.mark.parametrize(
    ("plane_axes", "channel_axis"), [((0, 3), None), ((1, 1), None), ((1, 2), 2), ((1, 2), 7)]
)
def test_axes_that_are_wrong(plane_axes, channel_axis):
    with pytest.raises(ValueError, match="plane_axes"):
        Layout.of(3, plane_axes, channel_axis)
