"""The dock on a viewer model: no window, and a fake engine."""

import gc
import os
import time
import weakref
from threading import Event, current_thread, main_thread

import dask
import dask.array
import numpy as np
import pytest
import torch
from napari.layers import Image
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QWidget

from napari_periodic_denoise.stacks import lazy as lazy_module
from napari_periodic_denoise.viewer.panels.found import NO_RESULT
from napari_periodic_denoise.viewer.runs import jobs, thread
from napari_periodic_denoise.viewer.widget import RUNNING, PeriodicNoiseDock

ACROSS = Qt.Orientation.Horizontal


def click(dock):
    dock.run_button.native.click()


def texture(dock):
    dock.method_panel.method.value = "texture"
    dock.method_panel.weights.value = "random"


def amplitudes(dock):
    """The table's column."""
    model = dock.found.table.model
    (column,) = [
        i for i in range(model.columnCount()) if model.headerData(i, ACROSS) == "Amplitude"
    ]
    return [model.data(model.index(line, column)) for line in range(model.rowCount())]


def is_idle(dock):
    return (
        dock.run_button.text == "Run"
        and dock.run_button.enabled
        and dock.layer.enabled
        and dock.method_panel.enabled
        and not dock.progress.visible
    )


def test_every_control_has_its_own_tooltip(dock):
    panel = dock.method_panel
    parts = (
        dock.layer,
        dock.planes,
        panel.method,
        panel.features,
        panel.weights,
        panel.missing.words,
        panel.missing.download,
        panel.missing.choose,
        panel.unfold,
        panel.noise_model,
        panel.remainder,
        panel.sensitivity,
        panel.refine_steps,
        panel.optimizer,
        panel.texture_steps,
        panel.max_size,
        panel.gram,
        dock.run_button,
        dock.preview.on,
        dock.preview.original,
        dock.found.words,
        dock.found.table.export,
    )
    tooltips = [part.tooltip for part in parts]
    tooltips += [dock.tabs.tabToolTip(i) for i in range(dock.tabs.count())]
    assert all(tooltips)
    assert len(set(tooltips)) == len(tooltips)


def test_layer_choice_follows_the_selection(dock, viewer, image):
    assert dock.layer.value is None
    assert not dock.run_button.enabled
    assert "Open an image" in dock.status.value
    first = viewer.add_image(image, name="first")
    assert dock.layer.value is first
    assert dock.run_button.enabled
    assert dock.status.value == ""
    second = viewer.add_image(image, name="second")
    assert dock.layer.value is second
    viewer.layers.selection.active = first
    assert dock.layer.value is first
    viewer.add_labels(np.zeros((32, 40), int))
    assert dock.layer.value is first
    assert list(dock.layer.choices) == [first, second]
    first.name = "zeroth"
    assert dock.layer.value is first
    assert dock.layer.current_choice == "zeroth"
    viewer.layers.remove(first)
    assert dock.layer.value is second


def test_dock_opened_late_takes_the_selected_layer(viewer, image, qtbot):
    first = viewer.add_image(image)
    viewer.add_image(image)
    viewer.layers.selection.active = first
    assert PeriodicNoiseDock(viewer).layer.value is first


def test_run_adds_two_layers(dock, viewer, image, engine, wait):
    before = image.copy()
    source = viewer.add_image(image, name="cell")
    click(dock)
    assert dock.run_button.text == "Cancel"
    assert not dock.layer.enabled
    wait()
    assert [layer.name for layer in viewer.layers] == ["cell", "cell noise", "cell cleaned"]
    assert is_idle(dock)
    assert dock.status.value == (
        "1 wave, 10.0 px at 0°, amplitude 3; removed 50.0% of the variance"
    )
    assert source.data is image
    np.testing.assert_array_equal(image, before)
    assert dock.layer.value is source  # not the result that napari has just selected


def test_options_reach_the_engine(dock, viewer, image, engine, wait):
    viewer.add_image(image)
    for chosen in (
        {},
        {"noise_model": "multiplicative", "remainder": "stripes", "sensitivity": 0.01},
        {"method": "texture", "weights": "random", "optimizer": "lbfgs", "gram": True},
    ):
        for name, value in chosen.items():
            getattr(dock.method_panel, name).value = value
        click(dock)
        wait()
        assert engine.options[-1] == {**dock.method_panel.engine_options(), "channel_axis": None}
        assert engine.options[-1].items() >= chosen.items()


@pytest.mark.parametrize(
    ("remainder", "words"),
    [("stripes", "Stripes"), ("quasi-periodic", "Quasi-periodic noise")],
)
def test_a_remainder_without_waves_counts_as_found(
    dock, viewer, image, engine, wait, remainder, words
):
    viewer.add_image(image, name="cell")
    dock.method_panel.remainder.value = remainder
    click(dock)
    wait()
    assert [layer.name for layer in viewer.layers] == ["cell", "cell noise", "cell cleaned"]
    assert viewer.layers["cell noise"].data.any()
    assert dock.status.value.startswith(f"{remainder} noise, no single waves; ")
    assert dock.status.value.endswith("removed 50.0% of the variance")
    assert dock.found.words.value.startswith(f"{words} removed (50% of the image variance")
    assert dock.found.table.isHidden()
    found = viewer.layers["cell noise"].metadata["periodic_noise"]
    assert (found["waves"], found["remainder_variance"]) == ([], 0.5)


def test_a_result_is_shown_until_the_next_one(dock, viewer, image, engine, wait, qtbot):
    viewer.add_image(image)
    assert dock.found.words.value == NO_RESULT
    assert dock.found.table.isHidden()
    click(dock)
    wait()
    words = dock.found.words.value
    assert words.startswith("1 wave removed (50% of the image variance).")
    assert amplitudes(dock) == ["±3"]
    engine.hold.set()
    engine.amplitude = 6
    click(dock)
    qtbot.waitUntil(lambda: len(engine.images) == 2)
    click(dock)
    wait()
    assert dock.found.words.value == words
    assert amplitudes(dock) == ["±3"]
    engine.hold.clear()
    click(dock)
    wait()
    assert amplitudes(dock) == ["±6"]
    assert not dock.found.table.isHidden()


def test_a_run_turns_from_its_choices_to_what_it_has_found(
    dock, viewer, image, engine, wait, qtbot
):
    viewer.add_image(image)
    other = QWidget()
    dock.tabs.addTab(other, "other")
    engine.hold.set()
    click(dock)
    qtbot.waitUntil(lambda: bool(engine.images))
    click(dock)
    wait()
    assert dock.tabs.currentWidget() is dock.method_page  # nothing is found: it was cancelled
    engine.hold.clear()
    for before, after in (
        (dock.method_page, dock.found_page),
        (dock.found_page, dock.found_page),
        (other, other),
    ):
        dock.tabs.setCurrentWidget(before)
        click(dock)
        wait()
        assert dock.tabs.currentWidget() is after


@pytest.mark.parametrize("multiscale", [False, True])
@pytest.mark.parametrize("channels", [3, 4])
def test_colours_are_cleaned_and_alpha_stays(
    dock, viewer, image, engine, wait, channels, multiscale
):
    pixels = np.stack([image + channel for channel in range(channels)], axis=-1)
    before = pixels.copy()
    data = [pixels, pixels[::2, ::2]] if multiscale else pixels
    source = viewer.add_image(data, rgb=True, name="slide")
    assert dock.status.value == ""
    for amplitude in (3, 6):  # adds the layers, then updates them
        engine.amplitude = amplitude
        click(dock)
        wait()
        assert engine.options[-1]["channel_axis"] == -1
        assert engine.images[-1].shape == (*image.shape, 3)
        assert [layer.name for layer in viewer.layers] == [
            "slide",
            "slide noise red",
            "slide noise green",
            "slide noise blue",
            "slide cleaned",
        ]
        red, green, _, cleaned = viewer.layers[1:]
        assert amplitudes(dock) == [f"±{2 * amplitude} (green), ±{amplitude} (red)"]
        assert red.data.max() == amplitude
        assert green.data.max() == 2 * amplitude
        assert cleaned.rgb
        assert cleaned.data.shape == pixels.shape
        np.testing.assert_array_equal(cleaned.data[..., 2:], pixels[..., 2:])
        np.testing.assert_array_equal(pixels, before)
    assert dock.layer.value is source


def test_lazy_colours(dock, viewer, image, engine, wait):
    pixels = dask.array.from_array(np.stack([image] * 4, axis=-1))
    viewer.add_image(pixels, rgb=True)
    click(dock)
    wait()
    assert viewer.layers[-1].data.shape == pixels.shape
    assert viewer.layers[-1].rgb


def test_progress_in_words(dock, viewer, image, engine, wait, qtbot):
    viewer.add_image(image)
    engine.hold.set()
    click(dock)
    qtbot.waitUntil(lambda: dock.status.value == "Fitting 1 wave…")
    assert (dock.progress.value, dock.progress.max) == (1, 2)
    assert not dock.progress.native.isHidden()
    engine.hold.clear()
    wait()


def test_warnings_are_shown(dock, viewer, image, engine, wait):
    viewer.add_image(image)
    texture(dock)
    click(dock)
    wait()
    assert dock.status.value.startswith("a texture with the image's statistics")
    assert "for comparison only" in dock.found.words.value
    dock.method_panel.gram.value = True
    click(dock)
    wait()
    assert "right of the image" in dock.found.words.value


def test_gram_matrices_arrive_where_asked_for(dock, viewer, image, engine, wait):
    viewer.add_image(image, name="cell")
    dock.method_panel.gram.value = True
    for _ in range(2):
        click(dock)
        wait()
        assert len(viewer.layers) == 4
    assert viewer.layers[-1].name == "cell Gram conv1_1"
    assert dock.layer.value is viewer.layers["cell"]


@pytest.mark.parametrize("rgb", [False, True])
def test_an_unfinished_texture_is_shown_until_there_is_a_result(
    dock, viewer, image, engine, wait, qtbot, rgb
):
    source = viewer.add_image(np.stack([image] * 4, -1) if rgb else image, rgb=rgb, name="cell")
    texture(dock)
    engine.hold.set()
    click(dock)
    qtbot.waitUntil(lambda: dock.status.value.startswith("Fitting"))
    preview = viewer.layers[-1]
    assert [layer.name for layer in viewer.layers] == ["cell", "cell texture"]
    np.testing.assert_array_equal(preview.data, source.data[..., :3] if rgb else image)  # the last
    assert viewer.layers.selection.active is source
    engine.hold.clear()
    wait()
    noises = ["noise red", "noise green", "noise blue"] if rgb else ["noise"]
    assert [layer.name for layer in viewer.layers] == [
        f"cell{end}" for end in ("", *(f" {noise}" for noise in noises), " cleaned")
    ]
    assert dock.layer.value is source


@pytest.mark.parametrize("ending", ["cancel", "error", "layer removed", "dock closed"])
def test_no_unfinished_texture_stays(
    dock, viewer, image, engine, wait, qtbot, notifications, ending
):
    first, source = viewer.add_image(image, name="first"), viewer.add_image(image)
    viewer.layers.selection = {first, source}
    window = QWidget()
    dock.native.setParent(window)
    texture(dock)
    dock.layer.value = source
    engine.hold.set()
    click(dock)
    qtbot.waitUntil(lambda: len(viewer.layers) == 3)
    if ending == "cancel":
        click(dock)
    elif ending == "error":
        engine.in_step = lambda _: 1 / 0
    elif ending == "layer removed":
        viewer.layers.remove(source)
    else:
        dock.native.setParent(None)
    wait()
    kept = [first] if ending == "layer removed" else [first, source]
    assert list(viewer.layers) == kept
    assert viewer.layers.selection == set(kept)
    assert is_idle(dock)


def test_an_unfinished_texture_that_is_removed_stays_away(
    dock, viewer, image, engine, wait, qtbot
):
    viewer.add_image(image)
    texture(dock)
    engine.hold.set()
    click(dock)
    qtbot.waitUntil(lambda: dock.status.value.startswith("Fitting"))
    viewer.layers.remove(viewer.layers[-1])
    dock._on_status(thread.Status("texture", preview=np.float32(image)))
    assert len(viewer.layers) == 1
    assert dock.running


def test_second_run_updates(dock, viewer, image, engine, wait):
    viewer.add_image(image, name="cell")
    click(dock)
    wait()
    noise, cleaned = viewer.layers[1:]
    noise.name = "hum"
    viewer.layers.selection.active = cleaned
    engine.amplitude = 6
    click(dock)
    wait()
    assert list(viewer.layers)[1:] == [noise, cleaned]
    assert noise.data.max() == 6
    assert all(seen is image for seen in engine.images)


def test_results_can_be_chosen_as_a_source(dock, viewer, image, engine, wait):
    viewer.add_image(image, name="cell")
    click(dock)
    wait()
    dock.layer.value = viewer.layers["cell cleaned"]
    click(dock)
    wait()
    assert "cell cleaned cleaned" in viewer.layers
    assert len(viewer.layers) == 5


def test_source_is_held_from_the_start(dock, viewer, image, engine, wait, qtbot):
    source = viewer.add_image(image, name="first")
    engine.hold.set()
    click(dock)
    qtbot.waitUntil(lambda: bool(engine.images))
    other = viewer.add_image(image + 1, name="second")
    assert dock.layer.value is source
    source.name = "renamed"
    engine.hold.clear()
    wait()
    assert "renamed cleaned" in viewer.layers
    assert engine.images[0] is image
    viewer.layers.selection.active = other
    assert dock.layer.value is other


def test_no_second_run_while_one_is_under_way(dock, viewer, image, engine, wait, qtbot):
    viewer.add_image(image)
    engine.hold.set()
    click(dock)
    qtbot.waitUntil(lambda: bool(engine.images))
    for _ in range(5):
        click(dock)
    wait()
    assert len(engine.images) == 1


def test_cancel_is_quick_frees_memory_and_changes_nothing(
    dock, viewer, image, engine, wait, qtbot
):
    held = []
    engine.in_step = lambda array: held.append(weakref.ref(array))
    engine.hold.set()
    viewer.add_image(image)
    click(dock)
    qtbot.waitUntil(lambda: len(held) > 3)
    run = dock._run  # held on to, as a traceback or a cycle may do
    gc.disable()  # memory must not wait for a garbage collection
    try:
        started = time.perf_counter()
        click(dock)
        wait()
        assert time.perf_counter() - started < 1
        assert run.abort_requested
        assert held[0]() is None
    finally:
        gc.enable()
    assert len(viewer.layers) == 1
    assert dock.status.value == "Cancelled."
    assert is_idle(dock)


@pytest.mark.parametrize("slow", ["torch", "pixels", "step"])
def test_cancel_need_not_wait_for_what_cannot_be_stopped(
    dock, viewer, image, engine, wait, qtbot, monkeypatch, slow
):
    begun, release = Event(), Event()

    def crawl(result, *_):
        begun.set()
        release.wait()
        return result

    if slow == "torch":
        viewer.add_image(image)
        monkeypatch.setattr(jobs, "load_engine", lambda: crawl(engine))
    elif slow == "pixels":
        lazy = dask.array.from_array(image).map_blocks(
            lambda block: block if current_thread() is main_thread() else crawl(block),
            meta=image[:0, :0],
        )
        viewer.add_image(lazy, contrast_limits=(0, 255))
    else:  # as one through a large network, at 400 pixels
        viewer.add_image(image)
        held = []
        engine.hold.set()
        engine.in_step = lambda array: crawl(held.append(weakref.ref(array)))
    click(dock)
    qtbot.waitUntil(begun.is_set)
    started = time.perf_counter()
    click(dock)
    wait()
    assert time.perf_counter() - started < 1
    assert is_idle(dock)
    assert len(viewer.layers) == 1
    release.set()
    if slow == "step":
        qtbot.waitUntil(lambda: held[0]() is None)


def test_lazy_layer_is_computed_in_the_thread(dock, viewer, image, engine, wait):
    threads = []

    def load(block):
        threads.append(current_thread())
        return block

    lazy = dask.array.from_array(image).map_blocks(load, meta=image[:0, :0])
    viewer.add_image(lazy, contrast_limits=(0, 255))
    threads.clear()  # napari's own, to draw it
    with dask.config.set(scheduler="synchronous"):
        click(dock)
        wait()
    assert threads
    assert main_thread() not in threads
    np.testing.assert_array_equal(engine.images[0], image)


def test_multiscale_is_run_at_full_resolution(dock, viewer, image, engine, wait):
    viewer.add_image([image, image[::2, ::2]], multiscale=True)
    click(dock)
    wait()
    assert viewer.layers[2].data.shape == image.shape


def test_the_viewer_keeps_a_core(dock, viewer, image, engine, wait):
    threads = []
    engine.in_step = lambda _: threads.append(torch.get_num_threads())
    before = torch.get_num_threads()
    viewer.add_image(image)
    click(dock)
    wait()
    assert threads == [max(1, min(before, os.cpu_count() - 1))]
    assert torch.get_num_threads() == before
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_memory_is_free_after_an_error(dock, viewer, image, engine, wait, notifications):
    held = []

    def fail(array):
        held.append(weakref.ref(array))
        raise ValueError

    engine.in_step = fail
    viewer.add_image(image)
    click(dock)
    wait()
    assert held[0]() is None
    assert len(notifications) == 1  # which keeps the error, and that its traceback


@pytest.mark.parametrize(
    ("error", "words", "is_bug"),
    [
        (MemoryError(), "not enough memory", False),
        (torch.OutOfMemoryError("CUDA out of memory."), "not enough memory", False),
        (RuntimeError("MPS backend out of memory"), "not enough memory", False),
        (RuntimeError("[enforce fail] can't allocate memory"), "not enough memory", False),
        (RuntimeError("mat1 and mat2 do not fit"), "mat1 and mat2 do not", True),
        (ValueError("no such wave"), "no such wave", True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_every_error_frees_the_dock_and_is_reported(
    dock, viewer, image, engine, wait, notifications, error, words, is_bug
):
    viewer.add_image(image)
    engine.error = error
    click(dock)
    wait()
    assert is_idle(dock)
    assert len(viewer.layers) == 1
    (notification,) = notifications
    assert words in str(notification.message)
    assert notification.severity.value == "error"
    assert dock.status.value
    # a person gets words; a bug keeps its traceback
    assert hasattr(notification, "exception") == is_bug
    notifications.clear()
    engine.error = None
    click(dock)
    wait()
    assert len(viewer.layers) == 3
    assert not notifications


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.full((32, 32), np.nan), "no finite pixel"),
        (np.zeros((5, 50), np.uint8), "at least 16×16"),
        (np.zeros((32, 32), bool), "got dtype bool"),
        (np.ma.masked_equal(np.eye(32), 1), "fill the masked pixels"),
        (dask.array.from_array(np.full((32, 32), np.nan)), "no finite pixel"),
    ],
    ids=["nan", "tiny", "bool", "masked", "lazy"],
)
def test_unsuitable_pixels_are_reported(dock, viewer, wait, notifications, pixels, words):
    # by the real engine
    viewer.add_image(pixels, contrast_limits=(0, 1))
    click(dock)
    wait()
    assert is_idle(dock)
    assert words in dock.status.value
    assert [words in note.message for note in notifications] == [True]
    assert [hasattr(note, "exception") for note in notifications] == [False]


def test_pixels_that_cannot_be_read_are_reported(dock, viewer, image, engine, wait, notifications):
    def fail(block):
        if current_thread() is not main_thread():
            raise OSError("the disk is gone")
        return block

    lazy = dask.array.from_array(image).map_blocks(fail, meta=image[:0, :0])
    with dask.config.set(scheduler="synchronous"):
        viewer.add_image(lazy, contrast_limits=(0, 255))
        click(dock)
        wait()
    assert dock.status.value == "This layer cannot be processed: the disk is gone"
    assert [hasattr(note, "exception") for note in notifications] == [False]
    assert not engine.images


def test_an_error_after_cancel_is_not_reported(
    dock, viewer, image, engine, wait, qtbot, notifications
):
    def fail_when_cancelled(_):
        while dock.status.value != "Cancelling…":
            time.sleep(0.01)
        raise ValueError

    engine.in_step = fail_when_cancelled
    viewer.add_image(image)
    click(dock)
    qtbot.waitUntil(lambda: bool(engine.images))
    click(dock)
    wait()
    assert not notifications
    assert dock.status.value == "Cancelled."


def test_removing_the_layer_stops_the_run(dock, viewer, image, engine, wait, qtbot, notifications):
    source = viewer.add_image(image)
    engine.hold.set()
    click(dock)
    qtbot.waitUntil(lambda: bool(engine.images))
    viewer.layers.remove(source)
    wait()
    assert len(viewer.layers) == 0
    assert "removed" in dock.status.value
    assert not dock.run_button.enabled
    assert not notifications
    engine.hold.clear()
    viewer.add_image(image)
    click(dock)
    wait()
    assert len(viewer.layers) == 3


def test_replacing_the_layer_stops_the_run(dock, viewer, image, engine, wait, qtbot):
    viewer.add_image(image)
    engine.hold.set()
    click(dock)
    qtbot.waitUntil(lambda: bool(engine.images))
    new = Image(image + 1)
    viewer.layers[0] = new
    engine.hold.clear()
    wait()
    assert list(viewer.layers) == [new]
    assert "removed" in dock.status.value
    assert dock.layer.value is new


@pytest.mark.parametrize("updated", [False, True])
def test_removing_the_layer_while_results_arrive(dock, viewer, image, engine, wait, updated):
    source = viewer.add_image(image, name="cell")
    kept = []
    if updated:
        click(dock)
        wait()
        viewer.layers.remove("cell cleaned")
        kept = [viewer.layers["cell noise"]]
        engine.amplitude = 6
    arrived = []

    def remove_source_next(event):
        arrived.append(event.value.name)
        QTimer.singleShot(0, lambda: viewer.layers.remove(source))

    viewer.layers.events.inserted.connect(remove_source_next)
    dock.layer.value = source
    click(dock)
    wait()
    assert arrived == ["cell cleaned" if updated else "cell noise"]
    assert list(viewer.layers) == kept
    assert all(layer.data.max() == 6 for layer in kept)
    assert dock.status.value == "Cancelled: the layer was removed."


def test_removing_another_layer_does_not(dock, viewer, image, engine, wait, qtbot):
    other = viewer.add_image(image)
    viewer.add_image(image)
    engine.hold.set()
    click(dock)
    qtbot.waitUntil(lambda: bool(engine.images))
    viewer.layers.remove(other)
    engine.hold.clear()
    wait()
    assert len(viewer.layers) == 3


def test_closing_the_dock_stops_the_run(dock, viewer, image, engine, wait, qtbot):
    viewer.add_image(image)
    window = QWidget()
    dock.native.setParent(window)
    engine.hold.set()
    click(dock)
    qtbot.waitUntil(lambda: bool(engine.images))
    dock.native.setParent(None)  # what napari's close button does
    wait()
    assert len(viewer.layers) == 1


def test_destroying_the_dock_stops_the_run(viewer, image, engine, qtbot, notifications):
    dock = PeriodicNoiseDock(viewer)
    viewer.add_image(image)
    dock.layer.reset_choices()
    held = []
    engine.in_step = lambda array: held.append(weakref.ref(array))
    engine.hold.set()
    click(dock)
    qtbot.waitUntil(lambda: len(held) > 3)
    with qtbot.waitSignal(dock.native.destroyed):
        dock.native.deleteLater()
    qtbot.waitUntil(lambda: not dock.running)
    qtbot.wait(50)
    assert held[0]() is None
    assert not notifications
    assert len(viewer.layers) == 1


def stack_of(*stacked):
    """Planes of noise, each brighter than the last one."""
    planes = np.random.default_rng(0).integers(0, 50, (*stacked, 32, 40), dtype=np.uint8)
    planes += np.arange(np.prod(stacked), dtype=np.uint8).reshape(*stacked, 1, 1)
    return planes


def test_planes_are_offered_for_stacks_alone(dock, viewer, image):
    assert dock.planes.native.parent().isHidden()
    viewer.add_image(image)
    assert dock.planes.native.parent().isHidden()
    stack = viewer.add_image(stack_of(5))
    assert not dock.planes.native.parent().isHidden()
    assert dock.planes.current_choice == "This plane"
    assert dock.run_button.enabled
    viewer.layers.remove(stack)
    assert dock.planes.native.parent().isHidden()
    viewer.add_image(np.stack([image] * 3, -1), rgb=True)
    assert dock.planes.native.parent().isHidden()


def test_impossible_runs_on_a_stack_are_explained(dock, viewer):
    viewer.add_image(stack_of(5))
    dock.planes.value = "per_plane"
    dock.method_panel.gram.value = True
    assert "Gram matrices are shown for one plane" in dock.status.value
    assert not dock.run_button.enabled
    dock.method_panel.gram.value = False
    assert dock.status.value == ""
    dock.planes.value = "shared"
    dock.method_panel.remainder.value = "stripes"
    assert "A model for all planes needs" in dock.status.value
    dock.method_panel.remainder.value = "none"
    assert dock.run_button.enabled
    texture(dock)
    assert "A texture is made from one plane" in dock.status.value
    dock.planes.value = "this plane"
    assert dock.run_button.enabled
    viewer.dims.ndisplay = 3
    assert "2-D" in dock.status.value
    assert not dock.run_button.enabled
    viewer.dims.ndisplay = 2
    assert dock.run_button.enabled


def test_this_plane_is_cleaned_and_shown_in_its_place(dock, viewer, engine, wait):
    data = stack_of(2, 5)
    source = viewer.add_image(data, name="cell", scale=(1, 0.5, 2, 2), translate=(0, 3, 0, 0))
    for step in ((1, 4), (0, 2)):  # adds the layers, then moves them
        viewer.dims.current_step = (*step, 0, 0)
        click(dock)
        wait()
        _, noise, cleaned = viewer.layers
        np.testing.assert_array_equal(engine.images[-1], data[step])
        for layer in (noise, cleaned):
            assert layer.data.shape == (1, 1, 32, 40)
            corner = (*step, 0, 0)
            np.testing.assert_allclose(layer.data_to_world((0,) * 4), source.data_to_world(corner))
            # so it is seen at that plane, and at no other
            np.testing.assert_array_equal(layer._data_view, layer.data[0, 0])
        assert dock.status.value.startswith(f"plane {step[0]}, {step[1]}: 1 wave")
        assert cleaned.metadata["periodic_noise"]["plane"] == list(step)
    viewer.dims.current_step = (1, 2, 0, 0)
    assert not cleaned._data_view.any()


def test_planes_along_other_axes(dock, viewer, engine, wait):
    data = np.random.default_rng(0).integers(0, 100, (20, 5, 24), dtype=np.uint8)
    source = viewer.add_image(data)
    viewer.dims.order = (1, 2, 0)  # rolled, and transposed
    viewer.dims.current_step = (0, 3, 0)
    click(dock)
    wait()
    np.testing.assert_array_equal(engine.images[-1], data[:, 3])
    assert viewer.layers[-1].data.shape == (20, 1, 24)
    dock.layer.value = source
    dock.planes.value = "per_plane"
    click(dock)
    wait()
    assert [plane.shape for plane in engine.images[-5:]] == [(20, 24)] * 5
    assert viewer.layers[-1].data.shape == data.shape


def test_a_plane_outside_the_layer_is_reported(dock, viewer, engine, wait):
    source = viewer.add_image(stack_of(2))
    viewer.add_image(stack_of(9))
    dock.layer.value = source
    viewer.dims.current_step = (8, 0, 0)
    click(dock)
    assert "Move the sliders" in dock.status.value
    assert not dock.running
    viewer.dims.current_step = (1, 0, 0)
    click(dock)
    wait()
    assert len(viewer.layers) == 4


def test_every_plane_of_a_stack_in_memory(dock, viewer, engine, wait):
    data = stack_of(2, 3)
    before = data.copy()
    viewer.add_image(data, name="cell")
    viewer.dims.current_step = (1, 2, 0, 0)
    dock.planes.value = "per_plane"
    for amplitude in (3, 6):  # adds the layers, then updates them
        engine.amplitude = amplitude
        click(dock)
        wait()
        assert [layer.name for layer in viewer.layers] == ["cell", "cell noise", "cell cleaned"]
        _, noise, cleaned = viewer.layers
        assert noise.data.shape == cleaned.data.shape == data.shape
        assert cleaned.data.dtype == data.dtype
        assert noise.contrast_limits == pytest.approx([-amplitude, amplitude])
        assert dock.status.value == "periodic noise in 6 of 6 planes"
        assert dock.found.words.value.startswith("Plane 1, 2:\n\n1 wave removed")
        assert amplitudes(dock) == [f"±{amplitude}"]
    np.testing.assert_array_equal(data, before)
    words = cleaned.metadata["periodic_noise"]["planes"]
    assert [plane["plane"] for plane in words] == [list(index) for index in np.ndindex(2, 3)]


def test_what_was_found_follows_the_slider(dock, viewer, engine, wait, qtbot):
    viewer.add_image(stack_of(2, 3), name="cell")
    dock.planes.value = "per_plane"
    click(dock)
    wait()
    for plane in ((0, 1), (1, 2)):
        viewer.dims.current_step = (*plane, 0, 0)
        expected = f"Plane {plane[0]}, {plane[1]}:"
        qtbot.waitUntil(lambda: dock.found.words.value.startswith(expected))  # noqa: B023
    assert dock.status.value == "periodic noise in 6 of 6 planes"


def test_found_says_that_a_run_is_active(dock, viewer, image, engine, wait):
    viewer.add_image(image)
    assert dock.found.words.value == NO_RESULT
    engine.hold.set()
    click(dock)
    assert dock.found.words.value == RUNNING
    engine.hold.clear()
    wait()
    assert dock.found.words.value.startswith("1 wave removed")


def test_from_a_plane_to_the_stack_and_back(dock, viewer, engine, wait):
    data = stack_of(5)
    source = viewer.add_image(data)
    viewer.dims.current_step = (3, 0, 0)
    for planes, shape, start in (
        ("this plane", (1, 32, 40), 3),
        ("per_plane", (5, 32, 40), 0),
        ("this plane", (1, 32, 40), 3),
    ):
        dock.planes.value = planes
        click(dock)
        wait()
        assert len(viewer.layers) == 3
        for layer in viewer.layers[1:]:
            assert layer.data.shape == shape
            assert layer.translate[0] == start
            assert layer.visible
            np.testing.assert_array_equal(layer._data_view, layer.data[3 - start])
    assert viewer.dims.range[0].stop == 4
    assert dock.layer.value is source


def test_progress_by_planes_and_cancel_within_one(dock, viewer, engine, wait, qtbot):
    viewer.add_image(stack_of(4))
    dock.planes.value = "per_plane"
    held = []

    def hold_the_third(array):
        held.append(weakref.ref(array))
        if len(engine.images) == 3:
            engine.hold.set()

    engine.in_step = hold_the_third
    click(dock)
    qtbot.waitUntil(lambda: dock.status.value == "Plane 3 of 4: fitting 1 wave…")
    assert (dock.progress.value, dock.progress.max) == (2, 4)
    started = time.perf_counter()
    click(dock)
    wait()
    assert time.perf_counter() - started < 1
    assert len(engine.images) == 3
    assert held[-1]() is None
    assert len(viewer.layers) == 1
    assert dock.status.value == "Cancelled."
    assert is_idle(dock)


@pytest.mark.parametrize("planes", ["per_plane", "shared", "drifting"])
def test_an_unsuitable_plane_is_reported(dock, viewer, wait, notifications, planes):
    data = np.random.default_rng(0).random((3, 32, 40))
    data[1] = np.nan
    viewer.add_image(data, contrast_limits=(0, 1))
    dock.planes.value = planes
    click(dock)
    wait()
    assert "no finite pixel" in dock.status.value
    assert "plane 1" in dock.status.value
    assert [hasattr(note, "exception") for note in notifications] == [False]
    assert len(viewer.layers) == 1


def test_bugs_in_a_plane_keep_their_traceback(dock, viewer, engine, wait, notifications):
    viewer.add_image(stack_of(3))
    dock.planes.value = "per_plane"

    def fail(_):
        raise ValueError("no such wave")

    engine.in_step = fail
    click(dock)
    wait()
    assert [hasattr(note, "exception") for note in notifications] == [True]


@pytest.mark.parametrize("chunks", [(1, 1, 32, 40), (2, 2, 16, 40)])
def test_of_a_lazy_stack_the_shown_planes_alone_are_computed(dock, viewer, engine, wait, chunks):
    data = stack_of(2, 6)
    lazy = dask.array.from_array(data, chunks=chunks)
    viewer.add_image(lazy, name="cell", contrast_limits=(0, 255))
    viewer.dims.current_step = (1, 4, 0, 0)
    dock.planes.value = "per_plane"
    click(dock)
    wait()
    _, noise, cleaned = viewer.layers
    for layer in (noise, cleaned):
        assert isinstance(layer.data, dask.array.Array)
        assert layer.data.shape == data.shape
    # both are shown, their thumbnails drawn, and their contrast known
    assert len(engine.images) == 1
    assert noise.contrast_limits == pytest.approx([-3, 3])
    assert noise._data_view.max() == 3
    assert dock.status.value == "12 planes; each plane is cleaned when shown or saved"
    assert dock.found.words.value.startswith("Plane 1, 4:\n\n1 wave removed")
    for count, step in enumerate(((1, 5), (0, 0), (1, 5)), start=2):
        viewer.dims.current_step = (*step, 0, 0)
        expected = (data[step] - noise._data_view).astype(np.uint8)
        np.testing.assert_array_equal(cleaned._data_view, expected)
        assert len(engine.images) == min(count, 3)  # the last one was seen before
    dock.planes.value = "this plane"
    click(dock)
    wait()
    assert len(engine.images) == 4


def test_an_unsuitable_lazy_plane_is_reported(dock, viewer, wait, notifications):
    data = dask.array.from_array(np.full((3, 32, 40), np.nan), chunks=(1, 32, 40))
    viewer.add_image(data, contrast_limits=(0, 1))
    dock.planes.value = "per_plane"
    click(dock)
    wait()
    assert "no finite pixel" in dock.status.value
    assert len(viewer.layers) == 1


def test_cancel_of_a_lazy_stack(dock, viewer, engine, wait, qtbot):
    viewer.add_image(dask.array.from_array(stack_of(4)), contrast_limits=(0, 255))
    viewer.dims.current_step = (0, 0, 0)
    dock.planes.value = "per_plane"
    engine.hold.set()
    click(dock)
    qtbot.waitUntil(lambda: dock.status.value == "Cleaning the displayed plane 0…")
    started = time.perf_counter()
    click(dock)
    wait()
    assert time.perf_counter() - started < 1
    assert len(viewer.layers) == 1
    assert is_idle(dock)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("channels", [3, 4])
def test_pyramids_in_colour(dock, viewer, engine, wait, lazy, channels, monkeypatch):
    finest = []
    clean_plane = lazy_module.clean_plane
    monkeypatch.setattr(
        lazy_module,
        "clean_plane",
        lambda plane, *more, **options: finest.append(0) or clean_plane(plane, *more, **options),
    )
    pixels = np.stack([stack_of(3)] * channels, axis=-1)
    levels = [pixels, pixels[:, ::2, ::2]]
    if lazy:
        levels = [dask.array.from_array(level, chunks=(2, 16, 16, -1)) for level in levels]
    source = viewer.add_image(levels, rgb=True, multiscale=True, name="slide")
    dock.planes.value = "this plane"
    for planes in ("this plane", "per_plane", "per_plane", "this plane"):
        dock.planes.value = planes
        click(dock)
        wait()
        assert [layer.name for layer in viewer.layers] == [
            f"slide{end}" for end in ("", " noise red", " noise green", " noise blue", " cleaned")
        ]
        *_, green, _, cleaned = viewer.layers
        assert cleaned.rgb
        assert cleaned.multiscale
        if planes == "this plane":
            assert [level.shape for level in cleaned.data] == [(1, 32, 40, channels)]
            continue
        for level, clean, noise in zip(levels, cleaned.data, green.data, strict=True):
            assert clean.shape == level.shape
            assert noise.shape == level.shape[:-1]
            assert hasattr(clean, "compute") == lazy
            np.testing.assert_array_equal(clean[1, ..., 2:], level[1, ..., 2:])
        assert green.contrast_limits == pytest.approx([-6, 6])
    assert dock.layer.value is source
    # once a run for all layers and levels; and once each to compare these, past napari's cache
    assert len(finest) == (2 + 2 * 2 if lazy else 0)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("model", ["shared", "drifting"])
def test_one_model_for_all_planes(dock, viewer, wait, model, lazy):
    # by the real engine
    y, x = np.indices((64, 80))
    data = stack_of(8)[..., :1, :1] + 100 + 8 * np.cos(2 * np.pi * (0.11 * y + 0.07 * x))
    source = dask.array.from_array(data, chunks=(1, 64, 80)) if lazy else data
    viewer.add_image(source, contrast_limits=(0, 255))
    dock.planes.value = model
    click(dock)
    wait()
    _, noise, cleaned = viewer.layers
    assert noise.data.shape == cleaned.data.shape == data.shape
    assert hasattr(noise.data, "compute") == lazy
    assert noise._data_view.max() == pytest.approx(8, rel=0.1)
    assert cleaned.metadata["periodic_noise"]["model"] == model
    assert dock.status.value.startswith("1 wave, one model for all 8 planes; ")


def test_texture_and_gram_matrices_of_a_plane(dock, viewer, engine, wait, qtbot):
    data = stack_of(5)
    source = viewer.add_image(data, name="cell", scale=(3, 2, 2))
    viewer.dims.current_step = (2, 0, 0)
    texture(dock)
    dock.method_panel.gram.value = True
    engine.hold.set()
    click(dock)
    qtbot.waitUntil(lambda: dock.status.value.startswith("Fitting"))
    np.testing.assert_array_equal(viewer.layers[-1]._data_view, data[2])
    engine.hold.clear()
    wait()
    gram = viewer.layers["cell Gram conv1_1"]
    np.testing.assert_array_equal(gram._data_view, gram.data[0])
    assert gram.extent.world[0, 2] > source.extent.world[1, 2]
    assert gram.extent.world[1, 1] <= source.extent.world[1, 1]
    assert gram.translate[0] == 6


def test_missing_pixels_are_counted_and_stay(dock, viewer, wait, notifications):
    # by the real engine
    y, x = np.indices((64, 80))
    pixels = (100 + 20 * np.cos(0.7 * y + 0.5 * x)).astype(np.float32)
    pixels[5, 5:9] = np.nan
    viewer.add_image(pixels, contrast_limits=(0, 200))
    click(dock)
    wait()
    assert "4 pixels are not finite" in dock.found.words.value
    cleaned = viewer.layers[-1].data
    assert cleaned[5, 5:9].tobytes() == pixels[5, 5:9].tobytes()
    assert np.ptp(cleaned[20:]) < 1
    assert not notifications
