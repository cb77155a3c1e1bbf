"""The graph of a stack's planes, for dask: nothing is computed here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask.base import is_dask_collection
from dask.delayed import delayed
from dask.highlevelgraph import HighLevelGraph
from dask.tokenize import tokenize
from numpy.typing import NDArray

from napari_periodic_denoise.noise.result import NoiseEstimate
from napari_periodic_denoise.stacks.planes import clean_level, clean_plane, naming_plane

if TYPE_CHECKING:
    from napari_periodic_denoise.stacks.layout import Layout

Which = tuple[int, tuple[int, ...]]  # the number of a plane, and its place in the stack
Array = Any  # dask's, whose own types are not to be had in full


def as_lazy(data: Any, layout: Layout) -> Array:  # noqa: ANN401
    """Return a dask array of any array, in the chunks in which it is stored.

    Parameters
    ----------
    data : array
        Of dask; or with shards or chunks; or else taken plane by plane.
    layout : Layout
    """
    if is_dask_collection(data):
        return da.asarray(data)
    by_plane = tuple(-1 if axis in layout.plane else 1 for axis in range(data.ndim))
    stored = getattr(data, "shards", None) or getattr(data, "chunks", None)
    return da.from_array(data, chunks=stored or by_plane)


def clean_lazily(
    levels: list[Array], layout: Layout, options: dict[str, Any]
) -> list[tuple[Array, Array, Array]]:
    """Return noise, cleaned stack and estimates of each level, as arrays yet to be computed.

    Their names follow from the data's and the options, so that what one graph has computed, a
    cache has for another.

    Parameters
    ----------
    levels : list of dask.array.Array
        Of the same stacked axes, the finest first.
    layout : Layout
    options : dict
        Of `planes.clean_plane`.

    Returns
    -------
    list of (noise, cleaned, estimates)
        As `stack.StackEstimate` has them.
    """
    # a task of its own, as an exemplar is as large as a plane: else every plane's had a copy
    told = delayed(options, name=f"periodic-options-{tokenize(options)}", traverse=False)
    planes = [_planes(level, layout) for level in levels]
    finest = _tasks(_clean_block, [planes[0]], told)
    blocks = [finest] + [
        _tasks(_level_block, [plane, planes[0], finest], told) for plane in planes[1:]
    ]
    return [
        (
            _taken("noise", block, level, layout, layout.noise_shape(level, options["alpha"])),
            _taken("cleaned", block, level, layout, level.shape),
            block.map_blocks(_estimate_of, block.ndim, **objects(block.ndim)),
        )
        for block, level in zip(blocks, levels, strict=True)
    ]


def objects(ndim: int) -> dict[str, Any]:
    """Return what dask is to know of an array of objects, rather than to try it out.

    Parameters
    ----------
    ndim : int
    """
    return {"dtype": object, "meta": np.empty((0,) * ndim, object)}


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """What a task makes of a plane; tells its size to the caches of dask and napari."""

    estimate: NoiseEstimate

    @property
    def nbytes(self) -> int:
        return self.estimate.noise.nbytes + self.estimate.cleaned.nbytes

    def __sizeof__(self) -> int:
        return self.nbytes


def _planes(level: Array, layout: Layout) -> Array:
    """Array over the stacked axes whose blocks are the planes."""
    whole = {**dict.fromkeys(layout.plane, -1), **dict.fromkeys(layout.stacked, 1)}
    return level.rechunk(whole, method="tasks").map_blocks(
        np.squeeze,
        layout.stacked,
        drop_axis=list(layout.plane),
        dtype=level.dtype,
        meta=np.empty((0,) * len(layout.stacked), level.dtype),
    )


def _taken(name: str, block: Array, level: Array, layout: Layout, shape: tuple[int, ...]) -> Array:
    """Array of one of the estimates' arrays, in as large chunks of planes as the level's."""
    dtype = np.dtype(np.float32) if name == "noise" else level.dtype
    result = block.map_blocks(
        _array_of,
        name,
        layout.stacked,
        new_axis=list(layout.plane),
        chunks=tuple((1,) * n if i in layout.stacked else (n,) for i, n in enumerate(shape)),
        dtype=dtype,
        meta=np.empty((0,) * level.ndim, dtype),
    )
    return result.rechunk({i: level.chunks[i] for i in layout.stacked}, method="tasks")


def _tasks(function: Callable[..., _Block], arrays: list[Array], *shared: Array) -> Array:
    """Array of what a function makes of each plane's number, of its arrays, and of what all share.

    As `dask.array.map_blocks`, but a task that dask does not fuse with those which take the noise
    or the cleaned plane out of its result: so that a cache has it for the other one.
    """
    name = f"periodic-noise-{tokenize(function, arrays, shared)}"
    keys = [one.key for one in shared]
    tasks: dict[Any, Any] = {
        (name, *index): (
            function,
            (number, index),
            *((array.name, *index) for array in arrays),
            *keys,
        )
        for number, index in enumerate(np.ndindex(arrays[0].numblocks))
    }
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=[*arrays, *shared])
    return da.Array(graph, name, arrays[0].chunks, **objects(arrays[0].ndim))


def _clean_block(which: Which, plane: NDArray[Any], options: dict[str, Any]) -> _Block:
    number, index = which
    with naming_plane(index):
        return _Block(clean_plane(plane, number, **options))


def _level_block(
    which: Which, coarse: NDArray[Any], fine: NDArray[Any], found: _Block, options: dict[str, Any]
) -> _Block:
    with naming_plane(which[1]):
        return _Block(clean_level(coarse, fine, found.estimate, options))


def _array_of(block: _Block, name: str, stacked: tuple[int, ...]) -> NDArray[Any]:
    return np.expand_dims(getattr(block.estimate, name), stacked)


def _estimate_of(block: _Block, ndim: int) -> NDArray[Any]:
    estimates = np.empty((1,) * ndim, object)
    estimates[(0,) * ndim] = block.estimate
    return estimates
