"""Chunks of lazy layers, and napari's cache."""

import dask.array as da
import numpy as np
import torch
import zarr
from napari.utils import resize_dask_cache

from napari_periodic_denoise.viewer.layers.lazily import (
    chunk_by_plane,
    compute,
    is_lazy,
    seed_cache,
)
from napari_periodic_denoise.viewer.layers.plane import Plane

PLANE = Plane((1, 2), (0,))


def test_arrays_in_memory_stay_as_they_are():
    for data in (np.zeros((4, 16, 16)), torch.zeros(4, 16, 16)):
        assert chunk_by_plane(data, PLANE) is data


def test_other_arrays_get_one_plane_per_chunk(tmp_path):
    np.save(tmp_path / "stack.npy", np.arange(4 * 16 * 16).reshape(4, 16, 16))
    mapped = np.load(tmp_path / "stack.npy", mmap_mode="r")
    on_disk = zarr.array(mapped, chunks=(3, 8, 16))
    for data in (mapped, on_disk, da.from_array(mapped, chunks=(3, 8, 16))):
        planes = chunk_by_plane(data, PLANE)
        assert is_lazy(planes)
        assert is_lazy([planes])
        assert planes.chunks[0] == (1,) * 4
        np.testing.assert_array_equal(planes, mapped)
    rows = chunk_by_plane(mapped, Plane((0, 2), (0,)))
    assert rows.chunks == ((4,), (1,) * 16, (16,))


def test_computed_results_are_in_naparis_cache():
    asked = []

    def load(block):
        asked.append(block.shape)
        return block

    data = np.arange(4 * 16 * 16).reshape(4, 16, 16)
    source = da.from_array(data, chunks=(1, 16, 16)).map_blocks(load, meta=data[:0])
    value, computed = compute(source[2, 3, 4])
    assert value == data[2, 3, 4]
    assert asked == [(1, 16, 16)]
    cache = resize_dask_cache().cache
    before = cache.total_bytes
    seed_cache(computed)
    assert cache.total_bytes >= before + data[2].nbytes
