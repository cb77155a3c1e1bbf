"""Physical pixel size of a layer, if it has one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pint
    from napari.layers import Image

    from napari_periodic_denoise.viewer.layers.plane import Plane


class PixelSize(NamedTuple):
    """Height and width of a pixel, and their unit."""

    y: float
    x: float
    unit: str


def pixel_size(layer: Image, plane: Plane) -> PixelSize | None:
    """Return the size of a layer's pixels.

    Parameters
    ----------
    layer : Image
    plane : Plane
        Whose axes to use.

    Returns
    -------
    PixelSize or None
        None if the layer's unit is the pixel, or if the units of the two axes differ in kind.
    """
    y, x = (abs(float(layer.scale[axis])) * layer.units[axis] for axis in plane.axes)
    if not y.is_compatible_with(x.units) or str(y.units) == "pixel":
        return None
    return PixelSize(y.magnitude, x.to(y.units).magnitude, symbol(y.units))


def symbol(unit: pint.Unit) -> str:
    """Return a unit's symbol, with the micro sign instead of the Greek letter mu.

    Parameters
    ----------
    unit : pint.Unit

    Returns
    -------
    str
    """
    # Pint 0.26 writes the letter, as Unicode recommends; other software expects the sign
    return f"{unit:~P}".replace("\N{GREEK SMALL LETTER MU}", "\N{MICRO SIGN}")
