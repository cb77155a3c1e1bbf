"""The part of the dock that shows the spectrum, where waves are switched and proposed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from magicgui.widgets import ComboBox, Container, PushButton, Widget
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.notifications import notification_manager
from napari.utils.theme import get_theme
from psygnal import Signal
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QResizeEvent, QShowEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_periodic_denoise.viewer.layers import plane as plane_choice
from napari_periodic_denoise.viewer.layers import results as layers
from napari_periodic_denoise.viewer.layers.pixel_size import PixelSize, pixel_size
from napari_periodic_denoise.viewer.panels.parts import Pause, wrapped_label
from napari_periodic_denoise.viewer.runs import jobs, thread

if TYPE_CHECKING:
    from matplotlib.backend_bases import KeyEvent, MouseEvent
    from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg

    from napari_periodic_denoise import NoiseEstimate
    from napari_periodic_denoise.noise.statistics.whitened import WhitenedSpectrum
    from napari_periodic_denoise.viewer.panels.spectrum_figure import SpectrumFigure

Frequency = tuple[float, float]  # fy, fx in cycles/pixel

_SETTLE = 200  # milliseconds without a change, after which the spectrum is taken
_TURN = 20  # milliseconds in which Qt draws and serves others, between two slow steps
_HIGHEST = 600  # pixels of the figure
_NEAR = 6.0  # points, within which a click means a mark or a peak
_CYCLES = 3.0  # in a window, within which a wave is the one that was proposed
_WINDOW = 1024  # pixels that the spectrum is taken of at once, at most
_HINT = "Click a mark to switch its wave off or on, a peak to propose it as a wave.\n"
_TAKING = "Taking the spectrum…\n"
_STEPS = {"right": 1, "down": 1, "left": -1, "up": -1}


class SpectrumPanel(QWidget):
    """Spectrum of the plane that is shown, with marks where waves were found.

    It is taken when it is first seen, and anew when the picture changes.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer whose planes and theme are shown.

    Attributes
    ----------
    switched : Signal of tuple of float, bool
        A mark was clicked: the wave's frequency, and whether the wave is to be on.
    proposed : Signal
        What is proposed has changed: the plane is to be estimated again.
    """

    switched = Signal(tuple, bool)
    proposed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._layer: Image | None = None
        self._plane: plane_choice.Plane | None = None  # that the spectrum is of; None in 3-D
        self._features = "edges"
        self._is_fresh = False  # whether what is shown is of the picture as it is
        self._run: thread.Run | None = None
        self._spectrum: WhitenedSpectrum | None = None
        self._pixel: PixelSize | None = None
        self._figure: SpectrumFigure | None = None
        self._canvas: FigureCanvasQTAgg | None = None
        self._waves: dict[Frequency, bool] = {}  # and whether they are on
        self._why_fixed = ""
        self._current: int | None = None  # the wave where the keyboard is
        self._proposed: WeakKeyDictionary[Image, list[Frequency]] = WeakKeyDictionary()
        self._asked: Frequency | None = None  # proposed, and not answered yet
        self._pause = Pause(_SETTLE, self._take)
        self.place = wrapped_label(
            tooltip="What is under the pointer: from crest to crest, direction, and frequency."
        )
        self.answer = wrapped_label(tooltip="What became of the peak that was proposed last.")
        self.proposals = ComboBox(
            tooltip=(
                "Peaks of this layer that you proposed, and that are waves. They are examined in\n"
                "every run on one plane of it, until they are taken off."
            ),
        )
        self.take_off = PushButton(
            text="Take off", tooltip="Propose this peak no more, and look for the noise again."
        )
        self._proposals_row = Container[Widget](
            widgets=[self.proposals, self.take_off],
            layout="horizontal",
            labels=False,
            visible=False,
        )
        self._proposals_row.margins = (0, 0, 0, 0)
        column = self._column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self.place, self.answer, self._proposals_row):
            column.addWidget(part.native)
        self.take_off.changed.connect(self._take_off)
        for event in self._of_viewer():
            event.connect(self._on_dims)
        viewer.events.theme.connect(self._colour)

    def look_at(self, layer: Image | None) -> None:
        """Show the spectrum of another layer.

        Parameters
        ----------
        layer : Image or None
        """
        self._leave_layer()
        self._layer = layer
        if layer is not None:
            for event in self._of_layer(layer):
                event.connect(self._outdate)
        self.withdraw()
        self.answer.value = ""
        self._offer_proposals()
        self._outdate()

    def take_features(self, features: str) -> None:
        """Show the spectrum of other features.

        Parameters
        ----------
        features : str
            Of the engine. A network's would take too long to look at: edges stand for them.
        """
        self._features = features if features == "cosines" else "edges"
        self._outdate()

    def show_waves(self, waves: Mapping[Frequency, bool], *, why_fixed: str = "") -> None:
        """Mark waves.

        Parameters
        ----------
        waves : mapping of tuple of float to bool
            Their frequencies, and whether they are on.
        why_fixed : str
            Why they can't be switched, where they can't.
        """
        if waves.keys() != self._waves.keys():
            self._current = None
        self._waves, self._why_fixed = dict(waves), why_fixed
        self._draw_marks()

    def engine_options(self) -> dict[str, Any]:
        """Return the option of the engine for what is proposed in the layer, if anything is."""
        proposed = list(self._proposed.get(self._layer, []))
        if self._asked is not None:
            proposed.append(self._asked)
        return {"proposed": proposed} if proposed else {}

    def tell(self, estimate: NoiseEstimate) -> None:
        """Say what became of the peak that was proposed, if that is not said yet.

        Parameters
        ----------
        estimate : NoiseEstimate
            Of the plane, with what was proposed.
        """
        if self._asked is None or self._layer is None:
            return
        asked, self._asked = self._asked, None
        shape = estimate.noise.shape[0], estimate.noise.shape[1]
        taken = [wave for wave in estimate.waves if _is_near(asked, wave.frequency, shape)]
        refused = [peak for peak in estimate.rejected if _is_near(asked, peak.frequency, shape)]
        if taken:
            self._proposed.setdefault(self._layer, []).append(asked)
            self._offer_proposals()
            self.answer.value = f"Taken: {in_words(taken[0].frequency, self._pixel)}"
        elif refused:
            self.answer.value = f"Not taken: {refused[0].reason}."
        else:
            self.answer.value = "Not taken: it belongs to a wave that was found."

    def withdraw(self) -> None:
        """Forget the peak that was proposed: nobody will say what became of it."""
        if self._asked is not None:
            self._asked, self.answer.value = None, ""

    def stop(self) -> None:
        """Show no more changes; what is under way is left behind."""
        self._leave_layer()
        for event in self._of_viewer():
            event.disconnect(self._on_dims)
        self._viewer.events.theme.disconnect(self._colour)
        self._is_fresh = False
        self._pause.end()
        self._stop_run()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Take the spectrum, unless what is shown is of the picture as it is."""
        super().showEvent(event)
        if not self._is_fresh:
            self._pause.begin()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Keep the figure square."""
        super().resizeEvent(event)
        self._shape_canvas()

    def _of_viewer(self) -> list[Any]:
        events = self._viewer.dims.events
        return [events.current_step, events.order, events.ndisplay]

    def _of_layer(self, layer: Image) -> list[Any]:
        return [layer.events.data, layer.events.scale, layer.events.units]

    def _leave_layer(self) -> None:
        if self._layer is not None:
            for event in self._of_layer(self._layer):
                event.disconnect(self._outdate)
        self._layer = None

    def _stop_run(self) -> None:
        if self._run is not None:
            self._run.quit()
            self._run = None

    def _on_dims(self) -> None:
        if self._layer is not None and self._plane != self._shown_plane(self._layer):
            self._outdate()

    def _shown_plane(self, layer: Image) -> plane_choice.Plane | None:
        if self._viewer.dims.ndisplay > 2:
            return None
        return plane_choice.nearest(plane_choice.shown(layer, self._viewer.dims), layer)

    def _outdate(self) -> None:
        self._is_fresh, self._spectrum = False, None
        self._stop_run()
        if self.isVisible():
            self.place.value = _TAKING
            self._pause.begin()

    def _take(self) -> None:
        layer, self._is_fresh = self._layer, True
        plane = self._plane = None if layer is None else self._shown_plane(layer)
        if layer is None or plane is None:
            self.place.value = "The spectrum is of an image that is shown in 2-D."
            return
        self._pixel = pixel_size(layer, plane)
        self.place.value = _TAKING
        self._run = thread.start(
            jobs.look_at_spectrum(
                layers.pixels(layer), plane, rgb=layer.rgb, features=self._features
            ),
            on_result=self._show,
            on_error=self._on_error,
            asked_for=False,
        )

    def _show(self, spectrum: WhitenedSpectrum) -> None:
        if not self._is_fresh:
            return
        if self._figure is None:
            self._make_canvas()  # and let Qt draw it, before there is more to draw
            QTimer.singleShot(_TURN, lambda: self._show(spectrum))
            return
        self._spectrum = spectrum
        self._figure.show(spectrum, self._pixel)
        self._draw_marks()
        self.place.value = _HINT

    def _on_error(self, error: Exception) -> None:
        if not self._is_fresh:
            return
        if isinstance(error, thread.CannotRunError):
            self.place.value = str(error)
        else:
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def _make_canvas(self) -> None:
        from napari_periodic_denoise.viewer.panels.spectrum_figure import SpectrumFigure

        self._figure = SpectrumFigure()
        canvas = self._canvas = self._figure.in_qt()
        canvas.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        canvas.setToolTip(
            "What repeats in this plane, by frequency: the brighter (in a light theme the\n"
            "darker), the more it stands out. Slow repeats are near the middle, fine ones near\n"
            "the edges; what lies in a direction repeats in this direction. Each wave is marked\n"
            "twice, on both sides of the middle: a circle is taken away, a cross is left in.\n"
            "Click a mark to switch its wave; or arrow keys go from mark to mark, and space\n"
            "switches. The table under Found does the same.\n"
            "Click a peak without a mark to propose it: it is examined like any other, and you\n"
            "are told whether it is a wave."
        )
        canvas.mpl_connect("motion_notify_event", self._on_move)
        canvas.mpl_connect("figure_leave_event", self._on_leave)
        canvas.mpl_connect("button_press_event", self._on_click)
        canvas.mpl_connect("key_press_event", self._on_key)
        self._colour()
        self._column.insertWidget(0, canvas)
        self._shape_canvas()

    def _shape_canvas(self) -> None:
        if self._canvas is not None:
            self._canvas.setFixedHeight(min(self.width(), _HIGHEST))

    def _colour(self) -> None:
        if self._figure is None or self._canvas is None:
            return
        theme = get_theme(self._viewer.theme)
        self._figure.colour(
            theme.background.as_hex(), theme.text.as_hex(), is_dark=theme.type == "dark"
        )
        self._canvas.draw_idle()

    def _draw_marks(self) -> None:
        if self._figure is None or self._canvas is None:
            return
        on = [frequency for frequency, is_on in self._waves.items() if is_on]
        off = [frequency for frequency, is_on in self._waves.items() if not is_on]
        current = None if self._current is None else list(self._waves)[self._current]
        self._figure.mark(on, off, current)
        self._canvas.draw_idle()

    def _on_move(self, event: MouseEvent) -> None:
        frequency = self._pointed_at(event)
        if frequency is None:
            self.place.value = _HINT
        else:
            at = self._marked(frequency)
            self.place.value = in_words(frequency if at is None else at, self._pixel)

    def _on_leave(self, _: MouseEvent) -> None:
        self.place.value = _HINT

    def _on_click(self, event: MouseEvent) -> None:
        frequency = self._pointed_at(event)
        if frequency is None or self._figure is None or self._spectrum is None:
            return
        wave = self._marked(frequency)
        if wave is not None:
            self._switch(wave)
            return
        peak = self._spectrum.nearest_peak(frequency, self._figure.reach(_NEAR))
        if peak == frequency:
            self.answer.value = "Not taken: nothing there can be a wave, its period is too long."
            return
        self._asked = peak
        self.answer.value = f"Looking at {in_words(peak, self._pixel)}"
        self.proposed.emit()

    def _on_key(self, event: KeyEvent) -> None:
        if not self._waves:
            return
        step = _STEPS.get(event.key or "")
        if step is not None:
            first = 0 if step > 0 else -1
            current = first if self._current is None else self._current + step
            self._current = current % len(self._waves)
            self.place.value = in_words(list(self._waves)[self._current], self._pixel)
            self._draw_marks()
        elif event.key == " " and self._current is not None:
            self._switch(list(self._waves)[self._current])

    def _switch(self, wave: Frequency) -> None:
        if self._why_fixed:
            self.answer.value = self._why_fixed
        else:
            self.switched.emit(wave, not self._waves[wave])

    def _pointed_at(self, event: MouseEvent) -> Frequency | None:
        """Frequency under the pointer; none beside the image, and in its very middle."""
        assert self._figure is not None
        frequency = self._figure.at(event.x, event.y)
        return frequency if frequency is not None and any(frequency) else None

    def _marked(self, frequency: Frequency) -> Frequency | None:
        """Return the wave whose mark is at a frequency, or next to it."""
        assert self._figure is not None
        away, wave = min(
            ((_distance(frequency, wave), wave) for wave in self._waves),
            default=(math.inf, frequency),
        )
        return wave if away <= self._figure.reach(_NEAR) else None

    def _offer_proposals(self) -> None:
        proposed = [] if self._layer is None else self._proposed.get(self._layer, [])
        self.proposals.choices = [
            (in_words(peak, None).splitlines()[0], peak) for peak in proposed
        ]
        self._proposals_row.visible = bool(proposed)

    def _take_off(self) -> None:
        assert self._layer is not None
        self._proposed[self._layer].remove(self.proposals.value)
        self._offer_proposals()
        self.proposed.emit()


def in_words(frequency: Frequency, pixel: PixelSize | None) -> str:
    """Return what a wave of a frequency is like, for a person.

    Parameters
    ----------
    frequency : tuple of float
        ``(fy, fx)`` in cycles/pixel, not zero.
    pixel : PixelSize or None
        None: it is told in pixels alone.
    """
    fy, fx = frequency
    cycles = math.hypot(fy, fx)
    period, repeats = f"{1 / cycles:.4g} px", f"{cycles:.4g} cycles/px"
    if pixel is not None:
        physical = math.hypot(fy / pixel.y, fx / pixel.x)
        period += f" ({1 / physical:.4g} {pixel.unit})"
        repeats += f" ({physical:.4g} cycles/{pixel.unit})"
    return f"{period} at {round(math.degrees(math.atan2(fy, fx))) % 180}°\n{repeats}"


def _distance(one: Frequency, other: Frequency) -> float:
    """Cycles/pixel between two waves; a frequency and its opposite are the same one."""
    return min(math.dist(one, other), math.dist(one, (-other[0], -other[1])))


def _is_near(frequency: Frequency, other: Frequency, shape: tuple[int, int]) -> bool:
    return _distance(frequency, other) < _CYCLES / min(*shape, _WINDOW)
