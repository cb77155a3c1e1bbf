"""Keep the viewer responsive while torch is imported or computes."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from threading import Lock
from typing import TypeVar

T = TypeVar("T")


def _shared(
    change: Callable[[], AbstractContextManager[T]],
) -> Callable[[], AbstractContextManager[T]]:
    # For what belongs to the process, while runs of several viewers overlap: the first to come
    # changes it, the last to go restores it.
    lock, held = Lock(), ExitStack()
    users: int = 0
    value: T

    @contextmanager
    def share() -> Iterator[T]:
        nonlocal users, value
        with lock:
            if not users:
                value = held.enter_context(change())
            users += 1
        try:
            yield value
        finally:
            with lock:
                users -= 1
                if not users:
                    held.close()

    return share


@contextmanager
def a_core_for_the_viewer() -> Iterator[None]:
    """Leave one processor core to the viewer while torch computes."""
    # On all cores torch makes the viewer stutter. The number holds for this thread, and for
    # threads that meet torch for the first time meanwhile, such as that of another run.
    import torch

    with _usual_threads() as usual:
        torch.set_num_threads(max(1, min(usual, (os.cpu_count() or 2) - 1)))
        try:
            yield
        finally:
            torch.set_num_threads(usual)


@_shared
@contextmanager
def _usual_threads() -> Iterator[int]:
    import torch

    yield torch.get_num_threads()


@_shared
@contextmanager
def short_collections() -> Iterator[None]:
    """Keep full garbage collections short.

    They walk through all that napari and torch hold, and stop every thread for a sixth of a
    second. What is there already is set aside meanwhile.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@_shared
@contextmanager
def no_collections() -> Iterator[None]:
    """Suspend garbage collections."""
    # For the import of torch, whose half million lasting objects bring on several full ones.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
