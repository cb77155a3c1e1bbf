"""The dock: choose a layer, run, watch, cancel, read the result."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

from magicgui.widgets import ComboBox, Container, ProgressBar, PushButton, Widget
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.notifications import notification_manager, show_error
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QTabWidget

from napari_periodic_denoise.viewer import responsive
from napari_periodic_denoise.viewer.layers import plane as plane_choice
from napari_periodic_denoise.viewer.layers import results as layers
from napari_periodic_denoise.viewer.layers.outcome import Outcome
from napari_periodic_denoise.viewer.layers.pixel_size import pixel_size
from napari_periodic_denoise.viewer.layers.preview_layer import PreviewLayer
from napari_periodic_denoise.viewer.panels.areas import AreasPanel
from napari_periodic_denoise.viewer.panels.found import FoundPanel
from napari_periodic_denoise.viewer.panels.layer_choice import LayerChoice
from napari_periodic_denoise.viewer.panels.method import MethodPanel
from napari_periodic_denoise.viewer.panels.parts import page, row, wrapped_label
from napari_periodic_denoise.viewer.panels.preview import Preview
from napari_periodic_denoise.viewer.panels.replay import ReplayPanel
from napari_periodic_denoise.viewer.panels.settings import SettingsPanel
from napari_periodic_denoise.viewer.panels.spectrum import SpectrumPanel
from napari_periodic_denoise.viewer.runs import jobs, thread
from napari_periodic_denoise.viewer.runs.switching import Switching

T = TypeVar("T")

EARLIER = "These are of an earlier run: run again to switch them."
ALL_PLANES = "Waves are switched in runs on one plane: choose This plane, and run again."

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
        self._plane = plane_choice.Plane()  # of the source, shown when the run began
        self._run: thread.Run | None = None  # under way, until its layers are there
        self._texture = PreviewLayer(napari_viewer.layers)  # of the run, unfinished
        self._delivering = False
        self._ending = ""  # what to say about a run that was stopped
        self._docked = False
        self._destroyed = False
        self.preview = Preview(napari_viewer, lambda: self.layer.value, self._arguments)
        self.layer = LayerChoice(
            napari_viewer.layers,
            lambda layer: isinstance(layer, Image) and layer is not self.preview.layer,
            tooltip=(
                "The layer to look for periodic noise in. It stays as it is: the noise and the\n"
                "cleaned image arrive as new layers. It follows the layer list's selection,\n"
                "except onto these results: choose one here to clean it once more."
            ),
        )
        self._layer_row = row("Image", self.layer)
        self.planes = ComboBox(
            choices=plane_choice.PLANES,
            tooltip=(
                "Which planes of a stack are cleaned, and what they share.\n"
                "This plane: the one that is shown; its layers are seen at that plane alone.\n"
                "Every plane, by itself: the noise of each is found anew.\n"
                "One model for all: the waves are found once, in planes of the whole stack\n"
                "together, and fitted to each. Finds weak noise that no single plane shows.\n"
                "One model, drifting: the same, for waves that wander from plane to plane.\n"
                "What is not in memory is cleaned when it is shown or saved, plane by plane."
            ),
        )
        self._planes_row = row("Planes", self.planes)
        self.method_panel = MethodPanel()
        self.areas = AreasPanel(napari_viewer)
        self.spectrum = SpectrumPanel(napari_viewer)
        self.replay_panel = ReplayPanel(napari_viewer, self.layer)
        self.settings_panel = SettingsPanel(self.method_panel, self.planes)
        self.run_button = PushButton(
            text="Run",
            tooltip=(
                "Run finds the noise and adds it as a layer, or one for each colour, and another\n"
                "of the picture without it; run again on the same layer, and these are updated.\n"
                "Cancel stops at once and changes nothing."
            ),
        )
        self.progress = ProgressBar(visible=False)
        self.status = wrapped_label()
        self.found = FoundPanel()
        self._switching = Switching(
            napari_viewer.layers, on_shown=self._on_switched, on_error=self._on_error_of_switch
        )
        super().__init__(
            widgets=[
                self._layer_row,
                self._planes_row,
                self.run_button,
                self.preview,
                self.progress,
                self.status,
            ],
            labels=False,
        )
        self.margins = (4, 4, 4, 4)
        self.tabs = QTabWidget()  # magicgui has none
        self.tabs.setStyleSheet("QTabWidget::pane { border: 0 }")  # there is no room for a frame
        self.method_page = page(
            self.method_panel.native,
            self.areas.native,
            self.replay_panel.native,
            self.settings_panel.native,
        )
        self.found_page = page(self.found)
        self.spectrum_page = page(self.spectrum)
        for shown, title, tooltip in (
            (self.method_page, "Method", "How the noise is found."),
            (self.found_page, "Found", "What the last run has found."),
            (self.spectrum_page, "Spectrum", "What repeats in the plane that is shown."),
        ):
            self.tabs.setTabToolTip(self.tabs.addTab(shown, title), tooltip)
        self.native.layout().addWidget(self.tabs)
        missing = self.method_panel.missing
        missing.download.changed.connect(self._download_weights)
        missing.choose.changed.connect(self._choose_weights)
        self.run_button.changed.connect(self._run_or_cancel)
        self.found.table.switched.connect(self._switching.show)
        self.layer.changed.connect(self._on_layer)
        panel = self.method_panel
        for choice in (
            self.planes,
            panel.method,
            panel.features,
            panel.remainder,
            panel.gram,
            self.areas,
        ):
            choice.changed.connect(self._show_whether_taken)
        panel.features.changed.connect(self.spectrum.take_features)
        self.spectrum.proposed.connect(self._look_at_proposed)
        waves = self.found.table.model
        for changed in (waves.modelReset, waves.dataChanged):
            changed.connect(self._mark_waves)
        self.spectrum.switched.connect(self.found.table.switch)
        napari_viewer.dims.events.ndisplay.connect(self._show_whether_taken)
        self.preview.said.connect(self._tell_preview)
        for choices in (panel, self.areas):
            choices.changed.connect(self.preview.restart)
        self.native_parent_changed.connect(self._on_docked_or_closed)
        self.native.destroyed.connect(self._on_destroyed)
        napari_viewer.layers.selection.events.active.connect(self._follow_selection)
        napari_viewer.layers.events.removed.connect(self._stop_if_layer_is_gone)
        # viewer.layers[0] = other: of this napari tells no dock
        napari_viewer.layers.events.changed.connect(self._stop_if_layer_is_gone)
        napari_viewer.layers.events.changed.connect(self.reset_choices)
        self._on_layer()
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
        self.layer.reset_choices()
        self.areas.reset_choices()

    def _follow_selection(self) -> None:
        active = self._viewer.layers.selection.active
        if not self.running and isinstance(active, Image) and not layers.is_result(active):
            self.reset_choices()
            self.layer.value = active
        if not self.running and not self._destroyed:
            self._tell_found()

    def _on_layer(self) -> None:
        layer = self.layer.value
        self._planes_row.visible = layer is not None and layer.ndim > 2
        self.spectrum.look_at(layer)
        self.preview.restart()
        if not self.running:
            self.status.value = ""
            self._tell_found()
        self._show_whether_taken()

    def _tell_found(self) -> None:
        """Tell of the result that is selected, or else that of the image that is chosen."""
        active, shown = self._viewer.layers.selection.active, self._viewer.layers
        result = active if isinstance(active, Image) and layers.found_in(active) else None
        if result is None and self.layer.value is not None:
            result = layers.result_of(shown, self.layer.value)
        if result is None:
            self.found.tell_nothing()
            return
        plane, whole, why_fixed = plane_choice.shown(result, self._viewer.dims), None, EARLIER
        outcome = self._switching.outcome
        if outcome is not None and self._switching.made(result):
            plane, whole = outcome.plane, outcome.found
            why_fixed = ALL_PLANES if outcome.image is None else ""
        self.found.tell(
            layers.found_in(result),
            plane.index,
            pixel_size(result, plane),
            whole=whole,
            why_fixed=why_fixed,
        )

    def _mark_waves(self) -> None:
        """Mark in the spectrum what is in the table."""
        waves = self.found.table.model
        frequencies = [row.frequency for row in waves.rows]
        self.spectrum.show_waves(
            dict(zip(frequencies, waves.is_on, strict=True)), why_fixed=waves.why_fixed
        )

    def _show_whether_taken(self) -> None:
        if self.running:
            return
        reason = "Open an image first."
        if self.layer.value is not None:
            options = self.method_panel.engine_options()
            chosen = self.planes.value
            reason = plane_choice.why_not_taken(
                self.layer.value, self._viewer.dims, chosen, options
            ) or self.areas.why_not_taken(chosen)
        if reason or not self.run_button.enabled:
            self.status.value = reason
        self.run_button.enabled = not reason

    def _run_or_cancel(self) -> None:
        if self.running:
            self.stop()
            self.run_button.enabled = False
            self.status.value = "Cancelling…"
        else:
            self._start()

    def _look_at_proposed(self) -> None:
        self.planes.value = plane_choice.THIS
        if self.run_button.enabled:
            self._start()

    def _start(self) -> None:
        source, chosen = self.layer.value, self.planes.value
        plane = plane_choice.shown(source, self._viewer.dims)
        of_stack = source.ndim > 2 and chosen != plane_choice.THIS
        if not of_stack and not plane_choice.is_inside(plane, source):
            self.status.value = plane_choice.NOT_SHOWN
            return
        self.preview.on.value = False
        self._source, self._plane = source, plane_choice.nearest(plane, source)
        self.method_panel.missing.look_for(None)  # the run itself will tell
        if of_stack:
            data = list(source.data) if source.multiscale else source.data
            options = self.method_panel.engine_options()
            run = jobs.denoise_planes(
                data, self._plane, model=chosen, rgb=source.rgb, options=options
            )
        else:
            arguments = self._arguments(source, self._plane)
            run = jobs.denoise(layers.pixels(source), self._plane, **arguments)
        source.events.data.connect(self._stop_if_axes_have_changed)
        self._begin(run, self._on_result)

    def _arguments(self, source: Image, plane: plane_choice.Plane) -> dict[str, Any]:
        """What the worker is to know of a plane, and how it is to be cleaned."""
        options = self.method_panel.engine_options()
        return {
            "rgb": source.rgb,
            "options": options | self.areas.engine_options() | self.spectrum.engine_options(),
            "masks": self.areas.masks(source, plane),
        }

    def _download_weights(self) -> None:
        source = self.method_panel.missing.source
        assert source is not None
        self._begin(jobs.download_weights(source), self._on_weights)

    def _choose_weights(self) -> None:
        missing = self.method_panel.missing
        path = missing.ask_for_file()
        if path is not None and missing.source is not None:
            self._begin(jobs.check_weights(missing.source.network, path), self._on_weights)

    def _begin(
        self, steps: Generator[thread.Status, None, T], on_result: Callable[[T], None]
    ) -> None:
        self._ending = "Cancelled."
        self._show_running(True)
        self._run = thread.start(
            steps,
            on_step=self._on_step,
            on_result=on_result,
            on_error=self._on_error,
            on_end=self._on_end,
        )

    def _is_stopped(self) -> bool:
        return self._run is None or self._run.abort_requested

    def _on_step(self, step: thread.Status) -> None:
        if not self._is_stopped():
            self.status.value = f"{step.message[:1].upper()}{step.message[1:]}…"
            self.progress.max = step.total
            self.progress.value = min(step.done, step.total)
            if step.preview is not None:
                assert self._source is not None
                self._texture.show(self._source, step.preview, self._plane, "texture")

    def _tell_preview(self, words: str) -> None:
        if not self.running:
            self.status.value = words
            if not self.run_button.enabled:  # it matters more why
                self._show_whether_taken()

    def _on_weights(self, path: Path) -> None:
        if not self._is_stopped():
            self.method_panel.missing.take(path)
            self._ending = f"The weights are ready: {path}"

    def _on_result(self, outcome: Outcome) -> None:
        if self._is_stopped():
            return
        self._delivering = True
        self._switching.forget()
        self.run_button.enabled = False  # too late to cancel
        self._texture.remove()
        self.status.value = "Adding the layers…"
        steps = layers.deliver(self._viewer.layers, self._source, outcome)
        self._take_turn(steps, outcome)

    def _on_error(self, error: Exception) -> None:
        if self._is_stopped():
            return
        if isinstance(error, jobs.MissingWeightsError):
            self.method_panel.missing.show_missing(error.source)
            self._ending = "Not run: the network's weights are missing."
        else:
            self._ending = _told(error)

    def _on_end(self) -> None:
        if not self._delivering:
            self._show_end()

    def _take_turn(self, steps: Generator[None, None, None], outcome: Outcome) -> None:
        QTimer.singleShot(_TURN, lambda: self._deliver_step(steps, outcome))

    def _deliver_step(self, steps: Generator[None, None, None], outcome: Outcome) -> None:
        try:
            if self._is_stopped():
                steps.close()
            else:
                with responsive.short_collections():
                    next(steps)
                self._take_turn(steps, outcome)
                return
        except StopIteration:
            self._ending = outcome.summary
            self.spectrum.tell(outcome.estimate)
            assert self._source is not None
            self._switching.take(self._source, outcome)
            # who looks at something else than the choices for the run goes on looking at it
            if self.tabs.currentWidget() is self.method_page:
                self.tabs.setCurrentWidget(self.found_page)
        except Exception as error:
            self._on_error(error)
        self._delivering = False
        self._show_end()

    def _on_switched(self, outcome: Outcome) -> None:
        if not self.running:
            self.status.value = outcome.summary
            self._tell_found()

    def _on_error_of_switch(self, error: Exception) -> None:
        self._switching.forget()
        self._tell_found()
        self.status.value = _told(error)

    def _stop_if_layer_is_gone(self) -> None:
        if self._switching.source not in (None, *self._viewer.layers):
            self._switching.forget()
            self._tell_found()
        if self._source is not None and self._source not in self._viewer.layers:
            self.stop("Cancelled: the layer was removed.")

    def _stop_if_axes_have_changed(self) -> None:
        if self._source is not None and self._source.ndim != self._plane.ndim:
            self.stop("Cancelled: the layer has other data now.")

    def _on_docked_or_closed(self, parent: object) -> None:
        if self._docked and parent is None:
            self._stop_all()
        self._docked = parent is not None

    def _on_destroyed(self) -> None:
        self._destroyed = True
        self._stop_all()

    def _stop_all(self) -> None:
        self.stop()
        self.preview.close()
        self._switching.forget()
        self.method_panel.missing.stop_looking()
        self.settings_panel.keep()
        self.spectrum.stop()

    def _show_end(self) -> None:
        self._texture.remove()
        self._run = self._source = None
        if not self._destroyed:
            self._show_running(False)
            self.spectrum.withdraw()  # what the run, stopped, has not answered
            self._tell_found()
            self._show_whether_taken()
            self.status.value = self._ending

    def _show_running(self, running: bool) -> None:
        for choices in (
            self._layer_row,
            self._planes_row,
            self.preview,
            self.method_panel,
            self.areas,
            self.settings_panel,
        ):
            choices.enabled = not running
        self.spectrum.setEnabled(not running)
        self.run_button.text = "Cancel" if running else "Run"
        self.run_button.enabled = True
        self.progress.visible = running
        self.progress.max = 0
        self.status.value = "Starting…" if running else ""


def _told(error: Exception) -> str:
    """Notify the user of an error, and return what the dock is to say."""
    if isinstance(error, thread.CannotRunError):
        show_error(f"Periodic noise: {error}")
        return str(error)
    notification_manager.receive_error(type(error), error, error.__traceback__)
    return "Stopped by an unexpected error: see the notification."
