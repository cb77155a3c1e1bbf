"""The part of the dock that says where only noise is seen, and what to leave alone."""

from collections.abc import Callable
from typing import Any

from magicgui.widgets import CheckBox, Container, SpinBox, Widget
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Shapes

from napari_periodic_denoise.viewer.layers.masks import Mask, mask_of
from napari_periodic_denoise.viewer.layers.plane import THIS, Plane
from napari_periodic_denoise.viewer.panels.layer_choice import LayerChoice
from napari_periodic_denoise.viewer.panels.parts import row

_EDGE = 8  # pixels


class AreasPanel(Container[Widget]):
    """Areas that Shapes or Labels layers mark.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer whose layers are offered.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.exemplar = LayerChoice(
            viewer.layers,
            _marks,
            none="Not marked",
            tooltip=(
                "A Shapes or Labels layer that marks where only noise is seen, the exemplar:\n"
                "some periods of it, and nothing of the specimen. What repeats there too is\n"
                "noise; what repeats only elsewhere, such as a lattice of atoms, is the\n"
                "specimen's, and stays."
            ),
        )
        self.protect = LayerChoice(
            viewer.layers,
            _marks,
            none="Nothing",
            tooltip=(
                "A Shapes or Labels layer that marks what is not to be looked at, such as a\n"
                "scale bar, text, or a specimen that is itself striped. The noise found around\n"
                "it is taken away there too, unless its pixels are kept."
            ),
        )
        self.keep = CheckBox(
            text="Keep its pixels as they are",
            tooltip="Take nothing away there: not one pixel of what is left alone changes.",
        )
        self.edge = SpinBox(
            value=_EDGE,
            min=0,
            max=1000,
            tooltip=(
                "Pixels outside of what is left alone over which the noise fades in, so that no\n"
                "border is seen; 0 is a sharp border."
            ),
        )
        self._edge_row = row("Edge (px)", self.edge)
        super().__init__(
            widgets=[
                row("Only noise", self.exemplar),
                row("Leave alone", self.protect),
                self.keep,
                self._edge_row,
            ],
            labels=False,
        )
        self.margins = (0, 0, 0, 0)
        for choice in (self.protect, self.keep):
            choice.changed.connect(self._show_what_applies)
        self._show_what_applies()

    def engine_options(self) -> dict[str, Any]:
        """Return those of the engine's options that apply, but for the areas themselves."""
        if self.protect.value is None or not self.keep.value:
            return {}
        return {"protect_edge": self.edge.value}

    def masks(self, source: Image, plane: Plane) -> dict[str, Callable[[], Mask]]:
        """Return how to make the areas, by option of the engine.

        Parameters
        ----------
        source : Image
        plane : Plane
            Of the source.

        Returns
        -------
        dict of str to callable
            See `masks.mask_of`.
        """
        chosen = {"exemplar": self.exemplar.value, "protect": self.protect.value}
        return {
            name: mask_of(layer, source, plane, self._viewer.dims)
            for name, layer in chosen.items()
            if layer is not None
        }

    def why_not_taken(self, planes: str) -> str:
        """Say why these areas don't go with a choice of planes; empty where they do.

        Parameters
        ----------
        planes : str
            One of `plane_choice.PLANES`.
        """
        if planes == THIS or (self.exemplar.value is None and self.protect.value is None):
            return ""
        return "Areas are of one plane: choose This plane, or no areas."

    def _show_what_applies(self) -> None:
        self.keep.visible = self.protect.value is not None
        self._edge_row.visible = self.protect.value is not None and self.keep.value


def _marks(layer: Layer) -> bool:
    return isinstance(layer, Shapes | Labels)
