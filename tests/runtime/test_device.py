import os
import subprocess
import sys

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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_after_an_estimate_works():
    script = (
        "import multiprocessing, numpy as np\n"
        "from napari_periodic_denoise import estimate_noise\n"
        "y, x = np.indices((400, 400))\n"
        "image = 1000 + 500 * np.cos(0.7 * y + 0.5 * x) + np.random.default_rng(0).normal(0, 50)\n"
        "def waves(_): return len(estimate_noise(image).waves)\n"
        "print(waves(0))\n"
        "with multiprocessing.get_context('fork').Pool(1) as pool:\n"
        "    print(pool.map_async(waves, [0]).get(30))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "1\n[1]\n"
