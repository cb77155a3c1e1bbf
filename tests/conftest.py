import pytest
import torch
from hypothesis import settings

# the first call of a torch function takes a second on a busy machine
settings.register_profile("default", deadline=None, max_examples=50)
settings.load_profile("default")


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Small arrays gain nothing from threads, which on busy processors wait for each other."""
    torch.set_num_threads(1)
