"""Panel that copies or saves a Python script for a result."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from magicgui.widgets import ComboBox, Container, PushButton, Widget
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.notifications import notification_manager, show_error
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_periodic_denoise.records import replay
from napari_periodic_denoise.viewer.layers import results
from napari_periodic_denoise.viewer.panels.parts import wrapped_label
from napari_periodic_denoise.viewer.runs import thread


class ReplayPanel(Container[Widget]):
    """Copies or saves a script that reproduces a result.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer whose results are offered: the selected result, or else that of the dock's
        image.
    layer : ComboBox
        The dock's choice of an image layer.
    """

    def __init__(self, viewer: ViewerModel, layer: ComboBox) -> None:
        self._viewer, self._layer = viewer, layer
        self._run: thread.Run | None = None
        self.copy = PushButton(
            text="Copy as Python",
            tooltip=(
                "Copies a script to the clipboard. Outside napari, it reproduces the exact\n"
                "arrays of the selected result layer, or else of the last run on the image\n"
                "above. It uses the settings of that run, not the ones chosen here now."
            ),
        )
        self.save = PushButton(
            text="Save as Python…",
            tooltip=(
                "Writes the same script to a file. If the image cannot be read from its original\n"
                "file, it is saved next to the script."
            ),
        )
        buttons = Container[Widget](
            widgets=[self.copy, self.save], layout="horizontal", labels=False
        )
        buttons.margins = (0, 0, 0, 0)
        self.words = wrapped_label(visible=False)
        super().__init__(widgets=[buttons, self.words], labels=False)
        self.margins = (0, 0, 0, 0)
        self.copy.changed.connect(self._copy)
        self.save.changed.connect(self._save_file)
        layer.changed.connect(self._update_buttons)
        self._events = (
            viewer.layers.selection.events.active,
            viewer.layers.events.inserted,
            viewer.layers.events.removed,
        )
        for event in self._events:
            event.connect(self._update_buttons)
        self.native.destroyed.connect(self._on_destroyed)
        self._update_buttons()

    def _on_destroyed(self) -> None:
        for event in self._events:
            event.disconnect(self._update_buttons)
        if self._run is not None:
            self._run.quit()

    def _record(self) -> dict[str, Any]:
        """Return the record of the selected result, or an empty dict."""
        shown = self._viewer.layers
        candidates = [shown.selection.active]
        if self._layer.value is not None:
            candidates.append(results.find_result(shown, self._layer.value, "cleaned"))
        records = [results.record_of(layer) for layer in candidates if layer is not None]
        return next(filter(replay.is_replayable, records), {})

    def _update_buttons(self) -> None:
        self.copy.enabled = self.save.enabled = bool(self._record())
        self.words.visible = False

    def _source(self, record: dict[str, Any]) -> Image | None:
        """Return the layer that a result was computed from, if it still exists."""
        return next(
            (
                layer
                for layer in self._viewer.layers
                if isinstance(layer, Image) and str(layer.unique_id) == record["source_id"]
            ),
            None,
        )

    def _copy(self) -> None:
        record = self._record()
        source = self._source(record)

        def show_copied(script: str) -> None:
            clipboard = QApplication.clipboard()
            assert clipboard is not None
            clipboard.setText(script)
            words = "Copied."
            if "np.load(" in script:
                words = (
                    f"Copied. The script reads the image from {replay.array_name(record)}. A "
                    "comment in it shows how to save that file; Save as Python… does both."
                )
            self._show_words(words)

        self._begin(_make_script(record, source), show_copied)

    def _save_file(self) -> None:
        record = self._record()
        name = Path(replay.array_name(record)).with_suffix(".py").name
        chosen, _ = QFileDialog.getSaveFileName(
            self.native, "Save as Python", name, "Python (*.py)"
        )
        if chosen:
            path = Path(chosen).with_suffix(".py")
            self._begin(
                _save(record, self._source(record), path),
                lambda written: self._show_words(f"Saved: {', '.join(map(str, written))}"),
            )

    def _begin(
        self,
        steps: Generator[thread.Status, None, Any],
        on_result: Callable[[Any], None],
    ) -> None:
        self.copy.enabled = self.save.enabled = False
        self._run = thread.start(
            steps,
            on_result=on_result,
            on_error=self._on_error,
            on_end=self._on_end,
            tracked=False,  # napari would keep the run, and the run this panel
        )

    def _on_error(self, error: Exception) -> None:
        if isinstance(error, thread.CannotRunError | OSError):
            show_error(f"Periodic noise: {error}")
        else:
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def _on_end(self) -> None:
        self._run = None
        self.copy.enabled = self.save.enabled = bool(self._record())

    def _show_words(self, words: str) -> None:
        self.words.value = words
        self.words.visible = True


def _make_script(
    record: dict[str, Any], source: Image | None
) -> Generator[thread.Status, None, str]:
    """Return the script for a result, whose source layer may still exist."""
    yield thread.Status("looking for the image in its file")
    if replay.is_in_file(record):
        return replay.script(record, replay.from_file(record))
    is_there = source is not None and replay.is_made_of(record, results.pixels(source))
    name = source.name if source is not None and is_there else None
    return replay.script(record, replay.from_array_to_be_saved(record, name))


def _save(
    record: dict[str, Any], source: Image | None, path: Path
) -> Generator[thread.Status, None, list[Path]]:
    """Write the script, and the image if no other file has it; return the files."""
    from napari_periodic_denoise.io.atomic import replacing, write_array

    yield thread.Status("looking for the image in its file")
    written = [path]
    if replay.is_in_file(record):
        load = replay.from_file(record)
    else:
        if source is None or not replay.is_made_of(record, results.pixels(source)):
            raise thread.CannotRunError(
                "The image of this result is no longer a layer, and its file has changed or is "
                "missing. A script would have nothing to read."
            )
        yield thread.Status("saving the image")
        array = path.with_suffix(".npy")
        write_array(array, replay.plane_of(record, results.pixels(source)))
        written.append(array)
        load = replay.from_array(record, 'Path(__file__).with_suffix(".npy")')
    with replacing(path) as file:
        file.write(replay.script(record, load).encode())
    return written
