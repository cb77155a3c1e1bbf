"""The part of the dock that keeps what is chosen in it, in files of the user's too."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

from magicgui.widgets import ComboBox, Container, PushButton, Widget
from napari.utils.notifications import show_error, show_warning
from qtpy.QtWidgets import QFileDialog, QMenu

from napari_periodic_denoise.viewer import preferences as settings
from napari_periodic_denoise.viewer.panels.method import SENSITIVITIES, MethodPanel
from napari_periodic_denoise.viewer.panels.parts import Pause
from napari_periodic_denoise.viewer.runs import thread

#: As they are called in napari's preferences.
_SENSITIVITY_OF = {words.split(":")[0].lower(): value for words, value in SENSITIVITIES}
_FILES = "Settings (*.json)"
_PAUSE = 500  # milliseconds without a change, after which choices are kept


class SettingsPanel(Container[Widget]):
    """Keeps the dock's choices between sessions; saves, loads and resets them.

    Parameters
    ----------
    method_panel : MethodPanel
    planes : ComboBox
        The dock's choice of planes.
    """

    def __init__(self, method_panel: MethodPanel, planes: ComboBox) -> None:
        self._method_panel, self._planes = method_panel, planes
        self.button = PushButton(
            text="Settings",
            tooltip="Save or load what is chosen in this dock, or choose the usual again.",
        )
        super().__init__(widgets=[self.button], labels=False)
        self.margins = (0, 0, 0, 0)
        self.menu = QMenu(self.native)  # magicgui has none
        self.menu.setToolTipsVisible(True)
        for words, tooltip, act in (
            (
                "&Save settings…",
                "Write all that is chosen to a small file, for another computer or next year.",
                self._save_file,
            ),
            (
                "&Load settings…",
                "Choose what such a file says. If it does not fit, nothing is changed.",
                self._load_file,
            ),
            (
                "&Reset settings",
                "Choose the usual again. What is usual for Sensitivity, napari's preferences say.",
                self._reset,
            ),
        ):
            action = self.menu.addAction(words)
            assert action is not None
            action.setToolTip(tooltip)
            action.triggered.connect(act)  # a method: PySide6 keeps a function for ever
        self.button.native.setMenu(self.menu)
        self._path = settings.kept_in()
        self._preferences = settings.preferences()
        self._usual = {
            **self.choices,
            **dict.fromkeys(("vgg16_weights", "vgg19_weights"), ""),  # maybe of another dock
            "sensitivity": _SENSITIVITY_OF[self._preferences.sensitivity],
        }
        self._kept = self._read()  # what is in the file
        self._choose(self._kept)
        self._run: thread.Run | None = None  # that writes the file
        self._unkept: dict[str, Any] | None = None  # what is to be in it
        self._pause = Pause(_PAUSE, self._keep_aside)
        method_panel.changed.connect(self._on_change)
        planes.changed.connect(self._on_change)
        self._preferences.events.sensitivity.connect(self._on_preference)
        self.native.destroyed.connect(self._forget)

    @property
    def choices(self) -> dict[str, Any]:
        """All that is chosen in the dock, ready for JSON."""
        return {**self._method_panel.choices, "planes": self._planes.value}

    def keep(self) -> None:
        """Write at once what has changed; even after Qt has deleted the panel."""
        self._pause.end()
        if self._unkept is not None and self._path is not None:
            settings.write(self._path, self._unkept)
            self._unkept = None

    def _choose(self, choices: settings.Choices) -> None:
        """Choose what is said, and of all else the usual."""
        whole = {**self._usual, **choices}
        self._method_panel.choose(whole)
        self._planes.value = whole["planes"]

    def _reset(self) -> None:
        self._choose({})

    def _read(self) -> dict[str, Any]:
        if self._path is None or not self._path.exists():
            return {}
        try:
            return settings.read(self._path, self._allowed())
        except settings.SettingsError as error:
            show_warning(f"Periodic noise: {error}. The usual settings are taken.")
            return {}

    def _allowed(self) -> settings.Allowed:
        return {**self._method_panel.allowed, "planes": self._planes.choices}

    def _on_preference(self, event: Any) -> None:  # noqa: ANN401 - napari's
        self._usual["sensitivity"] = _SENSITIVITY_OF[event.value]
        self._method_panel.sensitivity.value = self._usual["sensitivity"]

    def _on_change(self) -> None:
        usual = self._usual
        self._unkept = {
            name: value for name, value in self.choices.items() if value != usual[name]
        }
        self._pause.begin()

    def _keep_aside(self) -> None:
        """Write the file in a thread: on a disk that is far away it would hold up the viewer."""
        path, unkept = self._path, self._unkept
        if self._run is not None:
            self._pause.begin()  # one after the other
            return
        self._unkept = None
        if path is not None and unkept is not None and unkept != self._kept:
            self._kept = unkept
            self._run = thread.start(
                _written(path, unkept), on_error=self._tell, on_end=self._on_written
            )

    def _forget(self) -> None:
        self._preferences.events.sensitivity.disconnect(self._on_preference)

    def _on_written(self) -> None:
        self._run = None

    def _save_file(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self.native, "Save settings", f"{settings.PLUGIN}.json", _FILES
        )
        if name:
            thread.start(_written(Path(name), self.choices), on_error=self._tell)

    def _load_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self.native, "Load settings", "", _FILES)
        if name:
            try:
                self._choose(settings.read(Path(name), self._allowed()))
            except settings.SettingsError as error:
                self._tell(error)

    def _tell(self, error: Exception) -> None:
        show_error(f"Periodic noise: {error}")


def _written(path: Path, choices: settings.Choices) -> Generator[thread.Status, None, None]:
    """Write choices to a file."""
    yield thread.Status("saving settings")
    try:
        settings.write(path, choices)
    except OSError as error:
        raise settings.SettingsError(f"{path} can't be written: {error.strerror}") from error
