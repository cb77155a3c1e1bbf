"""The spectrum in napari's real window, with the real engine and real clicks."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_periodic_denoise.samples import CELL_INTERFERENCE
from window import MARGIN, PLUGIN, click, open_dock, turn_to

HELPERS = Path(__file__).parents[2] / "helpers"

FOUND, FAINT = (0.11, 0.07), (0.31, 0.05)


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer(show=True)


@pytest.fixture
def pixels():
    """Tiles and grain with a strong wave, and one that is too faint to be found."""
    y, x = np.indices((256, 256))
    strong, faint = (np.cos(2 * np.pi * (fy * y + fx * x)) for fy, fx in (FOUND, FAINT))
    grain = np.rint(np.random.default_rng(0).normal(0, 10, y.shape) / 6) * 6
    tiles = np.kron(np.random.default_rng(1).normal(0, 60, (32, 32)), np.ones((8, 8)))
    return (100 + tiles + grain + 20 * strong + 0.9 * faint).astype(np.float32)


def seen(dock, qtbot):
    """The spectrum, once it is drawn."""
    turn_to(dock, "Spectrum")
    panel = dock.spectrum
    qtbot.waitUntil(lambda: panel.spectrum is not None, timeout=60_000)
    qtbot.wait(300)
    return panel


def click_at(panel, frequency):
    axes = panel.figure.figure.axes[0]
    x, y = axes.transData.transform(frequency[::-1]) / panel.canvas.device_pixel_ratio
    where = QPoint(round(x), round(panel.canvas.height() - y))
    QTest.mouseClick(panel.canvas, Qt.MouseButton.LeftButton, pos=where)


def marks(panel):
    on, off, _ = (marks.get_offsets() for marks in panel.figure.figure.axes[0].collections)
    return len(on) // 2, len(off) // 2


def test_a_click_on_a_mark_switches_the_wave_in_both_layers(viewer, qtbot):
    viewer.open_sample(PLUGIN, "cell")
    (source,) = viewer.layers
    before = source.data.copy()
    dock = open_dock(viewer)
    click(dock)
    qtbot.waitUntil(lambda: len(viewer.layers) == 3 and not dock.running, timeout=60_000)
    _, noise, cleaned = viewer.layers
    with_all = noise.data.copy()
    panel = seen(dock, qtbot)
    count = len(CELL_INTERFERENCE)
    assert marks(panel) == (count, 0)
    wave = dock.found.table.model.rows[0]
    click_at(panel, wave.frequency)
    assert marks(panel) == (count - 1, 1)
    qtbot.waitUntil(lambda: f"{count - 1} waves" in dock.status.value, timeout=20_000)
    assert dock.found.table.model.off == wave.frequencies
    left = with_all - noise.data
    assert left.std() == pytest.approx(wave.waves[0]["amplitude"] / np.sqrt(2), rel=0.05)
    np.testing.assert_allclose(cleaned.data, before - noise.data, atol=1)

    dock.found.table.switch(wave.frequency, True)  # as a click on its tick does
    assert marks(panel) == (count, 0)
    qtbot.waitUntil(lambda: np.array_equal(noise.data, with_all), timeout=20_000)
    np.testing.assert_array_equal(source.data, before)


def test_a_faint_peak_is_proposed_and_accepted(viewer, qtbot, pixels):
    viewer.add_image(pixels, name="grain")
    dock = open_dock(viewer)
    dock.method_panel.sensitivity.value = 1e-5
    click(dock)
    qtbot.waitUntil(lambda: len(viewer.layers) == 3 and not dock.running, timeout=60_000)
    _, noise, _ = viewer.layers
    assert len(dock.found.table.model.rows) == 1
    panel = seen(dock, qtbot)
    click_at(panel, FAINT)
    assert dock.running
    qtbot.waitUntil(lambda: not dock.running, timeout=60_000)
    assert panel.answer.value.startswith("Accepted: 3.18")
    assert marks(panel) == (2, 0)
    y, x = np.indices(pixels.shape)
    truth = 20 * np.cos(2 * np.pi * (FOUND[0] * y + FOUND[1] * x))
    truth += 0.9 * np.cos(2 * np.pi * (FAINT[0] * y + FAINT[1] * x))
    assert (noise.data - truth).std() < 0.3

    click(dock)  # it stays proposed
    qtbot.waitUntil(lambda: not dock.running, timeout=60_000)
    assert marks(panel) == (2, 0)
    QTest.mouseClick(panel.remove.native, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not dock.running, timeout=60_000)
    assert marks(panel) == (1, 0)
    assert not panel.remove.native.isVisible()


def test_where_nothing_is_the_proposal_is_refused_with_a_reason(viewer, qtbot, pixels):
    viewer.add_image(pixels)
    dock = open_dock(viewer)
    dock.method_panel.sensitivity.value = 1e-5
    panel = seen(dock, qtbot)
    click_at(panel, (-0.35, 0.4))
    qtbot.waitUntil(lambda: len(viewer.layers) == 3 and not dock.running, timeout=60_000)
    assert panel.answer.value.startswith("Rejected: ")
    assert len(panel.answer.value) > len("Rejected: .")
    assert marks(panel) == (1, 0)
    assert panel.engine_options() == {}


def test_a_proposal_that_is_cancelled_is_forgotten(viewer, qtbot, pixels):
    viewer.add_image(pixels)
    dock = open_dock(viewer)
    panel = seen(dock, qtbot)
    click_at(panel, FAINT)
    click(dock)
    qtbot.waitUntil(lambda: not dock.running, timeout=60_000)
    assert panel.answer.value == ""
    assert panel.engine_options() == {}


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_nothing_is_cut_off_in_a_narrow_dock(viewer, qtbot, pixels, theme):
    viewer.window.resize(1100, 800)
    viewer.theme = theme
    source = viewer.add_image(pixels, scale=(0.1, 0.1), units=("um", "um"))
    dock = open_dock(viewer)
    docked = dock.native.parent()
    viewer.window._qt_window.resizeDocks([docked], [300], Qt.Orientation.Horizontal)
    panel = seen(dock, qtbot)
    panel._proposed[source] = [FOUND, FAINT]  # as if they had been proposed
    panel._offer_proposals()
    panel.answer.value = "Rejected: parts of the image disagree: t = 5.8, not above 6.0."
    QTest.mouseMove(panel.canvas, QPoint(100, 100))
    qtbot.waitUntil(panel.remove.native.isVisible)
    qtbot.wait(300)
    assert docked.width() <= 300
    assert dock.spectrum_page.horizontalScrollBar().maximum() == 0
    for label in (panel.readout.native, panel.answer.native):
        assert label.height() >= label.heightForWidth(label.width())
    shown = panel.figure.figure
    room = shown.get_window_extent()
    for axes in (shown.axes[0], *shown.axes[0].child_axes):
        around = axes.get_tightbbox()
        assert room.x0 <= around.x0
        assert around.x1 <= room.x1
        assert room.y0 <= around.y0
        assert around.y1 <= room.y1


def test_closing_everything_while_a_spectrum_is_computed(viewer, qtbot, pixels, notifications):
    viewer.add_image(pixels)
    dock = open_dock(viewer)
    turn_to(dock, "Spectrum")
    qtbot.waitUntil(lambda: dock.spectrum.readout.value.startswith("Computing"))
    dock.native.parent().title.close_button.click()
    viewer.theme = "light"
    viewer.layers[0].data = pixels.T
    again = open_dock(viewer)
    turn_to(again, "Spectrum")
    qtbot.waitUntil(lambda: again.spectrum.readout.value.startswith("Computing"))
    viewer.close()
    qtbot.wait(500)
    assert not notifications


def test_the_window_stays_alive_while_a_spectrum_is_computed():
    """From the first look on, with the imports, the event loop is never blocked for 0.1 s."""
    tries = []
    for _ in range(5):  # the best, since others may keep the machine busy
        child = subprocess.run(
            [sys.executable, HELPERS / "first_spectrum.py", "1024"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert child.returncode == 0, child.stderr
        measured = json.loads(child.stdout)
        print(measured)
        assert not measured.pop("matplotlib before")
        tries.append(measured)
        if max(measured.values()) < 0.1 * MARGIN:
            return
    pytest.fail("the event loop was blocked for too long:\n" + "\n".join(map(str, tries)))
