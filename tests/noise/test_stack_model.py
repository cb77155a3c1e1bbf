from collections.abc import Callable

import numpy as np
import pytest

from napari_periodic_denoise import NoiseEstimate, Progress, estimate_noise
from napari_periodic_denoise.noise.progress import Step
from napari_periodic_denoise.noise.stack_model import SharedModel, find_shared, iter_estimate_plane
from napari_periodic_denoise.runtime.steps import finish, mapped

SHAPE = (150, 180)
PLANES = 16
F = np.array([0.113, 0.171])


def model_of(read: Callable[[int], np.ndarray], count: int = PLANES, **options) -> SharedModel:
    def check(step: Step) -> None:
        assert step.stage in ("read", "detect", "fit")
        assert step.message

    return finish(mapped(find_shared(read, count, **options), check))


def estimate_plane(*args, **options) -> NoiseEstimate:
    def check(step: Progress) -> None:
        assert step.done < step.total
        assert step.message

    return finish(mapped(iter_estimate_plane(*args, **options), check))


def specimen(plane: int) -> np.ndarray:
    """Discs that move from plane to plane, and the detector's noise."""
    rng = np.random.default_rng([plane, 3])
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = np.zeros(SHAPE)
    for _ in range(8):
        cy, cx, r = rng.uniform(0, SHAPE[0]), rng.uniform(0, SHAPE[1]), rng.uniform(8, 30)
        image += 300 * (np.hypot(y - cy, x - cx) < r)
    return image + rng.normal(0, 40, SHAPE)


def wave(plane: int, amplitude: float, frequency: np.ndarray = F) -> np.ndarray:
    """A wave whose phase is another in each plane."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return amplitude * np.cos(2 * np.pi * (frequency[0] * y + frequency[1] * x) + 2.4 * plane)


def rejection(noise: np.ndarray, truth: np.ndarray) -> float:
    return 10 * np.log10(np.mean(truth**2) / np.mean((noise - truth) ** 2))


def test_noise_of_half_the_strength_that_one_plane_reveals_is_found_in_many():
    def plane(i: int, amplitude: float = 2.5) -> np.ndarray:
        return specimen(i) + wave(i, amplitude)

    assert not all(estimate_noise(plane(i, 5.0)).waves for i in range(8))
    assert not any(estimate_noise(plane(i)).waves for i in range(8))
    model = model_of(plane, 2 * PLANES)
    assert model.plain
    assert not model.drifts
    assert model.frequencies.shape == (1, 1, 2)
    assert np.abs((np.abs(model.frequencies[0, 0]) - F) * SHAPE).max() < 0.1
    kept = [rejection(estimate_plane(model, i, plane(i)).noise, wave(i, 2.5)) for i in range(32)]
    assert np.median(kept) > 10
    assert np.mean(np.array(kept) > 5) > 0.8


def test_a_stack_without_periodic_noise_has_no_waves():
    model = model_of(specimen)
    assert model.frequencies.shape == (1, 0, 2)
    image = specimen(3)
    estimate = estimate_plane(model, 3, image)
    assert not estimate.noise.any()
    np.testing.assert_array_equal(estimate.cleaned, image)


def test_noise_of_rows_is_removed_from_each_plane():
    rng = np.random.default_rng(5)
    rows = 40 * rng.normal(size=(PLANES, SHAPE[0], 1))

    def plane(i: int) -> np.ndarray:
        return specimen(i) + rows[i] + wave(i, 60.0)

    model = model_of(plane)
    assert model.lines
    assert model.frequencies.shape == (1, 1, 2)
    for i in (0, PLANES - 1):
        estimate = estimate_plane(model, i, plane(i))
        assert [line.name for line in estimate.removed_lines] == ["rows: lines"]
        assert len(estimate.waves) == 1
        assert rejection(estimate.noise, rows[i] + wave(i, 60.0)) > 10
    assert not model_of(wave_and_specimen).lines
    assert not model_of(plane, 1, remainder="none").lines


def wave_and_specimen(i: int) -> np.ndarray:
    return specimen(i) + wave(i, 60.0)


def test_amplitude_and_phase_are_each_planes_own_and_may_be_nothing():
    def plane(i: int) -> np.ndarray:
        return (specimen(i) + wave(i, 0 if i == 5 else 40 + 5 * i)).round().astype(np.int16)

    model = model_of(plane)
    for i in (0, 3, PLANES - 1):
        estimate = estimate_plane(model, i, plane(i))
        assert rejection(estimate.noise, wave(i, 40 + 5 * i)) > 25
        np.testing.assert_array_equal(
            estimate.cleaned, plane(i) - np.rint(estimate.noise).astype(np.int16)
        )
        assert estimate.settings["model"] == "shared"
    without = estimate_plane(model, 5, plane(5))
    assert not without.waves
    np.testing.assert_array_equal(without.cleaned, plane(5))


def test_a_wave_that_drifts_is_followed_to_both_ends():
    def frequency(i: int) -> np.ndarray:
        return F + np.array([0.6, -0.4]) / SHAPE * (i - PLANES / 2)

    def plane(i: int) -> np.ndarray:
        return specimen(i) + wave(i, 60.0, frequency(i))

    model = model_of(plane, drifting=True)
    assert model.drifts
    for i in range(0, PLANES, 3):
        estimate = estimate_plane(model, i, plane(i))
        assert rejection(estimate.noise, wave(i, 60.0, frequency(i))) > 25
        assert estimate.settings["model"] == "drifting"


def test_frequencies_between_known_planes_lie_between_them():
    known = np.array([[[0.1, 0.2]], [[0.2, 0.1]]])
    none = np.zeros(1)
    model = SharedModel(SHAPE, np.array([10, 20]), known, none, none)
    np.testing.assert_allclose(model.at(15), [[0.15, 0.15]])
    np.testing.assert_allclose(model.at(0), known[0])
    np.testing.assert_allclose(model.at(99), known[1])


def test_channels_share_frequencies_and_one_without_the_wave_stays():
    def plane(i: int) -> np.ndarray:
        both = [specimen(i) + wave(i, 60.0), specimen(i + 100)]
        return np.stack(both, -1).round().astype(np.int16)

    model = model_of(plane, 4, channel_axis=-1)
    estimate = estimate_plane(model, 2, plane(2), channel_axis=-1)
    assert rejection(estimate.noise[..., 0], wave(2, 60.0)) > 25
    np.testing.assert_array_equal(estimate.cleaned[..., 1], plane(2)[..., 1])


def test_waves_with_hard_edges_are_searched_plane_by_plane_from_the_stacks_on():
    x = np.arange(SHAPE[1])

    def stripes(i: int) -> np.ndarray:
        return np.broadcast_to(300 * np.sign(np.sin(2 * np.pi * x / 11.37 + 0.9 * i)), SHAPE)

    model = model_of(lambda i: specimen(i) + stripes(i), 4)
    assert not model.plain
    estimate = estimate_plane(model, 1, specimen(1) + stripes(1))
    assert any(wave.profile is not None for wave in estimate.waves)
    assert rejection(estimate.noise, stripes(1)) > 20


def test_planes_of_another_shape_are_told():
    model = model_of(specimen, 1)
    with pytest.raises(ValueError, match="150×180 pixels; this plane has 150×100"):
        estimate_plane(model, 0, specimen(0)[:, :100])


def test_a_plane_that_can_not_be_taken_is_named():
    def plane(i: int) -> np.ndarray:
        return specimen(i) if i != 3 else np.full(SHAPE, np.nan)

    with pytest.raises(ValueError, match=r"plane 3: .* NaN or infinite"):
        model_of(plane, 4)
