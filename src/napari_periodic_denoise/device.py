"""Which processor the engine computes on, and its memory."""

from __future__ import annotations

import torch


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
