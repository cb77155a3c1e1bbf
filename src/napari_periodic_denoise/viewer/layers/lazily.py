"""Rechunk lazy layers by plane, and seed napari's cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dask.base import is_dask_collection
from dask.local import get_sync
from napari.utils import resize_dask_cache

from napari_periodic_denoise.stacks.layout import is_in_memory
from napari_periodic_denoise.viewer.layers.plane import Plane

Computed = Mapping[Any, Any]


def is_lazy(data: Any) -> bool:  # noqa: ANN401
    """Whether an array, or the first level of a pyramid, is a dask array."""
    return is_dask_collection(data[0] if isinstance(data, list) else data)


def chunk_by_plane(data: Any, plane: Plane) -> Any:  # noqa: ANN401
    """Return an array in memory as it is, and any other as a lazy array with one plane per chunk.

    The data's own chunks may hold many planes, and showing one plane would clean them all.

    Parameters
    ----------
    data : array-like
    plane : Plane
        Any plane of the array.
    """
    if is_in_memory(data):
        return data
    import dask.array as da

    if is_dask_collection(data):
        return da.asarray(data).rechunk(dict.fromkeys(plane.stacked, 1), method="tasks")
    chunks = tuple(1 if axis in plane.stacked else -1 for axis in range(data.ndim))
    return da.from_array(data, chunks=chunks)


def compute(array: Any) -> tuple[Any, Computed]:  # noqa: ANN401
    """Compute a lazy array of one element, in this thread.

    Parameters
    ----------
    array : dask.array.Array, shape ()

    Returns
    -------
    value : object
    computed : mapping
        All intermediate results by key, for :func:`seed_cache`.
    """
    (key,) = array.__dask_keys__()
    graph = array.__dask_graph__().cull({key})
    keys = list(graph)
    # without dask's callbacks: napari's cache is one of them, and is not thread-safe
    computed = dict(zip(keys, get_sync(graph, keys, callbacks=[]), strict=True))
    return computed[key], computed


def seed_cache(computed: Computed) -> None:
    """Put computed results into the cache that napari looks in first.

    Parameters
    ----------
    computed : mapping
    """
    cache = resize_dask_cache().cache
    for key, value in computed.items():
        nbytes = getattr(value, "nbytes", 0)
        if nbytes:  # dask's cost, seconds per byte, as for a task of 1 s
            cache.put(key, value, cost=1e-9 / nbytes, nbytes=nbytes)
