import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_periodic_denoise import Wave
from napari_periodic_denoise.noise.assemble import (
    ChannelNoise,
    assemble_estimate,
    restore_channel_axis,
    restore_saturated,
    subtract,
)
from napari_periodic_denoise.noise.input import normalize

INTEGERS = [np.dtype(kind + size) for kind in "iu" for size in "1248"]


@given(st.data(), st.sampled_from(INTEGERS))
def test_integers_are_rounded_and_clipped(data, dtype):
    image = data.draw(hnp.arrays(dtype, (3, 4)))
    largest = 2.0 ** min(8 * dtype.itemsize + 1, 62)
    noise = data.draw(
        hnp.arrays(np.float32, (3, 4), elements=st.floats(-largest, largest, width=32))
    )
    limits = np.iinfo(dtype)
    expected = [
        min(max(int(pixel) - int(np.rint(step)), limits.min), limits.max)
        for pixel, step in zip(image.flat, noise.flat, strict=True)
    ]
    cleaned = subtract(image, noise)
    assert cleaned.dtype == dtype
    if dtype.itemsize < 4:
        # float32 noise beyond the dtype's range is clipped whatever its last digit
        assert cleaned.ravel().tolist() == expected
    else:
        exact = [abs(int(step)) < 2**50 for step in noise.flat]
        assert all(
            got == want
            for got, want, sure in zip(cleaned.flat, expected, exact, strict=True)
            if sure
        )


@pytest.mark.parametrize("dtype", ["uint64", "int64"])
@pytest.mark.parametrize("share", [0.5, 0.75, 1.0])
def test_large_noise_of_large_integers_is_not_cut_down(dtype, share):
    limits = np.iinfo(dtype)
    image = np.array([[limits.min, limits.max]], dtype)
    step = share * 2.0**64
    low, high = subtract(image, np.array([[-step, step]], np.float32)).ravel().tolist()
    assert low == pytest.approx(limits.min + step, rel=1e-6)
    assert high == pytest.approx(limits.max - step, rel=1e-6, abs=1e4)


@pytest.mark.parametrize("dtype", ["uint64", "int64", "uint32", "float32", "float64"])
def test_saturated_pixels_of_any_type_are_settled_alike(dtype):
    y, x = np.indices((48, 100))
    wave = 0.9 * np.cos(2 * np.pi * (0.13 * y + 0.21 * x))
    levels = np.where(x < 60, np.clip(0.5 + wave, 0, 1), 1)  # and nothing to tell by on the right
    saturated = torch.from_numpy((levels == 0) | (levels == 1))
    kind = np.dtype(dtype)
    low, high = (0.0, 1.0)
    image = levels.astype(kind)
    if kind.kind in "iu":
        low, high = float(np.iinfo(kind).min), float(np.iinfo(kind).max)
        image = np.full(levels.shape, np.iinfo(kind).max, kind)
        image[levels < 1] = (low + levels[levels < 1] * (high - low)).astype(kind)
    noise = (wave * (high - low)).astype(np.float32)
    cleaned = subtract(image, noise)
    restore_saturated(cleaned, image, noise, saturated)
    assert cleaned.dtype == kind
    settled = (cleaned.astype(np.float64) - low) / (high - low)
    np.testing.assert_allclose(settled[:, :40], 0.5, atol=1e-3)
    np.testing.assert_array_equal(cleaned[:, 80:], image[:, 80:])


@pytest.mark.parametrize("dtype", [">u2", ">f4", "float16", "float32", "float64"])
def test_subtract_keeps_dtype_and_byte_order(dtype):
    image = np.arange(12).reshape(3, 4).astype(dtype)
    cleaned = subtract(image, np.ones((3, 4), np.float32))
    assert cleaned.dtype == image.dtype
    assert (cleaned == image - 1).sum() >= 11  # an unsigned 0 stays 0


def test_floats_are_clipped_to_their_range():
    image = np.full((2, 2), np.finfo(np.float16).max, np.float16)
    assert np.isfinite(subtract(image, np.full((2, 2), -1e5, np.float32))).all()


def channels_with_a_wave():
    """Two channels with a wave, of which the second one is twice as bright."""
    y, x = np.indices((40, 50))
    random = np.random.default_rng(0).normal(100, 20, (40, 50))
    wave = 5 * np.cos(2 * np.pi * (0.1 * y + 0.2 * x) + 0.3)
    return np.stack([random + wave, 2 * (random + wave)]).astype(np.float32), wave


def noise_of(image, amplitude):
    wave = Wave((0.1, 0.2), amplitude / image.unit, 0.3, 1e-6, 50.0)
    return ChannelNoise([wave])


def test_an_estimate_is_in_the_units_and_the_shape_of_the_image():
    channels, wave = channels_with_a_wave()
    images = [normalize(channel) for channel in channels]
    found = [noise_of(image, 5 * (i + 1)) for i, image in enumerate(images)]
    estimate = assemble_estimate(
        channels, images, found, channel_axis=2, settings={"a": 1}, gram={}
    )
    assert estimate.noise.shape == estimate.cleaned.shape == (40, 50, 2)
    np.testing.assert_allclose(estimate.noise[..., 0], wave, atol=1e-3)
    np.testing.assert_allclose(estimate.noise[..., 1], 2 * wave, atol=2e-3)
    np.testing.assert_allclose(
        estimate.cleaned, np.moveaxis(channels, 0, 2) - estimate.noise, atol=1e-4
    )
    # the strongest first; each is all of the noise in its channel
    assert [(w.channel, round(w.amplitude, 2)) for w in estimate.waves] == [(1, 10.0), (0, 5.0)]
    assert [w.share for w in estimate.waves] == pytest.approx([1, 1], rel=0.01)
    assert estimate.removed_variance == pytest.approx(wave.var() / channels[0].var(), rel=0.01)
    assert estimate.remainder_variance == 0
    assert estimate.settings == {"a": 1}


def test_a_channel_without_noise_does_not_change():
    channels, _ = channels_with_a_wave()
    images = [normalize(channel) for channel in channels]
    found = [noise_of(images[0], 5), ChannelNoise([])]
    estimate = assemble_estimate(channels, images, found, channel_axis=0, settings={}, gram={})
    assert not estimate.noise[1].any()
    np.testing.assert_array_equal(estimate.cleaned[1], channels[1])


def test_the_weight_scales_the_waves_and_not_the_remainder():
    channels, wave = channels_with_a_wave()
    image = normalize(channels[0])
    remainder = torch.full((40, 50), 0.5)
    weight = torch.zeros(40, 50)
    weight[:, 25:] = 1
    part = ChannelNoise(noise_of(image, 5).waves, remainder)
    estimate = assemble_estimate(
        channels[:1], [image], [part], channel_axis=None, settings={}, gram={}, weight=weight
    )
    np.testing.assert_allclose(estimate.noise[:, :25], 0.5 * image.unit, rtol=1e-5)
    np.testing.assert_allclose(estimate.noise[:, 25:], wave[:, 25:] + 0.5 * image.unit, atol=1e-3)


@pytest.mark.parametrize(("axis", "shape"), [(None, (3, 4)), (0, (2, 3, 4)), (-1, (3, 4, 2))])
def test_the_channel_axis_is_restored(axis, shape):
    planes = np.arange(24).reshape(2, 3, 4)
    restored = restore_channel_axis(planes, axis)
    assert restored.shape == shape
    first = restored if axis is None else np.take(restored, 0, axis)
    np.testing.assert_array_equal(first, planes[0])
