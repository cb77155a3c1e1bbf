from pathlib import Path

import dask
import numpy as np
import pytest
import torch
from hypothesis import settings

# the first call of a torch function takes a second on a busy machine
settings.register_profile("default", deadline=None, max_examples=50)
settings.load_profile("default")

VGG16 = Path(__file__).parents[2] / "shared/weights/vgg16_features_to_conv5_1.pt"


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Small arrays gain nothing from threads, which on busy processors wait for each other."""
    torch.set_num_threads(1)
    dask.config.set(scheduler="synchronous")  # the number of threads holds for this one alone


@pytest.fixture
def weave():
    """Squares of 8 bits under a weave that is no sum of few waves, and the weave."""
    rng = np.random.default_rng(1)
    squares = 255 * np.kron(rng.uniform(0.3, 0.7, (12, 14)), np.ones((16, 16)))
    fy, fx = np.fft.fftfreq(384)[:, None], np.fft.fftfreq(448)
    spectrum = sum(
        np.exp(-((fy - sign * 0.11) ** 2 + (fx - sign * 0.07) ** 2) / (2 * 0.02**2))
        for sign in (1, -1)
    )
    # cut out of a torus twice as large: it has borders
    noise = np.fft.ifft2(np.fft.fft2(rng.normal(size=(384, 448))) * spectrum).real[:192, :224]
    noise *= 10 / noise.std()
    return np.rint(squares + noise).astype(np.uint8), noise


@pytest.fixture(scope="session")
def vgg16_path():
    """VGG16's ImageNet weights, which are too large to come with the tests."""
    if not VGG16.exists():
        pytest.skip("no VGG16 weights in ../shared/weights")
    return VGG16
