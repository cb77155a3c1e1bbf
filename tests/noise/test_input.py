import numpy as np
import pytest
import torch

from napari_periodic_denoise.noise.input import as_image, normalize


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
