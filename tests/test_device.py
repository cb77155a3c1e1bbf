import pytest
import torch

from napari_periodic_denoise.device import resolve_device


def test_auto_is_a_device_that_works():
    assert torch.ones(1, device=resolve_device("auto")).item() == 1


def test_names_are_taken():
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_a_missing_device_is_a_value_error():
    with pytest.raises(ValueError, match=r"'cuda'.*choose 'auto'"):
        resolve_device("cuda")


def test_an_unknown_name_is_a_value_error():
    with pytest.raises(ValueError, match="toaster"):
        resolve_device("toaster")
