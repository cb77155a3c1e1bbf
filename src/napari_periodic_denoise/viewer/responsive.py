"""Keep the viewer responsive while torch is imported or computes."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from threading import Lock
from typing import TypeVar

T = TypeVar("T")

#: Milliseconds between two slow steps in the viewer's thread: one frame at 60 Hz takes 17 ms, and
#: the event loop draws it.
EVENT_LOOP_PAUSE = 20


def _shared(
    change: Callable[[], AbstractContextManager[T]],
) -> Callable[[], AbstractContextManager[T]]:
    # For state of the whole process, when runs of several viewers overlap: the first user
    # changes the state, the last user restores it.
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
    # On all cores, torch makes the viewer stutter. The number applies to this thread, and to
    # threads that use torch for the first time meanwhile, such as that of another run.
    import torch

    with _default_threads() as default:
        torch.set_num_threads(max(1, min(default, (os.cpu_count() or 2) - 1)))
        try:
            yield
        finally:
            torch.set_num_threads(default)


@_shared
@contextmanager
def _default_threads() -> Iterator[int]:
    import torch

    yield torch.get_num_threads()


@_shared
@contextmanager
def short_collections() -> Iterator[None]:
    """Keep full garbage collections short.

    A full collection visits all objects of napari and torch and stops every thread for about
    0.17 s. Objects that already exist are frozen meanwhile.
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
    # For the import of torch: its 500 000 permanent objects would trigger several full ones.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
