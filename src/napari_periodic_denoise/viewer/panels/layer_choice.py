"""A choice among layers of the viewer, that stays with its layer."""

from collections.abc import Callable
from typing import Any

from magicgui.widgets import ComboBox, Widget
from napari.components import LayerList
from napari.layers import Layer
from qtpy.QtWidgets import QComboBox


class LayerChoice(ComboBox):
    """Choice of one of the layers of a viewer.

    Parameters
    ----------
    layers : LayerList
        The viewer's.
    is_offered : callable
        Tells of a layer whether it can be chosen.
    none : str, optional
        What no layer is called; without, one has to be chosen.
    tooltip : str
    """

    def __init__(
        self,
        layers: LayerList,
        is_offered: Callable[[Layer], bool],
        *,
        none: str = "",
        tooltip: str = "",
    ) -> None:
        def offered(_: Widget) -> list[tuple[str, Layer]]:
            return [(layer.name, layer) for layer in layers if is_offered(layer)]

        self.null_string = none
        super().__init__(choices=offered, nullable=bool(none), tooltip=tooltip)
        # however long a layer's name is
        self.native.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )

    def reset_choices(self, *_: Any) -> None:  # noqa: ANN401 - an event, of no interest
        """Offer the layers that the viewer has now."""
        chosen = self.value
        with self.changed.blocked():
            super().reset_choices()
            # magicgui goes by the name, but a renamed layer is still the same layer
            if chosen in self.choices:
                self.value = chosen
        if self.value is not chosen:
            self.changed.emit(self.value)
