"""Stacks on disk: how one is opened, and how its outputs are written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from json import JSONDecodeError
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_periodic_denoise.io.atomic import replacing, replacing_folder
from napari_periodic_denoise.io.image_file import ImageFile, ImageFileError, one_line
from napari_periodic_denoise.io.memory import check_memory
from napari_periodic_denoise.io.tiff import tiff_options
from napari_periodic_denoise.io.tiff_copy import copying
from napari_periodic_denoise.io.tiff_pages import NewTiff, TiffTarget, Where


def identity_of(path: Path) -> tuple[int, int] | None:
    """Return what all names of one file share, or None if there is no such file.

    Parameters
    ----------
    path : Path
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def is_zarr(path: Path) -> bool:
    """Whether a path is a folder of Zarr.

    Parameters
    ----------
    path : Path
    """
    return any(identity_of(path / name) for name in ("zarr.json", ".zgroup", ".zarray"))


if TYPE_CHECKING:
    from napari_periodic_denoise.io.ome_zarr import OmeZarr

Targets = AbstractContextManager[list[Any]]  # arrays to be filled, one for each level


@dataclass(frozen=True, slots=True)
class StoredStack:
    """A stack on disk, and how its outputs are written."""

    levels: list[Any]
    plane_axes: tuple[int, int]
    channel_axis: int | None
    open_cleaned: Callable[[Path], Targets]
    open_noise: Callable[[Path], Targets]
    alpha: int = 0
    as_noise: Callable[[Any], Any] = field(default=lambda noise: noise)
    dropped: tuple[str, ...] = ()  # what of the source the outputs do not have


def zarr_stack(path: Path) -> StoredStack:
    """Return a stack in an OME-Zarr folder, and how it is written.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ImageFileError
        If zarr is not installed, or the folder is not a whole image.
    """
    try:
        from napari_periodic_denoise.io.ome_zarr import (
            copy_without_pixels,
            make_for_noise,
            open_zarr,
        )
    except ImportError as error:
        raise ImageFileError(
            "OME-Zarr needs the package zarr: pip install 'napari-periodic-denoise[zarr]'"
        ) from error
    try:
        image = open_zarr(path.absolute())
    except (KeyError, TypeError, AttributeError, IndexError, JSONDecodeError) as error:
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise ImageFileError(f"not a whole OME-Zarr image ({reason})") from error
    _check_memory(image)

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


def _check_memory(image: OmeZarr) -> None:
    """Raise an ImageFileError if the planes of a chunk exceed the computer's memory."""
    within = {*image.plane_axes, image.channel_axis}
    for level in image.levels:
        stored = level.shards or level.chunks
        sizes = [
            (axis in within, n, min(n, part))
            for axis, (n, part) in enumerate(zip(level.shape, stored, strict=True))
        ]
        check_memory(
            math.prod(n for in_plane, n, _ in sizes if in_plane),
            level.dtype.itemsize,
            math.prod(part for in_plane, _, part in sizes if not in_plane),
        )


def tiff_stack(image: ImageFile) -> StoredStack:
    """Return a stack in a TIFF file, and how it is written.

    Parameters
    ----------
    image : ImageFile
        With pages for pixels.
    """

    @contextmanager
    def cleaned(target: Path) -> Iterator[list[Any]]:
        with replacing(target) as file, copying(file, image.levels) as targets:
            yield targets

    def as_noise(level: Any) -> Any:  # noqa: ANN401
        # signed values are no colours: a page for each
        return np.moveaxis(level, image.axes.index("S"), -3) if "S" in image.axes else level

    return StoredStack(
        levels=list(image.levels),
        plane_axes=(image.axes.index("Y"), image.axes.index("X")),
        channel_axis=image.channel_axis,
        alpha=image.alpha,
        open_cleaned=cleaned,
        open_noise=partial(_tiff_noise, image),
        as_noise=as_noise,
        dropped=image.dropped,
    )


@contextmanager
def _tiff_noise(image: ImageFile, target: Path) -> Iterator[list[Any]]:
    """A new TIFF file for the noise of a stack, at full size only."""
    axes, shape = image.axes, image.levels[0].shape
    names = axes
    if "S" in axes:
        assert image.channel_axis is not None
        samples = shape[image.channel_axis] - image.alpha
        names = axes.replace("S", "")[:-2] + "SYX"
        sizes = dict(zip(axes, shape, strict=True), S=samples)
        shape = tuple(sizes[name] for name in names)
    counts = {name: n for name, n in zip(names, shape, strict=True) if name not in "YX"}
    channels = counts.pop("C", 1) * counts.pop("S", 1)
    frames = counts.pop("T", 1)
    calibration = image.calibration.of_noise(
        channels,
        math.prod(counts.values()),
        frames,
        is_same_shape=names == axes and image.is_whole_series,
    )
    with replacing(target) as file:
        full = NewTiff(file, shape, np.float32, tiff_options(calibration))
        yield [full, *(_Unwritten() for _ in image.levels[1:])]


class _Unwritten(TiffTarget):
    """Takes the planes of a level that is in no file."""

    def __setitem__(self, where: Where, planes: NDArray[Any]) -> None:
        pass
