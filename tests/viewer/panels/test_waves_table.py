"""The table of waves, by mouse and keyboard, without napari."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_periodic_denoise import NoiseEstimate, Wave
from napari_periodic_denoise.noise.outcome import Outcome
from napari_periodic_denoise.records.record import record
from napari_periodic_denoise.records.table import rows
from napari_periodic_denoise.viewer.layers.pixel_size import PixelSize
from napari_periodic_denoise.viewer.panels import waves_table
from napari_periodic_denoise.viewer.panels.waves_table import WavesTable

LONG = Wave((0.0, 0.05), 9.0, 0.0, 1e-9, 100.0, share=0.7)
SHORT = replace(LONG, frequency=(0.25, 0.0), amplitude=3.0, share=0.1, false_alarms=0.0)
MIDDLE = replace(LONG, frequency=(0.1, 0.1), amplitude=5.0, share=0.2, false_alarms=1e-4)


def rows_of(*waves, shape=(200, 300)):
    noise = np.zeros(shape, np.float32)
    settings = {"channel_axis": None if len(shape) == 2 else 2}
    settings |= {"method": "aligned", "remainder": "none"}
    return rows(record(NoiseEstimate(noise, noise, waves, settings, 0.5, 0.0, ())))


@pytest.fixture
def table(qtbot):
    table = WavesTable()
    qtbot.addWidget(table)
    table.resize(600, 300)
    table.show_waves(rows_of(LONG, MIDDLE, SHORT))
    return table


@pytest.fixture
def switched(table):
    heard = []
    table.switched.connect(heard.append)
    return heard


def test_columns_are_as_wide_as_their_words(table):
    header = table.view.horizontalHeader()
    titles = [table.model.headerData(i, Qt.Orientation.Horizontal) for i in range(4)]
    assert titles == ["Period (px)", "Angle", "Amplitude", "Share"]
    for number, title in enumerate(titles):
        words = header.fontMetrics().horizontalAdvance(title)
        widest = max(words, table.view.sizeHintForColumn(number))
        assert widest <= table.view.columnWidth(number) <= widest + 10


def test_another_image_is_shown_from_the_left(table):
    table.resize(150, 300)
    table.show()
    scroll = table.view.horizontalScrollBar()
    scroll.setValue(scroll.maximum())
    assert scroll.value() > 0
    table.show_waves(rows_of(SHORT))
    assert scroll.value() == 0


def column(table, title):
    """The texts of a column, from top to bottom."""
    shown = table.view.model()
    titles = [shown.headerData(i, Qt.Orientation.Horizontal) for i in range(shown.columnCount())]
    return [shown.index(i, titles.index(title)).data() for i in range(shown.rowCount())]


def place_of_tick(table, line):
    cell = table.view.visualRect(table.view.model().index(line, 0))
    return QPoint(cell.left() + 10, cell.center().y())


def click_tick(table, line):
    QTest.mouseClick(
        table.view.viewport(), Qt.MouseButton.LeftButton, pos=place_of_tick(table, line)
    )


def test_the_columns_of_each_wave(table):
    assert column(table, "Period (px)") == ["20.00", "7.07", "4.00"]
    assert column(table, "Angle") == ["0°", "45°", "90°"]
    assert column(table, "Amplitude") == ["±9", "±5", "±3"]
    assert column(table, "Share") == ["70%", "20%", "10%"]
    assert column(table, "False alarms") == ["1e-09", "1e-04", "<1e-300"]
    assert column(table, "Family") == ["constant"] * 3
    shown = table.view.model()
    tooltips = [
        shown.headerData(i, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole)
        for i in range(shown.columnCount())
    ]
    assert all(tooltips)
    assert len(set(tooltips)) == 6


def test_periods_in_the_layers_unit(table):
    table.show_waves(rows_of(LONG, SHORT), pixel=PixelSize(0.5, 2.0, "µm"))
    assert column(table, "Period (µm)") == ["40", "2"]


def test_channels_are_named(table):
    table.show_waves(rows_of(LONG, replace(LONG, channel=2), shape=(200, 300, 3)), channels="rgb")
    assert column(table, "Amplitude") == ["±9 (r), ±9 (b)"]


def test_ticks_are_clicked(table, switched):
    click_tick(table, 1)
    assert switched == [[MIDDLE.frequency]]
    click_tick(table, 2)
    assert switched[-1] == [MIDDLE.frequency, SHORT.frequency]
    click_tick(table, 1)
    click_tick(table, 2)
    assert switched[-1] == []


def test_the_space_bar_switches_wherever_the_cursor_is(table, switched):
    view = table.view
    view.setCurrentIndex(view.model().index(2, 3))
    QTest.keyClick(view, Qt.Key.Key_Space)
    assert switched == [[SHORT.frequency]]
    QTest.keyClick(view, Qt.Key.Key_Up)
    QTest.keyClick(view, Qt.Key.Key_Space)
    assert switched[-1] == [MIDDLE.frequency, SHORT.frequency]
    QTest.keyClick(view, Qt.Key.Key_Space)
    assert switched[-1] == [SHORT.frequency]


def test_headings_sort_and_ticks_stay_with_their_wave(table, switched):
    header = table.view.horizontalHeader()
    for expected in (["±3", "±5", "±9"], ["±9", "±5", "±3"]):
        where = QPoint(header.sectionViewportPosition(0) + 20, header.height() // 2)
        QTest.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=where)
        assert column(table, "Amplitude") == expected
    QTest.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=where)
    click_tick(table, 0)
    assert switched == [[SHORT.frequency]]
    table.show_waves(rows_of(LONG, MIDDLE, SHORT))
    assert column(table, "Amplitude") == ["±9", "±5", "±3"]


def test_waves_are_switched_by_their_frequency(table, switched):
    table.switch(MIDDLE.frequency, on=False)
    table.switch(MIDDLE.frequency, on=False)
    table.switch((0.4, 0.4), on=False)
    assert switched == [[MIDDLE.frequency]]
    assert table.model.is_on == [True, False, True]


def test_ticks_that_cannot_be_changed_say_why(table, switched):
    table.show_waves(rows_of(LONG), why_fixed="because")
    click_tick(table, 0)
    table.view.setCurrentIndex(table.view.model().index(0, 0))
    QTest.keyClick(table.view, Qt.Key.Key_Space)
    table.switch(LONG.frequency, on=False)
    assert switched == []
    assert table.view.model().index(0, 0).data(Qt.ItemDataRole.ToolTipRole) == "because"


def test_without_waves_there_is_no_table(table):
    table.show_waves([])
    assert table.isHidden()


def test_export_has_the_displayed_order_and_is_atomic(table, tmp_path, monkeypatch, notifications):
    table.view.sortByColumn(0, Qt.SortOrder.AscendingOrder)
    table.switch(MIDDLE.frequency, on=False)
    path = tmp_path / "waves.csv"
    asked = []
    monkeypatch.setattr(
        waves_table.QFileDialog,
        "getSaveFileName",
        lambda *arguments: asked.append(arguments) or (str(path), ""),
    )
    table.export.native.click()
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["period_px"]) for line in lines] == pytest.approx([4, 7.07, 20], rel=1e-3)
    assert [line["on"] for line in lines] == ["1", "0", "1"]
    path = tmp_path / "waves.csv" / "within a file.csv"
    table.export.native.click()
    assert "Periodic noise: " in notifications[-1].message
    path = ""
    table.export.native.click()
    assert len(asked) == 3
    assert [file.name for file in tmp_path.iterdir()] == ["waves.csv"]


def test_a_suggested_lattice_is_switched_as_a_whole(table, switched):
    waves = [replace(wave, outcome=Outcome.SUGGESTED) for wave in (MIDDLE, SHORT)]
    settings = {"channel_axis": None, "method": "aligned", "remainder": "none"}
    noise = np.zeros((200, 300), np.float32)
    estimate = NoiseEstimate(noise, noise, (LONG,), settings, 0.5, 0.0, (), kept_waves=(*waves,))
    table.show_waves(rows(record(estimate)))
    assert column(table, "Family") == ["constant", "constant, suggested", "constant, suggested"]
    assert table.model.off == [MIDDLE.frequency, SHORT.frequency]
    click_tick(table, 2)
    assert switched == [[]]
    click_tick(table, 0)
    assert switched[-1] == [LONG.frequency]
    click_tick(table, 1)
    assert switched[-1] == [LONG.frequency, MIDDLE.frequency, SHORT.frequency]
