import numpy as np
import pytest

from napari_periodic_denoise.viewer.layers.plane import THIS_PLANE, Plane
from napari_periodic_denoise.viewer.panels.areas import AreasPanel


@pytest.fixture
def panel(viewer):
    panel = AreasPanel(viewer)
    viewer.layers.events.inserted.connect(panel.reset_choices)
    viewer.layers.events.removed.connect(panel.reset_choices)
    yield panel
    panel.native.deleteLater()


def test_without_areas(viewer, panel):
    source = viewer.add_image(np.zeros((8, 8)))
    assert panel.engine_options() == {}
    assert panel.masks(source, Plane()) == {}
    assert panel.reason_not_to_run("shared") == ""
    assert not panel.keep.visible


def test_areas_by_option_of_the_engine(viewer, panel):
    source = viewer.add_image(np.zeros((8, 8)))
    labels = np.zeros((8, 8), int)
    labels[2:4] = 1
    noise, specimen = viewer.add_labels(labels), viewer.add_labels(1 - labels)
    panel.exemplar.value, panel.protect.value = noise, specimen
    masks = panel.masks(source, Plane())
    assert set(masks) == {"exemplar", "protect"}
    np.testing.assert_array_equal(masks["exemplar"](), labels == 1)
    np.testing.assert_array_equal(masks["protect"](), labels == 0)
    viewer.layers.remove(noise)
    assert set(panel.masks(source, Plane())) == {"protect"}


def test_pixels_are_kept_where_asked_for(viewer, panel):
    panel.protect.value = viewer.add_labels(np.ones((8, 8), int))
    assert panel.engine_options() == {}
    panel.keep.value = True
    panel.edge.value = 3
    assert panel.engine_options() == {"protect_edge": 3}
    panel.protect.value = None
    assert panel.engine_options() == {}


def test_areas_are_of_one_plane(viewer, panel):
    panel.exemplar.value = viewer.add_shapes()
    assert "This plane" in panel.reason_not_to_run("per_plane")
    assert panel.reason_not_to_run(THIS_PLANE) == ""


def test_only_what_applies_is_shown(viewer, panel):
    panel.show()
    assert not panel.keep.native.isVisible()
    panel.protect.value = viewer.add_shapes()
    assert panel.keep.native.isVisible()
    assert not panel.edge.native.isVisible()
    panel.keep.value = True
    assert panel.edge.native.isVisible()
    panel.protect.value = None
    assert not panel.keep.native.isVisible()
    assert not panel.edge.native.isVisible()


@pytest.mark.parametrize(
    ("corners", "words"),
    [
        (None, "“drawn” marks nothing in the displayed plane"),
        ([[[90, 90], [90, 99], [99, 99], [99, 90]]], "lies outside the image"),
        ([[[2, 2], [2, 9], [9, 9], [9, 2]]], "at least 256 are needed"),
    ],
)
def test_an_unsuitable_area_is_reported(viewer, dock, wait, image, corners, words):
    # by the real engine
    viewer.add_image(image)
    area = viewer.add_shapes(corners, name="drawn", ndim=2)
    dock.areas.exemplar.value = area
    dock.run_button.native.click()
    wait()
    assert words in dock.status.value
    assert len(viewer.layers) == 2
    viewer.layers.remove(area)
    assert dock.areas.exemplar.value is None
    assert dock.run_button.enabled
