"""Scripts from what result layers record, run, and compared to the bit."""

import json
import subprocess
import sys

import dask.array as da
import numpy as np
import pytest
import tifffile
import torch

from napari_periodic_denoise import clean_stack, estimate_noise, select_waves
from napari_periodic_denoise.noise import estimate as engine
from napari_periodic_denoise.noise.statistics import networks
from napari_periodic_denoise.records import replay
from napari_periodic_denoise.records.record import record
from napari_periodic_denoise.runtime.steps import finish
from napari_periodic_denoise.stacks.channels import leaving_alpha

Y, X = np.indices((64, 72))
HUM = 12 * np.cos(2 * np.pi * (0.11 * Y + 0.07 * X)) + 8 * np.cos(2 * np.pi * 0.2 * X + 1)
SCENE = 100 + 60 * (np.hypot(Y - 30, X - 40) < 18)
IMAGE = np.rint(SCENE + HUM).astype(np.uint8)
STACK = np.stack([np.rint(SCENE + np.roll(HUM, i, 0)).astype(np.uint8) for i in range(3)])


def told(shape, **others):
    """What a layer's record says of what a run was on."""
    usual = {"path": None, "plane_axes": [0, 1], "plane": [], "rgb": False, "alpha": 0}
    return {**usual, "shape": list(shape), "multiscale": False, "lazy": False, **others}


def recorded(image, estimate, **others):
    """The record of a run on one plane, as a layer has it after JSON."""
    whole = {
        "source": "my cell",
        "input": told(image.shape, **others),
        "made_of": replay.made_of(image),
        **record(estimate),
    }
    return json.loads(json.dumps(whole))


def run(script):
    names = {}
    exec(compile(script, "script", "exec"), names)
    return names["noise"], names["cleaned"]


def same(made, noise, cleaned):
    for one, other in zip(made, (noise, cleaned), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_script_is_short_and_says_what_it_holds_for():
    estimate = estimate_noise(IMAGE, device="cpu")
    np.save("image.npy", IMAGE)
    told = recorded(IMAGE, estimate)
    script = replay.script(told, replay.from_array(told, '"image.npy"'))
    assert 'estimate = estimate_noise(image, device="cpu")\n' in script
    for words in ("my cell", torch.__version__, np.__version__, "on cpu", "to the bit"):
        assert words in script.replace("\n# ", " ")
    assert len(script.splitlines()) < 18
    assert max(map(len, script.splitlines())) < 100
    same(run(script), estimate.noise, estimate.cleaned)
    assert estimate.waves


@pytest.mark.parametrize(
    "options",
    [
        {"sensitivity": 0.1, "noise_model": "additive", "seed": 3},
        {"features": "cosines", "remainder": "stripes"},
        {"exemplar": [(0, 0, 20, 20), (5, 30, 40, 70)], "gram": True},
        {"features": "vgg16", "weights": "random"},
        {"method": "gram_aligned", "features": "vgg16", "weights": "random", "steps": 2},
        {
            "method": "texture",
            "features": "vgg16",
            "layers": ["conv1_1"],
            "weights": "random",
            "optimizer": "lbfgs",
            "steps": 3,
            "max_size": 40,
        },
    ],
)
def test_options_are_replayed(options):
    estimate = estimate_noise(IMAGE, **options)
    np.save("image.npy", IMAGE)
    told = recorded(IMAGE, estimate)
    script = replay.script(told, replay.from_array(told, '"image.npy"'))
    for name, value in options.items():
        assert f"{name}=" in script, name
        if isinstance(value, str):
            assert f'{name}="{value}"' in script
    assert ("layers=" in script) == ("layers" in options)
    assert estimate.noise.any()
    same(run(script), estimate.noise, estimate.cleaned)


def test_weights_of_a_file(tmp_path):
    path = tmp_path / 'a "network" of mine.pth'
    torch.save(networks.load_network("vgg16", weights="random").stack.state_dict(), path)
    options = {"method": "texture", "features": "vgg16", "steps": 1, "max_size": 32}
    estimate = estimate_noise(IMAGE, weights_path=path, **options)
    np.save("image.npy", IMAGE)
    told = recorded(IMAGE, estimate)
    script = replay.script(told, replay.from_array(told, '"image.npy"'))
    same(run(script), estimate.noise, estimate.cleaned)


@pytest.mark.parametrize("alpha", [0, 1])
def test_colours(alpha):
    layers = [IMAGE, IMAGE // 2, np.full_like(IMAGE, 80), X.astype(np.uint8)][: 3 + alpha]
    image = np.stack(layers, axis=-1)
    options = {"channel_axis": -1, "alpha": alpha}
    estimate = finish(leaving_alpha(engine.iter_estimate_noise, image, **options))
    np.save("image.npy", image)
    told = recorded(image, estimate, rgb=True, alpha=alpha)
    script = replay.script(told, replay.from_array(told, '"image.npy"'))
    same(run(script), estimate.noise, estimate.cleaned)


@pytest.mark.parametrize(("axes", "plane"), [([1, 2], [2]), ([0, 2], [7])])
def test_a_plane_of_a_stack_in_a_file(axes, plane, tmp_path):
    tifffile.imwrite("stack.tif", np.repeat(STACK, 8, 0), photometric="minisblack")
    stack = tifffile.imread("stack.tif")
    image = stack[plane[0]] if axes[0] else stack[:, plane[0]]
    estimate = estimate_noise(image)
    path = str(tmp_path / "stack.tif")
    told = recorded(image, estimate, path=path, plane_axes=axes, plane=plane)
    told["input"]["shape"] = list(stack.shape)
    assert replay.is_in_file(told)
    same(run(replay.script(told, replay.from_file(told))), estimate.noise, estimate.cleaned)


def stack_record(stack, result, model, **others):
    estimates = result.estimates
    if not isinstance(estimates, np.ndarray):
        estimates = estimates.compute()
    planes = [{"plane": list(i), **record(found)} for i, found in np.ndenumerate(estimates)]
    axes = {"plane_axes": [1, 2], "plane": [1], **others}
    return {
        "source": "movie",
        "input": told(stack.shape, **axes),
        "made_of": replay.made_of(stack[1]),
        "model": model,
        "planes": planes,
    }


@pytest.mark.parametrize("model", ["per_plane", "shared"])
@pytest.mark.parametrize("lazy", [False, True])
def test_all_planes(model, lazy, tmp_path):
    data = da.from_array(STACK, chunks=(1, -1, -1)) if lazy else STACK
    result = clean_stack(data, model=model, sensitivity=0.01)
    told = stack_record(STACK, result, model, lazy=lazy, path=str(tmp_path / "movie.tif"))
    assert not replay.is_in_file(told)
    tifffile.imwrite("movie.tif", STACK, photometric="minisblack")
    assert replay.is_in_file(told)
    np.save("movie.npy", STACK)
    for load in (replay.from_file(told), replay.from_array(told, '"movie.npy"')):
        script = replay.script(told, load)
        assert "sensitivity=0.01" in script
        assert ("model=" in script) == (model == "shared")
        assert ("dask" in script) == lazy
        same(run(script), np.asarray(result.noise), np.asarray(result.cleaned))


def test_axes_and_transparency_of_a_stack():
    colours = np.stack([IMAGE, IMAGE // 2, IMAGE // 3, X.astype(np.uint8)], axis=-1)
    stack = np.stack([colours, colours[::-1]], axis=1)  # planes are along the middle axis
    axes = {"plane_axes": (0, 2), "channel_axis": -1, "alpha": 1}
    result = clean_stack(stack, **axes)
    told = stack_record(stack, result, "per_plane", rgb=True, alpha=1, plane_axes=[0, 2])
    np.save("movie.npy", stack)
    same(
        run(replay.script(told, replay.from_array(told, '"movie.npy"'))),
        result.noise,
        result.cleaned,
    )


def test_as_many_threads_are_taken_as_there_were(request):
    request.addfinalizer(lambda: torch.set_num_threads(1))
    torch.set_num_threads(2)
    told = recorded(IMAGE, estimate_noise(IMAGE))
    assert "\ntorch.set_num_threads(2)" in replay.script(told, "")


def test_waves_that_are_switched_off_stay_off():
    colours = np.stack([IMAGE, IMAGE // 2, IMAGE // 3, X.astype(np.uint8)], axis=-1)
    for image, axis in ((IMAGE, {}), (colours, {"rgb": True, "alpha": 1})):
        options = {"channel_axis": -1 if axis else None, "alpha": axis.get("alpha", 0)}
        found = finish(leaving_alpha(engine.iter_estimate_noise, image, **options))
        estimate = select_waves(image, found, [found.waves[0].frequency])
        assert 0 < len(estimate.waves) < len(found.waves)
        np.save("image.npy", image)
        told = recorded(image, estimate, **axis)
        script = replay.script(told, replay.from_array(told, '"image.npy"'))
        same(run(script), estimate.noise, estimate.cleaned)


def test_areas_and_proposals_are_replayed():
    protect = np.hypot(Y - 30, X - 40) < 10
    options = {"protect": protect, "protect_edge": 4, "proposed": [(0.11, 0.07), (0.3, 0.31)]}
    estimate = estimate_noise(IMAGE, **options)
    np.save("image.npy", IMAGE)
    told = recorded(IMAGE, estimate)
    script = replay.script(told, replay.from_array(told, '"image.npy"'))
    assert "proposed=[(0.11, 0.07), (0.3, 0.31)]" in script
    assert "protect_edge=4" in script
    same(run(script), estimate.noise, estimate.cleaned)


def test_only_the_very_pixels_are_taken_for_the_files(tmp_path):
    tifffile.imwrite("cell.tif", IMAGE)
    estimate = estimate_noise(IMAGE)
    told = recorded(IMAGE, estimate, path=str(tmp_path / "cell.tif"))
    assert replay.is_in_file(told)
    other = IMAGE.copy()
    other[3, 4] += 1
    for path, pixels in (("other.tif", other), ("deep.tif", IMAGE.astype(np.uint16))):
        tifffile.imwrite(path, pixels)
        assert not replay.is_in_file(recorded(IMAGE, estimate, path=path))
    (tmp_path / "text.tif").write_text("no image")
    for path in ("text.tif", "gone.tif", "cell.xyz", None):
        assert not replay.is_in_file(recorded(IMAGE, estimate, path=path))


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "float32", "bool"])
def test_a_digest_is_of_values_not_of_their_order_in_memory(dtype):
    pixels = IMAGE.astype(dtype)
    assert replay.digest(pixels) == replay.digest(np.asfortranarray(pixels))
    assert replay.digest(pixels) == replay.digest(pixels.astype(pixels.dtype.newbyteorder()))
    assert replay.digest(pixels) != replay.digest(pixels.T)


def test_the_console_is_told_to_save_the_very_plane():
    stack = da.from_array(STACK)
    of = {"plane": [2], "plane_axes": [1, 2], "multiscale": True}
    record = {"source": "my cell, 2", "input": told(stack.shape, **of)}
    lines = replay.from_array_to_be_saved(record, 'a "cell"')
    saved = 'np.save("my_cell_2.npy", viewer.layers["a \\"cell\\""].data[0][2])'
    assert lines.splitlines()[1] == f"# import numpy as np; {saved}"
    assert lines.splitlines()[2] == 'image = np.load("my_cell_2.npy")'
    np.testing.assert_array_equal(replay.plane_of(record, stack), STACK[2])
    of_all = record | {"planes": []}
    assert ".data[0])" in replay.from_array_to_be_saved(of_all, "cell")
    assert replay.plane_of(of_all, stack).shape == STACK.shape
    assert "viewer" not in replay.from_array_to_be_saved(record, None)


def test_in_a_process_of_its_own(tmp_path):
    estimate = estimate_noise(IMAGE)
    np.save("image.npy", IMAGE)
    told = recorded(IMAGE, estimate)
    script = replay.script(told, replay.from_array(told, '"image.npy"'))
    code = f'{script}\nnp.savez("made.npz", noise=noise, cleaned=cleaned)\n'
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    assert child.stdout.strip() == estimate.summary
    made = np.load("made.npz")
    same((made["noise"], made["cleaned"]), estimate.noise, estimate.cleaned)
