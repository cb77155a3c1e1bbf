"""Waves of the last result switched off and on: in a thread, and only the latest wish counts."""

from collections.abc import Callable, Generator, Sequence
from typing import Any

from napari.layers import Image, Layer
from qtpy.QtCore import QTimer

from napari_periodic_denoise.viewer import responsive
from napari_periodic_denoise.viewer.layers import results as layers
from napari_periodic_denoise.viewer.layers.outcome import Outcome
from napari_periodic_denoise.viewer.runs import jobs, thread

_TURN = 20  # milliseconds in which Qt draws and serves others, between two slow steps


class Switching:
    """Keeps a result with all its waves, and shows any choice of them in its layers.

    Parameters
    ----------
    shown : LayerList
        The viewer's layers.
    on_shown : callable
        Called with what is shown, when both layers show it.
    on_error : callable
        Called with what went wrong.
    """

    def __init__(
        self,
        shown: Any,  # noqa: ANN401 - napari's LayerList
        *,
        on_shown: Callable[[Outcome], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._layers, self._on_shown, self._on_error = shown, on_shown, on_error
        self.source: Image | None = None
        self.outcome: Outcome | None = None
        self._wanted: Sequence[tuple[float, float]] | None = None  # off, and not begun yet
        self._run: thread.Run | None = None
        self._steps: Generator[None, None, None] | None = None  # of putting it into the layers

    @property
    def is_busy(self) -> bool:
        """Whether the layers don't show yet what was wanted last."""
        return self._wanted is not None or self._run is not None or self._steps is not None

    def take(self, source: Image, outcome: Outcome) -> None:
        """Switch the waves of another result from now on.

        Parameters
        ----------
        source : Image
        outcome : Outcome
            Of one plane, with all waves.
        """
        self.forget()
        self.source, self.outcome = source, outcome

    def forget(self) -> None:
        """Keep no result; what is under way is left behind."""
        self.source = self.outcome = self._wanted = self._steps = None
        if self._run is not None:
            self._run.quit()

    def made(self, layer: Layer) -> bool:
        """Whether a layer is one of the result's."""
        return self.source is not None and layers.is_of(layer, self.source)

    def show(self, off: Sequence[tuple[float, float]]) -> None:
        """Show the result with some of its waves left in the picture, as soon as that is made.

        Parameters
        ----------
        off : sequence of tuple of float
            Their frequencies. What was wanted before, and is not shown yet, is skipped.
        """
        if self.outcome is not None:
            self._wanted = off
            if self._run is None and self._steps is None:
                self._begin()

    def _begin(self) -> None:
        if self.outcome is None or self._wanted is None:
            return
        off, self._wanted = self._wanted, None
        self._run = thread.start(
            jobs.select(self.outcome, off),
            on_result=self._on_result,
            on_error=self._tell_error,
            on_end=self._on_end,
            asked_for=False,
        )

    def _on_result(self, selected: Outcome) -> None:
        if self.source is not None and self._wanted is None and not self._is_left_behind():
            self._steps = layers.refresh(self._layers, self.source, selected)
            QTimer.singleShot(0, lambda: self._step(self._steps, selected))

    def _is_left_behind(self) -> bool:
        return self._run is None or self._run.abort_requested

    def _tell_error(self, error: Exception) -> None:
        if self.outcome is not None:
            self.forget()
            self._on_error(error)

    def _on_end(self) -> None:
        self._run = None
        if self._steps is None:
            self._begin()

    def _step(self, steps: Generator[None, None, None] | None, selected: Outcome) -> None:
        if steps is None or steps is not self._steps:
            return
        try:
            with responsive.short_collections():
                next(steps)
            QTimer.singleShot(_TURN, lambda: self._step(steps, selected))
        except StopIteration:
            self._steps = None
            self._on_shown(selected)
            if self._run is None:
                self._begin()
