"""How large the pixels of a layer are, where the layer knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pint
    from napari.layers import Image

    from napari_periodic_denoise.viewer.layers.plane import Plane


class PixelSize(NamedTuple):
    """Height and width of a pixel, and in what."""

    y: float
    x: float
    unit: str


def pixel_size(layer: Image, plane: Plane) -> PixelSize | None:
    """Return the size of a layer's pixels.

    Parameters
    ----------
    layer : Image
    plane : Plane
        The layer's axes that count.

    Returns
    -------
    PixelSize or None
        None where the layer counts in pixels, or its two axes in what can't be compared.
    """
    y, x = (abs(float(layer.scale[axis])) * layer.units[axis] for axis in plane.axes)
    if not y.is_compatible_with(x.units) or str(y.units) == "pixel":
        return None
    return PixelSize(y.magnitude, x.to(y.units).magnitude, symbol(y.units))


def symbol(unit: pint.Unit) -> str:
    """Return a unit's symbol, with the micro sign and not the Greek letter that looks like it.

    Parameters
    ----------
    unit : pint.Unit

    Returns
    -------
    str
    """
    # Pint 0.26 writes the letter, which is Unicode's choice; all others know units by the sign
    return f"{unit:~P}".replace("\N{GREEK SMALL LETTER MU}", "\N{MICRO SIGN}")
