"""Panel that keeps the dock's choices between sessions, and saves and loads them."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

from magicgui.widgets import ComboBox, Container, PushButton, Widget
from napari.utils.notifications import show_error, show_warning
from qtpy.QtWidgets import QFileDialog, QMenu

from napari_periodic_denoise.viewer import preferences
from napari_periodic_denoise.viewer.panels.method import SENSITIVITIES, MethodPanel
from napari_periodic_denoise.viewer.panels.parts import Pause, wrapped_label
from napari_periodic_denoise.viewer.runs import thread

#: By their names in napari's preferences.
_SENSITIVITY_OF = {label.split(":")[0].lower(): value for label, value in SENSITIVITIES}
_FILES = "Settings (*.json)"
SAVE_DELAY = 500  # milliseconds without a change before choices are saved; a usual debounce


class SettingsPanel(Container[Widget]):
    """Keeps the dock's choices between sessions; saves, loads and resets them.

    Parameters
    ----------
    method_panel : MethodPanel
    planes : ComboBox
        The dock's choice of planes.

    Attributes
    ----------
    notice : Container
        Says what differs from the defaults, with a button that resets it. Hidden if nothing
        does. The dock shows it above its tabs.
    """

    def __init__(self, method_panel: MethodPanel, planes: ComboBox) -> None:
        self._method_panel, self._planes = method_panel, planes
        self.button = PushButton(
            text="Settings",
            tooltip="Saves or loads the choices in this dock, or resets them.",
        )
        super().__init__(widgets=[self.button], labels=False)
        self.margins = (0, 0, 0, 0)
        self.changes = wrapped_label(
            tooltip="Choices of the tab Method that differ from their defaults. They apply to\n"
            "every image until they are reset."
        )
        self.reset = PushButton(text="Reset", tooltip="Resets all choices, as Settings does.")
        self.notice = Container[Widget](
            widgets=[self.changes, self.reset],
            layout="horizontal",
            labels=False,
            visible=False,
        )
        self.notice.margins = (0, 0, 0, 0)
        self.reset.changed.connect(self._reset)
        self._make_menu()
        self._path = preferences.settings_file()
        self._preferences = preferences.plugin_preferences()
        self._defaults = {
            **self.choices,
            # files of weights are shared: another dock may have set them already
            **dict.fromkeys(("vgg16_weights", "vgg19_weights"), ""),
            "sensitivity": _SENSITIVITY_OF[self._preferences.sensitivity],
        }
        self._saved = self._read()  # contents of the file
        self._set_choices(self._saved)
        self._run: thread.Run | None = None  # writes the file
        self._unsaved: dict[str, Any] | None = None  # to be written
        self._pause = Pause(SAVE_DELAY, self._save_in_thread)
        method_panel.changed.connect(self._on_change)
        planes.changed.connect(self._on_change)
        self._show_changes()
        self._preferences.events.sensitivity.connect(self._on_preference)
        self.native.destroyed.connect(self._on_destroyed)

    def _make_menu(self) -> None:
        self.menu = QMenu(self.native)  # magicgui has none
        self.menu.setToolTipsVisible(True)
        for label, tooltip, slot in (
            (
                "&Save settings…",
                "Writes all choices to a small file, for another computer or a later session.",
                self._save_file,
            ),
            (
                "&Load settings…",
                "Sets the choices from such a file. If the file does not fit, nothing changes.",
                self._load_file,
            ),
            (
                "&Reset settings",
                "Resets all choices. Sensitivity gets the default of napari's preferences.",
                self._reset,
            ),
        ):
            action = self.menu.addAction(label)
            assert action is not None
            action.setToolTip(tooltip)
            action.triggered.connect(slot)  # a method: PySide6 never releases a function
        self.button.native.setMenu(self.menu)

    @property
    def choices(self) -> dict[str, Any]:
        """All choices of the dock, as JSON values."""
        return {**self._method_panel.choices, "planes": self._planes.value}

    def save_now(self) -> None:
        """Write changes at once, even after Qt has deleted the panel."""
        self._pause.end()
        if self._unsaved is not None and self._path is not None:
            preferences.write_choices(self._path, self._unsaved)
            self._unsaved = None

    def _set_choices(self, choices: preferences.Choices) -> None:
        """Set the given choices, and all others to their defaults."""
        complete = {**self._defaults, **choices}
        self._method_panel.set_choices(complete)
        self._planes.value = complete["planes"]

    def _reset(self) -> None:
        self._set_choices({})

    def _read(self) -> dict[str, Any]:
        if self._path is None or not self._path.exists():
            return {}
        try:
            return preferences.read_choices(self._path, self._allowed())
        except preferences.SettingsError as error:
            show_warning(f"Periodic noise: {error}. The default settings are used.")
            return {}

    def _allowed(self) -> preferences.Allowed:
        return {**self._method_panel.allowed, "planes": self._planes.choices}

    def _on_preference(self, event: Any) -> None:  # noqa: ANN401 - napari's
        self._defaults["sensitivity"] = _SENSITIVITY_OF[event.value]
        self._method_panel.sensitivity.value = self._defaults["sensitivity"]
        self._show_changes()

    def _on_change(self) -> None:
        defaults = self._defaults
        self._unsaved = {
            name: value for name, value in self.choices.items() if value != defaults[name]
        }
        self._pause.begin()
        self._show_changes()

    def _show_changes(self) -> None:
        words = self._method_panel.changed_words(self._defaults)
        self.changes.value = ". ".join(words)
        self.notice.visible = bool(words)

    def _save_in_thread(self) -> None:
        """Write the file in a thread, because a slow disk would block the viewer."""
        path, unsaved = self._path, self._unsaved
        if self._run is not None:
            self._pause.begin()  # one write at a time
            return
        self._unsaved = None
        if path is not None and unsaved is not None and unsaved != self._saved:
            self._saved = unsaved
            self._run = thread.start(
                _write(path, unsaved), on_error=self._show_error, on_end=self._on_written
            )

    def _on_destroyed(self) -> None:
        self._preferences.events.sensitivity.disconnect(self._on_preference)

    def _on_written(self) -> None:
        self._run = None

    def _save_file(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self.native, "Save settings", f"{preferences.PLUGIN}.json", _FILES
        )
        if name:
            thread.start(_write(Path(name), self.choices), on_error=self._show_error)

    def _load_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self.native, "Load settings", "", _FILES)
        if name:
            try:
                self._set_choices(preferences.read_choices(Path(name), self._allowed()))
            except preferences.SettingsError as error:
                self._show_error(error)

    def _show_error(self, error: Exception) -> None:
        show_error(f"Periodic noise: {error}")


def _write(path: Path, choices: preferences.Choices) -> Generator[thread.Status, None, None]:
    """Write choices to a file."""
    yield thread.Status("saving settings")
    try:
        preferences.write_choices(path, choices)
    except OSError as error:
        raise preferences.SettingsError(f"{path} cannot be written: {error.strerror}") from error
