"""Faults while the dock is at work: errors anywhere, cancels at any time, layers that change."""

import gc
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from napari.components import ViewerModel

from napari_periodic_denoise.viewer.layers import outcome, results
from napari_periodic_denoise.viewer.layers.plane import Plane
from napari_periodic_denoise.viewer.runs import jobs
from napari_periodic_denoise.viewer.widget import PeriodicNoiseDock


def names(viewer):
    return [layer.name for layer in viewer.layers]


RESULTS = ["cell", "cell noise", "cell cleaned"]


def broken(*arguments, **options):
    raise ZeroDivisionError("a bug")


STAGES = [
    (jobs, "load_engine"),
    (Plane, "of"),
    (jobs, "leaving_alpha"),
    (jobs, "outcome_of_plane"),
    (outcome.Outcome, "summary"),
    (results, "result_arguments"),
    (results, "find_result"),
    (results, "Image"),
    (results, "seed_cache"),
]


@pytest.mark.parametrize("update", [False, True])
@pytest.mark.parametrize(("module", "name"), STAGES, ids=[name for _, name in STAGES])
def test_an_error_at_any_stage_is_reported_and_leaves_nothing(
    dock, viewer, image, engine, wait, notifications, monkeypatch, module, name, update
):
    viewer.add_image(image, name="cell")
    if update:
        dock.run_button.changed.emit(True)
        wait()
    before = names(viewer)
    with monkeypatch.context() as patch:
        patch.setattr(module, name, property(broken) if name == "summary" else broken)
        dock.run_button.changed.emit(True)
        wait()
    is_used = not (update and name == "Image")  # no layer is made for an update
    assert ("unexpected error" in dock.status.value) == is_used
    assert len(notifications) == is_used
    if name != "summary":
        assert names(viewer) == before
    assert dock.run_button.text == "Run"
    assert dock.run_button.enabled
    assert not dock.progress.visible
    dock.run_button.changed.emit(True)
    wait()
    assert names(viewer) == RESULTS


def test_cancelled_200_times_at_any_moment(
    dock, viewer, image, engine, wait, qtbot, notifications
):
    viewer.add_image(image, name="cell")
    moment = random.Random(0)
    threads, frozen = torch.get_num_threads(), gc.get_freeze_count()
    ended, cancelled = 0, 0
    before = image.copy()
    for _ in range(200):
        dock.run_button.changed.emit(True)
        qtbot.wait(moment.choice([0, 0, 1, 5, 20, 50, 100, 150]))
        if dock.running and dock.run_button.enabled:
            dock.run_button.changed.emit(True)
            cancelled += 1
        elif moment.random() < 0.5:
            dock.stop()
        wait()
        ended += names(viewer) == RESULTS
        assert names(viewer) in (["cell"], RESULTS)
        assert dock.run_button.text == "Run"
        assert dock.run_button.enabled
        if moment.random() < 0.3:
            del viewer.layers[1:]
    assert cancelled > 50
    assert ended > 10
    assert not notifications
    np.testing.assert_array_equal(image, before)
    assert torch.get_num_threads() == threads
    assert gc.get_freeze_count() == frozen
    assert gc.isenabled()


def test_two_viewers_at_once(viewer, image, engine, qtbot, notifications):
    viewers = [viewer, ViewerModel()]
    docks = [PeriodicNoiseDock(each) for each in viewers]
    for number, each in enumerate(viewers):
        each.add_image(image + np.uint8(number), name="cell")
        docks[number].reset_choices()
    engine.hold.set()
    for dock in docks:
        dock.run_button.changed.emit(True)
    qtbot.waitUntil(lambda: all("1 wave" in dock.status.value for dock in docks))
    docks[0].run_button.changed.emit(True)  # cancels
    qtbot.waitUntil(lambda: not docks[0].running)
    assert docks[1].running
    assert names(viewers[0]) == ["cell"]
    engine.hold.clear()
    qtbot.waitUntil(lambda: not docks[1].running)
    assert names(viewers[1]) == RESULTS
    docks[0].run_button.changed.emit(True)
    qtbot.waitUntil(lambda: not docks[0].running)
    for number, each in enumerate(viewers):
        assert names(each) == RESULTS
        noise, cleaned = each.layers[1].data, each.layers[2].data
        wanted = (image + np.uint8(number) - noise).astype(np.uint8)
        np.testing.assert_array_equal(cleaned, wanted)
    assert not notifications


def test_a_layer_renamed_during_a_run_is_still_the_same(dock, viewer, image, engine, wait, qtbot):
    source = viewer.add_image(image, name="cell")
    engine.hold.set()
    dock.run_button.changed.emit(True)
    qtbot.waitUntil(lambda: "1 wave" in dock.status.value)
    source.name = "nucleus"
    engine.hold.clear()
    wait()
    assert names(viewer) == ["nucleus", "nucleus noise", "nucleus cleaned"]
    assert dock.layer.value is source


@pytest.mark.parametrize("shape", [(32, 40), (20, 90)])
def test_data_replaced_during_a_run(
    dock, viewer, image, engine, wait, qtbot, notifications, shape
):
    """The result is of the data that the run was begun with, in its place."""
    source = viewer.add_image(image, name="cell", scale=(2, 2))
    engine.hold.set()
    dock.run_button.changed.emit(True)
    qtbot.waitUntil(lambda: "1 wave" in dock.status.value)
    source.data = np.zeros(shape, np.uint16)
    engine.hold.clear()
    wait()
    assert not notifications
    assert names(viewer) == RESULTS
    assert viewer.layers[1].data.shape[-2:] == image.shape
    np.testing.assert_array_equal(
        viewer.layers[2].data.squeeze(), (image - viewer.layers[1].data.squeeze()).astype("u1")
    )
    assert tuple(viewer.layers[2].scale)[-2:] == (2, 2)
    assert dock.run_button.enabled
    dock.run_button.changed.emit(True)
    wait()
    assert not notifications


def test_data_of_other_axes_stop_the_run(dock, viewer, image, engine, wait, qtbot, notifications):
    source = viewer.add_image(image, name="cell")
    engine.hold.set()
    dock.run_button.changed.emit(True)
    qtbot.waitUntil(lambda: "1 wave" in dock.status.value)
    source.data = np.stack([image] * 3)
    qtbot.waitUntil(lambda: not dock.running)  # though the engine would go on
    assert dock.status.value == "Cancelled: the layer's data changed."
    assert names(viewer) == ["cell"]
    assert not notifications
    engine.hold.clear()
    dock.run_button.changed.emit(True)
    wait()
    assert names(viewer) == RESULTS


RUNS = """
import gc
import numpy as np
from napari.components import ViewerModel
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from napari_periodic_denoise.viewer.widget import PeriodicNoiseDock

def memory():
    gc.collect()
    with open("/proc/self/statm") as told:
        return int(told.read().split()[1])

app = QApplication([])
viewer = ViewerModel()
y, x = np.mgrid[:64, :64]
image = 100.0 * (np.hypot(y - 30, x - 35) < 15) + 5 * np.cos(2 * np.pi * (0.11 * y + 0.07 * x))
viewer.add_image(image.astype(np.float32))
dock = PeriodicNoiseDock(viewer)
for run in range(100):
    dock.run_button.changed.emit(True)
    while dock.running:
        QTest.qWait(2)
    assert len(viewer.layers) == 3, dock.status.value
    if run == 19:
        print(memory())
print(memory())
dock.native.deleteLater()
app.processEvents()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_after_100_runs_memory_is_what_it_was():
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUNS], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    assert abs(after / before - 1) < 0.05
