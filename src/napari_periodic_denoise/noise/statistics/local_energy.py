"""Energy of waves in 4×4 parts of an image."""

from __future__ import annotations

import math

import numpy as np
import torch

from napari_periodic_denoise.noise.statistics.gram import hann
from napari_periodic_denoise.noise.statistics.peaks import Candidate
from napari_periodic_denoise.noise.waves.frequency import LEAKAGE_FREE
from napari_periodic_denoise.noise.waves.synthesis import phasors

# benchmarks.rejection checks these numbers: corners, fading noise and clean images.
_BLOCKS = 4  # parts per axis
_PRESENT = 0.25  # of the mean energy, from which on a part shows a wave (half the amplitude)
_MIN_PARTS = 0.6  # share of the parts that must show a wave
_MIN_VALID = 0.25  # share of valid pixels, below which a part is excluded
_AT_ONCE = 40  # frequencies per batch, which bounds the memory (benchmarks.speed)


def present_in_most(
    features: torch.Tensor, candidates: list[Candidate], ignored: torch.Tensor | None = None
) -> list[Candidate]:
    """Return the candidates that most parts of the image show.

    Parameters
    ----------
    features : Tensor of float32, shape (C, H, W)
    candidates : list of Candidate
    ignored : Tensor of bool, shape at least (H, W), optional
        Pixels without information. Parts that consist mostly of these are excluded.

    Returns
    -------
    list of Candidate
    """
    if not candidates:
        return []
    energy = _block_energy(features, np.array([c.frequency for c in candidates]))
    if ignored is not None:
        valid = 1 - _share_in_parts(ignored, features.shape)
        energy = (energy / valid.square())[:, valid > _MIN_VALID]
    if not energy.shape[1]:
        return candidates
    share = (energy > _PRESENT * energy.mean(1, keepdim=True)).float().mean(1).cpu()
    return [c for c, s in zip(candidates, share.tolist(), strict=True) if s >= _MIN_PARTS]


def local_excess(features: torch.Tensor, frequencies: np.ndarray) -> np.ndarray:
    """Energy of each wave, relative to the energy at neighbouring frequencies.

    Parts need not agree in phase. The residual of a wave with changing amplitude or phase shows
    here, even if its spectrum is too wide for a peak.

    Parameters
    ----------
    features : Tensor of float32, shape (C, H, W)
    frequencies : ndarray of float64, shape (K, 2)
        Cycles/pixel.

    Returns
    -------
    ndarray of float64, shape (K,)
    """
    at, beside = local_energy(features, frequencies)
    excess: np.ndarray = at / np.maximum(beside, np.finfo(np.float32).tiny)
    return excess


def local_energy(features: torch.Tensor, frequencies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean energy over parts of the image, at each wave and at neighbouring frequencies.

    Parameters
    ----------
    features : Tensor of float32, shape (C, H, W)
    frequencies : ndarray of float64, shape (K, 2)
        Cycles/pixel.

    Returns
    -------
    at, beside : ndarray of float64, shape (K,)
        ``beside`` is the median of the four frequencies 3 cycles per part away.
    """
    step = LEAKAGE_FREE * _BLOCKS / np.array(features.shape[1:])
    offsets = step * np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)])
    around = (frequencies[:, None] + offsets).reshape(-1, 2)
    energy = np.concatenate(
        [
            _block_energy(features, around[start : start + _AT_ONCE])
            .mean(1)
            .cpu()
            .double()
            .numpy()
            for start in range(0, len(around), _AT_ONCE)
        ]
    ).reshape(-1, 5)
    return energy[:, 0], np.median(energy[:, 1:], 1)


def independent_energy(features: torch.Tensor) -> float:
    """Energy that `local_energy` has at all frequencies if pixels are independent.

    Parameters
    ----------
    features : Tensor of float32, shape (C, H, W)

    Returns
    -------
    float
    """
    window = 1.0
    for length in features.shape[1:]:
        window *= float(hann(length // _BLOCKS, features.device).square().sum())
    flat = features.flatten()
    return window * float(flat.dot(flat)) / math.prod(features.shape[1:])


def _block_energy(features: torch.Tensor, frequencies: np.ndarray) -> torch.Tensor:
    """Energy at each frequency in each of 4×4 parts of the image, shape (K, 16)."""
    blocks = _BLOCKS
    channels, h, w = (s if i == 0 else s // blocks for i, s in enumerate(features.shape))
    parts = features[:, : blocks * h, : blocks * w].reshape(channels, blocks, h, blocks, w)
    device = features.device
    columns = _split(phasors(-frequencies[:, 1], w), device) * hann(w, device)
    rows = _split(phasors(-frequencies[:, 0], h), device) * hann(h, device)
    along_x = torch.einsum("cayx,rkx->crkay", parts.transpose(2, 3).flatten(1, 2), columns)
    along_x = along_x.reshape(channels, 2, len(frequencies), blocks, blocks, h)
    re, im = along_x[:, 0], along_x[:, 1]
    real = torch.einsum("ckaby,ky->ckab", re, rows[0]) - torch.einsum(
        "ckaby,ky->ckab", im, rows[1]
    )
    imag = torch.einsum("ckaby,ky->ckab", re, rows[1]) + torch.einsum(
        "ckaby,ky->ckab", im, rows[0]
    )
    return (real.square() + imag.square()).sum(0).flatten(1)


def _share_in_parts(mask: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Share of each of 4×4 parts of an image that a mask covers, shape (16,)."""
    blocks = _BLOCKS
    h, w = shape[1] // blocks, shape[2] // blocks
    parts = mask[: blocks * h, : blocks * w].float().reshape(blocks, h, blocks, w)
    return parts.mean((1, 3)).flatten()


def _split(values: np.ndarray, device: torch.device) -> torch.Tensor:
    """Stack real and imaginary parts as float32, shape (2, ...)."""
    return torch.from_numpy(np.stack([values.real, values.imag]).astype(np.float32)).to(device)
