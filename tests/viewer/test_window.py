"""The plugin in napari's real window, with the real engine."""

import json
import subprocess
import sys
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from first_run import moire
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_periodic_denoise.samples import CELL_INTERFERENCE

PLUGIN, DOCK = "napari-periodic-denoise", "Periodic noise"


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer(show=True)


def open_dock(viewer):
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, DOCK)
    QApplication.processEvents()
    return dock


def python(*arguments):
    """Run a child process, which must not complain; return what it prints."""
    child = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    assert "Traceback" not in child.stderr
    return child.stdout


def click(dock):
    QTest.mouseClick(dock.run_button.native, Qt.MouseButton.LeftButton)


def interference(shape):
    y, x = np.indices(shape)
    return sum(a * np.cos(2 * np.pi * (fy * y + fx * x) + p) for fy, fx, a, p in CELL_INTERFERENCE)


def test_sample_to_result(viewer, qtbot):
    viewer.open_sample(PLUGIN, "cell")
    (source,) = viewer.layers
    before = source.data.copy()
    dock = open_dock(viewer)
    assert dock.layer.value is source
    click(dock)
    qtbot.waitUntil(lambda: len(viewer.layers) == 3 and not dock.running, timeout=60_000)
    _, noise, cleaned = viewer.layers
    np.testing.assert_array_equal(source.data, before)
    assert cleaned.data.dtype == np.uint8
    assert noise.visible
    assert cleaned.visible
    assert dock.status.value.startswith(f"{len(CELL_INTERFERENCE)} waves, strongest 16.3 px")
    truth = interference(before.shape)
    assert 10 * np.log10(truth.var() / (noise.data - truth).var()) > 35
    # the cleaned image, on top, is what the canvas shows: without the stripes, less varied
    shown = viewer.screenshot(flash=False)[..., 0].astype(float)
    cleaned.visible = noise.visible = False
    striped = viewer.screenshot(flash=False)[..., 0].astype(float)
    assert shown.max() > 50
    assert np.abs(np.diff(shown)).mean() < 0.8 * np.abs(np.diff(striped)).mean()


def test_colours(viewer, qtbot):
    viewer.open_sample(PLUGIN, "cell")
    (sample,) = viewer.layers
    viewer.layers.clear()
    height, width = sample.data.shape
    alpha = np.linspace(200, 255, width).astype(np.uint8) * np.ones((height, 1), np.uint8)
    clean = np.random.default_rng(0).integers(60, 90, (height, width)).astype(np.uint8)
    pixels = np.stack([sample.data, sample.data // 2, clean, alpha], axis=-1)
    before = pixels.copy()
    viewer.add_image(pixels, rgb=True, name="slide", scale=(2, 2))
    dock = open_dock(viewer)
    click(dock)
    qtbot.waitUntil(lambda: len(viewer.layers) == 5 and not dock.running, timeout=60_000)
    np.testing.assert_array_equal(pixels, before)
    _, red, green, blue, cleaned = viewer.layers
    truth = interference((height, width))
    for layer, amplitude in ((red, 1), (green, 0.5)):
        assert 10 * np.log10(truth.var() / (layer.data / amplitude - truth).var()) > 30
    assert not blue.data.any()
    assert cleaned.rgb
    np.testing.assert_array_equal(cleaned.data[..., 2:], pixels[..., 2:])
    assert "(red)" in dock.found.value
    assert "(green)" in dock.found.value
    assert "(blue)" not in dock.found.value
    # as with a grey layer, what the canvas shows has lost its stripes in red and green alone
    shown = viewer.screenshot(flash=False)[..., :3].astype(float)
    for layer in (red, green, blue, cleaned):
        layer.visible = False
    striped = viewer.screenshot(flash=False)[..., :3].astype(float)
    changes = [np.abs(np.diff(picture, axis=1)).mean(axis=(0, 1)) for picture in (shown, striped)]
    assert (changes[0][:2] < 0.8 * changes[1][:2]).all()
    assert changes[0][2] == pytest.approx(changes[1][2], rel=0.01)


def test_what_is_no_wave_is_removed_where_asked_for(viewer, qtbot, weave):
    pixels, truth = weave
    before = pixels.copy()
    viewer.add_image(pixels, name="cloth")
    dock = open_dock(viewer)
    click(dock)
    qtbot.waitUntil(lambda: len(viewer.layers) == 3 and not dock.running, timeout=60_000)
    _, noise, cleaned = viewer.layers
    assert dock.status.value == "no periodic noise found"
    assert dock.found.native.isHidden()
    assert not noise.data.any()
    np.testing.assert_array_equal(cleaned.data, pixels)

    choice = dock.method_panel.remainder.native
    assert not choice.isVisible()
    box = dock.method_panel.unfold.native
    QTest.mouseClick(box, Qt.MouseButton.LeftButton, pos=QPoint(10, box.height() // 2))
    qtbot.waitUntil(choice.isVisible)
    choice.setFocus()
    QTest.keyClicks(choice, "Quasi")  # as a person does, who sees words
    assert dock.method_panel.remainder.value == "quasi-periodic"
    click(dock)
    qtbot.waitUntil(lambda: not dock.running, timeout=60_000)
    np.testing.assert_array_equal(pixels, before)
    assert len(viewer.layers) == 3
    assert 10 * np.log10(truth.var() / (noise.data - truth).var()) > 20
    assert dock.status.value.startswith("no waves, but quasi-periodic noise")
    assert dock.found.value.startswith("quasi-periodic noise: ")
    assert dock.found.native.isVisible()
    # the cleaned image, on top, is what the canvas shows
    shown = viewer.screenshot(flash=False)[..., 0].astype(float)
    cleaned.visible = noise.visible = False
    woven = viewer.screenshot(flash=False)[..., 0].astype(float)
    assert np.abs(np.diff(shown)).mean() < 0.8 * np.abs(np.diff(woven)).mean()


def test_both_samples_and_the_menu(viewer):
    viewer.open_sample(PLUGIN, "newspaper")
    assert viewer.layers[0].data.shape == (471, 640)
    assert "Apache" in viewer.layers[0].metadata["attribution"]
    menu = viewer.window.layers_menu
    filters = next(action.menu() for action in menu.actions() if "Filter" in action.text())
    (action,) = [a for a in filters.actions() if DOCK in a.text()]
    action.trigger()
    assert any(DOCK in name for name in viewer.window.dock_widgets)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_window_stays_alive(dtype):
    """While it works, a run never blocks the event loop for a tenth of a second.

    Not so while its two layers arrive: napari itself takes longer than that to add a layer, even
    one of 16×16 pixels. That time, measured here, plus 0.1 s is what the arrival may block.
    """
    tries = []
    # the best of five, since others may keep the machine busy
    for _ in range(5):
        measured = json.loads(python(Path(__file__).with_name("first_run.py"), dtype))
        print(measured)
        tries.append(measured)
        assert measured["layers"] == 4
        assert not measured["torch before Run"]
        assert measured["opening"] < 1
        working = max(measured["first run"], measured["second run"])
        arriving = max(measured["first arrival"], measured["second arrival"])
        if working < 0.1 and arriving < measured["napari's own"] + 0.1:
            return
    pytest.fail("the event loop was blocked for too long:\n" + "\n".join(map(str, tries)))


@pytest.mark.parametrize("stage", ["Starting", "Looking", "Fitting", "Subtracting"])
def test_cancel_within_a_second(viewer, qtbot, stage):
    viewer.add_image(moire(4096, "uint16"), contrast_limits=(0, 200))
    dock = open_dock(viewer)
    click(dock)
    while not dock.status.value.startswith(stage):
        assert dock.running
        QApplication.processEvents()
    started = time.perf_counter()
    click(dock)
    qtbot.waitUntil(lambda: not dock.running, timeout=5000)
    taken = time.perf_counter() - started
    print(f"{stage}: cancelled in {taken:.3f} s")
    assert taken < 1
    assert len(viewer.layers) == 1
    assert dock.status.value == "Cancelled."


@pytest.mark.parametrize("how", ["close button", "remove_dock_widget", "layer"])
def test_things_removed_while_running(viewer, qtbot, notifications, engine, how):
    source = viewer.add_image(moire(64, "uint8"))
    dock = open_dock(viewer)
    engine.hold.set()
    click(dock)
    qtbot.waitUntil(lambda: bool(engine.images))
    if how == "close button":
        dock.native.parent().title.close_button.click()
    elif how == "remove_dock_widget":
        viewer.window.remove_dock_widget(dock.native)
    else:
        viewer.layers.remove(source)
    qtbot.waitUntil(lambda: not dock.running, timeout=1000)
    assert len(viewer.layers) == (0 if how == "layer" else 1)
    assert not notifications
    if how != "layer":
        engine.hold.clear()
        again = open_dock(viewer)
        assert again is not dock
        click(again)
        qtbot.waitUntil(lambda: len(viewer.layers) == 3 and not again.running)


def test_closing_the_viewer_while_running(viewer, qtbot, notifications, engine):
    viewer.add_image(moire(64, "uint8"))
    dock = open_dock(viewer)
    held = []
    engine.in_step = lambda array: held.append(weakref.ref(array))
    engine.hold.set()
    click(dock)
    qtbot.waitUntil(lambda: len(held) > 3)
    viewer.close()
    qtbot.waitUntil(lambda: not dock.running, timeout=1000)
    qtbot.waitUntil(lambda: held[0]() is None, timeout=1000)
    assert not viewer.layers
    assert not notifications


def test_error_in_the_real_window(viewer, qtbot, notifications, engine):
    viewer.add_image(moire(64, "uint8"))
    dock = open_dock(viewer)
    engine.error = RuntimeError("swallowed by superqt, if we let it")
    click(dock)
    qtbot.waitUntil(lambda: not dock.running)
    assert "swallowed" in notifications[0].message


def test_quitting_napari_while_running():
    code = f"""
import napari, numpy
from qtpy.QtCore import QTimer
viewer = napari.Viewer(show_welcome_screen=False)
viewer.add_image(numpy.random.default_rng(0).random((4096, 4096)))
_, dock = viewer.window.add_plugin_dock_widget({PLUGIN!r}, {DOCK!r})
def close_when_working():
    if dock.status.value.startswith("Looking"):
        timer.stop()
        print(dock.running, flush=True)
        viewer.close()
timer = QTimer()
timer.timeout.connect(close_when_working)
timer.start(50)
QTimer.singleShot(100, dock.run_button.native.click)
napari.run()
print("over")
"""
    assert python("-c", code).split() == ["True", "over"]
