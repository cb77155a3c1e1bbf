"""Two images with periodic noise to try things on: one with known noise, one real."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import numpy as np

Interference = tuple[tuple[float, float, float, float], ...]

#: Sinusoids added to the cell, as (fy, fx, amplitude, phase): cycles/pixel, grey levels, radians.
#: None sits on a frequency of the image's own Fourier grid, as none does in reality.
CELL_INTERFERENCE: Interference = (
    (0.0371, 0.0487, 12.0, 0.9),
    (0.0113, 0.1129, 8.0, -2.1),
    (0.1637, -0.0719, 5.0, 0.4),
)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """An image to try things on.

    Attributes
    ----------
    name : str
        A short name, fit for a layer or a heading.
    image : ndarray of uint8, shape (H, W)
    attribution : str
        Where the image comes from and under which licence, in one line.
    """

    name: str
    image: np.ndarray
    attribution: str


def cell_with_interference() -> Sample:
    """Light micrograph of a cell, with three sinusoids added and rounded to 8 bits.

    The clean cell's contrast is lowered to 60% and its base lifted by 20% of the range, so that
    nothing is clipped: ``round(0.6 · cell + 51 + noise)``.

    Returns
    -------
    Sample
        Of 660×550 pixels; the same at every call. The noise is :data:`CELL_INTERFERENCE`.
    """
    from skimage.data import cell  # costs most of a second: not while the plugin is looked up

    clean = cell().astype(np.float64)  # type: ignore[no-untyped-call]
    y, x = np.indices(clean.shape, dtype=np.float64)
    noise = sum(
        amplitude * np.cos(2 * np.pi * (fy * y + fx * x) + phase)
        for fy, fx, amplitude, phase in CELL_INTERFERENCE
    )
    image = np.rint(0.6 * clean + 0.2 * 255 + noise)
    return Sample(
        name="cell with interference",
        image=np.clip(image, 0, 255).astype(np.uint8),
        attribution="skimage.data.cell (Paul Müller et al., CC0), with three sinusoids added",
    )


def newspaper_halftone() -> Sample:
    """Photograph printed in a newspaper, with its halftone screen: real periodic noise.

    Returns
    -------
    Sample
        Of 471×640 pixels.
    """
    from imageio.v3 import imread

    path = files("napari_periodic_denoise") / "data" / "newspaper_halftone.png"
    return Sample(
        name="newspaper halftone",
        image=np.asarray(imread(path.read_bytes(), extension=".png")),
        attribution="period_input.jpg, OpenCV documentation 4.6.0 (Apache-2.0 / BSD-3-Clause)",
    )


#: The samples, in the order in which they are shown.
SAMPLES = (cell_with_interference, newspaper_halftone)
