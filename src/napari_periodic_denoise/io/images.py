"""Images in TIFF, PNG and JPEG files: read with their pixel size, written whole or not at all."""

from __future__ import annotations

import math
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO

import imageio.v3 as iio
import numpy as np
import PIL.Image
import tifffile

from napari_periodic_denoise._version import __version__
from napari_periodic_denoise.io.atomic import replacing
from napari_periodic_denoise.io.tiff_pages import TiffPages

_KINDS = {".tif": "TIFF", ".tiff": "TIFF", ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_MAX_PIXELS = 2**31
_MOST_A_BYTE = 512  # pixels that a byte of JPEG can hold: a bit for each 8×8
_SIGNATURES = {
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",  # BigTIFF
    b"MM\0+": "TIFF",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
}
# TIFF's numbers
_RGB, _YCBCR = 2, 6
_JPEG_COMPRESSION = 7
_ALPHA = (1, 2)


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
    planar : int or None
        TIFF's PlanarConfiguration, where a pixel has several samples: 1 if these are side by
        side, 2 if each has a plane of its own. None where channels are pages.
    extra : tuple of int
        TIFF's ExtraSamples: what those samples are that the photometric interpretation does not
        tell.
    profile : bytes or None
        ICC profile: which colours the values stand for.
    """

    resolution: tuple[Any, Any] | None = None
    unit: int = 1
    description: str = ""
    photometric: int = 1
    orientation: int = 1
    planar: int | None = None
    extra: tuple[int, ...] = ()
    profile: bytes | None = None

    def of_noise(
        self, channels: int = 1, slices: int = 1, frames: int = 1, *, is_same_shape: bool = False
    ) -> Calibration:
        """Return the calibration for noise found in the image: its pixel size and orientation.

        The display range, and the data type that OME names, are the image's alone.

        Parameters
        ----------
        channels, slices, frames : int
            Of the noise, each of which becomes a page.
        is_same_shape : bool
            Whether the pages are just as those of the image, so that OME's words hold.
        """
        if is_same_shape and "<OME" in self.description:
            words = re.sub(r'(<Pixels\b[^>]*\bType=")[^"]*', r"\1float", self.description)
            description = re.sub(r'\s+SignificantBits="\d*"', "", words)
        else:
            kept = ("ImageJ=", "unit=", "yunit=", "zunit=", "spacing=", "finterval=", "fps=")
            lines = [line for line in self.description.splitlines() if line.startswith(kept)]
            if channels * slices * frames > 1:  # in ImageJ's words, which most programs know
                counts = {"channels": channels, "slices": slices, "frames": frames}
                lines = [
                    *(lines or ["ImageJ=1.11a"]),
                    f"images={channels * slices * frames}",
                    *(f"{name}={count}" for name, count in counts.items() if count > 1),
                    "hyperstack=true",
                ]
            description = "".join(f"{line}\n" for line in lines)
        return Calibration(self.resolution, self.unit, description, orientation=self.orientation)


@dataclass(frozen=True, slots=True, eq=False)
class ImageFile:
    """An image, or a stack of images, and its calibration.

    Attributes
    ----------
    pixels : ndarray, shape (H, W), or with one more axis of channels; or TiffPages
        In the file's dtype. Of a stack, pages that are read when they are asked for.
    calibration : Calibration
    channel_axis : int or None
        Which axis the channels are along; None for a grey image.
    alpha : int
        How many of the channels, the last ones, tell no intensity, but mostly transparency.
    axes : str
        Of a stack: a letter for each axis, as tifffile names them.
    """

    pixels: np.ndarray | TiffPages
    calibration: Calibration = field(default_factory=Calibration)
    channel_axis: int | None = None
    alpha: int = 0
    axes: str = ""


def one_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its type if it says nothing."""
    return str(error).strip().split("\n")[0] or type(error).__name__


def read_image(path: Path, channel_axis: int | None = None) -> ImageFile:
    """Read an image, grey or of several channels, or open a stack of such, in a TIFF file.

    Parameters
    ----------
    path : Path
    channel_axis : int, optional
        Which axis of a TIFF stack the channels are along, where the file itself does not say.

    Returns
    -------
    ImageFile
        From PNG and JPEG files and TIFF files of one image with its pixels; of stacks they are
        read when they are asked for.

    Raises
    ------
    ImageFileError
        If the file is missing, empty, damaged, of another kind than its name says, or holds
        several images that are no stack.
    """
    kind = _kind(path)
    try:
        with path.open("rb") as file:
            found = _signature(file)
            if found == kind:
                return _read_tiff(file, channel_axis) if kind == "TIFF" else _read_pillow(file)
    except (ImageFileError, MemoryError):
        raise
    except OSError as error:
        # a decoder's own OSError carries no errno: the file is there, its content is not
        reason = error.strerror or _damaged(kind, error)
        raise ImageFileError(reason[0].lower() + reason[1:]) from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise ImageFileError(_damaged(kind, error)) from error
    raise ImageFileError(f"{found}, not a {kind} file as its name says")


def is_image(path: Path) -> bool:
    """Whether a path is a file whose name says that an image is in it.

    Parameters
    ----------
    path : Path
    """
    return path.suffix.lower() in _KINDS and path.is_file() and not path.name.startswith(".")


def lossless(name: str) -> str:
    """Return the file name that a changed image is written under: that of a JPEG becomes PNG.

    To compress an image as JPEG again would change it again.

    Parameters
    ----------
    name : str
    """
    path = Path(name)
    return str(path.with_suffix(".png")) if _KINDS.get(path.suffix.lower()) == "JPEG" else name


def write_image(path: Path, pixels: np.ndarray, calibration: Calibration) -> None:
    """Write a 2-D image as TIFF or PNG, by the name; it appears whole or not at all.

    Parameters
    ----------
    path : Path
        Its folder is made where needed; a file of that name is replaced.
    pixels : ndarray, shape (H, W), or with one more axis of channels
    calibration : Calibration
        As read from a file of the same format; PNG keeps the resolution, in pixels per inch, and
        the profile.

    Raises
    ------
    ImageFileError
        If the name says another format.
    """
    kind = _kind(path)
    if kind == "JPEG":
        raise ImageFileError("JPEG would change the image; PNG and TIFF files are written")
    with replacing(path) as file:
        if kind == "TIFF":
            _write_tiff(file, pixels, calibration)
        else:
            _write_png(file, pixels, calibration)


def _kind(path: Path) -> str:
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise ImageFileError(
            "TIFF (.tif, .tiff), PNG (.png) and JPEG (.jpg, .jpeg) files are taken"
        )
    return kind


def _signature(file: BinaryIO) -> str:
    start = file.read(4)
    file.seek(0)
    if not start:
        return "an empty file"
    for signature, kind in _SIGNATURES.items():
        if start.startswith(signature):
            return kind
    return "no TIFF, PNG or JPEG file"


def _damaged(kind: str, error: Exception) -> str:
    return f"not a whole {kind} file: damaged or cut short ({one_line(error)})"


def _resolution(horizontal: object, vertical: object) -> tuple[Any, Any] | None:
    """Return the two if each is a positive number or fraction; some programs write 0/0."""
    for value in (horizontal, vertical):
        parts = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(part, int | float) and 0 < part < math.inf for part in parts):
            return None
    return horizontal, vertical


def _read_tiff(file: BinaryIO, channel_axis: int | None) -> ImageFile:
    with tifffile.TiffFile(file) as tiff:
        if _is_chain_broken(tiff):
            raise ImageFileError("not a whole TIFF file: pages are missing")
        if _is_description_cut_off(tiff):
            raise ImageFileError("not a whole TIFF file: its description is missing")
        series = tiff.series[0]
        page = tiff.pages.first
        photometric = int(page.photometric)
        if photometric == _YCBCR and page.compression == _JPEG_COMPRESSION:
            photometric = _RGB  # as which it is decoded
        if photometric not in (0, 1, _RGB):
            raise ImageFileError(
                f"its colours are given as {tifffile.PHOTOMETRIC(photometric).name}; convert it "
                "to RGB or to grey"
            )
        axes, length = series.axes, len(series.shape)
        axis = None
        if length > 2:
            # S for samples of a pixel, C for channels
            axis = next((axes.index(name) for name in "SC" if name in axes), channel_axis)
        if len(tiff.series) > 1:
            raise ImageFileError(
                f"{len(tiff.series)} images that are no stack; save them as files of their own"
            )
        if length < 2:
            raise ImageFileError(f"pixels along one axis only ({series.shape[0]})")
        parts = [part for part in series.pages if part is not None]
        # a page of OME may be in another file; of a large stack ImageJ has but one in the chain
        images = (tiff.imagej_metadata or {}).get("images", 1)
        if len(parts) < len(series.pages) or (series.kind != "imagej" and images > len(parts)):
            raise ImageFileError("not a whole TIFF file: pages are missing")
        ends = [
            offset + count
            for part in parts
            for offset, count in zip(part.dataoffsets, part.databytecounts, strict=True)
        ]
        if series.dataoffset is not None:
            ends.append(series.dataoffset + series.nbytes)
        if max(ends, default=0) > tiff.filehandle.size:
            raise ImageFileError("not a whole TIFF file: cut short")
        extra = tuple(map(int, page.extrasamples))
        alpha = max(0, page.samplesperpixel - 3)
        if photometric != _RGB:
            alpha = len(list(takewhile(_ALPHA.__contains__, reversed(extra))))
        resolution = _resolution(*(page.tags.valueof(f"{axis}Resolution") for axis in "XY"))
        unit = page.tags.valueof("ResolutionUnit", default=2)  # TIFF 6.0: inch
        orientation = page.tags.valueof("Orientation", default=1)
        is_stack = length > (2 if axis is None else 3)
        return ImageFile(
            pixels=TiffPages.of(series, parts) if is_stack else series.asarray(),
            calibration=Calibration(
                resolution=resolution,
                unit=int(unit) if resolution else 1,
                description=page.description,
                photometric=photometric,
                orientation=int(orientation) if orientation in range(1, 9) else 1,
                planar=int(page.planarconfig) if page.samplesperpixel > 1 else None,
                extra=extra,
                profile=page.iccprofile,
            ),
            channel_axis=axis,
            alpha=alpha,
            axes=axes if is_stack else "",
        )


def _is_chain_broken(tiff: tifffile.TiffFile) -> bool:
    """Whether the last page that could be read does not say that it is the last."""
    if not len(tiff.pages):  # looks for all of them
        return True
    tiff.filehandle.seek(tiff.pages.next_page_offset or 0)
    end = bytes(tiff.tiff.offsetsize)
    return tiff.filehandle.read(len(end)) != end


def tiff_options(calibration: Calibration) -> dict[str, Any]:
    """Return what tifffile is to write of a calibration.

    Parameters
    ----------
    calibration : Calibration
    """
    return {
        "photometric": calibration.photometric,
        "planarconfig": calibration.planar,
        "extrasamples": calibration.extra or None,
        "iccprofile": calibration.profile,
        "resolution": calibration.resolution,
        "resolutionunit": calibration.unit,
        "description": calibration.description.encode() or None,
        "metadata": None,  # shape and dtype are the input's: its description holds as it is
        "software": f"napari-periodic-denoise {__version__}",
        "extratags": [(274, "H", 1, calibration.orientation, True)],  # 274: Orientation
    }


def _is_description_cut_off(tiff: tifffile.TiffFile) -> bool:
    """Whether the first page has a description which tifffile could not read.

    Without it channels would be taken for a stack.
    """
    page, form, file = tiff.pages.first, tiff.tiff, tiff.filehandle
    file.seek(page.offset)
    (count,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
    tags = file.read(count * form.tagsize)
    codes = (tags[i : i + 2] for i in range(0, len(tags), form.tagsize))
    description = struct.pack(f"{tiff.byteorder}H", 270)
    return description in codes and 270 not in page.tags


@contextmanager
def _any_number_of_pixels() -> Iterator[None]:
    """Let Pillow read images that it would take for an attack by their size."""
    limit = PIL.Image.MAX_IMAGE_PIXELS
    PIL.Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        PIL.Image.MAX_IMAGE_PIXELS = limit


def _read_pillow(file: BinaryIO) -> ImageFile:
    # of one channel Pillow reads 16 bits, but of colours 8, and says nothing; byte 25 tells
    kind, size = _signature(file), os.fstat(file.fileno()).st_size
    deep = kind == "PNG" and file.read(25)[-1] > 8
    file.seek(0)
    with _any_number_of_pixels(), iio.imopen(file, "r", plugin="pillow") as image:
        properties = image.properties()
        if properties.is_batch:
            raise ImageFileError("an animation; of stacks, TIFF and OME-Zarr are taken")
        height, width, *channels = properties.shape
        if kind == "JPEG" and height * width > _MOST_A_BYTE * size:
            raise ImageFileError(f"not a whole JPEG file: too short for {height}×{width} pixels")
        if height * width > _MAX_PIXELS:
            raise ImageFileError(
                f"{height}×{width} pixels; at most 2³¹ are taken from such a file"
            )
        metadata = image.metadata(exclude_applied=False)
        mode = metadata["mode"]
        if mode in ("P", "PA", "CMYK"):
            given = "CMYK" if mode == "CMYK" else "a palette"
            raise ImageFileError(f"its colours are given as {given}; convert it to RGB or to grey")
        if channels and deep:
            raise ImageFileError(
                "a PNG file in colour with 16 bits, of which 8 would be lost; convert it to TIFF"
            )
        # turned as EXIF has it, which the cleaned image is written without
        pixels = np.ascontiguousarray(image.read(rotate=True))  # type: ignore[call-arg]
    dpi = _resolution(*metadata.get("dpi", (None, None)))
    if dpi and pixels.shape[:2] != (height, width):
        dpi = dpi[::-1]
    return ImageFile(
        pixels,
        Calibration(resolution=dpi, unit=2 if dpi else 1, profile=metadata.get("icc_profile")),
        channel_axis=-1 if channels else None,
        alpha=1 if mode in ("LA", "RGBA") else 0,
    )


def _write_tiff(file: BinaryIO, pixels: np.ndarray, calibration: Calibration) -> None:
    try:
        tifffile.imwrite(file, pixels, **tiff_options(calibration))
    except OSError as error:
        if error.errno is not None:
            raise
        # numpy counts what was written, and does not say why no more
        raise OSError("not all of it could be written: is the disk full?") from error


def _write_png(file: BinaryIO, pixels: np.ndarray, calibration: Calibration) -> None:
    told = {"dpi": calibration.resolution, "icc_profile": calibration.profile}
    options: dict[str, Any] = {name: value for name, value in told.items() if value}
    iio.imwrite(file, pixels, plugin="pillow", extension=".png", **options)
