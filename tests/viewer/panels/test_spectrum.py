import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_periodic_denoise import estimate_noise
from napari_periodic_denoise.viewer.panels.spectrum import SpectrumPanel

FOUND, FAINT = (0.11, 0.07), (-0.2, 0.15)


@pytest.fixture
def pixels():
    y, x = np.indices((256, 256))
    grain = np.random.default_rng(0).normal(0, 10, y.shape)
    strong = 20 * np.cos(2 * np.pi * (FOUND[0] * y + FOUND[1] * x))
    faint = 1.2 * np.cos(2 * np.pi * (FAINT[0] * y + FAINT[1] * x))
    return (100 + grain + strong + faint).astype(np.float32)


@pytest.fixture
def panel(viewer, qtbot):
    panel = SpectrumPanel(viewer)
    qtbot.addWidget(panel)
    panel.resize(300, 400)
    yield panel
    panel.stop()


def record(signal):
    """What a signal says from now on."""
    emitted = []
    signal.connect(lambda *words: emitted.append(words))
    return emitted


@pytest.fixture
def shown(viewer, panel, pixels, qtbot):
    """The panel, with the spectrum of an image."""
    panel.show_layer(viewer.add_image(pixels))
    panel.show()
    wait_for_spectrum(panel, qtbot)
    return panel


def wait_for_spectrum(panel, qtbot):
    qtbot.waitUntil(lambda: panel.spectrum is not None, timeout=20_000)
    QTest.qWaitForWindowExposed(panel)
    panel.canvas.draw()  # now, not when there is time


def place(panel, frequency):
    """Where on the canvas a frequency is."""
    axes = panel.figure.figure.axes[0]
    x, y = axes.transData.transform(frequency[::-1])
    ratio = panel.canvas.device_pixel_ratio
    return QPoint(round(x / ratio), round(panel.canvas.height() - y / ratio))


def click(panel, frequency):
    QTest.mouseClick(panel.canvas, Qt.MouseButton.LeftButton, pos=place(panel, frequency))


def test_nothing_is_computed_before_the_panel_is_shown(viewer, panel, pixels, qtbot):
    panel.show_layer(viewer.add_image(pixels))
    qtbot.wait(400)
    assert panel.canvas is None
    panel.show()
    wait_for_spectrum(panel, qtbot)
    assert panel.canvas.isVisible()


def test_a_wave_shines_where_its_frequency_is(shown):
    (image,) = shown.figure.figure.axes[0].images
    data = image.get_array()
    left, right, bottom, top = image.get_extent()
    row, column = np.unravel_index(data.argmax(), data.shape)
    fx = left + (column + 0.5) / data.shape[1] * (right - left)
    fy = top + (row + 0.5) / data.shape[0] * (bottom - top)
    np.testing.assert_allclose(np.sign(fx) * np.array([fy, fx]), FOUND, atol=0.01)


def test_a_click_on_a_mark_switches_its_wave(shown):
    emitted = record(shown.switched)
    shown.show_waves({FOUND: True, (0.3, 0.3): True})
    click(shown, FOUND)
    assert emitted == [(FOUND, False)]
    shown.show_waves({FOUND: False, (0.3, 0.3): True})
    click(shown, (-FOUND[0], -FOUND[1]))
    assert emitted[1:] == [(FOUND, True)]


def test_the_reason_for_fixed_waves_is_shown(shown):
    emitted = record(shown.switched)
    shown.show_waves({FOUND: True}, why_fixed="These are of an earlier run.")
    click(shown, FOUND)
    assert shown.answer.value == "These are of an earlier run."
    assert not emitted


def test_marks_show_which_waves_are_on_and_off(shown):
    shown.show_waves({FOUND: True, (0.3, 0.3): False})
    axes = shown.figure.figure.axes[0]
    on, off, current = (marks.get_offsets() for marks in axes.collections)
    fy, fx = FOUND
    np.testing.assert_allclose(on, [(fx, fy), (-fx, -fy)])
    np.testing.assert_allclose(off, [(0.3, 0.3), (-0.3, -0.3)])
    assert len(current) == 0


def test_a_click_on_a_peak_proposes_it(shown):
    emitted = record(shown.proposed)
    click(shown, FAINT)
    assert emitted == [()]
    ((fy, fx),) = shown.engine_options()["proposed"]
    assert min(abs(fy - FAINT[0]), abs(fy + FAINT[0])) < 0.5 / 256
    assert min(abs(fx - FAINT[1]), abs(fx + FAINT[1])) < 0.5 / 256


def test_an_accepted_proposal_stays_until_it_is_removed(shown, pixels, viewer, qtbot):
    click(shown, FAINT)
    estimate = estimate_noise(pixels, sensitivity=1e-9, **shown.engine_options())
    assert len(estimate.waves) == 2
    shown.show_answer(estimate)
    assert shown.answer.value.startswith("Accepted: 4.00")
    assert "px at 127°" in shown.answer.value
    assert len(shown.engine_options()["proposed"]) == 1
    layer = viewer.layers[0]
    shown.show_layer(viewer.add_image(pixels))
    assert shown.engine_options() == {}
    shown.show_layer(layer)
    assert len(shown.engine_options()["proposed"]) == 1
    assert shown.remove.native.isVisible()
    emitted = record(shown.proposed)
    QTest.mouseClick(shown.remove.native, Qt.MouseButton.LeftButton)
    assert emitted == [()]
    assert shown.engine_options() == {}
    assert not shown.remove.native.isVisible()


def test_what_is_no_wave_is_refused_with_a_reason(shown, pixels):
    click(shown, (0.35, -0.4))
    estimate = estimate_noise(pixels, **shown.engine_options())
    shown.show_answer(estimate)
    assert shown.answer.value.startswith("Rejected: ")
    assert len(shown.answer.value) > 20
    assert shown.engine_options() == {}


def test_what_is_too_slow_for_a_wave_is_not_asked_for(viewer, panel, pixels, qtbot):
    panel.show_layer(viewer.add_image(pixels[:24, :24]))
    panel.show()
    wait_for_spectrum(panel, qtbot)
    emitted = record(panel.proposed)
    click(panel, (0.01, 0.01))
    assert panel.answer.value.startswith("Rejected: ")
    assert not emitted


def test_the_pointer_shows_frequency_period_and_angle(viewer, shown, qtbot):
    QTest.mouseMove(shown.canvas, place(shown, (0.1, 0.1)))
    qtbot.waitUntil(lambda: "at 45°" in shown.readout.value)
    assert "cycles/px" in shown.readout.value
    layer = viewer.layers[0]
    layer.units, layer.scale = ("um", "um"), (0.1, 0.1)
    wait_for_spectrum(shown, qtbot)
    shown.show_waves({(0.1, 0.0): True})
    QTest.mouseMove(shown.canvas, place(shown, (0.1, 0.0)))
    qtbot.waitUntil(lambda: "(1 µm) at 90°" in shown.readout.value)
    assert "0.1 cycles/px (1 cycles/µm)" in shown.readout.value
    labels = [axes.get_xlabel() for axes in shown.figure.figure.axes[0].child_axes]
    assert "cycles/µm" in labels


def test_by_keyboard(shown):
    emitted = record(shown.switched)
    shown.show_waves({FOUND: True, (0.3, 0.3): True})
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right):
        QTest.keyClick(shown.canvas, key)
    QTest.keyClick(shown.canvas, Qt.Key.Key_Space)
    assert emitted == [((0.3, 0.3), False)]


def test_a_changed_image_has_another_spectrum(viewer, shown, pixels, qtbot):
    before = shown.spectrum
    viewer.layers[0].data = pixels.T
    assert shown.spectrum is None
    wait_for_spectrum(shown, qtbot)
    assert shown.spectrum is not before


def test_other_planes_have_other_spectra(viewer, panel, pixels, qtbot):
    panel.show_layer(viewer.add_image(np.stack([pixels, pixels.T])))
    panel.show()
    for plane, (fy, fx) in ((0, FOUND), (1, FOUND[::-1])):
        viewer.dims.set_point(0, plane)
        wait_for_spectrum(panel, qtbot)
        spectrum = panel.spectrum
        row, column = np.unravel_index(spectrum.excess.argmax(), spectrum.excess.shape)
        found = np.array([spectrum.fy[row], spectrum.fx[column]])
        np.testing.assert_allclose(found * np.sign(found[0]), (fy, fx), atol=1 / 256)


def test_an_unsuitable_image_is_reported(viewer, panel, qtbot):
    panel.show_layer(viewer.add_image(np.zeros((4, 4))))
    panel.show()
    qtbot.waitUntil(lambda: "cannot be processed" in panel.readout.value, timeout=20_000)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_colours_are_those_of_the_theme(viewer, shown, theme):
    viewer.theme = theme
    background = np.array(shown.figure.figure.get_facecolor()[:3]).mean()
    text = shown.figure.figure.axes[0].xaxis.label.get_color()
    assert (background < 0.5) == (theme == "dark")
    assert text.startswith("#f" if theme == "dark" else "#1")
