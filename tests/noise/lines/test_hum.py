"""Hum along lines: frequency, amplitude and phase of each line; and what is no hum."""

import math

import pytest
import torch

from napari_periodic_denoise.noise.lines.hum import Hum, find_hum, may_show_hum

H, W = 256, 200


def white(seed=0):
    return torch.randn(H, W, generator=torch.Generator().manual_seed(seed))


def hum(frequencies=(0.0713,), amplitude=1.0, seed=1):
    """Hum of any phase in each line."""
    generator = torch.Generator().manual_seed(seed)
    phase = 2 * math.pi * torch.rand(len(frequencies), W, generator=generator).double()
    coefficients = torch.polar(torch.full_like(phase, amplitude), phase)
    return Hum(torch.tensor(frequencies, dtype=torch.float64), coefficients, 0.0)


def error(found, truth):
    """Power of what is left, relative to the power of the truth."""
    return float((found - truth).square().mean() / truth.square().mean())


def test_phases_and_frequency_of_all_lines_are_found():
    truth = hum((0.0713, 0.1426)).draw((H, W))
    found, foretold = find_hum(0.5 * white() + truth, 1e-3)
    torch.testing.assert_close(
        found.frequencies.sort().values, torch.tensor([0.0713, 0.1426]).double(), atol=2e-4, rtol=0
    )
    # a line's two numbers per wave of 256 pixels of random noise
    assert error(found.draw((H, W)), truth) < 3 * 4 / H * 0.25
    assert error(foretold, truth) < 6 * 4 / H * 0.25
    assert found.nats > 200


def test_a_specimen_and_offsets_of_lines_disturb_little():
    truth = hum().draw((H, W))
    y, x = torch.arange(H)[:, None], torch.arange(W)
    disc = 20 * ((y - 120).square() + (x - 90).square() < 50**2)
    offsets = 3 * torch.randn(W, generator=torch.Generator().manual_seed(3))
    found, _ = find_hum(0.3 * white() + disc + offsets + truth, 1e-3)
    assert error(found.draw((H, W)), truth) < 0.02


def test_foretold_hum_does_not_follow_the_part_itself():
    pixels = 0.5 * white() + hum().draw((H, W))
    _, foretold = find_hum(pixels, 1e-3)
    first = slice(0, H // 8)
    pixels[first] += hum(seed=9).draw((H, W))[first]
    _, again = find_hum(pixels, 1e-3)
    assert error(again[first], foretold[first]) < 0.1


def walking(step):
    """Hum whose phase strays by so many radians from line to line, in 2.7 cycles a line."""
    generator = torch.Generator().manual_seed(2)
    strays = step * torch.randn(1, W, generator=generator).double()
    phase = (2 * math.pi * 2.7 + strays).cumsum(1)
    return Hum(torch.tensor([0.0713]).double(), torch.polar(torch.ones_like(phase), phase), 0.0)


def test_phases_that_change_little_are_filtered():
    truth = walking(0.7).draw((H, W))
    found, _ = find_hum(4 * white() + truth, 1e-3)
    alone = (
        2 / H * 4**2 / 0.5
    )  # of least squares; robust ones without a filter have 1.5 times that
    assert error(found.draw((H, W)), truth) < 1.1 * alone


def test_hum_scales_with_the_contrast():
    pixels = 0.5 * white() + hum().draw((H, W))
    found, _ = find_hum(pixels, 1e-3)
    twice, _ = find_hum(2 * pixels, 2e-3)
    torch.testing.assert_close(twice.draw((H, W)), found.times(2).draw((H, W)), atol=1e-3, rtol=0)


@pytest.mark.parametrize("tilt", [0.0, 0.0313])
def test_a_wave_is_no_hum(tilt):
    turns = 0.0713 * torch.arange(H)[:, None] + tilt * torch.arange(W)
    assert find_hum(0.5 * white() + torch.cos(2 * math.pi * turns), 1e-3) is None


def test_what_waves_leave_of_hum_is_hum():
    truth = walking(0.1).draw((H, W))
    pixels = 0.5 * white() + truth
    assert find_hum(pixels, 1e-3, waves=[(0.0713, 0.1), (0.15, 0.3)]) is None
    found, _ = find_hum(pixels, 1e-3, waves=[(0.0713, 0.1), (-0.0713, 0.3)])
    assert error(found.draw((H, W)), truth) < 0.02


def test_random_noise_and_offsets_show_no_hum():
    for seed in range(5):
        offsets = torch.randn(W, generator=torch.Generator().manual_seed(seed))
        assert not may_show_hum(white(seed) + 5 * offsets)
    assert not may_show_hum(torch.zeros(H, W))
    assert not may_show_hum(torch.zeros(16, 16))


def test_hum_of_part_of_the_lines_shows_no_hum():
    pixels = hum().draw((H, W))
    assert may_show_hum(0.5 * white() + pixels)
    pixels[:, : W // 4] = 0
    assert not may_show_hum(0.5 * white() + pixels)


def test_ignored_pixels_tell_nothing():
    truth = hum().draw((H, W))
    ignored = torch.zeros(H, W, dtype=torch.bool)
    ignored[100:160, 50:120] = True
    pixels = 0.5 * white() + truth
    found, _ = find_hum(torch.where(ignored, 30.0, pixels), 1e-3, ignored)
    assert error(found.draw((H, W)), truth) < 3 * 2 / H * 0.25 * 2


@pytest.mark.parametrize("half", [0, 1])
def test_hum_may_be_saturated_in_every_other_part(half):
    pixels = 0.5 * white() + hum().draw((H, W))
    ignored = (torch.arange(H)[:, None] * 8 // H % 2 == half).expand(H, W)
    found = find_hum(torch.where(ignored, 30.0, pixels), 1e-3, ignored)
    assert found is None or bool(found[1].isfinite().all())
