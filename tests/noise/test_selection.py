import json

import numpy as np
import pytest
from skimage.data import astronaut

from napari_periodic_denoise import clean_stack, estimate_noise, select_waves

Y, X = np.mgrid[:256, :256]
FREQUENCIES = [(0.11, 0.07), (0.03, -0.2), (0.0, 0.31)]
WAVES = [
    amplitude * np.cos(2 * np.pi * (fy * Y + fx * X) + 0.4)
    for amplitude, (fy, fx) in zip((9.0, 7.0, 5.0), FREQUENCIES, strict=True)
]


@pytest.fixture(scope="module")
def image():
    clean = 0.6 * astronaut()[100:356, 100:356, 1] + 50
    return np.rint(clean + sum(WAVES)).astype(np.uint8)


@pytest.fixture(scope="module")
def estimate(image):
    return estimate_noise(image)


def correlation(first, second):
    return np.corrcoef(first.ravel(), second.ravel())[0, 1]


def test_what_is_off_stays_in_the_image(image, estimate):
    before = image.copy()
    fewer = select_waves(image, estimate, off=[FREQUENCIES[1]])
    assert len(fewer.waves) == 2
    truth = WAVES[0] + WAVES[2]
    assert np.abs(fewer.noise - truth).std() < 0.02 * truth.std()
    np.testing.assert_array_equal(
        fewer.cleaned, np.clip(image - np.rint(fewer.noise), 0, 255).astype(np.uint8)
    )
    assert fewer.removed_variance < estimate.removed_variance
    assert json.loads(json.dumps(fewer.settings))["off"] == [list(FREQUENCIES[1])]
    np.testing.assert_array_equal(image, before)


def test_nothing_off_is_the_estimate_itself(image, estimate):
    assert select_waves(image, estimate, off=[]) is estimate
    assert select_waves(image, estimate, off=[(0.4, 0.4)]) is estimate


def test_all_off_is_the_image_itself(image, estimate):
    none = select_waves(image, estimate, off=FREQUENCIES)
    assert not none.waves
    assert not none.noise.any()
    np.testing.assert_array_equal(none.cleaned, image)
    assert none.removed_variance == 0


def test_a_wave_may_be_named_from_either_side(image, estimate):
    fy, fx = FREQUENCIES[0]
    fewer = select_waves(image, estimate, off=[(-fy, -fx)])
    assert len(fewer.waves) == 2


def test_shares_are_of_the_noises_variance(estimate):
    shares = {wave.share for wave in estimate.waves}
    expected = np.array([9.0**2, 7.0**2, 5.0**2])
    np.testing.assert_allclose(sorted(shares), sorted(expected / expected.sum()), atol=0.01)


def test_waves_that_multiply_are_switched_too():
    clean = 0.6 * astronaut()[100:356, 100:356, 1] + 50.0
    image = (clean + WAVES[2]) * (1 + 0.2 * np.cos(2 * np.pi * (0.11 * Y + 0.07 * X)))
    estimate = estimate_noise(image)
    (gain,) = [wave for wave in estimate.waves if wave.dark is not None]
    assert 0.5 < gain.share <= 1
    fewer = select_waves(image, estimate, off=[gain.frequency])
    assert np.abs(fewer.noise - WAVES[2]).std() < 0.05 * WAVES[2].std()


def test_channels_and_transparency():
    colour = 0.6 * astronaut()[100:356, 100:356] + 50 + WAVES[0][..., None]
    colour[..., 2] += WAVES[1]
    rgb = np.rint(colour).astype(np.uint8)
    estimate = estimate_noise(rgb, channel_axis=-1)
    fewer = select_waves(rgb, estimate, off=[FREQUENCIES[0]])
    assert not fewer.noise[..., :2].any()
    assert correlation(fewer.noise[..., 2], WAVES[1]) > 0.99
    rgba = np.concatenate([rgb, np.full((*rgb.shape[:2], 1), 77, np.uint8)], -1)
    with_alpha = select_waves(rgba, estimate, off=[FREQUENCIES[0]])
    np.testing.assert_array_equal(with_alpha.cleaned[..., :3], fewer.cleaned)
    assert (with_alpha.cleaned[..., 3] == 77).all()


def test_what_is_no_wave_stays_removed():
    rng = np.random.default_rng(0)
    stripes = np.repeat(rng.normal(0, 6, 256)[:, None], 256, 1)
    image = 0.5 * astronaut()[100:356, 100:356, 1] + 60 + stripes + WAVES[0]
    estimate = estimate_noise(image, remainder="stripes")
    assert estimate.remainder_variance
    fewer = select_waves(image, estimate, off=[FREQUENCIES[0]])
    np.testing.assert_allclose(estimate.noise - fewer.noise, WAVES[0], atol=0.5)
    assert fewer.remainder_variance == pytest.approx(estimate.remainder_variance, rel=1e-3)


def test_protected_pixels_stay_with_fewer_waves_too(image):
    protected = (60, 60, 120, 120)
    estimate = estimate_noise(image, protect=[protected], protect_edge=8)
    fewer = select_waves(image, estimate, off=[FREQUENCIES[0]])
    assert not fewer.noise[60:120, 60:120].any()
    assert correlation(fewer.noise[140:], (WAVES[1] + WAVES[2])[140:]) > 0.99


def test_waves_of_a_shared_model(image):
    result = clean_stack(np.stack([image, image[::-1]]), model="shared")
    fewer = select_waves(image, result.estimates[0], off=FREQUENCIES[1:])
    assert correlation(fewer.noise, WAVES[0]) > 0.99


@pytest.mark.parametrize(
    "off",
    [None, [0.1, 0.2], [(0.1,)], [(0.1, 0.2), (0.1,)], [("a", "b")], [(np.inf, 0)], [(np.nan, 0)]],
    ids=str,
)
def test_what_is_no_list_of_frequencies_is_refused(image, estimate, off):
    with pytest.raises(ValueError, match="expected off as a list of frequencies"):
        select_waves(image, estimate, off)


def test_another_images_estimate_is_refused(image, estimate):
    with pytest.raises(ValueError, match=r"shape \(255, 256\)"):
        select_waves(image[1:], estimate, off=[FREQUENCIES[0]])
