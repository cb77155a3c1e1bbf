"""Draw the figures of real images: before, our noise, our result, spectral outliers' result.

``python -m docs.make_real_images FOLDER [--data DATA]``, from the root of the repository

The images are in DATA, by default ``shared/data/real`` beside the repository; missing ones are
skipped. The newspaper comes with the package. Only its figure is committed, to ``docs/images``;
the other images are for development. The script prints the numbers of the table in
``docs/real-images.md``.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from skimage.io import imread

from benchmarks.real import REAL, STANDS_OUT, decibel, whitened
from benchmarks.spectral_outliers import spectral_outliers
from napari_periodic_denoise import estimate_noise
from napari_periodic_denoise.samples import newspaper_halftone

Crop = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class Example:
    """A real image, and the part of it to enlarge."""

    name: str
    file: str | None  # None is the newspaper sample
    kind: Literal["none", "quasi-periodic", "stripes"]  # kind of the remainder
    crop: Crop


EXAMPLES = (
    Example("newspaper", None, "quasi-periodic", np.s_[150:300, 250:450]),
    Example("sem-curtaining", "r06_sem_battery_curtain.png", "stripes", np.s_[150:300, 0:200]),
    Example("moon-landing", "r09_moonlanding_apollo.png", "none", np.s_[60:210, 99:299]),
    Example("light-sheet-stripes", "r10_lsfm_stripes.png", "stripes", np.s_[340:490, 290:490]),
    Example("light-sheet-fine-stripes", "r12_smartspim.png", "stripes", np.s_[0:150, 230:430]),
    Example("sinogram", "r17_neutron_sinogram.tif", "stripes", np.s_[220:370, 250:450]),
)


def row(example: Example, image: NDArray[np.generic], folder: Path) -> str:
    """Draw the figure of an image, and return its row of the table."""
    start = time.perf_counter()
    estimate = estimate_noise(image, remainder=example.kind)
    seconds = time.perf_counter() - start
    ours = estimate.noise.astype(float)
    cleaned = (estimate.cleaned.astype(float), image - spectral_outliers(image))
    before = whitened(image.astype(float))
    pattern = before > STANDS_OUT
    excess = [decibel(before[pattern])] + [decibel(whitened(c)[pattern]) for c in cleaned]

    reach = 4 * float(ours.std()) or 1.0
    panels = {
        "before": image,
        "our noise": ours,
        "ours": cleaned[0],
        "spectral outliers": cleaned[1],
    }
    figure = Figure(figsize=(16, 7.5), layout="constrained")
    axes = figure.subplots(2, 4)
    for part, line in zip((np.s_[:, :], example.crop), axes, strict=True):
        low, high = np.percentile(image[part], (0.5, 99.5))
        for axis, (title, values) in zip(line, panels.items(), strict=True):
            limits = (-reach, reach) if values is ours else (low, high)
            axis.imshow(values[part], cmap="gray", vmin=limits[0], vmax=limits[1])
            axis.set_title(title)
            axis.axis("off")
    figure.savefig(folder / f"{example.name}.png", dpi=64)
    figures = " | ".join(f"{value:.1f}" for value in excess)
    return f"| {example.name} | {int(pattern.sum())} | {figures} | {seconds:.1f} |"


def main() -> None:
    """Draw the figures and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder for the figures")
    parser.add_argument("--data", type=Path, default=REAL, help="folder of the images")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    print("| image | frequencies | before, dB | ours | spectral outliers | ours, s |")
    print("|---|---|---|---|---|---|")
    for example in EXAMPLES:
        if example.file is None:
            image = newspaper_halftone().image
        elif (options.data / example.file).exists():
            image = imread(options.data / example.file)
        else:
            print(f"{example.name}: no {options.data / example.file}, skipped", file=sys.stderr)
            continue
        print(row(example, image, options.folder), flush=True)


if __name__ == "__main__":
    main()
