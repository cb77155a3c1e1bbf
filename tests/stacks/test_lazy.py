import pickle
import sys

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from cachey import Cache
from dask.cache import Cache as DaskCache
from dask.highlevelgraph import Layer

from napari_periodic_denoise import clean_stack
from napari_periodic_denoise.stacks import lazy
from stacks import SHAPE, stack

OPTIONS = {"optimization.fuse.active": False}  # as napari looks at dask arrays


@pytest.fixture
def computed(monkeypatch):
    """Planes that were computed, in turn."""
    planes = []

    def counting(plane, *number, **options):
        planes.append(plane)
        return real(plane, *number, **options)

    real = lazy.clean_plane
    monkeypatch.setattr(lazy, "clean_plane", counting)
    return planes


CHUNKS = [(1, 1, 64, 80), (2, (2, 1), 32, 80), (1, 3, (10, 54), 40)]


@pytest.mark.parametrize("chunks", CHUNKS)
def test_lazy_is_eager_and_keeps_the_chunks_of_stacked_axes(chunks, computed):
    data = stack(2, 3)
    source = da.from_array(data, chunks=chunks)
    result, expected = clean_stack(source), clean_stack(data)
    for made in (result.noise, result.cleaned):
        assert made.shape == source.shape
        assert made.chunks == (*source.chunks[:2], (64,), (80,))
    assert (result.noise.dtype, result.cleaned.dtype) == (np.float32, data.dtype)
    assert result.estimates.shape == (2, 3)
    assert not computed
    noise, cleaned, estimates = dask.compute(result.noise, result.cleaned, result.estimates)
    assert len(computed) == 6  # asked for together, computed once
    np.testing.assert_array_equal(noise, expected.noise)
    np.testing.assert_array_equal(cleaned, expected.cleaned)
    for found, wanted in zip(estimates.flat, expected.estimates.flat, strict=True):
        assert found.waves == wanted.waves


def test_only_what_is_asked_for_is_read_and_computed(computed):
    read = []

    def load(block_info=None):
        read.append(block_info[None]["chunk-location"])
        return stack(1)

    source = da.map_blocks(
        load, chunks=((1,) * 50, 64, 80), dtype=np.uint16, meta=np.zeros((0, 0, 0))
    )
    result = clean_stack(source)
    assert not read
    result.cleaned[7].compute()
    assert read == [(7, 0, 0)]
    assert len(computed) == 1
    dask.compute(result.noise[9:11, 5:20], result.estimates[9])
    assert len(computed) == 3


def test_a_slice_of_the_result_is_the_result_of_the_slice():
    source = da.from_array(stack(4), chunks=(1, 64, 80))
    np.testing.assert_array_equal(
        clean_stack(source).cleaned[1:3], clean_stack(source[1:3]).cleaned
    )


def test_names_follow_from_data_and_options():
    def noise(**options):
        return clean_stack(da.from_array(stack(2), chunks=(1, 64, 80)), **options).noise.name

    assert noise() == noise()
    assert noise(seed=1) == noise(seed=1) != noise()
    area = np.ones(SHAPE, bool)
    area[:, :20] = False
    assert noise(exemplar=area) == noise(exemplar=area.copy()) != noise(exemplar=area[:, ::-1])


def test_the_cache_that_napari_looks_through_knows_the_plane(computed):
    result = clean_stack(da.from_array(stack(3), chunks=(1, 64, 80)))
    cache = DaskCache(Cache(1e8))
    for _ in range(2):
        with dask.config.set(OPTIONS), cache:
            for array in (result.noise, result.cleaned):
                np.asarray(array[1])
    assert len(computed) == 1


def test_caches_are_told_how_large_a_plane_is():
    block = lazy._clean_block(stack(1)[0], {}, (1,), (0,))
    expected = block.estimate.noise.nbytes + block.estimate.cleaned.nbytes
    assert block.nbytes == expected
    assert expected <= dask.sizeof.sizeof(block) < 1.1 * expected


def calls_for_a_plane(planes):
    """Count calls of Python functions that dask needs to find the tasks of one plane."""
    source = zarr.create_array({}, shape=(planes, 64, 80), chunks=(1, 64, 80), dtype=np.uint16)
    result = clean_stack(source)
    parts = result.cleaned[5], result.noise[5], result.estimates[5]
    count = 0

    def counting(_frame, event, _argument):
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(counting)
    try:
        dask.optimize(*parts)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.skipif(not hasattr(Layer, "has_legacy_tasks"), reason="older dask visits all planes")
def test_the_tasks_of_a_plane_are_found_without_a_look_at_the_others():
    calls_for_a_plane(10)  # the first time takes more
    assert calls_for_a_plane(2000) < 1.2 * calls_for_a_plane(10)


@pytest.mark.skipif(not hasattr(Layer, "has_legacy_tasks"), reason="older dask visits all planes")
def test_no_layer_makes_dask_collect_the_names_of_all_tasks():
    result = clean_stack(zarr.create_array({}, shape=(9, 64, 80), chunks=(1, 64, 80), dtype="u2"))
    for part in (result.cleaned, result.noise, result.estimates):
        assert not any(layer.has_legacy_tasks for layer in part.dask.layers.values())


def test_a_result_can_be_sent_and_persisted():
    result = clean_stack(da.from_array(stack(2), chunks=(1, 64, 80)))
    expected = result.cleaned.compute()
    for same in (pickle.loads(pickle.dumps(result.cleaned)), result.cleaned.persist()):
        np.testing.assert_array_equal(same, expected)
