"""Work in a thread, the engine's above all: its progress, its result, its errors, its end."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import closing
from queue import Empty, SimpleQueue
from threading import Event, Thread
from traceback import clear_frames
from typing import Any, NamedTuple, TypeVar

import numpy as np
import superqt.utils
from napari.qt import threading
from qtpy.QtCore import QObject
from superqt.utils import GeneratorWorker

T = TypeVar("T")
_GRACE = 0.5  # seconds in which work that is stopped can end, before it is left behind
_PATIENCE = 30.0  # seconds that Python, when it quits, waits for what was left behind


class Status(NamedTuple):
    """Where a run is: ``done`` of ``total`` steps (0: nobody knows), and what it is at.

    Of a texture there is from time to time what it looks like so far, of a plane that is cleaned
    what it would be like with the waves that are known so far.
    """

    message: str
    done: int = 0
    total: int = 0
    preview: np.ndarray | None = None
    cleaned: np.ndarray | None = None


class CannotRunError(Exception):
    """The run can't be done, for a reason that its message tells a person."""


class Failure(NamedTuple):
    """What a run returns when an error ended it."""

    error: Exception


class Listener(QObject):
    """Calls what is to be told of a run, in the thread where it was made.

    A QObject: what a thread has emitted, PySide6 delivers to the methods of other objects even
    when these are gone by then, and crashes.
    """

    def __init__(self, told: dict[str, Callable[..., None]]) -> None:
        super().__init__()
        self._told = told

    def yielded(self, step: Status) -> None:
        """Tell of a step."""
        self._tell("step", step)

    def returned(self, result: object) -> None:
        """Tell the result, or the error."""
        if isinstance(result, Failure):
            self._tell("error", result.error)
        else:
            self._tell("result", result)

    def finished(self) -> None:
        """Tell of the end, and forget who is told: napari keeps runs."""
        told, self._told = self._told, {}
        if "end" in told:
            told["end"]()

    def _tell(self, what: str, *news: object) -> None:
        if what in self._told:
            self._told[what](*news)


class Run(GeneratorWorker[Status, None, Any]):
    """Work in a thread; ``quit()`` stops it at once.

    Everything that it held is free when ``finished`` is emitted: superqt alone would leave a
    generator that was stopped, and its memory, to the garbage collector. Only what is in a step
    that takes long is free when that is over.
    """

    listener: Listener  # lives as long

    def work(self) -> Any:  # noqa: ANN401
        """Do the work; called by superqt in the thread.

        An error is returned: of a RuntimeError superqt would give no sign, and of any other
        napari could not tell with PySide6.
        """
        try:
            result = super().work()
        except Exception as error:
            result = error
        finally:
            self._gen.close()
        return Failure(result) if isinstance(result, Exception) else result


def start(
    steps: Generator[Status, None, T],
    *,
    on_error: Callable[[Exception], None],
    on_step: Callable[[Status], None] | None = None,
    on_result: Callable[[T], None] | None = None,
    on_end: Callable[[], None] | None = None,
    asked_for: bool = True,
) -> Run:
    """Start work; the callables are called in the thread of this call.

    Parameters
    ----------
    steps : generator of Status
        As :func:`denoise`, :func:`look_for_weights`... make them.
    on_error, on_step, on_result : callable
        Get the steps, and at the end what was returned or an error, or neither when stopped.
    on_end : callable
        Called last, in any case.
    asked_for : bool
        Whether napari knows of it: it asks before its window is closed meanwhile, and keeps
        all runs until then.

    Returns
    -------
    Run
    """
    wanted = {"step": on_step, "result": on_result, "error": on_error, "end": on_end}
    listener = Listener({what: tell for what, tell in wanted.items() if tell is not None})
    create_worker: Callable[..., Any] = (
        threading.create_worker if asked_for else superqt.utils.create_worker
    )
    run: Run = create_worker(
        _aside,
        steps,
        _worker_class=Run,
        _connect={
            "yielded": listener.yielded,
            "returned": listener.returned,
            "finished": listener.finished,
        },
    )
    run.listener = listener
    return run


def _aside(steps: Generator[Status, None, T]) -> Generator[Status, None, T]:
    # An import, the computation of a lazy array, or a step through a large network can't be
    # interrupted. In a further thread it can be left behind, so that Cancel need not wait for
    # it; what it was called by ends with it. As a daemon it does not keep Python from quitting
    # for ever, as an executor's thread would.
    news: SimpleQueue[Status | None] = SimpleQueue()
    result: Future[T] = Future()
    stopped = Event()

    def work() -> None:
        try:
            with closing(steps):
                while not stopped.is_set():
                    news.put(next(steps))
        except StopIteration as end:
            result.set_result(end.value)
        except BaseException as error:
            _forget(error)
            result.set_exception(_told(error))
        news.put(None)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        step = Status("starting")
        while True:
            yield step
            try:
                latest = news.get(timeout=0.05)
            except Empty:  # the step goes on; quit() is looked at after each
                step = step._replace(preview=None, cleaned=None)
                continue
            if latest is None:
                return result.result()
            step = latest
    finally:
        stopped.set()
        thread.join(_GRACE)
        if thread.is_alive():  # torch aborts if Python goes while it computes
            atexit.register(thread.join, _PATIENCE)


def _forget(error: BaseException | None) -> None:
    # napari keeps errors, they their traceback, and that all that the engine held
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__context__


def _told(error: BaseException) -> BaseException:
    if not isinstance(error, MemoryError) and not _is_out_of_memory(error):
        return error
    told = CannotRunError(_NO_MEMORY)
    told.__cause__ = error
    return told


_NO_MEMORY = (
    "There is not enough memory for this layer. Close other layers or programs, or crop it."
)


def _is_out_of_memory(error: BaseException) -> bool:
    # torch.OutOfMemoryError is CUDA's alone: its allocators for the CPU and MPS only say so
    if not isinstance(error, RuntimeError):
        return False
    words = f"{type(error).__name__} {error}".lower()
    return any(
        sign in words
        for sign in ("outofmemory", "out of memory", "not enough memory", "can't allocate memory")
    )
