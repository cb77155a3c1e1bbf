"""Line noise of an image: found, fitted, and weighed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from napari_periodic_denoise.noise.lines.differences import line_differences
from napari_periodic_denoise.noise.lines.evidence import LineEvidence, weigh
from napari_periodic_denoise.noise.lines.hum import find_hum, may_show_hum
from napari_periodic_denoise.noise.lines.outliers import Fitted, fit_lines, fit_variation
from napari_periodic_denoise.noise.lines.profile import Profile, as_profile, specimen_power
from napari_periodic_denoise.noise.lines.result import (
    LineKind,
    LineNoise,
    Pattern,
    draw,
)
from napari_periodic_denoise.noise.lines.screen import may_show_lines
from napari_periodic_denoise.noise.lines.streaks import find_streaks
from napari_periodic_denoise.noise.lines.tiles import (
    Shading,
    are_certain,
    find_tiling,
    fit_tiles,
    may_be_tiles,
)
from napari_periodic_denoise.noise.outcome import Outcome, removed
from napari_periodic_denoise.noise.waves.frequency import Frequency

# Between what made noise of ten images and fifteen real ones show, and clean images and their
# crops, see `benchmarks.lines`.
_AGREEING = 0.95  # of the parts that could show the noise
_PARTS = 8  # of 64 that have to
_MOST_PARTS = 40  # that make it lines all over the image
_SAVED = 0.4  # of what exact noise would save
_ALONG = 0.45  # correlation with the texture, which bricks have 0.6 of
_LEFT = 1.45  # times what is left around the lines, where these vary along themselves
_FEW_ACROSS = 0.2  # correlation of what is left of few lines with their strength
_FEW_LEFT = 1.15  # times what is left of lines around
_FEW_TEXTURE = 4 / 3  # times the usual texture, or this part of it; borders have 0.3 to 0.6
_FEWEST_JUMPS = 4  # one or two may be a border or a shelf
_STREAK_PARTS = 24  # of 64; the edges of a few things reach less far
_STREAKS_LEFT = 1.3
_STREAKS_ACROSS = 5.0  # times the nats of what looks like streaks in the other direction
_ROUNDED = 3.0  # grey levels between neighbouring lines
_SMOOTH = 0.75  # grey levels along the lines; random noise that hides the rounding has more
_VISIBLE = 0.5  # grey levels that some pixel changes by
_ONE_WAY = 1.9  # deviations of the sum of jumps of any sign; four equal ones reach 2
_TRIES = 3


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """An image turned so that its lines are columns."""

    axis: int
    pixels: torch.Tensor
    quantum: float
    ignored: torch.Tensor | None

    def without(self, noise: torch.Tensor) -> _View:
        return _View(self.axis, self.pixels - noise, self.quantum, self.ignored)


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """Line noise that shortens the description of an image."""

    kind: LineKind
    pattern: Pattern
    nats: float
    jumps: int = 0
    foretold: torch.Tensor | None = None  # the noise, in each part as other parts tell it


def find_lines(
    pixels: torch.Tensor,
    quantum: float,
    ignored: torch.Tensor | None = None,
    waves: Sequence[Frequency] = (),
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
    waves : sequence of tuple of float
        Frequencies ``(fy, fx)`` of waves that were found, and removed.

    Returns
    -------
    list of LineNoise
        Columns first. Each is of what those before it that are removed leave.

    Notes
    -----
    An image whose lines do not differ in all its parts alike is left at once. Else each line
    has an unknown offset. Robust differences between neighbouring lines, and between
    means of more of them, tell it but for what is slow, where the specimen's own profile along
    the other axis tells how much is noise. A few lines or jumps that stand out, a stationary
    rest, and its variation along the lines are taken as far as they shorten the description.
    Then come streaks along parts of single lines, and if there are any, the lines once more
    without them. Hum along the lines comes first, because it differs from line to line.
    """
    found, views = _hum(_views(pixels, quantum, ignored), waves)
    suspects = [may_show_lines(v.pixels, v.quantum, v.ignored) for v in views]
    if not any(suspects):
        return found
    profiles = [_profile(view) for view in views]
    tiles, views, profiles = _tiles(views, profiles)
    found += tiles
    for view, profile, other, suspect in zip(
        views, profiles, reversed(profiles), suspects, strict=True
    ):
        if not suspect:
            continue
        specimen = specimen_power(other, profile.lines, may_be_noise=all(suspects))
        lines, rest = _lines(view, profile, specimen)
        streaks, left = _streaks(rest)
        if left is not rest:
            # streaks that were taken for lines, and lines that streaks disturbed
            alone = view.without(rest.pixels - left.pixels)
            lines, rest = _lines(alone, _profile(alone), specimen)
            streaks, _ = _streaks(view.without(alone.pixels - rest.pixels))
        found += lines + streaks
    return found


def _views(
    pixels: torch.Tensor, quantum: float, ignored: torch.Tensor | None
) -> tuple[_View, _View]:
    """View the columns as lines, and the rows."""
    return (
        _View(0, pixels.contiguous(), quantum, ignored),
        _View(1, pixels.T.contiguous(), quantum, None if ignored is None else ignored.T),
    )


def _hum(
    views: tuple[_View, _View], waves: Sequence[Frequency]
) -> tuple[list[LineNoise], tuple[_View, _View]]:
    """Hum along the lines, and the image without what of it is removed.

    The axis that tells more goes first: hum may resemble waves along the other one.
    """
    hums = [_hum_of(view, waves) for view in views]
    found: list[LineNoise] = []
    nats = [0.0 if hum is None else hum.nats for hum in hums]
    for axis in (0, 1) if nats[0] >= nats[1] else (1, 0):
        hum = _hum_of(views[axis], waves) if found else hums[axis]
        if hum is None:
            continue
        noises, left = _taken(hum, views[axis])
        found += noises
        if left is not views[axis]:
            pixels = left.pixels if axis == 0 else left.pixels.T
            views = _views(pixels, left.quantum, views[0].ignored)
    return found, views


def _hum_of(view: _View, waves: Sequence[Frequency]) -> _Candidate | None:
    along = [(fy, fx) if view.axis == 0 else (fx, fy) for fy, fx in waves]
    if not may_show_hum(view.pixels, view.ignored, along):
        return None
    found = find_hum(view.pixels, view.quantum, view.ignored, along)
    if found is None:
        return None
    hum, foretold = found
    return _Candidate(LineKind.HUM, hum, hum.nats, foretold=foretold)


def _profile(view: _View) -> Profile:
    return as_profile(line_differences(view.pixels, view.quantum, view.ignored))


def _tiles(
    views: tuple[_View, _View], profiles: list[Profile]
) -> tuple[list[LineNoise], tuple[_View, _View], list[Profile]]:
    """Shading of tiles, and the image without what of it is removed.

    Tiles that are certain in one direction make those of the other certain.
    """
    tilings = [find_tiling(profile.differences) for profile in profiles]
    shadings = [
        fit_tiles(profile.differences, tiling.period) if may_be_tiles(tiling, other) else None
        for profile, tiling, other in zip(profiles, tilings, reversed(tilings), strict=True)
    ]
    is_certain = are_certain([shading for shading in shadings if shading])
    found = [
        _shading(shading, view, Outcome.REMOVED if is_certain else Outcome.SUGGESTED)
        for shading, view in zip(shadings, views, strict=True)
        if shading
    ]
    if not removed(found):
        return found, views, profiles
    pixels = views[0].pixels
    for noise in found:
        pixels = pixels - noise.render(pixels.device)
    views = _views(pixels, views[0].quantum, views[0].ignored)
    return found, views, [_profile(view) for view in views]


def _shading(shading: Shading, view: _View, outcome: Outcome) -> LineNoise:
    candidate = _Candidate(LineKind.TILES, shading.offsets, shading.nats)
    noise = _drawn(candidate, view)
    evidence, _ = weigh(view.pixels, noise, view.quantum, shading.nats, view.ignored)
    # most of the shading is too slow to be seen between neighbouring lines
    evidence = replace(evidence, agreeing=shading.agreeing)
    return _component(candidate, view, noise, evidence, outcome)


def _lines(view: _View, profile: Profile, specimen: torch.Tensor) -> tuple[list[LineNoise], _View]:
    """Noise of whole lines, and the image without what of it is removed."""
    found = []
    for candidate in _candidates(view, profile, specimen):
        component, view = _taken(candidate, view)
        found += component
    return found, view


def _streaks(view: _View) -> tuple[list[LineNoise], _View]:
    """Streaks, and the image without them if they are removed."""
    streaks = find_streaks(view.pixels, view.quantum, view.ignored)
    if not len(streaks.line):
        return [], view
    return _taken(_Candidate(LineKind.STREAKS, streaks, streaks.nats), view)


def _taken(candidate: _Candidate, view: _View) -> tuple[list[LineNoise], _View]:
    """Candidate if it is noise, and the image without it if it is removed."""
    component = _judged(candidate, view)
    if component is None or component.outcome is not Outcome.REMOVED:
        return [component] if component else [], view
    return [component], view.without(_drawn(candidate, view))


def _drawn(candidate: _Candidate, view: _View) -> torch.Tensor:
    shape = (view.pixels.shape[0], view.pixels.shape[1])
    return draw(candidate.pattern, shape).to(view.pixels.device)


def _candidates(view: _View, profile: Profile, specimen: torch.Tensor) -> Iterator[_Candidate]:
    """Few lines that stand out, and noise of all lines."""
    refused = torch.zeros(2 * profile.lines, dtype=torch.bool)
    for _ in range(_TRIES):
        fitted = fit_lines(profile, specimen[0], refused)
        if fitted.nats <= 0:
            return
        if not bool(fitted.outliers.any()):
            break
        all_lines = (fitted.outliers + fitted.rest)[None]
        noise = _drawn(_Candidate(LineKind.LINES, all_lines, fitted.nats), view)
        _, doubtful = weigh(view.pixels, noise, view.quantum, fitted.nats, view.ignored)
        edges = _edges(fitted, doubtful)
        if not bool(edges.any()):
            break
        refused |= edges
    if bool(fitted.outliers.any()):
        jumps = len(fitted.jumps)
        kind = LineKind.JUMPS if jumps > len(fitted.single) else LineKind.SINGLE
        yield _Candidate(kind, fitted.outliers[None], fitted.nats, jumps)
    if bool(fitted.noise.any()):
        variation = fit_variation(profile, specimen)
        offsets = torch.cat([fitted.rest[None], variation])
        yield _Candidate(LineKind.LINES, offsets, fitted.nats)


def _edges(fitted: Fitted, doubtful: torch.Tensor) -> torch.Tensor:
    """Outliers at doubtful differences, shape (2·W,)."""
    before = torch.nn.functional.pad(doubtful, (1, 0))
    after = torch.nn.functional.pad(doubtful, (0, 1))
    edges = torch.zeros(2 * len(before), dtype=torch.bool)
    edges[fitted.single] = (before | after)[fitted.single]
    edges[len(before) + fitted.jumps] = before[fitted.jumps]
    return edges


def _judged(candidate: _Candidate, view: _View) -> LineNoise | None:
    """Candidate with its evidence and what to do with it; None if it is no noise."""
    noise = _drawn(candidate, view)
    if float(noise.abs().max()) < _VISIBLE * view.quantum:
        return None
    told = noise if candidate.foretold is None else candidate.foretold.to(noise)
    evidence, _ = weigh(view.pixels, told, view.quantum, candidate.nats, view.ignored)
    if evidence.parts < _PARTS or evidence.saved < _SAVED / 2 or evidence.agreeing < 0.5:
        return None
    sure = _is_sure(candidate, evidence, view) and not 0 < candidate.jumps < _FEWEST_JUMPS
    sure = sure and not _is_rounding(noise, view)
    sure = sure and not (candidate.kind is LineKind.JUMPS and _are_teeth(noise, view))
    outcome = Outcome.REMOVED if sure else Outcome.SUGGESTED
    return _component(candidate, view, noise, evidence, outcome)


def _component(
    candidate: _Candidate,
    view: _View,
    noise: torch.Tensor,
    evidence: LineEvidence,
    outcome: Outcome,
) -> LineNoise:
    h, w = view.pixels.shape
    return LineNoise(
        candidate.kind,
        outcome,
        view.axis,
        (h, w) if view.axis == 0 else (w, h),
        candidate.pattern,
        float(noise.std()),
        evidence,
    )


def _are_teeth(noise: torch.Tensor, view: _View) -> bool:
    """Whether jumps go one way and lines differ more without them: a saw, as of tiles' seams."""
    jumps = noise[0].diff()
    if float(jumps.sum().abs()) < _ONE_WAY * float(jumps.norm()):
        return False
    before = view.pixels.median(0).values
    return float((before - noise[0]).var()) > float(before.var())


def _is_rounding(noise: torch.Tensor, view: _View) -> bool:
    """Whether lines may differ as a smooth image does that is rounded to whole grey levels."""
    if float(noise.diff().abs().max()) > _ROUNDED * view.quantum:
        return False
    return float((view.pixels - noise).diff(dim=0).abs().mean()) < _SMOOTH * view.quantum


def _is_sure(candidate: _Candidate, evidence: LineEvidence, view: _View) -> bool:
    """Whether this is noise for sure, and no specimen with straight edges."""
    if (
        evidence.agreeing < _AGREEING
        or evidence.saved < _SAVED
        or evidence.along > _ALONG
        or evidence.left > _LEFT
    ):
        return False
    if candidate.kind is LineKind.STREAKS:
        if evidence.parts < _STREAK_PARTS or evidence.left > _STREAKS_LEFT:
            return False
        hidden = None if view.ignored is None else view.ignored.T
        across = find_streaks(view.pixels.T.contiguous(), view.quantum, hidden)
        return evidence.nats >= _STREAKS_ACROSS * across.nats
    if candidate.kind is LineKind.HUM:
        return evidence.parts >= _MOST_PARTS
    if candidate.kind is LineKind.LINES and evidence.parts >= _MOST_PARTS:
        return True
    is_usual = 1 / _FEW_TEXTURE <= evidence.texture <= _FEW_TEXTURE
    return is_usual and evidence.across <= _FEW_ACROSS and evidence.left <= _FEW_LEFT
