"""Kill runs at random moments, resume them, and compare with a run that was left alone.

``python -m benchmarks.kills [--count N] [--seed N]``

What is killed: the run (SIGKILL, SIGTERM, Ctrl-C), one of its worker processes, or the scheduler
that it uses; and one of two runs that share an output folder. Afterwards nothing partial may have
a final name, exit codes must be right, and a run with ``--resume`` must complete the outputs to
the same bytes. For POSIX systems.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import tifffile
import zarr

from napari_periodic_denoise.batch.ledger import NAME

COUNT = 10
FIRST = 0.2  # seconds before the first kill: Python starts, and has exit codes of its own
TEMPORARY = ".napari-periodic-denoise-"
COMMAND = [sys.executable, "-m", "napari_periodic_denoise", "clean"]
LIMIT = 300  # seconds; a run that takes longer hangs: one that is left alone takes about 10
#: Exit codes of a run that is killed, as shells have them; Python reports -N for a signal N.
CODES = {
    "kill": {-signal.SIGKILL},
    "term": {128 + signal.SIGTERM, -signal.SIGTERM},  # the latter before it has begun
    "interrupt": {128 + signal.SIGINT, -signal.SIGINT},
    "worker": {0},
    "scheduler": {1, 2},  # 2 before it has begun
}
SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "interrupt": signal.SIGINT}


def write_inputs(folder: Path) -> None:
    """Write an image, two stacks of TIFF and one of OME-Zarr, with noise."""
    folder.mkdir()
    y, x = np.indices((64, 64))
    planes = [
        1000 + 100 * np.cos(0.7 * y + 0.5 * x + k) + np.random.default_rng(k).normal(0, 9, y.shape)
        for k in range(12)
    ]
    data = np.stack(planes).astype(np.uint16)
    iio.imwrite(folder / "a.png", data[0])
    tifffile.imwrite(folder / "b.tif", data, photometric="minisblack")
    tifffile.imwrite(folder / "c.tif", data[::-1], photometric="minisblack")
    axes = [{"name": name, "type": "space"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]
    image = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    attributes = {"ome": {"version": "0.5", "multiscales": [image]}}
    group = zarr.create_group(folder / "d.zarr", attributes=attributes)
    array = group.create_array("0", shape=data.shape, dtype=data.dtype, chunks=(2, 32, 32))
    array[:] = data


def contents(folder: Path) -> dict[str, bytes]:
    """Return the outputs in a folder, without temporary ones, by name."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not name.startswith((TEMPORARY, NAME)):
            found[name] = path.read_bytes()
    return found


def start(source: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    """Start a run in a session of its own."""
    return subprocess.Popen(
        [*COMMAND, str(source), "--out", str(out), "--noise", "--resume", *more],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # a run in the background of a shell without job control would ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def start_cluster() -> tuple[subprocess.Popen[str], str]:
    """Start a scheduler with two workers; return it and its address."""
    script = (
        "import time\n"
        "from distributed import LocalCluster\n"
        "if __name__ == '__main__':\n"
        "    with LocalCluster(n_workers=2, threads_per_worker=1, host='127.0.0.1',\n"
        "                      dashboard_address=None) as cluster:\n"
        "        print(cluster.scheduler_address, flush=True)\n"
        "        time.sleep(1000)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def children(process: subprocess.Popen[str]) -> list[int]:
    """Return the worker processes of a run."""
    found = subprocess.run(
        ["pgrep", "--parent", str(process.pid), "--full", "spawn_main"],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(line) for line in found.stdout.split()]


def end(process: subprocess.Popen[str], how: str) -> None:
    """Kill a run, or one of its workers."""
    if process.poll() is not None:
        return
    if how == "worker":
        for pid in children(process)[:1]:
            os.kill(pid, signal.SIGKILL)
    elif how == "interrupt":
        os.killpg(process.pid, SIGNALS[how])  # a terminal sends it to all
    else:
        process.send_signal(SIGNALS[how])


def faults_of(how: str, code: int, text: str, out: Path, expected: dict[str, bytes]) -> list[str]:
    """Return what is wrong after a run was killed."""
    faults = []
    if code not in CODES[how] | {0}:
        faults.append(f"exit code {code}")
    if "Traceback" in text:
        faults.append(f"traceback: {text[-1500:]}")
    written = contents(out)
    # of a folder some files would be missing
    groups = {name.split("/")[0] for name in written}
    complete = {name: data for name, data in expected.items() if name.split("/")[0] in groups}
    if written != complete:
        faults.append(f"partial: {sorted(set(complete) ^ set(written))[:5]}")
    left = [path.name for path in out.glob(f"{TEMPORARY}*")] if out.exists() else []
    if left and how != "kill":
        faults.append(f"left: {left}")
    return faults


def trial(how: str, source: Path, out: Path, expected: dict[str, bytes], delay: float) -> str:
    """Kill a run after a delay, resume it, and return what was wrong, or nothing."""
    more: list[str] = ["--jobs", "2"] if how == "worker" else []
    cluster = None
    if how == "scheduler":
        cluster, address = start_cluster()
        more = ["--scheduler", address]
    process = start(source, out, *more)
    time.sleep(delay)
    if cluster is not None:
        os.killpg(cluster.pid, signal.SIGKILL)
        cluster.wait()
    else:
        end(process, how)
    text, _ = process.communicate(timeout=LIMIT)
    faults = faults_of(how, process.returncode, text, out, expected)
    with start(source, out) as again:
        text, _ = again.communicate(timeout=LIMIT)
    if again.returncode or contents(out) != expected or list(out.glob(f"{TEMPORARY}*")):
        faults.append(f"resumed: exit code {again.returncode}, {text[-500:]}")
    return "; ".join(faults)


def trial_of_two(
    how: str, source: Path, out: Path, expected: dict[str, bytes], delay: float
) -> str:
    """Kill one of two runs that share a folder; the other completes everything."""
    with start(source, out) as one, start(source, out) as other:
        time.sleep(delay)
        end(one, how)
        first, _ = one.communicate(timeout=LIMIT)
        second, _ = other.communicate(timeout=LIMIT)
    faults = []
    if one.returncode not in CODES[how] | {0} or other.returncode:
        faults.append(f"exit codes {one.returncode}, {other.returncode}")
    if "Traceback" in first + second:
        faults.append(f"traceback: {(first + second)[-1500:]}")
    if contents(out) != expected:
        faults.append("outputs differ")
    return "; ".join(faults)


def main() -> int:
    """Run the trials, and return whether one has failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rng = random.Random(chosen.seed)
    kinds = [*(("one", how) for how in CODES), *(("two", how) for how in SIGNALS)]
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder / "in")
        begun = time.monotonic()
        with start(folder / "in", folder / "whole") as process:
            text, _ = process.communicate(timeout=LIMIT)
        if process.returncode:
            raise SystemExit(text)
        usual = time.monotonic() - begun
        expected = contents(folder / "whole")
        for number in range(chosen.count):
            runs, how = kinds[number % len(kinds)]
            delay = rng.uniform(FIRST, usual)
            call = trial if runs == "one" else trial_of_two
            fault = call(how, folder / "in", folder / f"out{number}", expected, delay)
            failed += bool(fault)
            print(
                f"{number}: {runs} run, {how} after {delay:.1f} s: {fault or 'good'}", flush=True
            )
    print(f"{chosen.count - failed} of {chosen.count} good")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
