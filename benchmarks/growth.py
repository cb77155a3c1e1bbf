"""Time and memory per plane of the command, as stacks grow longer and chunks deeper.

``python -m benchmarks.growth [--planes N ...] [--depths N ...] [--check]``

Each stack is cleaned in a process of its own. The time and memory of a stack of 16 planes, which
are those of the start, are left out. ``--planes 250 4000 12000 100000`` takes about an hour.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
import zarr

PLANES = [250, 2000]
DEPTHS = [1, 8]
SIZE = 32  # pixels a side: so small that what grows with the number of planes shows
DEEP_SIZE = 128
START = 16  # planes of the stack that measures the start
#: Most time per plane in the longest stack, of that in the shortest: timings on a machine with
#: other work vary by as much.
MOST_GROWTH = 1.3


def write_tiff(path: Path, planes: int) -> None:
    """Write a stack of noise, as TIFF."""
    rng = np.random.default_rng(0)
    data = (1000 + rng.normal(0, 20, (planes, SIZE, SIZE))).astype(np.uint16)
    tifffile.imwrite(path, data, photometric="minisblack")


def write_zarr(path: Path, planes: int, depth: int) -> None:
    """Write a stack of noise, as OME-Zarr in chunks of several planes."""
    axes = [{"name": name, "type": "space"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]
    image = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    group = zarr.create_group(
        path, attributes={"ome": {"version": "0.5", "multiscales": [image]}}, overwrite=True
    )
    shape, chunks = (planes, DEEP_SIZE, DEEP_SIZE), (depth, DEEP_SIZE, DEEP_SIZE)
    array = group.create_array("0", shape=shape, dtype=np.uint16, chunks=chunks)
    rng = np.random.default_rng(0)
    for start in range(0, planes, depth):
        part = array[start : start + depth]
        array[start : start + depth] = 1000 + rng.normal(0, 20, part.shape)


def clean(source: str, out: str) -> None:
    """Clean a stack as the command does; print seconds of the CPU and bytes of memory."""
    from napari_periodic_denoise.cli import app

    try:
        app(["clean", source, "--out", out, "--overwrite"])
    except SystemExit as end:
        if end.code:
            raise
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([used.ru_utime + used.ru_stime, 1024 * used.ru_maxrss]))


def measure(source: Path) -> tuple[float, float]:
    """Return seconds of the CPU and bytes of memory that cleaning a stack takes."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.growth", "--clean", source, source.parent / "out"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds, memory = json.loads(done.stdout.splitlines()[-1])
    return seconds, memory


def lengths(folder: Path, counts: list[int]) -> list[float]:
    """Print and return milliseconds per plane, of stacks of several lengths."""
    times = []
    write_tiff(folder / "a.tif", START)
    seconds_before, memory_before = measure(folder / "a.tif")
    print(f"\nPlanes of {SIZE}×{SIZE} in TIFF\n\n| planes | ms per plane | MB |\n|---|---|---|")
    for count in counts:
        write_tiff(folder / "a.tif", count)
        seconds, memory = measure(folder / "a.tif")
        times.append(1e3 * (seconds - seconds_before) / (count - START))
        print(
            f"| {count:,} | {times[-1]:.2f} | {(memory - memory_before) / 1e6:.0f} |", flush=True
        )
    return times


def depths(folder: Path, counts: list[int]) -> None:
    """Print time and memory of stacks in chunks of several depths."""
    planes = 2 * max(*counts, START)
    write_zarr(folder / "a.zarr", START, 1)
    seconds_before, memory_before = measure(folder / "a.zarr")
    print(f"\n{planes} planes of {DEEP_SIZE}×{DEEP_SIZE} in OME-Zarr\n")
    print("| planes in a chunk | ms per plane | MB | planes of 16 bits in a chunk, MB |")
    print("|---|---|---|---|")
    for depth in counts:
        write_zarr(folder / "a.zarr", planes, depth)
        seconds, memory = measure(folder / "a.zarr")
        time = 1e3 * (seconds - seconds_before) / (planes - START)
        chunk = 2 * depth * DEEP_SIZE**2 / 1e6
        more = (memory - memory_before) / 1e6
        print(f"| {depth} | {time:.2f} | {more:.0f} | {chunk:.1f} |", flush=True)


def main() -> int:
    """Measure; with ``--check`` fail if the time per plane grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--planes", type=int, nargs="*", default=PLANES)
    parser.add_argument("--depths", type=int, nargs="*", default=DEPTHS)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--clean", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.clean:
        clean(*chosen.clean)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        times = lengths(Path(folder), chosen.planes) if chosen.planes else []
        if chosen.depths:
            depths(Path(folder), chosen.depths)
    return int(chosen.check and len(times) > 1 and times[-1] > MOST_GROWTH * times[0])


if __name__ == "__main__":
    sys.exit(main())
