"""Panel for the two areas: the one that shows noise only, and the one to ignore."""

from collections.abc import Callable
from typing import Any

from magicgui.widgets import CheckBox, Container, SpinBox, Widget
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Shapes

from napari_periodic_denoise.viewer.layers.masks import Mask, mask_of
from napari_periodic_denoise.viewer.layers.plane import THIS_PLANE, Plane
from napari_periodic_denoise.viewer.panels.layer_choice import LayerChoice
from napari_periodic_denoise.viewer.panels.parts import row

_EDGE = 8  # pixels; a choice by eye: wide enough that no border shows around a protected area
_LABEL_WIDTH = 112  # pixels; fits "Noise-only area" in napari's font


class AreasPanel(Container[Widget]):
    """Chooses the Shapes or Labels layers that mark areas.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer whose layers are offered.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.exemplar = LayerChoice(
            viewer.layers,
            _can_mark,
            none="none",
            tooltip=(
                "A Shapes or Labels layer that marks an area with noise only, the exemplar. It\n"
                "must hold a few periods of the noise and none of the specimen. A pattern that\n"
                "repeats there is noise. A pattern that repeats only elsewhere, such as a\n"
                "lattice of atoms, belongs to the specimen and stays."
            ),
        )
        self.protect = LayerChoice(
            viewer.layers,
            _can_mark,
            none="none",
            tooltip=(
                "A Shapes or Labels layer that marks an area to ignore in the search, such as a\n"
                "scale bar, text, or a specimen with stripes of its own. Noise found around it\n"
                "is removed inside it too, unless you keep its pixels."
            ),
        )
        self.keep = CheckBox(
            text="Keep its pixels unchanged",
            tooltip="Removes nothing inside the ignored area: none of its pixels changes.",
        )
        self.edge = SpinBox(
            value=_EDGE,
            min=0,
            max=1000,
            tooltip=(
                "Width of the band around the ignored area in which the subtraction fades in, so\n"
                "that no border shows. 0 gives a sharp border."
            ),
        )
        self._edge_row = row("Edge (px)", self.edge, label_width=_LABEL_WIDTH)
        super().__init__(
            widgets=[
                row("Noise-only area", self.exemplar, label_width=_LABEL_WIDTH),
                row("Ignored area", self.protect, label_width=_LABEL_WIDTH),
                self.keep,
                self._edge_row,
            ],
            labels=False,
        )
        self.margins = (0, 0, 0, 0)
        for choice in (self.protect, self.keep):
            choice.changed.connect(self._update_visibility)
        self._update_visibility()

    def engine_options(self) -> dict[str, Any]:
        """Return the engine's options that apply, except the areas themselves."""
        if self.protect.value is None or not self.keep.value:
            return {}
        return {"protect_edge": self.edge.value}

    def masks(self, source: Image, plane: Plane) -> dict[str, Callable[[], Mask]]:
        """Return functions that compute the masks, keyed by the engine's option.

        Parameters
        ----------
        source : Image
        plane : Plane
            Of the source.

        Returns
        -------
        dict of str to callable
            As returned by `masks.mask_of`.
        """
        chosen = {"exemplar": self.exemplar.value, "protect": self.protect.value}
        return {
            name: mask_of(layer, source, plane, self._viewer.dims)
            for name, layer in chosen.items()
            if layer is not None
        }

    def reason_not_to_run(self, planes: str) -> str:
        """Return why a run with these areas is not possible, or an empty string.

        Parameters
        ----------
        planes : str
            One of `plane.PLANES`.
        """
        if planes == THIS_PLANE or (self.exemplar.value is None and self.protect.value is None):
            return ""
        return "Areas apply to one plane only. Choose This plane, or remove the areas."

    def _update_visibility(self) -> None:
        self.keep.visible = self.protect.value is not None
        self._edge_row.visible = self.protect.value is not None and self.keep.value


def _can_mark(layer: Layer) -> bool:
    return isinstance(layer, Shapes | Labels)
