"""Digests of results, to check that a change of the code leaves every bit of them unchanged.

Run ``python -m benchmarks.fingerprint > before.txt``, and the same after the change on the same
machine; the two files must be equal. It uses one thread, so that the order of sums is fixed.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import dask.array as da
import numpy as np
import tifffile
import torch

from benchmarks.families import BUNDLED, FAMILIES, bundled, cases
from napari_periodic_denoise import clean_stack, estimate_noise

OPTIONS: dict[str, dict[str, Any]] = {
    "cosines": {"features": "cosines"},
    "multiplicative": {"noise_model": "multiplicative"},
    "additive": {"noise_model": "additive"},
    "quasi-periodic": {"remainder": "quasi-periodic"},
    "stripes": {"remainder": "stripes"},
    "protect": {"protect": [(40, 40, 120, 120)], "protect_edge": 8},
    "exemplar": {"exemplar": [(0, 0, 200, 200)]},
    "proposed": {"proposed": [(0.1, 0.05)]},
    "random network": {"features": "vgg16", "weights": "random"},
    "texture": {"method": "texture", "weights": "random", "steps": 4, "max_size": 64},
    "refined": {"method": "gram_aligned", "weights": "random", "steps": 3},
}


def digest(*arrays: Any) -> str:  # noqa: ANN401 - any arrays
    """Return a digest of arrays, dtypes and shapes included."""
    total = hashlib.blake2b(digest_size=8)
    for array in map(np.asarray, arrays):
        total.update(
            f"{array.shape}{array.dtype}".encode() + np.ascontiguousarray(array).tobytes()
        )
    return total.hexdigest()


def images() -> Iterator[tuple[str, str]]:
    """Digests of estimates of clean images, of each family, and with each option."""
    for name in BUNDLED:
        estimate = estimate_noise((255 * bundled(name)).astype(np.uint8))
        yield f"clean {name}", digest(estimate.noise, estimate.cleaned)
    for family in FAMILIES:
        for sigma in (0.0, 0.02):
            for name, _, noisy, _ in cases(family, BUNDLED[1:4], 1, sigma):
                estimate = estimate_noise(noisy)
                yield f"{family} {sigma} {name}", digest(estimate.noise, estimate.cleaned)
    ((_, _, noisy, _),) = cases("four sinusoids", ("camera",), 1, 0.02)
    for label, options in OPTIONS.items():
        estimate = estimate_noise(noisy[:256, :256], **options)
        yield label, digest(estimate.noise, estimate.cleaned)
    colour = np.stack([noisy, noisy[::-1], bundled("camera") * 255], -1).astype(np.uint16)
    estimate = estimate_noise(colour, channel_axis=-1)
    yield "colour", digest(estimate.noise, estimate.cleaned)


def stacks() -> Iterator[tuple[str, str]]:
    """Digests of a stack with each model, in memory and lazily."""
    y, x = np.mgrid[:160, :160]
    rng = np.random.default_rng(0)
    planes = [
        60 + 100 * bundled(name)[:160, :160] + 6 * np.cos(2 * np.pi * (0.11 * y + 0.07 * x) + t)
        for t, name in enumerate(("camera", "coins", "moon", "cell"))
    ]
    stack = np.clip(planes + rng.normal(0, 1, (4, 160, 160)), 0, 255).astype(np.uint8)
    for model in ("per_plane", "shared", "drifting"):
        result = clean_stack(stack, model=model)
        yield f"stack, {model}", digest(result.noise, result.cleaned)
        lazy = clean_stack(da.from_array(stack, chunks=(1, 160, 160)), model=model)
        yield f"lazy stack, {model}", digest(lazy.noise.compute(), lazy.cleaned.compute())


def command() -> Iterator[tuple[str, str]]:
    """Digests of the files that the command writes."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "in"), Path(folder, "out")
        source.mkdir()
        ((_, _, noisy, _),) = cases("one sinusoid", ("coins",), 1, 0.0)
        tifffile.imwrite(source / "one.tif", noisy)
        tifffile.imwrite(source / "stack.tif", np.stack([noisy, noisy[::-1]]))
        clean = [sys.executable, "-m", "napari_periodic_denoise", "clean", str(source)]
        subprocess.run([*clean, "--out", str(out), "--noise"], check=True, capture_output=True)
        for path in sorted(out.glob("*.tif")):
            yield f"command {path.name}", digest(tifffile.imread(path))


def main() -> None:
    """Print one line for each result."""
    torch.set_num_threads(1)
    for part in (images, stacks, command):
        for label, value in part():
            print(f"{label}: {value}", flush=True)


if __name__ == "__main__":
    main()
