"""A run of the engine in a thread: its progress, its result, its errors, its end."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from napari.qt.threading import create_worker
from superqt.utils import GeneratorWorker

from napari_periodic_denoise.channels import leaving_alpha
from napari_periodic_denoise.viewer.layers import COLOURS, symmetric_limits

if TYPE_CHECKING:
    from napari_periodic_denoise import NoiseEstimate, Progress
    from napari_periodic_denoise.channels import Engine

T = TypeVar("T")


class Step(NamedTuple):
    """Where a run is: ``done`` of ``total`` steps (0: nobody knows), and what it is at."""

    message: str
    done: int = 0
    total: int = 0


class Outcome(NamedTuple):
    """What a run ends with: the estimate, and contrast limits to look at its noise with."""

    estimate: NoiseEstimate
    limits: tuple[float, float]


class CannotRunError(Exception):
    """The run can't be done, for a reason that its message tells a person."""


class EngineError(Exception):
    """A bug in the engine that came as a RuntimeError; that one is the cause."""


class Run(GeneratorWorker[Step, None, Outcome]):
    """A run in a thread; ``quit()`` stops it within a step of the engine.

    Everything that the engine held is free when ``finished`` is emitted: superqt alone would
    leave a generator that was stopped, and its memory, to the garbage collector.
    """

    def work(self) -> Outcome | Exception | None:
        """Do the work; called by superqt in the thread."""
        try:
            return super().work()
        finally:
            self._gen.close()


def start(
    data: Any,  # noqa: ANN401 - whatever array napari was given, maybe lazy
    *,
    rgb: bool,
    options: dict[str, Any],
    on_step: Callable[[Step], None],
    on_result: Callable[[Outcome], None],
    on_error: Callable[[Exception], None],
    on_end: Callable[[], None],
) -> Run:
    """Start a run; the callables are called in the thread of this call.

    Parameters
    ----------
    data : array-like
        2-D pixels; computed in the run's thread.
    rgb : bool
        Whether there is a last axis of colours, and perhaps alpha, which stays as it is.
    options : dict
        Of :func:`napari_periodic_denoise.estimate_noise`.
    on_step, on_result, on_error : callable
        Get the steps, and at the end a result or an error, or neither when stopped.
    on_end : callable
        Called last, in any case.

    Returns
    -------
    Run
    """
    run: Run = create_worker(
        denoise,
        data,
        rgb,
        options,
        _worker_class=Run,
        _connect={
            "yielded": on_step,
            "returned": on_result,
            "errored": on_error,
            "finished": on_end,
        },
    )
    return run


def denoise(
    data: Any,  # noqa: ANN401
    rgb: bool,
    options: dict[str, Any],
) -> Generator[Step, None, Outcome]:
    """Estimate the noise step by step.

    Parameters
    ----------
    data, rgb, options
        As for :func:`start`.

    Yields
    ------
    Step

    Returns
    -------
    Outcome

    Raises
    ------
    CannotRunError
        If the image is not taken or memory does not suffice.
    EngineError
        Instead of any RuntimeError, which superqt would swallow without a sign.
    """
    try:
        return (yield from _steps(data, rgb, options))
    except MemoryError as error:
        raise CannotRunError(_NO_MEMORY) from error
    except RuntimeError as error:
        if _is_out_of_memory(error):
            raise CannotRunError(_NO_MEMORY) from error
        raise EngineError(f"{type(error).__name__}: {error}") from error


def load_engine() -> Engine:
    """Import the engine, and torch with it, which takes seconds."""
    _load_torch_libraries()
    from napari_periodic_denoise import iter_estimate_noise

    return iter_estimate_noise


def _steps(
    data: Any,  # noqa: ANN401
    rgb: bool,
    options: dict[str, Any],
) -> Generator[Step, None, Outcome]:
    with _short_collections():
        with _no_collections():
            engine = yield from _aside(load_engine, "starting torch")
        image = yield from _aside(lambda: _read(data), "reading the image")
        steps = leaving_alpha(
            engine,
            image,
            channel_axis=-1 if rgb else None,
            alpha=image.shape[-1] - len(COLOURS) if rgb else 0,
            **options,
        )
        with _a_core_for_the_viewer(), closing(steps) as run:
            progress: Progress | None = None
            while True:
                try:
                    progress = next(run)
                except StopIteration as end:
                    estimate: NoiseEstimate = end.value
                    return Outcome(estimate, symmetric_limits(estimate.noise))
                except (TypeError, ValueError) as error:
                    if progress is None or progress.done:
                        raise  # a bug: of the image it complains in its first step
                    raise _not_taken(error) from error
                yield Step(progress.message, progress.done, progress.total)


def _aside(task: Callable[[], T], message: str) -> Generator[Step, None, T]:
    # An import or a lazy array's computation can't be interrupted. In a further thread it can be
    # left behind, so that Cancel need not wait for it.
    # As a daemon it does not keep Python from quitting, as an executor's thread would.
    future: Future[T] = Future()

    def do() -> None:
        try:
            future.set_result(task())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=do, daemon=True).start()
    while not wait([future], timeout=0.05).done:
        yield Step(message)
    return future.result()


def _read(data: Any) -> Any:  # noqa: ANN401
    # Only computed here: what is taken, the engine says. It knows tensors and masks as well.
    import torch

    try:
        return data if isinstance(data, torch.Tensor) else np.asanyarray(data)
    except (TypeError, ValueError, OSError) as error:
        raise _not_taken(error) from error


def _not_taken(error: Exception) -> CannotRunError:
    return CannotRunError(f"This layer can't be worked on: {error}")


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
def _a_core_for_the_viewer() -> Iterator[None]:
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
def _short_collections() -> Iterator[None]:
    # A full garbage collection walks through all that napari and torch hold, and stops every
    # thread for a sixth of a second. What is there already is set aside for the run.
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@_shared
@contextmanager
def _no_collections() -> Iterator[None]:
    # For the import of torch, whose half million lasting objects bring on several full ones.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def _load_torch_libraries() -> None:
    # Python holds its lock while it loads an extension's shared libraries: for torch's that
    # freezes the viewer for a third of a second, and for seconds from a slow disk. Called as a
    # plain C function, dlopen lets the lock go; the import then finds them loaded. (On Windows
    # torch itself does so.) Whatever fails here, the import does again and reports.
    torch = find_spec("torch")
    if os.name != "posix" or torch is None or torch.origin is None:
        return
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.argtypes, dlopen.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
    for library in (Path(torch.origin).parent / "lib").glob("libtorch.*"):
        dlopen(os.fsencode(library), os.RTLD_NOW)


_NO_MEMORY = (
    "There is not enough memory for this layer. Close other layers or programs, or crop it."
)


def _is_out_of_memory(error: RuntimeError) -> bool:
    # torch.OutOfMemoryError is CUDA's alone: its allocators for the CPU and MPS only say so
    words = f"{type(error).__name__} {error}".lower()
    return any(
        sign in words
        for sign in ("outofmemory", "out of memory", "not enough memory", "can't allocate memory")
    )
