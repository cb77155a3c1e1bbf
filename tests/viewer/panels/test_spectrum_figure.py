"""The figure of the spectrum, without a window."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from napari_periodic_denoise.noise.statistics.whitened import whitened_spectrum
from napari_periodic_denoise.viewer.layers.pixel_size import PixelSize
from napari_periodic_denoise.viewer.panels.spectrum_figure import SpectrumFigure, block_maxima

WAVE = (0.125, -0.25)


@pytest.fixture(scope="module")
def spectrum():
    y, x = np.indices((64, 80))
    grain = np.random.default_rng(0).normal(size=y.shape)
    return whitened_spectrum(grain + 5 * np.cos(2 * np.pi * (WAVE[0] * y + WAVE[1] * x)))


@pytest.fixture
def shown(spectrum):
    figure = SpectrumFigure()
    figure.figure.set_size_inches(4, 3)
    FigureCanvasAgg(figure.figure)
    figure.show(spectrum, None)
    return figure


def axes_of(figure):
    return figure.figure.axes[0]


def position(figure, frequency):
    """Pixels from the lower left corner."""
    return axes_of(figure).transData.transform(frequency[::-1])


def offsets(figure):
    return [marks.get_offsets().tolist() for marks in axes_of(figure).collections]


@pytest.mark.parametrize("length", [5, 64, 81])
def test_block_maxima_keep_every_peak(length):
    excess = np.random.default_rng(0).random((length, 64)).astype(np.float32)
    small = block_maxima(excess, 16)
    assert small.shape == (min(length, 16), 16)
    assert small.max() == excess.max()
    assert np.isin(small, excess).all()
    np.testing.assert_array_equal(block_maxima(excess, 1000), excess)
    assert block_maxima(excess, 0).tolist() == [[excess.max()]]


def test_the_brightest_point_is_at_the_wave(shown):
    (image,) = axes_of(shown).images
    data = image.get_array()
    left, right, bottom, top = image.get_extent()
    row, column = np.unravel_index(data.argmax(), data.shape)
    fy = top + (row + 0.5) / data.shape[0] * (bottom - top)
    fx = left + (column + 0.5) / data.shape[1] * (right - left)
    np.testing.assert_allclose(np.sign(fy) * np.array([fy, fx]), WAVE, atol=1 / 64)


def test_positions_and_frequencies_are_inverse(shown):
    for frequency in (WAVE, (0.0, 0.4), (-0.3, 0.1)):
        assert shown.frequency_at(*position(shown, frequency)) == pytest.approx(frequency)
    assert shown.frequency_at(0, 0) is None
    # fy increases downwards, as y does
    assert position(shown, (0.2, 0))[1] < position(shown, (-0.2, 0))[1]


def test_lengths_in_cycles(shown):
    start, end = position(shown, (0, 0)), position(shown, (0, 0.1))
    points = (end - start)[0] / shown.figure.dpi * 72
    assert shown.in_cycles(points) == pytest.approx(0.1)


def test_the_image_is_square_and_inside(shown):
    for size in ((4, 3), (3, 5), (6, 6)):
        shown.figure.set_size_inches(size)
        shown.fit()
        box = axes_of(shown).get_position()
        assert box.width * size[0] == pytest.approx(box.height * size[1])
        assert box.x0 >= 0
        assert box.x1 <= 1
        assert box.y0 >= 0
        assert box.y1 <= 1


def test_each_wave_has_two_marks(shown):
    shown.mark([WAVE], [(0.25, 0.5)], WAVE)
    on, off, current = offsets(shown)
    assert on == current == [[WAVE[1], WAVE[0]], [-WAVE[1], -WAVE[0]]]
    assert off == [[0.5, 0.25], [-0.5, -0.25]]
    few = axes_of(shown).collections[0].get_sizes()[0]
    shown.mark([(0.01 * i, 0.1) for i in range(50)], [])
    assert offsets(shown)[2] == []
    assert axes_of(shown).collections[0].get_sizes()[0] < few


def test_axes_in_physical_units_come_and_go(shown, spectrum):
    shown.show(spectrum, PixelSize(0.5, 0.1, "µm"))
    top, right = axes_of(shown).child_axes
    assert top.get_xlabel() == right.get_ylabel() == "cycles/µm"
    shown.figure.canvas.draw()
    assert top.get_xlim() == pytest.approx(np.divide(axes_of(shown).get_xlim(), 0.1))
    assert right.get_ylim() == pytest.approx(np.divide(axes_of(shown).get_ylim(), 0.5))
    shown.show(spectrum, None)
    assert not axes_of(shown).child_axes


def test_colours_of_a_theme(shown):
    shown.set_colours("#112233", "#ddeeff", is_dark=True)
    assert shown.figure.get_facecolor() == pytest.approx((0x11 / 255, 0x22 / 255, 0x33 / 255, 1))
    assert axes_of(shown).xaxis.label.get_color() == "#ddeeff"
    (image,) = axes_of(shown).images
    assert image.get_cmap().name == "gray"
    shown.set_colours("#ffffff", "#000000", is_dark=False)
    assert image.get_cmap().name == "gray_r"
