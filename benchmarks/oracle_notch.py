"""Upper bound for masking a spectrum by hand: a notch filter that is given the true noise.

The filter masks bins of the Fourier transform, the noise's strongest first, until they hold a
share of the true noise's power. Of a few shares, it uses the one that removes most of the noise,
for each image. No person masking by hand knows that much.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from benchmarks.families import Array, rejection

SHARES = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999)


def oracle_notch(image: np.ndarray, noise: Array) -> Array:
    """Estimate noise as the part of the image where the noise's spectrum is strongest.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Any real dtype.
    noise : ndarray of float64, shape (H, W)
        The true noise.

    Returns
    -------
    ndarray of float64, shape (H, W)
        The noise, in the image's intensity units.
    """
    power = np.abs(scipy.fft.fft2(noise - noise.mean())) ** 2
    spectrum = scipy.fft.fft2(image.astype(float))
    spectrum[0, 0] = 0
    strongest = np.sort(power, axis=None)[::-1]
    held = np.cumsum(strongest) / strongest.sum()
    thresholds = strongest[np.searchsorted(held, SHARES)]
    estimates = (scipy.fft.ifft2(spectrum * (power >= least)).real for least in thresholds)
    return max(estimates, key=lambda estimate: rejection(estimate, noise))
