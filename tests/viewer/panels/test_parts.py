"""Parts of the dock, without a viewer."""

import pytest
from qtpy.QtCore import QCoreApplication, QEvent, Qt
from qtpy.QtWidgets import QComboBox, QSizePolicy, QSpinBox, QVBoxLayout, QWidget

from napari_periodic_denoise.viewer.panels.parts import Pause, WheelGuard, page
from window import turn_wheel


class Square(QWidget):
    """As high as it is wide, once it knows how wide: as the spectrum's panel is."""

    def __init__(self):
        super().__init__()
        self.resized = 0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)

    def resizeEvent(self, event):
        super().resizeEvent(event)
        self.resized += 1
        assert self.resized < 100  # each is within the last one: in the end it crashes
        self.setFixedHeight(self.width())


@pytest.mark.parametrize("height", range(280, 340, 2))
def test_a_square_on_a_page_comes_to_rest(qtbot, height):
    square = Square()
    shown = page(square)
    qtbot.addWidget(shown)
    shown.resize(300, height)
    shown.show()
    qtbot.wait(20)
    assert square.height() == square.width()
    before = square.resized
    qtbot.wait(20)
    assert square.resized == before


def test_the_wheel_changes_a_choice_with_focus_only(qtbot):
    dock = QWidget()
    combo, spin = QComboBox(), QSpinBox()
    combo.addItems(["first", "second", "third"])
    column = QVBoxLayout(dock)
    column.addWidget(combo)
    column.addWidget(spin)
    spin.setValue(5)
    WheelGuard(dock)
    qtbot.addWidget(dock)
    dock.show()
    dock.setFocus()
    assert not turn_wheel(combo)
    assert not turn_wheel(spin)
    assert (combo.currentIndex(), spin.value()) == (0, 5)
    assert combo.focusPolicy() == spin.focusPolicy() == Qt.FocusPolicy.StrongFocus
    combo.setFocus()
    assert turn_wheel(combo)
    assert combo.currentIndex() == 1
    spin.setFocus()
    assert turn_wheel(spin)
    assert spin.value() == 4


class Counter:
    def __init__(self):
        self.count = 0

    def rise(self):
        self.count += 1


def test_a_pause_that_begins_again_and_again_calls_once(qtbot):
    counter = Counter()
    pause = Pause(50, counter.rise)
    for _ in range(5):
        pause.begin()
        qtbot.wait(5)
    assert counter.count == 0
    qtbot.waitUntil(lambda: counter.count > 0)
    qtbot.wait(100)
    assert counter.count == 1


def test_a_pause_that_is_ended_does_not_call(qtbot):
    counter = Counter()
    pause = Pause(20, counter.rise)
    pause.begin()
    pause.end()
    qtbot.wait(60)
    assert counter.count == 0


def test_a_pause_can_be_ended_once_qt_has_deleted_its_timer(qtbot):
    counter = Counter()
    pause = Pause(20, counter.rise)
    pause.begin()
    pause._timer.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    with pytest.raises(RuntimeError, match="deleted"):
        pause._timer.stop()
    pause.end()
    qtbot.wait(60)
    assert counter.count == 0
