"""OME-Zarr images: opened lazily, written chunk by chunk, all else about them kept."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

_METADATA = {"zarr.json", ".zarray", ".zattrs"}
_DEFAULT_AXES = "tczyx"  # before version 0.3


@dataclass(frozen=True, slots=True)
class OmeZarr:
    """An image in a folder of OME-Zarr.

    Attributes
    ----------
    path : Path
    names : tuple of str
        Of the levels, the finest first, in the folder.
    levels : tuple of zarr.Array
    axes : tuple of str
    """

    path: Path
    names: tuple[str, ...]
    levels: tuple[zarr.Array[Any], ...]
    axes: tuple[str, ...]

    @property
    def plane_axes(self) -> tuple[int, int]:
        """Where rows and columns are among the axes."""
        return self.axes.index("y"), self.axes.index("x")

    @property
    def channel_axis(self) -> int | None:
        """Where the channels are among the axes."""
        return self.axes.index("c") if "c" in self.axes else None


def open_zarr(path: Path) -> OmeZarr:
    """Open an OME-Zarr image, of which no pixels are read yet.

    Parameters
    ----------
    path : Path

    Returns
    -------
    OmeZarr

    Raises
    ------
    ValueError
        If the folder holds no OME-Zarr image, or several.
    """
    group = zarr.open(path, mode="r")
    metadata = _metadata(group.attrs.asdict())
    images = metadata.get("multiscales")
    if not isinstance(group, zarr.Group) or not images:
        inside = "plate" in metadata or "bioformats2raw.layout" in metadata
        where = "; pass the folders of the images in it one by one" if inside else ""
        raise ValueError(f"no image of OME-Zarr{where}")
    if len(images) > 1:
        raise ValueError(f"{len(images)} multiscale images in one folder; one is taken")
    names = tuple(str(dataset["path"]) for dataset in images[0]["datasets"])
    levels = []
    for name in names:
        level = group.get(name)
        if not isinstance(level, zarr.Array):
            raise ValueError(f"level {name} is missing or no array")
        levels.append(level)
    told = images[0].get("axes", _DEFAULT_AXES[-levels[0].ndim :])
    axes = tuple(axis["name"] if isinstance(axis, Mapping) else axis for axis in told)
    if not {"y", "x"} <= set(axes) or any(level.ndim != len(axes) for level in levels):
        raise ValueError(
            f"axes {', '.join(axes)}, where y and x and those of the arrays are taken"
        )
    return OmeZarr(path, names, tuple(levels), axes)


def copy_without_pixels(image: OmeZarr, target: Path) -> list[zarr.Array[Any]]:
    """Copy a folder, labels and all, with nothing in the levels; return these, to be filled.

    Parameters
    ----------
    image : OmeZarr
    target : Path
        Not there yet.
    """
    levels = {image.path / name for name in image.names}

    def pixels(folder: str, names: list[str]) -> set[str]:
        return set(names) - _METADATA if Path(folder) in levels else set()

    try:
        shutil.copytree(image.path, target, ignore=pixels)
    except shutil.Error as error:
        _, _, reason = error.args[0][0]  # the first of one for each file
        raise OSError(reason) from error
    return _levels(zarr.open_group(target, mode="r+"), image.names)


def make_for_noise(image: OmeZarr, target: Path) -> list[zarr.Array[Any]]:
    """Make a folder for the noise of an image, and return its levels, to be filled.

    Parameters
    ----------
    image : OmeZarr
        Of which axes, pixel size and the channels' names are kept.
    target : Path
        Not there yet.
    """
    source = zarr.open_group(image.path, mode="r")
    attributes = deepcopy(source.attrs.asdict())
    for channel in _metadata(attributes).get("omero", {}).get("channels", []):
        channel.pop("window", None)  # the display range of the image
    group = zarr.create_group(
        target, zarr_format=source.metadata.zarr_format, attributes=attributes
    )
    for name, level in zip(image.names, image.levels, strict=True):
        stored: Any = level.metadata
        if stored.zarr_format == 2:
            keys = {"name": "v2", "separator": stored.dimension_separator}
        else:
            keys = stored.chunk_key_encoding
        group.create_array(
            name,
            shape=level.shape,
            chunks=level.chunks,
            shards=level.shards,
            dtype=np.float32,
            dimension_names=getattr(stored, "dimension_names", None),
            chunk_key_encoding=keys,
        )
    return _levels(group, image.names)


def _levels(group: zarr.Group, names: tuple[str, ...]) -> list[zarr.Array[Any]]:
    return [level for name in names if isinstance(level := group[name], zarr.Array)]


def _metadata(attributes: dict[str, Any]) -> dict[str, Any]:
    """What OME has written, which from version 0.5 on has a place of its own."""
    metadata: dict[str, Any] = attributes.get("ome", attributes)
    return metadata
