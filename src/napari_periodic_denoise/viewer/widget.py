"""The dock: layer, planes, Run, progress, result and the panels."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

from magicgui.widgets import ComboBox, Container, ProgressBar, PushButton, Widget
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.notifications import notification_manager, show_error
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QTabWidget

from napari_periodic_denoise.records.table import WaveRow
from napari_periodic_denoise.viewer import responsive
from napari_periodic_denoise.viewer.layers import results
from napari_periodic_denoise.viewer.layers.outcome import Outcome
from napari_periodic_denoise.viewer.layers.pixel_size import pixel_size
from napari_periodic_denoise.viewer.layers.plane import (
    NO_PLANE_SHOWN,
    PLANES,
    THIS_PLANE,
    Plane,
    displayed_plane,
    is_inside,
    nearest_plane,
    reason_not_to_run,
)
from napari_periodic_denoise.viewer.layers.preview_layer import PreviewLayer
from napari_periodic_denoise.viewer.panels.areas import AreasPanel
from napari_periodic_denoise.viewer.panels.found import FoundPanel
from napari_periodic_denoise.viewer.panels.layer_choice import LayerChoice
from napari_periodic_denoise.viewer.panels.method import MethodPanel
from napari_periodic_denoise.viewer.panels.parts import Pause, WheelGuard, page, row, wrapped_label
from napari_periodic_denoise.viewer.panels.preview import Preview
from napari_periodic_denoise.viewer.panels.replay import ReplayPanel
from napari_periodic_denoise.viewer.panels.settings import SettingsPanel
from napari_periodic_denoise.viewer.panels.spectrum import SpectrumPanel
from napari_periodic_denoise.viewer.runs import jobs, thread
from napari_periodic_denoise.viewer.runs.switching import Switching

T = TypeVar("T")

_SLIDING = 50  # milliseconds at one plane, before what was found there is shown

RUNNING = "Running. What is found will be listed here."
EARLIER_RUN = "These waves are from an earlier run. Run again to switch them."
RUN_ON_ALL_PLANES = (
    "Waves can be switched only after a run on one plane. Choose This plane and run again."
)


class PeriodicNoiseDock(Container[Widget]):
    """Finds the periodic noise of a layer, and shows the noise and the cleaned image.

    Parameters
    ----------
    napari_viewer : ViewerModel
        The viewer whose layers are offered, and to which the results are added.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        self._viewer = napari_viewer
        self._source: Image | None = None  # of the current run
        self._plane = Plane()  # of the source, displayed when the run began
        self._run: thread.Run | None = None  # current, until its layers are added
        self._texture = PreviewLayer(napari_viewer.layers)  # of the run, unfinished
        self._delivering = False
        self._final_status = ""
        self._pause = Pause(_SLIDING, self._show_plane)
        self._docked = False
        self._destroyed = False
        self.switching = Switching(
            napari_viewer.layers, on_shown=self._on_switched, on_error=self._on_error_of_switch
        )
        self._make_choices()
        self._make_panels()
        self._make_run_controls()
        super().__init__(
            widgets=[
                self._layer_row,
                self._planes_row,
                self.settings_panel.notice,
                self.run_button,
                self.preview,
                self.progress,
                self.status,
            ],
            labels=False,
        )
        self.margins = (4, 4, 4, 4)
        self._make_tabs()
        WheelGuard(self.native)
        self._connect_controls()
        self._connect_viewer()
        self._on_layer()
        self._follow_selection()

    def _make_choices(self) -> None:
        self.preview = Preview(self._viewer, lambda: self.layer.value, self._arguments)
        self.layer = LayerChoice(
            self._viewer.layers,
            lambda layer: isinstance(layer, Image) and layer is not self.preview.layer,
            tooltip=(
                "The image layer to clean. It does not change: the noise and the cleaned image\n"
                "are added as new layers. If you select another image in the layer list, it is\n"
                "chosen here too, unless it is a result. To clean a result\n"
                "once more, choose it here."
            ),
        )
        self._layer_row = row("Image", self.layer)
        self.planes = ComboBox(
            choices=PLANES,
            tooltip=(
                "Which planes of a stack are cleaned, and what they share.\n"
                "This plane: the displayed plane. Its result layers show at that plane only.\n"
                "Every plane, by itself: the noise is found in each plane separately.\n"
                "One model for all: the waves are found once, in planes of the whole stack\n"
                "together, and fitted to each plane. This finds weak noise that no single plane\n"
                "shows.\n"
                "One model, drifting: the same, for waves that drift from plane to plane.\n"
                "Data that are not in memory are cleaned plane by plane, when shown or saved."
            ),
        )
        self._planes_row = row("Planes", self.planes)

    def _make_panels(self) -> None:
        self.method_panel = MethodPanel()
        self.areas = AreasPanel(self._viewer)
        self.spectrum = SpectrumPanel(self._viewer)
        self.replay_panel = ReplayPanel(self._viewer, self.layer)
        self.settings_panel = SettingsPanel(self.method_panel, self.planes)
        self.found = FoundPanel()

    def _make_run_controls(self) -> None:
        self.run_button = PushButton(
            text="Run",
            tooltip=(
                "Finds the noise. Adds it as a layer, or as one layer per colour channel, and\n"
                "adds the cleaned image as another layer. A second run on the same layer updates\n"
                "these layers. Cancel stops at once and changes nothing."
            ),
        )
        self.progress = ProgressBar(visible=False)
        self.status = wrapped_label()

    def _make_tabs(self) -> None:
        self.tabs = QTabWidget()  # magicgui has none
        self.tabs.setStyleSheet("QTabWidget::pane { border: 0 }")  # saves space
        self.method_page = page(
            self.method_panel.native,
            self.areas.native,
            self.replay_panel.native,
            self.settings_panel.native,
        )
        self.found_page = page(self.found)
        self.spectrum_page = page(self.spectrum)
        for content, title, tooltip in (
            (self.method_page, "Method", "How the noise is found."),
            (self.found_page, "Found", "What the last run found."),
            (self.spectrum_page, "Spectrum", "Patterns that repeat in the displayed plane."),
        ):
            self.tabs.setTabToolTip(self.tabs.addTab(content, title), tooltip)
        self.native.layout().addWidget(self.tabs)

    def _connect_controls(self) -> None:
        panel, missing = self.method_panel, self.method_panel.missing
        missing.download.changed.connect(self._download_weights)
        missing.choose.changed.connect(self._choose_weights)
        self.run_button.changed.connect(self._run_or_cancel)
        self.found.table.switched.connect(self.switching.show)
        self.layer.changed.connect(self._on_layer)
        for choice in (
            self.planes,
            panel.method,
            panel.features,
            panel.remainder,
            panel.gram,
            self.areas,
        ):
            choice.changed.connect(self._update_run_button)
        panel.features.changed.connect(self.spectrum.show_features)
        self.spectrum.proposed.connect(self._run_with_proposal)
        waves = self.found.table.model
        for changed in (waves.modelReset, waves.dataChanged):
            changed.connect(self._mark_waves)
        self.spectrum.switched.connect(self.found.table.switch)
        self.preview.status_changed.connect(self._show_preview_status)
        for choices in (panel, self.areas):
            choices.changed.connect(self.preview.restart)
        self.native_parent_changed.connect(self._on_docked_or_closed)
        self.native.destroyed.connect(self._on_destroyed)

    def _connect_viewer(self) -> None:
        viewer = self._viewer
        viewer.dims.events.ndisplay.connect(self._update_run_button)
        viewer.dims.events.point.connect(self._follow_plane)
        viewer.layers.selection.events.active.connect(self._follow_selection)
        viewer.layers.events.removed.connect(self._stop_if_layer_is_gone)
        # viewer.layers[0] = other emits only this event, and napari does not pass it to docks
        viewer.layers.events.changed.connect(self._stop_if_layer_is_gone)
        viewer.layers.events.changed.connect(self.reset_choices)

    @property
    def running(self) -> bool:
        """Whether a run is active."""
        return self._run is not None

    def stop(self, ending: str = "Cancelled.") -> None:
        """Stop the current run, if any.

        Parameters
        ----------
        ending : str
            The status that the dock shows afterwards.
        """
        if self._run is not None:
            self._final_status = ending
            self._run.quit()

    def reset_choices(self, *_: Any) -> None:  # noqa: ANN401 - an event, unused
        """Offer the viewer's current layers; napari calls this when they change."""
        self.layer.reset_choices()
        self.areas.reset_choices()

    def _follow_selection(self) -> None:
        active = self._viewer.layers.selection.active
        if not self.running and isinstance(active, Image) and not results.is_result(active):
            self.reset_choices()
            self.layer.value = active
        if not self.running and not self._destroyed:
            self._show_result()

    def _on_layer(self) -> None:
        layer = self.layer.value
        self._planes_row.visible = layer is not None and layer.ndim > 2
        self.spectrum.show_layer(layer)
        self.preview.restart()
        if not self.running:
            self.status.value = ""
            self._show_result()
        self._update_run_button()

    def _show_result(self) -> None:
        """Show the selected result, or else the result of the chosen image."""
        active = self._viewer.layers.selection.active
        result = active if isinstance(active, Image) and results.found_in(active) else None
        if result is None and self.layer.value is not None:
            result = results.result_of(self._viewer.layers, self.layer.value)
        if result is None:
            self.found.show_nothing()
            if self.running:
                self.found.words.value = RUNNING
            return
        plane, whole, why_fixed = displayed_plane(result, self._viewer.dims), None, EARLIER_RUN
        outcome = self.switching.outcome
        if outcome is not None and self.switching.has_layer(result):
            whole = outcome.found
            if outcome.image is None:
                why_fixed = RUN_ON_ALL_PLANES
            else:
                plane, why_fixed = outcome.plane, ""
        self.found.show_result(
            results.found_in(result),
            plane.index,
            pixel_size(result, plane),
            whole=whole,
            why_fixed=why_fixed,
        )

    def _follow_plane(self) -> None:
        self._pause.begin()

    def _show_plane(self) -> None:
        if not self.running and not self._destroyed:
            self._show_result()

    def _mark_waves(self) -> None:
        """Mark the table's waves in the spectrum."""
        waves = self.found.table.model
        marks = {
            row.frequency: on
            for row, on in zip(waves.rows, waves.is_on, strict=True)
            if isinstance(row, WaveRow)
        }
        self.spectrum.show_waves(marks, why_fixed=waves.why_fixed)

    def _update_run_button(self) -> None:
        if self.running:
            return
        reason = "Open an image first."
        if self.layer.value is not None:
            options = self.method_panel.engine_options()
            chosen = self.planes.value
            reason = reason_not_to_run(
                self.layer.value, self._viewer.dims, chosen, options
            ) or self.areas.reason_not_to_run(chosen)
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

    def _run_with_proposal(self) -> None:
        self.planes.value = THIS_PLANE
        if self.run_button.enabled:
            self._start()

    def _start(self) -> None:
        source, chosen = self.layer.value, self.planes.value
        plane = displayed_plane(source, self._viewer.dims)
        of_stack = source.ndim > 2 and chosen != THIS_PLANE
        if not of_stack and not is_inside(plane, source):
            self.status.value = NO_PLANE_SHOWN
            return
        self.preview.on.value = False
        self._source, self._plane = source, nearest_plane(plane, source)
        self.method_panel.missing.find_weights(None)  # the run itself reports missing weights
        if of_stack:
            data = list(source.data) if source.multiscale else source.data
            options = self.method_panel.engine_options()
            run = jobs.denoise_planes(
                data, self._plane, model=chosen, rgb=source.rgb, options=options
            )
        else:
            arguments = self._arguments(source, self._plane)
            run = jobs.denoise(results.pixels(source), self._plane, **arguments)
        source.events.data.connect(self._stop_if_axes_changed)
        self._begin(run, self._on_result)
        self._show_result()

    def _arguments(self, source: Image, plane: Plane) -> dict[str, Any]:
        """Return the arguments of `jobs.denoise` for a plane, except the plane itself."""
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
        self._final_status = "Cancelled."
        self._show_running(True)
        self._run = thread.start(
            steps,
            on_status=self._on_status,
            on_result=on_result,
            on_error=self._on_error,
            on_end=self._on_end,
        )

    def _is_stopped(self) -> bool:
        return self._run is None or self._run.abort_requested

    def _on_status(self, status: thread.Status) -> None:
        if not self._is_stopped():
            self.status.value = f"{status.message[:1].upper()}{status.message[1:]}…"
            self.progress.max = status.total
            self.progress.value = min(status.done, status.total)
            if status.preview is not None:
                assert self._source is not None
                self._texture.show(self._source, status.preview, self._plane, "texture")

    def _show_preview_status(self, words: str) -> None:
        if not self.running:
            self.status.value = words
            if not self.run_button.enabled:  # the reason is more important
                self._update_run_button()

    def _on_weights(self, path: Path) -> None:
        if not self._is_stopped():
            self.method_panel.missing.use(path)
            self._final_status = f"The weights are ready: {path}"

    def _on_result(self, outcome: Outcome) -> None:
        if self._is_stopped():
            return
        self._delivering = True
        self.switching.drop()
        self.run_button.enabled = False  # too late to cancel
        self._texture.remove()
        self.status.value = "Adding the layers…"
        steps = results.deliver(self._viewer.layers, self._source, outcome)
        self._schedule_step(steps, outcome)

    def _on_error(self, error: Exception) -> None:
        if self._is_stopped():
            return
        if isinstance(error, jobs.MissingWeightsError):
            self.method_panel.missing.show_missing(error.source)
            self._final_status = "Not run: the network's weights are missing."
        else:
            self._final_status = _report_error(error)

    def _on_end(self) -> None:
        if not self._delivering:
            self._show_end()

    def _schedule_step(self, steps: Generator[None, None, None], outcome: Outcome) -> None:
        QTimer.singleShot(responsive.EVENT_LOOP_PAUSE, lambda: self._deliver_step(steps, outcome))

    def _deliver_step(self, steps: Generator[None, None, None], outcome: Outcome) -> None:
        try:
            if self._is_stopped():
                steps.close()
            else:
                with responsive.short_collections():
                    next(steps)
                self._schedule_step(steps, outcome)
                return
        except StopIteration:
            self._final_status = outcome.summary
            self.spectrum.show_answer(outcome.estimate)
            assert self._source is not None
            self.switching.hold(self._source, outcome)
            # another tab, chosen by the user, stays open
            if self.tabs.currentWidget() is self.method_page:
                self.tabs.setCurrentWidget(self.found_page)
        except Exception as error:
            self._on_error(error)
        self._delivering = False
        self._show_end()

    def _on_switched(self, outcome: Outcome) -> None:
        if not self.running:
            self.status.value = outcome.summary
            self._show_result()

    def _on_error_of_switch(self, error: Exception) -> None:
        self.switching.drop()
        self._show_result()
        self.status.value = _report_error(error)

    def _stop_if_layer_is_gone(self) -> None:
        if self.switching.source not in (None, *self._viewer.layers):
            self.switching.drop()
            self._show_result()
        if self._source is not None and self._source not in self._viewer.layers:
            self.stop("Cancelled: the layer was removed.")

    def _stop_if_axes_changed(self) -> None:
        if self._source is not None and self._source.ndim != self._plane.ndim:
            self.stop("Cancelled: the layer's data changed.")

    def _on_docked_or_closed(self, parent: object) -> None:
        if self._docked and parent is None:
            self._stop_all()
        self._docked = parent is not None

    def _on_destroyed(self) -> None:
        self._destroyed = True
        self._stop_all()

    def _stop_all(self) -> None:
        self.stop()
        self._pause.end()
        self.preview.close()
        self.switching.drop()
        self.method_panel.missing.cancel_search()
        self.settings_panel.save_now()
        self.spectrum.stop()

    def _show_end(self) -> None:
        self._texture.remove()
        self._run = self._source = None
        if not self._destroyed:
            self._show_running(False)
            self.spectrum.withdraw_proposal()  # a stopped run has not answered it
            self._show_result()
            self._update_run_button()
            self.status.value = self._final_status

    def _show_running(self, running: bool) -> None:
        for choices in (
            self._layer_row,
            self._planes_row,
            self.preview,
            self.method_panel,
            self.areas,
            self.settings_panel,
            self.settings_panel.notice,
        ):
            choices.enabled = not running
        self.spectrum.setEnabled(not running)
        self.run_button.text = "Cancel" if running else "Run"
        self.run_button.enabled = True
        self.progress.visible = running
        self.progress.max = 0
        self.status.value = "Starting…" if running else ""


def _report_error(error: Exception) -> str:
    """Notify the user of an error, and return the dock's status."""
    if isinstance(error, thread.CannotRunError):
        show_error(f"Periodic noise: {error}")
        return str(error)
    notification_manager.receive_error(type(error), error, error.__traceback__)
    return "Stopped by an unexpected error. See the notification."
