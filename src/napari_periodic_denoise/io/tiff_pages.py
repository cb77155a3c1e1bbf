"""Stacks in TIFF files, read and written page by page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, Literal

import numpy as np
import tifffile
from numpy.typing import DTypeLike, NDArray

_BIG = 2**32 - 2**25  # bytes of pixels; tifffile's limit for offsets of 32 bits

Where = tuple[slice, ...]


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
        How many of the axes, the last ones, are a page's.
    offsets : tuple of int
        Where in the file each page's directory is; or, of pages one right behind the other,
        their pixels.
    positions : tuple of int
        Which of the file's pages each page of the stack is.
    is_contiguous : bool
    byteorder : str
    """

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    page_ndim: int
    offsets: tuple[int, ...]
    positions: tuple[int, ...]
    is_contiguous: bool
    byteorder: Literal["<", ">"]

    @staticmethod
    def of(series: tifffile.TiffPageSeries, pages: Sequence[Any]) -> TiffPages:
        """Return the pages of a file's series.

        Parameters
        ----------
        series : tifffile.TiffPageSeries
        pages : sequence of tifffile.TiffPage or TiffFrame
            Of a large stack ImageJ has but one.

        Raises
        ------
        ValueError
            If the axes are not those of the pages and further ones before them.
        """
        file = series.keyframe.parent.filehandle
        page_shape = series.keyframe.shape
        count = math.prod(series.shape) // math.prod(page_shape)
        ndim = len(page_shape)
        start = series.dataoffset
        if series.shape[-ndim:] != page_shape or (start is None and len(pages) != count):
            raise ValueError(f"axes {series.axes} are not those of pages one after the other")
        positions = np.arange(count)
        if len(pages) == count:  # else they are in their order
            positions = np.argsort(np.argsort([page.index for page in pages]))
        if start is None:
            offsets = [page.offset for page in pages]
        else:
            size = math.prod(page_shape) * series.dtype.itemsize
            offsets = [start + i * size for i in range(count)]
        return TiffPages(
            path=str(Path(file.dirname, file.name).absolute()),
            shape=tuple(series.shape),
            dtype=np.dtype(series.dtype).newbyteorder("="),
            page_ndim=ndim,
            offsets=tuple(offsets),
            positions=tuple(positions.tolist()),
            is_contiguous=start is not None,
            byteorder=series.keyframe.parent.byteorder,
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
        pages = [self._read(page)[within] for page in _numbers(stacked, self.shape)]
        return np.stack(pages).reshape(shape + pages[0].shape)

    def _read(self, number: int) -> NDArray[Any]:
        offset, shape = self.offsets[number], self.shape[-self.page_ndim :]
        if self.is_contiguous:
            stored = self.dtype.newbyteorder(self.byteorder)
            count = math.prod(shape)
            pixels = np.fromfile(self.path, stored, count, offset=offset)
            return pixels.reshape(shape).astype(self.dtype, copy=False)
        with tifffile.TiffFile(self.path) as tiff:
            tiff.filehandle.seek(offset)  # there TiffPage reads: no need to go through all before
            page: NDArray[Any] = tifffile.TiffPage(tiff, index=number).asarray()
        return page


class TiffTarget:
    """A stack in a TIFF file that is written in any order.

    Parameters
    ----------
    file : BinaryIO
        Empty; its pages are made at once, and filled in with ``target[where] = planes``.
    shape : tuple of int
    dtype : dtype
    page_ndim : int
        How many of the axes, the last ones, are a page's.
    positions : sequence of int
        Which of the file's pages each page of the stack is.
    options : dict
        For tifffile.
    """

    def __init__(
        self,
        file: BinaryIO,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        page_ndim: int,
        positions: Sequence[int],
        options: dict[str, Any],
    ) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._file, self._page_ndim, self._positions = file, page_ndim, positions
        self._size = math.prod(shape[-page_ndim:]) * self.dtype.itemsize
        self._lock = Lock()
        with tifffile.TiffWriter(file, bigtiff=needs_bigtiff(shape, self.dtype)) as writer:
            where = writer.write(
                shape=shape, dtype=self.dtype, returnoffset=True, contiguous=True, **options
            )
        assert where is not None
        self._offset = where[0]

    def __setitem__(self, where: Where, planes: NDArray[Any]) -> None:
        stacked = [range(n)[part] for n, part in zip(self.shape, where, strict=True)]
        stacked = stacked[: -self._page_ndim]
        pages = planes.reshape(-1, *self.shape[-self._page_ndim :])
        for number, page in zip(_numbers(stacked, self.shape), pages, strict=True):
            with self._lock:
                self._file.seek(self._offset + self._positions[number] * self._size)
                self._file.write(np.ascontiguousarray(page, self.dtype).data)


def needs_bigtiff(shape: Sequence[int], dtype: DTypeLike) -> bool:
    """Return whether pixels need a BigTIFF file.

    Parameters
    ----------
    shape : sequence of int
    dtype : dtype
    """
    return math.prod(shape) * np.dtype(dtype).itemsize > _BIG


def _numbers(stacked: list[range], shape: tuple[int, ...]) -> list[int]:
    """Numbers of the pages at all places along the stacked axes."""
    if not stacked:
        return [0]
    grid = np.ix_(*stacked)
    numbers = np.ravel_multi_index(np.broadcast_arrays(*grid), shape[: len(stacked)])
    return [int(number) for number in numbers.ravel()]
