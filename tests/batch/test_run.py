import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_periodic_denoise.batch import progress
from napari_periodic_denoise.batch import run as batch_run
from napari_periodic_denoise.batch.ledger import NAME
from napari_periodic_denoise.cli import app
from napari_periodic_denoise.io.atomic import claim
from napari_periodic_denoise.runtime import workers
from outputs import contents, names
from stacks import plane, stack

COMMAND = [sys.executable, "-m", "napari_periodic_denoise", "clean"]
posix = pytest.mark.skipif(os.name == "nt", reason="signals and streams as POSIX has them")


def run(*arguments):
    return CliRunner().invoke(app, ["clean", *map(str, arguments)])


@pytest.fixture
def source(tmp_path):
    (tmp_path / "in").mkdir()
    for name in "ab":
        tifffile.imwrite(tmp_path / f"in/{name}.tif", plane(1))
    return tmp_path / "in"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_what_has_changed_is_done_again(source, out):
    arguments = (source, "--out", out, "--resume")
    assert run(*arguments).exit_code == 0
    assert run(*arguments).stdout.count(": done already\n") == 2
    tifffile.imwrite(source / "b.tif", plane(3))
    lines = run(*arguments).stdout.splitlines()
    assert lines[0] == f"{source / 'a.tif'}: done already"
    assert lines[1].startswith(f"{source / 'b.tif'}: changed: done again; ")
    assert run(*arguments, "--seed", 7).stdout.count("changed: done again") == 2
    assert run(*arguments, "--seed", 7).stdout.count(": done already\n") == 2


def test_outputs_without_a_record_are_kept(source, out):
    assert run(source, "--out", out).exit_code == 0
    before = contents(out)
    (out / NAME).unlink()
    result = run(source, "--out", out, "--resume", "--seed", 7)
    assert result.stdout.count("done already, by an unknown input or settings") == 2
    assert contents(out) == before


def test_half_a_line_in_the_ledger_spoils_no_other(source, out):
    assert run(source, "--out", out).exit_code == 0
    with (out / NAME).open("a") as cut:
        cut.write('{"output": "a.tif", "inp')
    assert run(source, "--out", out, "--resume").stdout.count(": done already\n") == 2


def test_what_another_run_cleans_is_left_for_the_end(source, out):
    with claim(out / "a.tif"):
        process = subprocess.Popen(
            [*COMMAND, source, "--out", out, "--resume"], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline().startswith(f"{source / 'b.tif'}: ")
        waiting = f"{source / 'a.tif'}: waiting for another run that cleans it\n"
        assert process.stdout.readline() == waiting
        assert "a.tif" not in names(out)
    with process:  # the other run has ended, and has not done it
        assert process.stdout.readline().startswith(f"{source / 'a.tif'}: ")
    assert process.returncode == 0
    assert names(out) == ["a.tif", "b.tif"]


def test_the_queues_of_several_workers_are_short(source, out, monkeypatch):
    most = {}

    class Pool(ThreadPoolExecutor):
        def submit(self, *arguments):
            future = super().submit(*arguments)
            most[self] = max(most.get(self, 0), self._work_queue.qsize())
            time.sleep(0.002)  # others have the time to submit, too
            return future

    @contextmanager
    def start(*_):
        yield workers.Workers(2, lambda function, *arguments: function(*arguments), lambda: None)

    monkeypatch.setattr(batch_run, "ThreadPoolExecutor", Pool)
    monkeypatch.setattr(workers, "start", start)
    flat = np.zeros((60, 32, 32), np.uint16)
    tifffile.imwrite(source / "a.tif", flat, photometric=1)
    for i, image in enumerate(flat):
        tifffile.imwrite(source / f"c{i}.tif", image)
    result = run(source, "--out", out, "--jobs", 2)
    assert result.exit_code == 0, result.output
    assert len(names(out)) == 62
    assert len(most) == 2  # of files, and of pieces
    assert 0 < max(most.values()) <= 8


@posix
@pytest.mark.parametrize("jobs", [1, 2])
def test_sigterm_leaves_nothing_half_done(source, out, jobs):
    tifffile.imwrite(source / "a.tif", stack(200), photometric=1)
    with subprocess.Popen(
        [*COMMAND, source / "a.tif", "--out", out, "--jobs", str(jobs)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        while not list(out.glob(".*.part")):
            assert process.poll() is None
            time.sleep(0.02)
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert errors == ""
    assert [path for path in out.iterdir() if path.name != NAME] == []


@posix
@pytest.mark.parametrize("streams", ["<&- >&- 2>&-", "> /dev/full 2> /dev/full"])
def test_the_work_is_done_though_nobody_can_read_of_it(source, out, streams):
    tifffile.imwrite(source / "c.tif", np.zeros((8, 8), np.uint8))  # for a line of error
    command = " ".join(map(str, [*COMMAND, source, "--out", out]))
    done = subprocess.run(f"{command} {streams}", shell=True, check=False)
    assert done.returncode == 1
    assert names(out) == ["a.tif", "b.tif"]
    assert run(source / "a.tif", "--out", out.parent / "other").exit_code == 0
    assert (out / "a.tif").read_bytes() == (out.parent / "other/a.tif").read_bytes()


@posix
def test_an_early_interrupt_is_not_lost_in_an_import(source, out):
    for delay in (0.1, 0.3, 0.8):
        with subprocess.Popen(
            [*COMMAND, source, "--out", out],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as process:  # fmt: skip
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        assert process.returncode in (-signal.SIGINT, 128 + signal.SIGINT, 1)
        assert names(out) == []


@posix
def test_an_interrupt_ends_an_import_that_catches_all_exceptions(source, out, tmp_path):
    (tmp_path / "typer.py").write_text(
        "import os, signal, time\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(10)\n"
        "except BaseException:\n"
        "    os._exit(0)\n"
    )
    done = subprocess.run(
        [*COMMAND, source, "--out", out],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        check=False,
    )
    assert done.returncode == -signal.SIGINT


@pytest.mark.parametrize("jobs", [1, 2])
def test_without_a_terminal_there_is_a_line_now_and_then(source, out, monkeypatch, jobs):
    monkeypatch.setattr(progress, "_MINUTE", 0.0)
    tifffile.imwrite(source / "a.tif", stack(3), photometric=1)
    result = run(source / "a.tif", "--out", out, "--jobs", jobs)
    assert "1/1 a.tif: plane 2 of 3" in result.stderr
    monkeypatch.undo()
    assert run(source / "a.tif", "--out", out, "--overwrite").stderr == ""


def test_bad_options_are_said_once(source, out):
    for options in (
        ("--model", "shared", "--remainder", "stripes"),
        ("--method", "gram_aligned", "--weights-path", "nowhere"),
        ("--features", "edges", "--method", "texture"),
    ):
        result = run(source, "--out", out, *options)
        assert result.exit_code == 2
        assert result.stderr.count("Invalid value") == 1
        assert not out.exists()
