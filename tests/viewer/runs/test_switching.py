"""Waves switched off and on in the dock: no window, a quick engine, but really switched."""

import json
import time
from dataclasses import replace
from threading import Event

import dask.array
import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from fakes import make_estimate
from napari_periodic_denoise import select_waves
from napari_periodic_denoise.noise.outcome import Outcome
from napari_periodic_denoise.viewer.layers.outcome import outcome_of_plane
from napari_periodic_denoise.viewer.layers.plane import Plane
from napari_periodic_denoise.viewer.panels.found import NO_RESULT, UNREADABLE
from napari_periodic_denoise.viewer.runs import jobs, thread
from napari_periodic_denoise.viewer.widget import EARLIER_RUN, RUN_ON_ALL_PLANES

WAVE = (0.0, 0.1)  # of the fake engine


@pytest.fixture
def result(dock, viewer, image, engine, wait):
    """Source, noise and cleaned layer of a run."""
    viewer.add_image(image, name="cell")
    dock.run_button.native.click()
    wait()
    return list(viewer.layers)


@pytest.fixture
def settle(dock, qtbot):
    def settle():
        qtbot.waitUntil(lambda: not dock.switching.is_busy, timeout=5000)

    return settle


def why_fixed(dock):
    return dock.found.table.model.why_fixed


def test_both_layers_follow_and_come_back(dock, viewer, image, result, settle):
    source, noise, cleaned = result
    first = {layer: (layer.data, layer.metadata) for layer in (noise, cleaned)}
    words = dock.found.words.value, dock.status.value
    limits = noise.contrast_limits = [-7, 7]
    dock.found.table.switch(WAVE, on=False)
    settle()
    fewer = select_waves(image, make_estimate(image), [WAVE])
    np.testing.assert_array_equal(noise.data, fewer.noise)
    np.testing.assert_array_equal(cleaned.data, fewer.cleaned)
    assert list(viewer.layers) == result
    assert noise.contrast_limits == limits
    for layer in (noise, cleaned):
        record = layer.metadata["periodic_noise"]
        assert record["settings"]["off"] == [list(WAVE)]
        assert [wave["frequency"] for wave in record["off"]] == [list(WAVE)]
        assert record["waves"] == []
    assert dock.found.words.value.startswith("All noise that was found is switched off")
    assert dock.status.value == "nothing removed"
    assert source.data is image
    dock.found.table.switch(WAVE, on=True)
    settle()
    for layer, (data, metadata) in first.items():
        assert layer.data is data
        assert layer.metadata == metadata
    assert (dock.found.words.value, dock.status.value) == words


def test_a_suggested_wave_is_visible_when_ticked(dock, result, settle, image):
    source, noise, _ = result
    whole = dock.switching.outcome.estimate
    waves = tuple(replace(wave, outcome=Outcome.SUGGESTED) for wave in whole.waves)
    nothing = np.zeros_like(whole.noise)
    kept = replace(whole, noise=nothing, cleaned=image, waves=(), kept_waves=waves)
    held = outcome_of_plane(image, kept, Plane())
    noise.contrast_limits = held.limits
    dock.switching.hold(source, held)
    fixed = noise.contrast_limits
    dock.switching.show([])
    settle()
    assert noise.data.max() == pytest.approx(3, rel=1e-3)
    assert noise.contrast_limits == pytest.approx([-3, 3], rel=1e-3)
    assert fixed == [-1, 1]
    dock.switching.show([WAVE])
    settle()
    assert not noise.data.any()


def test_the_latest_request_counts(dock, viewer, result, settle, qtbot, monkeypatch):
    requests, hold = [], Event()
    select = jobs.select

    def slow(outcome, off):
        requests.append(list(off))
        yield thread.Status("switching waves")
        hold.wait()
        return (yield from select(outcome, off))

    monkeypatch.setattr(jobs, "select", slow)
    shown = []
    result[1].events.data.connect(lambda: shown.append(bool(result[1].data.any())))
    for on in (False, True, False, True, False):
        dock.found.table.switch(WAVE, on=on)
        qtbot.wait(10)
    hold.set()
    settle()
    assert requests == [[WAVE], [WAVE]]
    assert shown == [False]
    assert not result[2].metadata["periodic_noise"]["waves"]


def test_a_layer_that_was_removed_stays_away(dock, viewer, image, result, settle):
    source, noise, cleaned = result
    viewer.layers.remove(noise)
    dock.found.table.switch(WAVE, on=False)
    settle()
    assert list(viewer.layers) == [source, cleaned]
    np.testing.assert_array_equal(cleaned.data, image)


@pytest.mark.parametrize("channels", [3, 4])
def test_colours(dock, viewer, image, engine, wait, settle, channels):
    pixels = np.stack([image + channel for channel in range(channels)], axis=-1)
    viewer.add_image(pixels, rgb=True, name="slide")
    dock.run_button.native.click()
    wait()
    _, red, green, _, cleaned = viewer.layers
    assert red.data.any()
    dock.found.table.switch(WAVE, on=False)
    settle()
    assert not red.data.any()
    assert not green.data.any()
    np.testing.assert_array_equal(cleaned.data, pixels)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("multiscale", [False, True])
def test_a_plane_of_a_stack(dock, viewer, engine, wait, settle, lazy, multiscale):
    data = np.random.default_rng(0).integers(50, 90, (4, 32, 40), dtype=np.uint8)
    levels = [data, data[:, ::2, ::2]]
    if lazy:
        levels = [dask.array.from_array(level) for level in levels]
    shown = levels if multiscale else levels[0]
    viewer.add_image(shown, multiscale=multiscale, name="stack", contrast_limits=(0, 255))
    viewer.dims.current_step = (2, 0, 0)
    dock.run_button.native.click()
    wait()
    _, noise, cleaned = viewer.layers
    viewer.dims.current_step = (1, 0, 0)
    dock.found.table.switch(WAVE, on=False)
    settle()
    assert noise.translate[0] == cleaned.translate[0] == 2
    finest = cleaned.data[0] if multiscale else cleaned.data
    np.testing.assert_array_equal(finest, data[2:3])
    assert cleaned.metadata["periodic_noise"]["plane"] == [2]


def test_waves_of_all_planes_cannot_be_switched(dock, viewer, engine, wait):
    viewer.add_image(np.random.default_rng(0).integers(0, 99, (3, 32, 40), dtype=np.uint8))
    dock.planes.value = "per_plane"
    dock.run_button.native.click()
    wait()
    assert why_fixed(dock) == RUN_ON_ALL_PLANES


def test_the_selected_result_is_shown(dock, viewer, image, engine, result, wait, settle):
    source, noise, _ = result
    dock.found.table.switch(WAVE, on=False)
    settle()
    engine.amplitude = 6
    other = viewer.add_image(image + 1, name="other")
    assert dock.found.words.value == NO_RESULT
    dock.run_button.native.click()
    wait()
    table = dock.found.table.model
    assert table.rows[0].amplitude(()) == "±6"
    assert why_fixed(dock) == ""
    dock.found.table.switch(WAVE, on=False)
    settle()
    for selected in (source, noise):
        viewer.layers.selection.active = selected
        assert table.rows[0].amplitude(()) == "±3"
        assert why_fixed(dock) == EARLIER_RUN
        assert table.is_on == [False]
    viewer.layers.selection.active = other
    assert table.rows[0].amplitude(()) == "±6"
    assert why_fixed(dock) == ""
    assert table.is_on == [False]
    viewer.add_labels(np.zeros((32, 40), int))
    assert table.rows[0].amplitude(()) == "±6"


def test_a_result_of_another_session_is_shown(dock, viewer, result):
    record = json.loads(json.dumps(result[2].metadata["periodic_noise"]))
    data = result[2].data
    viewer.layers.clear()
    assert dock.found.words.value == NO_RESULT
    viewer.add_image(data, metadata={"periodic_noise": record})
    assert dock.found.words.value.startswith("1 wave removed")
    assert why_fixed(dock) == EARLIER_RUN


def test_a_record_that_cannot_be_read_is_reported(dock, viewer, image, notifications):
    viewer.add_image(image, metadata={"periodic_noise": {"version": "0.0.1", "planes": []}})
    assert dock.found.words.value == UNREADABLE
    assert not notifications


@pytest.mark.parametrize("record", ["50 Hz", {"result": "preview"}, {}])
def test_other_metadata_are_not_shown_as_results(dock, viewer, image, record):
    viewer.add_image(image, metadata={"periodic_noise": record})
    assert dock.found.words.value == NO_RESULT


def test_without_its_source_a_result_stays_as_it_is(dock, viewer, result, qtbot):
    source, noise, _ = result
    viewer.layers.selection.active = noise
    viewer.layers.remove(source)
    assert dock.switching.outcome is None
    assert dock.found.words.value.startswith("1 wave removed")
    assert why_fixed(dock) == EARLIER_RUN


@pytest.mark.parametrize("ending", ["dock closed", "source removed", "run again"])
def test_a_running_switch_is_abandoned(
    dock, viewer, engine, result, qtbot, wait, monkeypatch, notifications, ending
):
    source, noise, _ = result
    begun, hold = Event(), Event()
    select = jobs.select

    def slow(outcome, off):
        yield thread.Status("switching waves")
        begun.set()
        hold.wait()
        return (yield from select(outcome, off))

    monkeypatch.setattr(jobs, "select", slow)
    window = QWidget()
    dock.native.setParent(window)
    dock.found.table.switch(WAVE, on=False)
    qtbot.waitUntil(begun.is_set)
    started = time.perf_counter()
    if ending == "dock closed":
        dock.native.setParent(None)
    elif ending == "source removed":
        viewer.layers.remove(source)
    else:
        dock.run_button.native.click()
        wait()
    qtbot.waitUntil(lambda: not dock.switching.is_busy)
    assert time.perf_counter() - started < 2
    hold.set()
    qtbot.wait(100)
    assert noise.data.any()
    assert not notifications


def test_an_error_is_reported_and_the_layers_stay(
    dock, viewer, result, settle, monkeypatch, notifications
):
    def fail(_outcome, _off):
        yield thread.Status("switching waves")
        raise thread.CannotRunError("There is not enough memory.")

    monkeypatch.setattr(jobs, "select", fail)
    dock.found.table.switch(WAVE, on=False)
    settle()
    assert dock.status.value == "There is not enough memory."
    assert "not enough memory" in notifications[-1].message
    assert result[1].data.any()
    assert dock.found.table.model.is_on == [True]
    assert why_fixed(dock) == EARLIER_RUN


def test_ticks_and_layers_follow_the_space_bar(dock, result, settle, qtbot):
    view = dock.found.table.view
    view.setCurrentIndex(view.model().index(0, 2))
    qtbot.keyClick(view, Qt.Key.Key_Space)
    settle()
    assert isinstance(result[1], Image)
    assert not result[1].data.any()
