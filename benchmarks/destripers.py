"""Stripe filters of other packages behind one interface: image in, noise out.

Each filters stripes of one direction. For other directions, the image is rotated until its
stripes are vertical and filtered, and the noise is rotated back: once per direction, the
strongest first. Each package is imported where it is used, so that the installed ones can be
measured without the others.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.fft
import scipy.ndimage

from benchmarks.families import Array
from benchmarks.ground_truth import GroundTruth

UPRIGHT = 0.2  # degrees; at smaller angles an image is not rotated

Upright = Callable[[Array], Array]  # from an image with vertical stripes to one without


def in_each_direction(image: np.ndarray, truth: GroundTruth, remove: Upright) -> Array:
    """Noise that a filter of vertical stripes finds in all given directions."""
    rest = image.astype(float)
    for angle in truth.directions:
        quarters = round(angle / 90)
        if abs(angle - 90 * quarters) < UPRIGHT:
            upright = np.rot90(rest, quarters)
            rest = rest - np.rot90(upright - remove(upright), -quarters)
        else:
            upright = rotated(rest, angle)
            rest = rest - rotated(upright - remove(upright), -angle, rest.shape)
    return image - rest


def rotated(image: Array, angle: float, shape: tuple[int, ...] | None = None) -> Array:
    """Rotate an image about its centre, reflected at its borders.

    A wave along ``(cos angle, sin angle)`` in x and y then runs along x. By default, the shape
    holds the whole image.
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


def algotom_fft(image: np.ndarray, truth: GroundTruth, cutoff: int) -> Array:
    """Algotom's FFT filter (Raven 1998); a lower cutoff removes more."""
    from algotom.prep.removal import remove_stripe_based_fft

    return in_each_direction(image, truth, lambda x: remove_stripe_based_fft(x, u=cutoff, v=1))


def algotom_wavelet_fft(image: np.ndarray, truth: GroundTruth, size: int) -> Array:
    """Algotom's wavelet-FFT filter (Münch et al. 2009); a larger size removes more."""
    from algotom.prep.removal import remove_stripe_based_wavelet_fft

    return in_each_direction(
        image, truth, lambda x: remove_stripe_based_wavelet_fft(x, level=5, size=size)
    )


def algotom_filter(
    image: np.ndarray, truth: GroundTruth, setting: tuple[str, dict[str, int]]
) -> Array:
    """Any of Algotom's filters of sinograms with rings, by name, with its parameters."""
    from algotom.prep import removal

    name, parameters = setting
    remove = getattr(removal, f"remove_stripe_based_{name}")
    return in_each_direction(image, truth, lambda x: remove(x.astype(np.float32), **parameters))


def pystripe_wavelet_fft(image: np.ndarray, truth: GroundTruth, sigma: int) -> Array:
    """Pystripe's wavelet-FFT filter of logarithms; a larger sigma removes more.

    It returns 16-bit integers and no negative values, so the image is scaled to that range.
    """
    from pystripe import filter_streaks

    def remove(upright: Array) -> Array:
        least, scale = upright.min(), 60000 / np.ptp(upright)
        streaks = scale * (upright.T - least)  # it filters horizontal streaks
        return filter_streaks(streaks, sigma=[sigma, sigma], wavelet="db10").T / scale + least

    return in_each_direction(image, truth, remove)


def itk_ring_artifact(image: np.ndarray, truth: GroundTruth, sigma: float) -> Array:
    """ITK's Fourier stripe filter; a larger sigma removes more.

    With several threads it removes less. With a start frequency of 0.01 it crashed.
    """
    import itk

    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(1)

    def remove(upright: Array) -> Array:
        # its transform accepts only sizes with small prime factors
        more = [scipy.fft.next_fast_len(n, real=True) - n for n in upright.shape]
        padded = np.pad(upright, [(0, n) for n in more], mode="symmetric").astype(np.float32)
        result = itk.fourier_stripe_artifact_image_filter(
            itk.image_from_array(padded), direction=1, sigma=sigma, start_frequency=0.05
        )
        height, width = upright.shape
        return itk.array_from_image(result)[:height, :width]

    return in_each_direction(image, truth, remove)


def pyvsnr_gabor(image: np.ndarray, truth: GroundTruth, level: float) -> Array:
    """Variational stationary noise remover (Fehrenbach et al. 2012), one filter per direction."""
    return pyvsnr_lines(image, truth, (1000, level))


def pyvsnr_lines(image: np.ndarray, truth: GroundTruth, setting: tuple[int, float]) -> Array:
    """Variational stationary noise remover, for lines of a length in pixels; and noise level."""
    from pyvsnr import vsnr2d

    length, level = setting
    filters = [
        {"name": "Gabor", "noise_level": level, "sigma": (length, 0.1), "theta": angle + 90}
        for angle in truth.directions
    ]
    pixels = image.astype(np.float32)
    cleaned: Array = vsnr2d(pixels, filters, algo="numpy", norm=False)
    return (pixels - cleaned).astype(float)


def general_stripe_remover(
    image: np.ndarray, truth: GroundTruth, weights: tuple[float, float]
) -> Array:
    """General Stripe Remover (Rottmayer et al. 2024): total variation and sparse stripes.

    The first weight is that of the total variation, the second that of the stripes.
    """
    import torch
    from destripe import UniversalStripeRemover

    torch.set_num_threads(1)
    remover = UniversalStripeRemover(*weights, device="cpu")

    def remove(upright: Array) -> Array:
        least, scale = upright.min(), np.ptp(upright)
        scaled = ((upright - least) / scale).astype(np.float32)
        cleaned: Array = scale * remover.process(scaled).numpy().astype(float) + least
        return cleaned

    return in_each_direction(image, truth, remove)


def nsclean(
    image: np.ndarray, truth: GroundTruth, setting: tuple[int | None, float, bool]
) -> Array:
    """NSClean (Rauscher 2024) of the JWST pipeline: a low-pass fit along each line.

    As in the pipeline, a background of medians in boxes is taken out for the fit (None: none is).
    All pixels take part: with the pipeline's mask of bright pixels, less noise was removed.
    """
    from jwst.clean_flicker_noise.background_level import background_level
    from jwst.clean_flicker_noise.nsclean import NSClean

    box, cycles, smoothed = setting

    def remove(upright: Array) -> Array:
        height, width = upright.shape
        background = np.zeros_like(upright)
        if box:
            everywhere = np.ones(upright.shape, dtype=bool)
            background = background_level(upright, everywhere, "model", (box, box))
        # it leaves four lines at each border out
        rest = np.pad(upright - background, ((0, 0), (4, 4)), mode="reflect").astype(np.float32)
        cutoff = cycles / height
        fit = NSClean("NRS1", np.ones(rest.shape, dtype=bool), fc=cutoff, kill_width=cutoff / 4)
        return fit.clean(rest, buff=smoothed)[:, 4 : width + 4] + background

    return in_each_direction(image, truth, remove)
