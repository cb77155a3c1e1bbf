"""Input validation and normalisation of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_periodic_denoise.noise.neighbours import filled
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
# Flat ground under hard-edged noise has a few crowded intensities. One of them is as crowded as
# this share of the pixels at a limit, even if bright bands fill only a fifth of the period.
_FLAT = 0.25
# Number of grey levels that may show, and that does show, how intensities are rounded.
_SOME_LEVELS, _MANY_LEVELS = 8, 32
_OFF = 0.01  # of a step, the largest error of a grey level in float32
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
        If the array has the wrong number of axes, is too small, or has no finite pixel (in one
        of the channels).
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
    """Raise a ValueError if floats are too large, or if a channel has no finite pixel."""
    finite = np.isfinite(array)
    if not finite.all():
        usable = finite.any((-2, -1))
        if not usable.all():
            where = f"channel {usable.argmin()}" if array.ndim == 3 else "the image"
            raise ValueError(f"{where} has no finite pixel: all are NaN or infinite")
        array = array[finite]
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
        Pixels at the limits of the image, whose true intensity is unknown, and missing pixels.
        None without any.
    missing : Tensor of bool, shape (H, W), or None
        Pixels that are NaN or infinite. In ``pixels`` they have the mean of their neighbours.
        None without any.
    """

    pixels: torch.Tensor
    unit: float
    centre: float
    quantum: float
    saturated: torch.Tensor | None
    missing: torch.Tensor | None = None

    @property
    def not_finite(self) -> int:
        """Number of missing pixels."""
        return 0 if self.missing is None else int(self.missing.sum())


def normalize(image: NDArray[Any], device: torch.device | str = "cpu") -> Normalized:
    """Scale an image to robust standard deviations about its median.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Integers or floats, at least one of them finite. It is only read.
    device : torch.device or str

    Returns
    -------
    Normalized
    """
    missing = _find_missing(image)
    known = image
    if missing is not None:
        known = image[~missing]
        image = np.where(missing, image.dtype.type(0), image)
    saturated = find_saturated(known)
    darkest = 0.0
    if image.dtype.kind in "iu" and image.dtype.itemsize == 8:
        darkest = float(image.min())
        # float64 is not exact for 64-bit integers; their difference modulo 2⁶⁴ is
        known = image = image.astype(np.uint64) - image.min().astype(np.uint64)
    pick = np.random.default_rng(0).integers(known.size, size=_SAMPLE)
    sample = known[np.unravel_index(pick, known.shape)].astype(np.float64)
    centre = float(np.median(sample))
    unit = robust_scale(torch.from_numpy(sample - centre)) or 1.0
    quantum = max(_grey_step(np.unique(sample), whole=image.dtype.kind in "iu") / unit, _ROUNDING)
    if image.dtype.itemsize >= 4 or image.dtype.kind == "f":  # float32 is not exact for these
        wide = np.subtract(image, centre, dtype=np.float64)
        wide /= unit
        np.clip(wide, -_MAX_PIXEL, _MAX_PIXEL, out=wide)
        pixels = torch.from_numpy(wide.astype(np.float32))
    else:
        pixels = torch.from_numpy(np.subtract(image, centre, dtype=np.float32)).div_(unit)
    if missing is not None:
        unusable = missing.copy()
        unusable[~missing] = False if saturated is None else saturated
        saturated = unusable
        pixels = filled(pixels, torch.from_numpy(missing))
    return Normalized(
        pixels.to(device),
        unit,
        darkest + centre,
        quantum,
        None if saturated is None else torch.from_numpy(saturated).to(device),
        None if missing is None else torch.from_numpy(missing).to(device),
    )


def _find_missing(image: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Pixels that are NaN or infinite; None without any."""
    if image.dtype.kind != "f":
        return None
    missing: NDArray[np.bool_] = ~np.isfinite(image)
    return missing if missing.any() else None


def _grey_step(levels: NDArray[np.float64], *, whole: bool) -> float:
    """Step between two grey levels: their smallest difference, or zero if it is unknown.

    A drawing or a mask under hard-edged noise has few levels, or levels that are no multiples of
    a step or leave out most of them. Their smallest difference is not rounding.
    """
    if len(levels) < 2:
        return 0.0
    steps = np.diff(levels)
    smallest = float(steps.min())
    if len(levels) >= _MANY_LEVELS:
        return smallest
    off = float(np.abs(steps - smallest * np.rint(steps / smallest)).max())
    even = off <= (1.0 if whole else _OFF * smallest)
    if even and _SOME_LEVELS <= len(levels) > (levels[-1] - levels[0]) / smallest / 2:
        return smallest
    return 1.0 if whole else 0.0


def find_saturated(image: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Find pixels at the limits of an image, by saturation or clipping.

    The lowest or highest intensity is a limit if at least 0.1% of the pixels have it, and more
    pixels have it than are close to it. It is no limit if intensities between the limits are as
    crowded, as in images with few grey levels, drawings and simulations: their ground is flat.

    Parameters
    ----------
    image : ndarray, shape (H, W) or any other
        Integers or finite floats.

    Returns
    -------
    ndarray of bool, shape of the image, or None
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
        is_crowded = count > _CROWD * (int(np.count_nonzero(beside)) - count)
        if is_crowded and not _has_flat_ground(image, count / image.size, margin):
            saturated = at if saturated is None else saturated | at
    # an image of two intensities has no unsaturated pixels to fit
    if saturated is not None and saturated.mean() > _MAX_SATURATED:
        return None
    return saturated


def _has_flat_ground(image: NDArray[Any], share: float, margin: float) -> bool:
    """Whether an intensity between the limits is as crowded as a limit with that share.

    An intensity is crowded if more pixels have it than are within ``margin`` of it.
    """
    pick = np.random.default_rng(0).integers(image.size, size=_SAMPLE)
    sample = image[np.unravel_index(pick, image.shape)]
    levels, counts = np.unique(sample, return_counts=True)
    values = levels.astype(np.float64)
    inner = (levels > image.min()) & (levels < image.max())
    below = np.concatenate([[0], np.where(inner, counts, 0).cumsum()])
    first, end = (
        np.searchsorted(values, values - margin),
        np.searchsorted(values, values + margin, "right"),
    )
    beside = below[end] - below[first] - counts
    return bool((inner & (counts > _CROWD * beside) & (counts >= _FLAT * share * _SAMPLE)).any())
