"""Small parts that the dock is put together from."""

from magicgui.widgets import Container, Label, Widget
from qtpy.QtWidgets import QSizePolicy


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
