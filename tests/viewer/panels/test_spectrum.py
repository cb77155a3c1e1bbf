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


def heard(signal):
    """What a signal says from now on."""
    said = []
    signal.connect(lambda *words: said.append(words))
    return said


@pytest.fixture
def seen(viewer, panel, pixels, qtbot):
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


def test_nothing_is_done_before_it_is_seen(viewer, panel, pixels, qtbot):
    panel.show_layer(viewer.add_image(pixels))
    qtbot.wait(400)
    assert panel.canvas is None
    panel.show()
    wait_for_spectrum(panel, qtbot)
    assert panel.canvas.isVisible()


def test_a_wave_shines_where_its_frequency_is(seen):
    (image,) = seen.figure.figure.axes[0].images
    shown = image.get_array()
    left, right, bottom, top = image.get_extent()
    row, column = np.unravel_index(shown.argmax(), shown.shape)
    fx = left + (column + 0.5) / shown.shape[1] * (right - left)
    fy = top + (row + 0.5) / shown.shape[0] * (bottom - top)
    np.testing.assert_allclose(np.sign(fx) * np.array([fy, fx]), FOUND, atol=0.01)


def test_a_click_on_a_mark_switches_its_wave(seen):
    said = heard(seen.switched)
    seen.show_waves({FOUND: True, (0.3, 0.3): True})
    click(seen, FOUND)
    assert said == [(FOUND, False)]
    seen.show_waves({FOUND: False, (0.3, 0.3): True})
    click(seen, (-FOUND[0], -FOUND[1]))
    assert said[1:] == [(FOUND, True)]


def test_why_waves_can_not_be_switched_is_said(seen):
    said = heard(seen.switched)
    seen.show_waves({FOUND: True}, why_fixed="These are of an earlier run.")
    click(seen, FOUND)
    assert seen.answer.value == "These are of an earlier run."
    assert not said


def test_marks_tell_what_is_on_and_off(seen):
    seen.show_waves({FOUND: True, (0.3, 0.3): False})
    axes = seen.figure.figure.axes[0]
    on, off, current = (marks.get_offsets() for marks in axes.collections)
    fy, fx = FOUND
    np.testing.assert_allclose(on, [(fx, fy), (-fx, -fy)])
    np.testing.assert_allclose(off, [(0.3, 0.3), (-0.3, -0.3)])
    assert len(current) == 0


def test_a_click_on_a_peak_proposes_it(seen):
    said = heard(seen.proposed)
    click(seen, FAINT)
    assert said == [()]
    ((fy, fx),) = seen.engine_options()["proposed"]
    assert min(abs(fy - FAINT[0]), abs(fy + FAINT[0])) < 0.5 / 256
    assert min(abs(fx - FAINT[1]), abs(fx + FAINT[1])) < 0.5 / 256


def test_what_was_taken_stays_proposed_until_it_is_taken_off(seen, pixels, viewer, qtbot):
    click(seen, FAINT)
    estimate = estimate_noise(pixels, sensitivity=1e-9, **seen.engine_options())
    assert len(estimate.waves) == 2
    seen.show_answer(estimate)
    assert seen.answer.value.startswith("Accepted: 4.00")
    assert "px at 127°" in seen.answer.value
    assert len(seen.engine_options()["proposed"]) == 1
    layer = viewer.layers[0]
    seen.show_layer(viewer.add_image(pixels))
    assert seen.engine_options() == {}
    seen.show_layer(layer)
    assert len(seen.engine_options()["proposed"]) == 1
    assert seen.remove.native.isVisible()
    said = heard(seen.proposed)
    QTest.mouseClick(seen.remove.native, Qt.MouseButton.LeftButton)
    assert said == [()]
    assert seen.engine_options() == {}
    assert not seen.remove.native.isVisible()


def test_what_is_no_wave_is_refused_with_a_reason(seen, pixels):
    click(seen, (0.35, -0.4))
    estimate = estimate_noise(pixels, **seen.engine_options())
    seen.show_answer(estimate)
    assert seen.answer.value.startswith("Rejected: ")
    assert len(seen.answer.value) > 20
    assert seen.engine_options() == {}


def test_what_is_too_slow_for_a_wave_is_not_asked_for(viewer, panel, pixels, qtbot):
    panel.show_layer(viewer.add_image(pixels[:24, :24]))
    panel.show()
    wait_for_spectrum(panel, qtbot)
    said = heard(panel.proposed)
    click(panel, (0.01, 0.01))
    assert panel.answer.value.startswith("Rejected: ")
    assert not said


def test_the_pointer_tells_frequency_period_and_angle(viewer, seen, qtbot):
    QTest.mouseMove(seen.canvas, place(seen, (0.1, 0.1)))
    qtbot.waitUntil(lambda: "at 45°" in seen.readout.value)
    assert "cycles/px" in seen.readout.value
    layer = viewer.layers[0]
    layer.units, layer.scale = ("um", "um"), (0.1, 0.1)
    wait_for_spectrum(seen, qtbot)
    seen.show_waves({(0.1, 0.0): True})
    QTest.mouseMove(seen.canvas, place(seen, (0.1, 0.0)))
    qtbot.waitUntil(lambda: "(1 µm) at 90°" in seen.readout.value)
    assert "0.1 cycles/px (1 cycles/µm)" in seen.readout.value
    labels = [axes.get_xlabel() for axes in seen.figure.figure.axes[0].child_axes]
    assert "cycles/µm" in labels


def test_by_keyboard(seen):
    said = heard(seen.switched)
    seen.show_waves({FOUND: True, (0.3, 0.3): True})
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right):
        QTest.keyClick(seen.canvas, key)
    QTest.keyClick(seen.canvas, Qt.Key.Key_Space)
    assert said == [((0.3, 0.3), False)]


def test_a_changed_picture_has_another_spectrum(viewer, seen, pixels, qtbot):
    before = seen.spectrum
    viewer.layers[0].data = pixels.T
    assert seen.spectrum is None
    wait_for_spectrum(seen, qtbot)
    assert seen.spectrum is not before


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


def test_what_can_not_be_taken_is_said(viewer, panel, qtbot):
    panel.show_layer(viewer.add_image(np.zeros((4, 4))))
    panel.show()
    qtbot.waitUntil(lambda: "cannot be processed" in panel.readout.value, timeout=20_000)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_colours_are_those_of_the_theme(viewer, seen, theme):
    viewer.theme = theme
    background = np.array(seen.figure.figure.get_facecolor()[:3]).mean()
    text = seen.figure.figure.axes[0].xaxis.label.get_color()
    assert (background < 0.5) == (theme == "dark")
    assert text.startswith("#f" if theme == "dark" else "#1")
