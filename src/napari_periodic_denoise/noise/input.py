"""What comes in and what goes out: checks of the input array, and exact subtraction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_periodic_denoise.noise.robust import robust_scale

MIN_SIZE = 16
_SAMPLE = 1 << 14
_LARGEST_INTENSITY = 1e38
_LARGEST = 1e6  # in robust deviations; float32 keeps enough digits beside such hot pixels
_LEAST_SATURATED = 1e-3  # share of pixels at a limit, at least
_CLOSE = 50  # steps of the range, one of which is close by
_CROWD = 1.0  # times as many pixels at a limit as close by
_ALMOST_ALL = 0.95
_ROUNDING = 1e-5  # in robust deviations; no residual of float32 arithmetic is larger


def as_image(
    image: Any,  # noqa: ANN401 - anything array-like, checked below
    channel_axis: int | None = None,
) -> NDArray[Any]:
    """Turn an image of any kind of array into a numpy array, or say why it can't be done.

    Parameters
    ----------
    image : array-like, shape (H, W), or with one more axis of channels
        numpy, torch or dask (computed once, here); any real dtype; at least 16×16.
    channel_axis : int, optional
        Which axis the channels are along.

    Returns
    -------
    ndarray of shape (H, W), or (C, H, W)
        In its own dtype; shares memory with the input where possible, so only to be read.

    Raises
    ------
    TypeError
        If the pixels are not real numbers, or the array is masked.
    ValueError
        If the array has not as many axes, is too small, or holds NaN or infinite pixels.
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
    if channel_axis is None and array.ndim != 2:
        raise ValueError(
            f"a 2-D image (height, width) is taken, not an array of shape {array.shape}; "
            "pass one plane at a time, and of a colour image channel_axis=-1 or where its "
            "channels are"
        )
    if channel_axis is not None:
        if array.ndim != 3 or not -3 <= channel_axis < 3:
            raise ValueError(
                f"channel_axis={channel_axis} needs an image with three axes, one of them that of "
                f"the channels, not an array of shape {array.shape}"
            )
        array = np.moveaxis(array, channel_axis, 0)
        if not len(array):
            raise ValueError(f"an image of shape {array.shape} has no channels")
    if min(array.shape[-2:]) < MIN_SIZE:
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


@dataclass(frozen=True, slots=True, eq=False)
class Normalized:
    """An image as the engine takes it: ``unit · pixels + centre`` are its intensities.

    Attributes
    ----------
    pixels : Tensor of float32, shape (H, W)
        Zero in the middle, about one robust deviation in unit.
    unit, centre : float
    quantum : float
        Step between two grey levels, in units; that of float32 where there are none.
    saturated : Tensor of bool, shape (H, W), or None
        Pixels at the limits of the image, whose true intensity is not known; None without.
    """

    pixels: torch.Tensor
    unit: float
    centre: float
    quantum: float
    saturated: torch.Tensor | None


def normalize(image: NDArray[Any], device: torch.device | str = "cpu") -> Normalized:
    """Scale an image's intensities to robust deviations.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    device : torch.device or str

    Returns
    -------
    Normalized
    """
    saturated = find_saturated(image)
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
    return Normalized(
        pixels.to(device),
        unit,
        darkest + centre,
        quantum,
        None if saturated is None else torch.from_numpy(saturated).to(device),
    )


def find_saturated(image: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Pixels at the limits of an image, where the detector was saturated or the file clipped.

    The least and the greatest intensity are limits where many pixels have them, and many more
    than have one close by.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Integers or floats.

    Returns
    -------
    ndarray of bool, shape (H, W), or None
        None where there are none.
    """
    saturated: NDArray[np.bool_] | None = None
    lowest, highest = image.min(), image.max()
    room = (float(highest) - float(lowest)) / _CLOSE
    for limit, close in ((lowest, float(lowest) + room), (highest, float(highest) - room)):
        at = image == limit
        count = int(np.count_nonzero(at))
        if count < _LEAST_SATURATED * image.size:
            continue
        beside = (image <= close) if limit == lowest else (image >= close)
        if count > _CROWD * (int(np.count_nonzero(beside)) - count):
            saturated = at if saturated is None else saturated | at
    # an image of two intensities has no others that tell more
    if saturated is not None and saturated.mean() > _ALMOST_ALL:
        return None
    return saturated
