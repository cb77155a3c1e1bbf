"""Where planes are computed: in this process, in several, or on the machines of a scheduler."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

#: Seconds to reach a scheduler: those that a lost packet and its second copy take (RFC 6298).
_CONNECT = 5
#: Seconds without the connection after which a scheduler is gone; the same.
_LOST = 5
#: Calls prepared for each worker. Results are taken in order, so a call may take this many times
#: as long as the others before a worker has to wait for it.
_AHEAD = 4
_KILLED = "its worker process was killed twice; is there enough memory for so many --jobs?"


class WorkerKilledError(RuntimeError):
    """A worker process was killed while it worked on this call, and so was the next one."""


class WorkersGoneError(RuntimeError):
    """There are no workers any more; no further call will be answered."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Those that compute; can be called from several threads at a time.

    Attributes
    ----------
    count : int
        How many calls they work on at a time.
    call : callable
        ``call(function, *arguments)`` returns what the function returns.
    stop : callable
        Ends them at once; calls under way raise a WorkersGoneError.
    are_here : bool
        Whether that is in this process and thread.
    """

    count: int
    call: Callable[..., Any]
    stop: Callable[[], None]
    are_here: bool = False

    @property
    def most_prepared(self) -> int:
        """How many calls to prepare at a time; each of them takes memory."""
        return _AHEAD * self.count


@contextmanager
def start(
    jobs: int = 1, scheduler: str | None = None, say: Callable[[str], None] = print
) -> Iterator[Workers]:
    """Have workers until the end of the block.

    Parameters
    ----------
    jobs : int
        Number of processes; 1 for this one alone.
    scheduler : str, optional
        Address of a scheduler of dask.distributed, whose workers are used instead.
    say : callable
        Called with a line of text, if the scheduler has no workers yet.

    Raises
    ------
    ValueError
        If there is no such scheduler, or distributed is not installed.
    """
    if scheduler is not None:
        with _of_scheduler(scheduler, say) as workers:
            yield workers
    elif jobs == 1:
        yield Workers(1, _call, lambda: None, are_here=True)
    else:
        processes = _Processes(jobs)
        try:
            yield Workers(jobs, processes.call, processes.stop)
        finally:
            processes.stop()


class _Processes:
    """Processes that each work on one call at a time; one that is killed is replaced."""

    def __init__(self, count: int) -> None:
        self._count, self._is_stopped = count, False
        self._lock = Lock()
        self._idle: SimpleQueue[_Process] = SimpleQueue()
        self._all = [_Process(count) for _ in range(count)]
        for process in self._all:
            self._idle.put(process)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
        """Call a function in one of the processes; once more, if that process is killed."""
        with suppress(_KilledError):
            return self._call(function, *arguments)
        try:
            return self._call(function, *arguments)
        except _KilledError as error:
            raise WorkerKilledError(_KILLED) from error

    def stop(self) -> None:
        """End all processes at once, whatever they are at."""
        with self._lock:
            self._is_stopped = True
            for process in self._all:
                process.kill()

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
        process = self._idle.get()
        try:
            return process.call(function, *arguments)
        except _KilledError as error:
            process = self._replace(process, error)
            raise
        finally:
            self._idle.put(process)

    def _replace(self, process: _Process, error: _KilledError) -> _Process:
        with self._lock:
            if self._is_stopped:
                raise WorkersGoneError("the workers were stopped") from error
            process.kill()
            self._all.remove(process)
            self._all.append(_Process(self._count))
            return self._all[-1]


class _KilledError(Exception):
    """A process ended while it worked."""


class _Process:
    """A process that does what it is sent through a pipe."""

    def __init__(self, count: int) -> None:
        # spawned, as torch's threads do not survive a fork
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, count), daemon=True)
        # in a thread, whose start of a process Ctrl-C cannot interrupt halfway
        starter = Thread(target=self._start)
        starter.start()
        starter.join()
        theirs.close()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
        try:
            self._pipe.send((function, arguments))
            result, error = self._pipe.recv()
        except (EOFError, OSError) as end:
            raise _KilledError from end
        if error is not None:
            raise error
        return result

    def _start(self) -> None:
        if hasattr(signal, "pthread_sigmask"):  # not on Windows
            resource_tracker.ensure_running()  # which unblocks signals where it is started
            # Ctrl-C reaches all processes; they inherit that it is for this one, which ends them
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        self._process.start()

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


def _serve(pipe: Any, count: int) -> None:  # noqa: ANN401
    """Do what comes through the pipe until it is closed, as one of several processes."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    # its share of the cores: threads of torch that wait for each other are slow
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // count))
    while True:
        try:
            function, arguments = pipe.recv()
        except EOFError:
            return
        except Exception as error:  # what was sent does not exist here
            pipe.send((None, error))
            continue
        try:
            pipe.send((function(*arguments), None))
        except Exception as error:
            try:
                pipe.send((None, error))
            except Exception:  # an error that cannot be sent
                pipe.send((None, RuntimeError(f"{type(error).__name__}: {error}")))


def _end_with_parent() -> None:
    """Wait for the parent's end, of which a process at work hears nothing."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
    return function(*arguments)


@contextmanager
def _of_scheduler(address: str, say: Callable[[str], None]) -> Iterator[Workers]:
    try:
        from distributed import Client
    except ImportError as error:
        raise ValueError(
            "dask.distributed is not installed; pip install 'napari-periodic-denoise[distributed]'"
        ) from error
    for name in ("distributed", "distributed.client"):  # which has a level of its own
        logging.getLogger(name).setLevel(logging.CRITICAL)  # errors are raised here
    try:
        asyncio.run(_ask(address))  # a client that reaches nobody takes long to give up
    except Exception as error:  # whoever answers there may send anything
        raise ValueError(f"no scheduler of dask.distributed at {address}") from error
    client = Client(address, timeout=_CONNECT, set_as_default=False)
    try:
        if not client.nthreads():
            say(f"the scheduler at {address} has no workers yet; waiting for them")
        call = _Caller(client, address)
        yield Workers(call.wait_for_workers(), call, call.stop)
    finally:
        with suppress(Exception):  # the scheduler may be gone
            client.close(timeout=1)


async def _ask(address: str) -> None:
    """Ask a scheduler who it is; raise an error if none answers."""
    from distributed import rpc

    async with asyncio.timeout(_CONNECT), rpc(address, timeout=_CONNECT) as scheduler:
        if (await scheduler.identity())["type"] != "Scheduler":
            raise ValueError(address)


class _Caller:
    """Calls functions on the workers of a scheduler, and ends soon after the scheduler does."""

    def __init__(self, client: Any, address: str) -> None:  # noqa: ANN401
        self._client, self._address, self._is_stopped = client, address, False

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
        self._check()
        future = self._client.submit(function, *arguments, pure=False)
        lost = 0
        while True:
            self._check()
            try:
                return future.result(timeout=1)
            except (
                CancelledError
            ) as error:  # as the client does to all when it loses the scheduler
                raise WorkersGoneError(self._reason()) from error
            except TimeoutError:
                if future.done():  # the function's own
                    raise
                lost = 0 if self._is_running() else lost + 1
                self._is_stopped |= lost > _LOST

    def wait_for_workers(self) -> int:
        """Wait until there are workers, and return how many calls they work on at a time."""
        lost = 0
        while lost <= _LOST:
            count = 0
            with suppress(OSError, AttributeError):  # AttributeError of a client that gave up
                count = sum(self._client.nthreads().values())
            if count:
                return count
            lost = 0 if self._is_running() else lost + 1
            time.sleep(1)
        raise WorkersGoneError(self._reason())

    def stop(self) -> None:
        """Wait for no call any more."""
        self._is_stopped = True

    def _is_running(self) -> bool:
        return bool(self._client.status == "running")

    def _check(self) -> None:
        if self._is_stopped or self._client.status in ("closing", "closed"):
            raise WorkersGoneError(self._reason())

    def _reason(self) -> str:
        return f"the scheduler at {self._address} is gone"
