import numpy as np
import pytest

from benchmarks.families import FAMILIES, bundled, corrupt, rejection
from napari_periodic_denoise import estimate_noise
from napari_periodic_denoise.noise.waves.lattices import lattice_indices


@pytest.mark.parametrize("name", ["camera", "cell", "immunohistochemistry"])
@pytest.mark.parametrize(
    ("family", "least", "orders"),
    [
        ("slow amplitude modulation", 30, "both"),
        ("scan hum, drift per line", 26, "lines"),
        ("smooth phase jitter", 22, "both"),
        ("hexagonal lattice", 35, "none"),
    ],
)
def test_the_kind_of_noise_is_found(family, least, orders, name):
    rng = np.random.default_rng(0)
    clean = bundled(name)
    noise = FAMILIES[family](rng, clean)
    estimate = estimate_noise(corrupt(clean, noise, rng))
    assert rejection(estimate.noise, 255 * 0.6 * noise) > least
    j, k = estimate.waves[0].order
    assert {"both": j > 0 and k > 0, "lines": j > 0, "none": j == k == 0}[orders]
    assert len(estimate.waves) == (3 if family == "hexagonal lattice" else 1)


def test_lines_may_run_down():
    rng = np.random.default_rng(0)
    clean = bundled("camera")
    noise = FAMILIES["scan hum, drift per line"](rng, clean)
    estimate = estimate_noise(corrupt(clean, noise, rng).T)
    assert rejection(estimate.noise, 255 * 0.6 * noise.T) > 26
    assert estimate.waves[0].order[1] > 0


def test_a_constant_wave_beside_a_modulated_one():
    rng = np.random.default_rng(1)
    clean = bundled("camera")
    y, x = np.indices(clean.shape)
    noise = FAMILIES["slow amplitude modulation"](rng, clean)
    noise = noise + 0.1 * np.cos(2 * np.pi * (0.21 * y - 0.17 * x) + 1)
    estimate = estimate_noise(corrupt(clean, noise, rng))
    assert rejection(estimate.noise, 255 * 0.6 * noise) > 30
    assert sorted(wave.order == (0, 0) for wave in estimate.waves) == [False, True]
    # the model of errors is that of a constant wave
    assert all((w.amplitude_error is None) == (w.order != (0, 0)) for w in estimate.waves)


@pytest.mark.parametrize("sigma", [0.0, 0.02])
@pytest.mark.parametrize(
    ("family", "least"),
    [("square wave, any angle", 27), ("hard vertical stripes", 22), ("multiplicative wave", 22)],
)
def test_hard_edges_and_gains_are_one_wave(family, least, sigma):
    rng = np.random.default_rng(0)
    clean = bundled("camera")
    noise = FAMILIES[family](rng, clean)
    estimate = estimate_noise(corrupt(clean, noise, rng, sigma))
    assert rejection(estimate.noise, 255 * 0.6 * noise) > least
    (wave,) = estimate.waves
    if family == "multiplicative wave":
        assert wave.amplitude == pytest.approx(0.25, abs=0.005)
        assert abs(wave.dark) < 5
    else:
        assert wave.profile is not None
        low, high = np.quantile([value for _, value in wave.profile], [0.1, 0.9])
        assert high - low == pytest.approx(np.ptp(255 * 0.6 * noise), rel=0.1)


def test_a_clipped_grid_is_a_lattice_of_few_bases():
    rng = np.random.default_rng(0)
    clean = bundled("cell")
    noise = FAMILIES["clipped square grid"](rng, clean)
    estimate = estimate_noise(corrupt(clean, noise, rng))
    assert rejection(estimate.noise, 255 * 0.6 * noise) > 26
    frequencies = np.array([wave.frequency for wave in estimate.waves])
    assert len(frequencies) > 10
    assert lattice_indices(frequencies, frequencies[:2], 8, clean.shape).any(1).all()


@pytest.mark.parametrize("family", ["mixture: hum and lattice", "mixture: stripes and wave"])
def test_mixtures_are_taken_apart(family):
    rng = np.random.default_rng(0)
    clean = bundled("camera")
    noise = FAMILIES[family](rng, clean)
    estimate = estimate_noise(corrupt(clean, noise, rng))
    assert rejection(estimate.noise, 255 * 0.6 * noise) > 24
    kinds = {(wave.envelope is None, wave.profile is None) for wave in estimate.waves}
    assert len(kinds) == 2


def test_the_noise_model_can_be_forced():
    rng = np.random.default_rng(0)
    clean = bundled("camera")
    noise = FAMILIES["multiplicative wave"](rng, clean)
    image = corrupt(clean, noise, rng)
    added = estimate_noise(image, noise_model="additive")
    assert all(wave.dark is None for wave in added.waves)
    flat = corrupt(np.full((256, 256), 0.5), 0.1 * np.cos(0.4 * np.arange(256)), rng, 0.01)
    forced = estimate_noise(flat, noise_model="multiplicative")
    assert [wave.dark is not None for wave in forced.waves] == [True]
    # of one intensity, only the product with the light above the dark level is known
    light = 255 * 0.5 - forced.waves[0].dark
    assert forced.waves[0].amplitude * light == pytest.approx(255 * 0.06, rel=0.05)
    assert all(wave.dark is None for wave in estimate_noise(flat).waves)


@pytest.mark.parametrize("corner", [(224, 276), (302, 331), (43, 146), (22, 70)])
def test_what_repeats_less_exactly_than_noise_is_the_specimen(corner):
    """Bricks pay for waves, but are not alike: much of any wave would be left behind."""
    top, left = corner
    wall = np.round(255 * bundled("brick")).astype(np.uint8)
    wall = wall[top : top + 160, left : left + 180]
    estimate = estimate_noise(wall)
    assert not estimate.waves
    np.testing.assert_array_equal(estimate.cleaned, wall)
    y, x = np.indices(wall.shape)
    noise = 8 * np.cos(2 * np.pi * (0.21 * y + 0.13 * x))
    noisy = estimate_noise(np.clip(np.round(wall + noise), 0, 255).astype(np.uint8))
    assert rejection(noisy.noise, noise) > 25


def test_a_dropped_peak_says_why():
    rng = np.random.default_rng(0)
    image = corrupt(bundled("coins"), 0.05 * np.ones((303, 384)), rng)
    reasons = {rejected.reason for rejected in estimate_noise(image, sensitivity=1e3).rejected}
    assert reasons
    assert all(len(reason.split()) > 3 for reason in reasons)
