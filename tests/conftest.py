from pathlib import Path

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


@pytest.fixture(scope="session")
def vgg16_path():
    """VGG16's ImageNet weights, which are too large to come with the tests."""
    if not VGG16.exists():
        pytest.skip("no VGG16 weights in ../shared/weights")
    return VGG16
