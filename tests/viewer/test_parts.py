"""Parts of the dock, without a viewer."""

import pytest
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_periodic_denoise.viewer.parts import page


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
