"""The live preview on a viewer model: no window, and a fake engine."""

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtWidgets import QWidget

from fakes import make_estimate
from napari_periodic_denoise.viewer.layers.plane import PREVIEW_SIZE
from napari_periodic_denoise.viewer.panels import preview


@pytest.fixture
def shown(dock, qtbot):
    """Wait until the preview shows something, and return its layer."""

    def shown():
        qtbot.waitUntil(lambda: "removed 50.0%" in dock.status.value)
        return dock.preview.layer

    return shown


@pytest.fixture
def settle(dock, qtbot):
    """Wait until nothing is under way any more."""

    def settle():
        qtbot.wait(2 * preview.DELAY)
        qtbot.waitUntil(lambda: not dock.preview.running)

    return settle


def hold(dock, held):
    button = dock.preview.original.native
    button.setDown(held)
    (button.pressed if held else button.released).emit()


def test_preview_on_and_off(dock, viewer, engine, shown):
    pixels = np.full((32, 40), 100, np.uint8)
    before = pixels.copy()
    source = viewer.add_image(pixels, name="cell", scale=(2, 3), translate=(5, 7), rotate=10)
    source.contrast_limits, source.colormap = (20, 120), "green"
    labels = viewer.add_labels(np.zeros((32, 40), int))
    viewer.layers.selection = {source, labels}
    dock.preview.on.value = True
    layer = shown()
    assert list(viewer.layers) == [source, layer, labels]
    assert layer.name == "cell preview"
    np.testing.assert_array_equal(layer.data, make_estimate(pixels).cleaned)
    np.testing.assert_array_equal(layer.extent.world, source.extent.world)
    np.testing.assert_array_equal(layer.affine.affine_matrix, source.affine.affine_matrix)
    assert tuple(layer.contrast_limits) == (20, 120)
    assert layer.colormap.name == "green"
    assert viewer.layers.selection == {source, labels}
    assert dock.layer.value is source
    assert list(dock.layer.choices) == [source]
    assert dock.status.value == (
        "Preview: 1 wave, 10.0 px at 0°, amplitude 3; removed 50.0% of the variance"
    )
    source.contrast_limits = (50, 110)  # of the source
    assert tuple(layer.contrast_limits) == (50, 110)
    dock.preview.on.value = False
    assert list(viewer.layers) == [source, labels]
    assert viewer.layers.selection == {source, labels}
    assert dock.status.value == ""
    np.testing.assert_array_equal(pixels, before)


def test_the_original_while_held(dock, viewer, image, engine, shown, settle):
    source = viewer.add_image(image)
    dock.preview.on.value = True
    layer = shown()
    cleaned = layer.data
    hold(dock, True)
    np.testing.assert_array_equal(layer.data, source.data)
    engine.amplitude = 9.0
    dock.method_panel.sensitivity.value = 1e-2
    settle()
    np.testing.assert_array_equal(layer.data, source.data)
    hold(dock, False)
    assert not np.array_equal(layer.data, source.data)
    assert not np.array_equal(layer.data, cleaned)
    dock.preview.on.value = False
    assert not dock.preview.original.enabled


def test_the_original_over_earlier_results(dock, viewer, image, engine, wait, shown):
    source = viewer.add_image(image, name="cell")
    dock.run_button.native.click()
    wait()
    dock.preview.on.value = True
    layer = shown()
    assert viewer.layers[-1] is layer
    hold(dock, True)
    np.testing.assert_array_equal(layer.data, source.data)
    hold(dock, False)


@pytest.mark.parametrize("change", ["option", "image", "data", "plane", "order"])
def test_what_the_preview_follows(dock, viewer, engine, shown, settle, change):
    stack = np.random.default_rng(0).integers(0, 200, (5, 32, 40), dtype=np.uint8)
    other = viewer.add_image(stack[::-1] // 2, name="other")
    source = viewer.add_image(stack, name="cell")
    viewer.dims.set_current_step(0, 2)
    dock.preview.on.value = True
    layer = shown()
    assert layer.data.shape == (1, 32, 40)
    np.testing.assert_array_equal(engine.images[-1], stack[2])
    runs = len(engine.images)
    expected = stack[2]
    if change == "option":
        dock.method_panel.noise_model.value = "additive"
    elif change == "image":
        viewer.layers.selection.active = other
        expected = other.data[2]
    elif change == "data":
        source.data = stack // 3
        expected = stack[2] // 3
    elif change == "plane":
        viewer.dims.set_current_step(0, 4)
        expected = stack[4]
    else:
        viewer.dims.order = (1, 0, 2)
        expected = stack[:, int(viewer.dims.point[1])]
    settle()
    assert len(engine.images) == runs + 1
    np.testing.assert_array_equal(engine.images[-1], expected)
    if change == "option":
        assert engine.options[-1]["noise_model"] == "additive"
    layer = dock.preview.layer
    assert layer.name == ("other preview" if change == "image" else "cell preview")
    assert [one.name for one in viewer.layers if one.name.endswith("preview")] == [layer.name]
    place = {"plane": 4, "order": 0}.get(change, 2)
    assert layer.data_to_world((0, 0, 0))[0] == place
    assert layer.data.size == expected.size


def test_of_fast_changes_the_last_one_counts(dock, viewer, image, engine, qtbot, shown, settle):
    viewer.add_image(image)
    dock.preview.on.value = True
    shown()
    runs = len(engine.images)
    for model in ("additive", "multiplicative", "auto", "multiplicative"):
        dock.method_panel.noise_model.value = model
    settle()
    assert len(engine.images) == runs + 1
    assert engine.options[-1]["noise_model"] == "multiplicative"


def test_a_later_change_stops_what_is_under_way(dock, viewer, image, engine, qtbot, settle):
    viewer.add_image(image)
    engine.hold.set()
    dock.preview.on.value = True
    qtbot.waitUntil(lambda: len(engine.images) == 1)
    first = dock.preview._run
    dock.method_panel.sensitivity.value = 1e-2
    assert first.abort_requested
    qtbot.waitUntil(lambda: len(engine.images) == 2)
    engine.amplitude = 5.0
    engine.hold.clear()
    settle()
    assert "amplitude 5" in dock.status.value


def test_slow_previews_show_their_progress(dock, viewer, image, engine, qtbot, shown):
    viewer.add_image(image)
    engine.hold.set()
    dock.preview.on.value = True
    qtbot.waitUntil(lambda: dock.status.value == "Preview: fitting 1 wave…")
    engine.hold.clear()
    shown()


def test_intermediate_results_are_shown_at_once(dock, viewer, image, engine, qtbot, shown):
    source = viewer.add_image(image)
    engine.hold.set()
    engine.half_way = True
    dock.preview.on.value = True
    qtbot.waitUntil(lambda: dock.preview.layer is not None)
    layer = dock.preview.layer
    half = make_estimate(image, 1.5).cleaned
    np.testing.assert_array_equal(layer.data, half)
    assert "removed" not in dock.status.value
    hold(dock, True)  # the original is not known yet
    np.testing.assert_array_equal(layer.data, half)
    engine.hold.clear()
    assert shown() is layer
    np.testing.assert_array_equal(layer.data, source.data)
    hold(dock, False)
    np.testing.assert_array_equal(layer.data, make_estimate(image).cleaned)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "texture", "weights": "random"}, "network"),
        ({"method": "gram_aligned", "weights": "random"}, "network"),
        ({"features": "vgg16", "weights": "random"}, "network"),
    ],
)
def test_slow_features_are_explained(dock, viewer, image, engine, shown, settle, options, words):
    viewer.add_image(image)
    dock.preview.on.value = True
    shown()
    runs = len(engine.images)
    for name, value in options.items():
        getattr(dock.method_panel, name).value = value
    settle()
    assert words in dock.status.value
    assert len(viewer.layers) == 1
    assert len(engine.images) == runs
    dock.method_panel.method.value = "aligned"
    dock.method_panel.features.value = "edges"
    assert shown() in viewer.layers


def test_without_a_plane_to_show(dock, viewer, image, engine, shown, settle):
    dock.preview.on.value = True
    settle()
    assert dock.status.value == "Open an image first."
    viewer.add_image(np.stack([image] * 3), name="stack")
    shown()
    viewer.dims.ndisplay = 3
    settle()
    assert "3-D" in dock.status.value
    assert len(viewer.layers) == 1
    viewer.dims.ndisplay = 2
    shown()
    viewer.add_labels(np.zeros((9, 32, 40), int))
    viewer.dims.set_current_step(0, 7)
    settle()
    assert "Move the sliders" in dock.status.value
    assert dock.preview.layer is None


def test_why_there_is_no_run_goes_before_what_was_previewed(
    dock, viewer, image, engine, qtbot, settle
):
    viewer.add_image(np.stack([image] * 3), name="stack")
    dock.planes.value = "shared"
    dock.method_panel.remainder.value = "stripes"
    reason = dock.status.value
    assert "A model for all planes" in reason
    dock.preview.on.value = True
    settle()
    assert dock.preview.layer in viewer.layers
    assert dock.status.value == reason
    dock.planes.value = "this plane"
    assert dock.run_button.enabled
    dock.method_panel.remainder.value = "none"
    qtbot.waitUntil(lambda: dock.status.value.startswith("Preview: 1 wave"))


def test_of_large_planes_a_part_in_view(dock, viewer, engine, shown, settle):
    size = 2 * PREVIEW_SIZE
    read = []

    def load(block_info=None):
        read.append(block_info[None]["chunk-location"])
        return np.full((1, 512, 512), 100, np.uint8)

    chunks = ((1,) * 3, (512,) * 4, (512,) * 4)
    lazy = da.map_blocks(load, chunks=chunks, dtype=np.uint8, meta=np.empty((0,) * 3, np.uint8))
    source = Image(lazy, scale=(1, 0.5, 0.5), contrast_limits=(0, 200), name="large")
    viewer.layers.append(source)
    viewer.dims.set_current_step(0, 1)
    viewer.scene.camera.center = (0, 0.5 * 512, 0.5 * 1024)
    read.clear()
    dock.preview.on.value = True
    layer = shown()
    assert set(read) == {(1, y, x) for y in (0, 1) for x in (1, 2)}
    assert layer.data.shape == (1, PREVIEW_SIZE, PREVIEW_SIZE)
    assert tuple(layer.translate) == (1, 0, 0.5 * 512)
    read.clear()
    viewer.scene.camera.zoom *= 2  # shows no other part
    settle()
    assert not read
    viewer.scene.camera.center = (0, 0.5 * size, 0.5 * size)
    settle()
    assert set(read) == {(1, y, x) for y in (2, 3) for x in (2, 3)}
    assert dock.preview.layer is layer
    assert tuple(layer.translate) == (1, 0.5 * PREVIEW_SIZE, 0.5 * PREVIEW_SIZE)


def test_areas_are_followed(dock, viewer, image, engine, shown, settle):
    viewer.add_image(image)
    labels = np.zeros(image.shape, int)
    labels[5:20, 3:9] = 1
    layer = viewer.add_labels(labels)
    dock.preview.on.value = True
    shown()
    assert "protect" not in engine.options[-1]
    dock.areas.protect.value = layer
    settle()
    np.testing.assert_array_equal(engine.options[-1]["protect"], labels != 0)
    assert not engine.options[-1].keys() & {"exemplar", "protect_edge"}
    dock.areas.keep.value = True
    settle()
    assert engine.options[-1]["protect_edge"] == dock.areas.edge.value


def test_an_area_beside_the_part_in_view(dock, viewer, engine, shown, settle):
    size = 2 * PREVIEW_SIZE
    viewer.add_image(np.zeros((size, size), np.uint8), name="large", contrast_limits=(0, 200))
    labels = np.zeros((size, size), np.uint8)
    labels[-100:, -100:] = 1
    layer = viewer.add_labels(labels)
    viewer.scene.camera.center = (0, 100, 100)
    dock.areas.protect.value = layer
    dock.preview.on.value = True
    shown()  # nothing of it is protected
    assert "protect" not in engine.options[-1]
    dock.areas.exemplar.value = layer  # but what is noise, Run will know, and this does not
    settle()
    assert "lies outside" in dock.status.value
    assert dock.preview.layer is None


def test_colours(dock, viewer, image, engine, shown):
    pixels = np.stack([image // 2 + 50] * 4, -1)
    source = viewer.add_image(pixels, rgb=True)
    dock.preview.on.value = True
    layer = shown()
    assert layer.rgb
    assert layer.data.dtype == np.uint8
    np.testing.assert_array_equal(layer.data[..., 2:], pixels[..., 2:])
    assert (layer.data[..., 0] != pixels[..., 0]).any()
    hold(dock, True)
    np.testing.assert_array_equal(layer.data, source.data)
    hold(dock, False)


def test_multiscale_is_previewed_at_full_resolution(dock, viewer, image, engine, shown):
    viewer.add_image([image, image[::2, ::2]], multiscale=True)
    dock.preview.on.value = True
    layer = shown()
    assert not layer.multiscale
    assert layer.data.shape == image.shape
    np.testing.assert_array_equal(engine.images[-1], image)


def test_run_takes_the_previews_place(dock, viewer, image, engine, wait, shown):
    viewer.add_image(image, name="cell")
    dock.preview.on.value = True
    shown()
    assert not engine.options[-1]["gram"]
    dock.run_button.native.click()
    assert [layer.name for layer in viewer.layers] == ["cell"]
    assert not dock.preview.enabled
    wait()
    assert [layer.name for layer in viewer.layers] == ["cell", "cell noise", "cell cleaned"]
    assert not dock.preview.on.value
    assert dock.preview.enabled
    assert dock.status.value.startswith("1 wave")
    assert "preview" not in str(viewer.layers[-1].metadata)


@pytest.mark.parametrize("how", ["layer", "preview", "all", "dock closed", "dock destroyed"])
@pytest.mark.parametrize("busy", [False, True])
def test_nothing_stays(
    dock, viewer, image, engine, qtbot, shown, settle, notifications, how, busy
):
    source = viewer.add_image(image)
    window = QWidget()
    dock.native.setParent(window)
    dock.preview.on.value = True
    layer = shown()
    if busy:
        engine.hold.set()
        dock.method_panel.sensitivity.value = 1e-2
        qtbot.waitUntil(lambda: len(engine.images) == 2)
    if how == "layer":
        viewer.layers.remove(source)
    elif how == "preview":
        viewer.layers.remove(layer)
        assert not dock.preview.on.value
    elif how == "all":
        viewer.layers.clear()
    elif how == "dock closed":
        dock.native.setParent(None)
    else:
        with qtbot.waitSignal(dock.native.destroyed):
            window.deleteLater()
    settle()
    assert layer not in viewer.layers
    assert list(viewer.layers) == ([] if how in ("layer", "all") else [source])
    viewer.dims.set_current_step(0, 0)
    viewer.scene.camera.center = (0, 1, 1)
    settle()
    assert layer not in viewer.layers
    assert not notifications


def test_unsuitable_pixels_are_reported(dock, viewer, settle, notifications):
    viewer.add_image(np.full((32, 40), np.nan))
    dock.preview.on.value = True
    settle()
    assert "NaN" in dock.status.value
    assert len(viewer.layers) == 1
    assert not notifications


def test_bugs_are_reported(dock, viewer, image, engine, settle, notifications):
    viewer.add_image(image)
    engine.error = ZeroDivisionError("a bug")
    dock.preview.on.value = True
    settle()
    assert "unexpected error" in dock.status.value
    assert "a bug" in notifications[0].message
