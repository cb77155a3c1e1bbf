import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.families import bundled, rejection
from napari_periodic_denoise.noise.input import normalize
from napari_periodic_denoise.noise.progress import Step
from napari_periodic_denoise.noise.remainder.map_fit import _cover, find_remainder
from napari_periodic_denoise.runtime.steps import finish, mapped

SENSITIVITY = 1e-3
KINDS = ("quasi-periodic", "stripes")


def remainder(image, kind):
    normalized = normalize(image)
    run = find_remainder(normalized.pixels, normalized.quantum, SENSITIVITY, kind=kind)

    def check(step: Step) -> None:
        assert step.stage in {"detect", "fit"}
        assert step.message

    return finish(mapped(run, check)).numpy() * normalized.unit


def filtered(rng, shape, density, level=8.0):
    """Normal noise of a given spectrum, cut out of a torus twice as large: it has borders."""
    size = [2 * n for n in shape]
    fy, fx = np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1])
    noise = np.fft.ifft2(np.fft.fft2(rng.normal(size=size)) * density(fy, fx)).real
    noise = noise[: shape[0], : shape[1]]
    return level * noise / noise.std()


def texture(rng, shape):
    def around(fy, fx):
        return sum(
            np.exp(-((fy - s * 0.11) ** 2 + (fx - s * 0.07) ** 2) / (2 * 0.01**2)) for s in (1, -1)
        )

    return filtered(rng, shape, around)


def stripes(rng, shape, angle):
    """Random stripes that fade over some hundred pixels, 2 to 32 pixels wide."""
    dy, dx = np.sin(angle), np.cos(angle)

    def line(fy, fx):
        across, along = fy * dy + fx * dx, fx * dy - fy * dx
        slow = np.minimum(1, (32 * across) ** 4)
        return slow * np.exp(-((40 * across) ** 2) / 50 - (along * 200) ** 2 / 2)

    return filtered(rng, shape, line)


def block_means(image, size=64):
    h, w = (n // size * size for n in image.shape)
    return image[:h, :w].reshape(h // size, size, w // size, size).mean((1, 3))


def cases():
    for name in ("camera", "cell", "moon"):
        yield name, "quasi-periodic", None, 19
        # the camera's own verticals are not told from stripes
        least = 8 if name == "camera" else 14
        for angle in (np.pi / 2, 0.7, 2.5):
            yield name, "stripes", angle, least


@pytest.mark.parametrize(("name", "kind", "angle", "least"), list(cases()))
def test_noise_goes_up_to_the_borders_and_the_base_stays(name, kind, angle, least):
    clean = np.round(153 * bundled(name) + 51)
    rng = np.random.default_rng(0)
    shape = clean.shape
    truth = texture(rng, shape) if angle is None else stripes(rng, shape, angle)
    noise = remainder(np.clip(np.round(clean + truth), 0, 255).astype(np.uint8), kind)
    assert rejection(noise, truth) > least
    error = (noise - truth) ** 2
    border = np.ones(shape, bool)
    border[8:-8, 8:-8] = False
    assert error[border].mean() < 0.25 * (truth[border] ** 2).mean()
    assert abs(noise.mean()) < 0.01 * truth.std()
    # what the noise itself has of them apart
    moved = block_means(noise) - block_means(truth)
    assert np.abs(moved).max() < 0.1 * truth.std()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["camera", "coins", "cell", "grass", "gravel", "retina"])
def test_clean_images_stay_as_they_are(name, kind):
    assert not remainder(np.round(255 * bundled(name)).astype(np.uint8), kind).any()


@settings(max_examples=20)
@given(st.integers(16, 150), st.integers(16, 150), st.sampled_from(KINDS), st.integers(0, 9))
def test_white_noise_and_flat_images_of_any_size_hold_nothing(h, w, kind, seed):
    white = np.random.default_rng(seed).normal(size=(h, w))
    assert not remainder(white, kind).any()
    assert not remainder(np.ones((h, w), np.uint8), kind).any()


def test_texture_in_one_corner_is_the_specimen():
    rng = np.random.default_rng(0)
    shape = (384, 384)
    corner = np.zeros(shape)
    corner[:150, :150] = 1
    image = rng.normal(size=shape) + texture(rng, shape) * corner
    assert not remainder(image, "quasi-periodic").any()


def test_bright_objects_cast_no_shadow_along_the_stripes():
    rng = np.random.default_rng(0)
    y, x = np.indices((300, 301))
    specimen = 200.0 * (np.hypot(y - 150, x - 150) < 20)
    truth = stripes(rng, specimen.shape, np.pi / 2)
    noise = remainder(specimen + truth + rng.normal(size=specimen.shape), "stripes")
    beside = np.s_[130:170, 180:240]
    away = np.s_[220:260, 180:240]
    error = (noise - truth) ** 2
    assert error[beside].mean() < 2 * error[away].mean()


@pytest.mark.parametrize("kind", KINDS)
def test_large_images_are_done_in_parts_that_fit_together(kind):
    rng = np.random.default_rng(0)
    shape = (160, 2100)
    truth = texture(rng, shape) if kind == "quasi-periodic" else stripes(rng, shape, np.pi / 2)
    specimen = scipy.ndimage.gaussian_filter(rng.normal(size=shape), 2) * 40
    noise = remainder(specimen + truth + rng.normal(size=shape), kind)
    assert rejection(noise, truth) > 9
    for seam in (1024 // 2, 1024, 1076, 1586):
        around = np.s_[:, seam - 20 : seam + 20]
        assert np.var((noise - truth)[around]) < 0.15 * np.var(truth[around])


@given(st.integers(16, 9000))
def test_tiles_cover_everything_with_weights_that_add_up(length):
    size = min(length, 1024)
    total = torch.zeros(length)
    for where, weight in _cover(length, size):
        assert len(weight) == where.stop - where.start == size
        total[where] += weight
    torch.testing.assert_close(total, torch.ones(length))
