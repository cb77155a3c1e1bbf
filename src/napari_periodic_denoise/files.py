"""Images in TIFF and PNG files: read with their pixel size, written whole or not at all."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

import imageio.v3 as iio
import numpy as np
import PIL.Image
import tifffile

from napari_periodic_denoise import __version__

_TIFF_SUFFIXES = (".tif", ".tiff")
_PNG_SUFFIX = ".png"
_MAX_PNG_PIXELS = 2**31
_SIGNATURES = {
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",  # BigTIFF
    b"MM\0+": "TIFF",
    b"\x89PNG": "PNG",
}


class ImageFileError(ValueError):
    """A file can't be taken; the message says why, in one line for a person."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a file says of its pixels beyond their values, in TIFF's terms.

    Attributes
    ----------
    resolution : tuple or None
        Pixels per unit along x and y, as numbers or as TIFF's fractions; None if not told, or
        told in numbers that are none.
    unit : int
        TIFF's ResolutionUnit: 1 none, 2 inch, 3 centimetre.
    description : str
        TIFF's ImageDescription, where ImageJ and OME keep unit, pixel size and display range.
    photometric : int
        TIFF's PhotometricInterpretation: 0 where the smallest value is white, 1 where black.
    orientation : int
        TIFF's Orientation: how a viewer is to turn and flip the stored rows and columns.
    """

    resolution: tuple[Any, Any] | None = None
    unit: int = 1
    description: str = ""
    photometric: int = 1
    orientation: int = 1

    def of_noise(self) -> Calibration:
        """Return the calibration for noise found in the image: its pixel size and orientation.

        The display range, and the data type that OME names, are the image's alone.
        """
        kept = ("ImageJ=", "unit=", "yunit=")
        lines = [line for line in self.description.splitlines() if line.startswith(kept)]
        return replace(self, description="".join(f"{line}\n" for line in lines), photometric=1)


@dataclass(frozen=True, slots=True, eq=False)
class ImageFile:
    """A 2-D image and its calibration.

    Attributes
    ----------
    pixels : ndarray, shape (H, W)
        In the file's dtype.
    calibration : Calibration
    """

    pixels: np.ndarray
    calibration: Calibration = field(default_factory=Calibration)


def one_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its type if it says nothing."""
    return str(error).strip().split("\n")[0] or type(error).__name__


def read_image(path: Path) -> ImageFile:
    """Read a grey 2-D image from a TIFF or PNG file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    ImageFile

    Raises
    ------
    ImageFileError
        If the file is missing, empty, damaged, of another kind than its name says, or holds
        anything but one grey 2-D image.
    """
    kind = _kind(path)
    try:
        with path.open("rb") as file:
            found = _signature(file)
            if found == kind:
                return _read_tiff(file) if kind == "TIFF" else _read_png(file)
    except (ImageFileError, MemoryError):
        raise
    except OSError as error:
        # a decoder's own OSError carries no errno: the file is there, its content is not
        reason = error.strerror or _damaged(kind, error)
        raise ImageFileError(reason[0].lower() + reason[1:]) from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise ImageFileError(_damaged(kind, error)) from error
    raise ImageFileError(f"{found}, not a {kind} file as its name says")


def write_image(path: Path, pixels: np.ndarray, calibration: Calibration) -> None:
    """Write a 2-D image as TIFF or PNG, by the name; it appears whole or not at all.

    Parameters
    ----------
    path : Path
        Its folder is made where needed; a file of that name is replaced.
    pixels : ndarray, shape (H, W)
    calibration : Calibration
        As read from a file of the same format; PNG keeps the resolution, in pixels per inch.
    """
    kind = _kind(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _replacing(path) as file:
        if kind == "TIFF":
            _write_tiff(file, pixels, calibration)
        else:
            _write_png(file, pixels, calibration)


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file in the same folder that takes the name once all is written."""
    temporary = path.with_name(f".napari-periodic-denoise-{token_hex(4)}.part")
    try:
        with temporary.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the name on an empty file
        temporary.replace(path)
    except BaseException:  # Ctrl-C too
        temporary.unlink(missing_ok=True)
        raise


def _kind(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix in _TIFF_SUFFIXES:
        return "TIFF"
    if suffix == _PNG_SUFFIX:
        return "PNG"
    raise ImageFileError("TIFF (.tif, .tiff) and PNG (.png) files are taken")


def _signature(file: BinaryIO) -> str:
    start = file.read(4)
    file.seek(0)
    if not start:
        return "an empty file"
    return _SIGNATURES.get(start, "neither a TIFF nor a PNG file")


def _damaged(kind: str, error: Exception) -> str:
    return f"not a whole {kind} file: damaged or cut short ({one_line(error)})"


def _resolution(horizontal: object, vertical: object) -> tuple[Any, Any] | None:
    """Return the two if each is a positive number or fraction; some programs write 0/0."""
    for value in (horizontal, vertical):
        parts = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(part, int | float) and 0 < part < math.inf for part in parts):
            return None
    return horizontal, vertical


def _read_tiff(file: BinaryIO) -> ImageFile:
    with tifffile.TiffFile(file) as tiff:
        series = tiff.series[0]
        page = tiff.pages.first
        if page.samplesperpixel > 1 or page.photometric not in (0, 1):
            raise ImageFileError("a colour image; only grey images are taken so far")
        if len(tiff.series) > 1 or len(series.shape) != 2:
            shape = "×".join(str(length) for length in series.shape)
            count = f"{len(tiff.series)} images" if len(tiff.series) > 1 else "a stack"
            raise ImageFileError(
                f"{count} ({shape}, axes {series.axes}); single 2-D images are taken so far"
            )
        ends = (o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=True))
        if max(ends, default=0) > tiff.filehandle.size:
            raise ImageFileError("not a whole TIFF file: cut short")
        resolution = _resolution(*(page.tags.valueof(f"{axis}Resolution") for axis in "XY"))
        unit = page.tags.valueof("ResolutionUnit", default=2)  # TIFF 6.0: inch
        orientation = page.tags.valueof("Orientation", default=1)
        return ImageFile(
            pixels=series.asarray(),
            calibration=Calibration(
                resolution=resolution,
                unit=int(unit) if resolution else 1,
                description=page.description,
                photometric=int(page.photometric),
                orientation=int(orientation) if orientation in range(1, 9) else 1,
            ),
        )


def _write_tiff(file: BinaryIO, pixels: np.ndarray, calibration: Calibration) -> None:
    tifffile.imwrite(
        file,
        pixels,
        photometric=calibration.photometric,
        resolution=calibration.resolution,
        resolutionunit=calibration.unit,
        description=calibration.description.encode() or None,
        metadata=None,  # shape and dtype are the input's: its description holds as it is
        software=f"napari-periodic-denoise {__version__}",
        extratags=[(274, "H", 1, calibration.orientation, True)],  # 274: Orientation
    )


@contextmanager
def _any_number_of_pixels() -> Iterator[None]:
    """Let Pillow read images that it would take for an attack by their size."""
    limit = PIL.Image.MAX_IMAGE_PIXELS
    PIL.Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        PIL.Image.MAX_IMAGE_PIXELS = limit


def _read_png(file: BinaryIO) -> ImageFile:
    with _any_number_of_pixels(), iio.imopen(file, "r", plugin="pillow") as png:
        properties = png.properties()
        if properties.is_batch:
            raise ImageFileError("an animation; single 2-D images are taken so far")
        height, width = properties.shape[:2]
        if height * width > _MAX_PNG_PIXELS:
            raise ImageFileError(f"{height}×{width} pixels; at most 2³¹ are taken from a PNG file")
        pixels = np.asarray(png.read())
        dpi = _resolution(*png.metadata().get("dpi", (None, None)))
    if pixels.ndim != 2:
        raise ImageFileError("a colour image or one with alpha; only grey images are taken so far")
    return ImageFile(pixels, Calibration(resolution=dpi, unit=2 if dpi else 1))


def _write_png(file: BinaryIO, pixels: np.ndarray, calibration: Calibration) -> None:
    options: dict[str, Any] = {"dpi": calibration.resolution} if calibration.resolution else {}
    iio.imwrite(file, pixels, plugin="pillow", extension=_PNG_SUFFIX, **options)
