"""Building blocks of the dock: rows, labels, pages and a delay."""

from collections.abc import Callable
from contextlib import suppress

from magicgui.widgets import Container, Label, Widget
from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFrame,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)


def row(label: str, choice: Widget, *, label_width: int = 92) -> Container[Widget]:
    """Return a row: a label, then a widget.

    Parameters
    ----------
    label : str
    choice : Widget
    label_width : int
        Minimum, in pixels. Rows below each other have the same one, which fits the longest label;
        more would cut off choices in a dock 300 pixels wide.

    Returns
    -------
    Container
    """
    # magicgui's own labels do not align in napari's larger font
    words = Label(value=label)
    words.min_width = label_width
    labelled = Container[Widget](widgets=[words, choice], layout="horizontal", labels=False)
    labelled.margins = (0, 0, 0, 0)
    labelled.native.layout().setSpacing(0)  # napari's labels have their own
    return labelled


def wrapped_label(*, visible: bool = True, tooltip: str = "") -> Label:
    """Return a label that wraps: as wide as the dock, and as high as its text.

    Parameters
    ----------
    visible : bool
    tooltip : str

    Returns
    -------
    Label
    """
    words = Label(visible=visible, tooltip=tooltip)
    words.native.setWordWrap(True)
    # magicgui's own policy widens the dock or cuts off lines
    policy = words.native.sizePolicy()
    policy.setHorizontalPolicy(QSizePolicy.Policy.Expanding)
    policy.setVerticalPolicy(QSizePolicy.Policy.Minimum)
    words.native.setSizePolicy(policy)
    return words


def page(*panels: QWidget) -> QScrollArea:
    """Return the page of a tab: panels below each other, with a scroll bar.

    Parameters
    ----------
    *panels : QWidget

    Returns
    -------
    QScrollArea
    """
    content = QWidget()
    column = QVBoxLayout(content)
    column.setContentsMargins(0, 4, 0, 0)
    for panel in panels:
        column.addWidget(panel)
    column.addStretch()
    scrolled = QScrollArea()
    scrolled.setWidgetResizable(True)
    # Always on: a square widget, such as the spectrum, may fit only next to a bar. A bar that
    # appears on demand would then appear and disappear until the stack overflows.
    scrolled.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
    scrolled.setFrameShape(QFrame.Shape.NoFrame)
    scrolled.setWidget(content)
    return scrolled


class WheelGuard(QObject):
    """Lets the mouse wheel change a choice only while it has the focus.

    Otherwise, whoever scrolls the dock changes what happens to lie under the mouse.

    Parameters
    ----------
    dock : QWidget
        All choices inside are guarded. It owns the guard.
    """

    def __init__(self, dock: QWidget) -> None:
        super().__init__(dock)
        for kind in (QComboBox, QAbstractSpinBox):
            for choice in dock.findChildren(kind):
                choice.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # the wheel gives no focus
                choice.installEventFilter(self)

    def eventFilter(self, choice: QObject | None, event: QEvent | None) -> bool:
        """Ignore the wheel over a choice without focus; its parent scrolls."""
        assert isinstance(choice, QWidget)
        assert event is not None
        if event.type() != QEvent.Type.Wheel:
            return False
        window = choice.window()
        assert window is not None
        if window.focusWidget() is choice:
            return False
        event.ignore()
        return True


class Pause:
    """Calls a method once, a given time after the last request.

    Parameters
    ----------
    milliseconds : int
        From the last request to the call.
    then : callable
        A method. The delay does not keep its object alive.
    """

    def __init__(self, milliseconds: int, then: Callable[[], None]) -> None:
        self._timer = (
            QTimer()
        )  # without a parent: a parent would delete it before its owner stops it
        self._timer.setSingleShot(True)
        self._timer.setInterval(milliseconds)
        self._timer.timeout.connect(then)

    def begin(self) -> None:
        """Start the delay, or restart it."""
        self._timer.start()

    def end(self) -> None:
        """Cancel the call."""
        # when an application quits, PySide6 deletes timers before the widgets that use them
        with suppress(RuntimeError):
            self._timer.stop()
