import dask.array as da
import numpy as np
import pytest
from napari.layers import Image, Labels, Shapes
from skimage.draw import polygon2mask

from napari_periodic_denoise.viewer.layers.masks import NothingMarkedError, mask_of
from napari_periodic_denoise.viewer.layers.plane import Plane, displayed_plane

RECTANGLE = [[4, 6], [4, 20], [15, 20], [15, 6]]


@pytest.fixture
def source(viewer):
    return viewer.add_image(np.zeros((30, 40), np.float32), name="source")


def added(viewer, layer, source):
    viewer.add_layer(layer)
    return mask_of(layer, source, displayed_plane(source, viewer.dims), viewer.dims)()


def marked(rows, columns, shape=(30, 40)):
    expected = np.zeros(shape, dtype=bool)
    expected[rows, columns] = True
    return expected


def test_labels_of_the_same_pixels(viewer, source):
    labels = np.zeros((30, 40), np.uint8)
    labels[3:9, 30:] = 7
    before = labels.copy()
    np.testing.assert_array_equal(added(viewer, Labels(labels), source), labels != 0)
    np.testing.assert_array_equal(labels, before)


def test_of_a_part_of_a_plane_that_part(viewer, source):
    labels = np.zeros((30, 40), np.uint8)
    labels[3:9, 25:30] = 7
    layer = viewer.add_labels(labels)
    part = Plane(part=((2, 20), (5, 40)))
    np.testing.assert_array_equal(
        mask_of(layer, source, part, viewer.dims)(), labels[2:20, 5:40] != 0
    )
    other = Plane(part=((10, 30), (0, 20)))
    with pytest.raises(NothingMarkedError, match="outside"):
        mask_of(layer, source, other, viewer.dims)()


def test_labels_with_pixels_of_their_own(viewer, source):
    source.scale, source.translate = (0.5, 0.5), (10, 20)
    labels = np.zeros((10, 10), np.uint8)
    labels[2:4, 5:] = 1
    # its pixels are four by four of the source's, the first of them around the source's (0, 0)
    layer = Labels(labels, scale=(2, 2), translate=(10.75, 20.75))
    np.testing.assert_array_equal(
        added(viewer, layer, source), marked(slice(8, 16), slice(20, None))
    )


def test_labels_that_are_turned(viewer, source):
    labels = np.zeros((40, 30), np.uint8)
    labels[5:12, 20:26] = 1
    # turned by a right angle: down is the source's right
    layer = Labels(labels, affine=[[0, 1, 0], [1, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(added(viewer, layer, source), labels.T != 0)


def test_units_are_converted(viewer, source):
    source.units, source.scale = ("um", "um"), (0.5, 0.5)
    labels = np.zeros((30, 40), np.uint8)
    labels[3:9, 30:] = 1
    layer = Labels(labels, units=("nm", "nm"), scale=(500, 500))
    np.testing.assert_array_equal(added(viewer, layer, source), labels != 0)


@pytest.mark.parametrize("wrap", [np.asarray, da.from_array])
def test_of_stacks_the_slice_that_is_shown(viewer, wrap):
    source = viewer.add_image(np.zeros((5, 30, 40)), scale=(2, 1, 1))
    labels = np.zeros((5, 30, 40), np.uint8)
    labels[3, 10:20, 5:9] = 1
    labels[4] = 1
    viewer.dims.set_point(0, 6)
    layer = Labels(wrap(labels), scale=(2, 1, 1))
    np.testing.assert_array_equal(added(viewer, layer, source), labels[3] != 0)


def test_a_stack_of_labels_over_one_plane(viewer, source):
    labels = np.zeros((5, 30, 40), np.uint8)
    labels[3, 10:20, 5:9] = 1
    layer = viewer.add_labels(labels)
    viewer.dims.set_point(0, 3)
    found = mask_of(layer, source, Plane(), viewer.dims)()
    np.testing.assert_array_equal(found, labels[3] != 0)


def test_two_dimensional_labels_hold_for_all_planes(viewer):
    source = viewer.add_image(np.zeros((5, 30, 40)))
    labels = np.zeros((30, 40), np.uint8)
    labels[10:20, 5:9] = 1
    for plane in (0, 4):
        viewer.dims.set_point(0, plane)
        np.testing.assert_array_equal(added(viewer, Labels(labels), source), labels != 0)


def test_the_plane_may_be_another_pair_of_axes(viewer):
    source = viewer.add_image(np.zeros((20, 30, 40)))
    labels = np.zeros((20, 30, 40), np.uint8)
    labels[5:9, 12, 3:30] = 1
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_point(1, 12)
    np.testing.assert_array_equal(added(viewer, Labels(labels), source), labels[:, 12] != 0)


def test_shapes_are_filled_in_the_pixels_of_the_source(viewer, source):
    source.scale, source.translate = (0.5, 0.5), (10, 20)
    corners = np.array(RECTANGLE)
    layer = Shapes([corners * 0.25 + (5, 10)], shape_type="rectangle", scale=(2, 2))
    vertices = layer.data[0].copy()
    found = added(viewer, layer, source)
    np.testing.assert_array_equal(found, polygon2mask((30, 40), corners))
    assert found[5:15, 7:20].all()
    assert not found[:4].any()
    np.testing.assert_array_equal(layer.data[0], vertices)


def test_kinds_of_shapes_together(viewer, source):
    layer = Shapes()
    layer.add_rectangles([RECTANGLE])
    layer.add_ellipses([[[18, 22], [18, 38], [28, 38], [28, 22]]])
    found = added(viewer, layer, source)
    assert found[23, 30]
    assert not found[19, 23]  # a corner, outside of the ellipse
    assert found[10, 10]


def test_shapes_of_a_stack_are_of_their_plane(viewer):
    source = viewer.add_image(np.zeros((5, 30, 40)), scale=(2, 1, 1))
    corners = [[3, y, x] for y, x in RECTANGLE]
    other = [[1, y, x] for y, x in (np.array(RECTANGLE) + 10).tolist()]
    layer = viewer.add_shapes([corners, other], shape_type="rectangle", scale=(2, 1, 1))
    viewer.dims.set_point(0, 6)
    found = mask_of(layer, source, displayed_plane(source, viewer.dims), viewer.dims)()
    np.testing.assert_array_equal(found, polygon2mask((30, 40), RECTANGLE))
    viewer.dims.set_point(0, 4)
    with pytest.raises(NothingMarkedError, match="“Shapes” marks nothing"):
        mask_of(layer, source, displayed_plane(source, viewer.dims), viewer.dims)()


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Labels(np.zeros((30, 40), np.uint8), name="painted"), "“painted” marks nothing"),
        (Labels(np.ones((30, 40), np.uint8), translate=(90, 0)), "outside the image"),
        (Shapes(name="drawn"), "“drawn” marks nothing"),
        (Shapes([np.add(RECTANGLE, 100)]), "outside the image"),
    ],
)
def test_an_empty_mask_is_explained(viewer, source, layer, words):
    with pytest.raises(NothingMarkedError, match=words):
        added(viewer, layer, source)


def test_a_stack_that_does_not_reach_the_plane(viewer):
    source = viewer.add_image(np.zeros((5, 30, 40)))
    viewer.dims.set_point(0, 4)
    with pytest.raises(NothingMarkedError, match="does not reach the displayed plane"):
        added(viewer, Labels(np.ones((2, 30, 40), np.uint8)), source)


def test_colours_are_no_axis(viewer):
    source = Image(np.zeros((30, 40, 3), np.uint8), rgb=True)
    viewer.add_layer(source)
    labels = np.zeros((30, 40), np.uint8)
    labels[3:9, 30:] = 1
    np.testing.assert_array_equal(added(viewer, Labels(labels), source), labels != 0)
