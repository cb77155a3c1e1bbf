"""Small parts that the dock is put together from."""

from collections.abc import Callable
from contextlib import suppress

from magicgui.widgets import Container, Label, Widget
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QFrame, QScrollArea, QSizePolicy, QVBoxLayout, QWidget


def row(label: str, choice: Widget) -> Container[Widget]:
    """Put a label before a choice.

    Parameters
    ----------
    label : str
    choice : Widget

    Returns
    -------
    Container
    """
    # magicgui's own labels are not aligned in napari's larger font
    words = Label(value=label)
    words.min_width = 92
    labelled = Container[Widget](widgets=[words, choice], layout="horizontal", labels=False)
    labelled.margins = (0, 0, 0, 0)
    labelled.native.layout().setSpacing(0)  # napari's labels have some
    return labelled


def wrapped_label(*, visible: bool = True, tooltip: str = "") -> Label:
    """Label of any length: as wide as the dock, and as high as it takes.

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
    # magicgui's own would widen the dock, or cut off lines
    policy = words.native.sizePolicy()
    policy.setHorizontalPolicy(QSizePolicy.Policy.Expanding)
    policy.setVerticalPolicy(QSizePolicy.Policy.Minimum)
    words.native.setSizePolicy(policy)
    return words


def page(*panels: QWidget) -> QScrollArea:
    """Put panels below each other on the page of a tab, which scrolls where it is too low.

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
    # What is square, as the spectrum is, may fit only as narrow as beside a bar: one that comes
    # and goes by that would come and go without end, until the stack overflows.
    scrolled.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
    scrolled.setFrameShape(QFrame.Shape.NoFrame)
    scrolled.setWidget(content)
    return scrolled


class Pause:
    """Calls once nothing has asked for it any more for a while.

    Parameters
    ----------
    milliseconds : int
    then : callable
        A method: its object is not kept alive by the pause.
    """

    def __init__(self, milliseconds: int, then: Callable[[], None]) -> None:
        self._timer = QTimer()  # no child of a widget, which would go before its owner ends it
        self._timer.setSingleShot(True)
        self._timer.setInterval(milliseconds)
        self._timer.timeout.connect(then)

    def begin(self) -> None:
        """Begin the pause, or begin it again."""
        self._timer.start()

    def end(self) -> None:
        """Call no more."""
        # once an application quits, PySide6 deletes timers before the widgets that used them
        with suppress(RuntimeError):
            self._timer.stop()
