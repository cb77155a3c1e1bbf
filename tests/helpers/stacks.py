"""Small stacks with and without noise, for several tests."""

import numpy as np

SHAPE = (64, 80)


def plane(number, dtype=np.uint16, shape=SHAPE):
    """Bright squares; every second plane, from that of number 1, has a wave of its own phase."""
    rng = np.random.default_rng(number)
    blocks = np.kron(rng.uniform(100, 200, (shape[0] // 16, shape[1] // 16)), np.ones((16, 16)))
    y, x = np.indices(shape)
    hum = 8 * np.cos(2 * np.pi * (0.11 * y + 0.07 * x) + number)
    return np.rint(blocks + (number % 2) * hum).astype(dtype)


def stack(*stacked, dtype=np.uint16, shape=SHAPE):
    planes = [plane(i, dtype, shape) for i in range(int(np.prod(stacked)))]
    return np.stack(planes).reshape(*stacked, *shape)
