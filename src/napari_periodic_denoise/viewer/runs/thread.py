"""Run a generator in a thread, and report its statuses, result, errors and end."""

from __future__ import annotations

import atexit
import sys
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
# seconds; a stopped step gets this long to end before it is abandoned: Cancel stays within 1 s
_STOP_TIMEOUT = 0.5
# seconds that Python waits for abandoned work at exit; a choice: longer than most steps
_EXIT_TIMEOUT = 30.0
_POLL = 0.05  # seconds between two looks at Cancel; below what a person notices, 0.1 s


class Status(NamedTuple):
    """State of a run: ``done`` of ``total`` steps (0 if unknown), and the current action.

    ``preview`` is an unfinished texture. ``cleaned`` is the plane without the waves that are known
    so far.
    """

    message: str
    done: int = 0
    total: int = 0
    preview: np.ndarray | None = None
    cleaned: np.ndarray | None = None


class CannotRunError(Exception):
    """The run is not possible; the message tells the user why."""


class Failure(NamedTuple):
    """Result of a run that ended with an error."""

    error: Exception


class Listener(QObject):
    """Calls the callbacks of a run, in the thread that created the listener.

    It is a QObject, because PySide6 delivers signals of a thread to methods of other objects even
    after these are deleted, and crashes.
    """

    def __init__(self, callbacks: dict[str, Callable[..., None]]) -> None:
        super().__init__()
        self._callbacks = callbacks

    def yielded(self, status: Status) -> None:
        """Report a status."""
        self._call("status", status)

    def returned(self, result: object) -> None:
        """Report the result or the error."""
        if isinstance(result, Failure):
            self._call("error", result.error)
        else:
            self._call("result", result)

    def finished(self) -> None:
        """Report completion and drop the callbacks, because napari keeps runs."""
        callbacks, self._callbacks = self._callbacks, {}
        if "end" in callbacks:
            callbacks["end"]()

    def _call(self, what: str, *messages: object) -> None:
        if what in self._callbacks:
            self._callbacks[what](*messages)


class Run(GeneratorWorker[Status, None, Any]):
    """A generator in a thread; ``quit()`` stops it at once.

    Its memory is free when ``finished`` is emitted. superqt alone would leave a stopped generator
    to the garbage collector. Only a step that was abandoned keeps its memory until it ends.
    """

    listener: Listener  # kept alive by the run

    def work(self) -> Any:  # noqa: ANN401
        """Run the generator; called by superqt in the thread.

        Errors are returned as results: superqt hides a RuntimeError, and napari cannot show others
        with PySide6.
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
    on_status: Callable[[Status], None] | None = None,
    on_result: Callable[[T], None] | None = None,
    on_end: Callable[[], None] | None = None,
    tracked: bool = True,
) -> Run:
    """Start a run; the callbacks are called in the thread of this call.

    Parameters
    ----------
    steps : generator of Status
        One of the generators of `jobs`.
    on_error, on_status, on_result : callable
        Called with each status, and at the end with the result or the error; with neither if
        the run was stopped.
    on_end : callable
        Always called last.
    tracked : bool
        Whether napari tracks the run: it then asks before its window closes, and keeps all
        runs until then.

    Returns
    -------
    Run
    """
    callbacks = {"status": on_status, "result": on_result, "error": on_error, "end": on_end}
    listener = Listener({what: call for what, call in callbacks.items() if call is not None})
    create_worker: Callable[..., Any] = (
        threading.create_worker if tracked else superqt.utils.create_worker
    )
    run: Run = create_worker(
        _in_daemon_thread,
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


def _in_daemon_thread(steps: Generator[Status, None, T]) -> Generator[Status, None, T]:
    # An import, the computation of a lazy array, or a step through a large network cannot be
    # interrupted. In another thread it can be abandoned, so that Cancel need not wait for it; the
    # generator ends with that thread. A daemon thread does not block Python's exit for ever, as
    # an executor's thread would.
    messages: SimpleQueue[Status | None] = SimpleQueue()
    result: Future[T] = Future()
    stopped = Event()

    def work() -> None:
        try:
            with closing(steps):
                while not stopped.is_set():
                    messages.put(next(steps))
        except StopIteration as end:
            result.set_result(end.value)
        except BaseException as error:
            _clear_frames(error)
            result.set_exception(_for_user(error))
        messages.put(None)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        status = Status("starting")
        while True:
            yield status
            try:
                latest = messages.get(timeout=_POLL)
            except Empty:  # still running; superqt checks for quit() after each yield
                status = status._replace(preview=None, cleaned=None)
                continue
            if latest is None:
                return result.result()
            status = latest
    finally:
        stopped.set()
        thread.join(_STOP_TIMEOUT)
        if thread.is_alive():  # torch aborts if Python exits while it computes
            atexit.register(thread.join, _EXIT_TIMEOUT)


def _clear_frames(error: BaseException | None) -> None:
    # napari keeps errors, whose tracebacks would keep the engine's memory
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__context__


def _for_user(error: BaseException) -> BaseException:
    """Return a CannotRunError for an error of memory, and any other error as it is."""
    is_memory = isinstance(error, MemoryError)
    if "torch" in sys.modules:  # before that it cannot be an error of torch, whose import is slow
        from napari_periodic_denoise.runtime.device import is_out_of_memory

        is_memory = is_out_of_memory(error)
    if not is_memory:
        return error
    cannot_run = CannotRunError(_NO_MEMORY)
    cannot_run.__cause__ = error
    return cannot_run


_NO_MEMORY = (
    "There is not enough memory for this layer. Close other layers or programs, or crop it."
)
