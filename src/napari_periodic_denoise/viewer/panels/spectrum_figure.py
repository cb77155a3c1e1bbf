"""Figure of the spectrum: its image, axes and marks.

This module imports matplotlib, which is slow, so a thread imports it first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_periodic_denoise.viewer.layers.pixel_size import PixelSize

if TYPE_CHECKING:
    from napari_periodic_denoise.noise.statistics.whitened import WhitenedSpectrum

Frequency = tuple[float, float]  # fy, fx in cycles/pixel

# log10 of the power relative to the background's: 1 to 100 times. A choice by eye: peaks that
# pass the tests stand out, and strong ones do not hide them.
_CONTRAST = (0.0, 2.0)
_MOST = 512  # pixels of the image per side; more than a dock 300 to 600 pixels wide can show
_BARE, _LABELLED = 0.12, 0.48  # inches next to the image; fits the labels' font size
_TICKS = (-0.4, -0.2, 0, 0.2, 0.4)  # cycles/pixel; the axes end at the Nyquist limit, 0.5
_NAME: dict[str, Any] = {"fontsize": "small", "labelpad": 2}
_MANY = 40  # marks; more are drawn smaller, so that they do not cover each other
_FEW_SIZE, _MANY_SIZE = 60.0, 20.0  # square points; 8 and 4 points wide
_ON, _OFF = "#ff7f0e", "#1e90ff"  # contrast with black and with white


class SpectrumFigure:
    """Figure of a whitened spectrum, with marks at the waves.

    Frequency zero is in the centre. ``fy`` increases downwards, as y does, so directions match
    those in the image. Each wave has two marks, at ``f`` and ``-f``, because the
    spectrum of real pixels is symmetric.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
    """

    def __init__(self) -> None:
        self.figure = Figure()
        self._axes = self.figure.add_subplot()
        self._excess = np.zeros((2, 2), dtype=np.float32)
        self._image = self._axes.imshow(
            self._excess, interpolation="nearest", vmin=_CONTRAST[0], vmax=_CONTRAST[1]
        )
        self._on = self._axes.scatter([], [], marker="o", facecolors="none", edgecolors=_ON)
        self._off = self._axes.scatter([], [], marker="x", color=_OFF)
        self._current = self._axes.scatter([], [], marker="s", s=130, facecolors="none")
        self._pixel: PixelSize | None = None
        self._unit_axes: list[Any] = []  # secondary axes, in cycles per unit
        self._text = "black"
        self._axes.set_xticks(_TICKS)
        self._axes.set_yticks(_TICKS)
        self._axes.set_xlabel("cycles/pixel", **_NAME)
        self._axes.set_ylabel("cycles/pixel", **_NAME)
        self._style_axes()

    def make_canvas(self) -> FigureCanvasQTAgg:
        """Return a new widget that shows the figure."""
        canvas = FigureCanvasQTAgg(self.figure)
        canvas.mpl_connect("resize_event", lambda _: self.fit())
        return canvas

    def show(self, spectrum: WhitenedSpectrum, pixel: PixelSize | None) -> None:
        """Show a spectrum.

        Parameters
        ----------
        spectrum : WhitenedSpectrum
        pixel : PixelSize or None
            If None, the axes show cycles/pixel only.
        """
        self._excess = spectrum.excess
        (left, right), (top, bottom) = _limits(spectrum.fx), _limits(spectrum.fy)
        self._image.set_extent((left, right, bottom, top))
        if pixel != self._pixel:
            self._set_units(pixel)
        self.fit()

    def fit(self) -> None:
        """Fit the image and its margins to the figure's size."""
        width, height = self.figure.get_size_inches()
        far = _LABELLED if self._unit_axes else _BARE
        side = max(min(width, height) - _LABELLED - far, _BARE)
        left = (width - side - _LABELLED - far) / 2 + _LABELLED
        self._axes.set_position((left / width, _LABELLED / height, side / width, side / height))
        pixels = min(int(side * self.figure.dpi), _MOST)
        self._image.set_data(block_maxima(self._excess, pixels))

    def mark(
        self,
        on: Sequence[Frequency],
        off: Sequence[Frequency],
        current: Frequency | None = None,
    ) -> None:
        """Mark waves.

        Parameters
        ----------
        on, off : sequence of tuple of float
            Frequencies of the waves that are removed, and of those that are kept.
        current : tuple of float, optional
            The one selected by keyboard.
        """
        size = _MANY_SIZE if len(on) + len(off) > _MANY else _FEW_SIZE
        for marks, frequencies in ((self._on, on), (self._off, off)):
            marks.set_offsets(_mark_positions(frequencies))
            marks.set_sizes([size])
        self._current.set_offsets(_mark_positions([] if current is None else [current]))

    def set_colours(self, background: str, text: str, *, is_dark: bool) -> None:
        """Draw in the colours of a theme.

        Parameters
        ----------
        background, text : str
            Colours as ``#rrggbb``.
        is_dark : bool
            Whether the background is dark.
        """
        self._text = text
        self.figure.set_facecolor(background)
        self._image.set_cmap("gray" if is_dark else "gray_r")
        self._current.set_edgecolor(text)
        self._style_axes()

    def _set_units(self, pixel: PixelSize | None) -> None:
        for axes in self._unit_axes:
            axes.remove()
        self._pixel, self._unit_axes = pixel, []
        if pixel is not None:
            top = self._axes.secondary_xaxis("top", functions=_unit_conversion(pixel.x))
            top.set_xlabel(f"cycles/{pixel.unit}", **_NAME)
            right = self._axes.secondary_yaxis("right", functions=_unit_conversion(pixel.y))
            right.set_ylabel(f"cycles/{pixel.unit}", **_NAME)
            self._unit_axes = [top, right]
        self._style_axes()

    def _style_axes(self) -> None:
        for axes in (self._axes, *self._unit_axes):
            axes.tick_params(colors=self._text, labelsize="x-small", pad=2)
            axes.tick_params("y", labelrotation=90)  # saves space
            axes.spines[:].set_color(self._text)
            for axis in (axes.xaxis, axes.yaxis):
                axis.label.set_color(self._text)

    def frequency_at(self, x: float, y: float) -> Frequency | None:
        """Return the frequency at a position in the figure, or None outside the image.

        Parameters
        ----------
        x, y : float
            Pixels from the figure's lower left corner, as in matplotlib's events.
        """
        fx, fy = self._axes.transData.inverted().transform((x, y))
        return (fy, fx) if max(abs(fy), abs(fx)) <= 0.5 else None

    def in_cycles(self, points: float) -> float:
        """Convert a length in the figure to cycles/pixel.

        Parameters
        ----------
        points : float
            The length, in 1/72 inch.
        """
        return points / 72 * self.figure.dpi / self._axes.bbox.width


def block_maxima(excess: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """Return the maxima of blocks, so that no peak is lost on the screen.

    Parameters
    ----------
    excess : ndarray of float32, shape (H, W)
    most : int
        Maximum number of blocks along each axis.
    """
    for axis, length in enumerate(excess.shape):
        count = min(length, max(most, 1))
        starts = np.arange(count) * length // count
        excess = np.maximum.reduceat(excess, starts, axis=axis)
    return excess


@cache
def warm_up() -> None:
    """Draw a hidden figure once, to load the fonts and caches that the first drawing needs."""
    FigureCanvasAgg(SpectrumFigure().figure).draw()


def _limits(frequencies: NDArray[np.float64]) -> tuple[float, float]:
    """Return the outer edges of an image whose pixel centres are these frequencies."""
    half = (frequencies[1] - frequencies[0]) / 2
    return float(frequencies[0] - half), float(frequencies[-1] + half)


def _mark_positions(frequencies: Sequence[Frequency]) -> NDArray[np.float64]:
    positions = np.array([(fx, fy) for fy, fx in frequencies]).reshape(-1, 2)
    return np.concatenate([positions, -positions])


def _unit_conversion(size: float) -> Any:  # noqa: ANN401
    """Return functions from cycles/pixel to cycles per unit, and back."""
    return (lambda frequency: frequency / size), (lambda frequency: frequency * size)
