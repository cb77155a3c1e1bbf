"""The sample images as napari's layer data."""

from __future__ import annotations

from typing import Any

from napari_periodic_denoise import samples

LayerData = tuple[Any, dict[str, Any], str]


def cell_with_interference() -> list[LayerData]:
    """Return the cell with known interference as an image layer."""
    return [_as_layer(samples.cell_with_interference())]


def newspaper_halftone() -> list[LayerData]:
    """Return the newspaper photograph with its halftone as an image layer."""
    return [_as_layer(samples.newspaper_halftone())]


def _as_layer(sample: samples.Sample) -> LayerData:
    options = {"name": sample.name, "metadata": {"attribution": sample.attribution}}
    return sample.image, options, "image"
