"""Waves under strong random noise, and hard edges on flat ground."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage import data

from napari_periodic_denoise import estimate_noise
from napari_periodic_denoise.noise.fitting.gauss_newton import Fit, zero_fit
from napari_periodic_denoise.noise.input import normalize
from napari_periodic_denoise.noise.search.channel import Found, channel_model
from napari_periodic_denoise.noise.search.weak import (
    _chance,
    _of_bases,
    _spectrum,
    _tied,
    _white_around,
    agreement,
    find_weak,
    in_random_noise,
)
from napari_periodic_denoise.noise.waves.frequency import distances

SIZE = 512
FREQUENCY = np.array([0.071, -0.113])


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(SIZE, SIZE)).astype(np.float32)


def wave(power: float, size: int = SIZE) -> np.ndarray:
    """A wave of ``power = a²N/4``."""
    y, x = np.ogrid[:size, :size]
    turns = FREQUENCY[0] * y + FREQUENCY[1] * x + 0.3
    return (2 * np.sqrt(power) / size * np.cos(2 * np.pi * turns)).astype(np.float32)


def rejection(estimate: np.ndarray, truth: np.ndarray) -> float:
    error = estimate - truth
    return float(10 * np.log10(np.var(truth) / np.var(error)))


def test_white_noise_is_told_from_photographs():
    assert in_random_noise(torch.from_numpy(noise()))
    for name in ("camera", "coins", "moon", "brick"):
        image = torch.from_numpy(getattr(data, name)().astype(np.float32))
        assert not in_random_noise(image)


def test_parts_agree_on_a_wave_as_its_power_says():
    power = 200.0
    ratios = [
        agreement(torch.from_numpy(noise(seed) + wave(power)), FREQUENCY[None])[0]
        for seed in range(8)
    ]
    assert np.mean(ratios) == pytest.approx(np.sqrt(2 * power), rel=0.15)


def test_parts_do_not_agree_on_what_one_of_them_shows():
    image = torch.from_numpy(noise())
    image[:64, :64] += torch.from_numpy(50 * wave(200.0)[:64, :64])
    assert agreement(image, FREQUENCY[None])[0] < 4


@pytest.mark.parametrize("seed", range(3))
def test_a_wave_far_under_the_noise_is_removed_almost_to_the_bound(seed):
    power = 8 * np.log(500 * SIZE**2)
    truth = wave(power)
    found = estimate_noise(noise(seed) + truth)
    assert len(found.waves) == 1
    # four unknowns leave two nats of the power, in the mean; one case of a hundred three times
    assert rejection(found.noise, truth) > 10 * np.log10(power / 2) - 5


@pytest.mark.parametrize("shape", [(SIZE, SIZE), (400, SIZE)])
def test_the_errors_of_a_weak_wave_are_those_of_least_squares(shape):
    truth = wave(8 * np.log(500 * SIZE**2))
    (found,) = estimate_noise((noise() + truth)[: shape[0]]).waves
    count = np.prod(shape)
    # Cramér–Rao bounds in noise of σ = 1; Huber's estimator is up to 10% above them
    relative = np.sqrt(2 / count) / found.amplitude
    along = np.sqrt(6 / count) / (np.pi * np.array(shape) * found.amplitude)
    assert found.amplitude_error == pytest.approx(np.sqrt(2 / count), rel=0.3)
    assert found.frequency_error == pytest.approx(tuple(along), rel=0.35)
    # at the corner: of the phase at the centre, and of half the image along both axes
    assert found.phase_error == pytest.approx(relative * np.sqrt(7), rel=0.35)


def test_bases_move_exactly_where_all_waves_of_a_lattice_say():
    ties = np.array([[1, 0], [0, 1], [1, 1], [2, 1], [1, -3]], dtype=float)
    lattice = Fit(np.array([[0.1, 0.02], [-0.03, 0.1]]), ties, np.array([1, 2j, 3, 0.5, 1]))
    moved = np.array([[0.1, -0.2], [0.05, 0.3]])
    np.testing.assert_allclose(_of_bases(lattice, ties @ moved), moved)


def lattice(powers: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies of the lowest sites of an oblique lattice, and waves of these powers there."""
    orders = np.array([(h, k) for h in range(-4, 5) for k in range(-4, 5) if (h, k) > (0, 0)])
    sites = orders @ np.array([[0.043, 0.011], [-0.009, 0.052]])
    sites = sites[np.argsort(np.hypot(*sites.T))[: len(powers)]]
    phases = np.random.default_rng(seed).uniform(size=len(sites))
    y, x = np.ogrid[:SIZE, :SIZE]
    waves = (
        np.sqrt(power) * np.cos(2 * np.pi * (fy * y + fx * x + phase))
        for power, (fy, fx), phase in zip(powers, sites, phases, strict=True)
    )
    return sites, (2 / SIZE * sum(waves)).astype(np.float32)


@pytest.mark.parametrize("seed", range(2))
def test_sites_of_a_lattice_too_weak_alone_are_found_by_its_bases(seed):
    needed = np.log(500 * SIZE**2)
    powers = np.full(24, 1.2 * needed)
    powers[[0, 2, 4, 5]] = 15 * needed
    sites, truth = lattice(powers, seed)
    _, alone = lattice(np.where(powers > 2 * needed, 0, powers), seed)
    assert len(estimate_noise(noise(seed) + alone).waves) < 3
    found = estimate_noise(noise(seed) + truth, suggestions="remove")
    both = np.array([*sites, *(w.frequency for w in found.waves)])
    near = distances(both, (SIZE, SIZE))[:24, 24:] < 0.6
    assert near.any(0).all()  # no others
    shown = near.any(1)
    assert shown.sum() >= 22
    # least squares leave a nat of each wave, and the whole power of one that is not found
    bound = 10 * np.log10(powers.sum() / (shown.sum() + powers[~shown].sum()))
    assert rejection(found.noise, truth) > bound - 1.5


def test_a_lattice_is_tied_and_a_wave_beside_a_site_stays_free():
    ties = np.array([[1, 0], [0, 1], [1, 1], [2, 1], [1, -3]])
    frequencies = ties @ np.array([[0.1, 0.02], [-0.03, 0.1]])
    beside = frequencies.copy()
    beside[4] += 0.2 / SIZE
    shape, power = (SIZE, SIZE), np.full(5, 200.0)
    for waves, bases in ((frequencies, 2), (beside, 3)):
        fit = Fit(waves, np.eye(5), np.array([5, 4, 1, 1, 1j]))
        tied = _tied(fit, power, shape)
        assert len(tied.bases) == bases
        off = distances(np.concatenate([tied.frequencies, waves]), shape)[:5, 5:].diagonal()
        assert off.max() < 0.1
    # where the image hardly tells, a wave joins
    assert len(_tied(fit, np.array([200, 200, 200, 200, 20]), shape).bases) == 2


def test_the_chance_of_agreement_is_the_one_of_random_noise():
    rng = np.random.default_rng(0)
    for parts in (8, 64):
        sums = rng.normal(size=(20_000, parts, 2)) @ [1, 1j]
        chance = _chance(sums)
        for level in (0.5, 0.1, 0.01):
            assert (chance < level).mean() == pytest.approx(level, rel=0.2)


def test_noise_around_a_strong_wave_is_white():
    for power in (2e2, 2e4, 2e6):
        spectrum = _spectrum(torch.from_numpy(noise() + wave(power)))
        assert _white_around(spectrum, np.array([FREQUENCY, -FREQUENCY])).all()
    smooth = torch.nn.functional.avg_pool2d(torch.from_numpy(noise())[None], 3, 1, 1)[0]
    assert not _white_around(_spectrum(smooth), np.array([[0.03, 0.02]])).any()


def test_random_noise_alone_stays_as_it_is():
    image = noise()
    np.testing.assert_array_equal(estimate_noise(image).cleaned, image)


@pytest.mark.parametrize("period", [5.3, 13.7, 24.6])
def test_hard_stripes_on_flat_ground_are_removed(period):
    y, x = np.mgrid[:256, :256]
    disk = np.hypot(y - 100, x - 140) < 60
    stripes = 15 * np.sign(np.sin(2 * np.pi * (np.arange(256) / period + 0.2))) + 0 * y
    image = np.round(51 + 153 * disk + stripes).astype(np.uint8)
    assert rejection(estimate_noise(image).noise, stripes) > 20


def test_noise_of_rows_is_no_agreement_of_parts():
    rows = 0.5 * np.random.default_rng(4).normal(size=(SIZE, 1))
    maps = torch.from_numpy((noise() + rows).astype(np.float32))
    frequencies = np.array([(k / SIZE, 0.0) for k in range(20, 240, 4)])
    assert agreement(maps, frequencies).max() < 8


@pytest.mark.parametrize(("share", "searched"), [(0.05, True), (0.2, False)])
def test_beside_waves_that_clip_weak_ones_are_not_searched(share, searched):
    image = normalize((128 + 10 * (noise() + wave(400.0))).astype(np.uint8))
    hidden = torch.rand(SIZE, SIZE, generator=torch.Generator().manual_seed(0)) < share
    channel = replace(channel_model(image, 0), saturated=hidden)
    assert find_weak(channel, 1e-3) is not channel  # without a known wave it looks
    known = Found(zero_fit(FREQUENCY[None]), np.array([1e-30]), np.array([1000.0]))
    channel = replace(channel, found=known)
    assert (find_weak(channel, 1e-3) is not channel) is searched
