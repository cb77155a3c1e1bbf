"""Scripts and settings in napari's real window, with the real engine and child processes."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from napari._qt.dialogs.preferences_dialog import PreferencesDialog
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox, QFileDialog, QLineEdit

from napari_periodic_denoise.viewer import preferences
from window import DOCK, PLUGIN, choose, click, open_dock, turn_to


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer(show=True)


def python(code, folder):
    child = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "2"},  # which a script must not depend on
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    return child.stdout


def copy(dock, qtbot):
    turn_to(dock, "Method")
    QApplication.clipboard().clear()
    QTest.mouseClick(dock.replay_panel.copy.native, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(QApplication.clipboard().text()), timeout=20_000)
    return QApplication.clipboard().text()


def arrays_of(script, folder):
    python(f'{script}\nnp.savez("made.npz", noise=noise, cleaned=cleaned)', folder)
    made = np.load(folder / "made.npz")
    return made["noise"], made["cleaned"]


@pytest.mark.parametrize("source", ["file", "array", "array, and a wave is switched off"])
def test_a_copied_script_gives_identical_arrays(viewer, qtbot, tmp_path, source):
    viewer.open_sample(PLUGIN, "cell")
    pixels = viewer.layers[0].data
    if source == "file":
        viewer.layers.clear()
        tifffile.imwrite(tmp_path / "cell.tif", pixels)
        viewer.open(tmp_path / "cell.tif", plugin="napari")
    else:
        np.save(tmp_path / "cell_with_interference.npy", pixels)  # as the script asks for
    dock = open_dock(viewer)
    click(dock)
    qtbot.waitUntil(lambda: len(viewer.layers) == 3 and not dock.running, timeout=60_000)
    if "switched off" in source:
        before, wave = viewer.layers[1].data, dock.switching.outcome.estimate.waves[0]
        dock.found.table.switch(wave.frequency, on=False)
        qtbot.waitUntil(lambda: viewer.layers[1].data is not before)
        qtbot.waitUntil(lambda: not dock.switching.is_busy)
    script = copy(dock, qtbot)
    assert ("select_waves(" in script) == ("switched off" in source)
    assert ("read_image(" in script) == (source == "file")
    noise, cleaned = arrays_of(f"import numpy as np\n{script}", tmp_path)
    for made, layer in ((noise, viewer.layers[1]), (cleaned, viewer.layers[2])):
        assert made.any()
        assert made.dtype == layer.data.dtype
        np.testing.assert_array_equal(made, layer.data)


def test_choices_outlast_napari(tmp_path, settings_folder):
    opened = f"""
import json, sys
import napari
from qtpy.QtCore import QTimer
from qtpy.QtTest import QTest
viewer = napari.Viewer(show_welcome_screen=False)
_, dock = viewer.window.add_plugin_dock_widget({PLUGIN!r}, {DOCK!r})
def act():
    %s
    viewer.close()
QTimer.singleShot(100, act)
napari.run()
"""
    chosen = """
    panel = dock.method_panel
    for choice, words in ((panel.features, "Cosine"), (panel.remainder, "Quasi")):
        choice.native.setFocus()
        QTest.keyClicks(choice.native, words)
    print(json.dumps(dock.settings_panel.choices))
"""
    report = """
    print(json.dumps([dock.settings_panel.choices, dock.method_panel.features.value]))
    print("torch" in sys.modules)
"""
    first = json.loads(python(opened % chosen, tmp_path))
    kept = settings_folder / "napari-periodic-denoise.json"
    assert json.loads(kept.read_text()) == {"features": "cosines", "remainder": "quasi-periodic"}
    second, _ = python(opened % report, tmp_path).splitlines()
    assert json.loads(second) == [first, "cosines"]
    kept.write_text('{"method": "texture", "network": "vgg16"}')
    third, torch_is_there = python(opened % report, tmp_path).splitlines()
    assert json.loads(third)[1] == "vgg16"
    assert torch_is_there == "False"


def test_a_broken_file_is_reported(viewer, settings_folder, notifications):
    settings_folder.mkdir(exist_ok=True)
    preferences.settings_file().write_text('{"method": "magic"}')
    dock = open_dock(viewer)
    assert 'method is "magic"' in notifications[0].message
    assert dock.method_panel.method.value == "aligned"


def choose_in_menu(panel, key, qtbot):
    """By keys alone: open the menu, and choose by the underlined letter."""
    panel.button.native.setFocus()
    QTest.keyClick(panel.button.native, Qt.Key.Key_Space)
    qtbot.waitUntil(panel.menu.isVisible)
    QTest.keyClick(panel.menu, key)
    qtbot.waitUntil(lambda: not panel.menu.isVisible())


def answer_dialog(path):
    """Type a file's name into the dialog that opens next, once it is there."""

    def answer():
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, QFileDialog):
            QTimer.singleShot(100, answer)
            return
        dialog.findChild(QLineEdit).setText(str(path))
        QTest.keyClick(dialog.findChild(QLineEdit), Qt.Key.Key_Return)

    QTimer.singleShot(300, answer)


def test_settings_are_saved_reset_and_loaded_by_keys(viewer, qtbot, tmp_path, notifications):
    dock = open_dock(viewer)
    panel = dock.settings_panel
    choose(dock.method_panel.features, "Cos")
    path = tmp_path / "mine.json"
    answer_dialog(path)
    choose_in_menu(panel, Qt.Key.Key_S, qtbot)
    qtbot.waitUntil(path.exists)
    assert json.loads(path.read_text())["features"] == "cosines"
    choose_in_menu(panel, Qt.Key.Key_R, qtbot)
    assert dock.method_panel.features.value == "edges"
    answer_dialog(path)
    choose_in_menu(panel, Qt.Key.Key_L, qtbot)
    assert dock.method_panel.features.value == "cosines"
    path.write_text('{"features": "edges", "speed": 3}')
    answer_dialog(path)
    choose_in_menu(panel, Qt.Key.Key_L, qtbot)
    assert "speed is not a setting" in notifications[0].message
    assert dock.method_panel.features.value == "cosines"


def test_preferences_of_napari(viewer, qtbot):
    dock = open_dock(viewer)
    dialog = PreferencesDialog(viewer.window._qt_window)
    qtbot.addWidget(dialog)
    (row,) = dialog._list.findItems("Periodic Denoise", Qt.MatchFlag.MatchExactly)
    dialog._list.setCurrentItem(row)
    dialog.show()
    page = dialog._stack.currentWidget()
    device, sensitivity = page.findChildren(QComboBox)
    folder = page.findChild(QLineEdit)
    choose_words = ((device, "cpu"), (sensitivity, "high"))
    for choice, words in choose_words:
        choice.setFocus()
        QTest.keyClicks(choice, words)
    QTest.keyClicks(folder, "/weights")
    QTest.mouseClick(dialog._button_ok, Qt.MouseButton.LeftButton)
    options = dock.method_panel.engine_options()
    assert (options["device"], options["sensitivity"]) == ("cpu", 1e-2)
    assert str(dock.method_panel.missing.path("vgg19")) == "/weights"
    kept = preferences.settings_file().with_suffix(".yaml").read_text()
    for words in ("device: cpu", "sensitivity: high", "weights_folder: /weights"):
        assert words in kept
