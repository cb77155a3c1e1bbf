"""The temporary layer of a preview."""

from __future__ import annotations

import numpy as np
from napari.components import LayerList
from napari.layers import Image

from napari_periodic_denoise.viewer import responsive
from napari_periodic_denoise.viewer.layers import results as layers
from napari_periodic_denoise.viewer.layers.plane import Plane

_FOLLOWED = ("contrast_limits", "gamma", "colormap")


class PreviewLayer:
    """One layer over a source, of what is no result: added, updated, taken away.

    The selection stays as it is.

    Parameters
    ----------
    shown : LayerList
        The viewer's.

    Attributes
    ----------
    layer : Image or None
        The layer, while there is one.
    source : Image or None
        What it lies over.
    """

    def __init__(self, shown: LayerList) -> None:
        self._shown = shown
        self.layer: Image | None = None
        self.source: Image | None = None

    def show(self, source: Image, pixels: np.ndarray, plane: Plane, name: str) -> None:
        """Show pixels over the plane they are of; not once the user has removed the layer.

        Parameters
        ----------
        source, pixels, plane, name
            As for `layers.preview_arguments`.
        """
        arguments = layers.preview_arguments(source, pixels, plane, name)
        if self.layer is None:
            self.layer, self.source = Image(**arguments), source
            selection = set(self._shown.selection)
            # the new layer would take it, and others would follow
            with self._shown.selection.events.blocker_all():
                self._shown.insert(layers.place_above(self._shown, source), self.layer)
                self._shown.selection = selection
            self._shown.link_layers([source, self.layer], _FOLLOWED)
        elif self.layer in self._shown:
            layers.put(self.layer, arguments)

    def remove(self) -> None:
        """Take the layer away."""
        layer, self.layer, self.source = self.layer, None, None
        if layer is None:
            return
        self._shown.unlink_layers([layer])  # links keep layers alive
        if layer in self._shown:
            with responsive.short_collections():  # napari makes a full one for a removed layer
                self._shown.remove(layer)
