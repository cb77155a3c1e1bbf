import logging
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr

from napari_periodic_denoise import clean_stack, estimate_noise
from napari_periodic_denoise.runtime import workers
from stacks import plane, stack

COMMAND = [sys.executable, "-m", "napari_periodic_denoise", "clean"]


def test_one_process_is_this_one():
    with workers.start() as here:
        assert here.are_here
        assert here.call(os.getpid) == os.getpid()


def test_errors_of_another_process_are_raised_here():
    with workers.start(jobs=2) as two:
        assert two.count == 2
        assert two.call(os.getpid) != os.getpid()
        with pytest.raises(ZeroDivisionError):
            two.call(divmod, 1, 0)
        with pytest.raises(AttributeError):  # cannot be sent
            two.call(lambda: 1)
        assert two.call(divmod, 7, 2) == (3, 1)


def killed_while_it_works(notes, times):
    """Be killed, but for the call after so many."""
    with notes.open("a") as file:
        file.write("called\n")
    if notes.read_text().count("called") <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_a_process_that_is_killed_costs_its_own_call_one_more_try(tmp_path):
    with workers.start(jobs=2) as two, ThreadPoolExecutor(2) as pool:
        slow = pool.submit(two.call, time.sleep, 1)
        assert two.call(killed_while_it_works, tmp_path / "once", 1) == "done"
        with pytest.raises(workers.WorkerKilledError, match="killed twice; is there enough mem"):
            two.call(killed_while_it_works, tmp_path / "twice", 2)
        assert (tmp_path / "twice").read_text().count("called") == 2
        slow.result()
        assert two.call(divmod, 7, 2) == (3, 1)


def test_workers_that_are_stopped_end_what_they_are_at():
    with workers.start(jobs=2) as two, ThreadPoolExecutor(3) as pool:
        begun = [pool.submit(two.call, time.sleep, 100) for _ in range(3)]
        two.stop()
        for future in begun:
            with pytest.raises(workers.WorkersGoneError):
                future.result(20)


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_processes_end_with_a_parent_that_was_killed():
    script = (
        "import os, time\n"
        "from napari_periodic_denoise.runtime.workers import start\n"
        "with start(jobs=2) as two:\n"
        "    print(two.call(os.getpid), flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        worker = int(process.stdout.readline())
        process.kill()
    for _ in range(500):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail("it is still there")


def test_distributed_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match=r"napari-periodic-denoise\[distributed\]"):
        workers.start(scheduler="tcp://127.0.0.1:1").__enter__()


@pytest.fixture
def cluster(request):
    """A scheduler on this machine with two workers, or as many as asked for, and its process."""
    distributed = pytest.importorskip("distributed")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    script = (
        "import sys\n"
        "from distributed import LocalCluster\n"
        "if __name__ == '__main__':\n"
        f"    with LocalCluster(n_workers={getattr(request, 'param', 2)}, threads_per_worker=1,\n"
        "                      host='127.0.0.1', dashboard_address=None) as cluster:\n"
        "        print(cluster.scheduler_address, flush=True)\n"
        "        sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=environment, text=True,
    ) as process:  # fmt: skip
        address = process.stdout.readline().strip()
        assert address.startswith("tcp://127.0.0.1:"), distributed.__version__
        yield address, process.pid
        process.stdin.close()
        process.wait(60)


def test_errors_of_a_cluster_are_raised_and_not_logged_too(cluster):
    import distributed.client

    with workers.start(scheduler=cluster[0]) as there:
        assert there.call(abs, -1) == 1
        assert not distributed.client.logger.isEnabledFor(logging.ERROR)


def test_a_cluster_cleans_as_one_process_does_though_a_worker_is_killed(cluster, tmp_path):
    from distributed import Client

    data = stack(24)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric=1)
    tifffile.imwrite(tmp_path / "b.tif", plane(1))
    address, _ = cluster
    with (
        Client(address, set_as_default=False) as client,
        subprocess.Popen(
            [*COMMAND, tmp_path, "--out", tmp_path / "out", "--noise", "--scheduler", address],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process,
    ):  # fmt: skip
        victim = None
        while process.poll() is None and victim is None:
            busy = {worker: tasks for worker, tasks in client.processing().items() if tasks}
            if any("_clean_opened" in str(tasks) for tasks in busy.values()):
                victim = client.run(os.getpid, workers=[next(iter(busy))])
                os.kill(next(iter(victim.values())), signal.SIGKILL)
            time.sleep(0.01)
        _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert victim
    expected = clean_stack(data)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/a.tif"), expected.cleaned)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/a-noise.tif"), expected.noise)
    cleaned = estimate_noise(plane(1)).cleaned
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/b.tif"), cleaned)


def test_a_lazy_result_is_computed_on_a_cluster_there_already(cluster):
    from distributed import Client

    data = stack(4)
    result = clean_stack(da.from_array(data, chunks=(2, 64, 80)))
    with Client(cluster[0], set_as_default=False) as client:
        made = client.compute(result.cleaned).result()
    np.testing.assert_array_equal(made, clean_stack(data).cleaned)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "somewhere", "http://127.0.0.1:9"])
def test_a_wrong_address_is_one_line_within_seconds(tmp_path, address):
    pytest.importorskip("distributed")
    tifffile.imwrite(tmp_path / "a.tif", plane(1))
    begun = time.monotonic()
    done = subprocess.run(
        [*COMMAND, tmp_path / "a.tif", "--out", tmp_path / "out", "--scheduler", address],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"no scheduler of dask.distributed at {address}" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert time.monotonic() - begun < 30


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
@pytest.mark.parametrize("cluster", [0], indirect=True)
def test_a_scheduler_without_workers_is_said_and_its_end_ends_the_run(cluster, tmp_path):
    address, pid = cluster
    tifffile.imwrite(tmp_path / "a.tif", plane(1))
    with subprocess.Popen(
        [*COMMAND, tmp_path / "a.tif", "--out", tmp_path / "out", "--scheduler", address],
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert "has no workers yet; waiting" in process.stderr.readline()
        os.kill(pid, signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "is gone" in errors
    assert "Traceback" not in errors


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_a_scheduler_that_dies_ends_the_run_in_seconds(cluster, tmp_path):
    address, pid = cluster
    tifffile.imwrite(tmp_path / "a.tif", stack(200), photometric=1)
    out = tmp_path / "out"
    with subprocess.Popen(
        [*COMMAND, tmp_path / "a.tif", "--out", out, "--scheduler", address],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        while not list(out.glob("*")) and not list(out.glob(".*.part")):
            assert process.poll() is None
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "is gone; the run has ended" in errors
    assert "Traceback" not in errors
    assert not list(out.glob(".*.part"))


def test_chunks_of_several_planes_are_cleaned_by_a_cluster(cluster, tmp_path):
    address, _ = cluster
    data = stack(10)
    image = {"axes": [{"name": name} for name in "zyx"], "datasets": [{"path": "0"}]}
    for depth in (1, 2, 5):
        attributes = {"ome": {"multiscales": [image]}}
        group = zarr.create_group(tmp_path / f"in/{depth}.zarr", attributes=attributes)
        chunks = (depth, 64, 80)
        group.create_array("0", shape=data.shape, chunks=chunks, dtype=data.dtype)[:] = data
    arguments = [tmp_path / "in", "--out", tmp_path / "out", "--noise", "--scheduler", address]
    subprocess.run([*COMMAND, *arguments], check=True)
    expected = clean_stack(data).cleaned
    for depth in (1, 2, 5):
        written = zarr.open_group(tmp_path / f"out/{depth}.zarr", mode="r")["0"][:]
        np.testing.assert_array_equal(written, expected)
