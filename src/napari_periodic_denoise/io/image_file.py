"""What is read from an image file: its pixels, and what the file says about them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_periodic_denoise.io.ome_xml import of_noise

if TYPE_CHECKING:
    from napari_periodic_denoise.io.tiff_pages import TiffPages


class ImageFileError(ValueError):
    """A file cannot be read or written; the message says why, in one line."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a file says about its pixels besides their values, in TIFF's terms.

    Attributes
    ----------
    resolution : tuple or None
        Pixels per unit along x and y, as numbers or as TIFF's fractions; None if the file has
        none, or none that are positive numbers.
    unit : int
        TIFF's ResolutionUnit: 1 none, 2 inch, 3 centimetre.
    description : str
        TIFF's ImageDescription, where ImageJ and OME keep unit, pixel size and display range.
    orientation : int
        TIFF's Orientation: how a viewer turns and flips the stored rows and columns.
    profile : bytes or None
        ICC profile: which colours the values stand for.
    png : dict
        What else Pillow writes into a PNG file: its text and its EXIF.
    """

    resolution: tuple[Any, Any] | None = None
    unit: int = 1
    description: str = ""
    orientation: int = 1
    profile: bytes | None = None
    png: dict[str, Any] = field(default_factory=dict)

    def of_noise(
        self, channels: int = 1, slices: int = 1, frames: int = 1, *, is_same_shape: bool = False
    ) -> Calibration:
        """Return the calibration of the image's noise: pixel size and orientation.

        The display range and the data type in the OME-XML belong to the image alone.

        Parameters
        ----------
        channels, slices, frames : int
            Of the noise, which has one page for each.
        is_same_shape : bool
            Whether the noise has the axes and pages of the image, so that its OME-XML holds.
        """
        pages = channels * slices * frames
        if is_same_shape and "<OME" in self.description:
            description = of_noise(self.description, pages)
        else:
            kept = ("ImageJ=", "unit=", "yunit=", "zunit=", "spacing=", "finterval=", "fps=")
            lines = [line for line in self.description.splitlines() if line.startswith(kept)]
            if pages > 1:  # in ImageJ's words, which most programs know
                counts = {"channels": channels, "slices": slices, "frames": frames}
                lines = [
                    *(lines or ["ImageJ=1.11a"]),
                    f"images={pages}",
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
        In the file's dtype. Pages of a stack are read when they are asked for.
    calibration : Calibration
    channel_axis : int or None
        Axis of the channels; None for a grey image.
    alpha : int
        Number of channels, the last ones, that hold no intensity, but mostly transparency.
    axes : str
        Of a stack: a letter for each axis, as tifffile names them.
    levels : tuple of TiffPages
        Of a TIFF file: the levels of its pyramid, the finest first, or its only one.
    is_whole_series : bool
        False if other pages of the image, or of a series of several files, are not in it.
    dropped : tuple of str
        What of the file the cleaned one will not have.
    """

    pixels: np.ndarray | TiffPages
    calibration: Calibration = field(default_factory=Calibration)
    channel_axis: int | None = None
    alpha: int = 0
    axes: str = ""
    levels: tuple[TiffPages, ...] = ()
    is_whole_series: bool = True
    dropped: tuple[str, ...] = ()


def one_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type if it has none."""
    return str(error).strip().split("\n")[0] or type(error).__name__


def resolution_of(horizontal: object, vertical: object) -> tuple[Any, Any] | None:
    """Return the two if each is a positive number or fraction; some programs write 0/0.

    Parameters
    ----------
    horizontal, vertical : object
        As a file has them.
    """
    for value in (horizontal, vertical):
        parts = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(part, int | float) and 0 < part < math.inf for part in parts):
            return None
    return horizontal, vertical


def describe_dropped(dropped: tuple[str, ...]) -> str:
    """Return the end of a line about a file: what the cleaned one does not have.

    Parameters
    ----------
    dropped : tuple of str
    """
    return f"; not kept: {', '.join(dropped)}" if dropped else ""
