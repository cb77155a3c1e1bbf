"""Stripe filters of other packages, each taking and giving the same: image in, noise out.

They know one direction of stripes. In others, the image is turned until its stripes are upright,
filtered, and the noise turned back: once per direction, the strongest first. Each package is
imported where it is used, so that those that are there can be measured without the others.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.fft
import scipy.ndimage

from benchmarks.families import Array
from benchmarks.told import Told

UPRIGHT = 0.2  # degrees, under which an image is not turned

Upright = Callable[[Array], Array]  # image with upright stripes to image without


def in_each_direction(image: np.ndarray, told: Told, remove: Upright) -> Array:
    """Noise that a filter of upright stripes finds in all directions it is told."""
    rest = image.astype(float)
    for angle in told.directions:
        quarters = round(angle / 90)
        if abs(angle - 90 * quarters) < UPRIGHT:
            upright = np.rot90(rest, quarters)
            rest = rest - np.rot90(upright - remove(upright), -quarters)
        else:
            upright = turned(rest, angle)
            rest = rest - turned(upright - remove(upright), -angle, rest.shape)
    return image - rest


def turned(image: Array, angle: float, shape: tuple[int, ...] | None = None) -> Array:
    """Turn an image by an angle about its middle, reflected at its borders; by default, all fits.

    A wave along ``(cos angle, sin angle)`` in x and y then runs along x.
    """
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[cosine, sine], [-sine, cosine]])  # of rows and columns
    if shape is None:
        shape = tuple(np.ceil(np.abs(turn) @ image.shape).astype(int))
    middle, new_middle = (np.array(image.shape) - 1) / 2, (np.array(shape) - 1) / 2
    result: Array = scipy.ndimage.affine_transform(
        image, turn, middle - turn @ new_middle, output_shape=shape, mode="reflect"
    )
    return result


def algotom_fft(image: np.ndarray, told: Told, cutoff: int) -> Array:
    """Algotom's FFT filter (Raven 1998); a lower cutoff removes more."""
    from algotom.prep.removal import remove_stripe_based_fft

    return in_each_direction(image, told, lambda x: remove_stripe_based_fft(x, u=cutoff, v=1))


def algotom_wavelet_fft(image: np.ndarray, told: Told, size: int) -> Array:
    """Algotom's wavelet-FFT filter (Münch et al. 2009); a larger size removes more."""
    from algotom.prep.removal import remove_stripe_based_wavelet_fft

    return in_each_direction(
        image, told, lambda x: remove_stripe_based_wavelet_fft(x, level=5, size=size)
    )


def pystripe_wavelet_fft(image: np.ndarray, told: Told, sigma: int) -> Array:
    """Pystripe's wavelet-FFT filter of logarithms; a larger sigma removes more.

    It returns 16-bit integers and knows no negative values, so it is given as many levels.
    """
    from pystripe import filter_streaks

    def remove(upright: Array) -> Array:
        least, scale = upright.min(), 60000 / np.ptp(upright)
        streaks = scale * (upright.T - least)  # which lie, to it
        return filter_streaks(streaks, sigma=[sigma, sigma], wavelet="db10").T / scale + least

    return in_each_direction(image, told, remove)


def itk_ring_artifact(image: np.ndarray, told: Told, sigma: float) -> Array:
    """ITK's Fourier stripe filter; a larger sigma removes more.

    With several threads it removes less, and with a notch from 0.01 on, it crashed.
    """
    import itk

    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(1)

    def remove(upright: Array) -> Array:
        # its transform takes sizes of small prime factors only
        more = [scipy.fft.next_fast_len(n, real=True) - n for n in upright.shape]
        padded = np.pad(upright, [(0, n) for n in more], mode="symmetric").astype(np.float32)
        result = itk.fourier_stripe_artifact_image_filter(
            itk.image_from_array(padded), direction=1, sigma=sigma, start_frequency=0.05
        )
        height, width = upright.shape
        return itk.array_from_image(result)[:height, :width]

    return in_each_direction(image, told, remove)


def pyvsnr_gabor(image: np.ndarray, told: Told, level: float) -> Array:
    """Variational stationary noise remover (Fehrenbach et al. 2012), one filter per direction."""
    from pyvsnr import vsnr2d

    filters = [
        {"name": "Gabor", "noise_level": level, "sigma": (1000, 0.1), "theta": angle + 90}
        for angle in told.directions
    ]
    pixels = image.astype(np.float32)
    cleaned: Array = vsnr2d(pixels, filters, algo="numpy", norm=False)
    return (pixels - cleaned).astype(float)
