"""The panel of the result, without a viewer."""

import json

import numpy as np
import pytest

from fakes import make_estimate
from napari_periodic_denoise import select_waves
from napari_periodic_denoise.records.record import record
from napari_periodic_denoise.viewer.layers.outcome import outcome_of_plane, outcome_of_selection
from napari_periodic_denoise.viewer.layers.pixel_size import PixelSize
from napari_periodic_denoise.viewer.layers.plane import Plane
from napari_periodic_denoise.viewer.panels.found import NO_RESULT, UNREADABLE, FoundPanel

IMAGE = np.full((20, 30), 100, np.uint8)


@pytest.fixture
def panel(qtbot):
    panel = FoundPanel()
    qtbot.addWidget(panel)
    return panel


def found_in(**options):
    """A result's record, as after a file has been read."""
    return json.loads(json.dumps(record(make_estimate(IMAGE, **options))))


def amplitudes(panel):
    return [row.amplitude(()) for row in panel.table.model.rows]


def test_without_a_result(panel):
    assert panel.words.value == NO_RESULT == "No result yet. Press Run."
    assert panel.table.isHidden()
    panel.show_result(found_in(), (), None)
    panel.show_nothing()
    assert panel.words.value == NO_RESULT
    assert amplitudes(panel) == []


def test_words_and_table(panel):
    panel.show_result(found_in(), (), PixelSize(0.5, 0.5, "µm"), why_fixed="because")
    assert panel.words.value.startswith("1 wave removed")
    assert amplitudes(panel) == ["±3"]
    assert panel.table.model.pixel == PixelSize(0.5, 0.5, "µm")
    assert panel.table.model.why_fixed == "because"
    assert "Gram" not in panel.words.value
    panel.show_result(found_in(gram=True), (), None)
    assert "Gram matrices are to the right" in panel.words.value


def test_of_several_planes_the_displayed_one(panel):
    planes = [{"plane": [i], **found_in(amplitude=3.0 + i)} for i in range(3)]
    found = {"model": "per_plane", "planes": planes}
    for plane, expected in (((2,), "±5"), ((0,), "±3"), ((9,), "±3")):
        panel.show_result(found, plane, None)
        assert amplitudes(panel) == [expected]
    panel.show_result(found, (1,), None)
    assert panel.words.value.startswith("Plane 1:")


def test_waves_that_are_off_stay_in_the_table(panel):
    estimate = make_estimate(IMAGE)
    whole = outcome_of_plane(IMAGE, estimate, Plane())
    fewer = outcome_of_selection(whole, select_waves(IMAGE, estimate, [(0.0, 0.1)]))
    panel.show_result(fewer.found, (), None, whole=whole.found)
    assert panel.table.model.is_on == [False]
    before = panel.table.model.rows
    panel.show_result(whole.found, (), None, whole=whole.found)
    assert panel.table.model.rows is before  # a table in use keeps its order and cursor


@pytest.mark.parametrize(
    "broken",
    [
        {"waves": []},
        {"waves": [{"frequency": [0.1, 0]}], "settings": {}, "off": [], "rejected": []},
        {"planes": []},
        {"planes": 3, "settings": None},
        {"waves": None, "off": None, "settings": {"channel_axis": -1}},
    ],
)
def test_a_record_that_cannot_be_read(panel, broken):
    panel.show_result(found_in(), (), None)
    panel.show_result({"version": "0.0.1", **broken}, (), None)
    assert panel.words.value == UNREADABLE
    assert panel.table.isHidden()
