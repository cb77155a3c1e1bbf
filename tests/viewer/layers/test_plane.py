"""Planes of layers, on a viewer model."""

from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Image

from napari_periodic_denoise.options import STACK_MODELS
from napari_periodic_denoise.viewer.layers.plane import (
    PLANES,
    THIS_PLANE,
    Plane,
    displayed_plane,
    is_inside,
    nearest_plane,
    part_in_view,
    reason_not_to_run,
)

ALIGNED = {"method": "aligned", "remainder": "none", "gram": False}


def test_choices_are_the_stacks():
    choices = [choice for _, choice in PLANES]
    assert choices[0] == THIS_PLANE
    assert sorted(choices[1:]) == sorted(STACK_MODELS)


@pytest.mark.parametrize(
    ("plane", "where"),
    [
        (Plane((1, 2), (3,)), np.s_[3]),
        (Plane((2, 3), (1, 0)), np.s_[1, 0]),
        (Plane((0, 2), (4,)), np.s_[:, 4]),
        (Plane((1, 2), (3,), ((0, 4), (2, 5))), np.s_[3, :4, 2:5]),
        (Plane((0, 2), (4,), ((1, 5), (3, 6))), np.s_[1:5, 4, 3:6]),
        (Plane(part=((1, 3), (2, 6))), np.s_[1:3, 2:6]),
    ],
)
def test_a_plane_is_read_from_its_place_and_put_back(plane, where):
    data = np.random.default_rng(0).random((2, 5, 6, 7)[-plane.ndim :])
    np.testing.assert_array_equal(plane.of(data), data[where])
    thick = plane.in_place(plane.of(data))
    at = tuple(slice(i, i + n) for i, n in zip(plane.start, thick.shape, strict=True))
    np.testing.assert_array_equal(thick, data[at])
    colours = np.stack([data] * 3, axis=-1)
    np.testing.assert_array_equal(plane.in_place(plane.of(colours)), colours[at])


@pytest.mark.parametrize(
    ("looked_at", "part"),
    [
        ((1000, 1500), ((488, 1512), (988, 2012))),
        ((0, 1500), ((0, 1024), (988, 2012))),
        ((9999, -9999), ((976, 2000), (0, 1024))),
    ],
)
def test_of_a_large_plane_the_part_in_view(viewer, looked_at, part):
    layer = Image(np.zeros((3, 2000, 2500), np.uint8), scale=(1, 2, 0.5), rotate=20)
    viewer.layers.append(layer)
    plane = displayed_plane(layer, viewer.dims)
    centre = layer.data_to_world((1, *looked_at))
    viewer.dims.point = (centre[0], 0, 0)
    assert part_in_view(plane, layer, viewer.dims, centre) == replace(plane, part=part)


def test_the_part_in_view_along_other_axes(viewer):
    viewer.add_image(np.zeros((2000, 2, 1500), np.uint8))
    (layer,) = viewer.layers
    viewer.dims.order = (1, 2, 0)  # the last one from left to right
    plane = displayed_plane(layer, viewer.dims)
    assert plane.axes == (0, 2)
    part = part_in_view(plane, layer, viewer.dims, (0, 600, 1200)).part
    assert part == ((688, 1712), (88, 1112))


def test_a_small_plane_is_previewed_whole(viewer):
    for shape in ((1024, 1024), (300, 3000)):
        layer = viewer.add_image(np.zeros(shape, np.uint8))
        assert part_in_view(Plane(), layer, viewer.dims, (0, 0, 0)) == Plane()
    long = viewer.add_image(np.zeros((500, 3000), np.uint8))
    assert part_in_view(Plane(), long, viewer.dims, (0, 0, 0)).part == ((0, 500), (0, 1024))


def test_a_layer_that_is_a_plane_itself_stays_as_it_is():
    data = np.zeros((4, 5))
    assert Plane().of(data) is data
    assert Plane().in_place(data) is data
    assert Plane().start == (0, 0)


def test_the_plane_is_the_one_that_is_shown(viewer):
    source = viewer.add_image(np.zeros((2, 5, 6, 7)), scale=(1, 0.5, 2, 2), translate=(0, 3, 0, 0))
    viewer.dims.current_step = (1, 4, 0, 0)
    assert displayed_plane(source, viewer.dims) == Plane((2, 3), (1, 4))
    viewer.dims.order = (3, 0, 2, 1)  # as the buttons roll and transpose the axes
    viewer.dims.current_step = (1, 0, 0, 6)
    assert displayed_plane(source, viewer.dims) == Plane((1, 2), (1, 6))
    flat = viewer.add_image(np.zeros((6, 7)))
    assert displayed_plane(flat, viewer.dims) == Plane((0, 1), ())


def test_axes_are_those_of_the_layer_among_others(viewer):
    viewer.add_image(np.zeros((9, 5, 6, 7)))
    source = viewer.add_image(np.zeros((3, 6, 7)))
    viewer.dims.current_step = (8, 4, 0, 0)
    plane = displayed_plane(source, viewer.dims)
    assert plane == Plane((1, 2), (4,))
    assert not is_inside(plane, source)
    assert nearest_plane(plane, source).index == (2,)
    viewer.dims.current_step = (8, 1, 0, 0)
    assert is_inside(displayed_plane(source, viewer.dims), source)


def test_of_a_pyramid_the_finest_level_counts():
    source = Image([np.zeros((4, 32, 32)), np.zeros((2, 16, 16))], multiscale=True)
    assert is_inside(Plane((1, 2), (3,)), source)


def test_impossible_runs_are_explained(viewer):
    source, flat = viewer.add_image(np.zeros((5, 20, 30))), viewer.add_image(np.zeros((20, 30)))
    texture, gram = ALIGNED | {"method": "texture"}, ALIGNED | {"gram": True}
    more, network = ALIGNED | {"remainder": "stripes"}, ALIGNED | {"weights": "random"}
    for planes, options, words in (
        (THIS_PLANE, ALIGNED, ""),
        (THIS_PLANE, texture, ""),
        (THIS_PLANE, gram, ""),
        ("per_plane", ALIGNED, ""),
        ("per_plane", texture, "texture"),
        ("shared", gram, "Gram matrices"),
        ("drifting", ALIGNED, ""),
        ("per_plane", more, ""),
        ("per_plane", network, ""),
        ("shared", more, "A model for all planes"),
        ("drifting", network, "A model for all planes"),
    ):
        reason = reason_not_to_run(source, viewer.dims, planes, options)
        assert words in reason
        assert bool(reason) == bool(words)
        assert not reason_not_to_run(flat, viewer.dims, planes, options)
    viewer.dims.ndisplay = 3
    assert "2-D" in reason_not_to_run(source, viewer.dims, THIS_PLANE, ALIGNED)
    assert not reason_not_to_run(flat, viewer.dims, THIS_PLANE, ALIGNED)
