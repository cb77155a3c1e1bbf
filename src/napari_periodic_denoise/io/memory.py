"""Whether there is enough memory for what is to be cleaned."""

from __future__ import annotations

import os

from napari_periodic_denoise.io.image_file import ImageFileError

_LEAST = 2 * 4  # bytes a pixel: the plane and its noise in float32, without which nothing goes


def check_memory(pixels: int, others: int = 0) -> None:
    """Raise an ImageFileError if a plane takes more memory than the computer has.

    Parameters
    ----------
    pixels : int
        Of the plane, of one channel.
    others : int
        Bytes of what is held at the same time.
    """
    if not hasattr(os, "sysconf"):  # Windows gives no memory that it does not have
        return
    needed = _LEAST * pixels + others
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise ImageFileError(
            f"a plane needs at least {needed / 1e9:.0f} GB of memory; this computer has "
            f"{there / 1e9:.0f} GB"
        )
