"""Stacks on disk: how one is opened, and how its outputs are written."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from json import JSONDecodeError
from pathlib import Path
from typing import Any

import numpy as np

from napari_periodic_denoise.io.atomic import replacing, replacing_folder
from napari_periodic_denoise.io.images import ImageFile, ImageFileError, one_line, tiff_options
from napari_periodic_denoise.io.tiff_pages import TiffPages, TiffTarget


def identity_of(path: Path) -> tuple[int, int] | None:
    """Return what all names of one file share, or None if there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr store."""
    return any(identity_of(path / name) for name in ("zarr.json", ".zgroup", ".zarray"))


def check_memory(level: Any, plane_axes: tuple[int, int]) -> None:  # noqa: ANN401
    """Whether a plane can be held at all: a few bytes may promise any number of chunks."""
    if not hasattr(os, "sysconf"):  # Windows gives no memory that it does not have
        return
    needed = 2 * 4 * math.prod(level.shape[axis] for axis in plane_axes)  # it and its noise
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise ImageFileError(
            f"a plane takes at least {needed / 1e9:.0f} GB of memory, of which this computer has "
            f"{there / 1e9:.0f} GB"
        )


Targets = AbstractContextManager[list[Any]]  # arrays to be filled, one for each level


@dataclass(frozen=True, slots=True)
class StoredStack:
    """A stack on disk, and how such a one is written."""

    levels: list[Any]
    plane_axes: tuple[int, int]
    channel_axis: int | None
    open_cleaned: Callable[[Path], Targets]
    open_noise: Callable[[Path], Targets]
    alpha: int = 0
    as_noise: Callable[[Any], Any] = field(default=lambda noise: noise)


def zarr_stack(path: Path) -> StoredStack:
    """Open an OME-Zarr image as a stack.

    Parameters
    ----------
    path : Path
    """
    try:
        from napari_periodic_denoise.io.ome_zarr import (
            copy_without_pixels,
            make_for_noise,
            open_zarr,
        )
    except ImportError as error:
        raise ImageFileError(
            "zarr is not installed; pip install 'napari-periodic-denoise[zarr]'"
        ) from error
    try:
        image = open_zarr(path.absolute())
    except (KeyError, TypeError, AttributeError, IndexError, JSONDecodeError) as error:
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise ImageFileError(f"not a whole OME-Zarr image ({reason})") from error
    check_memory(image.levels[0], image.plane_axes)

    @contextmanager
    def made(make: Callable[..., list[Any]], target: Path) -> Iterator[list[Any]]:
        with replacing_folder(target) as folder:
            yield make(image, folder)

    return StoredStack(
        levels=list(image.levels),
        plane_axes=image.plane_axes,
        channel_axis=image.channel_axis,
        open_cleaned=lambda target: made(copy_without_pixels, target),
        open_noise=lambda target: made(make_for_noise, target),
    )


def tiff_stack(image: ImageFile) -> StoredStack:
    """Return the stack that a TIFF file holds.

    Parameters
    ----------
    image : ImageFile
        Of several pages.
    """
    pages, axes = image.pixels, image.axes
    assert isinstance(pages, TiffPages)

    @contextmanager
    def cleaned(target: Path) -> Iterator[list[Any]]:
        options = tiff_options(image.calibration)
        with replacing(target) as file:
            told = (pages.shape, pages.dtype, pages.page_ndim, pages.positions, options)
            yield [TiffTarget(file, *told)]

    @contextmanager
    def noise(target: Path) -> Iterator[list[Any]]:
        shape, ndim, positions = pages.shape, pages.page_ndim, list(pages.positions)
        names = axes
        if "S" in axes:
            assert image.channel_axis is not None
            samples = pages.shape[image.channel_axis] - image.alpha
            names = axes.replace("S", "")[:-2] + "SYX"
            sizes = dict(zip(axes, shape, strict=True), S=samples)
            shape, ndim = tuple(sizes[name] for name in names), 2
            positions = list(range(math.prod(shape[:-2])))
        counts = {name: n for name, n in zip(names, shape, strict=True) if name not in "YX"}
        channels = counts.pop("C", 1) * counts.pop("S", 1)
        frames = counts.pop("T", 1)
        calibration = image.calibration.of_noise(
            channels, math.prod(counts.values()), frames, is_same_shape=names == axes
        )
        with replacing(target) as file:
            options = tiff_options(replace(calibration, photometric=1))
            yield [TiffTarget(file, shape, np.float32, ndim, positions, options)]

    def as_noise(level: Any) -> Any:  # noqa: ANN401
        # signed values are no colours: a page for each
        return np.moveaxis(level, axes.index("S"), -3) if "S" in axes else level

    return StoredStack(
        levels=[pages],
        plane_axes=(axes.index("Y"), axes.index("X")),
        channel_axis=image.channel_axis,
        alpha=image.alpha,
        open_cleaned=cleaned,
        open_noise=noise,
        as_noise=as_noise,
    )
