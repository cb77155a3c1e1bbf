"""OME-XML of TIFF files: which planes are in which file, and the XML of an image's noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np

_SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


@dataclass(frozen=True, slots=True)
class OwnPlanes:
    """The planes of a series of several files that are in one of them.

    Attributes
    ----------
    axes : str
        Letters of the series' axes besides rows, columns and samples, slowest first.
    sizes : tuple of int
    planes : dict of int to int
        Number of the plane in the series, for each page of the file that is one.
    """

    axes: str
    sizes: tuple[int, ...]
    planes: dict[int, int]

    def grid(self) -> tuple[str, tuple[int, ...], list[int]]:
        """Return axes, sizes and pages of the part of the series that the file holds.

        Pages that fill no grid in the series become one axis, ``I``, in the file's order.
        """
        pages = sorted(self.planes, key=lambda page: self.planes[page])
        places = np.unravel_index([self.planes[page] for page in pages], self.sizes)
        sizes = [len(np.unique(place)) for place in places]
        if math.prod(sizes) != len(pages) or len(set(self.planes.values())) < len(pages):
            return "I", (len(pages),), sorted(pages)
        kept = [(name, n) for name, n in zip(self.axes, sizes, strict=True) if n > 1]
        return "".join(name for name, _ in kept), tuple(n for _, n in kept), pages


def own_planes(xml: str, name: str, count: int) -> OwnPlanes | None:
    """Return the planes in a file of a series of several files.

    Parameters
    ----------
    xml : str
    name : str
        Of the file.
    count : int
        Number of its pages.

    Returns
    -------
    OwnPlanes or None
        None if the XML names no other file.

    Raises
    ------
    ValueError
        If planes of several images are in the file, or none.
    """
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return None
    identity = root.get("UUID")
    others = False
    found = []
    for pixels in root.iterfind(".//{*}Image/{*}Pixels"):
        axes, sizes = _stacked(pixels)
        planes: dict[int, int] = {}
        for data in pixels.iterfind("{*}TiffData"):
            uuid = data.find("{*}UUID")
            if uuid is not None and not (
                uuid.get("FileName", "").lower() == name.lower() or uuid.text == identity
            ):
                others = True
                continue
            first = [int(data.get(f"First{axis}", 0)) for axis in axes]
            page, plane = int(data.get("IFD", 0)), int(np.ravel_multi_index(first, sizes))
            default = 1 if "IFD" in data.attrib else count
            planes.update(
                (page + i, plane + i) for i in range(int(data.get("PlaneCount", default)))
            )
        if planes:
            found.append(OwnPlanes(axes, sizes, planes))
    if not others:
        return None
    if len(found) != 1 or max(found[0].planes) >= count:
        raise ValueError(f"{len(found)} images of its OME-XML have all their pages in this file")
    return found[0]


def _stacked(pixels: ElementTree.Element) -> tuple[str, tuple[int, ...]]:
    """Axes and sizes besides rows, columns and samples, slowest first."""
    axes = pixels.get("DimensionOrder", "XYZCT")[:1:-1]
    channel = pixels.find("{*}Channel")
    samples = 1 if channel is None else int(channel.get("SamplesPerPixel", 1))
    sizes = {axis: int(pixels.get(f"Size{axis}", 1)) for axis in axes}
    sizes["C"] //= samples
    return axes, tuple(sizes[axis] for axis in axes)


def companion(xml: str) -> str | None:
    """Return the name of the file that has the metadata, if the XML only refers to one.

    Parameters
    ----------
    xml : str
    """
    try:
        only = ElementTree.fromstring(xml).find("{*}BinaryOnly")
    except ElementTree.ParseError:
        return None
    return None if only is None else only.get("MetadataFile")


def of_noise(xml: str, pages: int) -> str:
    """Return the OME-XML of an image's noise: float32, page after page in a file of its own.

    Parameters
    ----------
    xml : str
        The image's.
    pages : int
        Their number, in the order of the image's axes.
    """
    root = ElementTree.fromstring(xml)
    schema = root.tag[1:].split("}")[0] if root.tag.startswith("{") else _SCHEMA
    ElementTree.register_namespace("", schema)
    root.attrib.pop("UUID", None)  # it is the image's: readers would open that file instead
    for pixels in root.iterfind(".//{*}Image/{*}Pixels"):
        pixels.set("Type", "float")
        pixels.attrib.pop("SignificantBits", None)
        data = pixels.findall("{*}TiffData")
        place = list(pixels).index(data[0]) if data else len(pixels)
        for old in data:
            pixels.remove(old)
        new = ElementTree.Element(f"{{{schema}}}TiffData", IFD="0", PlaneCount=str(pages))
        pixels.insert(place, new)
    declaration = '<?xml version="1.0" encoding="UTF-8"?>'
    return declaration + ElementTree.tostring(root, encoding="unicode")
