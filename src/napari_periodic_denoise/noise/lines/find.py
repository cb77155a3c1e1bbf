"""Line noise of an image: found, fitted, and weighed."""

from __future__ import annotations

import torch

from napari_periodic_denoise.noise.lines.differences import line_differences
from napari_periodic_denoise.noise.lines.evidence import LineEvidence, weigh
from napari_periodic_denoise.noise.lines.outliers import Fitted, fit_lines, fit_variation
from napari_periodic_denoise.noise.lines.profile import as_profile, specimen_power
from napari_periodic_denoise.noise.lines.result import LineKind, LineNoise, Outcome, drawn

# Between what made noise of ten images and fifteen real ones show, and clean images and their
# crops, see `benchmarks.lines`.
_AGREEING = 0.95  # of the parts that could show the noise
_PARTS = 8  # of 64 that have to
_MOST_PARTS = 40  # that make it lines all over the image
_SAVED = 0.4  # of what exact noise would save
_ALONG = 0.45  # correlation with the texture, which bricks have 0.6 of
_FEW_ACROSS = 0.2  # correlation of what is left of few lines with their strength
_FEW_LEFT = 1.15  # times what is left of lines around
_FEWEST_JUMPS = 4  # one or two may be a border or a shelf
_VISIBLE = 0.5  # grey levels that some pixel changes by


def find_lines(
    pixels: torch.Tensor,
    quantum: float,
    *,
    ignored: torch.Tensor | None = None,
    dark: float | None = None,
) -> list[LineNoise]:
    """Find noise of rows and columns.

    Parameters
    ----------
    pixels : Tensor of float32, shape (H, W)
        Intensities in robust deviations, see `images.normalize`.
    quantum : float
        Step between two grey levels.
    ignored : Tensor of bool, shape (H, W), optional
        Pixels that tell nothing, as saturated ones.
    dark : float, optional
        Intensity of no light; without, gains are not looked for.

    Returns
    -------
    list of LineNoise
        At most one for each axis, the stronger first. Empty for most clean images.
    """
    both = _axes(pixels, quantum, ignored)
    found = [noise for noise in both if noise is not None]
    return sorted(found, key=lambda noise: -noise.strength)


def _axes(
    pixels: torch.Tensor, quantum: float, ignored: torch.Tensor | None
) -> list[LineNoise | None]:
    views = [(pixels, ignored), (pixels.T.contiguous(), None if ignored is None else ignored.T)]
    profiles = [as_profile(line_differences(p, quantum, i)) for p, i in views]
    found = []
    for axis in (0, 1):
        profile, other = profiles[axis], profiles[1 - axis]
        specimen = specimen_power(other, profile.lines)
        fitted = fit_lines(profile, specimen[0])
        if fitted.nats <= 0 or not bool(fitted.offsets.any()):
            found.append(None)
            continue
        more = fit_variation(profile, specimen)
        offsets = torch.cat([fitted.offsets[None], more])
        upright, hidden = views[axis]
        noise = drawn(offsets, upright, None)
        evidence = weigh(upright, noise, quantum, fitted.nats, hidden)
        kind = _kind(fitted)
        outcome = _decided(fitted, evidence)
        if outcome is None or float(noise.abs().max()) < _VISIBLE * quantum:
            found.append(None)
            continue
        found.append(LineNoise(kind, outcome, axis, offsets, None, float(noise.std()), evidence))
    return found


def _decided(fitted: Fitted, evidence: LineEvidence) -> Outcome | None:
    """What to do with noise of this evidence; None if it is none."""
    if evidence.parts < _PARTS or evidence.saved < _SAVED / 2 or evidence.agreeing < 0.5:
        return None
    sure = evidence.agreeing >= _AGREEING and evidence.saved >= _SAVED and evidence.along <= _ALONG
    if evidence.parts < _MOST_PARTS:
        few = not len(fitted.jumps) or len(fitted.jumps) >= _FEWEST_JUMPS
        sure &= few and evidence.across <= _FEW_ACROSS and evidence.left <= _FEW_LEFT
    return Outcome.REMOVED if sure else Outcome.SUGGESTED


def _kind(fitted: Fitted) -> LineKind:
    if bool(fitted.noise.any()):
        return LineKind.LINES
    return LineKind.SINGLE if len(fitted.single) >= len(fitted.jumps) else LineKind.JUMPS
