import os
import subprocess
import sys

import numpy as np
import pytest

from napari_periodic_denoise.io import atomic

HOLD = """
import sys
from pathlib import Path
from napari_periodic_denoise.io.atomic import replacing, replacing_folder, claim
with {block} as opened:
    {write}
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["file", "folder"])
def writer(request, tmp_path):
    """Another process that writes ``new`` and waits before it gives it its name."""
    if request.param == "file":
        block, write = f"replacing(Path({str(tmp_path / 'new')!r}))", "opened.write(b'content')"
    else:
        block = f"replacing_folder(Path({str(tmp_path / 'new')!r}))"
        write = "opened.mkdir(); (opened / 'part').write_bytes(b'content')"
    script = HOLD.format(block=block, write=write)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "writing\n"
        yield process
        process.kill()


def test_what_another_process_writes_is_not_removed(writer, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    atomic.remove_leftovers(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
    writer.communicate("")
    assert writer.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_what_a_killed_process_wrote_is_removed(writer, tmp_path):
    writer.kill()
    writer.wait()
    assert list(tmp_path.iterdir())
    atomic.remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_process_at_a_time_claims_a_name(tmp_path):
    path = tmp_path / ("n" * 250)  # with more around it, it would be too long
    script = HOLD.format(block=f"claim(Path({str(path)!r}))", write="pass")
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "writing\n"
        with (
            pytest.raises(atomic.ClaimedError, match="another run"),
            atomic.claim(path, wait=False),
        ):
            pass
        process.kill()
    with atomic.claim(path, wait=False), atomic.claim(tmp_path / "other", wait=False):
        pass
    assert list(tmp_path.iterdir()) == []


def test_without_locks_of_the_file_system_a_file_stands_for_the_lock(tmp_path, monkeypatch):
    def none(lock, *_arguments, **_options):
        raise OSError(atomic.errno.ENOLCK, os.strerror(atomic.errno.ENOLCK))

    monkeypatch.setattr(atomic.FileLock, "acquire", none)
    with atomic.claim(tmp_path / "a"):
        with (
            pytest.raises(atomic.ClaimedError, match="another run"),
            atomic.claim(tmp_path / "a", wait=False),
        ):
            pass
        with atomic.replacing(tmp_path / "a") as file:
            file.write(b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_cannot_be_replaced_is_put_back(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").touch()
    with pytest.raises(FileNotFoundError), atomic.replacing_folder(tmp_path / "a"):
        pass  # nothing is made that could replace it
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["a", "a/old"]


def test_arrays_and_json_are_written_whole(tmp_path):
    pixels = np.arange(24, dtype=">u2").reshape(2, 3, 4)
    atomic.write_array(tmp_path / "a.npy", pixels)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), pixels)
    atomic.write_json(tmp_path / "a.json", {"µ": [1, None]})
    assert (tmp_path / "a.json").read_text("utf-8") == '{\n "µ": [\n  1,\n  null\n ]\n}\n'
