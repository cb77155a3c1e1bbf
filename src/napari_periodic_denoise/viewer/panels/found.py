"""The part of the dock that tells what was found: in words, and wave by wave."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_periodic_denoise.records.table import rows
from napari_periodic_denoise.records.words import in_words
from napari_periodic_denoise.viewer.layers.pixel_size import PixelSize
from napari_periodic_denoise.viewer.layers.results import COLOURS
from napari_periodic_denoise.viewer.panels.parts import wrapped_label
from napari_periodic_denoise.viewer.panels.waves_table import WavesTable

NOTHING = "Nothing has been looked for in this image yet: press Run."
UNREADABLE = "What this layer records can't be read: another version may have made it."


class FoundPanel(QWidget):
    """What was found, in words, and the table of waves."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: object = None
        self.words = wrapped_label(
            tooltip=(
                "What was found: how much was taken away and how sure that is, what to look at\n"
                "before it is used, and what to try where nothing was found. All about it is in\n"
                "the layers' metadata. Planes are numbered as by the sliders, from 0."
            ),
        )
        self.table = WavesTable()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.words.native)
        column.addWidget(self.table)
        self.tell_nothing()

    def tell_nothing(self) -> None:
        """Say that there is no result."""
        self._shown, self.words.value = None, NOTHING
        self.table.show_waves([])

    def tell(
        self,
        found: Mapping[str, Any],
        plane: tuple[int, ...],
        pixel: PixelSize | None,
        *,
        whole: Mapping[str, Any] | None = None,
        why_fixed: str = "",
    ) -> None:
        """Tell what was found.

        Parameters
        ----------
        found : mapping
            What a result layer's metadata tell.
        plane : tuple of int
            Which one is told of, if there are several; else the first.
        pixel : PixelSize or None
        whole : mapping, optional
            The same with all waves switched on.
        why_fixed : str
            Why waves can't be switched, where they can't.
        """
        whole = found if whole is None else whole
        try:
            record, complete = _of_plane(found, plane), _of_plane(whole, plane)
            words, off = _words(found, record), [wave["frequency"] for wave in record["off"]]
            waves = [
                replace(row, is_on=row.waves[0]["frequency"] not in off) for row in rows(complete)
            ]
            channels = COLOURS if record["settings"].get("channel_axis") is not None else ()
            # a table that is being used stays as it is sorted, and keeps its cursor
            if self._shown is not complete:
                self.table.show_waves(waves, channels=channels, pixel=pixel, why_fixed=why_fixed)
            self._shown, self.words.value = complete, words
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            self.tell_nothing()
            self.words.value = UNREADABLE


def _of_plane(found: Mapping[str, Any], plane: tuple[int, ...]) -> Mapping[str, Any]:
    if "planes" not in found:
        return found
    told = {tuple(record["plane"]): record for record in found["planes"]}
    record: Mapping[str, Any] = told.get(plane, found["planes"][0])
    return record


def _words(found: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    plane = f"Plane {', '.join(map(str, record['plane']))}:" if "plane" in record else ""
    may_share = "plane" in record and found.get("model", "per_plane") == "per_plane"
    words = [plane, in_words(record, of_stack=may_share)]
    if record["settings"].get("gram"):
        words.append("The Gram matrices are to the right of the image: zoom out to see them.")
    return "\n\n".join(filter(None, words))
