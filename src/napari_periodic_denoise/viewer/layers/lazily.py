"""What of a lazy layer is computed already when napari comes to show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from dask.base import is_dask_collection
from dask.local import get_sync
from napari.utils import resize_dask_cache

from napari_periodic_denoise.viewer.layers.plane import Plane

Computed = Mapping[Any, Any]


def is_in_memory(data: Any) -> bool:  # noqa: ANN401
    """Whether an array is neither lazy nor on disk; only of use in a run, as it imports torch."""
    import torch

    return isinstance(data, np.ndarray | torch.Tensor) and not isinstance(data, np.memmap)


def is_lazy(data: Any) -> bool:  # noqa: ANN401
    """Whether an array, or the levels of a pyramid, are dask's."""
    return is_dask_collection(data[0] if isinstance(data, list) else data)


def by_planes(data: Any, plane: Plane) -> Any:  # noqa: ANN401
    """Return an array as it is if it is in memory, else as a lazy one in chunks of single planes.

    In the data's own chunks there may be many planes, and all of them would be cleaned to show
    one.

    Parameters
    ----------
    data : array-like
    plane : Plane
        Any of its planes.
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
        All that was computed on the way, for :func:`remember`.
    """
    (key,) = array.__dask_keys__()
    graph = array.__dask_graph__().cull({key})
    keys = list(graph)
    # none of dask's callbacks, one of which is napari's cache: they are not for several threads
    computed = dict(zip(keys, get_sync(graph, keys, callbacks=[]), strict=True))
    return computed[key], computed


def remember(computed: Computed) -> None:
    """Put what was computed into the cache in which napari looks first.

    Parameters
    ----------
    computed : mapping
    """
    cache = resize_dask_cache().cache
    for key, value in computed.items():
        nbytes = getattr(value, "nbytes", 0)
        if nbytes:  # the cost in dask's measure, of what took about a second
            cache.put(key, value, cost=1e-9 / nbytes, nbytes=nbytes)
