import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_periodic_denoise.noise.assemble import restore_saturated, subtract
from napari_periodic_denoise.noise.input import as_image, normalize

INTEGERS = [np.dtype(kind + size) for kind in "iu" for size in "1248"]


@given(st.data(), st.sampled_from(INTEGERS))
def test_integers_are_rounded_and_clipped(data, dtype):
    image = data.draw(hnp.arrays(dtype, (3, 4)))
    largest = 2.0 ** min(8 * dtype.itemsize + 1, 62)
    noise = data.draw(
        hnp.arrays(np.float32, (3, 4), elements=st.floats(-largest, largest, width=32))
    )
    find_saturated = np.iinfo(dtype)
    expected = [
        min(max(int(pixel) - int(np.rint(step)), find_saturated.min), find_saturated.max)
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
    find_saturated = np.iinfo(dtype)
    image = np.array([[find_saturated.min, find_saturated.max]], dtype)
    step = share * 2.0**64
    low, high = subtract(image, np.array([[-step, step]], np.float32)).ravel().tolist()
    assert low == pytest.approx(find_saturated.min + step, rel=1e-6)
    assert high == pytest.approx(find_saturated.max - step, rel=1e-6, abs=1e4)


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


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((20, 20), bool), TypeError, "bool"),
        (np.zeros((20, 20), complex), TypeError, r"numpy\.abs"),
        (np.zeros((20, 20), object), TypeError, "object"),
        (np.full((20, 20), "a"), TypeError, "<U1"),
        (np.ma.masked_equal(np.zeros((20, 20)), 0), TypeError, "masked"),
        (np.zeros(400), ValueError, r"2-D.*\(400,\)"),
        (np.zeros((3, 20, 20)), ValueError, r"2-D.*\(3, 20, 20\)"),
        (np.zeros((0, 20)), ValueError, "16×16"),
        (np.zeros((15, 400)), ValueError, "16×16"),
        (np.full((20, 20), 1e300), ValueError, "float32"),
    ],
)
def test_what_is_not_taken_is_said(image, error, message):
    with pytest.raises(error, match=message):
        as_image(image)


def test_bad_pixels_are_counted():
    image = np.zeros((20, 20))
    image[3, 4:7] = np.nan
    image[0, 0] = np.inf
    with pytest.raises(ValueError, match=r"4 of 400 pixels.*numpy\.nan_to_num"):
        as_image(image)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float32, torch.bfloat16])
def test_torch_tensors_are_taken(dtype):
    tensor = torch.arange(400).reshape(20, 20).to(dtype)
    np.testing.assert_array_equal(as_image(tensor), tensor.float())


def test_tensors_with_a_gradient_are_taken():
    assert as_image(torch.zeros(20, 20, requires_grad=True)).shape == (20, 20)


def test_normalize_finds_the_grey_levels():
    image = np.random.default_rng(0).integers(0, 200, (64, 64)).astype(np.uint16) * 16
    normalized = normalize(image)
    assert normalized.pixels.dtype == torch.float32
    assert normalized.quantum * normalized.unit == pytest.approx(16)
    assert float(normalized.pixels.abs().median()) == pytest.approx(1 / 1.4826, rel=0.05)


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_normalize_tells_64_bit_neighbours_apart(dtype):
    top = np.iinfo(dtype).max
    image = np.full((20, 20), top, dtype)
    image[::2] -= np.array(100, dtype)
    normalized = normalize(image)
    pixels = normalized.pixels
    assert float(pixels.max() - pixels.min()) * normalized.unit == pytest.approx(100)


def test_normalize_survives_a_hot_pixel():
    image = np.random.default_rng(0).normal(size=(64, 64))
    image[3, 3] = 1e30
    normalized = normalize(image)
    assert normalized.unit == pytest.approx(1, rel=0.1)
    assert torch.isfinite(normalized.pixels).all()


def test_pixels_at_the_limits_are_found():
    clean = np.random.default_rng(0).normal(128, 40, (64, 64))
    assert normalize(np.clip(clean, -500, 500)).saturated is None
    clipped = np.clip(np.round(clean), 0, 190).astype(np.uint8)
    saturated = normalize(clipped).saturated
    np.testing.assert_array_equal(saturated, clipped == 190)
    assert normalize((clean > 128).astype(np.uint8)).saturated is None
