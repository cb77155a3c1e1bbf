"""Images in TIFF, PNG and JPEG files: read with what they say, written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from napari_periodic_denoise.io.atomic import replacing
from napari_periodic_denoise.io.image_file import (
    Calibration,
    ImageFile,
    ImageFileError,
    one_line,
)
from napari_periodic_denoise.io.pillow import read_pillow, write_png
from napari_periodic_denoise.io.tiff import copy_tiff, read_tiff, write_tiff

__all__ = [
    "Calibration",
    "ImageFile",
    "ImageFileError",
    "is_image",
    "lossless",
    "one_line",
    "read_image",
    "write_cleaned",
    "write_image",
]

_KINDS = {".tif": "TIFF", ".tiff": "TIFF", ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_SIGNATURES = {
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",  # BigTIFF
    b"MM\0+": "TIFF",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
}
_OPEN = "TIFF (.tif, .tiff), PNG (.png), JPEG (.jpg, .jpeg) and OME-Zarr (.zarr)"
#: What to do with files of other kinds.
_BIO_FORMATS = (
    "convert it to OME-TIFF first, for example with Bio-Formats: bfconvert IN OUT.ome.tif"
)
_FIJI = "convert it to TIFF first, for example with Fiji: File > Save As > Tiff"
_PYTHON = "save the image in it as TIFF first, for example with tifffile.imwrite in Python"
_ZIPPED = "unpack it into a folder with a name that ends in .zarr"
_OTHERS = {
    **dict.fromkeys(
        (".czi", ".lif", ".nd2", ".oib", ".oif", ".lsm", ".vsi", ".ims"), _BIO_FORMATS
    ),
    **dict.fromkeys((".dv", ".sld", ".stk", ".ndpi", ".svs", ".scn", ".qptiff"), _BIO_FORMATS),
    **dict.fromkeys((".mrc", ".mrcs", ".rec", ".dm3", ".dm4", ".ser", ".emd"), _BIO_FORMATS),
    **dict.fromkeys((".gif", ".bmp", ".webp", ".jp2", ".avi", ".fits", ".dcm"), _FIJI),
    **dict.fromkeys((".h5", ".hdf5", ".npy", ".npz", ".mat", ".n5"), _PYTHON),
    **dict.fromkeys((".zip", ".ozx"), _ZIPPED),
}


def read_image(path: Path, channel_axis: int | None = None) -> ImageFile:
    """Read an image, grey or of several channels, or open a stack of such, in a TIFF file.

    Parameters
    ----------
    path : Path
    channel_axis : int, optional
        Axis of the channels in a TIFF stack, where the file itself does not say.

    Returns
    -------
    ImageFile
        From PNG and JPEG files and TIFF files of one image with its pixels; those of stacks and
        pyramids are read when they are asked for. Of a series of several TIFF files, the
        planes in this one.

    Raises
    ------
    ImageFileError
        If the file is missing, empty, damaged, of another kind than its name says, or holds
        several images that do not form a stack.
    """
    kind = _kind(path)
    try:
        with path.open("rb") as file:
            found = _signature(file)
            if found == kind:
                if kind == "TIFF":
                    return read_tiff(file, channel_axis)
                return read_pillow(file, kind)
    except (ImageFileError, MemoryError):
        raise
    except OSError as error:
        # a decoder's own OSError carries no errno: the file is there, its content is not
        reason = error.strerror or _damaged(kind, error)
        raise ImageFileError(reason[0].lower() + reason[1:]) from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise ImageFileError(_damaged(kind, error)) from error
    raise ImageFileError(f"expected a {kind} file, as its name says, got {found}")


def is_image(path: Path) -> bool:
    """Whether a path is a file whose name says that an image is in it.

    Parameters
    ----------
    path : Path
    """
    return path.suffix.lower() in _KINDS and path.is_file() and not path.name.startswith(".")


def lossless(name: str) -> str:
    """Return the file name that a changed image is written under: that of a JPEG becomes PNG.

    Compressing an image as JPEG again would change it again.

    Parameters
    ----------
    name : str
    """
    path = Path(name)
    return str(path.with_suffix(".png")) if _KINDS.get(path.suffix.lower()) == "JPEG" else name


def write_image(path: Path, pixels: np.ndarray, calibration: Calibration) -> None:
    """Write a new image as TIFF or PNG, by the name; it appears whole or not at all.

    Parameters
    ----------
    path : Path
        Its folder is made where needed; a file of that name is replaced.
    pixels : ndarray, shape (H, W), or with one more axis of channels
        The last axis in PNG, the first in TIFF, where each channel is a page.
    calibration : Calibration
        PNG keeps the resolution, in pixels per inch, the profile, text and EXIF.

    Raises
    ------
    ImageFileError
        If the name says another format.
    """
    kind = _kind_written(path)
    with replacing(path) as file:
        (write_tiff if kind == "TIFF" else write_png)(file, pixels, calibration)


def write_cleaned(path: Path, pixels: np.ndarray, image: ImageFile) -> None:
    """Write an image that was read from a file, with other pixels, as `write_image` does.

    A TIFF file becomes a copy of the one it was read from, with all that is in it.

    Parameters
    ----------
    path : Path
    pixels : ndarray
        Shape and dtype of the image's.
    image : ImageFile
        Not a stack.
    """
    if _kind_written(path) == "PNG":
        write_image(path, pixels, image.calibration)
        return
    with replacing(path) as file:
        copy_tiff(file, pixels, image)


def _kind_written(path: Path) -> str:
    kind = _kind(path)
    if kind == "JPEG":
        raise ImageFileError("JPEG would change the image; choose another name, in .png or .tif")
    return kind


def _kind(path: Path) -> str:
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        todo = _OTHERS.get(path.suffix.lower(), "convert it to one of these first")
        got = f"a {path.suffix} file" if path.suffix else "a name without an ending"
        raise ImageFileError(f"expected {_OPEN}, got {got}; {todo}")
    return kind


def _signature(file: BinaryIO) -> str:
    start = file.read(4)
    file.seek(0)
    if not start:
        return "an empty file"
    for signature, kind in _SIGNATURES.items():
        if start.startswith(signature):
            return kind
    return "none of TIFF, PNG or JPEG"


def _damaged(kind: str, error: Exception) -> str:
    return f"not a whole {kind} file: damaged or cut short ({one_line(error)})"
