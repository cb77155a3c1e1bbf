"""Result layers: their arguments, records, delivery and updates. No code here opens a window."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from napari.utils.transforms import Affine

from napari_periodic_denoise.stacks.layout import is_in_memory
from napari_periodic_denoise.viewer.layers.lazily import is_lazy, seed_cache
from napari_periodic_denoise.viewer.layers.outcome import Outcome, symmetric_limits
from napari_periodic_denoise.viewer.layers.plane import PREVIEW_SIZE, Plane

#: Key of ``layer.metadata`` under which a result layer keeps its record.
METADATA_KEY = "periodic_noise"

#: The channels of a colour layer, and the colormaps that napari has for them.
COLOURS = ("red", "green", "blue")

PLACEMENT = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")

_GAP = 0.05  # gap between Gram matrices, as a share of their spacing; a layout choice
_IN_CONTRAST = 0.95  # share of a Gram matrix within its contrast limits; the diagonal is beyond


def is_result(layer: Layer) -> bool:
    """Whether a layer was made by this plugin."""
    return bool(record_of(layer))


def record_of(layer: Layer) -> dict[str, Any]:
    """Return a result layer's record; of other layers an empty dict."""
    record = layer.metadata.get(METADATA_KEY)
    return record if isinstance(record, dict) else {}  # other plugins may use the key


def found_in(layer: Layer) -> dict[str, Any]:
    """Return a result layer's record of what was found; of other layers an empty dict."""
    record = record_of(layer)
    return record if "waves" in record or "planes" in record else {}


def is_of(layer: Layer, source: Image) -> bool:
    """Whether a layer is the result of a run on a source."""
    return found_in(layer).get("source_id") == str(source.unique_id)


def result_of(layers: Iterable[Layer], source: Image) -> Image | None:
    """Return a result layer of a source, or None."""
    return next((layer for layer in layers if is_of(layer, source)), None)


def pixels(layer: Image) -> Any:  # noqa: ANN401 - any array that napari accepts, perhaps lazy
    """Return the layer's array at full resolution, without computing or copying it."""
    return layer.data[0] if layer.multiscale else layer.data


def placement(layer: Layer) -> dict[str, Any]:
    """Return a layer's position in the world, as comparable plain values.

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


def _translation(layer: Layer, start: tuple[int, ...]) -> tuple[float, ...]:
    """Return the translation of a layer that starts at a pixel of another one."""
    to_world = Affine(
        scale=layer.scale,
        translate=layer.translate,
        rotate=layer.rotate,
        shear=layer.shear,
        ndim=layer.ndim,
    )
    return tuple(to_world(start))


def preview_arguments(
    source: Image, preview: np.ndarray, plane: Plane, name: str
) -> dict[str, Any]:
    """Return the arguments of the layer of a preview or an unfinished texture.

    Parameters
    ----------
    source : Image
        The layer that is previewed; only read.
    preview : ndarray
        The pixels. Large ones are subsampled.
    plane : Plane
        The plane of the source that is previewed.
    name : str
        Last word of the layer's name.

    Returns
    -------
    dict
        Keyword arguments for :class:`napari.layers.Image`, ``data`` among them.
    """
    step = max(1, math.isqrt(math.prod(preview.shape[:2])) // PREVIEW_SIZE)
    preview = preview[::step, ::step]
    scale = np.array(source.scale)
    scale[list(plane.axes)] *= step
    dtype = np.dtype(pixels(source).dtype)
    if source.rgb and np.issubdtype(dtype, np.integer):  # napari's float colours range from 0 to 1
        info = np.iinfo(dtype)
        preview = np.rint(preview).clip(info.min, info.max).astype(dtype)
    return {
        **placement(source),
        "translate": _translation(source, plane.start),
        "scale": tuple(scale),
        "data": plane.in_place(preview),
        "name": f"{source.name} {name}",
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


def gram_arguments(
    source: Image, gram: Mapping[str, np.ndarray], plane: Plane
) -> dict[str, dict[str, Any]]:
    """Return the arguments of the layers of Gram matrices, except name and metadata.

    The layers are to the right of the source, in rows that are together as high as it is. In a
    stack, they are at their plane.

    Parameters
    ----------
    source : Image
    gram : mapping of str to ndarray, shape (C, C)
        By the network's layer.
    plane : Plane
        The plane of the source that they describe.

    Returns
    -------
    dict of str to dict
        By result, such as ``"Gram conv1_1"``.
    """
    axes = list(plane.axes)
    (top, _), (bottom, right) = source.extent.world[:, axes]
    at = np.array(source.data_to_world(plane.start))
    scale = np.array(source.scale)
    rows = max(1, round(math.sqrt(len(gram))))
    columns = math.ceil(len(gram) / rows)
    step = (bottom - top) / rows
    results = {}
    for number, (layer, matrix) in enumerate(gram.items()):
        row, column = divmod(number, columns)
        pixel = (1 - _GAP) * step / len(matrix)
        limit = np.quantile(np.abs(matrix), _IN_CONTRAST)
        scale[axes] = pixel
        at[axes] = (
            top + row * step + pixel / 2,
            right + (column + _GAP) * step + pixel / 2,
        )
        results[f"Gram {layer}"] = {
            "data": plane.in_place(matrix),
            "colormap": "PiYG",  # white is zero
            "interpolation2d": "nearest",
            "contrast_limits": (-limit, limit) if limit else (-1.0, 1.0),
            "contrast_limits_range": symmetric_limits(matrix),
            "scale": tuple(scale),
            "translate": tuple(at),
            "rotate": np.eye(source.ndim).tolist(),
            "shear": (0.0,) * len(source.shear),
            "affine": np.eye(source.ndim + 1).tolist(),
        }
    return results


def result_arguments(source: Image, outcome: Outcome) -> list[dict[str, Any]]:
    """Return the arguments of the result layers.

    Colours cannot be negative, so the noise of a colour image is one layer per channel, as in
    napari's own split of such a layer.

    Parameters
    ----------
    source : Image
        The layer of the run; only read.
    outcome : Outcome

    Returns
    -------
    list of dict
        Keyword arguments for :class:`napari.layers.Image`, ``data`` among them, and their
        ``contrast_limits_range``. First the noise, then the cleaned image, then Gram matrices,
        if any.
    """
    results: dict[str, dict[str, Any]] = {}
    if source.rgb:
        for channel, colour in enumerate(COLOURS):
            results[f"noise {colour}"] = {
                "data": _channel(outcome.noise, channel),
                "colormap": colour,
                "blending": "additive" if channel else "translucent_no_depth",
            }
    else:
        results["noise"] = {"data": outcome.noise, "colormap": "gray"}
    for arguments in results.values():
        arguments["contrast_limits"] = outcome.limits
        arguments["contrast_limits_range"] = outcome.reach
    results["cleaned"] = {
        "data": outcome.cleaned,
        "colormap": source.colormap,
        "contrast_limits": tuple(source.contrast_limits),
        "contrast_limits_range": tuple(source.contrast_limits_range),
        "gamma": source.gamma,
    }
    if source.ndim > 2:
        for arguments in results.values():
            arguments["data"] = _like_stack(arguments["data"], source)
            arguments["multiscale"] = source.multiscale
    results |= gram_arguments(source, outcome.estimate.gram, outcome.plane)
    found = {
        "source": source.name,
        "source_id": str(source.unique_id),
        "input": _input(source, outcome),
        "made_of": outcome.made_of,
        **outcome.found,
    }
    return [
        {
            **placement(source),
            "translate": _translation(source, outcome.start),
            "name": f"{source.name} {result}",
            # explicit, because napari would guess that three columns are colours
            "rgb": source.rgb and result == "cleaned",
            "multiscale": False,
            "interpolation2d": source.interpolation2d,
            "metadata": {METADATA_KEY: {**found, "result": result}},
            **arguments,
        }
        for result, arguments in results.items()
    ]


def _input(source: Image, outcome: Outcome) -> dict[str, Any]:
    """Return what the run used as its input, as plain values."""
    shape = pixels(source).shape
    return {
        "path": source.source.path,
        "shape": list(shape),
        "plane_axes": list(outcome.plane.axes),
        "plane": list(outcome.plane.index),
        "rgb": source.rgb,
        "alpha": shape[-1] - len(COLOURS) if source.rgb else 0,
        "multiscale": source.multiscale,
        "lazy": is_lazy(outcome.cleaned),
    }


def _like_stack(data: Any, source: Image) -> Any:  # noqa: ANN401
    """Return one plane in the form of a whole stack's result: as a pyramid, as a lazy array.

    napari cannot turn a layer into a pyramid, and uses its cache only for layers that were lazy
    from the start.
    """
    if isinstance(data, np.ndarray) and not is_in_memory(pixels(source)):
        import dask.array

        data = dask.array.from_array(data, chunks=-1, name=False)
    return [data] if source.multiscale and not isinstance(data, list) else data


def _channel(data: Any, channel: int) -> Any:  # noqa: ANN401 - an array or a list of levels
    if isinstance(data, list):
        return [level[..., channel] for level in data]
    return data[..., channel]


def find_result(layers: Iterable[Layer], source: Image, result: str) -> Image | None:
    """Find the layer of an earlier run on the same source, even if it was renamed.

    Parameters
    ----------
    layers : iterable of Layer
        The viewer's layers.
    source : Image
    result : str
        ``"noise"``, in colour ``"noise red"`` and so on, ``"cleaned"``, or ``"Gram conv1_1"``
        and so on.

    Returns
    -------
    Image or None
        The first one, if the user has duplicated it.
    """
    for layer in layers:
        record = record_of(layer)
        if (record.get("source_id"), record.get("result")) == (str(source.unique_id), result):
            return layer
    return None


def index_above(layers: Sequence[Layer], source: Image) -> int:
    """Return the index at which a layer is inserted just above a source and its results.

    Parameters
    ----------
    layers : sequence of Layer
        The viewer's.
    source : Image
    """
    return 1 + max(
        index for index, layer in enumerate(layers) if layer is source or is_of(layer, source)
    )


def _other_grams(layers: Iterable[Layer], source: Image, gram: Iterable[str]) -> list[Layer]:
    """Return Gram matrices of other features from an earlier run, now replaced."""
    known = [f"Gram {layer}" for layer in gram]
    return [
        layer
        for layer in layers
        if (record := record_of(layer)).get("source_id") == str(source.unique_id)
        and record["result"].startswith("Gram ")
        and record["result"] not in known
    ]


def update(layer: Image, arguments: dict[str, Any]) -> None:
    """Put a new result into an existing layer; its name and appearance stay the user's.

    Parameters
    ----------
    layer : Image
    arguments : dict
        From :func:`result_arguments`.
    """
    layer.metadata = {**layer.metadata, **arguments["metadata"]}
    # hidden, as napari would compute planes that do not exist while data and position disagree
    visible, layer.visible = layer.visible, False
    replace_data(layer, arguments)
    layer.visible = visible


def replace_data(layer: Image, arguments: dict[str, Any]) -> None:
    """Replace a layer's data and position.

    Parameters
    ----------
    layer : Image
    arguments : dict
        ``data``, and those of `placement`.
    """
    layer.data = arguments["data"]
    position = placement(layer)
    for name in PLACEMENT:
        if position[name] != arguments[name]:
            setattr(layer, name, arguments[name])


def refresh(
    layers: Iterable[Layer], source: Image, outcome: Outcome, before: Outcome
) -> Generator[None, None, None]:
    """Show another subset of waves in the layers of a result, one step at a time.

    Parameters
    ----------
    layers : iterable of Layer
        The viewer's. Layers that the user has removed are not added again.
    source : Image
    outcome : Outcome
    before : Outcome
        Result of the run, whose contrast limits the layers have.

    Yields
    ------
    None
    """
    for arguments in result_arguments(source, outcome):
        result = arguments["metadata"][METADATA_KEY]["result"]
        layer = find_result(layers, source, result)
        if layer is not None:
            update(layer, arguments)
            if result.startswith("noise") and outcome.limits != before.limits:
                _set_contrast(layer, arguments)
            yield


def _set_contrast(layer: Image, arguments: dict[str, Any]) -> None:
    layer.contrast_limits_range = arguments["contrast_limits_range"]
    layer.contrast_limits = arguments["contrast_limits"]


def deliver(
    layers: Any,  # noqa: ANN401 - napari's LayerList
    source: Image,
    outcome: Outcome,
) -> Generator[None, None, None]:
    """Show the result of a run as layers, one step at a time.

    Each step is one slow action of napari: adding a layer takes about 0.1 s, drawing a large
    one for the first time as long again. The caller runs the event loop between the steps. If
    the generator is closed early, it removes the layers that it has added.

    Parameters
    ----------
    layers : LayerList
        The viewer's layers. New results are appended; those of an earlier run are updated.
    source : Image
    outcome : Outcome

    Yields
    ------
    None
    """
    added = []
    seed_cache(outcome.computed)
    try:
        for arguments in result_arguments(source, outcome):
            result = arguments["metadata"][METADATA_KEY]["result"]
            layer = find_result(layers, source, result)
            if layer is None:
                span = arguments.pop("contrast_limits_range")
                added.append(Image(**arguments, visible=False))
                added[-1].contrast_limits_range = span
                layers.append(added[-1])
            else:
                update(layer, arguments)
                if result != "cleaned":
                    _set_contrast(layer, arguments)
            yield
        for layer in added:
            layer.visible = True
            yield
        if outcome.estimate.gram:
            for layer in _other_grams(layers, source, outcome.estimate.gram):
                layers.remove(layer)
                yield
    except BaseException:  # GeneratorExit among them
        for layer in added:
            if layer in layers:
                layers.remove(layer)
        raise
