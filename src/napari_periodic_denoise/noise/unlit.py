"""Dark ground, such as that around a round field of view, which has no noise of the light."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch.nn.functional import avg_pool2d

from napari_periodic_denoise.noise.input import Normalized
from napari_periodic_denoise.noise.robust import MAD_TO_SIGMA
from napari_periodic_denoise.noise.statistics.features import gradient
from napari_periodic_denoise.noise.waves.wave import Rejected
from napari_periodic_denoise.noise.wording import Cause

_PARTS = 16  # along each axis; the darkest of them shows the ground
_DEVIATIONS = 4.0  # above the ground's median that its pixels reach; chance: 3 of 10⁵
_BEYOND = 12.0  # deviations, up to which pixels are no longer ground but close to it
_FEW_CLOSE = 0.25  # of the ground; more pixels close to it make it a shade, not a ground
_NEIGHBOURHOOD = 5  # pixels a side, most of which decide about a pixel
_LEAST, _MOST = 0.1, 0.9  # share of the image; with less, most parts show the noise anyway
_SHOWN = 0.5  # share of noise in the ground, as of an exemplar
_UNLIKELY_EVERYWHERE = (Cause.FEW_PARTS, Cause.NO_GAIN, Cause.TOO_WEAK, Cause.PARTS_DISAGREE)


def may_need_light(rejected: Iterable[Rejected]) -> bool:
    """Whether certain peaks were refused because they are not all over the image.

    Parameters
    ----------
    rejected : iterable of Rejected

    Returns
    -------
    bool
    """
    # only a peak that is there for sure is worth another search
    return any(peak.is_certain and peak.cause in _UNLIKELY_EVERYWHERE for peak in rejected)


def dark_ground(images: Sequence[Normalized]) -> torch.Tensor | None:
    """Find the pixels without light.

    The darkest of 16×16 parts shows the level of the ground and its random noise. Pixels at this
    level, by the majority of their neighbours, are the ground.

    Parameters
    ----------
    images : sequence of Normalized
        Channels of one image.

    Returns
    -------
    Tensor of bool, shape (H, W), or None
        Pixels that are dark in all channels. None if these are less than a tenth or more than
        nine tenths of the image, or if darkness has no clear limit.
    """
    ground: torch.Tensor | None = None
    for image in images:
        dark = _ground_of(image)
        if dark is None:
            return None
        ground = dark if ground is None else ground & dark
    if ground is None or not _LEAST < float(ground.float().mean()) < _MOST:
        return None
    return ground


def is_dark_without(
    ground: torch.Tensor, images: Sequence[Normalized], noises: Sequence[torch.Tensor]
) -> bool:
    """Whether the dark ground does not show noise that was found in the light.

    Parameters
    ----------
    ground : Tensor of bool, shape (H, W)
    images : sequence of Normalized
        The C channels.
    noises : sequence of Tensor of float32, shape (H, W)
        Noise of each channel, drawn in the whole image.

    Returns
    -------
    bool
        True if less than half of it is there, by the differences of pixels.
    """
    inside = torch.stack([ground[1:, :-1] & ground[:-1, :-1], ground[:-1, 1:] & ground[:-1, :-1]])
    shown = power = 0.0
    for image, noise in zip(images, noises, strict=True):
        steps = gradient(noise) * inside
        shown += float((steps * gradient(image.pixels)).sum())
        power += float(steps.square().sum())
    return shown < _SHOWN * power


def _ground_of(image: Normalized) -> torch.Tensor | None:
    """Dark ground of one channel."""
    pixels = image.pixels
    parts = [part for row in pixels.tensor_split(_PARTS) for part in row.tensor_split(_PARTS, 1)]
    medians = torch.stack([part.median() for part in parts])
    darkest = parts[int(medians.argmin())]
    level = darkest.median()
    deviation = (MAD_TO_SIGMA * (darkest - level).abs().median()).clamp_min(image.quantum)
    dark = pixels < level + _DEVIATIONS * deviation
    close = int((pixels < level + _BEYOND * deviation).sum()) - int(dark.sum())
    if close > _FEW_CLOSE * int(dark.sum()):
        return None
    half = _NEIGHBOURHOOD // 2
    around = avg_pool2d(
        dark.float()[None, None], _NEIGHBOURHOOD, 1, half, count_include_pad=False
    )[0, 0]
    return around > 0.5
