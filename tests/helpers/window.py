"""A person's hands, for tests in a real window."""

import os

from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

# what times may exceed their bounds by, where other work disturbs them: see the Makefile
MARGIN = float(os.environ.get("TIME_MARGIN", "1"))
PLUGIN, DOCK = "napari-periodic-denoise", "Periodic noise"


def open_dock(viewer):
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, DOCK)
    QApplication.processEvents()
    return dock


def click(dock):
    QTest.mouseClick(dock.run_button.native, Qt.MouseButton.LeftButton)


def turn_to(dock, title):
    """Click a tab."""
    bar = dock.tabs.tabBar()
    (tab,) = [i for i in range(bar.count()) if bar.tabText(i) == title]
    QTest.mouseClick(bar, Qt.MouseButton.LeftButton, pos=bar.tabRect(tab).center())
    assert dock.tabs.currentIndex() == tab


def choose(choice, words):
    """Choose as a person does, who sees words."""
    choice.native.setFocus()
    QTest.keyClicks(choice.native, words)


def check(box):
    where = QPoint(10, box.native.height() // 2)
    QTest.mouseClick(box.native, Qt.MouseButton.LeftButton, pos=where)


def turn_wheel(widget):
    """Turn the mouse wheel down by one notch over a widget; whether the widget takes it."""
    centre = widget.rect().center()
    event = QWheelEvent(
        QPointF(centre),
        QPointF(widget.mapToGlobal(centre)),
        QPoint(0, 0),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)
    return event.isAccepted()
