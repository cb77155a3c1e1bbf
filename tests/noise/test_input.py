import numpy as np
import pytest
import torch

from napari_periodic_denoise.noise.input import as_image, find_saturated, normalize


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


def test_an_image_needs_a_finite_pixel():
    image = np.full((20, 20), np.nan)
    image[0] = np.inf
    with pytest.raises(ValueError, match="the image has no finite pixel"):
        as_image(image)
    image[3, 4] = 1
    assert as_image(image) is image
    with pytest.raises(ValueError, match="channel 1 has no finite pixel"):
        as_image(np.stack([image, image * np.inf]), channel_axis=0)
    image[3, 4] = 1e300
    with pytest.raises(ValueError, match="float32"):
        as_image(image)


def test_missing_pixels_do_not_count_in_the_scale():
    image = np.random.default_rng(0).normal(500, 20, (64, 64))
    image[:40] = np.nan
    image[50, 3:5] = np.inf, -np.inf
    normalized = normalize(image)
    assert normalized.centre == pytest.approx(500, abs=3)
    assert normalized.unit == pytest.approx(20, rel=0.1)
    assert normalized.pixels.isfinite().all()
    assert normalized.not_finite == 40 * 64 + 2
    np.testing.assert_array_equal(normalized.missing, ~np.isfinite(image))
    np.testing.assert_array_equal(normalized.saturated, normalized.missing)


def test_missing_pixels_and_saturated_pixels_are_told_apart():
    clipped = np.clip(np.random.default_rng(0).normal(128, 40, (64, 64)), 0, 190)
    at = clipped == 190
    clipped[30:34, :50] = np.nan
    normalized = normalize(clipped)
    np.testing.assert_array_equal(normalized.missing, np.isnan(clipped))
    np.testing.assert_array_equal(normalized.saturated, np.isnan(clipped) | at)


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


def stripes_on_flat_ground(specimen: np.ndarray) -> np.ndarray:
    """A specimen of 0 to 1 under hard stripes of 15 grey levels, period 7.3 pixels."""
    stripes = np.sign(np.sin(2 * np.pi * (np.arange(specimen.shape[1]) / 7.3 + 0.2)))
    return np.round(153 * specimen + 51 + 15 * stripes).astype(np.uint8)


def test_dark_bands_of_hard_stripes_on_flat_ground_are_not_saturated():
    y, x = np.mgrid[:128, :128]
    blob = np.exp(-((y - 50) ** 2 + (x - 70) ** 2) / 200)
    assert find_saturated(stripes_on_flat_ground(blob)) is None


def test_clipped_pixels_beside_flat_ground_are_saturated():
    y, x = np.mgrid[:128, :128]
    wave = 60 * np.sin(0.3 * x + 0.2 * y)
    clipped = np.clip(np.round(230 + wave), 0, 255).astype(np.uint8)
    at = find_saturated(clipped)
    assert at is not None
    np.testing.assert_array_equal(at, clipped == 255)


def test_levels_of_a_mask_under_stripes_are_not_rounding():
    y, x = np.mgrid[:128, :128]
    mask = (np.hypot(y - 50, x - 70) < 30).astype(float)
    normalized = normalize(stripes_on_flat_ground(mask))
    assert normalized.quantum * normalized.unit == pytest.approx(1)


def test_levels_of_a_coarsely_rounded_image_are_rounding():
    image = 10 * np.random.default_rng(0).integers(0, 20, (64, 64)).astype(np.uint8)
    normalized = normalize(image)
    assert normalized.quantum * normalized.unit == pytest.approx(10)
