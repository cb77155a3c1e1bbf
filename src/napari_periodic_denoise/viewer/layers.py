"""From a source layer and its estimate to layers. Nothing here opens a window."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer

from napari_periodic_denoise.report import record

if TYPE_CHECKING:
    from napari_periodic_denoise import NoiseEstimate

#: Under this key of ``layer.metadata`` a result layer carries where it comes from.
METADATA_KEY = "periodic_noise"

#: The channels of a colour layer, and the colormaps that napari has for them.
COLOURS = ("red", "green", "blue")

PLACEMENT = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")

_PREVIEW = 1024  # pixels a side from which on an unfinished texture is shown thinned out
_GAP = 0.05  # between Gram matrices, and to the image, as a share of their distance
_USUAL = 0.95  # of a Gram matrix: elements within its contrast; the diagonal outshines the rest


def is_result(layer: Layer) -> bool:
    """Whether a layer was made by this plugin."""
    return bool(_record(layer))


def why_not_taken(layer: Image) -> str:
    """Say why a layer can't be worked on yet; empty where it can.

    Parameters
    ----------
    layer : Image

    Returns
    -------
    str
        What is taken, in words for the layer's owner.
    """
    if layer.ndim != 2:
        return (
            f"Only 2-D layers are taken yet, and this one is {layer.ndim}-D: "
            "choose one plane, for example with viewer.add_image(layer.data[0])."
        )
    return ""


def pixels(layer: Image) -> Any:  # noqa: ANN401 - whatever array napari was given, maybe lazy
    """Return the layer's array at full resolution, not computed and not copied."""
    return layer.data[0] if layer.multiscale else layer.data


def placement(layer: Layer) -> dict[str, Any]:
    """Where a layer lies in the world, as comparable plain values.

    Parameters
    ----------
    layer : Layer

    Returns
    -------
    dict
        Keyword arguments for a layer that covers the same place.
    """
    return {
        "scale": tuple(layer.scale),
        "translate": tuple(layer.translate),
        "rotate": np.asarray(layer.rotate).tolist(),
        "shear": tuple(layer.shear),
        "affine": layer.affine.affine_matrix.tolist(),
        "units": layer.units,
        "axis_labels": layer.axis_labels,
    }


def symmetric_limits(noise: np.ndarray) -> tuple[float, float]:
    """Contrast limits that hold all of the noise, with zero in the middle."""
    limit = float(max(noise.max(), -noise.min()))
    return (-limit, limit) if limit else (-1.0, 1.0)


def preview_arguments(source: Image, preview: np.ndarray) -> dict[str, Any]:
    """Everything that the layer of an unfinished texture is made with.

    Parameters
    ----------
    source : Image
        The layer the texture is made of; only read.
    preview : ndarray of float32
        The texture so far.

    Returns
    -------
    dict
        Keyword arguments for :class:`napari.layers.Image`, ``data`` among them.
    """
    step = max(1, max(preview.shape) // _PREVIEW)
    preview = preview[::step, ::step]
    dtype = np.dtype(pixels(source).dtype)
    if source.rgb and np.issubdtype(dtype, np.integer):  # napari takes float colours from 0 to 1
        info = np.iinfo(dtype)
        preview = np.rint(preview).clip(info.min, info.max).astype(dtype)
    return {
        **placement(source),
        "scale": tuple(step * source.scale),
        "data": preview,
        "name": f"{source.name} texture",
        "rgb": source.rgb,
        "multiscale": False,
        "interpolation2d": source.interpolation2d,
        "colormap": source.colormap,
        "contrast_limits": tuple(source.contrast_limits),
        "gamma": source.gamma,
        "metadata": {
            METADATA_KEY: {
                "source": source.name,
                "source_id": str(source.unique_id),
                "result": "preview",
            }
        },
    }


def gram_arguments(source: Image, gram: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """What the layers of Gram matrices are made with, but for name and metadata.

    They stand to the right of the source, in rows that are together as high as it is.

    Parameters
    ----------
    source : Image
    gram : mapping of str to ndarray, shape (C, C)
        By layer of the network.

    Returns
    -------
    dict of str to dict
        By result, as ``"Gram conv1_1"``.
    """
    (top, _), (bottom, right) = source.extent.world
    rows = max(1, round(math.sqrt(len(gram))))
    columns = math.ceil(len(gram) / rows)
    step = (bottom - top) / rows
    results = {}
    for place, (layer, matrix) in enumerate(gram.items()):
        row, column = divmod(place, columns)
        pixel = (1 - _GAP) * step / len(matrix)
        usual = np.quantile(np.abs(matrix), _USUAL)
        results[f"Gram {layer}"] = {
            "data": matrix,
            "colormap": "PiYG",  # white is zero
            "interpolation2d": "nearest",
            "contrast_limits": (-usual, usual) if usual else (-1.0, 1.0),
            "contrast_limits_range": symmetric_limits(matrix),
            "scale": (pixel, pixel),
            "translate": (
                top + row * step + pixel / 2,
                right + (column + _GAP) * step + pixel / 2,
            ),
            "rotate": np.eye(2).tolist(),
            "shear": (0.0,),
            "affine": np.eye(3).tolist(),
        }
    return results


def result_arguments(
    source: Image, estimate: NoiseEstimate, limits: tuple[float, float]
) -> list[dict[str, Any]]:
    """Everything that the result layers are made with.

    Signed values are no colours: the noise of a colour layer comes as a layer for each channel,
    as napari splits such a layer.

    Parameters
    ----------
    source : Image
        The layer the estimate was made of; only read.
    estimate : NoiseEstimate
    limits : tuple of float
        Contrast limits for the noise, see :func:`symmetric_limits`.

    Returns
    -------
    list of dict
        Keyword arguments for :class:`napari.layers.Image`, ``data`` among them, and their
        ``contrast_limits_range``; of the noise first, then of the cleaned image, then of Gram
        matrices, if there are any.
    """
    results: dict[str, dict[str, Any]] = {}
    if source.rgb:
        for channel, colour in enumerate(COLOURS):
            results[f"noise {colour}"] = {
                "data": estimate.noise[..., channel],
                "colormap": colour,
                "blending": "additive" if channel else "translucent_no_depth",
            }
    else:
        results["noise"] = {"data": estimate.noise, "colormap": "gray"}
    for arguments in results.values():
        arguments["contrast_limits"] = arguments["contrast_limits_range"] = limits
    results["cleaned"] = {
        "data": estimate.cleaned,
        "colormap": source.colormap,
        "contrast_limits": tuple(source.contrast_limits),
        "contrast_limits_range": tuple(source.contrast_limits_range),
        "gamma": source.gamma,
    }
    results |= gram_arguments(source, estimate.gram)
    found = {"source": source.name, "source_id": str(source.unique_id), **record(estimate)}
    return [
        {
            **placement(source),
            "name": f"{source.name} {result}",
            # said, not guessed: a cleaned layer of three columns is no colour image
            "rgb": source.rgb and result == "cleaned",
            "multiscale": False,
            "interpolation2d": source.interpolation2d,
            "metadata": {METADATA_KEY: {**found, "result": result}},
            **arguments,
        }
        for result, arguments in results.items()
    ]


def find_result(layers: Iterable[Layer], source: Image, result: str) -> Image | None:
    """Find the layer that an earlier run on the same source left, whatever it is called now.

    Parameters
    ----------
    layers : iterable of Layer
        The viewer's layers.
    source : Image
    result : str
        ``"noise"``, in colour ``"noise red"`` and so on, ``"cleaned"``, or of Gram matrices
        ``"Gram conv1_1"`` and so on.

    Returns
    -------
    Image or None
        The first one, should the user have duplicated it.
    """
    for layer in layers:
        record = _record(layer)
        if (record.get("source_id"), record.get("result")) == (str(source.unique_id), result):
            return layer
    return None


def _other_grams(layers: Iterable[Layer], source: Image, gram: Iterable[str]) -> list[Layer]:
    """Gram matrices of other features, from an earlier run, where new ones now stand."""
    known = [f"Gram {layer}" for layer in gram]
    return [
        layer
        for layer in layers
        if (record := _record(layer)).get("source_id") == str(source.unique_id)
        and record["result"].startswith("Gram ")
        and record["result"] not in known
    ]


def _record(layer: Layer) -> dict[str, Any]:
    record = layer.metadata.get(METADATA_KEY)
    return record if isinstance(record, dict) else {}  # else it is somebody else's


def update(layer: Image, arguments: dict[str, Any]) -> None:
    """Put a new result into the layer of an earlier one; its name and look stay the user's.

    Parameters
    ----------
    layer : Image
    arguments : dict
        As made by :func:`result_arguments`.
    """
    layer.data = arguments["data"]
    layer.metadata = {**layer.metadata, **arguments["metadata"]}
    place = placement(layer)
    for name in PLACEMENT:
        if place[name] != arguments[name]:
            setattr(layer, name, arguments[name])


def deliver(
    layers: Any,  # noqa: ANN401 - napari's LayerList
    source: Image,
    estimate: NoiseEstimate,
    limits: tuple[float, float],
) -> Generator[None, None, None]:
    """Show an estimate as layers, a step at a time.

    Each step is one thing that napari is slow at: a new layer costs it about a tenth of a
    second, drawing a large one for the first time as much again. Between the steps the caller
    lets the event loop run. Closed early, it removes again what it has added.

    Parameters
    ----------
    layers : LayerList
        The viewer's layers; the results go to the end, or into those of an earlier run.
    source : Image
    estimate : NoiseEstimate
    limits : tuple of float
        Contrast limits for the noise.

    Yields
    ------
    None
    """
    added = []
    try:
        for arguments in result_arguments(source, estimate, limits):
            span = arguments.pop("contrast_limits_range")
            result = arguments["metadata"][METADATA_KEY]["result"]
            layer = find_result(layers, source, result)
            if layer is None:
                added.append(Image(**arguments, visible=False))
                added[-1].contrast_limits_range = span
                layers.append(added[-1])
            else:
                update(layer, arguments)
                if result != "cleaned":
                    layer.contrast_limits_range = span
                    layer.contrast_limits = arguments["contrast_limits"]
            yield
        for layer in added:
            layer.visible = True
            yield
        if estimate.gram:
            for layer in _other_grams(layers, source, estimate.gram):
                layers.remove(layer)
                yield
    except BaseException:  # GeneratorExit among them
        for layer in added:
            if layer in layers:
                layers.remove(layer)
        raise
