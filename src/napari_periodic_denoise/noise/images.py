"""What comes in and what goes out: checks of the input array, and exact subtraction."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_periodic_denoise.noise.features import robust_scale

MIN_SIZE = 16
_SAMPLE = 1 << 14
_LARGEST_INTENSITY = 1e38
_LARGEST = 1e6  # in robust deviations; float32 keeps enough digits beside such hot pixels
_ROUNDING = 1e-5  # in robust deviations; no residual of float32 arithmetic is larger


def as_image(image: Any) -> NDArray[Any]:  # noqa: ANN401 - anything array-like, checked below
    """Turn a 2-D array of any kind into a numpy array, or say why it can't be done.

    Parameters
    ----------
    image : array-like, shape (H, W)
        numpy, torch or dask (computed once, here); any real dtype; at least 16×16.

    Returns
    -------
    ndarray of shape (H, W)
        In its own dtype; shares memory with the input where possible, so only to be read.

    Raises
    ------
    TypeError
        If the pixels are not real numbers, or the array is masked.
    ValueError
        If the array is not 2-D, is too small, or holds NaN or infinite pixels.
    """
    if isinstance(image, torch.Tensor):
        image = image.detach().cpu()
        if image.dtype == torch.bfloat16:  # which numpy lacks
            image = image.float()
    if np.ma.isMaskedArray(image):
        raise TypeError(
            "masked arrays are not taken: fill the masked pixels first, for example with "
            "image.filled(numpy.median(image.compressed()))"
        )
    array: NDArray[Any] = np.asarray(image)
    if array.dtype.kind not in "iuf":
        raise TypeError(
            f"images of integers or floats are taken, not dtype {array.dtype}"
            + {
                "b": "; a mask has no intensities to clean",
                "c": "; clean numpy.abs(image), or its real and imaginary parts one by one",
            }.get(array.dtype.kind, "")
        )
    if array.ndim != 2:
        raise ValueError(
            f"a 2-D image (height, width) is taken, not an array of shape {array.shape}; "
            "pass one plane or one channel at a time"
        )
    if min(array.shape) < MIN_SIZE:
        raise ValueError(
            f"an image of at least {MIN_SIZE}×{MIN_SIZE} pixels is taken, not of shape "
            f"{array.shape}: fewer pixels can't show what repeats"
        )
    if array.dtype.kind == "f":
        bad = array.size - int(np.isfinite(array).sum())
        if bad:
            raise ValueError(
                f"{bad} of {array.size} pixels are NaN or infinite; replace them first, "
                "for example with numpy.nan_to_num(image)"
            )
        largest = max(abs(float(array.min())), abs(float(array.max())))
        if largest > _LARGEST_INTENSITY:
            raise ValueError(
                f"intensities up to {largest:.3g} are out of float32's range, which the noise "
                "is given in; divide the image first"
            )
    return array


def normalize(
    image: NDArray[Any], device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, float, float, float]:
    """Intensities as float32, zero in the middle and about one robust deviation in unit.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    device : torch.device or str

    Returns
    -------
    pixels : Tensor of float32, shape (H, W)
    unit : float
        Image intensities per unit.
    centre : float
        Image intensity of zero.
    quantum : float
        Step between two grey levels, in units; that of float32 where there are none.
    """
    darkest = 0.0
    if image.dtype.kind in "iu" and image.dtype.itemsize == 8:
        darkest = float(image.min())
        # float64 can't tell large neighbours apart; modulo 2⁶⁴ the difference is exact
        image = image.astype(np.uint64) - image.min().astype(np.uint64)
    pick = np.random.default_rng(0).integers(image.size, size=_SAMPLE)
    sample = image[np.unravel_index(pick, image.shape)].astype(np.float64)
    centre = float(np.median(sample))
    unit = robust_scale(torch.from_numpy(sample - centre)) or 1.0
    levels = np.diff(np.unique(sample))
    quantum = max(float(levels.min()) / unit, _ROUNDING) if levels.size else _ROUNDING
    if image.dtype.itemsize >= 4 or image.dtype.kind == "f":  # float32 would round them
        wide = np.subtract(image, centre, dtype=np.float64)
        wide /= unit
        np.clip(wide, -_LARGEST, _LARGEST, out=wide)
        pixels = torch.from_numpy(wide.astype(np.float32))
    else:
        pixels = torch.from_numpy(np.subtract(image, centre, dtype=np.float32)).div_(unit)
    return pixels.to(device), unit, darkest + centre, quantum


def subtract(image: NDArray[Any], noise: NDArray[np.float32]) -> NDArray[Any]:
    """``image − noise`` in the image's own dtype.

    Parameters
    ----------
    image : ndarray
        Integers or floats.
    noise : ndarray of float32
        Same shape.

    Returns
    -------
    ndarray
        Shape and dtype of the image; integers are rounded, and clipped to the dtype's range.
    """
    wide: NDArray[Any]
    if image.dtype.kind == "f":
        limits = np.finfo(image.dtype)
        wide = np.subtract(image, noise, dtype=np.result_type(image.dtype, np.float32))
        cleaned = np.clip(wide, limits.min, limits.max, out=wide)
        return np.asarray(cleaned, dtype=image.dtype)
    range_of = np.iinfo(image.dtype)
    step = np.rint(noise)
    if image.dtype.itemsize < 8:
        # float32 holds every difference of 16-bit integers, float64 that of 32-bit ones
        wide = step if image.dtype.itemsize < 4 else step.astype(np.float64)
        np.subtract(image, wide, out=wide)
        wide = np.clip(wide, range_of.min, range_of.max, out=wide)
        return np.asarray(wide, dtype=image.dtype)
    # no float holds every 64-bit integer: move within the room there is on either side
    sign = np.uint64(1 << 63) if image.dtype.kind == "i" else np.uint64(0)
    offset = image.astype(np.uint64) ^ sign
    down = np.minimum(np.clip(step, 0, 2.0**63).astype(np.uint64), offset)
    up = np.minimum(np.clip(-step, 0, 2.0**63).astype(np.uint64), np.iinfo(np.uint64).max - offset)
    moved = (offset - down + up) ^ sign
    return np.asarray(moved, dtype=image.dtype)
