import json
import math
from functools import partial
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import scipy.ndimage
import skimage.data
import tifffile
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from benchmarks.families import (
    bundled,
    corrupt,
    four_sinusoids,
    rejection,
    rejection_at_border,
)
from napari_periodic_denoise import (
    NoiseEstimate,
    Progress,
    estimate_noise,
    iter_estimate_noise,
    select_waves,
)
from napari_periodic_denoise.noise import estimate as noise_estimate
from napari_periodic_denoise.noise.waves.synthesis import render_noise
from napari_periodic_denoise.noise.wording import Cause
from napari_periodic_denoise.pretrained.weights import WeightsError, WeightsNotFoundError


def discs(seed: int, h: int, w: int) -> np.ndarray:
    """A specimen of flat regions with sharp borders, intensities about 0 to 1."""
    y, x = np.mgrid[:h, :w]
    rng = np.random.default_rng(seed)
    image = np.zeros((h, w))
    for _ in range(40):
        cy, cx, r = rng.uniform(0, h), rng.uniform(0, w), rng.uniform(3, 0.2 * min(h, w))
        image += rng.uniform(-0.3, 0.3) * (np.hypot(y - cy, x - cx) < r)
    return image


def wave(h: int, w: int, frequency: float, angle: float, phase: float) -> np.ndarray:
    y, x = np.mgrid[:h, :w]
    return np.cos(2 * np.pi * frequency * (math.sin(angle) * y + math.cos(angle) * x) + phase)


def noisy_cell() -> np.ndarray:
    rng = np.random.default_rng(3)
    clean = bundled("cell", 256)
    return corrupt(clean, four_sinusoids(rng, clean), rng)


seeds = st.integers(0, 1000)
angles = st.floats(0, math.pi)


@settings(max_examples=30)
@given(
    seeds,
    st.integers(100, 200),
    st.integers(100, 200),
    st.floats(0.04, 0.45),
    angles,
    angles,
    st.floats(0.03, 1),
)
@example(0, 100, 101, 0.25, 5e-7, 0.0, 1.0)
def test_a_random_wave_on_a_random_image_is_recovered(seed, h, w, frequency, angle, phase, a):
    noise = a * wave(h, w, frequency, angle, phase)
    image = discs(seed, h, w) + noise
    estimate = estimate_noise(image)
    assert rejection(estimate.noise, noise) > 50
    strongest = estimate.waves[0]
    assert strongest.amplitude == pytest.approx(a, rel=1e-2)
    assert strongest.period == pytest.approx(1 / frequency, rel=1e-3)
    # where crests fall onto pixels, many have the least intensity: they pass for clipped
    within = (image > image.min()) & (image < image.max())
    taken = image - estimate.noise
    np.testing.assert_allclose(estimate.cleaned[within], taken[within], atol=1e-6)


@settings(max_examples=20)
@given(seeds, st.floats(1e-3, 1e3), st.floats(-100, 100), st.booleans())
def test_scale_and_offset_carry_over(seed, scale, offset, negate):
    scale = -scale if negate else scale
    image = discs(seed, 96, 120) + 0.2 * wave(96, 120, 0.13, 0.7, 1.0)
    assume(abs(offset) < 1e3 * abs(scale))
    one, other = estimate_noise(image), estimate_noise(scale * image + offset)
    assert len(one.waves) == len(other.waves) == 1
    np.testing.assert_allclose(other.noise, scale * one.noise, atol=1e-3 * abs(scale))


@settings(max_examples=20)
@given(seeds, st.integers(0, 30), st.integers(0, 30))
def test_a_shifted_view_has_the_shifted_noise(seed, dy, dx):
    image = discs(seed, 150, 170) + 0.2 * wave(150, 170, 0.13, 0.7, 1.0)
    whole = estimate_noise(image[: 150 - dy, : 170 - dx])
    view = estimate_noise(image[dy:, dx:])
    np.testing.assert_allclose(
        view.noise[: 150 - 2 * dy, : 170 - 2 * dx], whole.noise[dy:, dx:], atol=4e-3
    )


@settings(max_examples=20)
@given(seeds, angles)
def test_transposing_transposes(seed, angle):
    image = discs(seed, 110, 140) + 0.2 * wave(110, 140, 0.13, angle, 1.0)
    np.testing.assert_allclose(
        estimate_noise(image.T).noise, estimate_noise(image).noise.T, atol=4e-3
    )


@pytest.mark.parametrize("name", ["brick", "camera", "coins", "grass", "gravel", "page", "retina"])
def test_a_clean_image_stays_as_it_is(name):
    image = np.round(255 * bundled(name)).astype(np.uint8)
    estimate = estimate_noise(image)
    assert estimate.components == estimate.suggested  # bricks and lines of text may be
    assert not estimate.noise.any()
    assert estimate.removed_variance == 0
    assert estimate.summary.startswith("nothing removed" if estimate.suggested else "no periodic")
    np.testing.assert_array_equal(estimate.cleaned, image)


@pytest.mark.parametrize("sigma", [0, 0.02])
@pytest.mark.parametrize("name", ["camera", "grass", "immunohistochemistry"])
def test_rejection_of_four_waves_on_8_bits(name, sigma):
    rng = np.random.default_rng(0)
    clean = bundled(name)
    noise = four_sinusoids(rng, clean)
    estimate = estimate_noise(corrupt(clean, noise, rng, sigma))
    assert len(estimate.waves) == 4
    assert rejection(estimate.noise, 255 * 0.6 * noise) > (26 if sigma else 32)


def test_weak_noise_on_8_bits_is_found():
    clean = bundled("camera")
    noise = 0.01 * wave(*clean.shape, 0.09, 0.5, 1.0)
    estimate = estimate_noise(corrupt(clean, noise, np.random.default_rng(0)))
    assert len(estimate.waves) == 1
    assert rejection(estimate.noise, 255 * 0.6 * noise) > 15


def test_the_result_is_repeatable_and_depends_on_the_seed():
    image = noisy_cell()
    one, two, other = estimate_noise(image), estimate_noise(image), estimate_noise(image, seed=1)
    np.testing.assert_array_equal(one.noise, two.noise)
    assert one.waves == two.waves
    assert one.settings == two.settings
    np.testing.assert_allclose(one.noise, other.noise, atol=0.5)


def test_settings_reproduce_the_result_after_json():
    image = noisy_cell()
    first = estimate_noise(image, sensitivity=1e-2, seed=3, device="cpu")
    again = estimate_noise(image, **json.loads(json.dumps(first.settings)))
    np.testing.assert_array_equal(first.noise, again.noise)


def test_the_generator_is_the_function_step_by_step():
    image = noisy_cell()
    steps, run = [], iter_estimate_noise(image)
    while True:
        try:
            steps.append(next(run))
        except StopIteration as end:
            estimate = end.value
            break
    assert isinstance(estimate, NoiseEstimate)
    assert all(isinstance(step, Progress) and step.message for step in steps)
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert all(step.done < step.total for step in steps[:-1])
    assert steps[-1].done == steps[-1].total
    assert {step.stage for step in steps} == {"read", "detect", "fit", "subtract"}
    np.testing.assert_array_equal(estimate.noise, estimate_noise(image).noise)


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_the_image_so_far_is_shown_as_waves_are_found(axis):
    image = noisy_cell()
    if axis is not None:
        image = np.stack([image, np.roll(image, 9, 0)], axis)
    kept = [(0, 0, 40, 256)]
    options = {"channel_axis": axis, "protect": kept, "protect_edge": 0}
    seen = [step.cleaned() for step in iter_estimate_noise(image, **options) if step.cleaned]
    result = estimate_noise(image, **options).cleaned.astype(float)
    assert all(one.dtype == np.uint8 and one.shape == image.shape for one in seen)
    assert np.abs(image - result).mean() > 10
    assert np.abs(seen[-1] - result).mean() < 1
    protected = (slice(None), slice(40)) if axis == 0 else slice(40)
    np.testing.assert_array_equal(seen[-1][protected], image[protected])


def test_a_clean_image_is_not_shown_so_far():
    run = iter_estimate_noise(bundled("cell", 128))
    assert not [step for step in run if step.cleaned]


def test_stopping_early_is_harmless():
    run = iter_estimate_noise(noisy_cell())
    next(run)
    next(run)
    run.close()
    with pytest.raises(StopIteration):
        next(run)


@pytest.mark.parametrize(
    "dtype",
    ["uint8", "int16", ">u2", "uint32", "int64", "float16", "float32", ">f4", "float64"],
)
def test_dtypes(dtype):
    image = (60 + 20 * discs(0, 90, 130) + 20 * wave(90, 130, 0.13, 0.7, 1.0)).astype(dtype)
    before = image.copy()
    image.flags.writeable = False
    estimate = estimate_noise(image)
    assert estimate.noise.dtype == np.float32
    assert estimate.noise.shape == estimate.cleaned.shape == image.shape
    assert estimate.cleaned.dtype == image.dtype
    assert len(estimate.waves) == 1
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((16, 16), np.uint8),
        np.full((64, 17), 255, np.uint16),
        np.full((33, 90), -1e-3),
        np.random.default_rng(0).normal(size=(16, 16)),
        np.random.default_rng(0).integers(0, 9, (21, 33)),
        np.eye(40),
    ],
)
def test_nothing_to_find_is_no_error(image):
    estimate = estimate_noise(image)
    assert estimate.waves == ()
    assert not estimate.noise.any()
    np.testing.assert_array_equal(estimate.cleaned, image)
    assert estimate.cleaned is not image


@pytest.mark.parametrize(("name", "phase"), [("cell", 0.0), ("camera", 2.0), ("moon", 0.0)])
def test_signs_of_odd_and_even_pixels_have_the_amplitude_that_pixels_show(name, phase):
    signs = np.indices((256, 256)).sum(0) % 2 * -2.0 + 1
    noise = 8 * np.cos(phase) * signs
    random = np.random.default_rng(0).normal(0, 2, noise.shape)
    estimate = estimate_noise(np.rint(51 + 150 * bundled(name, 256) + noise + random))
    (wave,) = estimate.waves
    assert np.abs(wave.frequency) == pytest.approx((0.5, 0.5))
    assert wave.amplitude == pytest.approx(8 * abs(np.cos(phase)), rel=0.02)
    assert wave.envelope is None
    assert rejection(render_noise(torch.zeros(noise.shape), [wave]).numpy(), noise) > 40


def test_a_beat_beside_nyquist_stays_a_beat():
    y, x = np.indices((256, 256))
    noise = 8 * np.cos(2 * np.pi * (0.5 * y + 0.001 * x) + 1)
    random = np.random.default_rng(0).normal(0, 2, noise.shape)
    estimate = estimate_noise(np.rint(51 + 150 * bundled("cell", 256) + noise + random))
    assert rejection(estimate.noise, noise) > 30


@pytest.mark.parametrize("pattern", ["checkerboard", "stripes"])
def test_the_highest_frequencies_are_removed(pattern):
    y, x = np.mgrid[:90, :131]
    image = (200 * ((x + y if pattern == "checkerboard" else x) % 2)).astype(np.uint8)
    estimate = estimate_noise(image)
    assert len(estimate.waves) == 1
    np.testing.assert_array_equal(estimate.cleaned, np.full_like(image, 100))


def test_torch_and_lists_are_taken_and_dask_is_computed_once():
    image = noisy_cell()
    expected = estimate_noise(image).noise
    np.testing.assert_array_equal(estimate_noise(torch.from_numpy(image)).noise, expected)
    computed = []

    def read(block: np.ndarray) -> np.ndarray:
        computed.append(block.shape)
        return block

    lazy = da.from_array(image, chunks=256).map_blocks(read, dtype=image.dtype, meta=image[:0])
    np.testing.assert_array_equal(estimate_noise(lazy).noise, expected)
    assert computed == [image.shape]


@pytest.mark.parametrize(
    ("option", "value", "choice"),
    [
        ("method", "textbook", "'texture'"),
        ("features", "vgg11", "'vgg19'"),
        ("weights", "best", "'random'"),
        ("optimizer", "sgd", "'lbfgs'"),
        ("noise_model", "exponential", "'multiplicative'"),
        ("channel_axis", "x", "whole number"),
        ("channel_axis", 0, "three axes"),
        ("exemplar", np.ones((250, 256), bool), "rectangles"),
        ("protect", np.ones((250, 256), bool), "as a mask"),
        ("protect", [(0, 0, 256, 256)], "smaller area"),
        ("protect_edge", -1, "number of pixels"),
        ("protect_edge", math.nan, "number of pixels"),
        ("proposed", [0.1, 0.2], r"list of frequencies"),
        ("proposed", [(0.1, 0.6)], "beyond 0.5"),
        ("proposed", [(0.1, math.nan)], "list of frequencies"),
        ("proposed", [(0.1, 0.2), (0.1,)], "list of frequencies"),
        ("proposed", [(0.1, 0.2j)], "list of frequencies"),
        ("proposed", ["ab"], "list of frequencies"),
        ("proposed", [(0.003, 0.003)], "fewer than 1.5 cycles"),
        ("device", "toaster", "'cpu'"),
    ],
)
def test_unknown_choices_list_those_there_are(option, value, choice):
    with pytest.raises(ValueError, match=f"(?s){option}.*{choice}"):
        estimate_noise(noisy_cell(), **{option: value})


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "high"])
def test_sensitivity_must_be_positive(value):
    with pytest.raises(ValueError, match="sensitivity"):
        estimate_noise(noisy_cell(), sensitivity=value)


@pytest.mark.parametrize("value", [-1, 0.5, "x", 2**64])
def test_seed_must_be_an_integer(value):
    with pytest.raises(ValueError, match="seed"):
        estimate_noise(noisy_cell(), seed=value)


def test_summary_names_the_strongest_wave():
    image = 100 + 20 * skimage.data.cell()[:128, :128] / 255 + 5 * wave(128, 128, 0.1, 0, 0)
    summary = estimate_noise(image).summary
    assert summary.startswith("1 wave, 10.0 px at 0°, amplitude 5")
    assert summary.endswith("% of the variance")


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64"])
def test_integers_far_from_zero(dtype):
    noise = 20 * wave(150, 170, 0.13, 0.7, 1.0)
    image = np.rint(1_000_000_000 + 100 * discs(0, 150, 170) + noise).astype(dtype)
    estimate = estimate_noise(image)
    assert rejection(estimate.noise, noise) > 40
    np.testing.assert_array_equal(
        estimate.cleaned.astype(np.int64) - image, -np.rint(estimate.noise).astype(np.int64)
    )


@pytest.mark.parametrize("shape", [(16, 200_000), (100_000, 20)])
def test_very_long_images(shape):
    noise = wave(*shape, 0.21, 0.8, 1.0)
    image = np.random.default_rng(0).normal(size=shape) + noise
    estimate = estimate_noise(image)
    assert len(estimate.waves) == 1
    assert rejection(estimate.noise, noise) > 30


@pytest.mark.parametrize("at", [-0.6, -0.3, 0.0, 0.3, 0.6])
@pytest.mark.parametrize("edge", [0.0, 0.5])
def test_a_wave_at_the_edge_of_the_half_plane_is_one(at, edge):
    h, w = 150, 171
    y, x = np.mgrid[:h, :w]
    noise = 20 * np.cos(2 * np.pi * (-0.2 * y + (edge + at / w) * x) + 1)
    estimate = estimate_noise(100 * discs(1, h, w) + noise)
    assert len(estimate.waves) == 1
    assert rejection(estimate.noise, noise) > 40


@pytest.mark.parametrize("axis", [0, -1])
def test_channels_are_found_together_and_cleaned_each(axis):
    rng = np.random.default_rng(0)
    clean = np.stack([bundled(name, 256) for name in ("camera", "moon", "retina")])
    pattern = wave(256, 256, 0.11, 0.07, 0.3)
    amplitudes = np.array([0.1, 0.0, 0.05])
    image = np.stack(
        [corrupt(c, a * pattern, rng) for c, a in zip(clean, amplitudes, strict=True)]
    )
    estimate = estimate_noise(np.moveaxis(image, 0, axis), channel_axis=axis)
    noise = np.moveaxis(estimate.noise, axis, 0)
    cleaned = np.moveaxis(estimate.cleaned, axis, 0)
    assert estimate.noise.shape == np.moveaxis(image, 0, axis).shape
    np.testing.assert_array_equal(cleaned[1], image[1])
    assert not noise[1].any()
    for channel in (0, 2):
        assert rejection(noise[channel], 255 * 0.6 * amplitudes[channel] * pattern) > 35
    assert {w.channel for w in estimate.waves} == {0, 2}
    assert json.loads(json.dumps(estimate.settings))["channel_axis"] == axis


@pytest.mark.parametrize(("share", "least"), [(0.01, 45), (0.2, 36)])
def test_saturated_pixels_neither_mislead_nor_overshoot(share, least):
    clean = bundled("camera")
    noise = four_sinusoids(np.random.default_rng(3), clean)
    exposed = 0.6 * clean + 0.2 + 0.6 * noise
    gain = 255 / np.quantile(exposed, 1 - share)
    image = np.clip(np.round(gain * exposed), 0, 255).astype(np.uint8)
    estimate = estimate_noise(image)
    assert rejection(estimate.noise, gain * 0.6 * noise) > least
    truth = np.clip(gain * (0.6 * clean + 0.2), 0, 255)
    settled = np.sqrt(np.mean((estimate.cleaned - truth) ** 2))
    subtract_waves = np.sqrt(np.mean((np.clip(image - estimate.noise, 0, 255) - truth) ** 2))
    assert settled < subtract_waves / 1.3
    plateau = scipy.ndimage.minimum_filter(image, 35) == 255
    assert (estimate.cleaned[plateau] == 255).all()


def test_dead_and_hot_pixels_do_not_matter():
    rng = np.random.default_rng(0)
    clean = bundled("camera")
    noise = four_sinusoids(rng, clean)
    image = corrupt(clean, noise, rng)
    at = rng.random(image.shape)
    image[at < 0.002] = 0
    image[at > 0.998] = 255
    assert rejection(estimate_noise(image).noise, 255 * 0.6 * noise) > 35


def test_the_outer_pixels_are_as_clean_as_the_middle():
    rng = np.random.default_rng(0)
    clean = bundled("camera")
    noise = four_sinusoids(rng, clean)
    estimate = estimate_noise(corrupt(clean, noise, rng)).noise
    truth = 255 * 0.6 * noise
    assert rejection_at_border(estimate, truth) > rejection(estimate, truth) - 3


def test_the_remainder_is_taken_where_asked_for():
    rng = np.random.default_rng(0)
    clean = bundled("camera")
    white = rng.normal(size=(clean.shape[0], 1))
    narrow, broad = (scipy.ndimage.gaussian_filter1d(white, width, axis=0) for width in (1.5, 6))
    lines = narrow - broad
    noise = np.broadcast_to(0.1 * lines / lines.std(), clean.shape)
    image = corrupt(clean, noise, rng)
    assert not estimate_noise(image).remainder_variance
    estimate = estimate_noise(image, remainder="stripes")
    assert rejection(estimate.noise, 255 * 0.6 * noise) > 6
    assert estimate.remainder_variance > 0
    assert "stripes noise; removed" in estimate.summary
    assert estimate.settings["remainder"] == "stripes"


METHODS = [
    {"features": "cosines"},
    {"features": "vgg16", "weights": "random", "layers": ["conv1_1"]},
    {"method": "gram_aligned", "features": "vgg16", "weights": "random", "steps": 3},
    {
        "method": "texture",
        "features": "vgg16",
        "weights": "random",
        "layers": {"conv1_1": 1, "conv2_1": 0.5},
        "steps": 3,
        "optimizer": "lbfgs",
    },
]


@pytest.mark.parametrize("options", METHODS)
def test_every_method_is_reproduced_by_its_settings(options):
    image = noisy_cell()[:120, :140]
    first = estimate_noise(image, exemplar=[(0, 0, 30, 30), (100, 5, 120, 25)], **options)
    settings = json.loads(json.dumps(first.settings))
    assert settings["exemplar"] == [[0, 0, 30, 30], [100, 5, 120, 25]]
    again = estimate_noise(image, **settings)
    np.testing.assert_array_equal(first.noise, again.noise)
    assert again.settings == first.settings


@pytest.mark.parametrize("options", METHODS[:3])
def test_every_aligned_method_removes_the_noise(options):
    noise = 8 * wave(128, 128, 0.13, 0.7, 1.0)
    image = np.rint(100 + 50 * discs(3, 128, 128) + noise).astype(np.uint8)
    estimate = estimate_noise(image, **options)
    assert rejection(estimate.noise, noise) > 35
    assert len(estimate.waves) == 1


def test_a_texture_is_shown_as_it_becomes(monkeypatch):
    monkeypatch.setattr(
        noise_estimate,
        "synthesize_texture",
        partial(noise_estimate.synthesize_texture, preview_every=0.0),
    )
    image = noisy_cell()[:64, :80]
    steps, run = [], iter_estimate_noise(image, **METHODS[3])
    while True:
        try:
            steps.append(next(run))
        except StopIteration as end:
            estimate = end.value
            break
    previews = [step.preview for step in steps if step.preview is not None]
    assert len(previews) == 3
    assert all(p.shape == image.shape and p.dtype == np.float32 for p in previews)
    assert abs(previews[-1].mean() - image.mean()) < 20
    assert "loss" in next(step.message for step in steps if step.preview is not None)
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert steps[-1].done == steps[-1].total
    assert estimate.waves == ()
    assert abs(estimate.noise.mean()) < 1e-3
    assert estimate.noise.std() > 1
    assert "no phase" in estimate.summary


@pytest.mark.parametrize("channels", [2, 3])
def test_textures_of_channels(channels):
    image = np.stack([noisy_cell()[:48, :64]] * channels, axis=-1)
    estimate = estimate_noise(image, channel_axis=-1, gram=True, **METHODS[3])
    assert estimate.noise.shape == estimate.cleaned.shape == image.shape
    assert estimate.noise.std((0, 1)).min() > 1
    assert list(estimate.gram) == ["conv1_1", "conv2_1"]


@pytest.mark.parametrize("options", METHODS[2:])
def test_a_network_at_work_can_be_stopped(options):
    run = iter_estimate_noise(noisy_cell()[:64, :64], **options)
    for step in run:
        if "Gram" in step.message or "loss" in step.message:
            break
    run.close()
    with pytest.raises(StopIteration):
        next(run)


def test_gram_matrices_are_returned_when_asked_for():
    image = noisy_cell()[:64, :80]
    assert estimate_noise(image).gram == {}
    gram = estimate_noise(image, gram=True).gram
    assert {layer: matrix.shape for layer, matrix in gram.items()} == {"edges": (2, 2)}
    two = estimate_noise(np.stack([image, image]), channel_axis=0, gram=True).gram["edges"]
    np.testing.assert_allclose(two[:2, 2:], gram["edges"], rtol=1e-5)
    network = {"method": "gram_aligned", "features": "vgg16", "weights": "random", "steps": 1}
    gram = estimate_noise(image, gram=True, **network).gram
    assert {layer: len(matrix) for layer, matrix in gram.items()} == {
        "conv1_1": 64,
        "conv2_1": 128,
        "conv3_1": 256,
        "conv4_1": 512,
        "conv5_1": 512,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "texture", "features": "edges"}, "features='edges'.*'vgg16', 'vgg19'"),
        ({"layers": ["conv1_1"]}, r"layers=.*need a network, got features='edges'"),
        ({"features": "vgg16", "layers": ["conv3_1"]}, "conv3_1.*pooling.*conv1_1 or conv1_2"),
        (
            {"features": "vgg16", "layers": ["conv9_9"]},
            r"expected layers of vgg16 \(conv1_1, conv1_2.*got 'conv9_9'",
        ),
        ({"features": "vgg16", "layers": []}, "got no layer"),
        ({"method": "texture", "steps": 0}, "expected steps as a whole number from 1, got 0"),
        ({"method": "texture", "max_size": 1.5}, "expected max_size as a whole number"),
    ],
)
def test_options_that_do_not_fit_each_other_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        estimate_noise(noisy_cell(), weights="random", **options)


def test_without_weights_it_is_said_where_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.delenv("NAPARI_PERIODIC_DENOISE_WEIGHTS", raising=False)
    with pytest.raises(WeightsNotFoundError, match=r"vgg19.*on request only.*https://"):
        estimate_noise(noisy_cell(), method="texture")
    assert list(tmp_path.iterdir()) == []
    other = tmp_path / "other.pt"
    torch.save({"0.weight": torch.zeros(3, 3)}, other)
    with pytest.raises(WeightsError, match="does not belong to vgg16"):
        estimate_noise(noisy_cell(), features="vgg16", weights_path=other)


@pytest.fixture(scope="module")
def brick():
    """A wall with a lattice of its own, a flat corner, and a wave over all of it."""
    clean = 255 * (0.6 * bundled("brick", 256) + 0.2)
    y, x = np.mgrid[:256, :256]
    bases = x / 23, y / 17 + x / 61
    for turns in (*bases, bases[0] - bases[1]):
        clean += 12 * np.cos(2 * np.pi * turns)
    clean[:72, :72] = clean[:72, :72].mean()
    noise = 8 * wave(256, 256, 0.1, 0.9, 1.0)
    return np.rint(clean + noise).clip(0, 255).astype(np.uint8), noise


def test_a_lattice_is_taken_for_noise_but_warned_of(brick):
    image, noise = brick
    estimate = estimate_noise(image)
    assert rejection(estimate.noise, noise) < 0
    assert "lattice of 3 waves" in estimate.warnings[0]


@pytest.mark.parametrize("method", ["aligned", "gram_aligned"])
def test_with_an_exemplar_the_specimens_lattice_stays(brick, method):
    image, noise = brick
    options = {} if method == "aligned" else METHODS[2]
    estimate = estimate_noise(image, exemplar=[(2, 2, 70, 70)], **options)
    assert rejection(estimate.noise, noise) > 30
    assert len(estimate.waves) == 1
    assert estimate.warnings == ()
    assert estimate.lines == ()
    assert sum(r.cause is Cause.OUTSIDE_EXEMPLAR for r in estimate.rejected) >= 3


def test_an_exemplar_is_for_all_channels(brick):
    image, noise = brick
    colour = np.stack([image, 255 - image], axis=-1)
    mask = np.zeros(image.shape, np.int32)
    mask[2:70, 2:70] = 7
    estimate = estimate_noise(colour, channel_axis=-1, exemplar=mask)
    assert rejection(estimate.noise[..., 0], noise) > 30
    assert rejection(estimate.noise[..., 1], -noise) > 30
    assert estimate.settings["exemplar"] == [[2, 2, 70, 70]]


def test_an_exemplar_that_shows_black_alone_is_refused():
    image = noisy_cell()
    image[:80] = 0
    with pytest.raises(ValueError, match=r"not black, saturated or protected.*mark another area"):
        estimate_noise(image, exemplar=[(0, 0, 60, 60)])


@pytest.mark.parametrize("name", ["h_stm_step_edge", "h_stm_step_edge_and_atoms"])
def test_atoms_stay_beside_an_exemplar(name):
    path = Path(__file__).parents[3] / f"shared/data/clean/{name}.tif"
    if not path.exists():
        pytest.skip("no STM images in ../shared/data/clean")
    atoms = tifffile.imread(path)
    assert "lattice" in estimate_noise(atoms).warnings[0]
    step = float(np.abs(np.diff(atoms)).mean())
    random = np.random.default_rng(0).normal(0, 0.1 * step, (80, 80))
    atoms[-80:, -80:] = atoms[-80:, -80:].mean() + random
    noise = 1.5 * step * wave(*atoms.shape, 0.139, 0.36, 0.0)
    estimate = estimate_noise(atoms + noise, exemplar=[(434, 434, 510, 510)])
    assert len(estimate.waves) == 1
    assert rejection(estimate.noise, noise) > 30
    assert estimate.warnings == ()


def cell_with_wave() -> tuple[np.ndarray, np.ndarray]:
    """A clean image of 256×256 pixels, and a wave of 0.11, 0.07 cycles/pixel."""
    clean = 153.0 * bundled("cell", 256) + 51
    y, x = np.indices(clean.shape)
    return clean, 6 * np.cos(2 * np.pi * (0.11 * y + 0.07 * x))


def test_a_protected_specimen_has_no_say():
    image, noise = cell_with_wave()
    y, x = np.indices(image.shape)
    image[:, :128] += 20 * np.cos(2 * np.pi * (0.2 * y + 0.05 * x))[:, :128]
    estimate = estimate_noise(np.rint(image + noise), protect=[(0, 0, 256, 130)])
    assert len(estimate.waves) == 1
    assert rejection(estimate.noise, noise) > 30
    assert estimate.settings["protect"] == [[0, 0, 256, 130]]


@pytest.mark.parametrize("radius", [60, 90, 110])
def test_what_is_around_a_protected_specimen_is_enough(radius):
    image, noise = cell_with_wave()
    y, x = np.indices(image.shape)
    specimen = np.hypot(y - 128, x - 128) < radius
    image[specimen] = 50
    estimate = estimate_noise(np.rint(image + noise), protect=specimen)
    assert rejection(estimate.noise, noise) > 30


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_protected_pixels_stay_to_the_bit_where_asked(dtype):
    image, noise = cell_with_wave()
    y, x = np.indices(image.shape)
    image = np.rint(image + noise).astype(dtype)
    mask = np.hypot(y - 128, x - 100) < 40
    kept = estimate_noise(image, protect=mask, protect_edge=10)
    np.testing.assert_array_equal(kept.cleaned[mask], image[mask])
    assert not kept.noise[mask].any()
    far = np.hypot(y - 128, x - 100) > 40 + 10 * np.sqrt(2)
    np.testing.assert_allclose(kept.noise[far], noise[far], atol=0.3)
    # no new edge: the noise that is left fades
    assert np.abs(np.diff(kept.noise, axis=0)).max() < 2 * np.abs(np.diff(noise, axis=0)).max()
    everywhere = estimate_noise(image, protect=mask)
    np.testing.assert_allclose(everywhere.noise, noise, atol=0.3)


def test_a_proposed_wave_is_examined_like_any_other():
    rng = np.random.default_rng(0)
    y, x = np.indices((256, 256))
    image = 100 + rng.normal(0, 10, y.shape)
    noise = 1.2 * np.cos(2 * np.pi * (0.11 * y + 0.07 * x) + 1)
    frequency = (0.11 + 0.3 / 256, 0.07 - 0.2 / 256)
    options = {"sensitivity": 1e-60}
    assert not estimate_noise(image + noise, **options).waves
    estimate = estimate_noise(image + noise, proposed=[frequency], **options)
    (wave,) = estimate.waves
    assert np.abs(np.subtract(wave.frequency, (0.11, 0.07))).max() < 0.2 / 256
    assert wave.false_alarms > options["sensitivity"]
    assert estimate.settings["proposed"] == [list(frequency)]
    refused = estimate_noise(image, proposed=[frequency], **options)
    assert not refused.waves
    assert not refused.noise.any()
    (peak,) = refused.rejected
    assert np.abs(np.subtract(peak.frequency, frequency)).max() < 2 / 256
    assert peak.reason


def test_what_was_found_anyway_may_be_proposed_too():
    image = sum(cell_with_wave())
    plain = estimate_noise(image)
    proposed = estimate_noise(image, proposed=[(0.11, 0.07), (-0.11, -0.07)])
    np.testing.assert_array_equal(plain.noise, proposed.noise)


def with_missing(image: np.ndarray) -> np.ndarray:
    """Set a block to NaN, some with a payload, and scattered pixels to both infinities."""
    missing = image.copy()
    missing[40:90, 30:100] = np.nan
    at = np.random.default_rng(7).choice(image.size, 400, replace=False)
    missing.flat[at[:200]], missing.flat[at[200:]] = np.inf, -np.inf
    if image.dtype == np.float32:  # quiet and signalling, of both signs
        missing[3, 3:6] = np.array([0x7FC12345, 0x7F800001, 0xFFC00777], np.uint32).view("f4")
    return missing


def check_missing(estimate: NoiseEstimate, image: np.ndarray) -> np.ndarray:
    """Assert that pixels that are not finite are as they were; return which are finite."""
    finite = np.isfinite(image)
    assert estimate.cleaned[~finite].tobytes() == image[~finite].tobytes()
    assert not estimate.noise[~finite].any()
    assert np.isfinite(estimate.noise).all()
    assert np.isfinite(estimate.cleaned[finite]).all()
    assert estimate.not_finite == (~finite).sum()
    assert f"{estimate.not_finite:,} pixels are not finite" in estimate.warnings[0]
    return finite


@pytest.mark.parametrize(
    ("dtype", "remainder"),
    [("f4", "none"), ("f4", "stripes"), ("f4", "quasi-periodic")]
    + [(dtype, "auto") for dtype in ("f2", "f4", ">f4", "f8")],
)
def test_missing_pixels_are_ignored_and_stay(dtype, remainder):
    noise = 60 * wave(200, 220, 0.13, 0.6, 1.0)
    grain = np.random.default_rng(1).normal(0, 10, noise.shape)
    clean = (1000 + 300 * discs(2, 200, 220) + grain).astype(dtype)
    image = (clean + noise).astype(dtype)
    given = with_missing(image)
    whole = estimate_noise(image, remainder=remainder)
    estimate = estimate_noise(given, remainder=remainder)
    finite = check_missing(estimate, given)
    assert rejection(estimate.noise[finite], noise[finite]) > 40
    loss = rejection(whole.noise[finite], noise[finite])
    assert rejection(estimate.noise[finite], noise[finite]) > loss - 3
    # and an image without noise comes back to the bit
    given = with_missing(clean)
    estimate = estimate_noise(given, remainder=remainder)
    check_missing(estimate, given)
    assert estimate.cleaned.tobytes() == given.tobytes()


def test_channels_have_their_own_missing_pixels():
    noise = 0.2 * wave(128, 140, 0.13, 0.6, 1.0)
    image = np.stack([discs(2, 128, 140) + noise] * 3, -1).astype(np.float32)
    image[10:30, 20:50, 0] = np.nan
    image[70, 80, 1] = np.inf
    estimate = estimate_noise(image, channel_axis=-1)
    finite = check_missing(estimate, image)
    assert rejection(estimate.noise[finite], np.stack([noise] * 3, -1)[finite]) > 40
    selected = select_waves(image, estimate, [wave.frequency for wave in estimate.waves])
    assert selected.not_finite == estimate.not_finite
    assert selected.cleaned.tobytes() == image.tobytes()


def test_saturated_pixels_near_missing_ones_are_settled():
    noise = 0.3 * wave(128, 140, 0.13, 0.6, 1.0)
    clean = 0.2 + 0.5 * np.kron(np.arange(4) % 2, np.ones((128, 35)))
    image = np.clip(clean + noise, 0, 0.8)
    image[20:40, 30:60] = np.nan
    image[::9, ::11] = np.inf
    estimate = estimate_noise(image)
    finite = check_missing(estimate, image)
    # a plain subtraction of noise is wrong by 0.07 here
    assert np.abs(estimate.cleaned - clean)[finite].mean() < 0.02


@pytest.mark.parametrize("count", [1, 5, 300, 5000])
@pytest.mark.parametrize("remainder", ["auto", "none", "stripes"])
def test_few_finite_pixels_are_no_error(count, remainder):
    image = np.full((100, 120), np.nan)
    at = np.random.default_rng(0).choice(image.size, count, replace=False)
    image.flat[at] = wave(100, 120, 0.13, 0.6, 1.0).flat[at]
    check_missing(estimate_noise(image, remainder=remainder), image)


def test_previews_keep_missing_pixels():
    image = with_missing((discs(2, 128, 140) + wave(128, 140, 0.13, 0.6, 1.0)).astype("f4"))
    steps = [step for step in iter_estimate_noise(image) if step.cleaned is not None]
    assert steps
    missing = ~np.isfinite(image)
    for step in steps:
        assert step.cleaned()[missing].tobytes() == image[missing].tobytes()
