"""Whether there is enough memory for what is to be cleaned."""

from __future__ import annotations

import os
from pathlib import Path

from napari_periodic_denoise.io.image_file import ImageFileError

_LEAST = 2 * 4  # bytes a pixel: a plane and its noise in float32
_CONTAINER = Path("/sys/fs/cgroup/memory.max")  # Linux's cgroup v2; "max" where there is no limit


def check_memory(pixels: int, itemsize: int, planes: int = 1) -> None:
    """Raise an ImageFileError if what is cleaned at a time exceeds the computer's memory.

    Parameters
    ----------
    pixels : int
        Of a plane.
    itemsize : int
        Bytes of each.
    planes : int
        Number of planes in a chunk or shard, which is read and written whole.
    """
    if not hasattr(os, "sysconf"):  # Windows gives no memory that it does not have
        return
    needed = _LEAST * pixels + 2 * itemsize * pixels * planes  # read, and cleaned
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if _CONTAINER.exists() and (limit := _CONTAINER.read_text().strip()).isdigit():
        there = min(there, int(limit))
    if needed <= there:
        return
    size = f"at least {needed / 1e9:.0f} GB of memory; this computer has {there / 1e9:.0f} GB"
    if planes == 1:
        raise ImageFileError(f"a plane takes {size}")
    raise ImageFileError(
        f"the {planes} planes of a chunk take {size}: rewrite the image in chunks of fewer planes"
    )
