"""Write files and folders that appear under their name whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

import numpy as np

_TEMPORARY = ".napari-periodic-denoise-"


def write_json(path: Path, content: object) -> None:
    """Write plain values as JSON; the file appears whole or not at all.

    Parameters
    ----------
    path : Path
        As for :func:`write_image`.
    content : object
    """
    with replacing(path) as file:
        text = f"{json.dumps(content, indent=1, ensure_ascii=False)}\n"
        # of a file's name that is no Unicode, what is left after the escape is JSON still
        file.write(text.encode(errors="backslashreplace"))


def write_array(path: Path, pixels: Any) -> None:  # noqa: ANN401 - lazy ones too
    """Write an array as a file of numpy's, a part of it at a time; it appears whole or not at all.

    Parameters
    ----------
    path : Path
        As for :func:`write_image`.
    pixels : array-like
        Of at least one axis, along the first of which it is read.
    """
    first = np.asarray(pixels[:1])
    header = {
        "descr": np.lib.format.dtype_to_descr(first.dtype),
        "fortran_order": False,
        "shape": tuple(map(int, pixels.shape)),
    }
    with replacing(path) as file:
        np.lib.format.write_array_header_2_0(file, header)
        for part in range(pixels.shape[0]):
            file.write(np.ascontiguousarray(pixels[part], first.dtype).data)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file in the same folder that takes the name once all is written.

    Parameters
    ----------
    path : Path
        Its folder is made where needed; a file of that name is replaced.
    """
    temporary = _temporary(path)
    try:
        with temporary.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the name on an empty file
        temporary.replace(path)
    except BaseException:  # Ctrl-C too
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give the name of a temporary folder that takes its name once all is written.

    Parameters
    ----------
    path : Path
        As for `replacing`. Folders can't be exchanged at a blow: one that is replaced is moved
        out of the way first.
    """
    temporary = _temporary(path)
    try:
        yield temporary
        old = _temporary(path)
        if path.exists():
            path.replace(old)
        temporary.replace(path)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def remove_leftovers(folder: Path) -> None:
    """Remove what runs that were killed had begun to write.

    Parameters
    ----------
    folder : Path
        In which nothing else is writing.
    """
    for path in folder.glob(f"{_TEMPORARY}*.part"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _temporary(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f"{_TEMPORARY}{token_hex(4)}.part")
