"""Devices of the engine, and their memory."""

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
    """Return an available device by its name.

    Parameters
    ----------
    device : str or torch.device
        ``"auto"`` chooses CUDA, then MPS, then the CPU. Otherwise a device name of torch.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If torch does not know the name, or the device is not available.
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
            f"device {str(device)!r} is not available ({reason}): "
            "choose 'auto', 'cpu', 'cuda' or 'mps'"
        ) from error
    return resolved


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is caused by too little memory.

    Parameters
    ----------
    error : BaseException

    Returns
    -------
    bool
    """
    # torch.OutOfMemoryError is raised by CUDA only; on the CPU and MPS only the message says it
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
    """Memory of a GPU in bytes.

    Parameters
    ----------
    device : torch.device
        CUDA or MPS device.

    Returns
    -------
    int
    """
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory())
    return int(torch.cuda.get_device_properties(device).total_memory)


def release_memory(device: torch.device) -> None:
    """Release the unused memory that torch has cached on a device.

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
    """Compute on a device, or on the CPU if the memory of the device is too small.

    The unused memory of the device is released at the end.

    Parameters
    ----------
    run : function of str to generator
        Starts the computation on the device of a name.
    device : str
        See `estimate_noise`.
    what : str
        Name of the computation for the warning.

    Yields
    ------
    object
        Steps of the computation.

    Returns
    -------
    object
        Result of the computation.

    Warns
    -----
    RuntimeWarning
        If the computation is repeated on the CPU.
    """
    where = resolve_device(device)
    try:
        return (yield from run(device))
    except (MemoryError, RuntimeError) as error:
        if where.type == "cpu" or not is_out_of_memory(error):
            raise
        warnings.warn(
            f"the memory of {where} is too small for {what}, which is computed on the CPU instead",
            RuntimeWarning,
            stacklevel=2,
        )
    finally:
        release_memory(where)
    # after the except clause, since the traceback would keep tensors on the GPU alive
    return (yield from run("cpu"))


class SharedMemory:
    """Memory budget of a GPU that threads share."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._used = 0

    @contextmanager
    def share(self, need: int, total: int) -> Iterator[None]:
        """Wait until ``need`` of ``total`` bytes are free, or no other thread uses any."""
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + need <= total)
            self._used += need
        try:
            yield
        finally:
            with self._changed:
                self._used -= need
                self._changed.notify_all()

    def alone(self) -> AbstractContextManager[None]:
        """Wait until no other thread uses any memory, and reserve all of it."""
        return self.share(1 << 62, 0)


gpu_memory = SharedMemory()


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one CPU thread in the current Python thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # applies to the current thread
    try:
        yield
    finally:
        torch.set_num_threads(before)
