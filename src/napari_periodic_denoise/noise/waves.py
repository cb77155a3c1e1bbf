"""Plane waves and their separable synthesis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch

Frequency = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Wave:
    """One wave ``amplitude · cos(2π (fy·y + fx·x) + phase)``; pixel (0, 0) is the origin.

    Attributes
    ----------
    frequency : tuple of float
        ``(fy, fx)`` in cycles/pixel, in the half plane ``fy > 0`` or ``fy = 0, fx > 0``.
    amplitude : float
        Half of the peak-to-peak height, in the image's intensity units.
    phase : float
        Radians, in (−π, π].
    false_alarms : float
        Expected number of peaks this strong in the spectrum of an image without periodic
        noise; the smaller, the surer.
    evidence : float
        How much shorter the image's description becomes with this wave, in nats; a wave is
        kept above ``4 · ln(number of pixels)``.
    """

    frequency: Frequency
    amplitude: float
    phase: float
    false_alarms: float
    evidence: float

    @property
    def period(self) -> float:
        """Distance between two crests, in pixels."""
        return 1 / math.hypot(*self.frequency)

    @property
    def angle(self) -> float:
        """Direction of travel in degrees: 0 along x (vertical stripes), 90 along y."""
        return math.degrees(math.atan2(*self.frequency))

    def to_dict(self) -> dict[str, object]:
        """Return the attributes as plain numbers and lists, ready for JSON."""
        return {**asdict(self), "frequency": list(self.frequency)}


def phasors(frequencies: np.ndarray, length: int, origin: float = 0.0) -> np.ndarray:
    """One-dimensional phase vectors ``exp(2πi f (n − origin))``.

    Computed in float64: a float32 phase is off by whole degrees after a few thousand pixels.

    Parameters
    ----------
    frequencies : ndarray of float64, shape (K,)
        Cycles/pixel.
    length : int
        Number of pixels N.
    origin : float
        Position of phase zero, in pixels.

    Returns
    -------
    ndarray of complex128, shape (K, N)
    """
    turns = np.outer(frequencies, np.arange(length) - origin)
    # whole turns are taken off first, so that the argument of exp stays small and exact
    return np.exp(2j * np.pi * (turns - np.rint(turns)))


def synthesize(
    waves: Sequence[Wave], shape: tuple[int, int], device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Sum of waves on a pixel grid, ``N = Re(E_yᵀ · diag(a e^{iφ}) · E_x)``.

    Parameters
    ----------
    waves : sequence of Wave
    shape : tuple of int
        ``(H, W)``.
    device : torch.device or str

    Returns
    -------
    Tensor of float32, shape (H, W)
    """
    if not waves:
        return torch.zeros(shape, dtype=torch.float32, device=device)
    frequency = np.array([wave.frequency for wave in waves])
    complex_amplitude = np.array([wave.amplitude * np.exp(1j * wave.phase) for wave in waves])
    rows = complex_amplitude[:, None] * phasors(frequency[:, 0], shape[0])
    columns = phasors(frequency[:, 1], shape[1])
    # Re(ab) = Re a Re b − Im a Im b: one real product, and no complex matrices, which MPS lacks
    left = np.concatenate([rows.real, -rows.imag]).T
    right = np.concatenate([columns.real, columns.imag])
    return _float32(left, device) @ _float32(right, device)


def _float32(array: np.ndarray, device: torch.device | str) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(device)
