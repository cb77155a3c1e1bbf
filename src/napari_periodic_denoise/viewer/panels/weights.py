"""Panel that helps if a network's trained weights are missing."""

from pathlib import Path
from typing import TYPE_CHECKING

from magicgui.widgets import Container, PushButton, Widget
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_periodic_denoise.viewer.panels.parts import wrapped_label
from napari_periodic_denoise.viewer.preferences import plugin_preferences
from napari_periodic_denoise.viewer.runs import jobs, thread

if TYPE_CHECKING:
    from napari_periodic_denoise.pretrained.weights import Source

# files that were chosen or downloaded, by network; shared by all docks
_chosen: dict[str, Path] = {}


class WeightsPanel(Container[Widget]):
    """Shows which weights are missing and gets them; hidden if none are missing.

    Attributes
    ----------
    source : Source or None
        Where to get the missing weights.
    """

    def __init__(self) -> None:
        self.source: Source | None = None
        self._search: thread.Run | None = None
        self._network: str | None = None
        self.words = wrapped_label(
            tooltip=(
                "Trained weights are large files from the makers of torchvision. Nothing is\n"
                "downloaded without your click. Random filters need no download."
            )
        )
        self.words.native.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.download = PushButton(
            text="Download",
            tooltip=(
                "Downloads the file and verifies its checksum. Cancel stops the download and\n"
                "leaves no partial file."
            ),
        )
        self.choose = PushButton(
            text="Choose file…",
            tooltip=(
                "Uses a file that is already on this computer: a state dict of the network or of\n"
                "its features, as torch saves it. The file is checked and used from then on."
            ),
        )
        super().__init__(
            widgets=[self.words, self.download, self.choose], labels=False, visible=False
        )
        self.margins = (0, 0, 0, 0)

    def chosen(self, network: str) -> Path | None:
        """Return the file of a network's weights, if one was chosen or downloaded in the dock."""
        return _chosen.get(network)

    def set_path(self, network: str, path: str) -> None:
        """Use a file of a network's weights from now on; an empty path clears the choice."""
        _chosen.pop(network, None)
        if path:
            _chosen[network] = Path(path)
        self.changed.emit(self)

    def path(self, network: str) -> Path | None:
        """Return the file or folder to search for a network's weights, if the user has set one."""
        folder = plugin_preferences().weights_folder
        return self.chosen(network) or (Path(folder) if folder else None)

    def use(self, path: Path) -> None:
        """Use a file for the missing weights."""
        assert self.source is not None
        self.set_path(self.source.network, str(path))
        self.visible = False

    def find_weights(self, network: str | None) -> None:
        """Search for a network's weights, and show the panel if they are missing.

        Parameters
        ----------
        network : {"vgg16", "vgg19"} or None
            None if no weights are needed.
        """
        self.cancel_search()
        self.visible = False
        if network is not None:
            self._network = network
            self._search = thread.start(
                jobs.find_weights(network, self.path(network)),
                on_error=self._show_if_missing,
            )

    def cancel_search(self) -> None:
        """Cancel the search, if one is running."""
        self._network = None
        if self._search is not None:
            self._search.quit()

    def show_missing(self, source: "Source") -> None:
        """Show the panel.

        Parameters
        ----------
        source : Source
            Where to get the missing weights.
        """
        self.source = source
        self.words.value = (
            f"The ImageNet weights of {source.network.upper()} are not on this computer. "
            f"Download fetches\n{source.url}\nand saves it in\n{source.path.parent}"
        )
        self.download.text = f"Download ({source.size:.0f} MB)"
        self.visible = True

    def ask_for_file(self) -> Path | None:
        """Ask the user for a file; return None if they cancel."""
        assert self.source is not None
        name, _ = QFileDialog.getOpenFileName(
            self.native,
            f"Weights of {self.source.network.upper()}",
            "",
            "Weights (*.pth *.pt);;All files (*)",
        )
        return Path(name) if name else None

    def _show_if_missing(self, error: Exception) -> None:
        # a run reports any other error
        if isinstance(error, jobs.MissingWeightsError) and error.source.network == self._network:
            self.show_missing(error.source)
