"""Input validation and normalisation of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_periodic_denoise.noise.robust import robust_scale

MIN_SIZE = 16  # pixels; the background of a spectrum is the mean of 11×11 frequencies
_SAMPLE = 1 << 14  # pixels; the median of so many has a standard error of 1% (1.25 σ/√n)
_MAX_INTENSITY = 1e38  # a third of the largest float32, so sums of two do not overflow
_MAX_PIXEL = 1e6  # robust deviations; hot pixels beyond are clipped; float32 has 7 digits
# Saturation. benchmarks.field and benchmarks.rejection (clipped images) check these numbers.
_MIN_SATURATED = 1e-3  # smallest share of pixels at a limit
_CLOSE = 50  # a pixel within 1/50 of the range is close to a limit
_CROWD = 1.0  # smallest ratio of pixels at a limit to pixels close to it
_MAX_SATURATED = 0.95  # a larger share is an image of two intensities
_ROUNDING = 1e-5  # robust deviations; larger than residuals of float32 arithmetic (10⁻⁷ · 100)


def as_image(
    image: Any,  # noqa: ANN401 - anything array-like, checked below
    channel_axis: int | None = None,
) -> NDArray[Any]:
    """Convert an image to a numpy array, and check it.

    Parameters
    ----------
    image : array-like, shape (H, W), or with one more axis of channels
        numpy, torch or dask array (computed once, here) of any real dtype, at least 16×16 pixels.
    channel_axis : int, optional
        Axis of the channels.

    Returns
    -------
    ndarray of shape (H, W), or (C, H, W)
        Array in its own dtype. It may share memory with the input, so it must not be modified.

    Raises
    ------
    TypeError
        If the pixels are not real numbers, or the array is masked.
    ValueError
        If the array has the wrong number of axes, is too small, or contains NaN or infinite
        pixels.
    """
    if isinstance(image, torch.Tensor):
        image = image.detach().cpu()
        if image.dtype == torch.bfloat16:  # numpy has no such dtype
            image = image.float()
    if np.ma.isMaskedArray(image):
        raise TypeError(
            "expected an array without a mask, got a masked array: fill the masked pixels, for "
            "example with image.filled(numpy.median(image.compressed()))"
        )
    array: NDArray[Any] = np.asarray(image)
    if array.dtype.kind not in "iuf":
        raise TypeError(
            f"expected an image of integers or floats, got dtype {array.dtype}"
            + {
                "b": ": a mask has no intensities to clean",
                "c": ": clean numpy.abs(image), or the real and the imaginary part",
            }.get(array.dtype.kind, "")
        )
    if channel_axis is None and array.ndim != 2:
        raise ValueError(
            f"expected a 2-D image (height, width), got an array of shape {array.shape}: pass "
            "one plane at a time, and channel_axis (such as -1) for a colour image"
        )
    if channel_axis is not None:
        if array.ndim != 3 or not -3 <= channel_axis < 3:
            raise ValueError(
                f"channel_axis={channel_axis} needs an image with three axes, got an array of "
                f"shape {array.shape}"
            )
        array = np.moveaxis(array, channel_axis, 0)
        if not len(array):
            raise ValueError(f"expected at least one channel, got an image of {array.shape}")
    height, width = array.shape[-2:]
    if min(height, width) < MIN_SIZE:
        raise ValueError(
            f"the image is {height}×{width} pixels; at least {MIN_SIZE}×{MIN_SIZE} are needed"
        )
    if array.dtype.kind == "f":
        _check_intensities(array)
    return array


def _check_intensities(array: NDArray[np.floating[Any]]) -> None:
    """Raise a ValueError if floats are NaN, infinite or too large."""
    bad = array.size - int(np.isfinite(array).sum())
    if bad:
        raise ValueError(
            f"{bad} of {array.size} pixels are NaN or infinite: replace them, for example with "
            "numpy.nan_to_num(image)"
        )
    largest = max(abs(float(array.min())), abs(float(array.max())))
    if largest > _MAX_INTENSITY:
        raise ValueError(
            f"intensities up to {largest:.3g} exceed the range of float32, the dtype of the "
            "noise: divide the image by a constant"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Normalized:
    """A normalised image. Its intensities are ``unit · pixels + centre``.

    Attributes
    ----------
    pixels : Tensor of float32, shape (H, W)
        Pixels with median zero and a robust standard deviation of about one.
    unit, centre : float
        In intensity units.
    quantum : float
        Step between two grey levels, in the unit of the pixels. For continuous intensities it is
        the rounding of float32.
    saturated : Tensor of bool, shape (H, W), or None
        Pixels at the limits of the image, whose true intensity is unknown. None without any.
    """

    pixels: torch.Tensor
    unit: float
    centre: float
    quantum: float
    saturated: torch.Tensor | None


def normalize(image: NDArray[Any], device: torch.device | str = "cpu") -> Normalized:
    """Scale an image to robust standard deviations about its median.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Integers or floats. It is only read.
    device : torch.device or str

    Returns
    -------
    Normalized
    """
    saturated = find_saturated(image)
    darkest = 0.0
    if image.dtype.kind in "iu" and image.dtype.itemsize == 8:
        darkest = float(image.min())
        # float64 is not exact for 64-bit integers; their difference modulo 2⁶⁴ is
        image = image.astype(np.uint64) - image.min().astype(np.uint64)
    pick = np.random.default_rng(0).integers(image.size, size=_SAMPLE)
    sample = image[np.unravel_index(pick, image.shape)].astype(np.float64)
    centre = float(np.median(sample))
    unit = robust_scale(torch.from_numpy(sample - centre)) or 1.0
    levels = np.diff(np.unique(sample))
    quantum = max(float(levels.min()) / unit, _ROUNDING) if levels.size else _ROUNDING
    if image.dtype.itemsize >= 4 or image.dtype.kind == "f":  # float32 is not exact for these
        wide = np.subtract(image, centre, dtype=np.float64)
        wide /= unit
        np.clip(wide, -_MAX_PIXEL, _MAX_PIXEL, out=wide)
        pixels = torch.from_numpy(wide.astype(np.float32))
    else:
        pixels = torch.from_numpy(np.subtract(image, centre, dtype=np.float32)).div_(unit)
    return Normalized(
        pixels.to(device),
        unit,
        darkest + centre,
        quantum,
        None if saturated is None else torch.from_numpy(saturated).to(device),
    )


def find_saturated(image: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Find pixels at the limits of an image, by saturation or clipping.

    The lowest or highest intensity is a limit if at least 0.1% of the pixels have it, and more
    pixels have it than are close to it.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Integers or floats.

    Returns
    -------
    ndarray of bool, shape (H, W), or None
        None if no pixel is saturated.
    """
    saturated: NDArray[np.bool_] | None = None
    lowest, highest = image.min(), image.max()
    margin = (float(highest) - float(lowest)) / _CLOSE
    for limit, close in ((lowest, float(lowest) + margin), (highest, float(highest) - margin)):
        at = image == limit
        count = int(np.count_nonzero(at))
        if count < _MIN_SATURATED * image.size:
            continue
        beside = (image <= close) if limit == lowest else (image >= close)
        if count > _CROWD * (int(np.count_nonzero(beside)) - count):
            saturated = at if saturated is None else saturated | at
    # an image of two intensities has no unsaturated pixels to fit
    if saturated is not None and saturated.mean() > _MAX_SATURATED:
        return None
    return saturated
