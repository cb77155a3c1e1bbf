"""Samples of an image's gradient that waves are fitted to."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

_LEAST_LINES = 128


@dataclass(frozen=True, slots=True)
class GradientSample:
    """First differences of an image where some of its rows and columns cross.

    Attributes
    ----------
    rows : Tensor of int64, shape (m,)
        In random order.
    columns : Tensor of int64, shape (n,)
        In random order. Crossing lines rather than scattered pixels keep waves separable.
    gradient : Tensor of float32, shape (2, m, n)
        Differences along y and along x.
    counted : Tensor of float32, shape (2, m, n)
        One, or zero for differences that tell nothing, as of pixels at the image's limits.
    shape : tuple of int
        ``(H, W)`` of the image.
    quantum : float
        Step between two grey levels; residuals below it are rounding, and an exact fit would
        divide by them.
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
        """About ``count`` pixels of the sample: a random sample too."""
        m, n = _thinned(len(self.rows), len(self.columns), count)
        return replace(
            self,
            rows=self.rows[:m],
            columns=self.columns[:n],
            gradient=self.gradient[:, :m, :n].contiguous(),
            counted=self.counted[:, :m, :n].contiguous(),
        )

    def central(self, size: int) -> GradientSample:
        """Keep the pixels in the middle ``size`` rows and columns."""
        spans = ((math.ceil((n - 1 - size) / 2), (n - 1 + size) // 2 + 1) for n in self.shape)
        (y0, y1), (x0, x1) = spans
        return self.within((y0, x0, y1, x1))

    def within(self, rectangle: tuple[int, int, int, int]) -> GradientSample:
        """Keep the pixels in a rectangle, row ``y1`` and column ``x1`` excluded."""
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
        """The same in the computer's own memory, for what a GPU lacks, as MPS lacks float64."""
        return replace(
            self,
            rows=self.rows.cpu(),
            columns=self.columns.cpu(),
            gradient=self.gradient.cpu(),
            counted=self.counted.cpu(),
        )

    def levels(self, image: torch.Tensor) -> torch.Tensor:
        """Intensities of an image of the same shape at the same pixels, shape (m, n)."""
        return image[self.rows][:, self.columns]

    def of(self, image: torch.Tensor) -> GradientSample:
        """Take the same pixels of another image of the same shape."""
        return replace(self, gradient=_gradient_at(image, self.rows, self.columns))


def sample_gradient(
    image: torch.Tensor,
    count: int,
    seed: int,
    quantum: float,
    ignored: torch.Tensor | None = None,
) -> GradientSample:
    """Draw rows and columns at random and take the image's gradient where they cross.

    Parameters
    ----------
    image : Tensor of float32, shape (H, W)
    count : int
        Number of pixels, about; all of the image where it has fewer.
    seed : int
    quantum : float
        Step between two grey levels, or of rounding; positive.
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
    """Draw rows and columns at random among those that cross an area.

    Parameters
    ----------
    image : Tensor of float32, shape (H, W)
    area : Tensor of bool, shape (H, W)
        Differences are counted where both pixels are in it.
    count : int
        Number of crossings, about, within the area or not.
    seed : int
    quantum : float
        Step between two grey levels, or of rounding; positive.

    Returns
    -------
    GradientSample
        Without a row if no two pixels of the area are neighbours.
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
    """Numbers of lines, evenly fewer along both axes, that cross in about ``count`` pixels.

    Of a long and narrow image the short side is kept, as far as `_LEAST_LINES`.
    """
    share = min(1.0, math.sqrt(count / (rows * columns)))
    shorter = min(rows, columns)
    kept = min(shorter, max(math.ceil(share * shorter), _LEAST_LINES))
    other = min(max(rows, columns), math.ceil(count / kept))
    return (kept, other) if rows <= columns else (other, kept)


def _gradient_at(image: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    lines = image[rows]
    here = lines[:, columns]
    return torch.stack([image[rows + 1][:, columns] - here, lines[:, columns + 1] - here])
