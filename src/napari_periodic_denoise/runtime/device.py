"""Which processor the engine computes on, and its memory."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from threading import Condition
from typing import TypeVar

import torch

from napari_periodic_denoise.runtime.steps import T

if hasattr(os, "register_at_fork"):
    # OpenMP's threads do not survive a fork: a process made by one would wait for them forever
    os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Turn a device's name into a device that is there.

    Parameters
    ----------
    device : str or torch.device
        ``"auto"`` takes CUDA, then MPS, then the CPU; otherwise any name torch knows.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If torch does not know the name, or the device is not available here.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            f"device {str(device)!r} can't be used here ({reason}); "
            "choose 'auto', 'cpu', 'cuda' or 'mps'"
        ) from error
    return resolved


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory did not suffice.

    Parameters
    ----------
    error : BaseException
    """
    # torch.OutOfMemoryError is CUDA's alone: its allocators for the CPU and MPS only say so
    words = f"{type(error).__name__} {error}".lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and any(
            sign in words
            for sign in (
                "outofmemory",
                "out of memory",
                "not enough memory",
                "can't allocate memory",
            )
        )
    )


def memory_of(device: torch.device) -> int:
    """Bytes of memory that a GPU has.

    Parameters
    ----------
    device : torch.device
        Of CUDA or MPS.
    """
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory())
    return int(torch.cuda.get_device_properties(device).total_memory)


def release_memory(device: torch.device) -> None:
    """Hand back the memory that torch keeps on a device for later, which nothing uses now.

    Parameters
    ----------
    device : torch.device
    """
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


S = TypeVar("S")


def run_with_cpu_fallback(
    run: Callable[[str], Generator[S, None, T]], device: str, what: str
) -> Generator[S, None, T]:
    """Compute on a device, or on the CPU if the device's memory does not suffice.

    The device's memory that is free at the end is handed back.

    Parameters
    ----------
    run : function of str to generator
        Begins the computation on the device of that name.
    device : str
        See `estimate_noise`.
    what : str
        What memory is needed for, in words.

    Yields
    ------
    what the computation yields

    Returns
    -------
    what the computation returns

    Warns
    -----
    RuntimeWarning
        If it is computed on the CPU instead.
    """
    where = resolve_device(device)
    try:
        return (yield from run(device))
    except (MemoryError, RuntimeError) as error:
        if where.type == "cpu" or not is_out_of_memory(error):
            raise
        warnings.warn(
            f"the memory of {where} does not suffice for {what}, which is computed on the CPU "
            "instead",
            RuntimeWarning,
            stacklevel=2,
        )
    finally:
        release_memory(where)
    # after the except clause: the error's traceback would keep what is on the GPU
    return (yield from run("cpu"))


class SharedMemory:
    """Who uses how much of a GPU's memory, among threads."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._used = 0

    @contextmanager
    def share(self, need: int, most: int) -> Iterator[None]:
        """Wait until so many bytes of so many are left, or nobody else uses any."""
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + need <= most)
            self._used += need
        try:
            yield
        finally:
            with self._changed:
                self._used -= need
                self._changed.notify_all()

    def alone(self) -> AbstractContextManager[None]:
        """Wait until nobody else uses any."""
        return self.share(1 << 62, 0)


gpu_memory = SharedMemory()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread of the processor, in this thread of Python."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)  # which holds for this thread
    try:
        yield
    finally:
        torch.set_num_threads(usual)
