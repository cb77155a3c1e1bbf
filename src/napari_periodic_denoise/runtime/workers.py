"""Where planes are computed: in this process, in several, or on the machines of a scheduler."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any


@dataclass(frozen=True, slots=True)
class Workers:
    """Those who compute; may be called from several threads at a time.

    Attributes
    ----------
    count : int
        How many things they do at a time.
    call : callable
        ``call(function, *arguments)`` returns what the function does.
    compute : callable
        ``compute(*arrays)`` returns the values of dask arrays, as `dask.compute` does.
    are_here : bool
        Whether that is in this process and thread.
    """

    count: int
    call: Callable[..., Any]
    compute: Callable[..., Any]
    are_here: bool = False


@contextmanager
def start(jobs: int = 1, scheduler: str | None = None) -> Iterator[Workers]:
    """Have workers until the end of the block.

    Parameters
    ----------
    jobs : int
        Number of processes; 1 for this one alone.
    scheduler : str, optional
        Address of a scheduler of dask.distributed, whose workers are asked instead.

    Raises
    ------
    ValueError
        If the scheduler is not there, or distributed is not installed.
    """
    if scheduler is not None:
        with _of_scheduler(scheduler) as workers:
            yield workers
    elif jobs == 1:
        yield Workers(1, _call, _compute, are_here=True)
    else:
        # spawned, as torch's threads don't survive a fork
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, context, _begin, (jobs,)) as pool:

            def call(function: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
                return pool.submit(function, *arguments).result()

            def compute(*arrays: Any) -> Any:  # noqa: ANN401
                from dask.base import optimize

                # without what the arrays do not need, which need not be sent
                return call(_compute, *optimize(*arrays))

            # Ctrl-C reaches every process; they inherit that it is for this one, which ends them
            usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
            for _ in range(jobs):  # each starts a process
                pool.submit(_call, int)
            signal.signal(signal.SIGINT, usual)
            yield Workers(jobs, call, compute)


@contextmanager
def threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Have threads to wait for workers in, which end early when the block does.

    Parameters
    ----------
    count : int
    """
    with ThreadPoolExecutor(count) as pool:
        try:
            yield pool
        except BaseException:  # Ctrl-C: what waits need not be done
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _of_scheduler(address: str) -> Iterator[Workers]:
    try:
        from distributed import Client
    except ImportError as error:
        raise ValueError(
            "dask.distributed is not installed; pip install 'napari-periodic-denoise[distributed]'"
        ) from error
    try:
        client = Client(address, timeout=10, set_as_default=False)
    except OSError as error:
        raise ValueError(f"no scheduler of dask.distributed at {address}") from error
    with client:

        def call(function: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
            return client.submit(function, *arguments, pure=False).result()

        def compute(*arrays: Any) -> Any:  # noqa: ANN401
            return client.gather(client.compute(arrays))

        yield Workers(max(1, sum(client.nthreads().values())), call, compute)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
    return function(*arguments)


def _compute(*arrays: Any) -> Any:  # noqa: ANN401
    from dask.base import compute

    return compute(*arrays, scheduler="synchronous")


def _begin(jobs: int) -> None:
    """Begin a process that is one of several."""
    import torch

    Thread(target=_end_with_parent, daemon=True).start()
    # its share of the cores: threads of torch that wait for each other are slow
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // jobs))


def _end_with_parent() -> None:
    """Wait for the parent's end, of which a process that waits for work hears nothing."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
