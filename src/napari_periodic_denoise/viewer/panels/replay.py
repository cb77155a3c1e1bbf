"""The part of the dock that gives a Python script for a result."""

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
from napari_periodic_denoise.viewer.layers import results as layers
from napari_periodic_denoise.viewer.panels.parts import wrapped_label
from napari_periodic_denoise.viewer.runs import thread


class ReplayPanel(Container[Widget]):
    """Copies or saves a script that gives a result again.

    Parameters
    ----------
    viewer : ViewerModel
        Of whose layers a result is taken: the one that is selected, else that of the dock's
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
                "Put a script on the clipboard that gives the very arrays of a result outside\n"
                "napari: of the result layer that is selected, else of the last run on the image\n"
                "above. It holds the settings of that run, whatever is chosen here now."
            ),
        )
        self.save = PushButton(
            text="Save as Python…",
            tooltip=(
                "Write that script to a file; and beside it the image, unless it can be read\n"
                "from the file that it came from."
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
        layer.changed.connect(self._show_whether_any)
        self._events = (
            viewer.layers.selection.events.active,
            viewer.layers.events.inserted,
            viewer.layers.events.removed,
        )
        for event in self._events:
            event.connect(self._show_whether_any)
        self.native.destroyed.connect(self._forget)
        self._show_whether_any()

    def _forget(self) -> None:
        for event in self._events:
            event.disconnect(self._show_whether_any)
        if self._run is not None:
            self._run.quit()

    def _record(self) -> dict[str, Any]:
        """What the result that is meant has recorded; nothing if there is none."""
        shown = self._viewer.layers
        candidates = [shown.selection.active]
        if self._layer.value is not None:
            candidates.append(layers.find_result(shown, self._layer.value, "cleaned"))
        records = [layers.record_of(layer) for layer in candidates if layer is not None]
        return next(filter(replay.is_replayable, records), {})

    def _show_whether_any(self) -> None:
        self.copy.enabled = self.save.enabled = bool(self._record())
        self.words.visible = False

    def _source(self, record: dict[str, Any]) -> Image | None:
        """Layer that a result was made of, if it is still there."""
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

        def copied(script: str) -> None:
            clipboard = QApplication.clipboard()
            assert clipboard is not None
            clipboard.setText(script)
            words = "Copied."
            if "np.load(" in script:
                words = (
                    f"Copied. It reads the image from {replay.array_name(record)}: a comment in "
                    "it tells how to save that, or take Save as Python…"
                )
            self._tell(words)

        self._begin(_script(record, source), copied)

    def _save_file(self) -> None:
        record = self._record()
        name = Path(replay.array_name(record)).with_suffix(".py").name
        chosen, _ = QFileDialog.getSaveFileName(
            self.native, "Save as Python", name, "Python (*.py)"
        )
        if chosen:
            path = Path(chosen).with_suffix(".py")
            self._begin(
                _saved(record, self._source(record), path),
                lambda written: self._tell(f"Saved: {', '.join(map(str, written))}"),
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
            asked_for=False,  # what napari keeps would keep this, through on_result
        )

    def _on_error(self, error: Exception) -> None:
        if isinstance(error, thread.CannotRunError | OSError):
            show_error(f"Periodic noise: {error}")
        else:
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def _on_end(self) -> None:
        self._run = None
        self.copy.enabled = self.save.enabled = bool(self._record())

    def _tell(self, words: str) -> None:
        self.words.value = words
        self.words.visible = True


def _script(record: dict[str, Any], source: Image | None) -> Generator[thread.Status, None, str]:
    """Script for a result, whose image may be still there."""
    yield thread.Status("looking for the image in its file")
    if replay.is_in_file(record):
        return replay.script(record, replay.from_file(record))
    is_there = source is not None and replay.is_made_of(record, layers.pixels(source))
    name = source.name if source is not None and is_there else None
    return replay.script(record, replay.from_array_to_be_saved(record, name))


def _saved(
    record: dict[str, Any], source: Image | None, path: Path
) -> Generator[thread.Status, None, list[Path]]:
    """Files that were written: a script, and the image if it is in no other file."""
    from napari_periodic_denoise.io.atomic import replacing, write_array

    yield thread.Status("looking for the image in its file")
    written = [path]
    if replay.is_in_file(record):
        load = replay.from_file(record)
    else:
        if source is None or not replay.is_made_of(record, layers.pixels(source)):
            raise thread.CannotRunError(
                "The image that this was found in is no longer a layer here, nor as it was in "
                "the file that it came from: a script would have nothing to read."
            )
        yield thread.Status("saving the image")
        array = path.with_suffix(".npy")
        write_array(array, replay.plane_of(record, layers.pixels(source)))
        written.append(array)
        load = replay.from_array(record, 'Path(__file__).with_suffix(".npy")')
    with replacing(path) as file:
        file.write(replay.script(record, load).encode())
    return written
