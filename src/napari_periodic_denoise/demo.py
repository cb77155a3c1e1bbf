"""The ``napari-periodic-denoise demo`` command: files, a figure and a viewer of the samples."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_periodic_denoise.io.images import Calibration, one_line, write_image

if TYPE_CHECKING:
    from napari_periodic_denoise.noise.result import NoiseEstimate
    from napari_periodic_denoise.samples import Sample

_ZOOM = 120  # pixels; a layout choice: single waves are visible


def write_demo(sample: Sample, estimate: NoiseEstimate, folder: Path) -> Path:
    """Write a sample, its noise, the cleaned image and a figure of the three.

    Parameters
    ----------
    sample : Sample
    estimate : NoiseEstimate
        Of the sample's image.
    folder : Path
        Created if needed. Files of the same names are replaced.

    Returns
    -------
    Path
        The figure's file.
    """
    stem = sample.name.replace(" ", "-")
    write_image(folder / f"{stem}.png", sample.image, Calibration())
    write_image(folder / f"{stem}-cleaned.png", estimate.cleaned, Calibration())
    write_image(folder / f"{stem}-noise.tif", estimate.noise, Calibration())
    figure = folder / f"{stem}-figure.png"
    _draw(sample, estimate, figure)
    return figure


def _draw(sample: Sample, estimate: NoiseEstimate, path: Path) -> None:
    from matplotlib.figure import Figure  # not pyplot: no window, no global state

    height, width = sample.image.shape
    low, high = np.percentile(sample.image, (0.5, 99.5))
    swing = float(np.abs(estimate.noise).max()) or 1.0
    grey: dict[str, Any] = {"cmap": "gray", "vmin": low, "vmax": high}
    panels: tuple[tuple[str, np.ndarray, dict[str, Any]], ...] = (
        ("before", sample.image, grey),
        ("noise", estimate.noise, {"cmap": "RdBu_r", "vmin": -swing, "vmax": swing}),
        ("after", estimate.cleaned, grey),
    )
    top, left = (height - _ZOOM) // 2, (width - _ZOOM) // 2
    figure = Figure(figsize=(12, 4 * height / width + 5.4), layout="constrained")
    figure.suptitle(f"{sample.name}: {estimate.summary}")
    figure.supxlabel(sample.attribution, fontsize=8)
    axes = figure.subplots(2, 3, height_ratios=(height / width, 1))
    for (whole, part), (title, pixels, colours) in zip(axes.T, panels, strict=True):
        image = whole.imshow(pixels, **colours)
        part.imshow(
            pixels, **colours, extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="none"
        )
        part.set(xlim=(left, left + _ZOOM), ylim=(top + _ZOOM, top))
        whole.set_title(title)
        figure.colorbar(image, ax=part, location="bottom", label="grey levels")
    figure.savefig(path, dpi=110)


def has_display() -> bool:
    """Whether a window can probably be opened here."""
    on_linux = sys.platform.startswith("linux")
    return not on_linux or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_napari() -> None:
    """Run :func:`show_in_napari` on the samples in a separate process.

    If no window can be opened, Qt ends the process instead of raising an error.

    Raises
    ------
    RuntimeError
        If napari did not open or failed; the message gives the reason in one line.
    """
    child = subprocess.run(
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    if child.returncode:
        lines = child.stderr.decode(errors="replace").strip().splitlines()
        # Python's last line names the error; Qt, which ends its process, names it in the first
        reason = lines[-1 if child.returncode == 1 else 0] if lines else "no message"
        raise RuntimeError(f"napari ended with exit code {child.returncode}: {reason}")


def show_in_napari(results: Sequence[tuple[Sample, NoiseEstimate]]) -> None:
    """Open napari with each sample, its noise and the cleaned image side by side, until it closes.

    Parameters
    ----------
    results : sequence of (Sample, NoiseEstimate)

    Raises
    ------
    ImportError
        If no Qt binding is installed.
    """
    import napari
    from qtpy.QtWidgets import QApplication

    from napari_periodic_denoise.viewer.layers.outcome import outcome_of_plane
    from napari_periodic_denoise.viewer.layers.plane import Plane
    from napari_periodic_denoise.viewer.layers.results import deliver

    viewer = napari.Viewer(title="napari-periodic-denoise demo")
    for sample, estimate in results:
        source = viewer.add_image(sample.image, name=sample.name)
        for _ in deliver(viewer.layers, source, outcome_of_plane(sample.image, estimate, Plane())):
            pass  # the steps are for a dock, which has to stay responsive
    viewer.canvas.grid.shape = (len(results), 3)
    viewer.canvas.grid.stride = 1
    viewer.canvas.grid.enabled = True
    viewer.window.add_plugin_dock_widget("napari-periodic-denoise", "Periodic noise")
    viewer.window.resize(1400, 900)
    QApplication.processEvents()  # the canvas gets its final size
    viewer.reset_view()
    napari.run()


if __name__ == "__main__":  # started by open_napari
    from napari_periodic_denoise import estimate_noise
    from napari_periodic_denoise.samples import SAMPLES

    samples = [make() for make in SAMPLES]
    try:
        show_in_napari([(sample, estimate_noise(sample.image)) for sample in samples])
    except ImportError as problem:
        hint = 'pip install "napari-periodic-denoise[all]" installs the missing packages'
        sys.exit(f"{one_line(problem)}; {hint}")
    except Exception as problem:
        sys.exit(f"{type(problem).__name__}: {one_line(problem)}")
