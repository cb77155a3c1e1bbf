"""The part of the dock that helps where a network's trained weights are missing."""

from pathlib import Path
from typing import TYPE_CHECKING

from magicgui.widgets import Container, PushButton, Widget
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_periodic_denoise.viewer.panels.parts import wrapped_label
from napari_periodic_denoise.viewer.preferences import preferences
from napari_periodic_denoise.viewer.runs import jobs, thread

if TYPE_CHECKING:
    from napari_periodic_denoise.pretrained.weights import Source

# files that were chosen or downloaded, by network
_chosen: dict[str, Path] = {}


class WeightsPanel(Container[Widget]):
    """Says what is missing and where to get it, with buttons to do so; hidden where it is there.

    Attributes
    ----------
    source : Source or None
        Of the weights that are missing.
    """

    def __init__(self) -> None:
        self.source: Source | None = None
        self._look: thread.Run | None = None
        self._looked_for: str | None = None
        self.words = wrapped_label(
            tooltip=(
                "Trained weights are large, and come from the makers of torchvision: nothing is\n"
                "downloaded unasked. Random filters need no download."
            )
        )
        self.words.native.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.download = PushButton(
            text="Download",
            tooltip=(
                "Fetch the file and check that it arrived as it was made. Cancel stops it, and\n"
                "nothing half-written stays behind."
            ),
        )
        self.choose = PushButton(
            text="Choose file…",
            tooltip=(
                "Take a file that is on this computer already: a state dict of the network or of\n"
                "its features, as torch saves it. It is checked, and used from then on."
            ),
        )
        super().__init__(
            widgets=[self.words, self.download, self.choose], labels=False, visible=False
        )
        self.margins = (0, 0, 0, 0)

    def chosen(self, network: str) -> Path | None:
        """Return the file of a network's weights, if one was chosen or downloaded here."""
        return _chosen.get(network)

    def choose_for(self, network: str, path: str) -> None:
        """Use a file of a network's weights from now on; if empty, none."""
        _chosen.pop(network, None)
        if path:
            _chosen[network] = Path(path)
        self.changed.emit(self)

    def path(self, network: str) -> Path | None:
        """Return where a network's weights are to be looked for, if the user has said so."""
        folder = preferences().weights_folder
        return self.chosen(network) or (Path(folder) if folder else None)

    def take(self, path: Path) -> None:
        """Use a file for what is missing."""
        assert self.source is not None
        self.choose_for(self.source.network, str(path))
        self.visible = False

    def look_for(self, network: str | None) -> None:
        """Show the panel if a network's weights are missing, as soon as that is known.

        Parameters
        ----------
        network : {"vgg16", "vgg19"} or None
            None: no weights are needed.
        """
        self.stop_looking()
        self.visible = False
        if network is not None:
            self._looked_for = network
            self._look = thread.start(
                jobs.look_for_weights(network, self.path(network)),
                on_error=self._show_if_missing,
            )

    def stop_looking(self) -> None:
        """Forget the search under way, if there is one."""
        self._looked_for = None
        if self._look is not None:
            self._look.quit()

    def show_missing(self, source: "Source") -> None:
        """Show the panel.

        Parameters
        ----------
        source : Source
            Of the weights that are missing.
        """
        self.source = source
        self.words.value = (
            f"The ImageNet weights of {source.network.upper()} are not on this computer. "
            f"Download gets\n{source.url}\nand keeps it in\n{source.path.parent}"
        )
        self.download.text = f"Download ({source.size:.0f} MB)"
        self.visible = True

    def ask_for_file(self) -> Path | None:
        """Let the user choose a file; None if they don't."""
        assert self.source is not None
        name, _ = QFileDialog.getOpenFileName(
            self.native,
            f"Weights of {self.source.network.upper()}",
            "",
            "Weights (*.pth *.pt);;All files (*)",
        )
        return Path(name) if name else None

    def _show_if_missing(self, error: Exception) -> None:
        # whatever else it may be, a run will tell
        if (
            isinstance(error, jobs.MissingWeightsError)
            and error.source.network == self._looked_for
        ):
            self.show_missing(error.source)
