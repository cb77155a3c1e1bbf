"""Images for the fits to a gradient: flat regions with sharp borders, and waves."""

import numpy as np
import torch

SHAPE = (180, 230)


def specimen() -> np.ndarray:
    """Flat regions with sharp borders."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    rng = np.random.default_rng(2)
    image = np.zeros(SHAPE)
    for cy, cx, r in zip(
        rng.uniform(0, 180, 30), rng.uniform(0, 230, 30), rng.uniform(5, 25, 30), strict=True
    ):
        image += rng.uniform(-5, 5) * (np.hypot(y - cy, x - cx) < r)
    return image


def wave(fy: float, fx: float, coefficient: complex) -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    turns = fy * (y - (SHAPE[0] - 1) / 2) + fx * (x - (SHAPE[1] - 1) / 2)
    return (coefficient * np.exp(2j * np.pi * turns)).real


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.astype(np.float32))
