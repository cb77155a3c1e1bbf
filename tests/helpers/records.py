"""Estimates without an image, for records of them."""

from dataclasses import replace

import numpy as np

from napari_periodic_denoise import NoiseEstimate, Wave
from napari_periodic_denoise.noise.outcome import Outcome
from napari_periodic_denoise.noise.waves.wave import Rejected
from napari_periodic_denoise.noise.wording import Cause

PLAIN = Wave((0.0, 0.1), 3.0, 0.0, 1e-4, 100.0, share=0.25)


KINDS = [
    (PLAIN, "constant", "±3"),
    (
        replace(PLAIN, envelope=((3 + 1j, 0.5j), (1 + 0j, -2j))),
        "changing over the image",
        "±3",
    ),
    (replace(PLAIN, profile=((0.1, 3.0), (0.6, -3.0))), "hard-edged", "±3"),
    (replace(PLAIN, amplitude=0.0825, dark=12.0), "follows the brightness", "±8.25%"),
]


FEW = Rejected((0.2, 0.3), 1e-4, Cause.FEW_PARTS)


ITS_OWN = Rejected((0.0, 0.2), 1e-8, Cause.OUTSIDE_EXEMPLAR, 0.04, 0.5)


def estimate_of(*waves, off=(), shape=(200, 300), share=0.0, rejected=(FEW,), **settings):
    """An estimate as the engine makes them, of no image."""
    noise = np.zeros(shape, np.float32)
    settings = {
        "method": "aligned",
        "features": "edges",
        "remainder": "none",
        "sensitivity": 1e-3,
        "exemplar": None,
        "channel_axis": None if len(shape) == 2 else 2,
        **settings,
    }
    off = tuple(replace(wave, outcome=Outcome.SWITCHED_OFF) for wave in off)
    return NoiseEstimate(noise, noise, waves, settings, 0.5, share, rejected, kept_waves=off)
