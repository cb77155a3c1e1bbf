"""The live preview: what the viewer shows is cleaned while options are chosen."""

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

from napari_periodic_denoise.viewer.layers import plane as plane_choice
from napari_periodic_denoise.viewer.layers import results as layers
from napari_periodic_denoise.viewer.layers.outcome import Outcome
from napari_periodic_denoise.viewer.layers.plane import PREVIEW_SIZE, Plane
from napari_periodic_denoise.viewer.layers.preview_layer import PreviewLayer
from napari_periodic_denoise.viewer.panels.parts import Pause
from napari_periodic_denoise.viewer.runs import jobs, thread

_PAUSE = 30  # milliseconds without a change, until the preview is made anew
_QUICK = 0.5  # seconds in which nobody wants to know how it goes


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """What is to be previewed."""

    source: Image
    plane: Plane
    since: float = field(default_factory=time.monotonic)


class Preview(Container[Widget]):
    """Switch of the preview, and a button to see the original.

    Parameters
    ----------
    viewer : ViewerModel
    source : callable
        Returns the layer that is chosen.
    arguments : callable of Image and Plane
        Returns what `jobs.denoise` is to be called with for a plane of a layer.

    Attributes
    ----------
    said : Signal of str
        What there is to say: what was found, or why nothing is shown.
    """

    said = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        source: Callable[[], Image | None],
        arguments: Callable[[Image, Plane], dict[str, Any]],
    ) -> None:
        self._viewer = viewer
        self._source, self._arguments = source, arguments
        self._wanted = False
        self._layer = PreviewLayer(viewer.layers)
        self._job: _Job | None = None  # the latest one, once begun
        self._run: thread.Run | None = None
        # with the original, once it is known
        self._seen: tuple[_Job, np.ndarray, np.ndarray | None] | None = None
        self.on = CheckBox(
            text="Preview",
            tooltip=(
                "Clean what is seen while options are chosen. Each plane is cleaned by itself,\n"
                f"and of a plane of more than {PREVIEW_SIZE}×{PREVIEW_SIZE} pixels so many in the "
                "middle of the view:\nRun, which looks at all of it, may find fainter noise, and "
                "amplitudes differ a\nlittle. Run switches the preview off."
            ),
        )
        self.original = PushButton(
            text="Hold: original",
            enabled=False,
            tooltip=(
                "While the mouse button is held down here, or the space bar once this has the\n"
                "focus, the preview shows the picture as it is."
            ),
        )
        super().__init__(widgets=[self.on, self.original], layout="horizontal", labels=False)
        self.margins = (0, 0, 0, 0)
        self._pause = Pause(_PAUSE, self._begin)
        self.on.changed.connect(self._switch)
        self.original.native.pressed.connect(self._draw)
        self.original.native.released.connect(self._draw)
        dims = viewer.dims.events
        for event in (dims.point, dims.order, dims.ndisplay):
            event.connect(self.restart)
        viewer.scene.camera.events.center.connect(self._follow_camera)
        viewer.layers.events.removed.connect(self._switch_off_if_removed)

    @property
    def layer(self) -> Image | None:
        """The layer of the preview, while there is one."""
        return self._layer.layer

    def restart(self, *_: Any) -> None:  # noqa: ANN401 - an event, of no interest
        """Make the preview anew, if it is on: something that it depends on has changed."""
        if self._wanted:
            self._stop()
            self._pause.begin()

    def close(self) -> None:
        """End it; its widgets may be gone already."""
        self._wanted = False
        self._clear()

    def _switch(self, on: bool) -> None:
        self._wanted = self.original.enabled = on
        self.said.emit("")
        if on:
            self.restart()
        else:
            self._clear()

    def _clear(self) -> None:
        self._stop()
        self._seen = None
        self._layer.remove()

    def _stop(self) -> None:
        self._pause.end()
        self._job = None
        if self._run is not None:
            self._run.quit()
            self._run = None

    def _begin(self) -> None:
        source = self._source()
        if source is None:
            self._say_why_not("Open an image first.")
            return
        plane = self._plane(source)
        arguments = self._arguments(source, plane)
        arguments["options"]["gram"] = False
        reason = self._why_not(source, plane, arguments["options"])
        if reason:
            self._say_why_not(reason)
            return
        self._job = job = _Job(source, plane)
        if self._layer.source is not job.source:
            self._seen = None
            self._layer.remove()
        job.source.events.data.connect(self.restart)
        self._run = thread.start(
            jobs.denoise(layers.pixels(source), plane, **arguments),
            on_step=partial(self._on_step, job),
            on_result=partial(self._on_result, job),
            on_error=partial(self._on_error, job),
            on_end=partial(self._on_end, job),
            asked_for=False,
        )

    def _why_not(self, source: Image, plane: Plane, options: dict[str, Any]) -> str:
        if "weights" in options:  # which are of a network
            return "A network takes too long for a preview: choose other features, or press Run."
        dims = self._viewer.dims
        reason = plane_choice.why_not_taken(source, dims, plane_choice.THIS, options)
        if reason or plane_choice.is_inside(plane, source):
            return reason
        return plane_choice.NOT_SHOWN

    def _say_why_not(self, reason: str) -> None:
        self._clear()
        self.said.emit(reason)

    def _plane(self, source: Image) -> Plane:
        dims = self._viewer.dims
        plane = plane_choice.shown(source, dims)
        return plane_choice.in_view(plane, source, dims, self._viewer.scene.camera.center)

    def _follow_camera(self) -> None:
        if self._job is None or self._job.plane != self._plane(self._job.source):
            self.restart()

    def _on_step(self, job: _Job, step: thread.Status) -> None:
        if job is not self._job:
            return
        if step.cleaned is not None:  # all but right, and seen much sooner
            self._see(job, step.cleaned)
        if time.monotonic() - job.since > _QUICK:
            self.said.emit(f"Preview: {step.message}…")

    def _on_result(self, job: _Job, outcome: Outcome) -> None:
        if job is self._job:
            self._see(job, outcome.estimate.cleaned, np.asarray(outcome.image))
            self.said.emit(f"Preview: {outcome.estimate.summary}")

    def _on_error(self, job: _Job, error: Exception) -> None:
        if job is not self._job:
            return
        if isinstance(error, thread.CannotRunError):
            self._say_why_not(str(error))
        else:
            self._say_why_not("No preview: an unexpected error, see the notification.")
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def _on_end(self, job: _Job) -> None:
        if job is self._job:
            self._run = None  # which holds this

    def _see(self, job: _Job, cleaned: np.ndarray, original: np.ndarray | None = None) -> None:
        self._seen = job, cleaned, original
        self._draw()

    def _draw(self) -> None:
        if self._seen is not None:
            job, cleaned, original = self._seen
            pixels = original if self.original.native.isDown() else cleaned
            if pixels is not None:
                self._layer.show(job.source, pixels, job.plane, "preview")

    def _switch_off_if_removed(self, event: Any) -> None:  # noqa: ANN401
        if event.value is self._layer.layer:
            self.on.value = False
