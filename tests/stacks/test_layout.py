import dask.array as da
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_periodic_denoise.stacks.layout import Layout, is_in_memory


def test_axes_have_their_roles():
    layout = Layout.of(5, (-3, -2), -1)
    assert layout == Layout((2, 3, 4), (0, 1), 2)
    data = np.empty((2, 3, 40, 50, 4))
    assert layout.stacked_shape(data) == (2, 3)
    assert layout.plane_shape(data) == (40, 50, 4)
    assert layout.noise_shape(data, 1) == (2, 3, 40, 50, 3)
    assert data[layout.at((1, 2))].shape == (40, 50, 4)
    assert data[layout.at((slice(0, 1), 2))].shape == (1, 40, 50, 4)


@given(st.integers(2, 5).flatmap(lambda n: st.tuples(st.just(n), st.permutations(range(n)))))
def test_planes_and_stacked_axes_are_all_axes(drawn):
    ndim, order = drawn
    channel = order[2] if ndim > 2 else None
    layout = Layout.of(ndim, (order[0], order[1] - ndim), channel)
    assert sorted([*layout.plane, *layout.stacked]) == list(range(ndim))
    data = np.empty(tuple(range(3, 3 + ndim)))
    index = (0,) * len(layout.stacked)
    assert data[layout.at(index)].shape == layout.plane_shape(data)
    if channel is not None:
        assert layout.plane[layout.channel_axis] == channel


@pytest.mark.parametrize(
    ("axes", "channel", "message"),
    [
        ((0, 3), None, "expected axes of a stack with 3 axes"),
        ((0, 1), -4, "expected axes of a stack with 3 axes"),
        ((0, -3), None, "expected two different plane_axes"),
        ((0, 1), 1, "another channel_axis"),
        ((0, 1, 2), None, "expected two different plane_axes"),
    ],
)
def test_wrong_axes_are_refused(axes, channel, message):
    with pytest.raises(ValueError, match=message):
        Layout.of(3, axes, channel)


def test_without_channels_the_noise_has_the_shape_of_the_stack():
    assert Layout.of(3, (1, 2), None).noise_shape(np.empty((5, 6, 7)), 0) == (5, 6, 7)


def test_arrays_in_memory_and_elsewhere(tmp_path):
    array = np.zeros((4, 16, 16))
    np.save(tmp_path / "stack.npy", array)
    mapped = np.load(tmp_path / "stack.npy", mmap_mode="r")
    assert is_in_memory(array)
    assert is_in_memory(torch.zeros(4, 16, 16))
    assert not is_in_memory(mapped)
    assert not is_in_memory(da.from_array(array))
