"""Write a Python script that reproduces the arrays of a result layer from its record."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from pprint import pformat
from textwrap import fill
from typing import Any

import numpy as np

from napari_periodic_denoise.options import changed_options

Record = Mapping[str, Any]

_WIDTH = 88  # columns of the script


def is_replayable(record: Record) -> bool:
    """Whether the record of a layer is complete enough for a script."""
    return bool(record.get("made_of")) and ("settings" in record or "planes" in record)


def digest(pixels: Any) -> str:  # noqa: ANN401 - any array
    """Digest the shape, the dtype and the pixels of an array.

    Parameters
    ----------
    pixels : array-like

    Returns
    -------
    str
        BLAKE2b of 16 bytes, in hexadecimal digits.
    """
    array = np.asarray(pixels)
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    header = f"{array.shape} {array.dtype.name} ".encode()
    return hashlib.blake2b(header + array.tobytes(), digest_size=16).hexdigest()


def made_of(pixels: Any) -> dict[str, Any]:  # noqa: ANN401 - any array
    """Return everything that determines each bit of a result, except the settings.

    It must be called in the thread that computes the result.

    Parameters
    ----------
    pixels : array-like
        Input of the computation.

    Returns
    -------
    dict
    """
    import torch

    return {
        "pixels": digest(pixels),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "threads": torch.get_num_threads(),
    }


def is_made_of(record: Record, pixels: Any) -> bool:  # noqa: ANN401 - any array
    """Whether pixels are the input of a run. Of a stack, one plane is compared.

    Parameters
    ----------
    record : mapping
        Record of a result layer.
    pixels : array-like
        The whole image or stack.

    Returns
    -------
    bool
    """
    source = record["input"]
    if list(pixels.shape) != source["shape"]:
        return False
    stacked = _stacked(source)
    where = [slice(None)] * len(pixels.shape)
    for axis, i in stacked.items():
        where[axis] = slice(i, i + 1)
    plane = np.squeeze(np.asarray(pixels[tuple(where)]), tuple(stacked))
    return bool(digest(plane) == record["made_of"]["pixels"])


def is_in_file(record: Record) -> bool:
    """Whether the file of an image still contains the input of a run.

    Parameters
    ----------
    record : mapping
        Record of a result layer.

    Returns
    -------
    bool
    """
    from napari_periodic_denoise.io.images import ImageFileError, read_image

    path = record["input"]["path"]
    try:
        return path is not None and is_made_of(record, read_image(Path(path)).pixels)
    except ImageFileError:
        return False


def plane_of(record: Record, pixels: Any) -> Any:  # noqa: ANN401 - any array
    """Return the part of an image or stack that a run used: one plane, or all.

    Parameters
    ----------
    record : mapping
        Record of a result layer.
    pixels : array-like
        The whole image or stack.

    Returns
    -------
    array-like
    """
    stacked = {} if "planes" in record else _stacked(record["input"])
    return pixels[tuple(stacked.get(axis, slice(None)) for axis in range(len(pixels.shape)))]


def from_file(record: Record) -> str:
    """Return the line of a script that reads the image from its file.

    Parameters
    ----------
    record : mapping
        Record of a result layer, see `is_in_file`.

    Returns
    -------
    str
    """
    source = record["input"]
    path = _quoted(str(Path(source["path"]).absolute()))
    pixels = f"read_image(Path({path})).pixels"
    if not source["lazy"] and len(source["shape"]) > 2 + source["rgb"]:
        pixels = f"np.asarray({pixels})"
    return f"image = {pixels}{_index(record)}"


def from_array(record: Record, path: str) -> str:
    """Return the line of a script that reads the image from an ``.npy`` file.

    Parameters
    ----------
    record : mapping
        Record of a result layer.
    path : str
        Python expression for the path of the file with the array of `plane_of`.

    Returns
    -------
    str
    """
    lazily = ', mmap_mode="r"' if record["input"]["lazy"] else ""
    return f"image = np.load({path}{lazily})"


def from_array_to_be_saved(record: Record, layer: str | None) -> str:
    """Return the lines of a script that explain how to save the image, and read it.

    Parameters
    ----------
    record : mapping
        Record of a result layer.
    layer : str or None
        Name of the viewer's layer with the pixels. None if it no longer exists.

    Returns
    -------
    str
    """
    path = _quoted(array_name(record))
    how = f"# {path} is the image at the time of the run"
    if layer is not None:
        level = "[0]" if record["input"]["multiscale"] else ""
        data = f"viewer.layers[{_quoted(layer)}].data{level}{_index(record)}"
        how = (
            "# To save the image for this, in napari's console:\n"
            f"# import numpy as np; np.save({path}, {data})"
        )
    return f"{how}\n{from_array(record, path)}"


def array_name(record: Record) -> str:
    """Return a name for the ``.npy`` file of the image."""
    name = re.sub(r"[^\w.-]+", "_", record["source"])
    return f"{name}.npy"


def script(record: Record, load: str) -> str:
    """Return a script that reproduces the noise and the cleaned image of a result layer.

    Parameters
    ----------
    record : mapping
        Record of a result layer, see `is_replayable`.
    load : str
        Lines that assign the pixels to ``image``, from `from_file`, `from_array` or
        `from_array_to_be_saved`.

    Returns
    -------
    str
    """
    body = f"{load}\n{_of_stack(record) if 'planes' in record else _of_plane(record)}"
    functions = [f for f in ("clean_stack", "estimate_noise", "select_waves") if f"{f}(" in body]
    imports = [
        "".join(f"{line}\n" for sign, line in needed if sign in body)
        for needed in (
            [("Path(", "from pathlib import Path")],
            [("dask.", "import dask"), ("np.", "import numpy as np"), ("", "import torch")],
            [
                ("", f"from napari_periodic_denoise import {', '.join(functions)}"),
                ("read_image(", "from napari_periodic_denoise import read_image"),
            ],
        )
    ]
    threads = f"torch.set_num_threads({record['made_of']['threads']})"
    why = "# other numbers of threads change the last digits of sums"
    parts = [_header(record), *filter(None, imports), f"{threads}  {why}\n", body, ""]
    return "\n".join(parts)


def _header(record: Record) -> str:
    """Return a comment that says what the script reproduces."""
    made, found = record["made_of"], record["planes"][0] if "planes" in record else record
    words = (
        f"This script reproduces the noise of {record['source']} and the cleaned image. They "
        f"were computed by napari-periodic-denoise {found['version']} on "
        f"{found['settings']['device']} with torch {made['torch']} and numpy {made['numpy']}. On "
        "the same machine with the same versions, the arrays are the same to the bit. Otherwise "
        "they may differ in the last digits."
    )
    return fill(words, _WIDTH, initial_indent="# ", subsequent_indent="# ")


def _of_plane(record: Record) -> str:
    """Return the calls of a script for one plane."""
    source, settings = record["input"], record["settings"]
    call = _call(
        "estimate_noise", "colours" if source["alpha"] else "image", changed_options(settings)
    )
    lines = [f"estimate = {call}"]
    cleaned = "estimate.cleaned"
    if source["alpha"]:
        lines[:0] = ["colours, alpha = image[..., :3], image[..., 3:]"]
        cleaned = "np.concatenate([estimate.cleaned, alpha], axis=-1)"
    if settings.get("off") or settings.get("on"):
        image = "colours" if source["alpha"] else "image"
        keys = {"off": settings["off"]} | ({"on": settings["on"]} if settings.get("on") else {})
        switched = _call("select_waves", f"{image}, estimate", keys)
        lines.append(f"estimate = {switched}")
    lines += [f"noise, cleaned = estimate.noise, {cleaned}", "print(estimate.summary)"]
    return "\n".join(lines)


def _of_stack(record: Record) -> str:
    """Return the calls of a script for a stack."""
    source, model = record["input"], record["model"]
    ndim = len(source["shape"])
    axes: dict[str, Any] = {}
    if source["plane_axes"] != [ndim - 2, ndim - 1]:
        axes["plane_axes"] = tuple(source["plane_axes"])
    if source["rgb"]:
        axes["channel_axis"] = -1
    if source["alpha"]:
        axes["alpha"] = source["alpha"]
    if model != "per_plane":
        axes["model"] = model
    result = "result.noise, result.cleaned"
    if source["lazy"]:
        result = f"dask.compute({result})  # all planes"
    call = _call(
        "clean_stack", "image", {**changed_options(record["planes"][0]["settings"]), **axes}
    )
    return f"result = {call}\nnoise, cleaned = {result}"


def _call(function: str, first: str, options: Mapping[str, Any]) -> str:
    """Return a call, on one line if it fits."""
    arguments = [first, *(f"{name}={_literal(value)}" for name, value in options.items())]
    line = f"{function}({', '.join(arguments)})"
    if len(line) <= _WIDTH and "\n" not in line:
        return line
    indented = "".join(f"    {line},\n".replace("\n ", "\n     ") for line in arguments)
    return f"{function}(\n{indented})"


def _literal(value: Any) -> str:  # noqa: ANN401
    """Return Python for a JSON value, with tuples for points and rectangles."""
    if isinstance(value, list):
        value = [tuple(part) if isinstance(part, list) else part for part in value]
    if isinstance(value, str):
        return _quoted(value)
    return pformat(value, width=_WIDTH - 8, compact=True, sort_dicts=False)


def _quoted(words: str) -> str:
    """Return a Python string literal."""
    return json.dumps(words, ensure_ascii=False)


def _stacked(source: Mapping[str, Any]) -> dict[int, int]:
    """Position of the plane of a run along each stacked axis."""
    axes = range(len(source["shape"]) - source["rgb"])
    stacked = [axis for axis in axes if axis not in source["plane_axes"]]
    return dict(zip(stacked, source["plane"], strict=True))


def _index(record: Record) -> str:
    """Return Python for the index of a run's plane in a stack; empty for other runs."""
    stacked = _stacked(record["input"])
    if not stacked or "planes" in record:
        return ""
    parts = [str(stacked.get(axis, ":")) for axis in range(max(stacked) + 1)]
    return f"[{', '.join(parts)}]"
