import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_periodic_denoise import __version__, demo, estimate_noise
from napari_periodic_denoise.batch import plan
from napari_periodic_denoise.cli import app
from napari_periodic_denoise.noise import estimate as engine
from napari_periodic_denoise.noise.progress import Progress, Stage
from napari_periodic_denoise.noise.result import NoiseEstimate
from napari_periodic_denoise.options import (
    DEFAULT_SENSITIVITY,
    FEATURES,
    METHODS,
    NOISE_MODELS,
    REMAINDERS,
    STACK_MODELS,
    WEIGHTS,
)
from napari_periodic_denoise.records.record import record
from outputs import names

COMMAND = [sys.executable, "-m", "napari_periodic_denoise"]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def noisy(dtype=np.uint8, shape=(96, 112), full=None, seed=3):
    """A few bright squares under one wave."""
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.uniform(0.3, 0.7, (6, 7)), np.ones((16, 16)))[: shape[0], : shape[1]]
    y, x = np.indices(shape)
    image = blocks + 0.1 * np.cos(2 * np.pi * (0.083 * y + 0.131 * x) + 0.5)
    full = full or (1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max)
    image *= full
    return image.astype(dtype) if np.dtype(dtype).kind == "f" else np.rint(image).astype(dtype)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "made" / "out"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_clean_writes_what_python_computes(files, out, dtype):
    image = noisy(dtype)
    tifffile.imwrite(files / "a.tif", image, resolution=(5, 7), resolutionunit=3)
    result = run("clean", files / "a.tif", "--out", out, "--noise")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert names(out) == ["a-noise.tif", "a.tif"]

    expected = estimate_noise(image)
    assert expected.waves
    assert result.stdout == f"{files / 'a.tif'}: {expected.summary}\n"
    cleaned, noise = tifffile.imread(out / "a.tif"), tifffile.imread(out / "a-noise.tif")
    assert cleaned.dtype == dtype
    assert noise.dtype == np.float32
    np.testing.assert_array_equal(cleaned, expected.cleaned)
    np.testing.assert_array_equal(noise, expected.noise)
    for name in names(out):
        with tifffile.TiffFile(out / name) as tiff:
            assert tiff.pages.first.get_resolution() == (5, 7)
            assert tiff.pages.first.resolutionunit == 3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_clean_png(files, out, dtype):
    image = noisy(dtype)
    iio.imwrite(files / "a.png", image)
    assert run("clean", files / "a.png", "--out", out, "--noise").exit_code == 0
    assert names(out) == ["a-noise.tif", "a.png"]
    cleaned = iio.imread(out / "a.png")
    assert cleaned.dtype == dtype
    np.testing.assert_array_equal(cleaned, estimate_noise(image).cleaned)


def test_options_reach_the_engine(files, out, monkeypatch):
    seen = {}

    def spy(image, **options):
        seen.update(options)
        return (yield from real(image, **options))

    real = engine.iter_estimate_noise
    monkeypatch.setattr(engine, "iter_estimate_noise", spy)
    tifffile.imwrite(files / "a.tif", noisy())
    options = ("--sensitivity", "0.5", "--device", "cpu", "--seed", "7")
    options += ("--noise-model", "additive", "--remainder", "stripes")
    options += ("--features", "cosines", "--weights", "random", "--weights-path", "weights.pt")
    assert run("clean", files / "a.tif", "--out", out, *options).exit_code == 0
    assert seen == {
        "sensitivity": 0.5,
        "device": "cpu",
        "seed": 7,
        "noise_model": "additive",
        "remainder": "stripes",
        "suggestions": "keep",
        "channel_axis": None,
        "method": "aligned",
        "features": "cosines",
        "weights": "random",
        "weights_path": Path("weights.pt"),
    }


def test_help_tells_the_engines_defaults_and_choices():
    help_text = " ".join(run("clean", "--help").stdout.split())
    assert f"[default: {DEFAULT_SENSITIVITY}]" in help_text
    for choices in (NOISE_MODELS, REMAINDERS, METHODS, FEATURES, WEIGHTS):
        assert "|".join(choices) in help_text
    assert "|".join(STACK_MODELS).replace("_", "-") in help_text
    assert "woven or striped. [default: auto]" in help_text


def test_what_is_no_wave_is_removed_and_told_where_asked_for(files, out, weave):
    image, _ = weave
    tifffile.imwrite(files / "a.tif", image)
    assert "no periodic noise" in run("clean", files / "a.tif", "--out", out).stdout
    np.testing.assert_array_equal(tifffile.imread(out / "a.tif"), image)

    options = ("--remainder", "quasi-periodic", "--noise", "--waves", "--overwrite")
    result = run("clean", files / "a.tif", "--out", out, *options)
    assert result.exit_code == 0
    expected = estimate_noise(image, remainder="quasi-periodic")
    assert not expected.waves
    assert expected.remainder_variance
    assert result.stdout == f"{files / 'a.tif'}: {expected.summary}\n"
    assert "quasi-periodic noise, no single waves; removed" in result.stdout
    np.testing.assert_array_equal(tifffile.imread(out / "a.tif"), expected.cleaned)
    np.testing.assert_array_equal(tifffile.imread(out / "a-noise.tif"), expected.noise)
    found = json.loads((out / "a-waves.json").read_text("utf-8"))
    assert found["waves"] == []
    assert found["remainder_variance"] == expected.remainder_variance
    assert found["settings"]["remainder"] == "quasi-periodic"


def in_colour(dtype=np.uint8, alpha=False):
    """Red and green with noise, blue without; and alpha like red, noise and all."""
    red, green, full = noisy(dtype), noisy(dtype, seed=4), np.iinfo(dtype).max
    blue = np.random.default_rng(5).integers(full // 3, full // 2, red.shape).astype(dtype)
    return np.stack([red, green, blue, *([red] if alpha else [])], axis=-1)


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize(("dtype", "suffix"), [("u1", "tif"), ("u2", "tif"), ("u1", "png")])
def test_clean_colour(files, out, dtype, suffix, alpha):
    image = in_colour(dtype, alpha)
    if suffix == "tif":
        tifffile.imwrite(files / "a.tif", image, photometric="rgb", resolution=(5, 7))
    else:
        iio.imwrite(files / "a.png", image)
    assert run("clean", files / f"a.{suffix}", "--out", out, "--noise").exit_code == 0
    expected = estimate_noise(image[..., :3], channel_axis=-1)
    assert {wave.channel for wave in expected.waves} == {0, 1}
    cleaned, noise = iio.imread(out / f"a.{suffix}"), tifffile.imread(out / "a-noise.tif")
    assert cleaned.dtype == image.dtype
    np.testing.assert_array_equal(cleaned[..., :3], expected.cleaned)
    np.testing.assert_array_equal(cleaned[..., 3:], image[..., 3:])
    np.testing.assert_array_equal(noise, np.moveaxis(expected.noise, -1, 0))


def test_clean_jpeg(files, out):
    iio.imwrite(files / "a.jpg", in_colour(), quality=95)
    assert run("clean", files / "a.jpg", "--out", out, "--noise").exit_code == 0
    assert names(out) == ["a-noise.tif", "a.png"]
    expected = estimate_noise(iio.imread(files / "a.jpg"), channel_axis=-1)
    assert expected.waves
    np.testing.assert_array_equal(iio.imread(out / "a.png"), expected.cleaned)


@pytest.mark.parametrize("told", [True, False])
def test_clean_channels_of_a_tiff(files, out, told):
    image = np.ascontiguousarray(np.moveaxis(in_colour(), -1, 0))
    metadata = {"axes": "CYX"} if told else {}
    tifffile.imwrite(files / "a.tif", image, photometric="minisblack", metadata=metadata)
    arguments = () if told else ("--channel-axis", "0")
    assert run("clean", files / "a.tif", "--out", out, "--noise", *arguments).exit_code == 0
    expected = estimate_noise(image, channel_axis=0)
    assert expected.waves
    np.testing.assert_array_equal(tifffile.imread(out / "a.tif"), expected.cleaned)
    np.testing.assert_array_equal(tifffile.imread(out / "a-noise.tif"), expected.noise)


def test_a_channel_axis_that_is_not_there_is_told(files, out):
    tifffile.imwrite(files / "a.tif", np.zeros((5, 40, 40), np.uint8), photometric=1)
    result = run("clean", files / "a.tif", "--out", out, "--channel-axis", "7")
    assert result.exit_code == 1
    assert "channel_axis=7" in result.stderr


def test_what_was_found_is_written_as_json(files, out):
    tifffile.imwrite(files / "a.tif", in_colour(), photometric="rgb")
    assert run("clean", files / "a.tif", "--out", out, "--waves").exit_code == 0
    assert names(out) == ["a-waves.json", "a.tif"]
    expected = estimate_noise(in_colour(), channel_axis=2)
    found = json.loads((out / "a-waves.json").read_text("utf-8"))
    assert found == record(expected)
    assert run("clean", files / "a.tif", "--out", out, "--waves").exit_code == 1


@pytest.mark.parametrize(
    "name", ["two words.tif", "Zelle µ-Ωκ 細胞.tif", "[bold]a[red].tif", "a.b.tif"]
)
def test_names(files, out, name):
    tifffile.imwrite(files / name, noisy())
    result = run("clean", files / name, "--out", out / "Bilder für später", "--noise")
    assert result.exit_code == 0
    assert name in result.stdout
    assert names(out / "Bilder für später") == sorted([name, f"{Path(name).stem}-noise.tif"])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any byte in a name")
def test_a_name_that_the_terminal_cannot_write(files, out):
    name = os.fsdecode(b"\xff\xb5.tif")
    tifffile.imwrite(files / name, noisy())
    done = subprocess.run(
        [*COMMAND, "clean", str(files / name), "--out", str(out)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert b"1 wave" in done.stdout
    assert names(out) == [name]


def test_what_cannot_be_read_is_told_and_the_rest_is_done(files, out):
    tifffile.imwrite(files / "good.tif", noisy())
    whole = (files / "good.tif").read_bytes()
    iio.imwrite(files / "also good.png", noisy())
    (files / "cut.tif").write_bytes(whole[:-2000])
    (files / "empty.tif").touch()
    iio.imwrite(files / "png.tif", noisy(), extension=".png")
    tifffile.imwrite(files / "stack.tif", np.zeros((5, 8, 8), np.uint8), photometric=1)
    tifffile.imwrite(files / "cmyk.tif", np.zeros((40, 40, 4), np.uint8), photometric=5)
    tifffile.imwrite(files / "small.tif", np.zeros((8, 8), np.uint8))
    tifffile.imwrite(files / "nan.tif", np.full((40, 40), np.nan, np.float32))
    tifffile.imwrite(files / "complex.tif", np.zeros((40, 40), np.complex64))
    bad = "missing.tif cut.tif empty.tif png.tif stack.tif cmyk.tif small.tif nan.tif complex.tif"
    inputs = [*bad.split()[:4], "good.tif", *bad.split()[4:], "also good.png"]

    # as the user runs it: warnings and log messages would show here
    done = subprocess.run(
        [*COMMAND, "clean", *inputs, "--out", str(out)],
        cwd=files,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [["error", name] for name in bad.split()]
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == inputs[4::6]
    assert names(out) == ["also good.png", "good.tif"]


def test_when_nothing_can_be_done_no_folder_is_made(files, out):
    assert run("clean", files / "missing.tif", "--out", out).exit_code == 1
    assert not out.exists()


def test_inputs_are_never_overwritten(files, tmp_path):
    tifffile.imwrite(files / "a.tif", noisy())
    before = (files / "a.tif").read_bytes()
    (tmp_path / "link").symlink_to(files, target_is_directory=True)
    (tmp_path / "hard").mkdir()
    (tmp_path / "hard" / "a.tif").hardlink_to(files / "a.tif")
    for folder in (files, tmp_path / "link", tmp_path / "hard"):
        result = run("clean", files / "a.tif", "--out", folder, "--overwrite")
        assert result.exit_code == 1
        assert f"would overwrite the input {folder / 'a.tif'}" in result.stderr
    assert (files / "a.tif").read_bytes() == before
    assert (tmp_path / "hard" / "a.tif").samefile(files / "a.tif")


def test_the_noise_does_not_overwrite_another_input(files):
    for name in ("a.png", "a-noise.tif"):
        iio.imwrite(files / name, noisy())
    before = (files / "a-noise.tif").read_bytes()
    run("clean", *files.iterdir(), "--out", files, "--noise", "--overwrite")
    assert (files / "a-noise.tif").read_bytes() == before


def test_existing_outputs_are_kept_unless_told(files, out):
    tifffile.imwrite(files / "a.tif", noisy())
    out.mkdir(parents=True)
    (out / "a.tif").write_text("precious")
    result = run("clean", files / "a.tif", "--out", out, "--noise")
    assert result.exit_code == 1
    assert f"{out / 'a.tif'} exists already" in result.stderr
    assert (out / "a.tif").read_text() == "precious"
    assert names(out) == ["a.tif"]

    assert run("clean", files / "a.tif", "--out", out, "--overwrite").exit_code == 0
    np.testing.assert_array_equal(tifffile.imread(out / "a.tif"), estimate_noise(noisy()).cleaned)


def test_inputs_of_one_name_in_several_folders_keep_their_folders(files, out):
    (files / "b").mkdir()
    for name in ("a.tif", "b/a.tif", "c.tif"):
        tifffile.imwrite(files / name, noisy())
    inputs = [files / name for name in ("a.tif", "b/a.tif", "c.tif")]
    assert run("clean", *inputs, "--out", out).exit_code == 0
    assert names(out) == ["a.tif", "b", "c.tif"]
    assert names(out / "b") == ["a.tif"]


def test_outputs_of_one_name_keep_the_ending_of_their_inputs(files, out):
    for name in ("a.tif", "a.png", "b.jpg", "b.png", "c.jpg"):
        iio.imwrite(files / name, noisy())
    assert run("clean", files, "--out", out, "--noise").exit_code == 0
    cleaned = ["a.png", "a.tif", "b.jpg.png", "b.png", "c.png"]
    noises = [f"{name}-noise.tif" for name in ("a.png", "a.tif", "b.jpg", "b.png", "c")]
    assert names(out) == sorted([*cleaned, *noises])


def test_one_file_by_several_ways_is_done_once(files, out):
    tifffile.imwrite(files / "a.tif", noisy())
    (files / "loop").symlink_to(files, target_is_directory=True)
    (files / "self.tif").symlink_to("self.tif")
    inputs = ("a.tif", "loop/a.tif", "self.tif", ".")
    result = run("clean", *(files / name for name in inputs), "--out", out)
    assert result.exit_code == 1
    assert result.stdout.count("\n") == 1
    assert result.stderr.count("\n") == 1
    assert "self.tif" in result.stderr
    assert names(out) == ["a.tif"]


def test_where_case_does_not_count_the_first_is_done(files, out, monkeypatch):
    monkeypatch.setattr(plan, "_ignores_case", lambda folder: True)
    for name in ("A.tif", "a.tif", "c.tif"):
        tifffile.imwrite(files / name, noisy())
    result = run("clean", files, "--out", out)
    assert result.exit_code == 1
    assert f"is the output for {files / 'A.tif'}" in result.stderr
    assert names(out) == ["A.tif", "c.tif"]


def test_running_out_of_memory_costs_one_file(files, out, monkeypatch):
    import torch

    def exhausted(image, **options):
        if image.shape[0] > 96:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 3 GiB")
        return real(image, **options)

    real = engine.iter_estimate_noise
    monkeypatch.setattr(engine, "iter_estimate_noise", exhausted)
    tifffile.imwrite(files / "large.tif", np.zeros((100, 100), np.uint8))
    tifffile.imwrite(files / "small.tif", noisy())
    result = run("clean", files / "large.tif", files / "small.tif", "--out", out)
    assert result.exit_code == 1
    assert result.stderr == f"error: {files / 'large.tif'}: CUDA out of memory.\n"
    assert names(out) == ["small.tif"]


def test_an_error_that_nobody_expected_costs_one_file(files, out, monkeypatch):
    def broken(image, **options):
        if image.shape[0] > 96:
            raise ZeroDivisionError("Fraction(0, 0)\nand more")
        return real(image, **options)

    real = engine.iter_estimate_noise
    monkeypatch.setattr(engine, "iter_estimate_noise", broken)
    tifffile.imwrite(files / "bad.tif", np.zeros((100, 100), np.uint8))
    tifffile.imwrite(files / "good.tif", noisy())
    result = run("clean", files / "bad.tif", files / "good.tif", "--out", out)
    assert result.exit_code == 1
    assert result.stderr == f"error: {files / 'bad.tif'}: ZeroDivisionError: Fraction(0, 0)\n"
    assert names(out) == ["good.tif"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "OUT"), "IN"),
        (("a.tif",), "--out"),
        (("a.tif", "--out", "OUT", "--device", "abacus"), "abacus"),
        (("a.tif", "--out", "OUT", "--seed", "-1"), "--seed"),
    ],
)
def test_wrong_usage(arguments, message):
    result = run("clean", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_version_and_bare_call():
    assert run("--version").stdout == f"napari-periodic-denoise {__version__}\n"
    assert "demo" in run().output


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_interrupted_while_computing(files, out):
    script = (
        # a background job of a shell without job control ignores the signal
        "import signal, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from napari_periodic_denoise import cli\n"
        "from napari_periodic_denoise.noise import estimate\n"
        "def wait(image, **options):\n"
        "    print('computing', flush=True)\n"
        "    time.sleep(60)\n"
        "    yield\n"
        "estimate.iter_estimate_noise = wait\n"
        "cli.app()\n"
    )
    tifffile.imwrite(files / "a.tif", noisy())
    with subprocess.Popen(
        [sys.executable, "-c", script, "clean", str(files / "a.tif"), "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "computing\n"
        process.send_signal(signal.SIGINT)
        errors = process.stderr.read()
    assert process.returncode not in (0, None)
    assert "Traceback" not in errors
    assert names(out) == []


@pytest.fixture
def quick_demo(monkeypatch):
    """The demo's own path, with an engine that finds nothing at once."""

    def nothing(image, **options):
        yield Progress(Stage.DETECT, 0, 1, "looking")
        zero = np.zeros(image.shape, np.float32)
        return NoiseEstimate(
            zero, image, (), {"method": "aligned", "remainder": "none"}, 0.0, 0.0, ()
        )

    monkeypatch.setattr(engine, "iter_estimate_noise", nothing)


def test_demo_writes_images_and_figures_and_says_where(tmp_path):
    result = run("demo", "--out", tmp_path / "d", "--no-gui")
    assert result.exit_code == 0
    assert str(tmp_path / "d") in result.stdout
    for stem in ("cell-with-interference", "newspaper-halftone"):
        figure = tmp_path / "d" / f"{stem}-figure.png"
        assert str(figure) in result.stdout
        assert iio.imread(figure).std() > 10
        before = iio.imread(tmp_path / "d" / f"{stem}.png")
        noise = tifffile.imread(tmp_path / "d" / f"{stem}-noise.tif")
        cleaned = iio.imread(tmp_path / "d" / f"{stem}-cleaned.png")
        assert noise.std() > 1
        assert np.abs(before - noise - cleaned).mean() < 1


def test_demo_replaces_what_an_earlier_one_wrote(tmp_path, quick_demo):
    for _ in range(2):
        assert run("demo", "--out", tmp_path, "--no-gui").exit_code == 0


@pytest.mark.parametrize(
    ("display", "options", "opened"),
    [(True, (), True), (False, (), False), (True, ("--no-gui",), False)],
)
def test_demo_opens_napari_where_it_can(
    tmp_path, monkeypatch, quick_demo, display, options, opened
):
    shown = []
    monkeypatch.setattr(demo, "has_display", lambda: display)
    monkeypatch.setattr(demo, "open_napari", lambda: shown.append(True))
    result = run("demo", "--out", tmp_path, *options)
    assert result.exit_code == 0
    assert bool(shown) is opened


def test_demo_without_qt_says_what_to_install(tmp_path, monkeypatch, quick_demo):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['qtpy'] = None")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(demo, "has_display", lambda: True)
    result = run("demo", "--out", tmp_path)
    assert result.exit_code == 0  # the files are written
    assert "napari-periodic-denoise[all]" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="displays as X has them")
def test_demo_outlives_a_display_that_is_not_there(tmp_path, monkeypatch, quick_demo):
    for name in ("WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISPLAY", ":987")
    result = run("demo", "--out", tmp_path)
    assert result.exit_code == 0
    assert result.stderr.startswith("napari ended with exit code ")
    assert result.stderr.count("\n") == 1


def test_demo_says_where_it_cannot_write(tmp_path, quick_demo):
    (tmp_path / "file").touch()
    result = run("demo", "--out", tmp_path / "file" / "d", "--no-gui")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {tmp_path / 'file' / 'd'}: ")
    assert result.stderr.count("\n") == 1


def test_progress_is_shown_on_a_terminal(files, out, monkeypatch):
    """The bar goes to stderr, and only when that is a terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    tifffile.imwrite(files / "a.tif", noisy())
    result = run("clean", files / "a.tif", "--out", out)
    assert "1/1 a.tif" in result.stderr
    assert result.stdout.count("\n") == 1
    assert "Traceback" not in result.output
