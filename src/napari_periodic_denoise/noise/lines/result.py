"""Line noise as a component: what it is, how strong, why it is believed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

import torch

from napari_periodic_denoise.noise.lines.evidence import LineEvidence
from napari_periodic_denoise.noise.lines.hum import Hum
from napari_periodic_denoise.noise.lines.streaks import Streaks
from napari_periodic_denoise.noise.outcome import Outcome

#: Offsets of lines, order by order of cosines along them; or noise that draws itself.
Pattern = torch.Tensor | Streaks | Hum


class LineKind(StrEnum):
    """Kinds of line noise, in the words they are shown in."""

    LINES = "lines"
    SINGLE = "single lines"
    JUMPS = "jumps between lines"
    STREAKS = "streaks along lines"
    HUM = "hum along lines"
    TILES = "shading of tiles"


@dataclass(frozen=True, slots=True, eq=False)
class LineNoise:
    """Noise of rows or columns.

    Attributes
    ----------
    kind : LineKind
    outcome : Outcome
    axis : int
        Of the image, along which the lines lie: 0 for columns, 1 for rows.
    shape : tuple of int
        Of the image.
    pattern : Tensor of float64, shape (K, W), or Streaks, or Hum
        Offsets of W lines, order by order of cosines along them; or of parts of lines; or waves
        along lines.
    strength : float
        Deviation of the noise, in the unit of the pixels.
    evidence : LineEvidence
    channel : int
        Channel of the image.
    share : float
        Share of the variance of its channel's noise, 0 to 1; zero if it is not removed.
    """

    kind: LineKind
    outcome: Outcome
    axis: int
    shape: tuple[int, int]
    pattern: Pattern
    strength: float
    evidence: LineEvidence
    channel: int = 0
    share: float = 0.0

    @property
    def direction(self) -> float:
        """Angle of the lines in degrees: 0 for rows, 90 for columns."""
        return 90.0 if self.axis == 0 else 0.0

    def render(self, device: torch.device | str = "cpu") -> torch.Tensor:
        """Draw the noise.

        Parameters
        ----------
        device : torch.device or str

        Returns
        -------
        Tensor of float32, shape (H, W)
        """
        upright = self.shape if self.axis == 0 else self.shape[::-1]
        noise = draw(self.pattern, upright).to(device)
        return noise if self.axis == 0 else noise.T

    @property
    def lines(self) -> str:
        """``"columns"`` or ``"rows"``."""
        return "columns" if self.axis == 0 else "rows"

    @property
    def name(self) -> str:
        """Name that switches it off and on, such as ``"rows: single lines"``."""
        return f"{self.lines}: {self.kind}"

    @property
    def key(self) -> str:
        """What switches it, see `selection.select_waves`: its name."""
        return self.name

    def is_named(self, names: Sequence[object]) -> bool:
        """Whether names have this noise, or all noise of its rows or columns."""
        return self.name in names or self.lines in names

    def in_units(self, unit: float) -> LineNoise:
        """Return the noise of an image whose intensities are ``unit · pixels``, plus anything."""
        pattern = self.pattern
        pattern = unit * pattern if isinstance(pattern, torch.Tensor) else pattern.times(unit)
        return replace(self, pattern=pattern, strength=unit * self.strength)

    def to_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return {
            "name": self.name,
            "kind": str(self.kind),
            "lines": self.lines,
            "outcome": str(self.outcome),
            "direction": self.direction,
            "strength": self.strength,
            "evidence": asdict(self.evidence),
            "channel": self.channel,
            "share": self.share,
        }


def accept(noise: LineNoise) -> LineNoise:
    """Return line noise that is removed, even if it was only suggested."""
    return replace(noise, outcome=Outcome.REMOVED)


def render_lines(
    noises: Sequence[LineNoise], shape: tuple[int, int], device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Draw the sum of line noise.

    Parameters
    ----------
    noises : sequence of LineNoise
    shape : tuple of int
        ``(H, W)`` of the image.
    device : torch.device or str

    Returns
    -------
    Tensor of float32, shape (H, W)
    """
    total = torch.zeros(shape, dtype=torch.float32, device=device)
    for noise in noises:
        total += noise.render(device)
    return total


def draw(pattern: Pattern, shape: tuple[int, int]) -> torch.Tensor:
    """Noise of columns.

    Parameters
    ----------
    pattern : Tensor of float64, shape (K, W), or Streaks, or Hum
        As in `LineNoise`.
    shape : tuple of int
        ``(H, W)``.

    Returns
    -------
    Tensor of float32, shape (H, W)
    """
    if not isinstance(pattern, torch.Tensor):
        return pattern.draw(shape)
    along = (torch.arange(shape[0], dtype=torch.float64) + 0.5) * (math.pi / shape[0])
    waves = torch.cos(along[:, None] * torch.arange(len(pattern))) * math.sqrt(2)
    waves[:, 0] = 1
    return waves.float() @ pattern.float()
