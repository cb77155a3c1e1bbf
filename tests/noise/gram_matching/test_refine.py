from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_periodic_denoise.noise.gram_matching.refine import (
    RefineStep,
    noise_grams,
    refine_channel,
    refine_waves,
)
from napari_periodic_denoise.noise.robust import Range
from napari_periodic_denoise.noise.statistics.networks import load_network
from napari_periodic_denoise.noise.waves.synthesis import synthesize
from napari_periodic_denoise.noise.waves.wave import Wave, wave_at_centre

SHAPE = (64, 80)
SHOWN = Range(0, 255)
TRUTH = Wave((0.11, 0.07), 20.0, 0.5, 1e-9, 100.0)
ASTRAY = Wave((0.112, 0.068), 12.0, 0.8, 1e-9, 100.0)


def run(*args, refine=refine_waves, **options) -> tuple[list[RefineStep], list[Wave]]:
    refinement, steps = refine(*args, **options), []
    while True:
        try:
            steps.append(next(refinement))
        except StopIteration as end:
            return steps, end.value


def disc() -> torch.Tensor:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return torch.from_numpy(80 + 90.0 * (np.hypot(y - 30, x - 35) < 20)).float()


def error(waves: list[Wave], truth: list[Wave]) -> float:
    """Deviation of the waves' sum from the truth, as a share of it."""
    found, wanted = synthesize(waves, SHAPE), synthesize(truth, SHAPE)
    return float((found - wanted).norm() / wanted.norm())


@pytest.fixture(scope="module")
def network():
    return load_network("vgg16", ["conv1_1", "conv2_1"], weights="random")


@pytest.fixture(scope="module")
def target(network):
    """Of the true noise at another phase."""
    exemplar = synthesize([Wave(TRUTH.frequency, 20.0, 2.0, 0, 0)], (48, 48))
    return noise_grams(network, exemplar, SHOWN)


def test_the_mean_of_an_exemplar_does_not_matter(network):
    exemplar = synthesize([TRUTH], (40, 40))
    for layer, gram in noise_grams(network, exemplar + 50, SHOWN).items():
        torch.testing.assert_close(
            gram, noise_grams(network, exemplar, SHOWN)[layer], rtol=1e-4, atol=1e-3
        )


@pytest.mark.parametrize("gram_weight", [0.0, 0.1])
def test_waves_that_are_off_come_back(network, target, gram_weight):
    image = disc() + synthesize([TRUTH], SHAPE)
    steps, waves = run(image, [ASTRAY], network, target, SHOWN, gram_weight=gram_weight)
    assert error([ASTRAY], [TRUTH]) > 0.5
    assert error(waves, [TRUTH]) < 0.02
    assert waves[0].frequency == pytest.approx(TRUTH.frequency, abs=1e-4)
    assert (waves[0].false_alarms, waves[0].evidence) == (1e-9, 100.0)
    assert steps[-1].gradient_loss < steps[0].gradient_loss
    assert [step.step for step in steps] == list(range(1, len(steps) + 1))
    assert (steps[-1].gram_loss == 0) == (gram_weight == 0)


def test_the_gram_term_keeps_the_waves_of_a_hard_edged_pattern(network):
    """A short series of them lowers the L1 term at the edges alone, and raises it elsewhere."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    turns = 2 * np.pi * (0.047 * y + 0.061 * x)
    square = torch.from_numpy(20 * np.sign(np.cos(turns))).float()
    series = [
        Wave((0.047 * k, 0.061 * k), 80 / np.pi / k, np.pi * (k % 4 == 3), 0, 0) for k in (1, 3, 5)
    ]
    target = noise_grams(network, torch.from_numpy(20 * np.sign(np.cos(turns + 1))).float(), SHOWN)

    def left(gram_weight: float) -> float:
        options = {"gram_weight": gram_weight, "steps": 20}
        _, waves = run(disc() + square, series, network, target, SHOWN, **options)
        return float((square - synthesize(waves, SHAPE)).norm() / square.norm())

    assert left(1.0) < 0.9 * left(0.0)


def test_waves_that_are_right_stay(network, target):
    image = disc() + synthesize([TRUTH], SHAPE)
    _, waves = run(image, [TRUTH], network, target, SHOWN, gram_weight=0.1)
    assert error(waves, [TRUTH]) < 0.02


def test_envelopes_are_refined_too(network):
    envelope = np.array([[15.0 + 3j, 4.0], [-5j, 2.0]])
    truth = wave_at_centre(
        np.array([0.13, -0.09]), envelope, SHAPE, false_alarms=1e-9, evidence=100.0
    )
    start = wave_at_centre(
        np.array([0.131, -0.09]), envelope + 3 + 2j, SHAPE, false_alarms=1e-9, evidence=100.0
    )
    noise = synthesize([truth], SHAPE)
    image = disc() + noise
    _, waves = run(
        image, [start], network, noise_grams(network, noise, SHOWN), SHOWN, gram_weight=0.1
    )
    assert waves[0].order == (1, 1)
    assert error([start], [truth]) > 0.2
    assert error(waves, [truth]) < 0.03


def test_the_start_is_synthesised_as_it_is(network, target):
    """One step of no length: what comes out is what went in."""
    image = synthesize([TRUTH], SHAPE)
    _, waves = run(image, [TRUTH], network, target, SHOWN, gram_weight=0.0, steps=1)
    assert error(waves, [TRUTH]) < 1e-4


def test_waves_that_multiply_or_have_hard_edges_stay(network):
    profile = replace(TRUTH, frequency=(0.0, 0.05), profile=((0.2, -1.0), (0.7, 1.0)))
    gain = replace(TRUTH, amplitude=0.1, dark=0.0)
    image = disc() + synthesize([TRUTH, profile], SHAPE)
    near = replace(TRUTH, frequency=(0.1104, 0.0698))
    steps, waves = run(image, [profile, near], network, 1e-3, refine=refine_channel)
    assert waves[0] is profile
    assert error(waves[1:], [TRUTH]) < 0.3 * error([near], [TRUTH])
    assert steps
    assert run(image, [profile, gain], network, 1e-3, refine=refine_channel) == (
        [],
        [profile, gain],
    )
    assert run(image, [], network, 1e-3, refine=refine_channel) == ([], [])


def test_random_noise_of_an_exemplar_is_not_the_waves(network):
    random = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    y, x = torch.meshgrid(*(torch.arange(n) for n in SHAPE), indexing="ij")
    light = 0.2 * x + 0.1 * y
    image = synthesize([TRUTH], SHAPE) + 8 * random + light
    image += disc() * (x > 40)
    exemplar = (0, 0, 64, 40)
    _, waves = run(
        image, [TRUTH], network, 1e-3, refine=refine_channel, exemplar=exemplar, steps=20
    )
    assert error(waves, [TRUTH]) < 0.05
