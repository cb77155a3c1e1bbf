import pytest
import torch

from napari_periodic_denoise.runtime.device import is_out_of_memory, release_memory, resolve_device


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


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("MPS backend out of memory (allocated: 9 GB)"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory"), True),
        (MemoryError(), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_errors_of_memory_are_known(error, expected):
    assert is_out_of_memory(error) is expected


@pytest.mark.parametrize("name", ["cuda", "mps", "cpu"])
def test_memory_is_released_where_it_is(name, monkeypatch):
    released = []
    for module in ("cuda", "mps"):
        monkeypatch.setattr(
            getattr(torch, module), "empty_cache", lambda m=module: released.append(m)
        )
    release_memory(torch.device(name))
    assert released == ([] if name == "cpu" else [name])
