import numpy as np
import pytest
import torch

from napari_periodic_denoise.noise.remainder.density import (
    _resampled,
    frequencies,
    stripe_density,
    texture_density,
)
from napari_periodic_denoise.noise.statistics.features import edges


def white(h, w, seed=0):
    return torch.randn(h, w, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("degrees", [0, 37, 90, 120])
def test_stripes_lie_on_the_line_across_them(degrees):
    rng = np.random.default_rng(0)
    y, x = np.indices((256, 300))
    angle = np.deg2rad(degrees)
    across = y * np.sin(angle) + x * np.cos(angle)
    profile = np.interp(across, np.arange(-400, 600), rng.normal(size=1000))
    image = white(256, 300) + torch.from_numpy(profile).float()
    grid = (288, 360)
    density = stripe_density(edges(image), grid, (256, 300), 1e-3)
    fy, fx = frequencies(grid)
    aside = (fx * np.sin(angle) - fy * np.cos(angle)).expand(density.shape)
    assert (density > 0).sum() > 50
    # in cycles per pixel: at most a fifth of the frequency, and half a cycle in the grid
    assert aside[density > 0].abs().max() < 0.2 * np.hypot(0.5, 0.5) + 1 / 256
    assert density.sum() > 0
    assert (density * aside.abs()).sum() / density.sum() < 0.02


def test_the_density_of_stripes_is_their_power():
    profile = 2 * white(1, 512, seed=1)
    image = (0.5 * white(512, 512) + profile).expand(512, 512)
    features = torch.stack([image.diff(dim=0)[:, :-1], image.diff(dim=1)[:-1]])
    grid = (540, 540)
    density = stripe_density(features, grid, (511, 511), 1e-3)
    columns = density.sum(0) / grid[0]  # per cycle/pixel across: the spectrum of the profile
    fx = frequencies(grid)[1][0]
    expected = 4 * (2 * torch.sin(torch.pi * fx)) ** 2
    fast = fx > 0.1
    assert float(columns[fast].mean() / expected[fast].mean()) == pytest.approx(1, abs=0.15)


def test_the_density_of_a_texture_is_its_power():
    fy, fx = np.fft.fftfreq(600)[:, None], np.fft.fftfreq(600)
    around = np.exp(-((fy - 0.1) ** 2 + (fx - 0.2) ** 2) / (2 * 0.012**2))
    texture = np.fft.ifft2(np.fft.fft2(np.random.default_rng(0).normal(size=(600, 600))) * around)
    texture = torch.from_numpy(texture.real / texture.real.std()).float()
    grid = (640, 640)
    density = texture_density((texture + 0.2 * white(600, 600))[None], grid, 1e-3)
    twice = torch.full((1, 321), 2.0)
    twice[:, [0, -1]] = 1
    assert float((density * twice).mean() * 321 / 640) == pytest.approx(1, abs=0.2)
    y, x = np.divmod(int(density.argmax()), 321)
    assert (y / 640, x / 640) == pytest.approx((0.1, 0.2), abs=0.01)


def test_isotropic_texture_is_the_specimen():
    f = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.fftfreq(512))
    band = np.exp(-((f - 0.15) ** 2) / (2 * 0.02**2))
    texture = np.fft.ifft2(np.fft.fft2(np.random.default_rng(0).normal(size=(512, 512))) * band)
    texture = torch.from_numpy(texture.real / texture.real.std()).float()
    assert not texture_density((texture + 0.2 * white(512, 512))[None], (540, 540), 1e-3).any()


def test_too_small_an_image_has_no_windows():
    assert not texture_density(edges(white(40, 300)), (80, 360), 1e-3).any()


def test_resampling_keeps_a_plane_wave_of_density():
    coarse = torch.cos(2 * torch.pi * torch.arange(32) / 32)[:, None].expand(32, 17) + 2
    fine = _resampled(coarse, (320, 90))
    expected = torch.cos(2 * torch.pi * torch.fft.fftfreq(320))[:, None].expand(320, 46) + 2
    torch.testing.assert_close(fine, expected, atol=0.006, rtol=0)
