"""Choice of a viewer's layer that follows the layer, not its name."""

from collections.abc import Callable
from typing import Any

from magicgui.widgets import ComboBox, Widget
from napari.components import LayerList
from napari.layers import Layer
from qtpy.QtWidgets import QComboBox


class LayerChoice(ComboBox):
    """Combo box of a viewer's layers.

    Parameters
    ----------
    layers : LayerList
        The viewer's.
    is_offered : callable
        Returns whether a layer can be chosen.
    none : str, optional
        Label of the choice of no layer. Without it, a layer has to be chosen.
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
        # a long layer name must not widen the dock
        self.native.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )

    def reset_choices(self, *_: Any) -> None:  # noqa: ANN401 - an event, unused
        """Offer the layers that the viewer has now."""
        chosen = self.value
        with self.changed.blocked():
            super().reset_choices()
            # magicgui compares names, but a renamed layer is still the same layer
            if chosen in self.choices:
                self.value = chosen
        if self.value is not chosen:
            self.changed.emit(self.value)
