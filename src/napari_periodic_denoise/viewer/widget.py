"""The dock: choose a layer, run, watch, cancel, read the result."""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from magicgui.widgets import (
    CheckBox,
    ComboBox,
    Container,
    Label,
    ProgressBar,
    PushButton,
    Widget,
)
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.notifications import notification_manager, show_error
from qtpy.QtCore import QTimer

from napari_periodic_denoise.report import in_words
from napari_periodic_denoise.viewer import layers, worker

if TYPE_CHECKING:
    from napari_periodic_denoise import NoiseEstimate

#: The engine's choices in words; spelt out here, because asking the engine would import torch.
METHODS = [("Gram statistics, phase-aligned", "aligned")]
NOISE_MODELS = [
    ("Automatic", "auto"),
    ("Added to the picture", "additive"),
    ("Follows the brightness", "multiplicative"),
]
REMAINDERS = [
    ("Nothing more", "none"),
    ("Stripes in one direction", "stripes"),
    ("Quasi-periodic noise", "quasi-periodic"),
]
SENSITIVITIES = [
    ("Lowest: 1 in 100 000", 1e-5),
    ("Low: 1 in 10 000", 1e-4),
    ("Usual: 1 in 1000", 1e-3),
    ("High: 1 in 100", 1e-2),
    ("Highest: 1 in 10", 1e-1),
]
DEFAULT_SENSITIVITY = 1e-3

_TURN = 20  # milliseconds in which Qt draws and serves others, between two slow steps


class PeriodicNoiseDock(Container[Widget]):
    """Find the periodic noise of a layer, and show it and the layer without it.

    Parameters
    ----------
    napari_viewer : ViewerModel
        The viewer whose layers are offered, and which gets the results.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        self._viewer = napari_viewer
        self._source: Image | None = None  # of the run under way
        self._run: worker.Run | None = None  # under way, until its layers are there
        self._delivering = False
        self._ending = ""  # what to say about a run that was stopped
        self._docked = False
        self._destroyed = False
        self.layer = ComboBox(
            choices=self._image_layers,
            tooltip=(
                "The layer to look for periodic noise in. It stays as it is: the noise and the\n"
                "cleaned image arrive as new layers. It follows the layer list's selection,\n"
                "except onto these results: choose one here to clean it once more."
            ),
        )
        self.method = ComboBox(
            choices=METHODS,
            tooltip=(
                "How the noise is told from the specimen.\n"
                "Gram statistics, phase-aligned: finds what repeats all over the picture, fits\n"
                "waves to it, and takes exactly these away. All else in the picture stays,\n"
                "however fine."
            ),
        )
        self.noise_model = ComboBox(
            choices=NOISE_MODELS,
            tooltip=(
                "How noise and picture come together.\n"
                "Automatic: decided for each wave, by what describes the picture best.\n"
                "Added to the picture: as strong in dark places as in bright ones, like hum from\n"
                "the mains.\n"
                "Follows the brightness: strong in bright places, none where it is black, like\n"
                "flickering light or the dots of a print."
            ),
        )
        self.remainder = ComboBox(
            choices=REMAINDERS,
            tooltip=(
                "What else is taken away, once the waves are.\n"
                "Stripes in one direction: of any width and strength, not evenly spaced, as\n"
                "curtains or shadows are; the direction is found.\n"
                "Quasi-periodic noise: keeps about to a period, but not to its crests, such as a\n"
                "weave or interference that wanders.\n"
                "A specimen that is itself striped or woven is harmed: look at the noise layer."
            ),
        )
        self.sensitivity = ComboBox(
            choices=SENSITIVITIES,
            value=DEFAULT_SENSITIVITY,
            tooltip=(
                "How many false alarms are put up with. Usual: of 1000 pictures without periodic\n"
                "noise, about one looks by mere chance as if it had some; even then it is looked\n"
                "at more closely before anything is taken away. Go higher if faint noise is left\n"
                "behind, lower if parts of the specimen are seen in the noise layer."
            ),
        )
        self.more = Container[Widget](
            widgets=[
                _row("Noise", self.noise_model),
                _row("Also remove", self.remainder),
                _row("Sensitivity", self.sensitivity),
            ],
            labels=False,
            visible=False,
        )
        self.more.margins = (0, 0, 0, 0)
        self.unfold = CheckBox(
            text="More options", tooltip="What rarely needs to be changed: unfold, or fold again."
        )
        self.run_button = PushButton(
            text="Run",
            tooltip=(
                "Run finds the noise and adds it as a layer, or one for each colour, and another\n"
                "of the picture without it; run again on the same layer, and these are updated.\n"
                "Cancel stops at once and changes nothing."
            ),
        )
        self.progress = ProgressBar(visible=False)
        self.status = Label()
        self.found = Label(
            visible=False,
            tooltip=(
                "The waves that the noise consists of: from crest to crest, direction (0° are\n"
                "vertical stripes, 90° horizontal ones), and how far they raise and lower the\n"
                "picture; and how much of the picture's variance all else was that was taken\n"
                "away. All about them is in the layers' metadata."
            ),
        )
        for words in (self.status, self.found):
            words.native.setWordWrap(True)
        super().__init__(
            widgets=[
                _row("Image", self.layer),
                _row("Method", self.method),
                self.unfold,
                self.more,
                self.run_button,
                self.progress,
                self.status,
                self.found,
            ],
            labels=False,
        )
        self.unfold.changed.connect(self._unfold)
        self.run_button.changed.connect(self._run_or_cancel)
        self.layer.changed.connect(self._show_whether_taken)
        self.native_parent_changed.connect(self._on_docked_or_closed)
        self.native.destroyed.connect(self._on_destroyed)
        napari_viewer.layers.selection.events.active.connect(self._follow_selection)
        napari_viewer.layers.events.removed.connect(self._stop_if_layer_is_gone)
        # viewer.layers[0] = other: of this napari tells no dock
        napari_viewer.layers.events.changed.connect(self._stop_if_layer_is_gone)
        napari_viewer.layers.events.changed.connect(self.reset_choices)
        self._show_whether_taken()
        self._follow_selection()

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._run is not None

    def stop(self, ending: str = "Cancelled.") -> None:
        """Stop the run under way, if there is one.

        Parameters
        ----------
        ending : str
            What the dock says when it has stopped.
        """
        if self._run is not None:
            self._ending = ending
            self._run.quit()

    def reset_choices(self, *_: Any) -> None:  # noqa: ANN401 - an event, of no interest
        """Offer the layers that the viewer has now; napari calls this when they change."""
        chosen = self.layer.value
        with self.layer.changed.blocked():
            self.layer.reset_choices()
            # magicgui goes by the name, but a renamed layer is still the same layer
            if chosen in self.layer.choices:
                self.layer.value = chosen
        if self.layer.value is not chosen:
            self._show_whether_taken()

    def _image_layers(self, _: Widget) -> list[tuple[str, Image]]:
        return [(layer.name, layer) for layer in self._viewer.layers if isinstance(layer, Image)]

    def _follow_selection(self) -> None:
        active = self._viewer.layers.selection.active
        if not self.running and isinstance(active, Image) and not layers.is_result(active):
            self.reset_choices()
            self.layer.value = active

    def _show_whether_taken(self) -> None:
        if self.running:
            return
        layer = self.layer.value
        reason = "Open an image first." if layer is None else layers.why_not_taken(layer)
        self.status.value = reason
        self.run_button.enabled = not reason

    def _unfold(self, wanted: bool) -> None:
        self.more.visible = wanted

    def _run_or_cancel(self) -> None:
        if self.running:
            self.stop()
            self.run_button.enabled = False
            self.status.value = "Cancelling…"
        else:
            self._start()

    def _start(self) -> None:
        self._source = self.layer.value
        self._ending, self.found.value = "Cancelled.", ""
        self._show_running(True)
        self._run = worker.start(
            layers.pixels(self._source),
            rgb=self._source.rgb,
            options={
                "method": self.method.value,
                "noise_model": self.noise_model.value,
                "remainder": self.remainder.value,
                "sensitivity": self.sensitivity.value,
            },
            on_step=self._on_step,
            on_result=self._on_result,
            on_error=self._on_error,
            on_end=self._on_end,
        )

    def _is_stopped(self) -> bool:
        return self._run is None or self._run.abort_requested

    def _on_step(self, step: worker.Step) -> None:
        if not self._is_stopped():
            self.status.value = f"{step.message[:1].upper()}{step.message[1:]}…"
            self.progress.max = step.total
            self.progress.value = min(step.done, step.total)

    def _on_result(self, outcome: worker.Outcome) -> None:
        if self._is_stopped():
            return
        self._delivering = True
        self.run_button.enabled = False  # too late to cancel
        self.status.value = "Adding the layers…"
        steps = layers.deliver(self._viewer.layers, self._source, *outcome)
        self._take_turn(steps, outcome.estimate)

    def _on_error(self, error: Exception) -> None:
        if self._is_stopped():
            return
        if isinstance(error, worker.CannotRunError):
            self._ending = str(error)
            show_error(f"Periodic noise: {error}")
        else:
            self._ending = "Stopped by an unexpected error: see the notification."
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def _on_end(self) -> None:
        if not self._delivering:
            self._show_end()

    def _take_turn(self, steps: Generator[None, None, None], estimate: "NoiseEstimate") -> None:
        QTimer.singleShot(_TURN, lambda: self._deliver_step(steps, estimate))

    def _deliver_step(self, steps: Generator[None, None, None], estimate: "NoiseEstimate") -> None:
        try:
            if self._is_stopped():
                steps.close()
            else:
                next(steps)
                self._take_turn(steps, estimate)
                return
        except StopIteration:
            self._ending = estimate.summary
            self.found.value = in_words(estimate, layers.COLOURS)
        except Exception as error:
            self._on_error(error)
        self._delivering = False
        self._show_end()

    def _stop_if_layer_is_gone(self) -> None:
        if self._source not in self._viewer.layers:
            self.stop("Cancelled: the layer was removed.")

    def _on_docked_or_closed(self, parent: object) -> None:
        if self._docked and parent is None:
            self.stop()
        self._docked = parent is not None

    def _on_destroyed(self) -> None:
        self._destroyed = True
        self.stop()

    def _show_end(self) -> None:
        self._run = self._source = None
        if not self._destroyed:
            self._show_running(False)
            self._show_whether_taken()
            self.status.value = self._ending

    def _show_running(self, running: bool) -> None:
        for choice in (self.layer, self.method, self.more):
            choice.enabled = not running
        self.run_button.text = "Cancel" if running else "Run"
        self.run_button.enabled = True
        self.progress.visible = running
        self.progress.max = 0
        self.status.value = "Starting…" if running else ""
        self.found.visible = bool(self.found.value) and not running


def _row(label: str, choice: Widget) -> Container[Widget]:
    # magicgui's own labels are not aligned in napari's larger font
    words = Label(value=label)
    words.min_width = 95
    row = Container[Widget](widgets=[words, choice], layout="horizontal", labels=False)
    row.margins = (0, 0, 0, 0)
    return row
