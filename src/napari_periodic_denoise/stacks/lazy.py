"""The dask graph of the planes of a stack; nothing is computed here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask.base import annotate, is_dask_collection
from dask.delayed import delayed
from dask.tokenize import tokenize
from numpy.typing import NDArray

from napari_periodic_denoise.noise.result import NoiseEstimate
from napari_periodic_denoise.stacks.planes import clean_level, clean_plane, naming_plane

if TYPE_CHECKING:
    from napari_periodic_denoise.stacks.layout import Layout

Array = Any  # dask's, whose own types are not to be had in full


def as_lazy(data: Any, layout: Layout) -> Array:  # noqa: ANN401
    """Return a dask array of any array, in the chunks that it is stored in.

    Parameters
    ----------
    data : array
        A dask array, or one with shards or chunks; any other is read plane by plane.
    layout : Layout
    """
    if is_dask_collection(data):
        return da.asarray(data)
    by_plane = tuple(-1 if axis in layout.plane else 1 for axis in range(data.ndim))
    stored = getattr(data, "shards", None) or getattr(data, "chunks", None)
    # an array inside each task goes to other processes with it; a memory map with all its pixels
    is_light = not isinstance(data, np.ndarray)
    return da.from_array(data, chunks=stored or by_plane, inline_array=is_light)


def clean_lazily(
    levels: list[Array], layout: Layout, options: dict[str, Any]
) -> list[tuple[Array, Array, Array]]:
    """Return noise, cleaned stack and estimates of each level, as arrays that compute later.

    Their names follow from those of the data and from the options. So a cache knows a plane that
    another graph has computed.

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
        As in `clean.StackEstimate`.
    """
    # a task of its own: an exemplar is as large as a plane, and is not copied for each. A call: if
    # a graph has a constant, dask looks at the names of all planes to find the tasks of one
    call = delayed(partial(dict, options), traverse=False)
    shared = call(dask_key_name=f"periodic-options-{tokenize(options)}")
    planes = [_planes(level, layout) for level in levels]
    finest = _tasks(_clean_block, [planes[0]], shared)
    blocks = [finest] + [
        _tasks(_level_block, [plane, planes[0], finest], shared) for plane in planes[1:]
    ]
    return [
        (
            _part_of("noise", block, level, layout, layout.noise_shape(level, options["alpha"])),
            _part_of("cleaned", block, level, layout, level.shape),
            block.map_blocks(_estimate_of, block.ndim, **objects(block.ndim)),
        )
        for block, level in zip(blocks, levels, strict=True)
    ]


def objects(ndim: int) -> dict[str, Any]:
    """Return the dtype and meta of an array of objects, which dask would find out by a trial.

    Parameters
    ----------
    ndim : int
    """
    return {"dtype": object, "meta": np.empty((0,) * ndim, object)}


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """The result of a plane's task, with its size for the caches of dask and napari."""

    estimate: NoiseEstimate

    @property
    def nbytes(self) -> int:
        return self.estimate.noise.nbytes + self.estimate.cleaned.nbytes

    def __sizeof__(self) -> int:
        return self.nbytes


def _planes(level: Array, layout: Layout) -> Array:
    """Return an array over the stacked axes whose blocks are the planes."""
    whole = {**dict.fromkeys(layout.plane, -1), **dict.fromkeys(layout.stacked, 1)}
    return level.rechunk(whole, method="tasks").map_blocks(
        np.squeeze,
        layout.stacked,
        drop_axis=list(layout.plane),
        dtype=level.dtype,
        meta=np.empty((0,) * len(layout.stacked), level.dtype),
    )


def _part_of(
    name: str, block: Array, level: Array, layout: Layout, shape: tuple[int, ...]
) -> Array:
    """Return one array of the estimates, with as many planes in a chunk as in the level."""
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


def _tasks(function: Callable[..., _Block], arrays: list[Array], options: Array) -> Array:
    """Return an array of ``function(*planes, options, shape, block_id)`` for each plane.

    dask does not fuse tasks of different annotations. So these stay apart from those that take
    the noise or the cleaned plane out of the result, nor those of a pyramid's levels: a cache has
    the result for all of them.
    """
    shape = arrays[0].numblocks
    name = f"periodic-noise-{tokenize(function, arrays, options)}"
    with annotate(periodic_noise=name):
        return da.map_blocks(
            function, *arrays, options, shape, name=name, **objects(arrays[0].ndim)
        )


def _clean_block(
    plane: NDArray[Any],
    options: dict[str, Any],
    shape: tuple[int, ...],
    block_id: tuple[int, ...],
) -> _Block:
    number = int(np.ravel_multi_index(block_id, shape)) if shape else 0
    with naming_plane(block_id):
        return _Block(clean_plane(plane, number, **options))


def _level_block(
    coarse: NDArray[Any],
    fine: NDArray[Any],
    found: _Block,
    options: dict[str, Any],
    _shape: tuple[int, ...],
    block_id: tuple[int, ...],
) -> _Block:
    with naming_plane(block_id):
        return _Block(clean_level(coarse, fine, found.estimate, options))


def _array_of(block: _Block, name: str, stacked: tuple[int, ...]) -> NDArray[Any]:
    return np.expand_dims(getattr(block.estimate, name), stacked)


def _estimate_of(block: _Block, ndim: int) -> NDArray[Any]:
    estimates = np.empty((1,) * ndim, object)
    estimates[(0,) * ndim] = block.estimate
    return estimates
