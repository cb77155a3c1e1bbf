import numpy as np
import pytest

from napari_periodic_denoise import NoiseEstimate, Wave


def estimate(frequencies, channel=0, **settings) -> NoiseEstimate:
    return NoiseEstimate(
        noise=np.zeros((256, 300), np.float32),
        cleaned=np.zeros((256, 300)),
        waves=tuple(Wave(f, 1.0, 0.0, 1e-9, 100.0, channel=channel) for f in frequencies),
        settings={"method": "aligned", **settings},
        removed_variance=0.1,
        remainder_variance=0.0,
        rejected=(),
    )


HEXAGON = [(0.1, 0.0), (0.05, 0.0866), (-0.05, 0.0866)]


def test_a_lattice_is_warned_of():
    (warning,) = estimate([*HEXAGON, (0.31, 0.02)]).warnings
    assert "lattice of 3 waves" in warning
    assert "exemplar" in warning


def test_a_bent_lattice_is_one():
    bent = [*HEXAGON[:2], (HEXAGON[2][0], HEXAGON[2][1] + 0.7 / 300)]
    assert estimate(bent).warnings


@pytest.mark.parametrize(
    "frequencies",
    [[], HEXAGON[:2], [(0.1, 0.02), (0.2, 0.04), (0.3, 0.06)], [(0.1, 0.2), (0.3, 0.1), (0, 0.4)]],
)
def test_waves_and_stripes_are_no_lattice(frequencies):
    assert estimate(frequencies).warnings == ()


def test_who_has_marked_an_exemplar_is_not_warned():
    assert estimate(HEXAGON, exemplar=[[0, 0, 20, 20]]).warnings == ()


def test_lattices_of_channels():
    one = estimate(HEXAGON, channel=1, channel_axis=0)
    planes = np.zeros((2, 256, 300), np.float32)
    assert NoiseEstimate(planes, planes, one.waves, one.settings, 0.1, 0.0, ()).warnings
    mixed = tuple(Wave(f, 1.0, 0.0, 1e-9, 100.0, channel=i) for i, f in enumerate(HEXAGON))
    assert not NoiseEstimate(planes, planes, mixed, one.settings, 0.1, 0.0, ()).warnings


def test_a_texture_says_that_it_has_no_phase():
    texture = estimate([], method="texture")
    assert "no phase" in texture.summary
    assert "comparison only" in texture.warnings[0]
