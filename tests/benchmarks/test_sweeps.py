import numpy as np
import pytest

from benchmarks.families import bundled
from benchmarks.sweeps import IMAGES, SIZES, SWEEPS


@pytest.mark.parametrize("title", [title for title in SWEEPS if title != "size"])
def test_a_case_is_its_specimen_and_its_noise(title):
    sweep = SWEEPS[title]
    for point in (sweep.points[0], sweep.points[-1]):
        case = next(sweep.cases(point))
        assert case.image.dtype == np.uint8
        assert case.image.shape == case.truth.noise.shape == (256, 256)
        specimen = (case.image - case.truth.noise)[case.counts].ravel()
        clean = bundled(IMAGES[0], 256)[case.counts].ravel()
        assert np.corrcoef(specimen, clean)[0, 1] > 0.85


def test_only_what_is_swept_changes():
    sweep = SWEEPS["amplitude"]
    weak, strong = (list(sweep.cases(point))[2] for point in (0.01, 0.3))
    np.testing.assert_allclose(30 * weak.truth.noise, strong.truth.noise, atol=1e-9)


def test_a_share_of_pixels_is_saturated():
    case = next(SWEEPS["saturation"].cases(0.1))
    assert np.mean(case.image == 255) == pytest.approx(0.1, abs=0.02)
    np.testing.assert_array_equal(case.counts, case.image < 255)


@pytest.mark.parametrize(("title", "cycles"), [("on the grid", 128), ("off the grid", 1.5)])
def test_waves_on_the_grid_have_whole_cycles(title, cycles):
    noise = next(SWEEPS[f"frequency {title}"].cases(cycles)).truth.noise
    power = np.sort(np.abs(np.fft.fft2(noise)) ** 2, axis=None)
    in_a_pair = power[-2:].sum() / power.sum()
    assert (in_a_pair > 0.999) == (title == "on the grid")


def test_images_have_the_size_asked_for_and_large_ones_are_few():
    assert {case.image.shape for case in SIZES.cases(128)} == {(128, 128)}
    assert [case.image.shape for case in SIZES.cases(1024)] == [(1024, 1024)] * 2
