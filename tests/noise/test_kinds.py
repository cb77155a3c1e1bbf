import numpy as np
import pytest
from benchmarks.families import FAMILIES, bundled, corrupt, rejection

from napari_periodic_denoise import estimate_noise


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
    noise = FAMILIES[family](rng, clean.shape)
    estimate = estimate_noise(corrupt(clean, noise, rng))
    assert rejection(estimate.noise, 255 * 0.6 * noise) > least
    j, k = estimate.waves[0].order
    assert {"both": j > 0 and k > 0, "lines": j > 0, "none": j == k == 0}[orders]
    assert len(estimate.waves) == (3 if family == "hexagonal lattice" else 1)


def test_lines_may_run_down():
    rng = np.random.default_rng(0)
    clean = bundled("camera")
    noise = FAMILIES["scan hum, drift per line"](rng, clean.shape)
    estimate = estimate_noise(corrupt(clean, noise, rng).T)
    assert rejection(estimate.noise, 255 * 0.6 * noise.T) > 26
    assert estimate.waves[0].order[1] > 0


def test_a_constant_wave_beside_a_modulated_one():
    rng = np.random.default_rng(1)
    clean = bundled("camera")
    y, x = np.indices(clean.shape)
    noise = FAMILIES["slow amplitude modulation"](rng, clean.shape)
    noise = noise + 0.1 * np.cos(2 * np.pi * (0.21 * y - 0.17 * x) + 1)
    estimate = estimate_noise(corrupt(clean, noise, rng))
    assert rejection(estimate.noise, 255 * 0.6 * noise) > 30
    assert sorted(wave.order == (0, 0) for wave in estimate.waves) == [False, True]
