import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from napari_periodic_denoise import estimate_noise
from napari_periodic_denoise.noise import estimate as engine
from napari_periodic_denoise.runtime import device
from napari_periodic_denoise.stacks import clean as clean_module
from napari_periodic_denoise.stacks import planes
from napari_periodic_denoise.stacks.layout import Layout
from napari_periodic_denoise.stacks.planes import clean_plane, iter_clean_plane
from stacks import plane, stack


@pytest.fixture
def gpu(monkeypatch):
    """A GPU that is none: whatever is computed there, runs out of memory half way."""
    released, devices = [], []

    def run(image, *, device="auto", **options):
        devices.append(device)
        steps = real(image, device="cpu", **options)
        yield next(steps)
        if device != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 3 GiB")
        return (yield from steps)

    real = engine.iter_estimate_noise
    monkeypatch.setattr(engine, "iter_estimate_noise", run)
    for module in (device, planes):
        monkeypatch.setattr(module, "resolve_device", lambda name: torch.device("cuda"))
        monkeypatch.setattr(module, "release_memory", released.append)
    monkeypatch.setattr(planes, "memory_of", lambda device: 10**9)
    return devices, released, real


def test_a_fault_injected_allocator_out_of_memory_brings_the_plane_to_the_cpu(gpu):
    devices, released, _ = gpu
    with pytest.warns(RuntimeWarning, match=r"cuda .* \(64, 80\), which is computed on the CPU"):
        estimate = clean_plane(plane(1))
    # among others, alone, and on the CPU
    assert devices == ["auto", "auto", "cpu"]
    assert released == [torch.device("cuda")] * 2
    np.testing.assert_array_equal(estimate.noise, estimate_noise(plane(1), device="cpu").noise)


def test_a_fault_injected_allocator_out_of_memory_on_the_cpu_is_an_error(monkeypatch):
    def exhausted(image, **options):
        yield from ()
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(engine, "iter_estimate_noise", exhausted)
    with pytest.raises(RuntimeError, match="can't allocate"):
        clean_plane(plane(1), device="cpu")


def test_a_fault_injected_allocator_brings_the_search_for_a_model_to_the_cpu(monkeypatch):
    devices = []

    def search(read, count, *, device, **options):
        devices.append(device)
        if device != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 3 GiB")
        return (yield from real(read, count, device=device, **options))

    real = clean_module.find_shared
    monkeypatch.setattr(clean_module, "find_shared", search)
    monkeypatch.setattr(device, "release_memory", lambda device: None)
    monkeypatch.setattr(
        device, "resolve_device", lambda name: torch.device("cpu" if name == "cpu" else "cuda")
    )
    with pytest.warns(RuntimeWarning, match="for the model of a stack, which is computed on the"):
        list(
            clean_module._find_model(
                stack(4), Layout.of(3, (-2, -1), None), "shared", {"alpha": 0}
            )
        )
    assert devices == ["auto", "cpu"]


def test_memory_is_handed_back_after_a_run_that_was_stopped(gpu):
    run = iter_clean_plane(plane(1))
    next(run)
    run.close()
    assert gpu[1] == [torch.device("cuda")]


def test_a_fault_injected_allocator_with_room_for_one_takes_planes_alone(gpu, monkeypatch):
    at_work, refused = [], []

    def run(image, *, device, **options):
        at_work.append(image)
        try:
            time.sleep(0.05)
            if len(at_work) > 1:
                refused.append(device)
                raise torch.OutOfMemoryError("CUDA out of memory")
            return (yield from real(image, device="cpu", **options))
        finally:
            at_work.pop()

    real = gpu[2]
    monkeypatch.setattr(engine, "iter_estimate_noise", run)
    with ThreadPoolExecutor(4) as pool:
        estimates = list(pool.map(clean_plane, stack(4)))
    assert "auto" in refused
    assert "cpu" not in refused
    monkeypatch.setattr(engine, "iter_estimate_noise", real)
    for image, estimate in zip(stack(4), estimates, strict=True):
        np.testing.assert_array_equal(estimate.cleaned, estimate_noise(image).cleaned)


def test_a_gpu_is_shared_as_far_as_its_memory_goes():
    memory, inside, most = device.SharedMemory(), [], []

    def use(need):
        with memory.share(need, 100):
            inside.append(need)
            most.append(sum(inside))
            time.sleep(0.01)
            inside.remove(need)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, [40, 50, 30, 60, 20, 150, 40, 10]))
    assert sorted(most)[-2] > 60
    assert all(total <= 100 or total == 150 for total in most)


def test_alone_is_without_any_other():
    memory, inside, others = device.SharedMemory(), [], []

    def use(alone):
        with memory.alone() if alone else memory.share(1, 100):
            inside.append(alone)
            time.sleep(0.01)
            if alone:
                others.append(len(inside) - 1)
            inside.remove(alone)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, [False, True, False, False, True, False]))
    assert others == [0, 0]
