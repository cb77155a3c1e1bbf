"""Table of the waves that were found, in which each can be switched off and on."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from magicgui.widgets import PushButton
from napari.utils.notifications import show_error
from psygnal import Signal
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSortFilterProxyModel, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QFileDialog, QTableView, QVBoxLayout, QWidget

from napari_periodic_denoise.io.atomic import replacing
from napari_periodic_denoise.records.table import LineRow, Row, waves_as_csv
from napari_periodic_denoise.viewer.layers.pixel_size import PixelSize

Frequency = tuple[float, float]
Key = Frequency | str  # what switches a row: a frequency, or the name of the lines

_LINES = 6  # minimum number of visible rows; a layout choice
_MARGIN = 10  # pixels beside the words of a header

_TOOLTIP = (
    "Untick a wave (or press the space bar) to keep it in the image. Tick what is suggested to\n"
    "remove it; a lattice goes as a whole. The noise layer and the cleaned layer follow at\n"
    "once. Click a heading to sort."
)


class _Column(NamedTuple):
    title: str
    tooltip: str
    value: Callable[[Row], float | str]  # sort key
    text: Callable[[Row], str]


class WavesModel(QAbstractTableModel):
    """Qt model of waves, one row per wave; the first column has the check boxes.

    Attributes
    ----------
    switched : Signal of list of tuple of float
        Emitted when the user switches a wave, with the frequencies of all waves that are off.
    """

    switched = Signal(list)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.rows: list[Row] = []
        self.is_on: list[bool] = []
        self.pixel: PixelSize | None = None
        self.why_fixed = ""  # why waves cannot be switched; empty if they can
        self._columns: list[_Column] = []

    def show(
        self,
        rows: Sequence[Row],
        channels: Sequence[str],
        pixel: PixelSize | None,
        why_fixed: str,
    ) -> None:
        """Show waves; see `WavesTable.show_waves`."""
        self.beginResetModel()
        self.rows, self.pixel, self.why_fixed = list(rows), pixel, why_fixed
        self.is_on = [row.is_on for row in rows]
        self._columns = _columns(channels, pixel)
        self.endResetModel()

    @property
    def off(self) -> list[Key]:
        """Frequencies of the waves that are off, in all channels, and names of lines."""
        return [
            frequency
            for row, on in zip(self.rows, self.is_on, strict=True)
            if not on
            for frequency in row.frequencies
        ]

    def switch(self, number: int, on: bool) -> None:
        """Switch the wave of a row off or on; a suggested lattice as a whole."""
        if self.is_on[number] == on:
            return
        together = [number]
        if self.rows[number].is_of_lattice:
            together = [other for other, row in enumerate(self.rows) if row.is_of_lattice]
        for other in together:
            self.is_on[other] = on
            index = self.index(other, 0)
            self.dataChanged.emit(index, index, [Qt.ItemDataRole.CheckStateRole])
        self.switched.emit(self.off)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of waves."""
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(self._columns)

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:  # noqa: ANN401
        """Return a column's title or tooltip."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self._columns):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self._columns[section].title
        return self._columns[section].tooltip if role == Qt.ItemDataRole.ToolTipRole else None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: ANN401
        """Return the contents of a cell."""
        row, column = self.rows[index.row()], self._columns[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.text(row)
        if role == Qt.ItemDataRole.UserRole:
            return column.value(row)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self.why_fixed or _TOOLTIP
        if role == Qt.ItemDataRole.CheckStateRole and index.column() == 0:
            on = self.is_on[index.row()]
            return Qt.CheckState.Checked if on else Qt.CheckState.Unchecked
        return None

    def setData(
        self,
        index: QModelIndex,
        value: Any,  # noqa: ANN401
        role: int = Qt.ItemDataRole.EditRole,
    ) -> bool:
        """Set or clear a check box."""
        if role != Qt.ItemDataRole.CheckStateRole or index.column() != 0:
            return False
        self.switch(index.row(), Qt.CheckState(value) == Qt.CheckState.Checked)
        return True

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Return the flags of a cell."""
        flags = Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled
        if index.column() == 0 and not self.why_fixed:
            flags |= Qt.ItemFlag.ItemIsUserCheckable
        return flags


class _View(QTableView):
    """Table in which the space bar switches the row, whichever cell has the cursor."""

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is not None and event.key() == Qt.Key.Key_Space:
            self.setCurrentIndex(self.currentIndex().siblingAtColumn(0))
        super().keyPressEvent(event)


class WavesTable(QWidget):
    """Shows, switches and exports the waves of a result; hidden if there are none.

    Attributes
    ----------
    model : WavesModel
    switched : Signal of list of tuple of float
        Emitted when the user switches a wave, with the frequencies of all waves that are off.
    """

    switched = Signal(list)

    def __init__(self) -> None:
        super().__init__()
        self.model = WavesModel(self)
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self.model)
        self._sorted.setSortRole(Qt.ItemDataRole.UserRole)
        self.view = _View()
        # an empty check box is nearly invisible in napari's dark theme
        self.view.setStyleSheet(
            "QTableView::indicator:unchecked { border: 1px solid gray }"
            "QHeaderView::section { padding: 2px 1px }"
        )
        self.view.setModel(self._sorted)
        self.view.setSortingEnabled(True)
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setTabKeyNavigation(False)  # Tab leaves the table
        self.view.setWordWrap(False)
        self.view.setToolTip(_TOOLTIP)
        numbers = self.view.verticalHeader()
        assert numbers is not None
        numbers.hide()
        self.view.setMinimumHeight((_LINES + 2) * numbers.defaultSectionSize())
        self.export = PushButton(
            text="Export as CSV…",
            tooltip=(
                "Writes the table to a file: one line per wave and channel, with its frequency,\n"
                "phase, and whether it is switched on."
            ),
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.view)
        column.addWidget(self.export.native)
        self.export.changed.connect(self._export)
        self.model.switched.connect(self.switched.emit)
        self.hide()

    def show_waves(
        self,
        rows: Sequence[Row],
        *,
        channels: Sequence[str] = (),
        pixel: PixelSize | None = None,
        why_fixed: str = "",
    ) -> None:
        """Show waves.

        Parameters
        ----------
        rows : sequence of WaveRow
        channels : sequence of str
            Names of the channels; empty if the image has none.
        pixel : PixelSize, optional
            If it is known.
        why_fixed : str
            Why they cannot be switched; empty if they can.
        """
        self.model.show(rows, channels, pixel, why_fixed)
        self.view.sortByColumn(-1, Qt.SortOrder.AscendingOrder)  # strongest first
        self._fit_columns()
        self.view.scrollToTop()
        scroll = self.view.horizontalScrollBar()
        assert scroll is not None
        scroll.setValue(0)  # also if it was scrolled for another image
        self.setVisible(bool(rows))

    def _fit_columns(self) -> None:
        """Make columns as wide as their words; Qt adds room for an arrow, and hides the share."""
        header = self.view.horizontalHeader()
        assert header is not None
        for column in range(self.model.columnCount()):
            title = str(self.model.headerData(column, Qt.Orientation.Horizontal))
            width = header.fontMetrics().horizontalAdvance(title) + _MARGIN
            self.view.setColumnWidth(column, max(width, self.view.sizeHintForColumn(column)))

    def switch(self, frequency: Key, on: bool) -> None:
        """Switch a wave off or on, as a click on its check box does.

        Parameters
        ----------
        frequency : tuple of float
            The wave's frequency, in any channel.
        on : bool
        """
        if self.model.why_fixed:
            return
        for number, row in enumerate(self.model.rows):
            if frequency in row.frequencies:
                self.model.switch(number, on)

    def _export(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Export waves", "waves.csv", "Table (*.csv)")
        if name:
            try:
                self.write(Path(name))
            except OSError as error:
                show_error(f"Periodic noise: {error}")

    def write(self, path: Path) -> None:
        """Write the waves as CSV in the displayed order, atomically.

        Parameters
        ----------
        path : Path
        """
        order = [
            self._sorted.mapToSource(self._sorted.index(line, 0)).row()
            for line in range(self._sorted.rowCount())
        ]
        rows = [replace(self.model.rows[i], is_on=self.model.is_on[i]) for i in order]
        with replacing(path) as file:
            file.write(waves_as_csv(rows, self.model.pixel).encode())


def _in_digits(row: Row, period: float, digits: str) -> str:
    """A wave's period; of lines, which they are."""
    return row.lines if isinstance(row, LineRow) else f"{period:{digits}}"


def _columns(channels: Sequence[str], pixel: PixelSize | None) -> list[_Column]:
    spacing = "Distance from crest to crest, {}."
    columns = [
        _Column(
            "Period (px)",
            spacing.format("in pixels"),
            lambda row: row.period(),
            lambda row: _in_digits(row, row.period(), ".2f"),
        ),
        _Column(
            "Angle",
            "Direction of a wave: 0° means vertical stripes, 90° horizontal ones.\n"
            "Direction of lines: 0° means rows, 90° columns.",
            lambda row: row.angle,
            lambda row: f"{round(row.angle) % 180}°",
        ),
        _Column(
            "Amplitude",
            "How far the wave raises and lowers the image. In percent if it follows the\n"
            "brightness. Of lines, the root mean square.",
            lambda row: row.strength,
            lambda row: row.amplitude(channels),
        ),
        _Column(
            "Share",
            "Share of the variance of all the noise that was found. In colour images, in the\n"
            "channel where it is largest.",
            lambda row: row.share,
            lambda row: f"{100 * row.share:.2g}%",
        ),
        _Column(
            "False alarms",
            "Expected number of peaks as strong as this in an image without periodic noise.\n"
            "The smaller, the more certain.",
            lambda row: row.false_alarms,
            lambda row: f"{row.false_alarms:.0e}" if row.false_alarms else "<1e-300",
        ),
        _Column(
            "Family",
            "The kind of noise. A wave may be part of a lattice, or a harmonic, whose period is\n"
            "an integer fraction of a longer one. What is suggested may be the specimen's: tick\n"
            "it to remove it.",
            lambda row: row.family,
            lambda row: row.family,
        ),
    ]
    if pixel is not None:
        columns.insert(
            1,
            _Column(
                f"Period ({pixel.unit})",
                spacing.format("from the layer's scale"),
                lambda row: row.period(pixel.y, pixel.x),
                lambda row: _in_digits(row, row.period(pixel.y, pixel.x), ".3g"),
            ),
        )
    return columns
