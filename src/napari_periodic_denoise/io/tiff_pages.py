"""Stacks in TIFF files: read page by page, and new ones written page by page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
import tifffile
from numpy.typing import DTypeLike, NDArray

_BIG = 2**32 - 2**25  # bytes of pixels; tifffile's limit for offsets of 32 bits

Where = tuple[slice, ...]


class Directory(NamedTuple):
    """What is kept of each page: a `tifffile.TiffPage` takes kilobytes.

    Attributes
    ----------
    offset : int
        Position in the file of the page's directory.
    parts : tuple of (int, int)
        Position and size in bytes of each strip or tile.
    """

    offset: int
    parts: tuple[tuple[int, int], ...]

    @staticmethod
    def of(page: tifffile.TiffPage | tifffile.TiffFrame) -> Directory:
        """Return what is kept of a page."""
        parts = zip(page.dataoffsets, page.databytecounts, strict=True)
        return Directory(page.offset, tuple(parts))


@dataclass(frozen=True, slots=True)
class TiffPages:
    """A stack in a TIFF file, of which only the pages that are asked for are read.

    No file is held open: the stack can be sent to other processes.

    Attributes
    ----------
    path : str
    shape : tuple of int
    dtype : dtype
    page_ndim : int
        Number of axes of a page, the last ones of the stack.
    offsets : tuple of int
        Position in the file of each page's directory; or, of contiguous pages, of their pixels.
    is_contiguous : bool
        Whether the pixels of all pages follow each other, uncompressed.
    is_sharing : bool
        Whether several pages have the same bytes as pixels.
    byteorder : str
    """

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    page_ndim: int
    offsets: tuple[int, ...]
    is_contiguous: bool
    is_sharing: bool
    byteorder: Literal["<", ">"]

    @staticmethod
    def of(
        keyframe: tifffile.TiffPage,
        pages: Sequence[Directory],
        shape: tuple[int, ...],
        start: int | None,
    ) -> TiffPages:
        """Return a stack of pages.

        Parameters
        ----------
        keyframe : tifffile.TiffPage
            One of the pages, which are all of its shape and type.
        pages : sequence of Directory
            ImageJ writes only one for a large stack.
        shape : tuple of int
            Of the stack.
        start : int or None
            Position in the file of the first page's pixels, if the others' follow.

        Raises
        ------
        ValueError
            If the last axes are not those of the pages.
        """
        file = keyframe.parent.filehandle
        page_shape = keyframe.shape
        ndim = len(page_shape)
        count = math.prod(shape[:-ndim])
        if shape[-ndim:] != page_shape or (start is None and len(pages) != count):
            raise ValueError(f"shape {shape} is not one of pages of shape {page_shape}")
        dtype = np.dtype(keyframe.dtype)
        if start is None:
            offsets = [page.offset for page in pages]
        else:
            size = math.prod(page_shape) * dtype.itemsize
            offsets = [start + i * size for i in range(count)]
        return TiffPages(
            path=str(Path(file.dirname, file.name).absolute()),
            shape=tuple(shape),
            dtype=dtype.newbyteorder("="),
            page_ndim=ndim,
            offsets=tuple(map(int, offsets)),
            is_contiguous=start is not None,
            is_sharing=_are_sharing(pages),
            byteorder=keyframe.parent.byteorder,
        )

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape of what is read at once: a page."""
        return (1,) * (self.ndim - self.page_ndim) + self.shape[-self.page_ndim :]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return self[(slice(None),) * self.ndim].astype(dtype or self.dtype, copy=False)

    def __getitem__(self, where: Where) -> NDArray[Any]:
        stacked = [range(n)[part] for n, part in zip(self.shape, where, strict=False)]
        stacked, within = stacked[: -self.page_ndim], where[-self.page_ndim :]
        shape = tuple(map(len, stacked))
        pages = [self._read(page)[within] for page in page_numbers(stacked, self.shape)]
        return np.stack(pages).reshape(shape + pages[0].shape)

    def _read(self, number: int) -> NDArray[Any]:
        offset, shape = self.offsets[number], self.shape[-self.page_ndim :]
        if self.is_contiguous:
            stored = self.dtype.newbyteorder(self.byteorder)
            count = math.prod(shape)
            pixels = np.fromfile(self.path, stored, count, offset=offset)
            return pixels.reshape(shape).astype(self.dtype, copy=False)
        with tifffile.TiffFile(self.path, is_scanimage=False) as tiff:
            page: NDArray[Any] = page_at(tiff, offset).asarray()
        return page.astype(self.dtype, copy=False)


def page_at(tiff: tifffile.TiffFile, offset: int) -> tifffile.TiffPage:
    """Return the page whose directory is at a position in a file, without a look at the others.

    Parameters
    ----------
    tiff : tifffile.TiffFile
    offset : int
    """
    tiff.filehandle.seek(offset)
    return tifffile.TiffPage(tiff, index=0)


def page_numbers(stacked: list[range], shape: tuple[int, ...]) -> list[int]:
    """Return the numbers of the pages at all places along the stacked axes.

    Parameters
    ----------
    stacked : list of range
        Places along each of the first axes.
    shape : tuple of int
        Of the stack.
    """
    if not stacked:
        return [0]
    grid = np.ix_(*stacked)
    numbers = np.ravel_multi_index(np.broadcast_arrays(*grid), shape[: len(stacked)])
    return [int(number) for number in numbers.ravel()]


def _are_sharing(pages: Sequence[Directory]) -> bool:
    parts = sorted(part for page in pages for part in page.parts)
    return any(a + n > b for (a, n), (b, _) in pairwise(parts))


class TiffTarget:
    """A stack in a TIFF file that is written plane by plane, in any order, and not read."""

    def __setitem__(self, where: Where, planes: NDArray[Any]) -> None:
        raise NotImplementedError


class NewTiff(TiffTarget):
    """A new stack in a TIFF file, uncompressed, that is written in any order.

    Parameters
    ----------
    file : BinaryIO
        Empty; its pages are made at once, and filled in with ``target[where] = planes``.
    shape : tuple of int
    dtype : dtype
    options : dict
        For tifffile.
    """

    def __init__(
        self, file: BinaryIO, shape: tuple[int, ...], dtype: DTypeLike, options: dict[str, Any]
    ) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._file, self._lock = file, Lock()
        self._size = math.prod(shape[-2:]) * self.dtype.itemsize
        with tifffile.TiffWriter(file, bigtiff=needs_bigtiff(shape, self.dtype)) as writer:
            where = writer.write(
                shape=shape, dtype=self.dtype, returnoffset=True, contiguous=True, **options
            )
        assert where is not None
        self._offset = where[0]

    def __setitem__(self, where: Where, planes: NDArray[Any]) -> None:
        stacked = [range(n)[part] for n, part in zip(self.shape, where, strict=True)][:-2]
        pages = planes.reshape(-1, *self.shape[-2:])
        for number, page in zip(page_numbers(stacked, self.shape), pages, strict=True):
            with self._lock:
                self._file.seek(self._offset + number * self._size)
                self._file.write(np.ascontiguousarray(page, self.dtype).data)


def needs_bigtiff(shape: Sequence[int], dtype: DTypeLike) -> bool:
    """Return whether pixels need a BigTIFF file.

    Parameters
    ----------
    shape : sequence of int
    dtype : dtype
    """
    return math.prod(shape) * np.dtype(dtype).itemsize > _BIG
