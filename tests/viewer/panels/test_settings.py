"""The dock's choices: kept, saved, loaded, reset."""

import json
import time

import pytest
from qtpy.QtWidgets import QFileDialog

from napari_periodic_denoise.viewer import preferences
from napari_periodic_denoise.viewer.panels import settings as settings_panel
from napari_periodic_denoise.viewer.panels.method import SENSITIVITIES
from napari_periodic_denoise.viewer.widget import PeriodicNoiseDock

OTHERS = {
    "method": "texture",
    "features": "cosines",
    "network": "vgg16",
    "weights": "random",
    "noise_model": "additive",
    "remainder": "stripes",
    "sensitivity": 0.1,
    "refine_steps": 7,
    "optimizer": "lbfgs",
    "texture_steps": 12,
    "max_size": 64,
    "gram": True,
    "vgg16_weights": "/my/vgg16.pth",
    "vgg19_weights": "/my/vgg19.pth",
    "planes": "shared",
}


@pytest.fixture(autouse=True)
def _hastily(monkeypatch):
    monkeypatch.setattr(settings_panel, "SAVE_DELAY", 10)


@pytest.fixture
def panel(dock):
    return dock.settings_panel


@pytest.fixture
def answer(monkeypatch):
    """Answer the file dialogs, which a test can't."""

    def answer(path):
        for dialog in ("getOpenFileName", "getSaveFileName"):
            monkeypatch.setattr(QFileDialog, dialog, lambda *_: (str(path), ""))

    return answer


def trigger(panel, words):
    (action,) = (a for a in panel.menu.actions() if words in a.text().replace("&", ""))
    action.trigger()


def load(panel, answer, tmp_path, choices):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(choices))
    answer(path)
    trigger(panel, "Load")


def test_all_that_can_be_chosen_is_known(panel):
    assert panel.choices.keys() == OTHERS.keys()
    assert not [name for name, value in panel.choices.items() if value == OTHERS[name]]


def test_choices_are_loaded_saved_and_reset(dock, panel, answer, tmp_path, qtbot):
    usual, options = panel.choices, dock.method_panel.engine_options()
    load(panel, answer, tmp_path, OTHERS)
    assert panel.choices == OTHERS
    assert dock.planes.value == "shared"
    assert dock.method_panel.features.value == "vgg16"
    assert dock.method_panel.engine_options() == {
        "method": "texture",
        "features": "vgg16",
        "weights": "random",
        "optimizer": "lbfgs",
        "steps": 12,
        "max_size": 64,
        "gram": True,
    }
    path = tmp_path / "saved.json"
    answer(path)
    trigger(panel, "Save")
    qtbot.waitUntil(path.exists)
    assert json.loads(path.read_text()) == OTHERS
    trigger(panel, "Reset")
    assert panel.choices == usual
    assert dock.method_panel.engine_options() == options
    trigger(panel, "Load")
    assert panel.choices == OTHERS
    load(panel, answer, tmp_path, {"features": "cosines"})  # and of all else the usual
    assert panel.choices == usual | {"features": "cosines"}


def test_what_is_not_at_its_default_is_said(dock, panel):
    assert panel.changes.value == ""
    dock.method_panel.remainder.value = "quasi-periodic"
    assert panel.changes.value == "Also remove: Quasi-periodic noise"
    dock.method_panel.sensitivity.value = 1e-2
    dock.method_panel.gram.value = True
    words = panel.changes.value
    assert words.startswith("Also remove: Quasi-periodic noise. Sensitivity: High: 1 in 100")
    assert words.endswith("Show Gram matrices")
    dock.method_panel.max_size.value = 64  # does not apply
    assert panel.changes.value == words
    panel.reset.native.click()
    assert panel.changes.value == ""
    assert dock.method_panel.remainder.value == "auto"


def test_a_remembered_choice_is_said_at_once(dock, panel, viewer):
    dock.method_panel.remainder.value = "stripes"
    panel.save_now()
    another = PeriodicNoiseDock(viewer)
    assert another.settings_panel.changes.value == "Also remove: Parallel stripes"
    another.stop()


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"method": "texture", "metod": "aligned"}, "metod is not a setting"),
        ({"method": "texture", "max_size": 5000}, "max_size is 5000"),
        ({"network": "edges"}, 'network is "edges"'),
    ],
)
def test_a_file_that_does_not_fit_changes_nothing(
    panel, answer, tmp_path, choices, words, notifications
):
    before = panel.choices
    load(panel, answer, tmp_path, choices)
    (notification,) = notifications
    assert words in notification.message
    assert panel.choices == before


def test_no_file_chosen_changes_nothing(panel, answer):
    before = panel.choices
    answer("")
    trigger(panel, "Load")
    trigger(panel, "Save")
    assert panel.choices == before


def test_a_file_that_cannot_be_written_is_reported(panel, answer, tmp_path, qtbot, notifications):
    (tmp_path / "file").write_text("")
    answer(tmp_path / "file/settings.json")
    trigger(panel, "Save")
    qtbot.waitUntil(lambda: bool(notifications))
    assert "cannot be written" in notifications[0].message


def test_choices_are_kept_for_the_next_dock(dock, viewer, panel, qtbot):
    file = preferences.settings_file()
    assert not file.exists()
    dock.method_panel.remainder.value = "stripes"
    dock.planes.value = "drifting"
    qtbot.waitUntil(file.exists)
    assert json.loads(file.read_text()) == {"remainder": "stripes", "planes": "drifting"}
    started = time.perf_counter()
    again = PeriodicNoiseDock(viewer)
    print(f"opened in {time.perf_counter() - started:.3f} s")
    assert again.settings_panel.choices == panel.choices
    assert again.planes.value == "drifting"
    trigger(panel, "Reset")
    qtbot.waitUntil(lambda: json.loads(file.read_text()) == {})


def test_a_dock_that_is_closed_at_once_keeps_its_choices(viewer, qtbot, monkeypatch):
    monkeypatch.setattr(settings_panel, "SAVE_DELAY", 10_000)
    dock = PeriodicNoiseDock(viewer)
    panel = dock.settings_panel
    dock.method_panel.gram.value = True
    assert not preferences.settings_file().exists()
    panel.save_now()
    assert json.loads(preferences.settings_file().read_text()) == {"gram": True}


def test_after_a_broken_file_the_defaults_are_used(viewer, qtbot, settings_folder, notifications):
    settings_folder.mkdir()
    preferences.settings_file().write_text('{"method": "texture", "max_si')
    dock = PeriodicNoiseDock(viewer)
    (notification,) = notifications
    assert "damaged or not JSON" in notification.message
    assert "default settings" in notification.message
    assert dock.method_panel.method.value == "aligned"
    dock.method_panel.gram.value = True
    qtbot.waitUntil(lambda: "gram" in preferences.settings_file().read_text())
    assert json.loads(preferences.settings_file().read_text()) == {"gram": True}


def test_without_a_folder_nothing_is_kept(viewer, qtbot, monkeypatch, tmp_path):
    monkeypatch.setattr(preferences, "settings_file", lambda: None)
    dock = PeriodicNoiseDock(viewer)
    dock.method_panel.gram.value = True
    qtbot.wait(50)
    dock.settings_panel.save_now()
    assert not list(tmp_path.rglob("*.json"))


def test_preferences_are_what_is_usual(viewer, dock, panel, qtbot):
    plugin = preferences.plugin_preferences()
    for words, value in SENSITIVITIES:
        plugin.sensitivity = words.split(":")[0].lower()
        assert dock.method_panel.sensitivity.value == value
    plugin.sensitivity = "high"
    again = PeriodicNoiseDock(viewer)
    assert again.method_panel.sensitivity.value == 1e-2
    again.method_panel.sensitivity.value = 1e-5
    trigger(again.settings_panel, "Reset")
    assert again.method_panel.sensitivity.value == 1e-2


def test_device_and_folder_go_to_the_engine(dock, tmp_path):
    plugin = preferences.plugin_preferences()
    assert "device" not in dock.method_panel.engine_options()
    plugin.device, plugin.weights_folder = "cpu", str(tmp_path)
    panel = dock.method_panel
    assert panel.engine_options()["device"] == "cpu"
    panel.set_choices({**dock.settings_panel.choices, "method": "texture"})
    assert panel.engine_options()["weights_path"] == tmp_path
    panel.missing.set_path("vgg19", "/my/vgg19.pth")
    assert str(panel.engine_options()["weights_path"]) == "/my/vgg19.pth"
