"""Read PNG and JPEG files, and write PNG files, with what these say beside the pixels."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import imageio.v3 as iio
import numpy as np
import PIL.Image
from PIL.PngImagePlugin import PngInfo

from napari_periodic_denoise.io.image_file import (
    Calibration,
    ImageFile,
    ImageFileError,
    resolution_of,
)
from napari_periodic_denoise.io.memory import check_memory

_MAX_PIXELS = 2**31  # Pillow counts the bytes of an image in 32 bits
_MOST_A_BYTE = 512  # pixels that a byte of JPEG can hold: a bit for each block of 8×8
_ORIENTATION = 274  # EXIF 2.3
_LOST = {
    "transparency": "transparency of one colour",
    "chromaticity": "chromaticity",
    "background": "background colour",
    "aspect": "aspect ratio of the pixels",
}


def read_pillow(file: BinaryIO, kind: str) -> ImageFile:
    """Read an image from an open PNG or JPEG file.

    Parameters
    ----------
    file : BinaryIO
    kind : {"PNG", "JPEG"}

    Raises
    ------
    ImageFileError
        If the image cannot be read without loss.
    """
    size = os.fstat(file.fileno()).st_size
    # of one channel Pillow reads 16 bits, but of colours 8, and says nothing; byte 25 tells
    deep = kind == "PNG" and file.read(25)[-1] > 8
    file.seek(0)
    with _any_number_of_pixels(), iio.imopen(file, "r", plugin="pillow") as image:
        properties = image.properties()
        if properties.is_batch:
            raise ImageFileError("an animation; save its frames as a TIFF stack first")
        height, width, *channels = properties.shape
        if kind == "JPEG" and height * width > _MOST_A_BYTE * size:
            raise ImageFileError(f"not a whole JPEG file: too short for {height}×{width} pixels")
        if height * width > _MAX_PIXELS:
            raise ImageFileError(
                f"{height}×{width} pixels; a {kind} file may have at most 2³¹: convert it to TIFF"
            )
        check_memory(math.prod(properties.shape), properties.dtype.itemsize)
        metadata = image.metadata(exclude_applied=False)
        _check_colours(metadata["mode"], is_deep=bool(channels and deep))
        # turned as EXIF has it
        pixels = np.ascontiguousarray(image.read(rotate=True))  # type: ignore[call-arg]
    dpi = resolution_of(*metadata.get("dpi", (None, None)))
    if dpi and pixels.shape[:2] != (height, width):
        dpi = dpi[::-1]
    with _any_number_of_pixels(), PIL.Image.open(file.name) as opened:
        opened.load()  # PNG may have text behind the pixels
        png, dropped = _kept(opened)
    return ImageFile(
        pixels,
        Calibration(
            resolution=dpi,
            unit=2 if dpi else 1,
            profile=metadata.get("icc_profile"),
            png=png,
        ),
        channel_axis=-1 if channels else None,
        alpha=1 if metadata["mode"] in ("LA", "RGBA") else 0,
        dropped=dropped,
    )


def write_png(file: BinaryIO, pixels: np.ndarray, calibration: Calibration) -> None:
    """Write an image as PNG.

    Parameters
    ----------
    file : BinaryIO
    pixels : ndarray, shape (H, W), or (H, W, C)
    calibration : Calibration
    """
    told = {"dpi": calibration.resolution, "icc_profile": calibration.profile}
    options: dict[str, Any] = {name: value for name, value in told.items() if value}
    text = PngInfo()
    for name, value in calibration.png.get("text", {}).items():
        text.add_itxt(name, value)
    if exif := calibration.png.get("exif"):
        options["exif"] = exif
    iio.imwrite(file, pixels, plugin="pillow", extension=".png", pnginfo=text, **options)


def _check_colours(mode: str, *, is_deep: bool) -> None:
    if mode in ("P", "PA", "CMYK"):
        given = "CMYK" if mode == "CMYK" else "a palette"
        raise ImageFileError(
            f"its colours are given as {given}; convert it to RGB or to grey, for example with "
            "Fiji: Image > Type > RGB Color"
        )
    if is_deep:
        raise ImageFileError(
            "a PNG file in colour with 16 bits, of which 8 would be lost; convert it to TIFF"
        )


def _kept(image: PIL.Image.Image) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What a PNG file is written with, and what it is not."""
    text = {str(name): str(value) for name, value in getattr(image, "text", {}).items()}
    if isinstance(comment := image.info.get("comment"), bytes):
        text["Comment"] = comment.decode("utf-8", "replace")
    if isinstance(xmp := image.info.get("xmp"), bytes):
        text["XML:com.adobe.xmp"] = xmp.decode("utf-8", "replace")
    kept: dict[str, Any] = {"text": text} if text else {}
    exif = image.getexif()
    exif.pop(_ORIENTATION, None)  # the pixels are turned already
    if len(exif):
        kept["exif"] = exif.tobytes()
    lost = [words for name, words in _LOST.items() if name in image.info]
    return kept, tuple(lost)


@contextmanager
def _any_number_of_pixels() -> Iterator[None]:
    """Let Pillow read images that it would take for an attack by their size."""
    limit = PIL.Image.MAX_IMAGE_PIXELS
    PIL.Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        PIL.Image.MAX_IMAGE_PIXELS = limit
