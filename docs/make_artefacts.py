"""Draw the figures of docs/artefacts: image, spectrum, noise and cleaned image.

``python -m docs.make_artefacts``, from the root of the repository

The newspaper comes with the package. In the other figures, noise from the functions of the
benchmarks is added to images that scikit-image bundles.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.ndimage
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.families import clean_image, corrupt, scan_hum, square_grid
from benchmarks.lines import tiles
from benchmarks.shared import plane
from napari_periodic_denoise import NoiseEstimate, clean_stack, estimate_noise
from napari_periodic_denoise.noise.statistics.whitened import WhitenedSpectrum, whitened_spectrum
from napari_periodic_denoise.samples import newspaper_halftone

IMAGES = Path(__file__).parent / "images"
PLANES = 32
WHOLE = np.s_[:, :]

Image = NDArray[np.generic]
Crop = tuple[slice, slice]


def draw(
    name: str, image: Image, estimate: NoiseEstimate, spectrum: WhitenedSpectrum, crop: Crop
) -> None:
    """Draw the figure of an image: the whole image above, a part of it below, and its spectrum."""
    noise = estimate.noise
    reach = float(np.abs(noise).max()) or 1.0
    panels = {"before": image, "noise": noise, "cleaned": estimate.cleaned}
    figure = Figure(figsize=(13, 6), layout="constrained")
    grid = figure.add_gridspec(2, 4, width_ratios=(1, 1, 1, 1.6))
    for row, part in enumerate((WHOLE, crop)):
        low, high = np.percentile(image[part], (0.5, 99.5))
        for column, (title, values) in enumerate(panels.items()):
            axis = figure.add_subplot(grid[row, column])
            limits = (-reach, reach) if values is noise else (low, high)
            axis.imshow(values[part], cmap="gray", vmin=limits[0], vmax=limits[1])
            axis.set_title(title if part is WHOLE else f"{title}, part")
            axis.axis("off")
    axis = figure.add_subplot(grid[:, 3])
    extent = (spectrum.fx[0], spectrum.fx[-1], spectrum.fy[-1], spectrum.fy[0])
    # a mean over neighbours keeps single frequencies visible at this size
    excess = scipy.ndimage.uniform_filter(spectrum.excess, 3)
    low, high = np.percentile(excess, (50, 99.95))
    axis.imshow(excess, cmap="magma", vmin=low, vmax=high, extent=extent)
    for wave in estimate.waves:
        for sign in (1, -1):
            fy, fx = (sign * f for f in wave.frequency)
            axis.plot(fx, fy, "o", mfc="none", mec="cyan", ms=9, mew=0.8)
    axis.set_title("spectrum before, removed waves circled")
    axis.set_xlabel("cycles/pixel along x")
    axis.set_ylabel("along y")
    figure.savefig(IMAGES / name, dpi=72, pil_kwargs={"optimize": True})
    print(f"{name}: {estimate.summary}")


def noisy(specimen: str, noise: NDArray[np.float64]) -> Image:
    """Add noise, relative to the range, to a bundled image, and round to 8 bits."""
    return corrupt(clean_image(specimen), noise, np.random.default_rng(0))


def sheet_shadows(shape: Sequence[int]) -> NDArray[np.float64]:
    """Stripes like a light sheet's shadows: horizontal, many widths, slowly changing along x."""
    rng = np.random.default_rng(3)
    shadows = np.zeros(tuple(shape))
    for width in (0.7, 1.5, 4):
        lines = rng.normal(size=shape)
        lines = scipy.ndimage.gaussian_filter(lines, (width, shape[1] / 2))
        shadows += 0.04 * lines / lines.std()
    return shadows


def main() -> None:
    """Draw all figures."""
    rng = np.random.default_rng(1)
    cell, tissue = clean_image("cell"), clean_image("immunohistochemistry")

    image = noisy("cell", scan_hum(rng, cell))
    draw(
        "scan-hum.png",
        image,
        estimate_noise(image),
        whitened_spectrum(image),
        np.s_[180:280, 180:280],
    )

    image = noisy("immunohistochemistry", sheet_shadows(tissue.shape))
    estimate = estimate_noise(image, remainder="stripes")
    draw("light-sheet.png", image, estimate, whitened_spectrum(image), np.s_[200:350, 200:350])

    image = newspaper_halftone().image
    estimate = estimate_noise(image, remainder="quasi-periodic")
    draw("halftone.png", image, estimate, whitened_spectrum(image), np.s_[150:250, 250:350])

    image = noisy("immunohistochemistry", square_grid(rng, tissue))
    draw(
        "grid.png", image, estimate_noise(image), whitened_spectrum(image), np.s_[200:300, 200:300]
    )

    image = noisy("immunohistochemistry", tiles(rng, tissue))
    draw(
        "mosaic.png",
        image,
        estimate_noise(image),
        whitened_spectrum(image),
        np.s_[150:300, 150:300],
    )

    planes = np.stack([plane(i, 512, 0.5, 1, 5.0) for i in range(PLANES)])
    estimate = clean_stack(planes, model="shared").estimates[3]
    spectra = [whitened_spectrum(image) for image in planes]
    together = np.log10(np.mean([10**spectrum.excess for spectrum in spectra], axis=0))
    summed = WhitenedSpectrum(together, spectra[0].fy, spectra[0].fx)
    draw("camera-pattern.png", planes[3], estimate, summed, np.s_[200:280, 200:280])


if __name__ == "__main__":
    main()
