"""The command as it is run, on files and disks with faults: told in a line, nothing half-written.

Each run is a process of its own, for seconds; so each has several inputs.
"""

import ctypes
import json
import os
import shutil
import struct
import subprocess
import sys
import zlib

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import zarr

from outputs import names
from stacks import plane, stack

pytestmark = pytest.mark.skipif(os.name == "nt", reason="permissions and limits as POSIX has them")

COMMAND = [sys.executable, "-m", "napari_periodic_denoise", "clean"]
MEMORY = 200 << 20  # bytes above what a good file takes


def without_roots_rights():
    """For root, whom permissions do not stop: as anybody else (Linux)."""
    drop, override, read_and_search = 24, 1, 2  # of prctl: PR_CAPBSET_DROP, CAP_DAC_...
    for right in (override, read_and_search):
        if os.geteuid() == 0 and ctypes.CDLL(None).prctl(drop, right):
            raise OSError("root's rights can't be dropped")


def run(*arguments, **options):
    """Run the command; return exit code, what was told of each file, errors likewise, memory."""
    pieces = [*COMMAND, *map(str, arguments)]
    with subprocess.Popen(
        pieces, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    ) as process:
        out, err = process.communicate(timeout=120)
    assert "Traceback" not in err, err
    return process.returncode, out.splitlines(), err.splitlines()


def zarr_image(folder, data, told=None):
    """Write planes as OME-Zarr."""
    axes = [{"name": name} for name in "zyx"[-data.ndim :]]
    told = {"axes": axes, "datasets": [{"path": "0"}]} if told is None else told
    group = zarr.create_group(folder, attributes={"ome": {"multiscales": [told]}})
    chunks = (1,) * (data.ndim - 2) + data.shape[-2:]
    group.create_array("0", shape=data.shape, chunks=chunks, dtype=data.dtype)[:] = data


def one_of_each(folder, prefix=""):
    folder.mkdir()
    tifffile.imwrite(folder / f"{prefix}image.tif", plane(1))
    iio.imwrite(folder / f"{prefix}picture.png", plane(1))
    tifffile.imwrite(folder / f"{prefix}stack.tif", stack(4), photometric=1)
    zarr_image(folder / f"{prefix}zarr.zarr", stack(4))
    return sorted(path.name for path in folder.iterdir())


def tiff(path, width, height, compression=1, data=b"\0" * 100):
    """Write a TIFF file of one strip, whatever its header promises."""
    tags = {
        256: width, 257: height, 258: 8, 259: compression, 262: 1, 273: 8, 277: 1, 278: height,
        279: len(data),
    }  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    start = struct.pack("<4sI", b"II*\0", 8 + len(data)) + data
    path.write_bytes(start + struct.pack("<H", len(tags)) + entries + bytes(4))


def png(path, width, height):
    """Write a PNG file of next to no pixels, whatever its header promises."""
    header = struct.pack(">II5B", width, height, 8, 6, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(999))), (b"IEND", b"")):
        check = zlib.crc32(name + data)
        content += struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)
    path.write_bytes(content)


def jpeg(path, width, height):
    """Write a JPEG file of 64×64 pixels, whatever its header promises."""
    iio.imwrite(path, np.zeros((64, 64), np.uint8))
    content = bytearray(path.read_bytes())
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", height, width)
    path.write_bytes(content)


def zarr_without_chunks(path, width, height):
    zarr_image(path, np.zeros((2, 2), np.uint8))
    array = zarr.create_array(
        path / "0", shape=(height, width), chunks=(512, 512), dtype="u1", overwrite=True
    )
    assert array.nchunks_initialized == 0


def cleaned_with_peak(source, out):
    """Clean in a child: what it prints, lines of it, its exit code, and bytes it took at most."""
    script = (
        "import resource, sys\n"
        "from napari_periodic_denoise.cli import app\n"
        "try:\n"
        "    app()\n"
        "finally:\n"
        "    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "    print(peak if sys.platform == 'darwin' else 1024 * peak)\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", script, "clean", source, "--out", out],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    *told, peak = child.stdout.splitlines()
    return told, child.stderr, child.returncode, int(peak)


def test_headers_that_promise_what_is_not_there(tmp_path):
    """Refused one by one, without the memory that they ask for, and what is good is done."""
    source = tmp_path / "in"
    source.mkdir()
    for number, compression in enumerate((1, 5, 8)):  # none, LZW, deflate
        data = zlib.compress(bytes(999)) if compression == 8 else bytes(999)
        tiff(source / f"wide{number}.tif", 50_000, 50_000, compression, data)
        tiff(source / f"wider{number}.tif", 2**31, 2**31, compression, data)
    tiff(source / "flat.tif", 0, 40)
    (source / "no-pages.tif").write_bytes(b"II*\0" + bytes(4))
    (source / "no-pages-big.tif").write_bytes(b"II+\0\x08\0\0\0" + bytes(8))
    tifffile.imwrite(source / "whole.tif", plane(1))
    (source / "cut.tif").write_bytes((source / "whole.tif").read_bytes()[:-500])
    png(source / "wide.png", 46_000, 46_000)
    png(source / "wider.png", 2**20, 2**20)
    jpeg(source / "header.jpg", 46_000, 46_000)
    zarr_without_chunks(source / "wide.zarr", 500_000, 500_000)
    zarr_image(source / "no-levels.zarr", stack(1), {"axes": [], "datasets": []})
    zarr_image(source / "no-datasets.zarr", stack(1), {"axes": []})
    zarr_image(source / "level-gone.zarr", stack(1))
    shutil.rmtree(source / "level-gone.zarr/0")
    zarr_image(source / "no-json.zarr", stack(1))
    (source / "no-json.zarr/zarr.json").write_text("{")
    zarr_image(source / "chunk-cut.zarr", stack(1))
    chunk = source / "chunk-cut.zarr/0/c/0/0/0"
    chunk.write_bytes(chunk.read_bytes()[:99])
    (source / "empty.zarr").mkdir()
    out, err, code, peak = cleaned_with_peak(source, tmp_path / "out")
    assert code == 1
    assert [line.split(": ")[0] for line in out] == [str(source / "whole.tif")]
    *_, usual = cleaned_with_peak(source / "whole.tif", tmp_path / "alone")
    assert peak < usual + MEMORY
    assert names(tmp_path / "out") == ["whole.tif"]
    reasons = {line.split(": ")[1]: line.split(": ", 2)[2] for line in err.splitlines()}
    assert sorted(reasons) == sorted(
        str(path) for path in source.iterdir() if path.name != "whole.tif"
    )
    expected = {
        "wide0.tif": "cut short", "wide1.tif": "damaged or cut short", "cut.tif": "cut short",
        "header.jpg": "too short for 46000×46000 pixels", "flat.tif": "at least 16×16",
        "no-pages.tif": "pages are missing", "no-pages-big.tif": "pages are missing",
        "wide.zarr": "a plane takes at least 2500 GB of memory", "empty.zarr": "no images",
        "no-datasets.zarr": "not a whole OME-Zarr image", "level-gone.zarr": "level 0 is missing",
        "no-json.zarr": "not a whole OME-Zarr image",
    }  # fmt: skip
    for name, words in expected.items():
        assert words in reasons[str(source / name)]


def full(folder):
    """Mount a disk of two pages of memory, which a small image does not fit on."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=8k", "tmpfs"]
    done = subprocess.run(["mount", *options, folder], capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.skipif(shutil.which("mount") is None, reason="needs mount")
def test_a_full_disk(tmp_path):
    given = one_of_each(tmp_path / "in")
    out, kept = tmp_path / "full", b"what was there"
    if not full(out):
        pytest.skip("may not mount a small disk here")
    try:
        (out / "image.tif").write_bytes(kept)
        code, told, errors = run(tmp_path / "in", "--out", out, "--noise", "--overwrite")
        left = {path.name: path.read_bytes() for path in out.iterdir()}
    finally:
        subprocess.run(["umount", out], check=True)
    assert (code, told) == (1, [])
    assert [line.split(": ")[1] for line in errors] == [str(tmp_path / "in" / n) for n in given]
    assert all(len(line) < 400 for line in errors)
    assert all(
        "No space left on device" in line or line.endswith("is the disk full?") for line in errors
    )
    assert left == {"image.tif": kept}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_limit_of_the_size_of_files_stands_in_for_a_full_disk(tmp_path, jobs):
    import resource

    given = one_of_each(tmp_path / "in")
    out, limit, kept = tmp_path / "out", 2000, b"what was there"
    out.mkdir()
    for name in given[:3]:
        (out / name).write_bytes(kept)
    zarr_image(out / given[3], np.zeros((1, 4, 4), np.uint8))
    before = sorted(out.rglob("*"))
    code, told, errors = run(
        *(tmp_path / "in", "--out", out, "--noise", "--waves", "--overwrite", "--jobs", jobs),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert (code, told) == (1, [])
    assert [line.split(": ")[1] for line in errors] == [str(tmp_path / "in" / n) for n in given]
    assert all("File too large" in line or line.endswith("disk full?") for line in errors)
    assert sorted(out.rglob("*")) == before
    assert {(out / name).read_bytes() for name in given[:3]} == {kept}


def test_a_report_that_does_not_fit_on_the_disk_is_told_and_can_be_resumed(tmp_path):
    import resource

    iio.imwrite(tmp_path / "a.png", plane(1, np.uint8))
    out, report = tmp_path / "out", tmp_path / "r.json"
    inputs = (tmp_path / "a.png", "--out", out, "--report", report)
    assert run(*inputs)[0] == 0
    whole = report.read_bytes()
    line = json.dumps(list(json.loads(whole)[0].values()))
    assert (out / "a.png").stat().st_size < len(line) < len(whole)
    report.unlink()

    def limit(size):
        return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))}

    # what was found fits into the journal, and not as a report, which has more spaces
    code, told, errors = run(*inputs, "--overwrite", **limit(len(whole) - 1))
    assert (code, len(told), names(out)) == (1, 1, ["a.png"])
    assert errors == [f"error: {report}: [Errno 27] File too large"]
    assert names(tmp_path) == ["a.png", "out", "r.json.journal"]
    assert run(*inputs, "--resume")[0] == 0
    assert report.read_bytes() == whole


def test_what_may_not_be_read_is_told_and_the_rest_is_done(tmp_path):
    one_of_each(tmp_path / "in")
    one_of_each(tmp_path / "closed", "closed-")
    one_of_each(tmp_path / "listed", "listed-")
    (tmp_path / "in/chunk.zarr").mkdir()
    shutil.copytree(tmp_path / "in/zarr.zarr", tmp_path / "in/chunk.zarr", dirs_exist_ok=True)
    (tmp_path / "in/chunk.zarr/0/c/0/0/0").chmod(0)
    for name in ("image.tif", "zarr.zarr"):
        (tmp_path / "in" / name).chmod(0)
    (tmp_path / "closed").chmod(0)
    (tmp_path / "listed").chmod(0o600)
    closed = tmp_path / "closed"
    try:
        code, told, errors = run(
            *(tmp_path / "in", closed, closed / "closed-image.tif", closed / "*.tif"),
            *(tmp_path / "listed", "--out", tmp_path / "out"),
            preexec_fn=without_roots_rights,
        )
    finally:
        for path in (closed, tmp_path / "listed", tmp_path / "in/zarr.zarr"):
            path.chmod(0o700)
    assert code == 1
    good = ["picture.png", "stack.tif"]
    assert [line.split(": ")[0] for line in told] == [str(tmp_path / "in" / name) for name in good]
    assert names(tmp_path / "out/in") == good
    assert all("permission denied" in line.lower() for line in errors)
    bad = ["in/chunk.zarr", "in/image.tif", "in/zarr.zarr", "closed", "closed/closed-image.tif"]
    bad += ["closed/*.tif", "listed/listed-image.tif", "listed/listed-picture.png"]
    assert [line.split(": ")[1] for line in errors][: len(bad)] == [
        str(tmp_path / name) for name in bad
    ]


def test_where_nothing_may_be_written_this_is_told(tmp_path):
    given = one_of_each(tmp_path / "in")
    out = tmp_path / "out"
    out.mkdir()
    (out / ".napari-periodic-denoise-0.part").touch()  # of a run that was killed
    out.chmod(0o500)
    arguments = (tmp_path / "in", "--out", out)
    code, told, errors = run(*arguments, preexec_fn=without_roots_rights)
    assert (code, told) == (1, [])
    assert [line.split(": ")[1] for line in errors] == [str(tmp_path / "in" / n) for n in given]
    assert all("Permission denied" in line for line in errors)
    for more in (("--resume",), ("--report", out / "report.csv")):
        code, told, errors = run(*arguments, *more, preexec_fn=without_roots_rights)
        assert (code, told) == (2, [])
        assert "Permission denied" in errors[-1]
    assert names(out) == [".napari-periodic-denoise-0.part"]
    below = tmp_path / "in/image.tif/out"
    code, told, errors = run(tmp_path / "in/picture.png", "--out", below)
    assert (code, told, len(errors)) == (1, [], 1)
    assert "Not a directory" in errors[0]


def test_names_with_spaces_and_of_other_scripts(tmp_path):
    source = tmp_path / "zwei Wörter"
    one_of_each(source)
    renamed = ["Zelle µ 1.tif", "細胞 2.png", "стек 3.tif", "ז 'q' 4.zarr"]
    for old, new in zip(names(source), renamed, strict=True):
        (source / old).rename(source / new)
    out, told_of = tmp_path / "für später", tmp_path / "отчёт 1.csv"
    for environment in ({}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}):
        code, told, errors = run(
            *(source, "--out", out, "--noise", "--report", told_of, "--overwrite"),
            env={**os.environ, **environment},
        )
        assert (code, len(told), errors) == (0, 4, [])
        noises = ["Zelle µ 1-noise.tif", "細胞 2-noise.tif", "стек 3-noise.tif"]
        assert names(out) == sorted([*renamed, *noises, "ז 'q' 4-noise.zarr"])
        assert all(name in told_of.read_text("utf-8") for name in renamed)
