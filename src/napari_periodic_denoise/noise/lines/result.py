"""Line noise as a component: what it is, how strong, why it is believed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

import torch

from napari_periodic_denoise.noise.lines.evidence import LineEvidence


class LineKind(StrEnum):
    """Kinds of line noise, in the words they are shown in."""

    LINES = "lines"
    SINGLE = "single lines"
    JUMPS = "jumps between lines"


class Outcome(StrEnum):
    """What is done with a component."""

    REMOVED = "removed"
    SUGGESTED = "suggested"


@dataclass(frozen=True, slots=True, eq=False)
class LineNoise:
    """Noise of rows or columns.

    Attributes
    ----------
    kind : LineKind
    outcome : Outcome
    axis : int
        Of the image, along which the lines lie: 0 for columns, 1 for rows.
    offsets : Tensor of float64, shape (K, W)
        Of W lines, order by order of cosines along them.
    dark : float or None
        None if the offsets are added. Otherwise the intensity of no light, and the offsets are
        logarithms of gains.
    strength : float
        Deviation of the noise, in the unit of the pixels.
    evidence : LineEvidence
    channel : int
        Of the image.
    share : float
        Of the variance of the noise in its channel, 0 to 1; zero where it is not removed.
    """

    kind: LineKind
    outcome: Outcome
    axis: int
    offsets: torch.Tensor
    dark: float | None
    strength: float
    evidence: LineEvidence
    channel: int = 0
    share: float = 0.0

    @property
    def direction(self) -> float:
        """Angle of the lines in degrees: 0 for rows, 90 for columns."""
        return 90.0 if self.axis == 0 else 0.0

    def render(self, pixels: torch.Tensor) -> torch.Tensor:
        """Draw the noise.

        Parameters
        ----------
        pixels : Tensor of float32, shape (H, W)
            The image; a gain is relative to it.

        Returns
        -------
        Tensor of float32, shape (H, W)
        """
        upright = pixels if self.axis == 0 else pixels.T
        noise = drawn(self.offsets, upright, self.dark)
        return noise if self.axis == 0 else noise.T

    def in_units(self, unit: float, zero: float) -> LineNoise:
        """Return the noise of an image whose intensities are ``unit · pixels + zero``."""
        if self.dark is not None:
            return replace(self, dark=unit * self.dark + zero, strength=unit * self.strength)
        return replace(self, offsets=unit * self.offsets, strength=unit * self.strength)

    @property
    def name(self) -> str:
        """``"rows"`` or ``"columns"``: which lines of the image have the noise."""
        return "columns" if self.axis == 0 else "rows"

    def to_dict(self) -> dict[str, object]:
        """Return what is known of the noise as plain values, ready for JSON."""
        return {
            "kind": str(self.kind),
            "lines": self.name,
            "outcome": str(self.outcome),
            "direction": self.direction,
            "strength": self.strength,
            "multiplies": self.dark is not None,
            "evidence": asdict(self.evidence),
            "channel": self.channel,
            "share": self.share,
        }


def removed(lines: Sequence[LineNoise]) -> list[LineNoise]:
    """Return those of the lines' noise that are removed, not only suggested."""
    return [line for line in lines if line.outcome is Outcome.REMOVED]


def accepted(line: LineNoise) -> LineNoise:
    """Return line noise that is removed, whether it was only suggested or not."""
    return replace(line, outcome=Outcome.REMOVED)


def render_lines(lines: Sequence[LineNoise], pixels: torch.Tensor) -> torch.Tensor:
    """Noise of rows and of columns, shape (H, W), in the unit of the pixels.

    Parameters
    ----------
    lines : sequence of LineNoise
    pixels : Tensor of float32, shape (H, W)
        The image without its waves.
    """
    total = torch.zeros_like(pixels)
    for line in lines:
        total += line.render(pixels - total)
    return total


def drawn(offsets: torch.Tensor, pixels: torch.Tensor, dark: float | None) -> torch.Tensor:
    """Noise of columns with these offsets, float32, shape of the pixels."""
    height = len(pixels)
    turn = (torch.arange(height, dtype=torch.float64) + 0.5) * (math.pi / height)
    waves = torch.cos(turn[:, None] * torch.arange(len(offsets))) * math.sqrt(2)
    waves[:, 0] = 1
    field = (waves.float() @ offsets.float()).to(pixels.device)
    if dark is None:
        return field
    return (pixels - dark) * -torch.expm1(-field)
