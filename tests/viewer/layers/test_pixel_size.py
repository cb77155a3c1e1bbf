"""Pixel sizes of layers."""

import numpy as np
import pytest
from napari.layers import Image
from pint import Unit

from napari_periodic_denoise.viewer.layers.pixel_size import PixelSize, pixel_size, symbol
from napari_periodic_denoise.viewer.layers.plane import Plane


def layer(*scale, units):
    return Image(np.zeros((4,) * len(scale)), scale=scale, units=units)


def test_height_and_width_in_the_layers_unit():
    source = layer(0.5, 0.25, units=("um", "um"))
    assert pixel_size(source, Plane()) == PixelSize(0.5, 0.25, "µm")


def test_the_axes_are_those_of_the_plane():
    source = layer(3, 0.5, 0.25, units=("um", "um", "um"))
    assert pixel_size(source, Plane((1, 2), (0,))) == PixelSize(0.5, 0.25, "µm")
    assert pixel_size(source, Plane((0, 2), (0,))) == PixelSize(3, 0.25, "µm")


def test_the_width_is_converted_to_the_unit_of_the_height():
    source = layer(0.5, 250, units=("um", "nm"))
    assert pixel_size(source, Plane()) == pytest.approx((0.5, 0.25, "µm"))


def test_a_negative_scale_is_a_reflection():
    assert pixel_size(layer(-0.5, 0.25, units=("um", "um")), Plane()) == (0.5, 0.25, "µm")


@pytest.mark.parametrize("units", [("pixel", "pixel"), ("s", "um")])
def test_pixels_and_units_of_different_kinds_have_no_size(units):
    assert pixel_size(layer(0.5, 0.5, units=units), Plane()) is None


def test_symbols_have_the_micro_sign():
    assert symbol(Unit("micrometer")) == "\N{MICRO SIGN}m"
    assert symbol(Unit("nm")) == "nm"
