import numpy as np
import pytest
import torch

from napari_periodic_denoise import NoiseEstimate
from napari_periodic_denoise.stacks.channels import leaving_alpha


def fake_engine(image, **options):
    """Take 1 from all it gets, and tell with which options."""
    yield "working"
    image = np.asarray(image)
    noise = np.ones(image.shape, np.float32)
    return NoiseEstimate(noise, image - 1, (), options, 0.0, 0.0, ())


def finish(run):
    steps = []
    while True:
        try:
            steps.append(next(run))
        except StopIteration as end:
            return steps, end.value


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("alpha", [0, 1, 2])
def test_a_fake_engine_gets_no_alpha(axis, alpha, make):
    pixels = np.moveaxis(np.full((6, 8, 4), 7, np.uint8), -1, axis)
    before = pixels.copy()
    steps, estimate = finish(
        leaving_alpha(fake_engine, make(pixels), channel_axis=axis, alpha=alpha, seed=3)
    )
    assert steps == ["working"]
    assert estimate.settings == {"channel_axis": axis, "seed": 3}
    channels = np.moveaxis(np.asarray(estimate.cleaned), axis, 0)
    assert channels.dtype == np.uint8
    assert [set(channel.ravel().tolist()) for channel in channels] == [{6}] * (4 - alpha) + [
        {7}
    ] * alpha
    assert estimate.noise.shape[axis] == 4 - alpha
    np.testing.assert_array_equal(pixels, before)


def test_a_fake_engine_gets_grey_images_as_they_are():
    image = np.zeros((6, 8))
    _, estimate = finish(leaving_alpha(fake_engine, image, channel_axis=None, alpha=0))
    assert estimate.cleaned.shape == (6, 8)
    assert estimate.settings == {"channel_axis": None}
