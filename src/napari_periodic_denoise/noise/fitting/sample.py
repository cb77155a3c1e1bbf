"""Random samples of an image's gradient, to which waves are fitted."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

# Rows or columns. Narrower samples confuse waves of similar frequency (benchmarks.rejection).
_MIN_LINES = 128


@dataclass(frozen=True, slots=True)
class GradientSample:
    """First differences of an image at the crossings of some of its rows and columns.

    Attributes
    ----------
    rows : Tensor of int64, shape (m,)
        In random order.
    columns : Tensor of int64, shape (n,)
        In random order. Waves are separable on crossing lines, not on scattered pixels.
    gradient : Tensor of float32, shape (2, m, n)
        Differences along y and along x.
    counted : Tensor of float32, shape (2, m, n)
        One, or zero for differences without information, such as those of saturated pixels.
    shape : tuple of int
        ``(H, W)`` of the image.
    quantum : float
        Step between two grey levels. Smaller residuals are rounding.
    """

    rows: torch.Tensor
    columns: torch.Tensor
    gradient: torch.Tensor
    counted: torch.Tensor
    shape: tuple[int, int]
    quantum: float

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def first(self, count: int) -> GradientSample:
        """Return about ``count`` pixels of the sample, also at random."""
        m, n = _thinned(len(self.rows), len(self.columns), count)
        return replace(
            self,
            rows=self.rows[:m],
            columns=self.columns[:n],
            gradient=self.gradient[:, :m, :n].contiguous(),
            counted=self.counted[:, :m, :n].contiguous(),
        )

    def central(self, size: int) -> GradientSample:
        """Return the pixels in the central ``size`` rows and columns."""
        spans = ((math.ceil((n - 1 - size) / 2), (n - 1 + size) // 2 + 1) for n in self.shape)
        (y0, y1), (x0, x1) = spans
        return self.within((y0, x0, y1, x1))

    def within(self, rectangle: tuple[int, int, int, int]) -> GradientSample:
        """Return the pixels in ``(y0, x0, y1, x1)``, row ``y1`` and column ``x1`` excluded."""
        y0, x0, y1, x1 = rectangle
        near = [
            ((start <= at) & (at < end)).nonzero()[:, 0]
            for at, start, end in ((self.rows, y0, y1), (self.columns, x0, x1))
        ]
        return replace(
            self,
            rows=self.rows[near[0]],
            columns=self.columns[near[1]],
            gradient=self.gradient[:, near[0]][:, :, near[1]],
            counted=self.counted[:, near[0]][:, :, near[1]],
        )

    def cpu(self) -> GradientSample:
        """Return the sample in main memory. MPS, for example, has no float64."""
        return replace(
            self,
            rows=self.rows.cpu(),
            columns=self.columns.cpu(),
            gradient=self.gradient.cpu(),
            counted=self.counted.cpu(),
        )

    def levels(self, image: torch.Tensor) -> torch.Tensor:
        """Return the intensities of an image, shape (H, W), at the sample, shape (m, n)."""
        return image[self.rows][:, self.columns]

    def of(self, image: torch.Tensor) -> GradientSample:
        """Sample another image of the same shape at the same pixels."""
        return replace(self, gradient=_gradient_at(image, self.rows, self.columns))


def sample_gradient(
    image: torch.Tensor,
    count: int,
    seed: int,
    quantum: float,
    ignored: torch.Tensor | None = None,
) -> GradientSample:
    """Sample the gradient at the crossings of random rows and columns.

    Parameters
    ----------
    image : Tensor of float32, shape (H, W)
    count : int
        Approximate number of pixels. A smaller image is sampled completely.
    seed : int
    quantum : float
        Step between two grey levels, or of rounding. Positive.
    ignored : Tensor of bool, shape (H, W), optional
        Pixels whose differences are not counted.

    Returns
    -------
    GradientSample
    """
    h, w = image.shape
    generator = torch.Generator().manual_seed(seed)
    rows, columns = (
        torch.randperm(n - 1, generator=generator)[:kept].to(image.device)
        for n, kept in zip((h, w), _thinned(h - 1, w - 1, count), strict=True)
    )
    differences = _gradient_at(image, rows, columns)
    counted = torch.ones_like(differences)
    if ignored is not None:
        here = ignored[rows][:, columns]
        counted[0][here | ignored[rows + 1][:, columns]] = 0
        counted[1][here | ignored[rows][:, columns + 1]] = 0
    return GradientSample(rows, columns, differences, counted, (h, w), quantum)


def sample_area(
    image: torch.Tensor, area: torch.Tensor, count: int, seed: int, quantum: float
) -> GradientSample:
    """Sample the gradient at the crossings of random rows and columns of an area.

    Parameters
    ----------
    image : Tensor of float32, shape (H, W)
    area : Tensor of bool, shape (H, W)
        Differences between two pixels of the area are counted.
    count : int
        Approximate number of crossings, inside and outside of the area.
    seed : int
    quantum : float
        Step between two grey levels, or of rounding. Positive.

    Returns
    -------
    GradientSample
        Empty if no two pixels of the area are neighbours.
    """
    inside = area[:-1, :-1] & (area[1:, :-1] | area[:-1, 1:])
    lines = [inside.any(1 - axis).nonzero()[:, 0] for axis in (0, 1)]
    generator = torch.Generator().manual_seed(seed)
    kept = _thinned(max(len(lines[0]), 1), max(len(lines[1]), 1), count)
    rows, columns = (
        at[torch.randperm(len(at), generator=generator)[:number].to(at.device)]
        for at, number in zip(lines, kept, strict=True)
    )
    here = area[rows][:, columns]
    counted = torch.stack([here & area[rows + 1][:, columns], here & area[rows][:, columns + 1]])
    differences = _gradient_at(image, rows, columns)
    shape = (image.shape[0], image.shape[1])
    return GradientSample(rows, columns, differences, counted.float(), shape, quantum)


def _thinned(rows: int, columns: int, count: int) -> tuple[int, int]:
    """Numbers of rows and columns that cross in about ``count`` pixels.

    Both axes are thinned evenly. Along the short side at least `_MIN_LINES` are kept.
    """
    share = min(1.0, math.sqrt(count / (rows * columns)))
    shorter = min(rows, columns)
    kept = min(shorter, max(math.ceil(share * shorter), _MIN_LINES))
    other = min(max(rows, columns), math.ceil(count / kept))
    return (kept, other) if rows <= columns else (other, kept)


def _gradient_at(image: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Both first differences where rows and columns cross, shape (2, m, n)."""
    lines = image[rows]
    here = lines[:, columns]
    return torch.stack([image[rows + 1][:, columns] - here, lines[:, columns + 1] - here])
