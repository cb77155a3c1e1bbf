"""Panel that shows what was found: in words, and wave by wave."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_periodic_denoise.records.table import WaveRow, rows
from napari_periodic_denoise.records.words import in_words
from napari_periodic_denoise.viewer.layers.pixel_size import PixelSize
from napari_periodic_denoise.viewer.layers.results import COLOURS
from napari_periodic_denoise.viewer.panels.parts import wrapped_label
from napari_periodic_denoise.viewer.panels.waves_table import WavesTable

NO_RESULT = "No result yet. Press Run."
UNREADABLE = "This layer's record cannot be read. Another version may have written it."


class FoundPanel(QWidget):
    """Shows the result in words, and the table of waves."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: object = None
        self.words = wrapped_label(
            tooltip=(
                "What was found, how much was removed, and how certain that is. Also says what\n"
                "to check before you use the result, and what to try if nothing was found.\n"
                "Nats measure the evidence for a wave: the more, the more certain. The layers'\n"
                "metadata hold all details. Planes are numbered from 0, as the sliders are."
            ),
        )
        self.table = WavesTable()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.words.native)
        column.addWidget(self.table)
        self.show_nothing()

    def show_nothing(self) -> None:
        """Show that there is no result."""
        self._shown, self.words.value = None, NO_RESULT
        self.table.show_waves([])

    def show_result(
        self,
        found: Mapping[str, Any],
        plane: tuple[int, ...],
        pixel: PixelSize | None,
        *,
        whole: Mapping[str, Any] | None = None,
        why_fixed: str = "",
    ) -> None:
        """Show a result.

        Parameters
        ----------
        found : mapping
            Record of a result layer's metadata.
        plane : tuple of int
            Index of the plane to show; the first one if the record does not have it.
        pixel : PixelSize or None
        whole : mapping, optional
            The same record with all waves switched on.
        why_fixed : str
            Why waves cannot be switched; empty if they can.
        """
        whole = found if whole is None else whole
        try:
            record, complete = _of_plane(found, plane), _of_plane(whole, plane)
            words, off = _words(found, record), [wave["frequency"] for wave in record["off"]]
            waves = [
                replace(row, is_on=row.waves[0]["frequency"] not in off)
                if isinstance(row, WaveRow)
                else row
                for row in rows({**complete, "lines": record.get("lines", [])})
            ]
            channels = COLOURS if record["settings"].get("channel_axis") is not None else ()
            # a table in use keeps its order and its cursor
            if self._shown is not complete:
                self.table.show_waves(waves, channels=channels, pixel=pixel, why_fixed=why_fixed)
            self._shown, self.words.value = complete, words
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            self.show_nothing()
            self.words.value = UNREADABLE


def _of_plane(found: Mapping[str, Any], plane: tuple[int, ...]) -> Mapping[str, Any]:
    if "planes" not in found:
        return found
    records = {tuple(record["plane"]): record for record in found["planes"]}
    record: Mapping[str, Any] = records.get(plane, found["planes"][0])
    return record


def _words(found: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    plane = f"Plane {', '.join(map(str, record['plane']))}:" if "plane" in record else ""
    may_share = "plane" in record and found.get("model", "per_plane") == "per_plane"
    words = [plane, in_words(record, of_stack=may_share)]
    if record["settings"].get("gram"):
        words.append("The Gram matrices are to the right of the image. Zoom out to see them.")
    return "\n\n".join(filter(None, words))
