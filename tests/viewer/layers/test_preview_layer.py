"""The temporary layer of previews, on a viewer model."""

import gc
import weakref

import numpy as np
import pytest

from napari_periodic_denoise.viewer.layers.plane import Plane
from napari_periodic_denoise.viewer.layers.preview_layer import PreviewLayer


@pytest.fixture
def source(viewer, image):
    return viewer.add_image(image, name="cell", scale=(2, 3))


@pytest.fixture
def preview(viewer):
    return PreviewLayer(viewer.layers)


def test_it_is_above_its_source_and_the_selection_stays(viewer, image, source, preview):
    labels = viewer.add_labels(np.zeros(image.shape, int))
    viewer.layers.selection = {source, labels}
    preview.show(source, image // 2, Plane(), "preview")
    assert list(viewer.layers) == [source, preview.layer, labels]
    assert viewer.layers.selection == {source, labels}
    assert preview.source is source
    assert preview.layer.name == "cell preview"
    assert tuple(preview.layer.scale) == (2, 3)
    np.testing.assert_array_equal(preview.layer.data, image // 2)


def test_its_appearance_follows_the_source(source, image, preview):
    preview.show(source, image, Plane(), "preview")
    source.contrast_limits, source.gamma, source.colormap = (5, 50), 0.5, "green"
    layer = preview.layer
    assert (tuple(layer.contrast_limits), layer.gamma) == ((5, 50), 0.5)
    assert layer.colormap.name == "green"


def test_it_is_updated_in_its_place(viewer, source, image, preview):
    preview.show(source, image, Plane(), "preview")
    layer = preview.layer
    part = Plane(part=((10, 20), (4, 30)))
    preview.show(source, part.of(image), part, "preview")
    assert preview.layer is layer
    assert list(viewer.layers) == [source, layer]
    np.testing.assert_array_equal(layer.data, image[10:20, 4:30])
    np.testing.assert_allclose(layer.data_to_world((0, 0)), source.data_to_world((10, 4)))


def test_once_removed_by_the_user_it_is_not_shown_again(viewer, source, image, preview):
    preview.show(source, image, Plane(), "preview")
    viewer.layers.remove(preview.layer)
    preview.show(source, image, Plane(), "preview")
    assert list(viewer.layers) == [source]


def test_a_removed_layer_is_freed(viewer, source, image, preview):
    preview.remove()  # without a layer, nothing happens
    preview.show(source, image, Plane(), "preview")
    layer = weakref.ref(preview.layer)
    preview.remove()
    assert preview.layer is preview.source is None
    assert list(viewer.layers) == [source]
    gc.collect()
    assert layer() is None  # a link would keep it
