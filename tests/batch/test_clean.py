import csv
import json
import os
import signal
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
import zarr
from typer.testing import CliRunner

from napari_periodic_denoise import clean_stack, estimate_noise
from napari_periodic_denoise.batch.clean import Cleaner, pieces_of
from napari_periodic_denoise.batch.plan import expand, jobs_of
from napari_periodic_denoise.cli import app
from napari_periodic_denoise.io import images as files
from napari_periodic_denoise.io.atomic import replacing_folder
from napari_periodic_denoise.noise import estimate as engine
from napari_periodic_denoise.records.record import record
from napari_periodic_denoise.runtime import workers
from napari_periodic_denoise.stacks.clean import StackPlan
from napari_periodic_denoise.stacks.layout import Layout
from outputs import contents, names
from stacks import plane, stack

COMMAND = [sys.executable, "-m", "napari_periodic_denoise", "clean"]
TMP = ".napari-periodic-denoise-"


def run(*arguments):
    return CliRunner().invoke(app, ["clean", *map(str, arguments)])


@pytest.fixture
def source(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def cleaned(data):
    planes = [estimate_noise(part).cleaned for part in data.reshape(-1, *data.shape[-2:])]
    return np.stack(planes).reshape(data.shape)


def noise(data):
    planes = [estimate_noise(part).noise for part in data.reshape(-1, *data.shape[-2:])]
    return np.stack(planes).reshape(data.shape)


def test_a_stack_of_imagej_keeps_axes_and_pixel_size(source, out):
    data = stack(2, 3)
    told = {"axes": "TZYX", "unit": "um", "spacing": 0.5, "finterval": 2.0, "max": 9.0}
    tifffile.imwrite(source / "a.tif", data, imagej=True, resolution=(4, 4), metadata=told)
    result = run(source / "a.tif", "--out", out, "--noise", "--waves")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{source / 'a.tif'}: 6 planes, periodic noise in 3\n"
    assert names(out) == ["a-noise.tif", "a-waves.json", "a.tif"]
    np.testing.assert_array_equal(tifffile.imread(out / "a.tif"), cleaned(data))
    np.testing.assert_array_equal(tifffile.imread(out / "a-noise.tif"), noise(data))
    with tifffile.TiffFile(source / "a.tif") as before, tifffile.TiffFile(out / "a.tif") as after:
        assert after.imagej_metadata == before.imagej_metadata
        assert after.series[0].axes == "TZYX"
    with tifffile.TiffFile(out / "a-noise.tif") as of_noise:
        assert of_noise.series[0].axes == "TZYX"
        assert of_noise.pages.first.get_resolution() == (4, 4)
        kept = of_noise.imagej_metadata
        assert (kept["unit"], kept["spacing"], kept["finterval"]) == ("um", 0.5, 2.0)
    planes = json.loads((out / "a-waves.json").read_text())["planes"]
    assert [told["plane"] for told in planes] == [list(i) for i in np.ndindex(2, 3)]
    assert planes[1] == {"plane": [0, 1], **record(estimate_noise(data[0, 1]))}


def test_a_stack_of_ome_keeps_all_that_is_told(source, out):
    data = stack(2, 2)
    told = {
        "axes": "ZCYX", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeZ": 2.0,
        "SignificantBits": 12, "Channel": {"Name": ["GFP", "mCherry"]},
    }  # fmt: skip
    tifffile.imwrite(source / "a.ome.tif", data, metadata=told, compression="zlib")
    assert run(source / "a.ome.tif", "--out", out, "--noise").exit_code == 0
    with tifffile.TiffFile(source / "a.ome.tif") as before:
        xml = before.ome_metadata
    with tifffile.TiffFile(out / "a.ome.tif") as after:
        assert after.ome_metadata == xml
        assert after.series[0].axes == "ZCYX"
        for i in range(2):
            expected = estimate_noise(data[i], channel_axis=0)
            np.testing.assert_array_equal(after.asarray()[i], expected.cleaned)
    with tifffile.TiffFile(out / "a.ome-noise.tif") as of_noise:
        assert of_noise.series[0].axes == "ZCYX"
        assert of_noise.series[0].dtype == np.float32
        assert 'PhysicalSizeX="0.25"' in of_noise.ome_metadata
        assert 'Name="mCherry"' in of_noise.ome_metadata
        assert 'Type="float"' in of_noise.ome_metadata
        assert "SignificantBits" not in of_noise.ome_metadata


@pytest.mark.parametrize("model", ["shared", "drifting"])
def test_one_model_for_all_planes_of_a_file(source, out, model):
    data = stack(2, 4)
    tifffile.imwrite(source / "a.tif", data, imagej=True, metadata={"axes": "TZYX"})
    ome_zarr(source / "b.zarr", [data])
    result = run(source, "--out", out, "--model", model)
    assert result.exit_code == 0, result.output
    expected = clean_stack(data, model=model).cleaned
    np.testing.assert_array_equal(tifffile.imread(out / "a.tif"), expected)
    written = zarr.open_group(out / "b.zarr", mode="r")["s0"][:]
    expected = clean_stack(data, channel_axis=0, model=model).cleaned
    np.testing.assert_array_equal(written, expected)


@pytest.mark.parametrize("alpha", [0, 1])
def test_a_stack_in_colour(source, out, alpha):
    data = np.stack([stack(2), stack(2) + np.uint16(9), stack(2), stack(2)][: 3 + alpha], -1)
    tifffile.imwrite(source / "a.tif", data, photometric="rgb")
    assert run(source / "a.tif", "--out", out, "--noise").exit_code == 0
    written = tifffile.imread(out / "a.tif")
    of_noise = tifffile.imread(out / "a-noise.tif")
    assert of_noise.shape == (2, 3, 64, 80)
    for i in range(2):
        expected = estimate_noise(data[i, ..., :3], channel_axis=-1)
        np.testing.assert_array_equal(written[i, ..., :3], expected.cleaned)
        np.testing.assert_array_equal(of_noise[i], np.moveaxis(expected.noise, -1, 0))
    np.testing.assert_array_equal(written[..., 3:], data[..., 3:])


def test_planes_with_noise_of_rows_alone_count_as_noisy(source, out):
    rng = np.random.default_rng(0)
    planes = np.rint(100 + rng.normal(0, 3, (3, 128, 128))).astype(np.uint16)
    planes[1:] += rng.integers(0, 20, (2, 128, 1)).astype(np.uint16)
    tifffile.imwrite(source / "a.tif", planes, imagej=True, metadata={"axes": "ZYX"})
    result = run(source / "a.tif", "--out", out)
    assert result.stdout == f"{source / 'a.tif'}: 3 planes, periodic noise in 2\n"
    written = tifffile.imread(out / "a.tif")
    np.testing.assert_array_equal(written[0], planes[0])
    assert written[1].mean(1).std() < planes[1].mean(1).std() / 3


def test_channels_slower_than_slices_are_cleaned_together(source, out):
    data = np.stack([stack(2), stack(2) + np.uint16(9)])
    tifffile.imwrite(source / "a.tif", data, photometric=1, metadata={"axes": "CZYX"})
    assert run(source / "a.tif", "--out", out).exit_code == 0
    expected = estimate_noise(data[:, 1], channel_axis=0).cleaned
    np.testing.assert_array_equal(tifffile.imread(out / "a.tif")[:, 1], expected)


def ome_zarr(folder, levels, version="0.5", chunks=(1, 1, 32, 40), shards=None):
    """Write an image as the specification has it, with labels in a folder of their own."""
    form = 3 if version == "0.5" else 2
    names = ("c", "z", "y", "x")
    axes = [{"name": "c", "type": "channel"}] + [
        {"name": name, "type": "space", "unit": "micrometer"} for name in names[1:]
    ]
    datasets = [
        {
            "path": f"s{i}",
            "coordinateTransformations": [
                {"type": "scale", "scale": [1.0, 2.0, 0.25 * 2**i, 0.25 * 2**i]}
            ],
        }
        for i in range(len(levels))
    ]
    window = {"min": 0.0, "max": 255.0, "start": 0.0, "end": 200.0}
    channels = [
        {"label": name, "color": "00FF00", "active": True, "window": window}
        for name in ("GFP", "RFP")
    ]
    told = {
        "multiscales": [{"name": "image", "axes": axes, "datasets": datasets, "version": version}],
        "omero": {"channels": channels[: len(levels[0])]},
    }
    attributes = {"ome": {"version": version, **told}} if form == 3 else told
    group = zarr.create_group(folder, zarr_format=form, attributes=attributes)
    v2 = {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
    for i, level in enumerate(levels):
        group.create_array(
            f"s{i}", shape=level.shape, dtype=level.dtype, chunks=chunks, shards=shards,
            **({"dimension_names": names} if form == 3 else v2),
        )[:] = level  # fmt: skip
    group.create_array("labels/cells/0", shape=(8, 8), dtype="u1")[:] = 3


def pyramid():
    fine = np.stack([stack(2, shape=(128, 128)), stack(2, shape=(128, 128)) + np.uint16(7)])
    return [fine, fine[..., ::2, ::2].copy()]


def nodes(folder):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    return next(iter(Reader(parse_url(folder))()))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_keeps_scales_units_and_names(source, out, version):
    levels = pyramid()
    ome_zarr(source / "a.zarr", levels, version)
    result = run(source / "a.zarr", "--out", out, "--noise")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{source / 'a.zarr'}: 2 planes, periodic noise in 1\n"
    assert names(out) == ["a-noise.zarr", "a.zarr"]
    before, after, of_noise = map(nodes, (source / "a.zarr", out / "a.zarr", out / "a-noise.zarr"))
    for node in (after, of_noise):
        for key in ("axes", "coordinateTransformations", "channel_names"):
            assert node.metadata[key] == before.metadata[key]
    assert before.metadata["channel_names"] == ["GFP", "RFP"]
    written = zarr.open_group(out / "a.zarr", mode="r")
    given = zarr.open_group(source / "a.zarr", mode="r")
    assert written.attrs.asdict() == given.attrs.asdict()
    np.testing.assert_array_equal(written["labels/cells/0"][:], given["labels/cells/0"][:])
    for z in range(2):
        expected = estimate_noise(levels[0][:, z], channel_axis=0)
        for level, array in enumerate(after.data):
            step = (slice(None), slice(None, None, 2**level), slice(None, None, 2**level))
            np.testing.assert_array_equal(np.asarray(array)[:, z], expected.cleaned[step])
            found = np.asarray(of_noise.data[level])[:, z]
            np.testing.assert_allclose(found, expected.noise[step], atol=1e-6)
    assert written["s0"].metadata == given["s0"].metadata


def test_of_ome_zarr_no_chunk_is_written_by_two_pieces(source, out):
    """Two planes a chunk and four a shard: a piece is whole shards."""
    data, shards = stack(1, 5), (1, 4, 64, 80)
    ome_zarr(source / "a.zarr", [data], chunks=(1, 2, 32, 40), shards=shards)
    assert run(source / "a.zarr", "--out", out, "--noise", "--jobs", 2).exit_code == 0
    written = zarr.open_group(out / "a.zarr", mode="r")["s0"]
    np.testing.assert_array_equal(written[:], cleaned(data))
    of_noise = zarr.open_group(out / "a-noise.zarr", mode="r")["s0"]
    assert written.shards == of_noise.shards == shards


@pytest.mark.parametrize(
    ("chunks", "shards"), [((1, 2), None), ((3, 2), None), ((1, 2), (2, 4)), ((2, 1), (4, 3))]
)
def test_each_chunk_and_shard_is_in_one_piece(chunks, shards):
    levels = [
        SimpleNamespace(
            ndim=4, shape=(5, 7, n, n), chunks=(*chunks, 8, 8), shards=shards and (*shards, 16, 16)
        )
        for n in (32, 16)
    ]
    plan = StackPlan(Layout.of(4, (2, 3), None), [([0, 1], {})])
    step, owners, planes = shards or chunks, {}, []
    for number, piece in enumerate(pieces_of(levels, plan)):
        for t, z in product(range(5)[piece.stacked[0]], range(7)[piece.stacked[1]]):
            planes.append((t, z))
            assert owners.setdefault((t // step[0], z // step[1]), number) == number
    assert number > 0
    assert sorted(planes) == list(product(range(5), range(7)))


def test_ome_zarr_of_one_plane(source, out):
    image = {"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0"}]}
    group = zarr.create_group(source / "a.zarr", attributes={"ome": {"multiscales": [image]}})
    group.create_array("0", shape=(64, 80), dtype="u2")[:] = plane(1)
    result = run(source / "a.zarr", "--out", out, "--noise", "--waves")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith(": 1 plane, periodic noise in 1\n")
    written = zarr.open_group(out / "a.zarr", mode="r")["0"]
    np.testing.assert_array_equal(written[:], estimate_noise(plane(1)).cleaned)


def test_zarr_that_is_not_installed_is_told(source, out, monkeypatch):
    zarr.create_group(source / "a.zarr")
    monkeypatch.delitem(sys.modules, "napari_periodic_denoise.io.ome_zarr", raising=False)
    monkeypatch.setitem(sys.modules, "zarr", None)
    result = run(source / "a.zarr", "--out", out)
    assert result.exit_code == 1
    assert "pip install 'napari-periodic-denoise[zarr]'" in result.stderr


def test_a_folder_is_replaced_whole_or_not_at_all(source, out):
    ome_zarr(source / "a.zarr", [stack(1, 2)])
    assert run(source, "--out", out).exit_code == 0
    before = contents(out)
    assert run(source, "--out", out).exit_code == 1  # it exists
    (out / "a.zarr" / "more").touch()
    assert run(source, "--out", out, "--overwrite").exit_code == 0
    assert contents(out) == before

    def fail():
        with replacing_folder(out / "a.zarr") as folder:
            folder.mkdir()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert contents(out) == before
    assert names(out) == ["a.zarr"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: zarr.create_array(path, shape=(4, 4), dtype="u1"), "no OME-Zarr image"),
        (lambda path: zarr.create_group(path), "no OME-Zarr image"),
        (
            lambda path: zarr.create_group(path, attributes={"ome": {"plate": {}}}),
            "pass the folders of the images in it one by one",
        ),
    ],
)
def test_other_zarr_is_refused(source, out, make, message):
    make(source / "a.zarr")
    result = run(source / "a.zarr", "--out", out)
    assert result.exit_code == 1
    assert message in result.stderr
    assert names(out) == []


def test_folders_and_patterns(source, out):
    for name in ("b.tif", "a.tif", "c.png"):
        files.write_image(source / name, plane(1, np.uint8), files.Calibration())
    (source / "notes.txt").touch()
    (source / "deeper").mkdir()
    (source / "deeper" / "d.tif").write_bytes((source / "a.tif").read_bytes())
    assert expand([source]) == [source / name for name in ("a.tif", "b.tif", "c.png")]
    assert expand([source / "*.tif"]) == [source / name for name in ("a.tif", "b.tif")]
    assert expand([source / "**/*.tif"])[-1] == source / "deeper" / "d.tif"
    assert expand([source / "a.tif", source / "*.tif"])[0] == source / "a.tif"
    assert run(source, "--out", out).exit_code == 0
    assert names(out) == ["a.tif", "b.tif", "c.png"]


def test_an_empty_folder_or_pattern_is_told(source, out):
    result = run(source, source / "*.tif", "--out", out)
    assert result.exit_code == 1
    assert result.stderr.count("error: ") == 2


def several(source):
    tifffile.imwrite(source / "stack.tif", stack(5), photometric=1)
    tifffile.imwrite(source / "image.tif", plane(1))
    ome_zarr(source / "image.zarr", pyramid())
    (source / "broken.tif").write_bytes(b"II*\0 and no more")


def test_several_processes_write_the_same_and_one_bad_file_does_not_stop_them(source, tmp_path):
    several(source)
    outputs = []
    for name, jobs in (("one", 1), ("two", 2)):
        told = tmp_path / f"{name}.json"
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        arguments = ["--out", tmp_path / name, "--jobs", jobs, "--noise", "--report", told]
        done = subprocess.run(
            [*COMMAND, source, *map(str, arguments)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
        assert [line.split(": ")[1] for line in done.stderr.splitlines()] == [
            str(source / "broken.tif")
        ]
        outputs.append((done.stdout, contents(tmp_path / name), told.read_text()))
    assert outputs[0] == outputs[1]
    assert outputs[0][0].count("\n") == 3


def test_images_and_planes_are_computed_with_one_thread(source, out, monkeypatch):
    """Sums depend on the number of threads, and each of several processes has fewer."""
    threads = []

    def watched(image, **options):
        threads.append(torch.get_num_threads())
        return (yield from real(image, **options))

    real = engine.iter_estimate_noise
    monkeypatch.setattr(engine, "iter_estimate_noise", watched)
    tifffile.imwrite(source / "a.tif", stack(2), photometric=1)
    tifffile.imwrite(source / "b.tif", plane(1))
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert run(source, "--out", out).exit_code == 0
    finally:
        torch.set_num_threads(usual)
    assert threads == [1, 1, 1]


def test_the_report_has_the_waves_of_each_plane(source, tmp_path, out):
    tifffile.imwrite(source / "a.tif", stack(3), photometric=1)
    tifffile.imwrite(source / "b.tif", plane(1))
    for suffix in ("csv", "json"):
        told = tmp_path / f"report.{suffix}"
        assert run(source, "--out", out, "--report", told, "--overwrite").exit_code == 0
    assert names(tmp_path) == ["in", "out", "report.csv", "report.json"]
    wave = estimate_noise(plane(1)).waves[0]
    with (tmp_path / "report.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [(Path(row["file"]).name, row["plane"]) for row in rows] == [
        ("a.tif", "0"), ("a.tif", "1"), ("a.tif", "2"), ("b.tif", ""),
    ]  # fmt: skip
    assert [bool(row["amplitude"]) for row in rows] == [False, True, False, True]
    for row in rows[1::2]:
        assert float(row["frequency_y"]) == wave.frequency[0]
        assert float(row["period"]) == wave.period
        assert float(row["amplitude"]) == wave.amplitude
    entries = json.loads((tmp_path / "report.json").read_text())
    assert [len(entry["planes"]) for entry in entries] == [3, 1]
    assert entries[1]["planes"][0] == {"plane": [], **record(estimate_noise(plane(1)))}


@pytest.mark.parametrize("keeps_records", [False, True])
@pytest.mark.parametrize("waves", [False, True])
def test_records_are_kept_only_for_who_needs_them(source, out, keeps_records, waves):
    tifffile.imwrite(source / "a.tif", stack(3), photometric=1)
    (job,) = jobs_of(expand([source]), out, noise=False, waves=waves)
    found = []
    with workers.start() as here:
        cleaner = Cleaner({}, here, keeps_records=keeps_records)
        summary = cleaner.clean(cleaner.open(job), job, lambda *_: None, found.extend)
    assert summary.startswith("3 planes, periodic noise in 1")
    expected = [{"plane": [i], **record(estimate_noise(part))} for i, part in enumerate(stack(3))]
    assert found == (expected if keeps_records or waves else [])
    if waves:
        assert json.loads(job.waves.read_text())["planes"] == json.loads(json.dumps(expected))


def test_what_another_program_removes_from_an_output_is_noticed(source, out):
    ome_zarr(source / "a.zarr", [stack(3)[None]], chunks=(1, 1, 64, 80))
    (job,) = jobs_of(expand([source]), out, noise=False, waves=True)

    def removing(done, total, _message):
        if done == total:
            (chunk,) = out.glob(f"{TMP}*.part/s0/c/0/2/0/0")
            chunk.unlink()

    with workers.start() as here:
        cleaner = Cleaner({}, here)
        with pytest.raises(OSError, match="another program removed a part of the output"):
            cleaner.clean(cleaner.open(job), job, removing, lambda _: None)
        assert names(out) == []
        with pytest.raises(OSError, match=r"a-waves.json was written, and is not there any more"):
            cleaner.clean(cleaner.open(job), job, lambda *_: None, lambda _: job.waves.unlink())


def test_a_report_of_another_format_is_refused(source, tmp_path, out):
    result = run(source, "--out", out, "--report", tmp_path / "report.txt")
    assert result.exit_code == 2
    assert ".csv" in result.stderr


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_resumed_nothing_is_done_again_and_the_report_is_whole(
    source, tmp_path, out, suffix, monkeypatch
):
    tifffile.imwrite(source / "a.tif", stack(2), photometric=1)
    tifffile.imwrite(source / "b.tif", plane(1))
    arguments = (source, "--out", out, "--noise", "--report", tmp_path / f"r.{suffix}")
    assert run(*arguments).exit_code == 0
    before, told = contents(out), (tmp_path / f"r.{suffix}").read_text()
    (out / "b.tif").unlink()
    (out / f"{TMP}0123.part").mkdir()
    (out / f"{TMP}4567.part").touch()
    result = run(*arguments, "--resume")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{source / 'a.tif'}: done already\n")
    assert contents(out) == before
    assert names(out) == ["a-noise.tif", "a.tif", "b-noise.tif", "b.tif"]
    assert (tmp_path / f"r.{suffix}").read_text() == told


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
@pytest.mark.parametrize("jobs", [1, 2])
def test_killed_and_resumed_the_outputs_are_those_of_an_uninterrupted_run(source, tmp_path, jobs):
    for i in range(3):
        tifffile.imwrite(source / f"{i}.tif", stack(8) + np.uint16(i), photometric=1)
    ome_zarr(source / "z.zarr", pyramid())
    arguments = ["--noise", "--jobs", str(jobs), "--report"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(name, *more):
        told = [str(tmp_path / f"{name}.csv"), "--out", str(tmp_path / name)]
        command = [*COMMAND, str(source), *arguments, *told, *more]
        return subprocess.Popen(
            command, env=environment, start_new_session=True, stdout=subprocess.PIPE
        )

    told = [tmp_path / "whole.csv", "--out", tmp_path / "whole"]
    assert run(source, "--noise", "--report", *told).exit_code == 0
    whole = contents(tmp_path / "whole")
    with start("killed") as process:
        while process.poll() is None:
            written = names(tmp_path / "killed")
            done = [name for name in written if not name.startswith(TMP)]
            if len(done) >= 2 and len(written) > len(done):  # and another is begun
                os.killpg(process.pid, signal.SIGKILL)
                break
            time.sleep(0.01)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    written = contents(tmp_path / "killed")
    assert any(name.startswith(TMP) for name in written)
    final = {name: value for name, value in written.items() if not name.startswith(TMP)}
    assert final.items() <= whole.items()  # nothing partial under a final name
    with start("killed", "--resume") as process:
        process.communicate()
    assert process.returncode == 0
    assert contents(tmp_path / "killed") == whole
    assert (tmp_path / "killed.csv").read_text() == (tmp_path / "whole.csv").read_text()


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_interrupted_several_processes_leave_nothing_half_done(source, out):
    for i in range(4):
        tifffile.imwrite(source / f"{i}.tif", stack(40), photometric=1)
    script = (
        # a background job of a shell without job control ignores the signal
        "import signal\n"
        "from napari_periodic_denoise.cli import app\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    app()\n"
    )
    path = source.parent / "script.py"
    path.write_text(script)
    with subprocess.Popen(
        [sys.executable, path, "clean", source, "--out", out, "--jobs", "2"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            while not names(out) and process.poll() is None:
                time.sleep(0.01)
            time.sleep(0.5)
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()  # one that goes on in spite of the signal
    assert process.returncode == 130  # as shells have it
    assert "Traceback" not in errors
    assert not [name for name in names(out) if name.startswith(TMP)]
    assert len(names(out)) < 4
