import subprocess
import sys

import dask.array as da
import numpy as np
import pytest
import torch
import zarr

from napari_periodic_denoise import Progress, clean_stack, estimate_noise, iter_clean_stack
from napari_periodic_denoise.noise import estimate as engine
from napari_periodic_denoise.stacks.layout import Layout
from napari_periodic_denoise.stacks.lazy import as_lazy
from stacks import SHAPE, plane, stack


def same(result, expected):
    np.testing.assert_array_equal(result.noise, expected.noise)
    np.testing.assert_array_equal(result.cleaned, expected.cleaned)
    assert result.waves == expected.waves


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, ">u2"])
def test_each_plane_is_what_the_engine_makes_of_it_to_the_bit(dtype):
    data = stack(2, 3, dtype=dtype)
    before = data.copy()
    result = clean_stack(data)
    assert type(result.noise) is type(result.cleaned) is np.ndarray
    assert result.noise.dtype == np.float32
    assert result.cleaned.dtype == data.dtype
    assert result.noise.shape == result.cleaned.shape == data.shape
    assert result.estimates.shape == (2, 3)
    for index in np.ndindex(2, 3):
        expected = estimate_noise(data[index])
        same(result.estimates[index], expected)
        np.testing.assert_array_equal(result.cleaned[index], expected.cleaned)
        assert result.estimates[index].settings == expected.settings
    assert [len(estimate.waves) for estimate in result.estimates.flat] == [0, 1, 0, 1, 0, 1]
    np.testing.assert_array_equal(data, before)


def test_the_estimates_share_the_stacks_memory():
    result = clean_stack(stack(2))
    assert np.shares_memory(result.estimates[1].noise, result.noise)
    assert np.shares_memory(result.estimates[1].cleaned, result.cleaned)


@pytest.mark.parametrize("plane_axes", [(0, 2), (2, 0), (-3, -1)])
def test_planes_along_any_axes(plane_axes):
    data = np.moveaxis(stack(2), 0, 1)
    result = clean_stack(data, plane_axes=plane_axes)
    np.testing.assert_array_equal(result.cleaned[:, 1], estimate_noise(plane(1)).cleaned)
    assert result.estimates.shape == (2,)


@pytest.mark.parametrize("lazily", [False, True])
@pytest.mark.parametrize("channel_axis", [1, -1])
@pytest.mark.parametrize("alpha", [0, 1])
def test_channels_are_cleaned_together_and_alpha_is_left(channel_axis, alpha, lazily):
    data = np.stack([stack(2), stack(2) + np.uint16(3), stack(2)], axis=channel_axis)
    axes = (-2, -1) if channel_axis == 1 else (1, 2)
    given = da.from_array(data, chunks=(1, -1, -1, -1)) if lazily else data
    result = clean_stack(given, plane_axes=axes, channel_axis=channel_axis, alpha=alpha)
    colours = np.split(data, [3 - alpha], axis=channel_axis)[0]
    expected = estimate_noise(colours[1], channel_axis=channel_axis if channel_axis < 0 else 0)
    noise, cleaned = np.asarray(result.noise), np.asarray(result.cleaned)
    assert result.noise.shape == noise.shape == colours.shape
    np.testing.assert_array_equal(noise[1], expected.noise)
    kept = np.split(cleaned, [3 - alpha], axis=channel_axis)
    np.testing.assert_array_equal(kept[0][1], expected.cleaned)
    if alpha:
        np.testing.assert_array_equal(kept[1], np.split(data, [2], axis=channel_axis)[1])


def test_a_plane_is_a_stack_without_stacked_axes():
    result = clean_stack(plane(1))
    expected = estimate_noise(plane(1))
    np.testing.assert_array_equal(result.cleaned, expected.cleaned)
    assert result.estimates[()].waves == expected.waves


def test_tensors_are_taken():
    result = clean_stack(torch.from_numpy(stack(2).astype(np.float32)))
    assert isinstance(result.cleaned, np.ndarray)


def test_options_reach_the_engine():
    result = clean_stack(stack(2), noise_model="additive", seed=5)
    assert result.estimates[1].settings["noise_model"] == "additive"
    assert result.estimates[1].settings["seed"] == 5


def test_steps_count_planes_and_come_within_them():
    run, steps = iter_clean_stack(stack(3)), []
    while True:
        try:
            steps.append(next(run))
        except StopIteration as end:
            result = end.value
            break
    assert result.noise.shape == (3, *SHAPE)
    assert all(isinstance(step, Progress) and step.total == 3 for step in steps)
    done = [step.done for step in steps]
    assert done == sorted(done)
    assert all(done.count(i) > 2 for i in range(3))
    assert done.count(3) == 1
    assert steps[0].message == "plane 1 of 3: reading the image"


def test_stopped_within_a_plane_the_next_is_not_begun(monkeypatch):
    begun, ended = [], []

    def watched(image, **options):
        begun.append(True)
        try:
            return (yield from real(image, **options))
        finally:
            ended.append(True)

    run = iter_clean_stack(stack(3))
    next(run)
    run.close()
    real = engine.iter_estimate_noise
    monkeypatch.setattr(engine, "iter_estimate_noise", watched)
    run = iter_clean_stack(stack(3))
    for _ in range(3):
        next(run)
    run.close()
    assert len(begun) == len(ended) == 1  # the first plane


@pytest.mark.parametrize("lazily", [False, True])
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"model": "shard"},
            ValueError,
            "model='shard' is not one of the choices: 'per_plane'",
        ),
        ({"sensitivity": -1}, ValueError, "sensitivity"),
        ({"method": "magic"}, ValueError, "method='magic'"),
        ({"colour": True}, TypeError, "colour"),
        ({"plane_axes": (1, 5)}, ValueError, r"plane_axes=\(1, 5\)"),
        ({"plane_axes": (1, 1)}, ValueError, "expected two different plane_axes"),
        ({"channel_axis": 2}, ValueError, "another channel_axis"),
        ({"plane_axes": (0, 1)}, ValueError, "16×16"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_computed(options, error, message, lazily):
    data = np.zeros((3, *SHAPE))
    if lazily:
        data = da.from_array(data).map_blocks(pytest.fail, dtype=float, meta=np.zeros((0, 0, 0)))
    with pytest.raises(error, match=message):
        clean_stack(data, **options)


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="of a pyramid, got <class 'list'>"):
        clean_stack([["no", "array"]])
    with pytest.raises(TypeError, match="complex"):
        clean_stack(np.zeros((2, *SHAPE), complex))
    with pytest.raises(ValueError, match="levels"):
        clean_stack([])
    with pytest.raises(ValueError, match="levels"):
        clean_stack([stack(2), plane(0)])


class Quantity(np.ndarray):
    """As astropy has them."""

    def to_value(self):
        return self.view(np.ndarray)


def test_quantities_are_refused():
    pint = pytest.importorskip("pint")
    data = stack(2, dtype=np.float32)
    for quantity in (data.view(Quantity), pint.Quantity(data, "volt")):
        with pytest.raises(TypeError, match=r"pass its magnitude .* or its value"):
            clean_stack(quantity)


@pytest.mark.parametrize("alpha", [-1, 3, 1.0, None])
def test_a_number_of_channels_that_is_none_is_refused(alpha):
    with pytest.raises(ValueError, match="of the 3 channels, and not all, as alpha"):
        clean_stack(stack(2, 3), channel_axis=1, alpha=alpha)


@pytest.mark.parametrize("model", ["shared", "drifting"])
def test_no_planes_have_no_model(model):
    with pytest.raises(ValueError, match="has no planes to find a model in"):
        clean_stack(stack(2)[:0], model=model)


def test_which_plane_is_wrong_is_told():
    data = stack(2, 2, dtype=np.float32)
    data[1, 0] = np.nan
    for some in (data, da.from_array(data, chunks=(1, 1, -1, -1))):
        with pytest.raises(ValueError, match=r"plane 1, 0: .* no finite pixel"):
            np.asarray(clean_stack(some).cleaned)


@pytest.mark.parametrize("model", ["per_plane", "shared", "drifting"])
def test_each_plane_has_its_own_missing_pixels(model):
    data = stack(4, dtype=np.float32)
    data[1, 5, 5:9] = np.nan
    data[3, 20, 30] = -np.inf
    finite = np.isfinite(data)
    for some in (data, da.from_array(data, chunks=(1, -1, -1))):
        result = clean_stack(some, model=model)
        cleaned, noise = np.asarray(result.cleaned), np.asarray(result.noise)
        assert cleaned[~finite].tobytes() == data[~finite].tobytes()
        assert np.isfinite(cleaned[finite]).all()
        assert not noise[~finite].any()
        assert noise[1].any()
        assert np.isfinite(noise).all()
        if isinstance(result.estimates, np.ndarray):
            assert [each.not_finite for each in result.estimates] == [0, 4, 0, 1]


def test_the_levels_of_a_pyramid_keep_missing_pixels():
    fine = plane(1, np.float32)
    fine[4, 6:9] = np.inf, np.nan, -np.inf
    for reduced in (
        lambda level: level[::2, ::2].copy(),
        lambda level: level.reshape(32, 2, 40, 2).mean((1, 3), dtype=np.float64).astype("f4"),
    ):
        with np.errstate(invalid="ignore"):
            coarse = reduced(fine)
        result = clean_stack([fine, coarse])
        missing = ~np.isfinite(coarse)
        assert missing.any()
        assert result.cleaned[1][missing].tobytes() == coarse[missing].tobytes()
        assert np.isfinite(result.cleaned[1][~missing]).all()
        assert not result.noise[1][missing].any()
        # the finest level's wave is removed, not another one found in this level
        np.testing.assert_array_equal(result.noise[1][5], reduced(result.noise[0])[5])


def test_arrays_on_disk_give_lazy_arrays_of_their_chunks(tmp_path):
    data = stack(4)
    on_disk = zarr.create_array(
        tmp_path / "a.zarr", shape=data.shape, dtype=data.dtype, chunks=(2, 32, 40)
    )
    on_disk[:] = data
    mapped = np.memmap(tmp_path / "a.raw", data.dtype, "w+", shape=data.shape)
    mapped[:] = data
    for source, chunk in ((on_disk, 2), (mapped, 1)):
        result = clean_stack(source)
        assert isinstance(result.cleaned, da.Array)
        assert result.cleaned.chunksize == (chunk, *SHAPE)
        np.testing.assert_array_equal(result.cleaned[1], estimate_noise(data[1]).cleaned)


def test_arrays_without_chunks_are_read_by_whole_planes(tmp_path):
    mapped = np.memmap(tmp_path / "a.raw", np.uint8, "w+", shape=(3, *SHAPE, 3))
    layout = Layout.of(4, (1, 2), -1)
    assert as_lazy(mapped, layout).chunksize == (1, *SHAPE, 3)
    assert clean_stack(mapped, plane_axes=(1, 2), channel_axis=-1).noise.npartitions == 3


def test_of_sharded_arrays_the_shards_are_the_chunks(tmp_path):
    on_disk = zarr.create_array(
        tmp_path, shape=(8, *SHAPE), dtype="u2", chunks=(1, 32, 40), shards=(4, 64, 80)
    )
    assert clean_stack(on_disk).cleaned.chunksize == (4, *SHAPE)


def halved(data):
    """Mean of 2×2 pixels, rounded."""
    *stacked, height, width = data.shape
    blocks = data.reshape(*stacked, height // 2, 2, width // 2, 2)
    return np.rint(blocks.mean((-3, -1))).astype(data.dtype)


@pytest.mark.parametrize("lazily", [False, True])
@pytest.mark.parametrize("way", ["mean", "picked"])
def test_noise_of_coarse_levels_is_the_finest_ones_reduced(lazily, way):
    fine = stack(2, shape=(128, 128))
    reduce = halved if way == "mean" else (lambda data: data[..., ::2, ::2])
    levels = [fine, reduce(fine), reduce(reduce(fine))]
    given = [da.from_array(level, chunks=(1, 64, 64)) for level in levels] if lazily else levels
    result = clean_stack(given)
    expected = clean_stack(fine)
    assert isinstance(result.noise, list)
    assert [level.shape for level in result.cleaned] == [level.shape for level in levels]
    assert [level.dtype for level in result.cleaned] == [np.uint16] * 3
    assert result.estimates.shape == (2,)
    noise, cleaned = expected.noise, expected.cleaned
    for level, (found, made) in enumerate(zip(result.noise, result.cleaned, strict=True)):
        np.testing.assert_allclose(np.asarray(found), noise, atol=1e-3)
        assert np.abs(np.asarray(made).astype(float) - cleaned).max() <= level
        noise = halved(noise * 1e4) / 1e4 if way == "mean" else reduce(noise)
        cleaned = reduce(cleaned)
    np.testing.assert_array_equal(np.asarray(result.cleaned[1])[0], levels[1][0])  # no noise


def test_levels_made_in_other_ways_are_estimated_by_themselves():
    fine = stack(2, shape=(128, 128))
    other = np.rint((fine + np.roll(fine, 1, -1) + np.roll(fine, 5, -2)) / 3)[:, ::2, ::2]
    result = clean_stack([fine, other])
    np.testing.assert_array_equal(result.cleaned[1][1], estimate_noise(other[1]).cleaned)


def test_levels_of_other_stacked_axes_are_estimated_by_themselves():
    levels = [stack(4), stack(2)]
    result = clean_stack([da.from_array(level) for level in levels])
    same(result.estimates.compute()[1], estimate_noise(levels[0][1]))
    np.testing.assert_array_equal(result.cleaned[1][1], estimate_noise(levels[1][1]).cleaned)


def test_levels_too_small_for_an_estimate_stay_as_they_are():
    thumbnail = np.arange(2 * 8 * 10).reshape(2, 8, 10).astype(np.uint16)
    result = clean_stack([stack(2), thumbnail])
    np.testing.assert_array_equal(result.cleaned[1], thumbnail)
    assert not result.noise[1].any()


def test_dask_and_zarr_wait_until_they_are_used():
    check = (
        "import sys, numpy as np, napari_periodic_denoise.stacks.clean as s\n"
        "s.clean_stack(np.zeros((2, 32, 32), np.uint8))\n"
        "print({'dask', 'zarr'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("lazily", [False, True])
def test_planes_share_a_model_and_have_their_own_phases(lazily):
    data = stack(2, 4)
    given = da.from_array(data, chunks=(1, 1, -1, -1)) if lazily else data
    result = clean_stack(given, model="shared")
    assert result.model is not None
    assert result.model.frequencies.shape == (1, 1, 2)
    np.testing.assert_allclose(np.abs(result.model.frequencies[0, 0]), [0.11, 0.07], atol=2e-4)
    noise, cleaned = np.asarray(result.noise), np.asarray(result.cleaned)
    estimates = np.asarray(result.estimates)
    for number, index in enumerate(np.ndindex(2, 4)):
        assert len(estimates[index].waves) == number % 2
        if number % 2:
            hum = plane(number).astype(float) - plane_without_hum(number)
            assert np.abs(noise[index] - hum).max() < 1.5
            assert estimates[index].settings["plane"] == number
        else:
            np.testing.assert_array_equal(cleaned[index], data[index])


def plane_without_hum(number):
    rng = np.random.default_rng(number)
    return np.kron(rng.uniform(100, 200, (SHAPE[0] // 16, SHAPE[1] // 16)), np.ones((16, 16)))


def test_a_model_is_found_step_by_step_and_only_sampled_planes_are_read():
    read = []

    def counted(block, block_info=None):
        read.append(block_info[0]["chunk-location"][0])
        return block

    data = da.from_array(stack(80), chunks=(1, -1, -1)).map_blocks(counted, dtype=np.uint16)
    read.clear()
    run = iter_clean_stack(data, model="shared")
    steps = []
    while True:
        try:
            steps.append(next(run))
        except StopIteration as end:
            result = end.value
            break
    assert {step.total for step in steps} == {80}
    assert len(set(read)) == 32
    read.clear()
    result.cleaned[7].compute()
    assert read == [7]


def test_channels_share_a_model_and_alpha_is_left():
    data = np.stack([stack(4), stack(4), np.full_like(stack(4), 9)], -1)
    result = clean_stack(data, plane_axes=(1, 2), channel_axis=-1, alpha=1, model="shared")
    assert result.noise.shape == (4, *SHAPE, 2)
    assert len(result.estimates[1].waves) == 2
    np.testing.assert_array_equal(result.cleaned[..., 2], data[..., 2])


def test_a_drifting_model_is_one_too():
    result = clean_stack(stack(6), model="drifting")
    assert result.model is not None
    assert result.model.drifts
    assert result.estimates[5].settings["model"] == "drifting"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "texture", "weights": "random"}, "method='texture' is not supported with"),
        (
            {"remainder": "stripes"},
            "remainder='stripes' is not supported with model='shared', which",
        ),
        ({"features": "vgg16", "weights": "random", "layers": None}, "weights='random' is not"),
    ],
)
def test_what_does_not_go_with_a_model_is_told(options, message):
    with pytest.raises(ValueError, match=message):
        clean_stack(stack(2), model="shared", **options)
