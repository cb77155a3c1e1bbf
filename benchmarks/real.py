"""What is done to real images at the default settings.

``python -m benchmarks.real [FOLDER] [--data DATA]``

The images are those in DATA, by default ``shared/data/real`` beside the repository. For each the
table says how far its pattern stands out before and after, and what was removed and suggested.
FOLDER, if given, gets a picture of each: the image, the cleaned image and the noise.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.io import imread, imsave

from benchmarks.families import DATA
from napari_periodic_denoise import NoiseEstimate, estimate_noise
from napari_periodic_denoise.noise.input import normalize
from napari_periodic_denoise.noise.statistics.features import edges
from napari_periodic_denoise.noise.statistics.gram import spectral_power

REAL = DATA.parent / "real"
SUFFIXES = {".png", ".tif"}
STANDS_OUT = 12.0  # times the median power over all directions
PERCENTILES = (0.5, 99.5)  # of the intensities, black and white in the pictures

Array = NDArray[np.float64]


def whitened(image: Array) -> Array:
    """Power of the clipped gradient, relative to its median over all directions."""
    features = edges(normalize(image).pixels)
    power = spectral_power(features).double().numpy()
    fy, fx = np.fft.fftfreq(features.shape[1]), np.fft.rfftfreq(features.shape[2])
    radius = np.hypot(fy[:, None], fx)
    ring = np.round(radius * min(features.shape[1:]) / 2).astype(int)
    order = np.argsort(ring, axis=None)
    rings = np.split(power.ravel()[order], np.cumsum(np.bincount(ring.ravel()))[:-1])
    excess = power / (np.array([np.median(values) for values in rings])[ring] / np.log(2))
    excess[radius < 1 / 64] = 0
    return excess


def decibel(values: Array) -> float:
    """Mean in dB."""
    return 10 * float(np.log10(values.mean()))


def grey(image: NDArray[Any]) -> Array:
    """Mean over the colours."""
    return image.astype(float) if image.ndim == 2 else image.mean(-1)


def row(file: Path, folder: Path | None) -> str:
    """Clean an image, and return its row of the table."""
    image = imread(file)
    image = image[..., :3] if image.ndim == 3 else image
    start = time.perf_counter()
    estimate = estimate_noise(image, channel_axis=None if image.ndim == 2 else -1)
    seconds = time.perf_counter() - start
    before = whitened(grey(image))
    pattern = before > STANDS_OUT
    figures = "– | –"
    if pattern.any():
        after = whitened(grey(estimate.cleaned))
        figures = f"{decibel(before[pattern]):.1f} | {decibel(after[pattern]):.1f}"
    if folder is not None:
        imsave(folder / f"{file.stem}.png", picture(image, estimate), check_contrast=False)
    suggested = ", ".join(estimate.suggested_names) or "–"
    return f"| {file.name} | {figures} | {estimate.summary} | {suggested} | {seconds:.1f} |"


def picture(image: NDArray[Any], estimate: NoiseEstimate) -> NDArray[np.uint8]:
    """Draw the image, the cleaned image and the noise beside each other."""
    low, high = np.percentile(image, PERCENTILES)
    reach = float(np.percentile(np.abs(estimate.noise), PERCENTILES[1])) or 1.0
    parts = [
        (image - low) / max(high - low, 1e-9),
        (estimate.cleaned - low) / max(high - low, 1e-9),
        estimate.noise / (2 * reach) + 0.5,
    ]
    return np.concatenate([(255 * np.clip(part, 0, 1)).astype(np.uint8) for part in parts], 1)


def main() -> int:
    """Print the table, and draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="folder for the pictures")
    parser.add_argument("--data", type=Path, default=REAL, help="folder of the images")
    options = parser.parse_args()
    files = sorted(f for f in options.data.glob("*") if f.suffix in SUFFIXES)
    if not files:
        print(f"no images in {options.data}", file=sys.stderr)
        return 1
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    print("| image | before, dB | after, dB | removed | suggested | s |")
    print("|---|---|---|---|---|---|")
    for file in files:
        print(row(file, options.folder), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
