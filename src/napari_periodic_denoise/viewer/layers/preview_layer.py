"""The temporary layer of a preview."""

from __future__ import annotations

import numpy as np
from napari.components import LayerList
from napari.layers import Image

from napari_periodic_denoise.viewer import responsive
from napari_periodic_denoise.viewer.layers import results
from napari_periodic_denoise.viewer.layers.plane import Plane

_FOLLOWED = ("contrast_limits", "gamma", "colormap")


class PreviewLayer:
    """One temporary layer above a source: added, updated and removed.

    The layer list's selection does not change.

    Parameters
    ----------
    shown : LayerList
        The viewer's.

    Attributes
    ----------
    layer : Image or None
        The layer, while it exists.
    source : Image or None
        The layer below it.
    """

    def __init__(self, layers: LayerList) -> None:
        self._layers = layers
        self.layer: Image | None = None
        self.source: Image | None = None

    def show(self, source: Image, pixels: np.ndarray, plane: Plane, name: str) -> None:
        """Show pixels above their plane, unless the user has removed the layer.

        Parameters
        ----------
        source, pixels, plane, name
            As for `results.preview_arguments`.
        """
        arguments = results.preview_arguments(source, pixels, plane, name)
        if self.layer is None:
            self.layer, self.source = Image(**arguments), source
            selection = set(self._layers.selection)
            # adding a layer would select it, and the dock would follow
            with self._layers.selection.events.blocker_all():
                self._layers.insert(results.index_above(self._layers, source), self.layer)
                self._layers.selection = selection
            self._layers.link_layers([source, self.layer], _FOLLOWED)
        elif self.layer in self._layers:
            results.replace_data(self.layer, arguments)

    def remove(self) -> None:
        """Remove the layer."""
        layer, self.layer, self.source = self.layer, None, None
        if layer is None:
            return
        self._layers.unlink_layers([layer])  # links keep layers alive
        if layer in self._layers:
            with responsive.short_collections():  # napari runs a full one per removal
                self._layers.remove(layer)
