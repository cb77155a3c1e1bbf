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
        """Axes of rows and columns."""
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
        raise ValueError(f"no OME-Zarr image in this folder{where}")
    if len(images) > 1:
        raise ValueError(
            f"expected one multiscale image in the folder, got {len(images)}; copy each into a "
            "folder of its own"
        )
    names = tuple(str(dataset["path"]) for dataset in images[0]["datasets"])
    levels = []
    for name in names:
        level = group.get(name)
        if not isinstance(level, zarr.Array):
            raise ValueError(f"level {name} is missing or not an array")
        levels.append(level)
    told = images[0].get("axes", _DEFAULT_AXES[-levels[0].ndim :])
    axes = tuple(axis["name"] if isinstance(axis, Mapping) else axis for axis in told)
    if not {"y", "x"} <= set(axes) or any(level.ndim != len(axes) for level in levels):
        raise ValueError(
            f"expected axes y and x and {levels[0].ndim} in all, got {', '.join(axes)}"
        )
    return OmeZarr(path, names, tuple(levels), axes)


def copy_without_pixels(image: OmeZarr, target: Path) -> list[zarr.Array[Any]]:
    """Copy a folder, labels and all, with empty levels; return these, to be filled.

    Parameters
    ----------
    image : OmeZarr
    target : Path
        Not there yet. It gets the permissions of new files, whatever those of the image are.
    """
    levels = {image.path / name for name in image.names}
    _copy(image.path, target, levels)
    return _levels(zarr.open_group(target, mode="r+"), image.names)


def _copy(source: Path, target: Path, levels: set[Path]) -> None:
    """Copy a folder, but of levels only the metadata."""
    target.mkdir()
    for path in source.iterdir():
        if source in levels and path.name not in _METADATA:
            continue
        if path.is_dir():
            _copy(path, target / path.name, levels)
        else:
            shutil.copyfile(path, target / path.name)


def make_for_noise(image: OmeZarr, target: Path) -> list[zarr.Array[Any]]:
    """Make a folder for the noise of an image, and return its levels, to be filled.

    Parameters
    ----------
    image : OmeZarr
        Its axes, pixel size and the channels' names are kept.
    target : Path
        Not there yet.
    """
    source = zarr.open_group(image.path, mode="r")
    attributes = deepcopy(source.attrs.asdict())
    for channel in _metadata(attributes).get("omero", {}).get("channels", []):
        if "window" in channel:
            channel["window"] = _window_of_noise(channel["window"])
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


def _window_of_noise(window: dict[str, float]) -> dict[str, float]:
    """Display window as wide as the image's, around zero."""
    half = {
        name: max(abs(window.get(high, 0) - window.get(low, 0)) / 2, 0.5)
        for name, low, high in (("limit", "min", "max"), ("shown", "start", "end"))
    }
    limit = max(half.values())
    return {"min": -limit, "max": limit, "start": -half["shown"], "end": half["shown"]}


def _levels(group: zarr.Group, names: tuple[str, ...]) -> list[zarr.Array[Any]]:
    return [level for name in names if isinstance(level := group[name], zarr.Array)]


def _metadata(attributes: dict[str, Any]) -> dict[str, Any]:
    """What OME has written, which from version 0.5 on has a place of its own."""
    metadata: dict[str, Any] = attributes.get("ome", attributes)
    return metadata
