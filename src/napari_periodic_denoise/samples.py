"""Two sample images with periodic noise: one with known noise, one real."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import numpy as np

Interference = tuple[tuple[float, float, float, float], ...]

#: Sinusoids added to the cell, as (fy, fx, amplitude, phase): cycles/pixel, grey levels, radians.
#: None lies on the image's own Fourier grid, as in real images. Amplitudes and frequencies are
#: choices: visible, and of different periods and directions.
CELL_INTERFERENCE: Interference = (
    (0.0371, 0.0487, 12.0, 0.9),
    (0.0113, 0.1129, 8.0, -2.1),
    (0.1637, -0.0719, 5.0, 0.4),
)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A sample image.

    Attributes
    ----------
    name : str
        A short name for a layer or a heading.
    image : ndarray of uint8, shape (H, W)
    attribution : str
        The image's origin and licence, in one line.
    """

    name: str
    image: np.ndarray
    attribution: str


def cell_with_interference() -> Sample:
    """Light micrograph of a cell, with three sinusoids added and rounded to 8 bits.

    The contrast of the clean cell is reduced to 60% and raised by 20% of the range, so that no
    pixel is clipped: ``round(0.6 · cell + 51 + noise)``.

    Returns
    -------
    Sample
        660×550 pixels, the same at every call. The noise is :data:`CELL_INTERFERENCE`.
    """
    from skimage.data import cell  # slow (most of a second), so not at import

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
    """Newspaper photograph with its halftone screen: real periodic noise.

    Returns
    -------
    Sample
        471×640 pixels.
    """
    from imageio.v3 import imread

    path = files("napari_periodic_denoise") / "data" / "newspaper_halftone.png"
    return Sample(
        name="newspaper halftone",
        image=np.asarray(imread(path.read_bytes(), extension=".png")),
        attribution="period_input.jpg, OpenCV documentation 4.6.0 (Apache-2.0 / BSD-3-Clause)",
    )


#: The samples, in display order.
SAMPLES = (cell_with_interference, newspaper_halftone)
