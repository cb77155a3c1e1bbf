"""Switches waves of the last result off and on, in a thread; only the latest request counts."""

from collections.abc import Callable, Generator, Sequence
from typing import Any

from napari.layers import Image, Layer
from qtpy.QtCore import QTimer

from napari_periodic_denoise.viewer import responsive
from napari_periodic_denoise.viewer.layers import results
from napari_periodic_denoise.viewer.layers.outcome import Outcome
from napari_periodic_denoise.viewer.runs import jobs, thread


class Switching:
    """Keeps a result with all its waves, and shows any subset of them in its layers.

    Parameters
    ----------
    shown : LayerList
        The viewer's layers.
    on_shown : callable
        Called with the outcome when all its layers show it.
    on_error : callable
        Called with the error if switching fails.
    """

    def __init__(
        self,
        layers: Any,  # noqa: ANN401 - napari's LayerList
        *,
        on_shown: Callable[[Outcome], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._layers, self._on_shown, self._on_error = layers, on_shown, on_error
        self.source: Image | None = None
        self.outcome: Outcome | None = None
        self._requested: Sequence[tuple[float, float] | str] | None = None  # off; not started yet
        self._run: thread.Run | None = None
        self._steps: Generator[None, None, None] | None = None  # that update the layers

    @property
    def is_busy(self) -> bool:
        """Whether the layers do not show the latest request yet."""
        return self._requested is not None or self._run is not None or self._steps is not None

    def hold(self, source: Image, outcome: Outcome) -> None:
        """Switch the waves of this result from now on.

        Parameters
        ----------
        source : Image
        outcome : Outcome
            The result of one plane, with all waves.
        """
        self.drop()
        self.source, self.outcome = source, outcome

    def drop(self) -> None:
        """Drop the result, and abandon the run, if any."""
        self.source = self.outcome = self._requested = self._steps = None
        if self._run is not None:
            self._run.quit()

    def has_layer(self, layer: Layer) -> bool:
        """Whether a layer belongs to the result."""
        return self.source is not None and results.is_of(layer, self.source)

    def show(self, off: Sequence[tuple[float, float] | str]) -> None:
        """Show the result without some of its waves, as soon as that is computed.

        Parameters
        ----------
        off : sequence of tuple of float, or str
            Frequencies of the waves, and names of the lines, to switch off. Earlier requests
            that are not shown yet are skipped.
        """
        if self.outcome is not None:
            self._requested = off
            if self._run is None and self._steps is None:
                self._start()

    def _start(self) -> None:
        if self.outcome is None or self._requested is None:
            return
        off, self._requested = self._requested, None
        self._run = thread.start(
            jobs.select(self.outcome, off),
            on_result=self._on_result,
            on_error=self._report_error,
            on_end=self._on_end,
            tracked=False,
        )

    def _on_result(self, selected: Outcome) -> None:
        if self.source is None or self.outcome is None:
            return
        if self._requested is None and not self._is_abandoned():
            self._steps = results.refresh(self._layers, self.source, selected, self.outcome)
            QTimer.singleShot(0, lambda: self._step(self._steps, selected))

    def _is_abandoned(self) -> bool:
        return self._run is None or self._run.abort_requested

    def _report_error(self, error: Exception) -> None:
        if self.outcome is not None:
            self.drop()
            self._on_error(error)

    def _on_end(self) -> None:
        self._run = None
        if self._steps is None:
            self._start()

    def _step(self, steps: Generator[None, None, None] | None, selected: Outcome) -> None:
        if steps is None or steps is not self._steps:
            return
        try:
            with responsive.short_collections():
                next(steps)
            QTimer.singleShot(responsive.EVENT_LOOP_PAUSE, lambda: self._step(steps, selected))
        except StopIteration:
            self._steps = None
            self._on_shown(selected)
            if self._run is None:
                self._start()
