import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_periodic_denoise.noise.statistics.whitened import whitened_spectrum

RNG = np.random.default_rng(3)


def wave(shape, fy, fx):
    y, x = np.indices(shape)
    return np.cos(2 * np.pi * (fy * y + fx * x) + 1)


@pytest.mark.parametrize("shape", [(128, 128), (96, 160), (75, 81), (125, 64)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_wave_is_where_the_axes_say(shape, sign):
    fy, fx = 0.13, 0.21 * sign
    image = 0.3 * wave(shape, fy, fx) + RNG.normal(size=shape)
    spectrum = whitened_spectrum(image)
    h, w = spectrum.excess.shape
    assert spectrum.fy.shape == (h,)
    assert spectrum.fx.shape == (w,)
    assert spectrum.fy[h // 2] == spectrum.fx[w // 2] == 0
    assert (np.diff(spectrum.fy) > 0).all()
    assert (np.diff(spectrum.fx) > 0).all()
    at = np.unravel_index(spectrum.excess.argmax(), (h, w))
    found = spectrum.fy[at[0]], spectrum.fx[at[1]]
    assert min(np.hypot(fy - found[0], fx - found[1]), np.hypot(fy + found[0], fx + found[1])) < (
        1.5 / min(shape)
    )


@given(st.integers(32, 60), st.integers(32, 60))
@settings(max_examples=20, deadline=None)
def test_the_spectrum_is_symmetric(height, width):
    spectrum = whitened_spectrum(RNG.normal(size=(height, width)))
    h, w = spectrum.excess.shape
    # the highest frequency of an even length has no counterpart
    inner = spectrum.excess[1 - h % 2 :, 1 - w % 2 :]
    # not to the last bit: the mirrored half is of the same numbers, but for the first column
    middle = inner.shape[1] // 2
    np.testing.assert_array_equal(inner[:, :middle], inner[::-1, ::-1][:, :middle])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_click_beside_a_peak_finds_it_off_the_grid(sign):
    fy, fx = 0.1307, sign * 0.2119
    image = 0.5 * wave((256, 256), fy, fx) + RNG.normal(size=(256, 256))
    spectrum = whitened_spectrum(image)
    for click in ((fy + 0.006, fx - 0.005), (-fy - 0.006, -fx - 0.005)):
        found = np.array(spectrum.nearest_peak(click, 0.01))
        expected = np.array([fy, fx]) * np.sign(click[0])
        assert np.abs(found - expected).max() < 0.3 / 256


def test_a_click_where_no_wave_can_be_stays_there():
    spectrum = whitened_spectrum(RNG.normal(size=(64, 64)))
    assert spectrum.nearest_peak((0.0, 0.001), 0.002) == (0.0, 0.001)
    assert spectrum.nearest_peak((0.7, 0.7), 0.01) == (0.7, 0.7)


def test_colours_are_seen_together():
    colour = RNG.normal(size=(128, 128, 3))
    colour[..., 1] += wave((128, 128), 0.2, 0.1)
    spectrum = whitened_spectrum(colour, channel_axis=-1)
    at = np.unravel_index(spectrum.excess.argmax(), spectrum.excess.shape)
    assert abs(abs(spectrum.fy[at[0]]) - 0.2) < 0.01


def test_features_of_a_network_are_refused():
    with pytest.raises(ValueError, match="'edges', 'cosines'"):
        whitened_spectrum(np.zeros((64, 64)), features="vgg16")
