"""Read TIFF files: whether they are whole, which pages make the image, and its calibration."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, BinaryIO

import numpy as np
import tifffile

from napari_periodic_denoise._version import __version__
from napari_periodic_denoise.io.image_file import (
    Calibration,
    ImageFile,
    ImageFileError,
    resolution_of,
)
from napari_periodic_denoise.io.memory import check_memory
from napari_periodic_denoise.io.ome_xml import companion, own_planes
from napari_periodic_denoise.io.tiff_copy import copying, keeps_coding
from napari_periodic_denoise.io.tiff_pages import Directory, TiffPages

# numbers of TIFF 6.0
_RGB, _YCBCR = 2, 6
_JPEG_COMPRESSION = 7
_ALPHA = (1, 2)  # ExtraSamples: associated and unassociated alpha
_CLASSIC = (b"II*\0", b"MM\0*")


@dataclass(frozen=True, slots=True)
class _Stack:
    """The pages that make an image, or a stack of images."""

    axes: str
    levels: tuple[TiffPages, ...]
    is_whole_series: bool = True


def read_tiff(file: BinaryIO, channel_axis: int | None) -> ImageFile:
    """Read an image from an open TIFF file, or open a stack of such.

    Parameters
    ----------
    file : BinaryIO
    channel_axis : int or None
        Axis of the channels in a stack, where the file does not say.

    Raises
    ------
    ImageFileError
        If the file is not whole, or holds no image or several.
    """
    # of classic files of ScanImage tifffile guesses the pages; they say where they are
    is_classic = file.read(4) in _CLASSIC
    file.seek(0)
    with tifffile.TiffFile(file, is_scanimage=False if is_classic else None) as tiff:
        _check_whole(tiff)
        photometric = _photometric(tiff.pages.first)
        stack = _stack(tiff)
        level, axes = stack.levels[0], stack.axes
        if level.ndim < 2:
            raise ImageFileError(
                f"expected rows and columns, got a line of {level.shape[0]} pixels"
            )
        axis = None
        if level.ndim > 2:
            # S for samples of a pixel, C for channels
            axis = next((axes.index(name) for name in "SC" if name in axes), channel_axis)
        pixels = math.prod(n for name, n in zip(axes, level.shape, strict=True) if name in "YXS")
        check_memory(pixels, level.dtype.itemsize)
        is_stack = level.ndim > (2 if axis is None else 3)
        is_pyramid = len(stack.levels) > 1
        return ImageFile(
            pixels=level if is_stack or is_pyramid else np.asarray(level),
            calibration=_calibration(tiff.pages.first),
            channel_axis=axis,
            alpha=_alpha(tiff.pages.first, photometric),
            axes=axes if is_stack or is_pyramid else "",
            levels=stack.levels,
            is_whole_series=stack.is_whole_series,
            dropped=_dropped(tiff),
        )


def tiff_options(calibration: Calibration) -> dict[str, Any]:
    """Return what tifffile writes of a calibration.

    Parameters
    ----------
    calibration : Calibration
    """
    return {
        "photometric": "minisblack",
        "iccprofile": calibration.profile,
        "resolution": calibration.resolution,
        "resolutionunit": calibration.unit,
        "description": calibration.description.encode() or None,
        "metadata": None,  # the description holds as it is
        "software": f"napari-periodic-denoise {__version__}",
        "extratags": [(274, "H", 1, calibration.orientation, True)],  # 274: Orientation
    }


def write_tiff(file: BinaryIO, pixels: np.ndarray, calibration: Calibration) -> None:
    """Write an image as a new TIFF file, uncompressed.

    Parameters
    ----------
    file : BinaryIO
    pixels : ndarray, shape (H, W), or with an axis of channels before, each of which is a page
    calibration : Calibration
    """
    try:
        tifffile.imwrite(file, pixels, **tiff_options(calibration))
    except OSError as error:
        if error.errno is not None:
            raise
        # numpy counts what was written, and does not say why no more
        raise OSError("not all of it could be written: is the disk full?") from error


def copy_tiff(file: BinaryIO, pixels: np.ndarray, image: ImageFile) -> None:
    """Write a TIFF file as a copy of the one that an image was read from, with other pixels.

    Parameters
    ----------
    file : BinaryIO
    pixels : ndarray
    image : ImageFile
        Not a stack.
    """
    with copying(file, image.levels) as (target,):
        target[(slice(None),) * pixels.ndim] = pixels


def _check_whole(tiff: tifffile.TiffFile) -> None:
    """Raise an ImageFileError if the file ends early, or its writer did."""
    if _is_chain_broken(tiff):
        raise ImageFileError("not a whole TIFF file: pages are missing")
    if _is_description_cut_off(tiff):
        raise ImageFileError("not a whole TIFF file: its description is missing")


def _stack(tiff: tifffile.TiffFile) -> _Stack:
    """Pages of the file's image: of a series of several files, those in this one."""
    xml = tiff.ome_metadata or ""
    own = own_planes(xml, tiff.filename, len(tiff.pages)) if "UUID" in xml else None
    if own is not None:
        names, sizes, numbers = own.grid()
        keyframe = tiff.pages[numbers[0]].aspage()
        pages = [Directory.of(tiff.pages[number]) for number in numbers]
        return _part(tiff, keyframe, pages, names, sizes)
    if len(tiff.series) != 1:
        hint = "save each in its own file"
        if xml:
            hint += ", for example with Bio-Formats: bfconvert -series 0 IN OUT.ome.tif"
        raise ImageFileError(f"{len(tiff.series)} images that do not form a stack; {hint}")
    series = tiff.series[0]
    images = (tiff.imagej_metadata or {}).get("images", 1)
    levels = [
        [Directory.of(page) for page in level.pages if page is not None] for level in series.levels
    ]
    pages = levels[0]
    if len(pages) < len(series.pages) or (series.kind != "imagej" and images > len(pages)):
        raise ImageFileError("not a whole TIFF file: pages are missing")
    for level in levels:
        _check_pages(tiff, level)
    if len({page.offset for page in pages}) < len(pages):  # a page that is several planes
        pages = list({page.offset: page for page in pages}.values())
        return _part(tiff, series.keyframe, pages, "I", (len(pages),))
    if series.dataoffset is not None and series.dataoffset + series.nbytes > tiff.filehandle.size:
        raise ImageFileError("not a whole TIFF file: cut short")
    return _Stack(
        series.axes,
        tuple(
            TiffPages.of(level.keyframe, part, level.shape, level.dataoffset)
            for part, level in zip(levels, series.levels, strict=True)
        ),
    )


def _part(
    tiff: tifffile.TiffFile,
    keyframe: tifffile.TiffPage,
    pages: list[Directory],
    axes: str,
    sizes: tuple[int, ...],
) -> _Stack:
    """Stack of some of the pages of a series."""
    _check_pages(tiff, pages)
    level = TiffPages.of(keyframe, pages, (*sizes, *keyframe.shape), None)
    return _Stack(axes + keyframe.axes, (level,), is_whole_series=False)


def _check_pages(tiff: tifffile.TiffFile, pages: Sequence[Directory]) -> None:
    """Raise an ImageFileError if pixels of pages are beyond the file's end, or nowhere."""
    size = tiff.filehandle.size
    for number, page in enumerate(pages):
        if not page.parts or not all(offset and count for offset, count in page.parts):
            raise ImageFileError(
                f"not a whole TIFF file: pixels of page {number + 1} were never written"
            )
        if any(offset + count > size for offset, count in page.parts):
            raise ImageFileError("not a whole TIFF file: cut short")


def _photometric(page: tifffile.TiffPage) -> int:
    """What the samples of a page mean, as which tifffile decodes them."""
    photometric = int(page.photometric)
    if photometric == _YCBCR and page.compression == _JPEG_COMPRESSION:
        return _RGB
    if photometric not in (0, 1, _RGB):
        raise ImageFileError(
            f"its colours are given as {tifffile.PHOTOMETRIC(photometric).name}; convert it to "
            "RGB or to grey, for example with Fiji: Image > Type > RGB Color"
        )
    return photometric


def _alpha(page: tifffile.TiffPage, photometric: int) -> int:
    if photometric == _RGB:
        return max(0, page.samplesperpixel - 3)
    extra = [int(sample) for sample in reversed(page.extrasamples)]
    return len(list(takewhile(_ALPHA.__contains__, extra)))


def _calibration(page: tifffile.TiffPage) -> Calibration:
    resolution = resolution_of(*(page.tags.valueof(f"{axis}Resolution") for axis in "XY"))
    unit = page.tags.valueof("ResolutionUnit", default=2)  # TIFF 6.0: inch
    orientation = page.tags.valueof("Orientation", default=1)
    return Calibration(
        resolution=resolution,
        unit=int(unit) if resolution else 1,
        description=page.description,
        orientation=int(orientation) if orientation in range(1, 9) else 1,
        profile=page.iccprofile,
    )


def _dropped(tiff: tifffile.TiffFile) -> tuple[str, ...]:
    """What a copy of the file with other pixels does not have."""
    page = tiff.pages.first
    dropped = []
    if not keeps_coding(page):
        name = tifffile.COMPRESSION(page.compression).name
        dropped.append(
            f"{page.bitspersample} bits a sample"
            if page.bitspersample % 8
            else f"{name} compression (written lossless)"
        )
    other = companion(tiff.ome_metadata or "")
    if other is not None:
        dropped.append(f"the axes, which are in {other}: copy that file into the folder too")
    return tuple(dropped)


def _is_chain_broken(tiff: tifffile.TiffFile) -> bool:
    """Whether the last page that could be read does not say that it is the last."""
    if not len(tiff.pages):  # looks for all of them
        return True
    tiff.filehandle.seek(tiff.pages.next_page_offset or 0)
    end = bytes(tiff.tiff.offsetsize)
    return tiff.filehandle.read(len(end)) != end


def _is_description_cut_off(tiff: tifffile.TiffFile) -> bool:
    """Whether the first page has a description that tifffile could not read.

    Without it channels would be taken for a stack.
    """
    page, form, file = tiff.pages.first, tiff.tiff, tiff.filehandle
    file.seek(page.offset)
    (count,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
    tags = file.read(count * form.tagsize)
    codes = (tags[i : i + 2] for i in range(0, len(tags), form.tagsize))
    description = struct.pack(f"{tiff.byteorder}H", 270)
    return description in codes and 270 not in page.tags
