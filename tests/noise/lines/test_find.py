import numpy as np
import pytest
import skimage.data
import torch

from napari_periodic_denoise.noise.input import normalize
from napari_periodic_denoise.noise.lines.find import find_lines
from napari_periodic_denoise.noise.lines.result import LineKind, LineNoise
from napari_periodic_denoise.noise.outcome import Outcome


def camera():
    return skimage.data.camera()[::2, ::2].astype(float) * 0.6 + 50


def found(image):
    given = normalize(np.clip(np.round(image), 0, 255).astype(np.uint8))
    return find_lines(given.pixels, given.quantum, given.saturated), given.unit


def removed(components, unit):
    parts = [c.render() for c in components if c.outcome is Outcome.REMOVED]
    return sum(parts, torch.zeros(())).numpy() * unit


def rejection(estimate, truth):
    error = estimate - truth
    return 10 * np.log10(truth.var() / error.var())


@pytest.mark.parametrize("axis", [0, 1])
def test_offsets_of_lines_are_removed_in_either_direction(axis):
    rng = np.random.default_rng(0)
    clean = camera() + rng.normal(0, 2, (256, 256))
    noise = np.broadcast_to(8 * rng.normal(size=256), (256, 256))
    noise = noise if axis == 0 else noise.T
    components, unit = found(clean + noise)
    (lines,) = [c for c in components if c.outcome is Outcome.REMOVED]
    assert (lines.kind, lines.axis, lines.direction) == (LineKind.LINES, axis, 90 - 90 * axis)
    assert lines.strength * unit == pytest.approx(noise.std(), rel=0.2)
    assert rejection(removed(components, unit), noise) > 6


@pytest.mark.parametrize("strength", [(8, 8), (8, 3), (3, 8)])
def test_offsets_of_columns_and_of_rows_are_told_apart(strength):
    rng = np.random.default_rng(0)
    columns = strength[0] * rng.normal(size=256)
    rows = strength[1] * rng.normal(size=(256, 1))
    components, unit = found(camera() + rng.normal(0, 2, (256, 256)) + columns + rows)
    kept = [c for c in components if c.outcome is Outcome.REMOVED]
    assert [c.name for c in kept] == ["columns: lines", "rows: lines"]
    assert rejection(removed(components, unit), columns + rows) > 6


def test_the_bars_of_a_border_stay():
    rng = np.random.default_rng(0)
    image = camera() + rng.normal(0, 4, (256, 256))
    image[:, :12] = np.repeat([0, 200, 0, 200, 0, 200], 2) + rng.normal(0, 1, (256, 12))
    components, _ = found(image)
    assert all(c.outcome is Outcome.SUGGESTED for c in components)


def test_streaks_are_removed():
    rng = np.random.default_rng(0)
    noise = np.zeros((256, 256))
    for _ in range(80):
        row, first = rng.integers(256), rng.integers(180)
        noise[row, first : first + rng.integers(40, 120)] = rng.choice([-25, 25])
    components, unit = found(camera() + rng.normal(0, 2, noise.shape) + noise)
    kinds = [c.kind for c in components if c.outcome is Outcome.REMOVED]
    assert LineKind.STREAKS in kinds
    assert rejection(removed(components, unit), noise) > 3


@pytest.mark.parametrize("name", ["camera", "brick", "coins", "cell"])
def test_nothing_is_removed_from_a_clean_image(name):
    components, _ = found(getattr(skimage.data, name)()[:300, :300])
    assert all(c.outcome is Outcome.SUGGESTED for c in components)


def test_a_straight_edge_is_at_most_suggested():
    rng = np.random.default_rng(0)
    image = camera() * 0.5 + rng.normal(0, 2, (256, 256))
    image[:, 100:] += 60
    components, _ = found(image)
    assert all(c.outcome is Outcome.SUGGESTED for c in components)


def test_what_is_left_of_an_edge_has_no_rim():
    rng = np.random.default_rng(0)
    clean = np.full((256, 256), 60.0)
    clean[100:, :] = 160
    clean[:, 180:] += 20
    noise = np.broadcast_to(8 * rng.normal(size=256), clean.shape)
    components, unit = found(clean + noise + rng.normal(0, 2, clean.shape))
    error = removed(components, unit) - noise
    assert np.ptp(error, axis=0).max() < 1  # alike on both sides of the edge across the lines


def test_random_noise_alone_has_no_lines():
    for seed in range(5):
        image = np.random.default_rng(seed).normal(100, 10, (128, 128))
        assert found(image)[0] == []


def test_a_constant_image_has_none():
    pixels = torch.zeros(64, 64)
    assert find_lines(pixels, 1e-3) == []


def test_a_component_knows_what_it_is():
    components, _ = found(camera() + 8 * np.random.default_rng(0).normal(size=256))
    component = components[0]
    assert isinstance(component, LineNoise)
    assert component.shape == (256, 256)
    assert component.render().dtype == torch.float32
    assert component.evidence.agreeing > 0.95


SMOOTH = {
    "ramp": lambda y, x: x,
    "oblique ramp": lambda y, x: x + y / 2,
    "parabola": lambda y, x: (x - 0.4) ** 2,
    "vignette": lambda y, x: 1 - (x - 0.5) ** 2 - (y - 0.5) ** 2,
    "saturating": lambda y, x: np.log(1 + 10 * x) / 3,
    "disc": lambda y, x: np.hypot(y - 0.5, x - 0.5) < 0.3,
    "step": lambda y, x: x > 0.37,
    "half and half": lambda y, x: x + (y > 0.5),
}


@pytest.mark.parametrize("sigma", [0, 2.5])
@pytest.mark.parametrize("size", [32, 64, 100, 256])
@pytest.mark.parametrize("shape", SMOOTH)
def test_illumination_and_large_things_stay(shape, size, sigma):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, : size + 12] / size
    components, _ = found(40 + 100 * SMOOTH[shape](y, x) + rng.normal(0, sigma, x.shape))
    assert all(c.outcome is Outcome.SUGGESTED for c in components)
