"""Results of runs."""

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest

from fakes import make_estimate
from napari_periodic_denoise import select_waves
from napari_periodic_denoise.noise.outcome import Outcome
from napari_periodic_denoise.noise.stack_model import SharedModel
from napari_periodic_denoise.records.record import record
from napari_periodic_denoise.stacks.clean import StackEstimate
from napari_periodic_denoise.viewer.layers import outcome
from napari_periodic_denoise.viewer.layers.plane import Plane

IMAGE = np.full((20, 30), 100, np.uint8)
PLANE = Plane((1, 2), (1,))
MODEL = SharedModel((20, 30), np.arange(1), np.full((1, 2, 2), 0.1), np.ones(2), np.ones(2))


def stack_of(*amplitudes, model=None):
    estimates = np.empty(len(amplitudes), object)
    estimates[:] = [make_estimate(IMAGE, amplitude) for amplitude in amplitudes]
    return StackEstimate(
        np.stack([estimate.noise for estimate in estimates]),
        np.stack([estimate.cleaned for estimate in estimates]),
        estimates,
        model,
    )


def test_no_noise_still_has_limits_around_zero():
    assert outcome.symmetric_limits(np.zeros((3, 3), np.float32)) == (-1, 1)
    assert outcome.symmetric_limits(np.float32([[-2, 1]])) == (-2, 2)


def test_of_a_plane_that_is_the_layer():
    estimate = make_estimate(IMAGE)
    made = outcome.outcome_of_plane(IMAGE, estimate, Plane())
    assert made.noise is estimate.noise
    assert made.cleaned is estimate.cleaned
    assert made.found == record(estimate)
    assert made.summary == estimate.summary


def test_of_a_plane_of_a_stack():
    estimate = make_estimate(IMAGE)
    made = outcome.outcome_of_plane(IMAGE, estimate, PLANE)
    assert made.noise.shape == made.cleaned.shape == (1, 20, 30)
    assert made.start == (1, 0, 0)
    assert made.summary == f"plane 1: {estimate.summary}"
    assert made.found["plane"] == [1]


@pytest.mark.parametrize("plane", [Plane(), PLANE])
def test_of_fewer_waves(plane):
    made = outcome.outcome_of_plane(IMAGE, make_estimate(IMAGE), plane)
    fewer = outcome.outcome_of_selection(made, select_waves(IMAGE, made.estimate, [(0.0, 0.1)]))
    assert not fewer.noise.any()
    np.testing.assert_array_equal(fewer.cleaned, plane.in_place(IMAGE))
    assert (fewer.start, fewer.limits) == (made.start, made.limits)
    assert fewer.found["waves"] == []
    assert [wave["frequency"] for wave in fewer.found["off"]] == [[0.0, 0.1]]
    assert fewer.found.get("plane") == made.found.get("plane")
    assert fewer.summary.endswith("nothing removed")
    assert outcome.outcome_of_selection(made, made.estimate) is made


def suggested_only():
    """Estimate whose only wave is suggested, and the estimate with the wave removed."""
    whole = make_estimate(IMAGE)
    waves = tuple(replace(wave, outcome=Outcome.SUGGESTED) for wave in whole.waves)
    nothing = np.zeros_like(whole.noise)
    kept = replace(
        whole, noise=nothing, cleaned=IMAGE, waves=(), kept_waves=waves, removed_variance=0.0
    )
    return kept, select_waves(IMAGE, kept, [], [(0.0, 0.1)])


def test_a_first_wave_brings_its_contrast():
    kept, ticked = suggested_only()
    made = outcome.outcome_of_plane(IMAGE, kept, Plane())
    assert made.limits == (-1, 1)
    more = outcome.outcome_of_selection(made, ticked)
    assert more.limits == more.reach == pytest.approx((-3, 3), rel=1e-3)


def test_a_stronger_wave_widens_the_contrast():
    kept, ticked = suggested_only()
    weak = replace(kept, noise=kept.noise + 0.5)
    more = outcome.outcome_of_selection(outcome.outcome_of_plane(IMAGE, weak, Plane()), ticked)
    assert more.limits == pytest.approx((-3, 3), rel=1e-3)


def test_of_all_planes():
    stack = stack_of(3, 6, 2)
    made = outcome.outcome_of_planes(IMAGE, stack, PLANE, "per_plane")
    assert made.estimate is stack.estimates[1]
    assert made.limits == pytest.approx((-6, 6))
    assert made.start == (0, 0, 0)
    assert made.summary == "periodic noise in 3 of 3 planes"
    assert [one["plane"] for one in made.found["planes"]] == [[0], [1], [2]]
    assert made.found["model"] == "per_plane"
    made = outcome.outcome_of_planes(IMAGE, stack_of(3, 6, 2, model=MODEL), PLANE, "drifting")
    assert made.summary == "2 waves, one model for all 3 planes; periodic noise in 3 of 3 planes"


def test_of_planes_that_are_yet_to_be_computed():
    stack = stack_of(3, 6, 2)
    levels = [da.from_array(stack.noise), da.from_array(stack.noise[:, ::2, ::2])]
    lazy = StackEstimate(levels, levels, da.from_array(np.zeros(3)), MODEL)
    made = outcome.outcome_of_lazy_planes(
        IMAGE, lazy, PLANE, "shared", stack.estimates[1], {"key": 1}
    )
    assert made.limits == pytest.approx((-6, 6))
    assert made.reach[1] > made.limits[1]  # that of other planes may be stronger
    assert made.start == (0, 0, 0)
    assert made.summary.startswith("2 waves, one model for all 3 planes; each")
    assert [one["plane"] for one in made.found["planes"]] == [[1]]
