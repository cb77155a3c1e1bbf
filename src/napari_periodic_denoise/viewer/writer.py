"""Saving an image layer from napari: its pixel size in the TIFF file, its record beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_periodic_denoise.viewer.layers.pixel_size import symbol
from napari_periodic_denoise.viewer.layers.results import METADATA_KEY

_AXES = "TZCYX"  # the last ones, where the layer does not name its axes so
_LENGTHS = ("pm", "Å", "nm", "µm", "mm", "cm", "m")  # by the names that OME knows
_BIG = 2**32 - 2**25  # bytes of pixels, above which offsets may not fit into 32 bits


def write_image_and_record(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:  # noqa: ANN401
    """Write an image layer as OME-TIFF, and what a result layer records as JSON.

    Called by napari, whose own files have neither pixel size nor record. Lazy layers are
    computed page by page.

    Parameters
    ----------
    path : str
        Of the TIFF file; the JSON file has the same name and ``.json``.
    data : array-like, or sequence of the levels of a pyramid
        Of which the finest is written.
    attributes : dict
        Of the layer.

    Returns
    -------
    list of str
        The files that were written; each is written whole or not at all.
    """
    import tifffile

    from napari_periodic_denoise.io.atomic import replacing, write_json

    pixels = data[0] if attributes["multiscale"] else data
    shape, dtype = tuple(pixels.shape), np.dtype(pixels.dtype)
    stacked = shape[: -3 if attributes["rgb"] else -2]

    def pages() -> Iterator[np.ndarray]:
        for index in np.ndindex(stacked):
            yield np.ascontiguousarray(pixels[index])

    # of more axes, and of types that OME has not, tifffile's own words tell the shape
    is_ome = len(stacked) <= 3 and dtype.name not in ("bool", "float16", "int64", "uint64")
    with replacing(Path(path)) as file:
        tifffile.imwrite(
            file,
            pages(),
            shape=shape,
            dtype=dtype,
            photometric="rgb" if attributes["rgb"] else "minisblack",
            bigtiff=int(np.prod(shape)) * dtype.itemsize > _BIG,
            ome=is_ome,
            metadata=_physical(len(stacked), attributes) if is_ome else {},
        )
    written = [path]
    record = attributes["metadata"].get(METADATA_KEY)
    if record is not None:
        written.append(f"{path}.json")
        write_json(Path(written[-1]), record)
    return written


def _physical(stacked: int, attributes: dict[str, Any]) -> dict[str, Any]:
    """Axes and pixel size in OME's terms."""
    axes = "".join(attributes["axis_labels"]).upper()
    usual = _AXES[3 - stacked :]
    if sorted(axes) != sorted(set(axes) & set(_AXES)) or axes[-2:] != "YX":
        axes = usual
    told = {"axes": axes + "S" * attributes["rgb"]}
    for axis, step, unit in zip(axes, attributes["scale"], attributes["units"], strict=True):
        if axis in "XYZ":
            size = abs(float(step)) * unit
            is_length = size.is_compatible_with("µm")
            if is_length and symbol(unit) not in _LENGTHS:
                size = size.to("µm")
            told[f"PhysicalSize{axis}"] = size.magnitude
            told[f"PhysicalSize{axis}Unit"] = symbol(size.units) if is_length else "pixel"
    return told
