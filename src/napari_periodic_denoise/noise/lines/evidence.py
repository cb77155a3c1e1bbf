"""What tells line noise from a specimen with straight edges along the lines.

The lines are the columns of the tensors here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import avg_pool1d

from napari_periodic_denoise.noise.lines.texture import local_scale

_PARTS = 8  # along each axis
_ALONG = 256  # pixels of each line that are looked at
_COULD_SHOW = 20.0  # nats that the noise is worth in a part; chance makes a few
_STRONG = 4.0  # times the usual texture, which an edge counts as at most
_AGREEING_ALONG = 0.75  # of eight parts of one line
_EDGE = 1.4  # times what is left around a line, where it is an edge's
_AROUND = 31  # lines, over which slow changes are left out


@dataclass(frozen=True, slots=True)
class LineEvidence:
    """Numbers that tell line noise from specimen.

    Attributes
    ----------
    nats : float
        By which the noise shortens the description of the lines' offsets.
    parts : int
        Parts of the image, of 8×8, that could show the noise.
    agreeing : float
        Share of them whose description gets shorter.
    saved : float
        Nats that the noise saves in all of them, of those that it would save if it were exact
        and nothing else there.
    along, across : float
        Correlation of the strength of what is left along and across the lines with the strength
        of the noise, line by line; of noise about 0.
    left : float
        Strength of what is left across the lines where the noise is, relative to lines around.
    texture : float
        Strength of what is left along the lines where the noise is, relative to the median line.
    """

    nats: float
    parts: int
    agreeing: float
    saved: float
    along: float
    across: float
    left: float
    texture: float


def weigh(
    pixels: torch.Tensor,
    noise: torch.Tensor,
    quantum: float,
    nats: float,
    ignored: torch.Tensor | None = None,
) -> tuple[LineEvidence, torch.Tensor]:
    """Weigh line noise against an image.

    Parameters
    ----------
    pixels, noise : Tensor of float32, shape (H, W)
        Each column is a line.
    quantum : float
        Step between two grey levels.
    nats : float
        Passed on.
    ignored : Tensor of bool, shape (H, W), optional
        Pixels that tell nothing.

    Returns
    -------
    evidence : LineEvidence
    doubtful : Tensor of bool, shape (W − 1,)
        Differences between neighbouring lines that part of the image denies, or where much more
        is left than around: an edge of the specimen.
    """
    height = len(pixels)
    step = max(height // _ALONG, 1)
    chosen = torch.arange(step // 2, height - 1, step, device=pixels.device)
    clean = pixels - noise
    below = (clean[chosen + 1] - clean[chosen]).abs_()
    before, cut = pixels[chosen].diff(), noise[chosen].diff()
    hidden = None
    if ignored is not None:
        hidden = ignored[chosen][:, 1:] | ignored[chosen][:, :-1]
    after = before - cut
    size = after.abs()
    least = quantum / 2
    scale = local_scale(size, least)

    def surprise(differences: torch.Tensor) -> torch.Tensor:
        nats = (differences / scale).square_().log1p_()
        return nats if hidden is None else nats.masked_fill_(hidden, 0)

    gained = surprise(before) - surprise(after)
    saved = _in_parts(gained)
    worth = _in_parts(surprise(cut))
    could = worth > _COULD_SHOW
    along_lines = torch.stack([part.sum(0) for part in gained.tensor_split(_PARTS)])
    agreeing = (along_lines > 0).float().mean(0)
    strength = cut.abs().mean(0)
    along = _line_strength(below)
    beside = (along[1:] + along[:-1]) / 2
    across = _line_strength(size)
    share = cut.square().sum(0)
    share /= share.sum().clamp_min(1e-30)
    around = float((share * _slow(across)).sum())
    doubtful = (agreeing < _AGREEING_ALONG) | (across > _EDGE * _slow(across))
    evidence = LineEvidence(
        nats=nats,
        parts=int(could.sum()),
        agreeing=float((saved > 0)[could].float().mean()) if bool(could.any()) else 0.0,
        saved=float(saved.sum() / worth.sum().clamp_min(1e-9)),
        along=_correlation(beside, strength),
        across=_correlation(across, strength),
        left=float((share * across).sum()) / max(around, 1e-30),
        texture=float((share * beside).sum()) / max(float(beside.median()), 1e-30),
    )
    return evidence, doubtful


def _in_parts(values: torch.Tensor) -> torch.Tensor:
    """Sums over the parts, shape (8, 8)."""
    return torch.stack(
        [
            torch.stack([part.sum() for part in row.tensor_split(_PARTS, 1)])
            for row in values.tensor_split(_PARTS, 0)
        ]
    )


def _line_strength(size: torch.Tensor) -> torch.Tensor:
    """Mean magnitude of each line; edges count, but not as much as they are high."""
    usual = max(float(size.median()), float(size.mean()))
    return size.clamp_max(_STRONG * usual).mean(0)


def _slow(values: torch.Tensor) -> torch.Tensor:
    """Mean over the lines around each."""
    around = min(_AROUND, (len(values) // 4) * 2 + 1)
    mean: torch.Tensor = avg_pool1d(values[None], around, 1, around // 2, count_include_pad=False)[
        0
    ]
    return mean


def _correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    """Correlation of two sequences without what is slow in them; 0 if one is constant."""
    a, b = a - _slow(a), b - _slow(b)
    both = float((a * b).sum())
    size = float(a.norm() * b.norm())
    return both / size if size > 0 else 0.0
