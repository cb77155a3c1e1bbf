"""What ``napari-periodic-denoise demo`` makes of the sample images: files, a figure, a viewer."""

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

_ZOOM = 120  # pixels: few enough for the noise to be seen wave by wave


def write_demo(sample: Sample, estimate: NoiseEstimate, folder: Path) -> Path:
    """Write a sample, its noise and the cleaned image, and a figure of the three.

    Parameters
    ----------
    sample : Sample
    estimate : NoiseEstimate
        Of the sample's image.
    folder : Path
        Made where needed; files of the same names are replaced.

    Returns
    -------
    Path
        Of the figure.
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
        shown = whole.imshow(pixels, **colours)
        part.imshow(
            pixels, **colours, extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="none"
        )
        part.set(xlim=(left, left + _ZOOM), ylim=(top + _ZOOM, top))
        whole.set_title(title)
        figure.colorbar(shown, ax=part, location="bottom", label="grey levels")
    figure.savefig(path, dpi=110)


def has_display() -> bool:
    """Whether a window can be expected to open here."""
    on_linux = sys.platform.startswith("linux")
    return not on_linux or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_napari() -> None:
    """Show the samples' estimates by :func:`show_in_napari`, in a process of its own.

    Where no window can be opened after all, Qt does not raise: it ends the process.

    Raises
    ------
    RuntimeError
        If napari could not be opened or ended badly; the message says why, in one line.
    """
    child = subprocess.run(
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    if child.returncode:
        lines = child.stderr.decode(errors="replace").strip().splitlines()
        # Python says last what was wrong; Qt, which kills its process, says it first
        reason = lines[-1 if child.returncode == 1 else 0] if lines else "without a word"
        raise RuntimeError(f"napari ended with exit code {child.returncode}: {reason}")


def show_in_napari(results: Sequence[tuple[Sample, NoiseEstimate]]) -> None:
    """Open napari with each sample, its noise and the cleaned image side by side; wait for it.

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
            pass  # its steps are for a dock that has to stay responsive
    viewer.canvas.grid.shape = (len(results), 3)
    viewer.canvas.grid.stride = 1
    viewer.canvas.grid.enabled = True
    viewer.window.add_plugin_dock_widget("napari-periodic-denoise", "Periodic noise")
    viewer.window.resize(1400, 900)
    QApplication.processEvents()  # gives the canvas the room that the dock leaves
    viewer.reset_view()
    napari.run()


if __name__ == "__main__":  # as open_napari has it
    from napari_periodic_denoise import estimate_noise
    from napari_periodic_denoise.samples import SAMPLES

    samples = [make() for make in SAMPLES]
    try:
        show_in_napari([(sample, estimate_noise(sample.image)) for sample in samples])
    except ImportError as problem:
        hint = 'pip install "napari-periodic-denoise[all]" brings what napari needs'
        sys.exit(f"{one_line(problem)}; {hint}")
    except Exception as problem:
        sys.exit(f"{type(problem).__name__}: {one_line(problem)}")
