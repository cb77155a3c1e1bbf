"""Write a TIFF file as a copy of another one, with new pixels in the pages of a stack."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_periodic_denoise.io.image_file import ImageFileError
from napari_periodic_denoise.io.tiff_pages import (
    TiffPages,
    TiffTarget,
    Where,
    page_at,
    page_numbers,
)

# numbers of TIFF 6.0 and its supplements
_NONE, _LZW, _DEFLATE, _OLD_DEFLATE, _PACKBITS, _LZMA, _ZSTD = 1, 5, 8, 32946, 32773, 34925, 50000
_LOSSLESS = (_NONE, _LZW, _DEFLATE, _OLD_DEFLATE, _PACKBITS, _LZMA, _ZSTD)
_PREDICTORS = (1, 2, 3)  # none, differences, differences of a float's bytes
_YCBCR, _RGB = 6, 2
_BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _PREDICTOR = 258, 259, 262, 266, 317
_SUBSAMPLING = 530
_STRIPS, _TILES = (273, 279), (324, 325)  # where they are, and how many bytes each has
_WORD_SIZES = (8, 16, 32, 64)  # bits of the samples that numpy has types for


def keeps_coding(page: tifffile.TiffPage) -> bool:
    """Whether new pixels can be written just as a page's were.

    They cannot where the compression is lossy, or where a sample is a part of a byte.

    Parameters
    ----------
    page : tifffile.TiffPage
    """
    return (
        page.compression in _LOSSLESS
        and page.predictor in _PREDICTORS
        and page.fillorder == 1
        and page.bitspersample in _WORD_SIZES
        and page.photometric != _YCBCR
    )


@contextmanager
def copying(file: BinaryIO, levels: tuple[TiffPages, ...]) -> Iterator[list[Any]]:
    """Copy a TIFF file, and give arrays to be filled with new pixels, in any order.

    All else stays as it is, byte for byte: directories and their order, tags, descriptions,
    strips or tiles, compression, byte order, and what the format knows nothing of. Compressed
    pixels that need more room than the old ones are appended.

    Parameters
    ----------
    file : BinaryIO
        Empty; whole at the end of the block.
    levels : tuple of TiffPages
        Stacks in the file that is copied, all of whose pages get new pixels.

    Yields
    ------
    list
        A target for each level, filled in with ``target[where] = planes``.

    Raises
    ------
    RuntimeError
        At the end of the block, if pages were not written.
    ImageFileError
        At the end of the block, if the file grew beyond the limit of its format.
    """
    source = Path(levels[0].path)
    with TemporaryFile() as spool:
        copy = _Copy(source, file, spool)
        with source.open("rb") as old:
            shutil.copyfileobj(old, file)
        targets = [_Level(copy, level) for level in levels]
        yield list(targets)
        for target in targets:
            total = len(target.level.offsets)
            if len(target.written) < total:
                raise RuntimeError(f"only {len(target.written)} of {total} pages were written")
        copy.finish()


class _Copy:
    """A copy of a TIFF file in which pages get new pixels.

    Parameters
    ----------
    source : Path
    file : BinaryIO
        The copy.
    spool : BinaryIO
        Empty; for pixels that find no room at the place of the old ones.
    """

    def __init__(self, source: Path, file: BinaryIO, spool: IO[bytes]) -> None:
        self._source, self._file, self._spool = source, file, spool
        self._lock = Lock()
        self._moved: dict[int, list[tuple[int, int]]] = {}  # by directory: where, bytes

    def write(self, level: TiffPages, number: int, pixels: NDArray[Any]) -> None:
        """Write the pixels of a page.

        Parameters
        ----------
        level : TiffPages
        number : int
            Of the page in the stack.
        pixels : ndarray
        """
        offset = level.offsets[number]
        if level.is_contiguous:
            stored = np.ascontiguousarray(pixels, level.dtype.newbyteorder(level.byteorder))
            with self._lock:
                self._file.seek(offset)
                self._file.write(stored.data)
            return
        with tifffile.TiffFile(self._source, is_scanimage=False) as tiff:
            page = page_at(tiff, offset)
            is_kept = keeps_coding(page)
            if is_kept and np.array_equal(
                page.asarray(), pixels, equal_nan=pixels.dtype.kind == "f"
            ):
                return  # the old bytes say just that
            segments = list(_encoded(page, pixels, is_kept=is_kept))
        room = [] if level.is_sharing else _room(page)
        with self._lock:
            self._moved[offset] = [self._put(segment, room) for segment in segments]

    def _put(self, segment: bytes, room: list[list[int]]) -> tuple[int, int]:
        """Write a strip or tile into the page's old room, or keep it until all others are."""
        for run in room:
            start, end = run
            if start + len(segment) <= end:
                self._file.seek(start)
                self._file.write(segment)
                run[0] += len(segment)
                return start, len(segment)
        self._spool.seek(0, 2)
        # negative: in the spool
        place = -1 - self._spool.tell()
        self._spool.write(segment)
        return place, len(segment)

    def finish(self) -> None:
        """Append what found no room, and tell each page where its pixels are."""
        self._file.seek(0)
        with tifffile.TiffFile(self._file, is_scanimage=False) as tiff:
            for offset in sorted(self._moved):  # the same bytes in whichever order they came
                page = page_at(tiff, offset)
                places = [self._settle(*segment) for segment in self._moved[offset]]
                try:
                    _retag(page, places, [count for _, count in self._moved[offset]])
                except struct.error as error:
                    raise ImageFileError(
                        "the cleaned file would exceed 4 GB, the limit of classic TIFF; convert "
                        "the file to BigTIFF first"
                    ) from error

    def _settle(self, place: int, count: int) -> int:
        if place >= 0:
            return place
        self._spool.seek(-1 - place)
        end = self._file.seek(0, 2)
        self._file.write(b"\0" * (end % 2))  # TIFF 6.0: on word boundaries
        self._file.write(self._spool.read(count))
        return end + end % 2


class _Level(TiffTarget):
    """A level of a copy, to be filled in."""

    def __init__(self, copy: _Copy, level: TiffPages) -> None:
        self.level, self.written = level, set[int]()
        self._copy = copy

    def __setitem__(self, where: Where, planes: NDArray[Any]) -> None:
        level = self.level
        ranges = [range(n)[part] for n, part in zip(level.shape, where, strict=True)]
        pages = planes.reshape(-1, *level.shape[-level.page_ndim :])
        numbers = page_numbers(ranges[: -level.page_ndim], level.shape)
        for number, page in zip(numbers, pages, strict=True):
            self._copy.write(level, number, page)
            self.written.add(number)


def _encoded(page: tifffile.TiffPage, pixels: NDArray[Any], *, is_kept: bool) -> Iterator[bytes]:
    """Strips or tiles of a page, in their order, with other pixels."""
    stored = pixels.dtype.newbyteorder(page.parent.byteorder)
    whole = pixels.astype(stored, copy=False).reshape(page.shaped)
    compress = tifffile.TIFF.COMPRESSORS[page.compression if is_kept else _DEFLATE]
    predict = tifffile.TIFF.PREDICTORS[page.predictor if is_kept else 1]
    for number in range(len(page.dataoffsets)):
        _, (plane, z, y, x, _), (depth, height, width, _) = page.decode(None, number)
        part = whole[plane, z : z + depth, y : y + height, x : x + width]
        if page.is_tiled:  # those at the edges go beyond the image
            missing = [
                (0, n - m) for n, m in zip((depth, height, width), part.shape, strict=False)
            ]
            part = np.pad(part, [*missing, (0, 0)], mode="edge")
        data = predict(np.ascontiguousarray(part), axis=-2)
        yield bytes(compress(data.tobytes() if isinstance(data, np.ndarray) else data))


def _room(page: tifffile.TiffPage) -> list[list[int]]:
    """Start and end of the runs of bytes that a page's pixels had."""
    runs: list[list[int]] = []
    for start, count in sorted(zip(page.dataoffsets, page.databytecounts, strict=True)):
        if runs and runs[-1][1] == start:
            runs[-1][1] += count
        else:
            runs.append([start, start + count])
    return runs


def _retag(page: tifffile.TiffPage, places: list[int], counts: list[int]) -> None:
    """Tell a page where its pixels are, and how they are stored if that changed."""
    where, sizes = (page.tags[code] for code in (_TILES if page.is_tiled else _STRIPS))
    is_short = sizes.dtype == tifffile.DATATYPE.SHORT and max(counts) < 2**16
    sizes.overwrite(
        counts, dtype=None if is_short or sizes.dtype != tifffile.DATATYPE.SHORT else "I"
    )
    where.overwrite(places)
    if keeps_coding(page):
        return
    new: dict[int, Any] = {
        _COMPRESSION: _DEFLATE,
        _BITS: (8 * np.dtype(page.dtype).itemsize,) * page.samplesperpixel,
        _FILL_ORDER: 1,
        _PREDICTOR: 1,
    }
    if page.photometric == _YCBCR:
        new |= {_PHOTOMETRIC: _RGB, _SUBSAMPLING: (1, 1)}
    for code, value in new.items():
        if code in page.tags:
            page.tags[code].overwrite(value)
