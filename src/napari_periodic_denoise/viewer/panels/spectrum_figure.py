"""The spectrum as a figure: its image, its axes, its marks.

Importing this imports matplotlib, which takes a while: a worker does it first.
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

_CONTRAST = (0.0, 2.0)  # log10 of the power: from the background's to a hundred times as much
_MOST = 512  # pixels of the image a side
_BARE, _LABELLED = 0.12, 0.48  # inches beside the image
_TICKS = (-0.4, -0.2, 0, 0.2, 0.4)
_NAME: dict[str, Any] = {"fontsize": "small", "labelpad": 2}
_MANY = 40  # marks, from which on they are drawn smaller
_FEW_SIZE, _MANY_SIZE = 60.0, 20.0  # square points
_ON, _OFF = "#ff7f0e", "#1e90ff"  # seen on black and on white


class SpectrumFigure:
    """A figure of a whitened spectrum, with marks where waves are.

    Frequency zero is in the middle, and ``fy`` rises downwards as y does, so that directions are
    those of the picture. Each wave has two marks, one the mirror image of the other, as the
    spectrum of real pixels has two peaks.

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
        self._in_units: list[Any] = []  # axes of cycles per unit
        self._text = "black"
        self._axes.set_xticks(_TICKS)
        self._axes.set_yticks(_TICKS)
        self._axes.set_xlabel("cycles/pixel", **_NAME)
        self._axes.set_ylabel("cycles/pixel", **_NAME)
        self._style_axes()

    def in_qt(self) -> FigureCanvasQTAgg:
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
            None: the axes count in cycles/pixel alone.
        """
        self._excess = spectrum.excess
        (left, right), (top, bottom) = _limits(spectrum.fx), _limits(spectrum.fy)
        self._image.set_extent((left, right, bottom, top))
        if pixel != self._pixel:
            self._count_in_units(pixel)
        self.fit()

    def fit(self) -> None:
        """Fit image and margins to the figure's size."""
        width, height = self.figure.get_size_inches()
        far = _LABELLED if self._in_units else _BARE
        side = max(min(width, height) - _LABELLED - far, _BARE)
        left = (width - side - _LABELLED - far) / 2 + _LABELLED
        self._axes.set_position((left / width, _LABELLED / height, side / width, side / height))
        pixels = min(int(side * self.figure.dpi), _MOST)
        self._image.set_data(thinned(self._excess, pixels))

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
            Frequencies of the waves that are taken away, and of those that are left.
        current : tuple of float, optional
            The one where the keyboard is.
        """
        size = _MANY_SIZE if len(on) + len(off) > _MANY else _FEW_SIZE
        for marks, frequencies in ((self._on, on), (self._off, off)):
            marks.set_offsets(_places(frequencies))
            marks.set_sizes([size])
        self._current.set_offsets(_places([] if current is None else [current]))

    def colour(self, background: str, text: str, *, is_dark: bool) -> None:
        """Draw in the colours of a theme.

        Parameters
        ----------
        background, text : str
            In hexadecimal digits.
        is_dark : bool
            Whether the background is.
        """
        self._text = text
        self.figure.set_facecolor(background)
        self._image.set_cmap("gray" if is_dark else "gray_r")
        self._current.set_edgecolor(text)
        self._style_axes()

    def _count_in_units(self, pixel: PixelSize | None) -> None:
        for axes in self._in_units:
            axes.remove()
        self._pixel, self._in_units = pixel, []
        if pixel is not None:
            above = self._axes.secondary_xaxis("top", functions=_per(pixel.x))
            above.set_xlabel(f"cycles/{pixel.unit}", **_NAME)
            beside = self._axes.secondary_yaxis("right", functions=_per(pixel.y))
            beside.set_ylabel(f"cycles/{pixel.unit}", **_NAME)
            self._in_units = [above, beside]
        self._style_axes()

    def _style_axes(self) -> None:
        for axes in (self._axes, *self._in_units):
            axes.tick_params(colors=self._text, labelsize="x-small", pad=2)
            axes.tick_params("y", labelrotation=90)  # where room is scarce
            axes.spines[:].set_color(self._text)
            for axis in (axes.xaxis, axes.yaxis):
                axis.label.set_color(self._text)

    def at(self, x: float, y: float) -> Frequency | None:
        """Return the frequency at a place of the figure, None beside the image.

        Parameters
        ----------
        x, y : float
            Pixels of the figure from its lower left corner, as of matplotlib's events.
        """
        fx, fy = self._axes.transData.inverted().transform((x, y))
        return (fy, fx) if max(abs(fy), abs(fx)) <= 0.5 else None

    def reach(self, points: float) -> float:
        """Return how many cycles/pixel a length in the figure is.

        Parameters
        ----------
        points : float
            Of 1/72 inch.
        """
        return points / 72 * self.figure.dpi / self._axes.bbox.width


def thinned(excess: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """Return the maxima of blocks: so few that none of them is lost on the screen.

    Parameters
    ----------
    excess : ndarray of float32, shape (H, W)
    most : int
        Blocks along each axis.
    """
    for axis, length in enumerate(excess.shape):
        count = min(length, max(most, 1))
        starts = np.arange(count) * length // count
        excess = np.maximum.reduceat(excess, starts, axis=axis)
    return excess


@cache
def warm_up() -> None:
    """Draw a figure that nobody sees: what the first one takes longer for is done then."""
    shown = SpectrumFigure()
    FigureCanvasAgg(shown.figure).draw()


def _limits(frequencies: NDArray[np.float64]) -> tuple[float, float]:
    """Where the pixels of an image of these frequencies begin and end."""
    half = (frequencies[1] - frequencies[0]) / 2
    return float(frequencies[0] - half), float(frequencies[-1] + half)


def _places(frequencies: Sequence[Frequency]) -> NDArray[np.float64]:
    at = np.array([(fx, fy) for fy, fx in frequencies]).reshape(-1, 2)
    return np.concatenate([at, -at])


def _per(size: float) -> Any:  # noqa: ANN401
    """From cycles/pixel to cycles per unit, and back."""
    return (lambda frequency: frequency / size), (lambda frequency: frequency * size)
