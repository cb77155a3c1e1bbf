"""Take the screenshots of the documentation, in a real napari window.

Without a screen:
``xvfb-run -a -s "-screen 0 1400x1000x24" python -m docs.make_screenshots``. The choices that the
dock remembers are reset.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import napari
import numpy as np
from qtpy.QtCore import QRect, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget
from skimage.data import cell

from napari_periodic_denoise.viewer.preferences import settings_file

IMAGES = Path(__file__).parent / "images"
PLUGIN, DOCK = "napari-periodic-denoise", "Periodic noise"


def wait(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Let napari run until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        QApplication.processEvents()
        time.sleep(0.01)


def pause(seconds: float) -> None:
    """Let napari draw."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() > end)


def dock() -> None:
    """Save the dock, with source, noise and cleaned image side by side."""
    viewer = napari.Viewer(show_welcome_screen=False)
    viewer.window.resize(1400, 600)
    viewer.open_sample(PLUGIN, "cell")
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, DOCK)
    dock.min_width = 350  # room for the whole title
    pause(1)
    QTest.mouseClick(dock.run_button.native, Qt.MouseButton.LeftButton)
    wait(lambda: len(viewer.layers) == 3 and not dock.running)
    grid = viewer.canvas.grid
    grid.shape, grid.stride, grid.enabled = (1, 3), 1, True
    camera = viewer.scene.camera
    camera.center, camera.zoom = (0, 330, 405), 0.85  # on the cell
    pause(1)
    viewer.screenshot(str(IMAGES / "dock.png"), canvas_only=False, flash=False)
    viewer.close()


def stack() -> None:
    """Save the dock for a lazy stack, with source, noise and cleaned image side by side."""
    viewer = napari.Viewer(show_welcome_screen=False)
    viewer.window.resize(1400, 600)
    image = cell()
    y, x = np.indices(image.shape)

    def plane(block_info: dict[Any, Any]) -> np.ndarray:
        t = block_info[None]["chunk-location"][0]
        hum = 12 * np.cos(2 * np.pi * (0.037 * y + 0.049 * x) + t)
        moved = np.roll(image, 2 * t, axis=1)
        return np.rint(0.6 * moved + 51 + hum).astype(np.uint8)[np.newaxis]

    chunks = ((1,) * 60, *((n,) for n in image.shape))
    movie = da.map_blocks(plane, chunks=chunks, dtype=np.uint8, meta=np.empty((0,) * 3, np.uint8))
    viewer.add_image(movie, name="movie", contrast_limits=(0, 255))
    viewer.dims.set_current_step(0, 7)
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, DOCK)
    dock.min_width = 350
    dock.planes.value = "per_plane"
    pause(1)
    QTest.mouseClick(dock.run_button.native, Qt.MouseButton.LeftButton)
    wait(lambda: len(viewer.layers) == 3 and not dock.running)
    grid = viewer.canvas.grid
    grid.shape, grid.stride, grid.enabled = (1, 3), 1, True
    camera = viewer.scene.camera
    camera.center, camera.zoom = (0, 330, 405), 0.85
    pause(1)
    viewer.screenshot(str(IMAGES / "stack.png"), canvas_only=False, flash=False)
    viewer.close()


def texture() -> None:
    """Save the dock with missing weights, a growing texture, and Gram matrices."""
    os.environ["TORCH_HOME"] = "/home/you/.cache/torch"  # has no weights
    viewer = napari.Viewer(show_welcome_screen=False)
    viewer.window.resize(1400, 600)
    viewer.open_sample(PLUGIN, "cell")
    docked, dock = viewer.window.add_plugin_dock_widget(PLUGIN, DOCK)
    dock.min_width = 350
    panel = dock.method_panel
    panel.method.value = "texture"
    wait(lambda: bool(panel.missing.visible))
    pause(1)
    last = panel.unfold.native
    bottom = last.mapTo(docked, last.rect().bottomLeft()).y()
    docked.grab(QRect(0, 0, docked.width(), bottom + 10)).save(str(IMAGES / "weights.png"))
    panel.features.value, panel.weights.value = "vgg16", "random"
    panel.optimizer.value, panel.texture_steps.value, panel.max_size.value = "lbfgs", 100, 256
    panel.unfold.value = panel.gram.value = True
    QTest.mouseClick(dock.run_button.native, Qt.MouseButton.LeftButton)
    wait(lambda: "step 60 " in dock.status.value, 300)
    pause(0.1)
    viewer.screenshot(str(IMAGES / "texture.png"), canvas_only=False, flash=False)
    wait(lambda: not dock.running, 300)
    viewer.layers.selection.active = viewer.layers[0]
    for layer in viewer.layers[1:3]:
        layer.visible = False
    viewer.reset_view()
    pause(1)
    viewer.screenshot(str(IMAGES / "gram.png"), canvas_only=False, flash=False)
    viewer.close()


def tutorial() -> None:
    """Save the screenshots of the tutorial, step by step."""
    viewer = napari.Viewer(show_welcome_screen=False)
    viewer.window.resize(1400, 700)

    def shoot(name: str) -> None:
        pause(1)
        viewer.screenshot(str(IMAGES / name), canvas_only=False, flash=False)

    def shoot_page(page: QWidget, name: str) -> None:
        dock.tabs.setCurrentWidget(page)
        pause(5)  # the spectrum is computed when it is first shown
        docked.grab().save(str(IMAGES / name))

    viewer.open_sample(PLUGIN, "cell")
    docked, dock = viewer.window.add_plugin_dock_widget(PLUGIN, DOCK)
    dock.min_width = 350
    shoot("tutorial-open.png")
    dock.preview.on.value = True
    wait(lambda: dock.preview.layer is not None)
    shoot("tutorial-preview.png")
    QTest.mouseClick(dock.run_button.native, Qt.MouseButton.LeftButton)
    wait(lambda: len(viewer.layers) == 3 and not dock.running)
    shoot("tutorial-run.png")
    shoot_page(dock.found_page, "tutorial-found.png")
    shoot_page(dock.spectrum_page, "tutorial-spectrum.png")
    viewer.close()


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    for part in (dock, stack, texture, tutorial):
        choices = settings_file()
        if choices is not None:  # each starts as a new user does
            choices.unlink(missing_ok=True)
        part()
