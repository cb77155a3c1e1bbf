"""Peak memory of cleaning a stack from disk to disk, in a separate process; on Linux only.

``python -m benchmarks.stacks [--planes N] [--size N] [--check]``
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
import zarr

MOST_MEGABYTES = 600
MOST_GROWTH = 1.1  # factor on the memory, for a stack four times as long
LONGER = 4
RUNS = 2  # at most


def write_stack(path: Path, planes: int, size: int, different: int) -> None:
    """Write a stack of 16 bits with one wave, as TIFF or OME-Zarr, plane by plane.

    Only the first planes are different; then they repeat. The longer a stack of different planes,
    the more of them take one of the engine's rare steps, such as the fit of a gain, that need
    more memory: the peak would grow with the number of planes, but no memory would be held.
    """
    y, x = np.indices((size, size), dtype=np.float32)
    specimen = 2000 + 800 * np.hypot(y - size / 2, x - size / 2 + 7).clip(0, size / 3) / size
    turns = 2 * np.pi * (0.0371 * y + 0.0487 * x)

    def plane(number: int) -> np.ndarray:
        number %= different
        rng = np.random.default_rng(number)
        hum = 120 * np.cos(turns + number) + rng.normal(0, 15, (size, size))
        return np.rint(specimen + hum).astype(np.uint16)

    shape = (planes, size, size)
    if path.suffix == ".tif":
        tifffile.imwrite(
            path, map(plane, range(planes)), shape=shape, dtype=np.uint16, photometric=1
        )
        return
    axes = [{"name": name, "type": "space"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]
    image = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    metadata = {"ome": {"version": "0.5", "multiscales": [image]}}
    group = zarr.create_group(path, attributes=metadata)
    array = group.create_array("0", shape=shape, dtype=np.uint16, chunks=(1, 256, 256))
    for number in range(planes):
        array[number] = plane(number)


def peak_memory() -> int:
    """Return this process's peak memory in bytes, on Linux.

    The figure of `resource.getrusage` includes that of the process that started this one.
    """
    status = Path("/proc/self/status").read_text()
    kilobytes = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(kilobytes.split()[1])


def clean(source: Path, out: Path) -> None:
    """Clean a stack as the command does, and print the memory that it needed, in bytes."""
    from typer.testing import CliRunner

    import napari_periodic_denoise.batch.clean
    import napari_periodic_denoise.runtime.workers  # noqa: F401 - the baseline includes imports
    from napari_periodic_denoise.cli import app
    from napari_periodic_denoise.stacks import lazy  # noqa: F401

    before = peak_memory()
    result = CliRunner().invoke(app, ["clean", str(source), "--out", str(out), "--noise"])
    if result.exit_code:
        raise SystemExit(result.output)
    print(peak_memory() - before)


def measure(suffix: str, planes: int, size: int, different: int) -> tuple[float, float]:
    """Return peak memory in megabytes above the imports, and seconds; see `write_stack`."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, f"stack{suffix}")
        write_stack(source, planes, size, different)
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.stacks", "--clean", source, f"{folder}/out"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        seconds = time.perf_counter() - start
    return int(done.stdout) / 1e6, seconds


def main() -> int:
    """Print memory and time for a stack and for one four times as long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--planes", type=int, default=64)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--check", action="store_true", help="exit with 1 over the bounds")
    parser.add_argument("--clean", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.clean:
        clean(*options.clean)
        return 0
    met = True
    print(f"planes of {options.size}×{options.size} pixels, 16 bits, with their noise written\n")
    print("| stack | planes | size on disk, MB | memory above imports, MB | s a plane |")
    print("|---|---|---|---|---|")
    for suffix, name in ((".tif", "TIFF"), (".zarr", "OME-Zarr")):
        lengths = (options.planes, LONGER * options.planes)
        peaks = dict.fromkeys(lengths, math.inf)
        # overlapping threads need more: the minimum of a few runs is a length's need
        for _ in range(RUNS):
            for planes in lengths:
                memory, seconds = measure(suffix, planes, options.size, options.planes)
                peaks[planes] = min(peaks[planes], memory)
                met &= memory < MOST_MEGABYTES
                on_disk = 2 * planes * options.size**2 / 1e6
                print(
                    f"| {name} | {planes} | {on_disk:.0f} | {memory:.0f} "
                    f"| {seconds / planes:.2f} |",
                    flush=True,
                )
            short, long = peaks.values()
            if is_flat := long < MOST_GROWTH * short:
                break
        met &= is_flat
    return int(options.check and not met)


if __name__ == "__main__":
    sys.exit(main())
