import numpy as np
import pytest
import skimage.data
import torch

from napari_periodic_denoise import estimate_noise, select_waves
from napari_periodic_denoise.noise.input import normalize
from napari_periodic_denoise.noise.lines.differences import PARTS, in_parts, line_differences
from napari_periodic_denoise.noise.lines.tiles import (
    Shading,
    Tiling,
    are_certain,
    find_tiling,
    fit_tiles,
    may_be_tiles,
)
from napari_periodic_denoise.noise.outcome import Outcome

TILES = ["columns: shading of tiles", "rows: shading of tiles"]


def vignette(shape, size, depth, centre=0.45):
    """Gain of a mosaic of equal fields, less one."""
    y, x = np.indices(shape)
    square = sum(((line / size) % 1 - centre) ** 2 for line in (y, x))
    return -depth * (square - square.mean())


def mosaic(size=61.3, depth=0.5, sigma=2.0):
    clean = skimage.data.camera().astype(float) * 0.6 + 40
    noise = vignette(clean.shape, size, depth) * clean
    random = np.random.default_rng(0).normal(0, sigma, clean.shape)
    return np.clip(np.rint(clean + noise + random), 0, 255).astype(np.uint8), noise


def rejection(estimate, truth):
    return 10 * np.log10(truth.var() / (estimate - truth).var())


def differences_of(image):
    given = normalize(image)
    return line_differences(given.pixels.contiguous(), given.quantum), given


def test_the_shading_of_a_mosaic_is_removed():
    image, noise = mosaic()
    estimate = estimate_noise(image)
    removed = [line.name for line in estimate.lines if line.outcome is Outcome.REMOVED]
    assert [name for name in removed if "tiles" in name] == TILES
    assert rejection(estimate.noise, noise) > 8


def test_tiles_are_switched_off_and_on():
    image, _ = mosaic()
    estimate = estimate_noise(image)
    without = select_waves(image, estimate, off=["columns: shading of tiles"])
    left = estimate.noise - without.noise
    rows = np.ptp(left - left.mean(0), axis=0).max()
    assert np.ptp(left.mean(0)) > 5
    assert rows < 0.6 * np.ptp(left.mean(0))
    assert select_waves(
        image, without, [], on=["columns: shading of tiles"]
    ).noise == pytest.approx(estimate.noise, abs=1e-4)


@pytest.mark.parametrize("size", [45.0, 61.3, 90.7])
def test_the_length_of_the_tiles_is_found(size):
    image, _ = mosaic(size)
    differences, _ = differences_of(image)
    tiling = find_tiling(differences)
    assert tiling.period == pytest.approx(size, abs=0.3)
    assert tiling.strength > 9


@pytest.mark.parametrize("size", [8, 30])
def test_shorter_repetition_is_left_to_the_waves(size):
    image, _ = mosaic(size)
    differences, _ = differences_of(image)
    tiling = find_tiling(differences)
    assert not may_be_tiles(tiling, tiling)


def test_no_tiles_without_lines():
    assert find_tiling([]).strength == 0


def test_a_tile_is_as_strong_as_it_shows():
    rng = np.random.default_rng(1)
    x = np.arange(512)
    strength = np.array([2, 1, 1, 1, 1, 1, 1, 0.25, 1])[x // 64]
    noise = strength * 20 * ((x % 64) / 64 - 0.5)
    image = np.rint(120 + noise + rng.normal(0, 3, (512, 512))).astype(np.uint8)
    differences, given = differences_of(image)
    shading = fit_tiles(differences, 64)
    offsets = shading.offsets[0].numpy() * given.unit
    ranges = [np.ptp(offsets[64 * i + 2 : 64 * i + 62]) for i in range(8)]
    assert ranges == pytest.approx([40, 20, 20, 20, 20, 20, 20, 5], rel=0.15)
    assert shading.tiles == 8
    assert shading.nats > 1000
    assert are_certain([shading])


def test_what_tiles_do_not_share_is_not_fitted():
    rng = np.random.default_rng(2)
    image = np.rint(120 + 10 * rng.normal(size=512) + rng.normal(0, 3, (512, 512)))
    differences, given = differences_of(image.astype(np.uint8))
    shading = fit_tiles(differences, 64)
    assert shading.offsets[0].std() * given.unit < 5
    assert not are_certain([shading])


def test_lines_that_do_not_differ_have_no_shading():
    generator = np.random.default_rng(0)
    image = 100 + 10 * (generator.normal(size=(256, 1)) + np.zeros((1, 256)))
    differences, _ = differences_of(np.rint(image).astype(np.uint8))
    shading = fit_tiles(differences, 50.0)
    assert not shading.offsets.any()
    assert not are_certain([shading])


def test_parts_are_those_of_the_orders():
    parts = torch.from_numpy(np.random.default_rng(0).normal(size=(PARTS, 5)))
    index = torch.arange(PARTS, dtype=torch.float64)
    cosines = torch.cos(torch.pi * index[:, None] * (index + 0.5) / PARTS) * np.sqrt(2)
    cosines[0] = 1
    torch.testing.assert_close(in_parts(cosines @ parts / PARTS), parts)


@pytest.mark.parametrize(
    ("tiling", "other", "expected"),
    [
        (Tiling(60, 12), Tiling(0, 0), True),
        (Tiling(60, 7), Tiling(0, 0), False),
        (Tiling(60, 7), Tiling(70, 6), True),
        (Tiling(60, 7), Tiling(120, 20), False),
        (Tiling(60, 4), Tiling(60, 20), False),
        (Tiling(30, 20), Tiling(45, 20), True),
        (Tiling(30, 20), Tiling(45, 4), False),
        (Tiling(30, 20), Tiling(30, 20), False),
    ],
)
def test_less_suffices_beside_tiles_of_the_same_length(tiling, other, expected):
    assert may_be_tiles(tiling, other) is expected


def test_few_tiles_in_one_direction_are_not_certain():
    def shading(agreeing, tiles):
        return Shading(torch.zeros(1, 1), 0.0, agreeing, tiles)

    assert not are_certain([])
    assert not are_certain([shading(1.0, 4.5)])
    assert not are_certain([shading(0.9, 8)])
    assert are_certain([shading(0.97, 5.5)])
    assert are_certain([shading(0.92, 4.5), shading(0.92, 4.5)])
    assert not are_certain([shading(0.92, 6), shading(0.8, 6)])
