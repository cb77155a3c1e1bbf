import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_periodic_denoise.noise.statistics.features import edges
from napari_periodic_denoise.noise.statistics.peaks import (
    _chance,
    _power_of,
    feature_spectrum,
    find_candidates,
    find_peaks,
    find_smeared,
    vertex,
)


def white(h: int, w: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(h, w, generator=torch.Generator().manual_seed(seed))


def wave(h: int, w: int, fy: float, fx: float) -> torch.Tensor:
    y, x = np.mgrid[:h, :w]
    return torch.from_numpy(np.cos(2 * np.pi * (fy * y + fx * x) + 1)).float()


@given(
    st.floats(0.05, 0.45),
    st.floats(-0.45, 0.45),
    st.integers(90, 160),
    st.integers(90, 160),
)
def test_a_wave_is_the_strongest_candidate_and_refined_off_the_grid(fy, fx, h, w):
    image = white(h, w) + 0.7 * wave(h, w, fy, fx)
    first, *_ = find_candidates(edges(image), sensitivity=1e-3)
    assert first.false_alarms < 1e-6
    sign = 1 if first.frequency[0] * fy > 0 else -1
    assert sign * first.frequency[0] * h == pytest.approx(fy * h, abs=0.3)
    assert sign * first.frequency[1] * w == pytest.approx(fx * w, abs=0.3)


def test_false_alarms_are_as_rare_as_promised():
    found = sum(
        len(find_candidates(edges(white(128, 128, seed)), sensitivity=0.1)) for seed in range(100)
    )
    # 10 are expected; a Poisson count above 24 has a chance of 5e-5
    assert found <= 24


def test_more_false_alarms_allowed_find_more():
    features = edges(white(256, 256))
    few, many = (len(find_candidates(features, sensitivity=s)) for s in (1e-2, 100.0))
    assert few < many


def test_a_flat_image_has_no_candidates():
    assert find_candidates(torch.zeros(2, 63, 63), sensitivity=1e-3) == []


def test_a_large_image_is_looked_at_in_windows():
    image = white(1500, 1300) + 0.2 * wave(1500, 1300, 0.11, 0.07)
    first, *_ = find_candidates(edges(image), sensitivity=1e-3)
    assert first.frequency == pytest.approx((0.11, 0.07), abs=2e-4)


def test_channels_together_show_what_none_shows_alone():
    pattern = 0.09 * wave(128, 128, 0.11, 0.13)
    channels = [edges(white(128, 128, seed) + pattern) for seed in range(8)]
    assert not any(find_candidates(channel, sensitivity=1e-3) for channel in channels)
    (found,) = find_candidates(torch.cat(channels), sensitivity=1e-3, channels=8)
    assert found.frequency == pytest.approx((0.11, 0.13), abs=0.004)


@pytest.mark.parametrize("channels", [1, 3, 8])
def test_chance_of_a_mean_of_channels(channels):
    generator = torch.Generator().manual_seed(0)
    power = torch.empty(200_000, channels).exponential_(generator=generator).mean(1)
    assert float((power > 2).float().mean()) == pytest.approx(_chance(2.0, channels), rel=0.1)
    assert _chance(_power_of(1e-9, channels), channels) == pytest.approx(1e-9, rel=1e-3)


def test_a_wave_that_bends_is_a_broad_maximum_and_no_certain_peak():
    y, x = np.mgrid[:512, :384]
    bent = torch.from_numpy(np.cos(2 * np.pi * (0.1 * x + 0.00005 * (x**2 + y**2)))).float()
    spectrum = feature_spectrum(edges(0.4 * bent + white(512, 384)))
    strongest = min(
        (peak.false_alarms for peak in find_peaks(spectrum, sensitivity=1.0)), default=1
    )
    first, *_ = find_smeared(spectrum)
    assert first.false_alarms < 1e-100 < strongest
    away = np.subtract(first.frequency, (0.0001 * 256, 0.1 + 0.0001 * 192))
    assert np.hypot(*away) < 0.02


def test_random_noise_edges_and_small_images_have_no_broad_maximum():
    assert find_smeared(feature_spectrum(edges(white(300, 400)))) == []
    y, x = np.mgrid[:300, :400]
    disc = torch.from_numpy(1.0 * (np.hypot(y - 100, x - 200) < 60)).float()
    assert find_smeared(feature_spectrum(edges(5 * disc + white(300, 400)))) == []
    assert find_smeared(feature_spectrum(edges(wave(100, 400, 0.1, 0.1)))) == []


@given(st.floats(-0.49, 0.49), st.floats(0.1, 9), st.floats(-9, 9))
def test_the_vertex_of_a_parabola_is_found(at, bend, level):
    values = (level - bend * (position - at) ** 2 for position in (-1, 0, 1))
    assert vertex(*values) == pytest.approx(at, abs=1e-9)
    assert vertex(1, 0, 1) == 0
