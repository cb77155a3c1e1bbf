"""The plugin in napari's real window, with the real engine."""

import json
import subprocess
import sys
import time
import weakref
from importlib.util import find_spec
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QLabel,
    QPushButton,
    QWidget,
)

from first_run import Stopwatch, moire, wait
from napari_periodic_denoise import select_waves
from napari_periodic_denoise.noise.gram_matching.texture import synthesize_texture
from napari_periodic_denoise.samples import CELL_INTERFERENCE
from napari_periodic_denoise.stacks import lazy
from napari_periodic_denoise.viewer.layers.results import COLOURS
from window import DOCK, MARGIN, PLUGIN, check, choose, click, open_dock, turn_to, turn_wheel

HELPERS = Path(__file__).parents[2] / "helpers"
SYNTHESIS = synthesize_texture.__kwdefaults__


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer(show=True)


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
    for row in dock.found.table.model.rows:
        heights = row.amplitude(COLOURS)
        assert "(red)" in heights
        assert "(green)" in heights
        assert "(blue)" not in heights
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
    assert "No periodic noise was found" in dock.found.words.value
    assert dock.found.table.isHidden()
    assert not noise.data.any()
    np.testing.assert_array_equal(cleaned.data, pixels)

    turn_to(dock, "Method")
    choice = dock.method_panel.remainder
    assert not choice.native.isVisible()
    check(dock.method_panel.unfold)
    qtbot.waitUntil(choice.native.isVisible)
    choose(choice, "Quasi")
    assert dock.method_panel.remainder.value == "quasi-periodic"
    click(dock)
    qtbot.waitUntil(lambda: not dock.running, timeout=60_000)
    np.testing.assert_array_equal(pixels, before)
    assert len(viewer.layers) == 3
    assert 10 * np.log10(truth.var() / (noise.data - truth).var()) > 20
    assert dock.status.value.startswith("quasi-periodic noise, no single waves; ")
    assert dock.found.words.value.startswith("Quasi-periodic noise removed (")
    assert dock.found.table.isHidden()
    # the cleaned image, on top, is what the canvas shows
    shown = viewer.screenshot(flash=False)[..., 0].astype(float)
    cleaned.visible = noise.visible = False
    woven = viewer.screenshot(flash=False)[..., 0].astype(float)
    assert np.abs(np.diff(shown)).mean() < 0.8 * np.abs(np.diff(woven)).mean()


def test_texture_with_preview_cancelled_and_run_again(viewer, qtbot, monkeypatch):
    monkeypatch.setattr(synthesize_texture, "__kwdefaults__", {**SYNTHESIS, "preview_every": 0.2})
    viewer.open_sample(PLUGIN, "cell")
    (source,) = viewer.layers
    before = source.data.copy()
    dock = open_dock(viewer)
    panel = dock.method_panel
    choose(panel.method, "Texture")
    choose(panel.features, "VGG16")
    choose(panel.weights, "Random")
    check(panel.unfold)
    qtbot.waitUntil(panel.max_size.native.isVisible)
    assert not panel.sensitivity.native.isVisible()
    panel.max_size.value = 64
    check(panel.gram)
    click(dock)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=60_000)
    preview = viewer.layers[1]
    assert preview.name == f"{source.name} texture"
    assert preview.visible
    first = preview.data
    qtbot.waitUntil(lambda: preview.data is not first, timeout=60_000)
    assert preview.data.shape == before.shape
    started = time.perf_counter()
    click(dock)
    qtbot.waitUntil(lambda: not dock.running, timeout=5000)
    assert time.perf_counter() - started < 1
    assert list(viewer.layers) == [source]
    assert dock.status.value == "Cancelled."

    panel.texture_steps.value = 3
    click(dock)
    qtbot.waitUntil(lambda: len(viewer.layers) == 8 and not dock.running, timeout=60_000)
    np.testing.assert_array_equal(source.data, before)
    _, noise, cleaned, *grams = viewer.layers
    assert noise.data.any()
    assert cleaned.data.dtype == np.uint8
    sizes = {"conv1_1": 64, "conv2_1": 128, "conv3_1": 256, "conv4_1": 512, "conv5_1": 512}
    assert [layer.name for layer in grams] == [f"{source.name} Gram {name}" for name in sizes]
    assert [layer.data.shape for layer in grams] == [(size, size) for size in sizes.values()]
    assert "for comparison only" in dock.found.words.value


def test_the_window_stays_alive_while_a_texture_is_made(viewer, qtbot):
    """But for adding the preview, which takes napari itself as long as any layer."""
    viewer.open_sample(PLUGIN, "cell")
    dock = open_dock(viewer)
    dock.method_panel.method.value = "texture"
    dock.method_panel.weights.value = "random"
    dock.method_panel.max_size.value = 128
    tries = []
    for _ in range(5):  # the best, since others may keep the machine busy
        click(dock)
        wait(lambda: len(viewer.layers) == 2)
        wait(lambda: False, 0.5)
        stopwatch = Stopwatch()
        wait(lambda: False, 4)  # with an update of the preview
        tries.append(stopwatch.lap())
        click(dock)
        wait(lambda: not dock.running)
        print(f"blocked for {tries[-1]:.3f} s")
        if tries[-1] < 0.1:
            return
    pytest.fail(f"the event loop was blocked for too long: {tries}")


def test_a_long_lazy_stack_is_cleaned_while_browsing(viewer, qtbot, monkeypatch):
    """200 planes of 1024×1024 pixels, of which only those that are looked at are made."""
    read, cleaned = [], []
    y, x = np.indices((1024, 1024), dtype=np.float32)
    scene = 1000 + 300 * np.sin(x / 300) * np.cos(y / 200)
    grain = 20 * np.random.default_rng(0).normal(size=scene.shape).astype(np.float32)

    def hum(plane):
        return 50 * np.cos(0.31 * x + 0.12 * y + plane)

    def load(block_info=None):
        plane = block_info[None]["chunk-location"][0]
        read.append(plane)
        return np.rint(scene + grain + hum(plane)).astype(np.uint16)[np.newaxis]

    def counting(plane, *arguments, **options):
        cleaned.append(plane)
        return clean_plane(plane, *arguments, **options)

    clean_plane = lazy.clean_plane
    monkeypatch.setattr(lazy, "clean_plane", counting)
    chunks = ((1,) * 200, (1024,), (1024,))
    stack = da.map_blocks(load, chunks=chunks, dtype=np.uint16, meta=np.empty((0,) * 3, np.uint16))
    viewer.add_image(stack, name="movie", contrast_limits=(0, 2000))
    viewer.dims.current_step = (7, 0, 0)
    dock = open_dock(viewer)
    qtbot.waitUntil(dock.planes.native.isVisible)
    choose(dock.planes, "Every plane")
    looked_at = {*read, 7}
    click(dock)
    qtbot.waitUntil(lambda: len(viewer.layers) == 3 and not dock.running, timeout=60_000)
    _, noise, result = viewer.layers
    assert noise.data.shape == result.data.shape == stack.shape
    assert result.data.dtype == np.uint16
    assert len(cleaned) == 1
    taken = []
    with dask.config.set(scheduler="threads"):  # as in napari
        for plane in (8, 9, 150, 199):
            looked_at.add(plane)
            started = time.perf_counter()
            viewer.dims.set_current_step(0, plane)
            shown = viewer.screenshot(flash=False)
            taken.append(time.perf_counter() - started)
            assert shown[..., :3].any()
            truth = hum(plane)
            assert 10 * np.log10(truth.var() / (noise._data_view - truth).var()) > 30
    print("a plane appeared after", ", ".join(f"{seconds:.2f} s" for seconds in taken))
    assert min(taken) < 1.5  # the best, since others may keep the machine busy
    viewer.dims.set_current_step(0, 150)  # known already
    QApplication.processEvents()
    assert len(cleaned) == 5
    assert set(read) == looked_at


def cut_off(dock):
    """Parts of a dock that are seen, but not wholly."""
    parts = []
    for part in dock.native.findChildren(QWidget):
        if part.isVisible() and isinstance(part, QLabel | QComboBox | QPushButton | QCheckBox):
            needed = part.minimumSizeHint()
            height = needed.height()
            if isinstance(part, QLabel) and part.wordWrap():
                height = part.heightForWidth(part.width())
            if part.width() < needed.width() or part.height() < height:
                parts.append(part)
    return parts


@pytest.mark.parametrize("method", ["aligned", "gram_aligned", "texture"])
@pytest.mark.parametrize(("theme", "height"), [("dark", 900), ("light", 900), ("dark", 600)])
def test_nothing_is_cut_off_in_a_narrow_dock(viewer, qtbot, method, theme, height):
    viewer.window.resize(1200, height)
    viewer.theme = theme
    viewer.open_sample(PLUGIN, "cell")
    (source,) = viewer.layers
    source.name = "a layer with a name that is longer than any dock is wide"
    source.data = np.stack([source.data] * 2)
    dock = open_dock(viewer)
    assert dock.planes.native.isVisible()
    panel = dock.method_panel
    panel.method.value = method
    if method != "aligned":
        qtbot.waitUntil(panel.missing.native.isVisible, timeout=20_000)
    check(panel.unfold)
    dock.status.value = "Words of several lines, as a run ends with. " * 4
    dock.found.words.value = dock.status.value * 2
    docked = dock.native.parent()
    viewer.window._qt_window.resizeDocks([docked], [300], Qt.Orientation.Horizontal)
    qtbot.waitUntil(lambda: docked.width() <= 300)
    assert viewer.window._qt_window.height() == height
    assert docked.height() < height
    for title in ("Method", "Found"):
        turn_to(dock, title)
        qtbot.waitUntil(lambda: not cut_off(dock))
        # what is too low scrolls, what is too narrow does not
        assert dock.tabs.currentWidget().horizontalScrollBar().maximum() == 0


def test_the_wheel_changes_no_choice_of_the_dock(viewer):
    viewer.open_sample(PLUGIN, "cell")
    dock = open_dock(viewer)
    check(dock.method_panel.unfold)
    choices = [
        choice
        for kind in (QComboBox, QAbstractSpinBox)
        for choice in dock.native.findChildren(kind)
        if choice.isVisible()
    ]
    assert len(choices) >= 6
    dock.run_button.native.setFocus()
    before = dock.settings_panel.choices, dock.layer.value
    for choice in choices:
        turn_wheel(choice)
    assert (dock.settings_panel.choices, dock.layer.value) == before
    assert not dock.settings_panel.notice.native.isVisible()
    dock.method_panel.features.native.setFocus()
    turn_wheel(dock.method_panel.features.native)
    assert dock.settings_panel.notice.native.isVisible()
    check(dock.method_panel.unfold)  # what is folded away is still said
    assert dock.settings_panel.changes.value == "Features: Cosine patterns"
    assert dock.settings_panel.notice.native.isVisible()


def click_tick(dock, line):
    view = dock.found.table.view
    cell = view.visualRect(view.model().index(line, 0))
    where = QPoint(cell.left() + 10, cell.center().y())
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=where)


def test_waves_are_switched_off_and_on_in_the_table(viewer, tmp_path, monkeypatch):
    """As quickly as napari can show other data; all else never blocks the event loop."""
    rows = np.arange(1024, dtype=np.float32)[:, np.newaxis]
    pixels = (moire(1024, "float32") + 8 * np.cos(0.9 * rows)).astype(np.uint8)
    viewer.add_image(pixels, scale=(0.5, 0.5), units=("µm", "µm"))
    dock = open_dock(viewer)
    click(dock)
    wait(lambda: len(viewer.layers) == 3 and not dock.running)
    table = dock.found.table
    assert table.view.isVisible()
    docked = dock.native.parent()
    viewer.window._qt_window.resizeDocks([docked], [320], Qt.Orientation.Horizontal)
    wait(lambda: docked.width() == 320)
    # period, period in micrometres, angle and amplitude
    assert table.view.columnViewportPosition(4) < table.view.viewport().width()
    assert [round(row.period(), 1) for row in table.model.rows] == [18.9, 7.0]
    _, noise, cleaned = viewer.layers
    first = noise.data, cleaned.data
    whole = dock.switching.outcome.estimate
    gaps, delays, own = [], [], []
    for _ in range(3):  # the best, since others may keep the machine busy
        for line, off in ((0, [0]), (1, [0, 1]), (0, [1]), (1, [])):
            wait(lambda: False, 0.2)
            stopwatch, started = Stopwatch(), time.perf_counter()
            click_tick(dock, line)
            assert dock.switching.is_busy
            wait(lambda: not dock.switching.is_busy)
            delays.append(time.perf_counter() - started)
            wait(lambda: False, 0.2)
            gaps.append(stopwatch.lap())
            gone = [table.model.rows[i].frequency for i in off]
            fewer = select_waves(pixels, whole, gone)
            np.testing.assert_allclose(noise.data, fewer.noise, atol=1e-3)
            assert np.mean(cleaned.data != fewer.cleaned) < 1e-3  # rounding, on other threads
            assert len(cleaned.metadata["periodic_noise"]["off"]) == len(off)
        assert noise.data is first[0]
        assert cleaned.data is first[1]
        stopwatch = Stopwatch()
        noise.data = first[0].copy()
        wait(lambda: False, 0.2)
        own.append(stopwatch.lap())
        noise.data = first[0]
    print(
        f"blocked for {min(gaps):.3f} s, napari's own {min(own):.3f} s, {min(delays):.3f} s each"
    )
    assert min(gaps) < max(0.1, min(own) + 0.05)
    assert min(delays) < 0.5

    click_tick(dock, 1)
    path = tmp_path / "waves.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    dock.tabs.currentWidget().ensureWidgetVisible(table.export.native)
    QTest.mouseClick(table.export.native, Qt.MouseButton.LeftButton)
    lines = path.read_text("utf-8").splitlines()
    assert "period_µm" in lines[0]
    assert [line.split(",")[1] for line in lines] == ["on", "1", "0"]


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
        measured = json.loads(python(HELPERS / "first_run.py", dtype))
        print(measured)
        tries.append(measured)
        assert measured["layers"] == 4
        assert measured["imported before Run"] == []
        assert measured["opening"] < 1
        working = max(measured["first run"], measured["second run"])
        arriving = max(measured["first arrival"], measured["second arrival"])
        if working < 0.1 * MARGIN and arriving < measured["napari's own"] + 0.1:
            return
    pytest.fail("the event loop was blocked for too long:\n" + "\n".join(map(str, tries)))


@pytest.mark.skipif(find_spec("triton") is None, reason="torch for CUDA, with triton, is not here")
def test_networks_are_loaded_beside_the_llvm_that_draws():
    code = (
        "import sys\n"
        "import napari, numpy as np\n"
        "viewer = napari.Viewer()\n"
        "viewer.add_image(np.eye(9))\n"
        "viewer.screenshot(flash=False)\n"
        "from napari_periodic_denoise.pretrained.vgg import torchvision_models\n"
        "torchvision_models()\n"
        "print('triton' in sys.modules)\n"
        "viewer.close()"
    )
    assert python("-c", code) == "True\n"


@pytest.mark.parametrize("stage", ["Starting", "Searching", "Fitting", "Subtracting"])
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


@pytest.mark.parametrize("stage", ["Loading", "Computing", "Texture"])
def test_cancel_a_texture_within_a_second(viewer, qtbot, stage):
    """With the largest network, whose steps take longer than that on one core."""
    viewer.open_sample(PLUGIN, "cell")
    dock = open_dock(viewer)
    dock.method_panel.method.value = "texture"
    dock.method_panel.weights.value = "random"
    click(dock)
    while not dock.status.value.startswith(stage):
        assert dock.running
        QApplication.processEvents()
    qtbot.wait(300)
    started = time.perf_counter()
    click(dock)
    qtbot.waitUntil(lambda: not dock.running, timeout=5000)
    taken = time.perf_counter() - started
    print(f"{stage}: cancelled in {taken:.3f} s")
    assert taken < 1
    assert len(viewer.layers) == 1


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


@pytest.mark.parametrize("stage", ["Searching", "Texture"])
def test_quitting_napari_while_running(stage):
    code = f"""
import napari, numpy
from qtpy.QtCore import QTimer

viewer = napari.Viewer(show_welcome_screen=False)
viewer.add_image(numpy.random.default_rng(0).random((4096, 4096)))
_, dock = viewer.window.add_plugin_dock_widget({PLUGIN!r}, {DOCK!r})
if {stage == "Texture"}:
    dock.method_panel.method.value = "texture"
    dock.method_panel.weights.value = "random"
def close_when_working():
    if dock.status.value.startswith({stage!r}):
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
