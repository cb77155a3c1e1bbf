"""Writer for image layers: OME-TIFF with the pixel size, and the record as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_periodic_denoise.viewer.layers.pixel_size import symbol
from napari_periodic_denoise.viewer.layers.results import METADATA_KEY

_AXES = "TZCYX"  # OME's names; the last ones apply if the layer's axes have other names
_LENGTHS = ("pm", "Å", "nm", "µm", "mm", "cm", "m")  # names in the OME schema, UnitsLength


def write_image_and_record(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:  # noqa: ANN401
    """Write an image layer as OME-TIFF, and the record of a result layer as JSON.

    napari calls this. Its own writer saves neither the pixel size nor the record. Lazy layers
    are computed page by page.

    Parameters
    ----------
    path : str
        Path of the TIFF file. The JSON file has the same name plus ``.json``.
    data : array-like, or sequence of the levels of a pyramid
        The pixels. Of a pyramid, the finest level is written.
    attributes : dict
        The layer's attributes, as napari passes them.

    Returns
    -------
    list of str
        The files that were written, each atomically.
    """
    import tifffile

    from napari_periodic_denoise.io.atomic import replacing, write_json
    from napari_periodic_denoise.io.tiff_pages import needs_bigtiff

    pixels = data[0] if attributes["multiscale"] else data
    shape, dtype = tuple(pixels.shape), np.dtype(pixels.dtype)
    stacked = shape[: -3 if attributes["rgb"] else -2]

    def pages() -> Iterator[np.ndarray]:
        for index in np.ndindex(stacked):
            yield np.ascontiguousarray(pixels[index])

    # OME has at most five axes and not all types; tifffile's own metadata hold any shape
    is_ome = len(stacked) <= 3 and dtype.name not in ("bool", "float16", "int64", "uint64")
    with replacing(Path(path)) as file:
        tifffile.imwrite(
            file,
            pages(),
            shape=shape,
            dtype=dtype,
            photometric="rgb" if attributes["rgb"] else "minisblack",
            bigtiff=needs_bigtiff(shape, dtype),
            ome=is_ome,
            metadata=_ome_metadata(len(stacked), attributes) if is_ome else {},
        )
    written = [path]
    record = attributes["metadata"].get(METADATA_KEY)
    if record is not None:
        written.append(f"{path}.json")
        write_json(Path(written[-1]), record)
    return written


def _ome_metadata(stacked: int, attributes: dict[str, Any]) -> dict[str, Any]:
    """Return axes and pixel size as OME metadata."""
    axes = "".join(attributes["axis_labels"]).upper()
    default = _AXES[3 - stacked :]
    if sorted(axes) != sorted(set(axes) & set(_AXES)) or axes[-2:] != "YX":
        axes = default
    metadata = {"axes": axes + "S" * attributes["rgb"]}
    for axis, step, unit in zip(axes, attributes["scale"], attributes["units"], strict=True):
        if axis in "XYZ":
            size = abs(float(step)) * unit
            is_length = size.is_compatible_with("µm")
            if is_length and symbol(unit) not in _LENGTHS:
                size = size.to("µm")
            metadata[f"PhysicalSize{axis}"] = size.magnitude
            metadata[f"PhysicalSize{axis}Unit"] = symbol(size.units) if is_length else "pixel"
    return metadata
