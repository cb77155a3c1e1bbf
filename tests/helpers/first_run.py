"""Child process of test_window: opens napari, the dock, clicks Run, prints what it measured.

A process of its own, because only the first run in a process imports torch.
"""

import json
import sys
import time

import napari
import numpy as np
from qtpy.QtCore import QEventLoop, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication


class Stopwatch:
    """Measures how long the event loop is blocked: the gaps between a timer's ticks."""

    def __init__(self):
        self.gaps = []
        self.timer = QTimer()
        self.timer.setTimerType(Qt.TimerType.PreciseTimer)
        self.timer.timeout.connect(self.tick)
        self.last = time.perf_counter()
        self.timer.start(5)

    def tick(self):
        now = time.perf_counter()
        self.gaps.append(now - self.last)
        self.last = now

    def lap(self):
        """Return the largest gap since the last lap."""
        self.tick()
        largest = max(self.gaps)
        self.gaps.clear()
        return largest


def wait(condition, seconds=60.0):
    # a real event loop, as napari's: polling it would wait for Python's lock at every turn
    end = time.perf_counter() + seconds
    loop, timer = QEventLoop(), QTimer()
    timer.timeout.connect(lambda: (condition() or time.perf_counter() > end) and loop.quit())
    timer.start(10)
    loop.exec()
    timer.stop()


def moire(size, dtype):
    y, x = np.indices((size, size), dtype=np.float32)
    scene = 40 * np.sin(x / 300) * np.cos(y / 200)
    grain = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    return (100 + scene + 3 * grain + 20 * np.cos(0.31 * x + 0.12 * y)).astype(dtype)


def main(dtype):
    measured = {}
    viewer = napari.Viewer(show_welcome_screen=False)
    viewer.add_image(moire(4096, dtype), contrast_limits=(0, 200))
    wait(lambda: False, 1)

    started = time.perf_counter()
    _, dock = viewer.window.add_plugin_dock_widget("napari-periodic-denoise", "Periodic noise")
    QApplication.processEvents()
    measured["opening"] = time.perf_counter() - started
    measured["imported before Run"] = sorted({"torch", "dask.array"} & set(sys.modules))

    # what napari itself takes to add a layer here, however small
    stopwatch = Stopwatch()
    viewer.add_image(np.zeros((16, 16), np.uint8))
    wait(lambda: False, 0.5)
    measured["napari's own"] = stopwatch.lap()
    viewer.layers.selection.active = viewer.layers[0]
    wait(lambda: False, 0.5)

    for run in ("first", "second"):
        stopwatch.lap()
        QTest.mouseClick(dock.run_button.native, Qt.MouseButton.LeftButton)
        wait(lambda: dock.status.value == "Adding the layers…" or not dock.running)
        measured[f"{run} run"] = stopwatch.lap()
        wait(lambda: not dock.running)
        wait(lambda: False, 0.3)
        measured[f"{run} arrival"] = stopwatch.lap()
    measured["layers"] = len(viewer.layers)
    print(json.dumps(measured))
    viewer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
