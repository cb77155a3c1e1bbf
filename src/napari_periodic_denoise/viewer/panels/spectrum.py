"""Panel of the spectrum, in which waves are switched and proposed."""

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

from napari_periodic_denoise.viewer.layers.pixel_size import PixelSize, pixel_size
from napari_periodic_denoise.viewer.layers.plane import Plane, displayed_plane, nearest_plane
from napari_periodic_denoise.viewer.layers.results import pixels
from napari_periodic_denoise.viewer.panels.parts import Pause, wrapped_label
from napari_periodic_denoise.viewer.responsive import EVENT_LOOP_PAUSE
from napari_periodic_denoise.viewer.runs import jobs, thread

if TYPE_CHECKING:
    from matplotlib.backend_bases import KeyEvent, MouseEvent
    from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg

    from napari_periodic_denoise import NoiseEstimate
    from napari_periodic_denoise.noise.statistics.whitened import WhitenedSpectrum
    from napari_periodic_denoise.viewer.panels.spectrum_figure import SpectrumFigure

Frequency = tuple[float, float]  # fy, fx in cycles/pixel

_DELAY = 200  # milliseconds without a change before the spectrum is computed; a usual debounce
_MAX_HEIGHT = 600  # pixels of the figure; a layout choice: fits a laptop's screen
_CLICK_RADIUS = 6.0  # points; a mark of 60 square points has a radius of 4
# cycles across a window of the spectrum: the main lobe of a Hann window ends 2 bins from its
# centre (Harris 1978), and the bins are 1 apart
_SAME_CYCLES = 3.0
_HINT = "Click a mark to switch its wave off or on. Click a peak to propose it as a wave.\n"
_COMPUTING = "Computing the spectrum…\n"
_STEPS = {"right": 1, "down": 1, "left": -1, "up": -1}


class SpectrumPanel(QWidget):
    """Shows the spectrum of the displayed plane, with marks at the waves that were found.

    The spectrum is computed when the panel is first shown, and again when the image changes.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer whose displayed plane and theme are used.

    Attributes
    ----------
    spectrum : WhitenedSpectrum or None
        The displayed spectrum, while it is up to date.
    figure : SpectrumFigure or None
    canvas : FigureCanvasQTAgg or None
        Shows the figure.
    switched : Signal of tuple of float, bool
        Emitted when a mark is clicked, with the wave's frequency and its new state.
    proposed : Signal
        Emitted when the proposals have changed and the plane must be estimated again.
    """

    switched = Signal(tuple, bool)
    proposed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._layer: Image | None = None
        self._plane: Plane | None = None  # of the spectrum; None in 3-D
        self._features = "edges"
        self._is_fresh = False  # whether the spectrum matches the image
        self._run: thread.Run | None = None
        self.spectrum: WhitenedSpectrum | None = None
        self._pixel: PixelSize | None = None
        self.figure: SpectrumFigure | None = None
        self.canvas: FigureCanvasQTAgg | None = None
        self._waves: dict[Frequency, bool] = {}  # frequency to whether it is on
        self._why_fixed = ""
        self._current: int | None = None  # the wave selected by keyboard
        self._proposed: WeakKeyDictionary[Image, list[Frequency]] = WeakKeyDictionary()
        self._pending: Frequency | None = None  # proposed, without an answer yet
        self._pause = Pause(_DELAY, self._compute)
        self.readout = wrapped_label(tooltip="Period, direction and frequency at the pointer.")
        self.answer = wrapped_label(tooltip="The result of the last proposal.")
        self.proposals = ComboBox(
            tooltip=(
                "Peaks of this layer that you proposed and that were accepted as waves. Every\n"
                "run on one plane of the layer tests them again, until you remove them."
            ),
        )
        self.remove = PushButton(
            text="Remove", tooltip="Removes this proposal and finds the noise again."
        )
        self._proposals_row = Container[Widget](
            widgets=[self.proposals, self.remove],
            layout="horizontal",
            labels=False,
            visible=False,
        )
        self._proposals_row.margins = (0, 0, 0, 0)
        column = self._column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self.readout, self.answer, self._proposals_row):
            column.addWidget(part.native)
        self.remove.changed.connect(self._remove_proposal)
        for event in self._viewer_events():
            event.connect(self._on_dims)
        viewer.events.theme.connect(self._apply_theme)

    def show_layer(self, layer: Image | None) -> None:
        """Show the spectrum of a layer.

        Parameters
        ----------
        layer : Image or None
        """
        self._disconnect_layer()
        self._layer = layer
        if layer is not None:
            for event in self._layer_events(layer):
                event.connect(self._invalidate)
        self.withdraw_proposal()
        self.answer.value = ""
        self._offer_proposals()
        self._invalidate()

    def show_features(self, features: str) -> None:
        """Show the spectrum of features.

        Parameters
        ----------
        features : str
            Of the engine. A network takes too long here: edges replace it.
        """
        self._features = features if features == "cosines" else "edges"
        self._invalidate()

    def show_waves(self, waves: Mapping[Frequency, bool], *, why_fixed: str = "") -> None:
        """Mark waves.

        Parameters
        ----------
        waves : mapping of tuple of float to bool
            Frequencies, and whether each wave is on.
        why_fixed : str
            Why they cannot be switched; empty if they can.
        """
        if waves.keys() != self._waves.keys():
            self._current = None
        self._waves, self._why_fixed = dict(waves), why_fixed
        self._draw_marks()

    def engine_options(self) -> dict[str, Any]:
        """Return the engine's option for the layer's proposals, or an empty dict."""
        proposed = list(self._proposed.get(self._layer, []))
        if self._pending is not None:
            proposed.append(self._pending)
        return {"proposed": proposed} if proposed else {}

    def show_answer(self, estimate: NoiseEstimate) -> None:
        """Show whether the proposed peak was accepted, if that is still open.

        Parameters
        ----------
        estimate : NoiseEstimate
            Of the plane, with the proposals.
        """
        if self._pending is None or self._layer is None:
            return
        pending, self._pending = self._pending, None
        shape = estimate.noise.shape[0], estimate.noise.shape[1]
        accepted = [wave for wave in estimate.waves if _is_near(pending, wave.frequency, shape)]
        rejected = [peak for peak in estimate.rejected if _is_near(pending, peak.frequency, shape)]
        if accepted:
            self._proposed.setdefault(self._layer, []).append(pending)
            self._offer_proposals()
            self.answer.value = (
                f"Accepted: {describe_frequency(accepted[0].frequency, self._pixel)}"
            )
        elif rejected:
            self.answer.value = f"Rejected: {rejected[0].reason}."
        else:
            self.answer.value = "Rejected: it is part of a wave that was already found."

    def withdraw_proposal(self) -> None:
        """Withdraw the proposed peak, because its run was stopped."""
        if self._pending is not None:
            self._pending, self.answer.value = None, ""

    def stop(self) -> None:
        """Stop following the viewer, and abandon the run, if any."""
        self._disconnect_layer()
        for event in self._viewer_events():
            event.disconnect(self._on_dims)
        self._viewer.events.theme.disconnect(self._apply_theme)
        self._is_fresh = False
        self._pause.end()
        self._stop_run()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Compute the spectrum, unless it is up to date."""
        super().showEvent(event)
        if not self._is_fresh:
            self._pause.begin()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Keep the figure square."""
        super().resizeEvent(event)
        self._shape_canvas()

    def _viewer_events(self) -> list[Any]:
        events = self._viewer.dims.events
        return [events.current_step, events.order, events.ndisplay]

    def _layer_events(self, layer: Image) -> list[Any]:
        return [layer.events.data, layer.events.scale, layer.events.units]

    def _disconnect_layer(self) -> None:
        if self._layer is not None:
            for event in self._layer_events(self._layer):
                event.disconnect(self._invalidate)
        self._layer = None

    def _stop_run(self) -> None:
        if self._run is not None:
            self._run.quit()
            self._run = None

    def _on_dims(self) -> None:
        if self._layer is not None and self._plane != self._displayed_plane(self._layer):
            self._invalidate()

    def _displayed_plane(self, layer: Image) -> Plane | None:
        if self._viewer.dims.ndisplay > 2:
            return None
        return nearest_plane(displayed_plane(layer, self._viewer.dims), layer)

    def _invalidate(self) -> None:
        self._is_fresh, self.spectrum = False, None
        self._stop_run()
        if self.isVisible():
            self.readout.value = _COMPUTING
            self._pause.begin()

    def _compute(self) -> None:
        layer, self._is_fresh = self._layer, True
        plane = self._plane = None if layer is None else self._displayed_plane(layer)
        if layer is None or plane is None:
            self.readout.value = "Show an image in 2-D to see its spectrum."
            return
        self._pixel = pixel_size(layer, plane)
        self.readout.value = _COMPUTING
        self._run = thread.start(
            jobs.compute_spectrum(pixels(layer), plane, rgb=layer.rgb, features=self._features),
            on_result=self._show,
            on_error=self._on_error,
            tracked=False,
        )

    def _show(self, spectrum: WhitenedSpectrum) -> None:
        if not self._is_fresh:
            return
        if self.figure is None:
            self._make_canvas()  # Qt draws it before it gets its contents
            QTimer.singleShot(EVENT_LOOP_PAUSE, lambda: self._show(spectrum))
            return
        self.spectrum = spectrum
        self.figure.show(spectrum, self._pixel)
        self._draw_marks()
        self.readout.value = _HINT

    def _on_error(self, error: Exception) -> None:
        if not self._is_fresh:
            return
        if isinstance(error, thread.CannotRunError):
            self.readout.value = str(error)
        else:
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def _make_canvas(self) -> None:
        from napari_periodic_denoise.viewer.panels.spectrum_figure import SpectrumFigure

        self.figure = SpectrumFigure()
        canvas = self.canvas = self.figure.make_canvas()
        canvas.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        canvas.setToolTip(
            "The patterns that repeat in this plane, by frequency. The brighter a point (in a\n"
            "light theme, the darker), the more it stands out. Long periods are near the centre,\n"
            "short ones near the edges. The direction from the centre is the direction of the\n"
            "wave. Each wave has two marks, on opposite sides of the centre: a circle if it is\n"
            "removed, a cross if it stays.\n"
            "Click a mark to switch its wave. The arrow keys go from mark to mark, and the\n"
            "space bar switches. The table under Found does the same.\n"
            "Click a peak without a mark to propose it. It gets the same tests as any other\n"
            "peak, and the result is shown below."
        )
        canvas.mpl_connect("motion_notify_event", self._on_move)
        canvas.mpl_connect("figure_leave_event", self._on_leave)
        canvas.mpl_connect("button_press_event", self._on_click)
        canvas.mpl_connect("key_press_event", self._on_key)
        self._apply_theme()
        self._column.insertWidget(0, canvas)
        self._shape_canvas()

    def _shape_canvas(self) -> None:
        if self.canvas is not None:
            self.canvas.setFixedHeight(min(self.width(), _MAX_HEIGHT))

    def _apply_theme(self) -> None:
        if self.figure is None or self.canvas is None:
            return
        theme = get_theme(self._viewer.theme)
        self.figure.set_colours(
            theme.background.as_hex(), theme.text.as_hex(), is_dark=theme.type == "dark"
        )
        self.canvas.draw_idle()

    def _draw_marks(self) -> None:
        if self.figure is None or self.canvas is None:
            return
        on = [frequency for frequency, is_on in self._waves.items() if is_on]
        off = [frequency for frequency, is_on in self._waves.items() if not is_on]
        current = None if self._current is None else list(self._waves)[self._current]
        self.figure.mark(on, off, current)
        self.canvas.draw_idle()

    def _on_move(self, event: MouseEvent) -> None:
        frequency = self._frequency_at(event)
        if frequency is None:
            self.readout.value = _HINT
        else:
            mark = self._mark_at(frequency)
            self.readout.value = describe_frequency(
                frequency if mark is None else mark, self._pixel
            )

    def _on_leave(self, _: MouseEvent) -> None:
        self.readout.value = _HINT

    def _on_click(self, event: MouseEvent) -> None:
        frequency = self._frequency_at(event)
        if frequency is None or self.figure is None or self.spectrum is None:
            return
        wave = self._mark_at(frequency)
        if wave is not None:
            self._switch_wave(wave)
            return
        peak = self.spectrum.nearest_peak(frequency, self.figure.in_cycles(_CLICK_RADIUS))
        if peak == frequency:
            self.answer.value = "Rejected: the period here is too long for a wave."
            return
        self._pending = peak
        self.answer.value = f"Testing {describe_frequency(peak, self._pixel)}"
        self.proposed.emit()

    def _on_key(self, event: KeyEvent) -> None:
        if not self._waves:
            return
        step = _STEPS.get(event.key or "")
        if step is not None:
            first = 0 if step > 0 else -1
            current = first if self._current is None else self._current + step
            self._current = current % len(self._waves)
            self.readout.value = describe_frequency(list(self._waves)[self._current], self._pixel)
            self._draw_marks()
        elif event.key == " " and self._current is not None:
            self._switch_wave(list(self._waves)[self._current])

    def _switch_wave(self, wave: Frequency) -> None:
        if self._why_fixed:
            self.answer.value = self._why_fixed
        else:
            self.switched.emit(wave, not self._waves[wave])

    def _frequency_at(self, event: MouseEvent) -> Frequency | None:
        """Return the frequency at the pointer, or None outside the image and at zero."""
        assert self.figure is not None
        frequency = self.figure.frequency_at(event.x, event.y)
        return frequency if frequency is not None and any(frequency) else None

    def _mark_at(self, frequency: Frequency) -> Frequency | None:
        """Return the wave whose mark is within a click's radius of a frequency, or None."""
        assert self.figure is not None
        distance, wave = min(
            ((_distance(frequency, wave), wave) for wave in self._waves),
            default=(math.inf, frequency),
        )
        return wave if distance <= self.figure.in_cycles(_CLICK_RADIUS) else None

    def _offer_proposals(self) -> None:
        proposed = [] if self._layer is None else self._proposed.get(self._layer, [])
        self.proposals.choices = [
            (describe_frequency(peak, None).splitlines()[0], peak) for peak in proposed
        ]
        self._proposals_row.visible = bool(proposed)

    def _remove_proposal(self) -> None:
        assert self._layer is not None
        self._proposed[self._layer].remove(self.proposals.value)
        self._offer_proposals()
        self.proposed.emit()


def describe_frequency(frequency: Frequency, pixel: PixelSize | None) -> str:
    """Describe a wave for a person: period, direction, frequency.

    Parameters
    ----------
    frequency : tuple of float
        ``(fy, fx)`` in cycles/pixel, not zero.
    pixel : PixelSize or None
        If None, only pixels are used.
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
    """Distance of two waves in cycles/pixel. A frequency and its negative are the same wave."""
    return min(math.dist(one, other), math.dist(one, (-other[0], -other[1])))


def _is_near(frequency: Frequency, other: Frequency, shape: tuple[int, int]) -> bool:
    from napari_periodic_denoise.noise.statistics.peaks import window_size

    return _distance(frequency, other) < _SAME_CYCLES / min(window_size(*shape))
