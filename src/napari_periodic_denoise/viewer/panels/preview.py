"""The live preview: cleans the displayed plane while the user chooses options."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from magicgui.widgets import CheckBox, Container, PushButton, Widget
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.notifications import notification_manager
from psygnal import Signal

from napari_periodic_denoise.viewer.layers.outcome import Outcome
from napari_periodic_denoise.viewer.layers.plane import (
    NO_PLANE_SHOWN,
    PREVIEW_SIZE,
    THIS_PLANE,
    Plane,
    displayed_plane,
    is_inside,
    part_in_view,
    reason_not_to_run,
)
from napari_periodic_denoise.viewer.layers.preview_layer import PreviewLayer
from napari_periodic_denoise.viewer.layers.results import pixels
from napari_periodic_denoise.viewer.panels.parts import Pause
from napari_periodic_denoise.viewer.runs import jobs, thread

DELAY = 30  # milliseconds without a change before a new preview; two frames at 60 Hz
_QUICK = 0.5  # seconds without progress messages; a choice: shorter ones only flicker


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """One preview: its plane, and when it began."""

    source: Image
    plane: Plane
    since: float = field(default_factory=time.monotonic)


class Preview(Container[Widget]):
    """Switches the preview on and off, and shows the original on demand.

    Parameters
    ----------
    viewer : ViewerModel
    source : callable
        Returns the chosen layer.
    arguments : callable of Image and Plane
        Returns the arguments of `jobs.denoise` for a plane of a layer.

    Attributes
    ----------
    status_changed : Signal of str
        Emitted with what was found, or why nothing is shown.
    """

    status_changed = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        source: Callable[[], Image | None],
        arguments: Callable[[Image, Plane], dict[str, Any]],
    ) -> None:
        self._viewer = viewer
        self._source, self._arguments = source, arguments
        self._is_on = False
        self._layer = PreviewLayer(viewer.layers)
        self._job: _Job | None = None  # the latest one
        self._run: thread.Run | None = None
        # job, cleaned plane, and the original once it is known
        self._displayed: tuple[_Job, np.ndarray, np.ndarray | None] | None = None
        self.on = CheckBox(
            text="Preview",
            tooltip=(
                "Cleans the displayed plane while you choose options. Each plane is cleaned by\n"
                "itself. If a plane is large, only "
                f"{PREVIEW_SIZE}×{PREVIEW_SIZE} pixels in the middle of the view are\n"
                "cleaned. Run uses the whole plane: it may find fainter noise, and amplitudes\n"
                "differ slightly. Run switches the preview off."
            ),
        )
        self.original = PushButton(
            text="Hold: original",
            enabled=False,
            tooltip=(
                "Shows the original image while you hold the mouse button, or the space bar when\n"
                "this button has the focus."
            ),
        )
        super().__init__(widgets=[self.on, self.original], layout="horizontal", labels=False)
        self.margins = (0, 0, 0, 0)
        self._pause = Pause(DELAY, self._start)
        self.on.changed.connect(self._switch)
        self.original.native.pressed.connect(self._draw)
        self.original.native.released.connect(self._draw)
        dims = viewer.dims.events
        for event in (dims.point, dims.order, dims.ndisplay):
            event.connect(self.restart)
        viewer.scene.camera.events.center.connect(self._follow_camera)
        viewer.layers.events.removed.connect(self._switch_off_if_removed)

    @property
    def running(self) -> bool:
        """Whether a preview is being computed."""
        return self._run is not None

    @property
    def layer(self) -> Image | None:
        """The preview's layer, or None."""
        return self._layer.layer

    def restart(self, *_: Any) -> None:  # noqa: ANN401 - an event, unused
        """Compute a new preview, if it is on."""
        if self._is_on:
            self._stop_run()
            self._pause.begin()

    def close(self) -> None:
        """Switch the preview off; Qt may have deleted its widgets already."""
        self._is_on = False
        self._clear()

    def _switch(self, on: bool) -> None:
        self._is_on = self.original.enabled = on
        self.status_changed.emit("")
        if on:
            self.restart()
        else:
            self._clear()

    def _clear(self) -> None:
        self._stop_run()
        self._displayed = None
        self._layer.remove()

    def _stop_run(self) -> None:
        self._pause.end()
        self._job = None
        if self._run is not None:
            self._run.quit()
            self._run = None

    def _start(self) -> None:
        source = self._source()
        if source is None:
            self._show_reason("Open an image first.")
            return
        plane = self._plane_of(source)
        arguments = self._arguments(source, plane)
        arguments["options"]["gram"] = False
        reason = self._reason_not_to_run(source, plane, arguments["options"])
        if reason:
            self._show_reason(reason)
            return
        self._job = job = _Job(source, plane)
        if self._layer.source is not job.source:
            self._displayed = None
            self._layer.remove()
        job.source.events.data.connect(self.restart)
        self._run = thread.start(
            jobs.denoise(pixels(source), plane, **arguments),
            on_status=partial(self._on_status, job),
            on_result=partial(self._on_result, job),
            on_error=partial(self._on_error, job),
            on_end=partial(self._on_end, job),
            tracked=False,
        )

    def _reason_not_to_run(self, source: Image, plane: Plane, options: dict[str, Any]) -> str:
        if "weights" in options:  # only networks have weights
            return "A network is too slow for a preview. Choose other features, or press Run."
        dims = self._viewer.dims
        reason = reason_not_to_run(source, dims, THIS_PLANE, options)
        if reason or is_inside(plane, source):
            return reason
        return NO_PLANE_SHOWN

    def _show_reason(self, reason: str) -> None:
        self._clear()
        self.status_changed.emit(reason)

    def _plane_of(self, source: Image) -> Plane:
        dims = self._viewer.dims
        plane = displayed_plane(source, dims)
        return part_in_view(plane, source, dims, self._viewer.scene.camera.center)

    def _follow_camera(self) -> None:
        if self._job is None or self._job.plane != self._plane_of(self._job.source):
            self.restart()

    def _on_status(self, job: _Job, status: thread.Status) -> None:
        if job is not self._job:
            return
        if status.cleaned is not None:  # nearly final, and much earlier
            self._display(job, status.cleaned)
        if time.monotonic() - job.since > _QUICK:
            self.status_changed.emit(f"Preview: {status.message}…")

    def _on_result(self, job: _Job, outcome: Outcome) -> None:
        if job is self._job:
            self._display(job, outcome.estimate.cleaned, np.asarray(outcome.image))
            self.status_changed.emit(f"Preview: {outcome.estimate.summary}")

    def _on_error(self, job: _Job, error: Exception) -> None:
        if job is not self._job:
            return
        if isinstance(error, thread.CannotRunError):
            self._show_reason(str(error))
        else:
            self._show_reason("No preview: unexpected error. See the notification.")
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def _on_end(self, job: _Job) -> None:
        if job is self._job:
            self._run = None  # the run refers to this panel

    def _display(self, job: _Job, cleaned: np.ndarray, original: np.ndarray | None = None) -> None:
        self._displayed = job, cleaned, original
        self._draw()

    def _draw(self) -> None:
        if self._displayed is not None:
            job, cleaned, original = self._displayed
            data = original if self.original.native.isDown() else cleaned
            if data is not None:
                self._layer.show(job.source, data, job.plane, "preview")

    def _switch_off_if_removed(self, event: Any) -> None:  # noqa: ANN401
        if event.value is self._layer.layer:
            self.on.value = False
