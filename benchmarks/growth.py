"""Time and memory per plane, as stacks grow longer and chunks deeper.

``python -m benchmarks.growth [--planes N ...] [--wholes N ...] [--views N ...] [--depths N ...]
[--check]``

``--planes`` are the lengths of stacks that the command cleans, ``--wholes`` those of lazy results
that are written from Python, ``--views`` those of lazy results of which single planes are
computed, as a slider does, and ``--depths`` the planes in a chunk. Each stack is cleaned in a
process of its own. The time and memory of a stack of 16 planes, which are those of the start, are
left out. On Linux only. A plane takes about 6 ms: ``--planes 100000`` takes ten minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dask.array as da
import numpy as np
import tifffile
import zarr

from benchmarks.stacks import peak_memory
from napari_periodic_denoise import clean_stack

PLANES = [250, 2000]
WHOLES = [250, 2000]
VIEWS = [250, 12000]
VIEWED = 100  # planes, spread over the stack
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
    print(json.dumps(used()))


def write_lazily(source: str, out: str) -> None:
    """Clean a stack lazily and write it to a Zarr array; print seconds and bytes."""
    result = clean_stack(tifffile.memmap(source))
    target = zarr.create_array(
        out, shape=result.cleaned.shape, chunks=(1, SIZE, SIZE), dtype=np.uint16, overwrite=True
    )
    da.store(result.cleaned, target, scheduler="sync")
    print(json.dumps(used()))


def view(planes: int) -> None:
    """Compute some planes of a lazy result; print seconds for each, and bytes."""
    rng = np.random.default_rng(0)
    data = zarr.create_array(
        {}, shape=(planes, SIZE, SIZE), chunks=(1, SIZE, SIZE), dtype=np.uint16, fill_value=0
    )
    viewed = range(0, planes, max(planes // VIEWED, 1))
    for number in viewed:
        data[number] = 1000 + rng.normal(0, 20, (SIZE, SIZE))
    cleaned = clean_stack(data).cleaned
    cleaned[0].compute(scheduler="sync")  # the first time takes longer
    start = time.process_time()
    for number in viewed:
        cleaned[number].compute(scheduler="sync")
    print(json.dumps([(time.process_time() - start) / len(viewed), peak_memory()]))


def used() -> tuple[float, float]:
    """Return seconds of the CPU, and bytes of memory at most."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, peak_memory()


def measure(call: str, *arguments: object) -> tuple[float, float]:
    """Return the two numbers that a call in a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.growth", "--call", call, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    first, second = json.loads(done.stdout.splitlines()[-1])
    return first, second


def lengths(folder: Path, counts: list[int], call: str) -> list[float]:
    """Print and return milliseconds per plane, of stacks of several lengths."""
    times = []
    source, out = folder / "a.tif", folder / "out"
    write_tiff(source, START)
    seconds_before, memory_before = measure(call, source, out)
    print(f"\nPlanes of {SIZE}×{SIZE} in TIFF, {call}\n")
    print("| planes | ms per plane | MB | kB per plane |\n|---|---|---|---|")
    for count in counts:
        write_tiff(source, count)
        seconds, memory = measure(call, source, out)
        times.append(1e3 * (seconds - seconds_before) / (count - START))
        more = (memory - memory_before) / 1e6
        print(
            f"| {count:,} | {times[-1]:.2f} | {more:.0f} | {1e3 * more / count:.1f} |", flush=True
        )
    return times


def views(counts: list[int]) -> list[float]:
    """Print and return milliseconds for a plane of lazy results of several lengths."""
    times = []
    print(f"\nSingle planes of {SIZE}×{SIZE} of a lazy result\n")
    print("| planes | ms per plane |\n|---|---|")
    for count in counts:
        seconds, _ = measure("view", count)
        times.append(1e3 * seconds)
        print(f"| {count:,} | {times[-1]:.2f} |", flush=True)
    return times


def depths(folder: Path, counts: list[int]) -> None:
    """Print time and memory of stacks in chunks of several depths."""
    planes = 2 * max(*counts, START)
    write_zarr(folder / "a.zarr", START, 1)
    seconds_before, memory_before = measure("clean", folder / "a.zarr", folder / "out")
    print(f"\n{planes} planes of {DEEP_SIZE}×{DEEP_SIZE} in OME-Zarr\n")
    print("| planes in a chunk | ms per plane | MB | planes of 16 bits in a chunk, MB |")
    print("|---|---|---|---|")
    for depth in counts:
        write_zarr(folder / "a.zarr", planes, depth)
        seconds, memory = measure("clean", folder / "a.zarr", folder / "out")
        time = 1e3 * (seconds - seconds_before) / (planes - START)
        chunk = 2 * depth * DEEP_SIZE**2 / 1e6
        more = (memory - memory_before) / 1e6
        print(f"| {depth} | {time:.2f} | {more:.0f} | {chunk:.1f} |", flush=True)


CALLS = {
    "clean": clean,
    "write_lazily": write_lazily,
    "view": lambda planes: view(int(planes)),
}


def main() -> int:
    """Measure; with ``--check`` fail if the time per plane grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--planes", type=int, nargs="*", default=PLANES)
    parser.add_argument("--wholes", type=int, nargs="*", default=WHOLES)
    parser.add_argument("--views", type=int, nargs="*", default=VIEWS)
    parser.add_argument("--depths", type=int, nargs="*", default=DEPTHS)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--call", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.call:
        CALLS[chosen.call[0]](*chosen.call[1:])
        return 0
    with tempfile.TemporaryDirectory() as folder:
        curves = [
            lengths(Path(folder), chosen.planes, "clean") if chosen.planes else [],
            lengths(Path(folder), chosen.wholes, "write_lazily") if chosen.wholes else [],
            views(chosen.views) if chosen.views else [],
        ]
        if chosen.depths:
            depths(Path(folder), chosen.depths)
    grows = any(times and times[-1] > MOST_GROWTH * times[0] for times in curves)
    return int(chosen.check and grows)


if __name__ == "__main__":
    sys.exit(main())
