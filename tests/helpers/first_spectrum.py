"""Child process of test_spectrum_window: looks at a spectrum, prints for how long that blocked.

A process of its own, because only the first spectrum in a process imports torch and matplotlib.
"""

import json
import sys

import napari
import numpy as np

from first_run import Stopwatch, wait


def main(size):
    measured = {}
    viewer = napari.Viewer(show_welcome_screen=False)
    y, x = np.indices((size, size), dtype=np.float32)
    grain = np.random.default_rng(0).normal(size=y.shape)
    pixels = (100 + 5 * grain + 20 * np.cos(0.31 * x + 0.12 * y)).astype(np.float32)
    viewer.add_image(pixels, scale=(0.1, 0.1), units=("um", "um"))
    _, dock = viewer.window.add_plugin_dock_widget("napari-periodic-denoise", "Periodic noise")
    panel = dock.spectrum
    wait(lambda: False, 1)
    measured["matplotlib before"] = "matplotlib.figure" in sys.modules
    stopwatch = Stopwatch()

    def looked(change):
        stopwatch.lap()
        change()
        wait(lambda: panel.spectrum is not None)
        wait(lambda: False, 0.5)
        return stopwatch.lap()

    measured["first"] = looked(lambda: dock.tabs.setCurrentWidget(dock.spectrum_page))
    measured["marks"] = looked(
        lambda: panel.show_waves({(0.02 * i, 0.1): True for i in range(20)})
    )
    measured["another"] = looked(lambda: panel.show_features("cosines"))
    measured["theme"] = looked(lambda: panel._apply_theme())
    print(json.dumps(measured))
    viewer.close()


if __name__ == "__main__":
    main(int(sys.argv[1]))
