import os
import signal
import subprocess
import sys
import time

import dask.array as da
import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_periodic_denoise import clean_stack, estimate_noise
from napari_periodic_denoise.cli import app
from napari_periodic_denoise.runtime import workers
from stacks import plane, stack


def test_one_process_is_this_one():
    with workers.start() as here:
        assert here.are_here
        assert here.call(os.getpid) == os.getpid()
        assert here.compute(da.ones(3), da.zeros(2))[0].sum() == 3


def test_several_processes_get_only_what_is_needed():
    data = da.from_array(stack(4), chunks=(1, 64, 80))
    with workers.start(jobs=2) as two:
        assert two.count == 2
        assert two.call(os.getpid) != os.getpid()
        (made,) = two.compute(clean_stack(data).cleaned[1:2])
    np.testing.assert_array_equal(made[0], estimate_noise(plane(1)).cleaned)


def test_an_error_in_another_process_is_told():
    with workers.start(jobs=2) as two, pytest.raises(ZeroDivisionError):
        two.call(divmod, 1, 0)


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
def cluster():
    """Two processes on this machine, with a scheduler, all of them ended afterwards."""
    distributed = pytest.importorskip("distributed")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    script = (
        "import sys\n"
        "from distributed import LocalCluster\n"
        "if __name__ == '__main__':\n"
        "    with LocalCluster(n_workers=2, threads_per_worker=1, host='127.0.0.1',\n"
        "                      dashboard_address=None) as cluster:\n"
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
        yield address
        process.stdin.close()
        process.wait(60)


def test_a_cluster_cleans_as_one_process_does_though_a_worker_is_killed(cluster, tmp_path):
    from distributed import Client

    data = stack(24)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric=1)
    tifffile.imwrite(tmp_path / "b.tif", plane(1))
    command = [sys.executable, "-m", "napari_periodic_denoise", "clean", str(tmp_path)]
    with (
        Client(cluster, set_as_default=False) as client,
        subprocess.Popen(
            [*command, "--out", str(tmp_path / "out"), "--noise", "--scheduler", cluster],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process,
    ):  # fmt: skip
        victim = None
        while process.poll() is None and victim is None:
            busy = {worker: tasks for worker, tasks in client.processing().items() if tasks}
            if any("periodic" in str(tasks) for tasks in busy.values()):
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
    with Client(cluster, set_as_default=False) as client:
        made = client.compute(result.cleaned).result()
    np.testing.assert_array_equal(made, clean_stack(data).cleaned)


def test_a_scheduler_that_is_not_there_is_told(tmp_path):
    pytest.importorskip("distributed")
    tifffile.imwrite(tmp_path / "a.tif", plane(1))
    arguments = ["--out", str(tmp_path / "out"), "--scheduler", "tcp://127.0.0.1:9"]
    result = CliRunner().invoke(app, ["clean", str(tmp_path / "a.tif"), *arguments])
    assert result.exit_code == 2
    assert "no scheduler of dask.distributed" in result.stderr
