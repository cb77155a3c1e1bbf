"""Work in a thread, the engine's above all: its progress, its result, its errors, its end."""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from traceback import clear_frames
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import superqt.utils
from napari.qt import threading
from qtpy.QtCore import QObject
from superqt.utils import GeneratorWorker

from napari_periodic_denoise.channels import leaving_alpha
from napari_periodic_denoise.shared_libraries import load_torch
from napari_periodic_denoise.viewer.layers import COLOURS
from napari_periodic_denoise.viewer.lazily import by_planes, compute, is_in_memory, is_lazy
from napari_periodic_denoise.viewer.masks import Mask, NothingMarkedError
from napari_periodic_denoise.viewer.outcome import (
    Outcome,
    outcome_of_lazy_planes,
    outcome_of_plane,
    outcome_of_planes,
    outcome_of_selection,
)
from napari_periodic_denoise.viewer.plane_choice import Plane

if TYPE_CHECKING:
    from napari_periodic_denoise import Progress
    from napari_periodic_denoise.channels import Engine
    from napari_periodic_denoise.noise.spectrum import WhitenedSpectrum
    from napari_periodic_denoise.stack import StackEstimate
    from napari_periodic_denoise.weights import Source

T = TypeVar("T")

_GRACE = 0.5  # seconds in which work that is stopped can end, before it is left behind
_PATIENCE = 30.0  # seconds that Python, when it quits, waits for what was left behind


class Step(NamedTuple):
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


class MissingWeightsError(CannotRunError):
    """A network's weights are not on this computer; ``source`` is where they are to be had."""

    def __init__(self, message: str, source: Source) -> None:
        super().__init__(message)
        self.source = source


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

    def yielded(self, step: Step) -> None:
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


class Run(GeneratorWorker[Step, None, Any]):
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
    steps: Generator[Step, None, T],
    *,
    on_error: Callable[[Exception], None],
    on_step: Callable[[Step], None] | None = None,
    on_result: Callable[[T], None] | None = None,
    on_end: Callable[[], None] | None = None,
    asked_for: bool = True,
) -> Run:
    """Start work; the callables are called in the thread of this call.

    Parameters
    ----------
    steps : generator of Step
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


def denoise(
    data: Any,  # noqa: ANN401 - whatever array napari was given, maybe lazy
    plane: Plane,
    *,
    rgb: bool,
    options: dict[str, Any],
    masks: Mapping[str, Callable[[], Mask]] | None = None,
) -> Generator[Step, None, Outcome]:
    """Estimate the noise of one plane.

    Parameters
    ----------
    data : array-like
    plane : Plane
        Of the data; computed here.
    rgb : bool
        Whether there is a last axis of colours, and perhaps alpha, which stays as it is.
    options : dict
        Of :func:`napari_periodic_denoise.estimate_noise`.
    masks : mapping of str to callable, optional
        More options, which are made here: areas of the plane.

    Yields
    ------
    Step

    Returns
    -------
    Outcome

    Raises
    ------
    CannotRunError
        If the image or an area is not taken, the network's weights can't be used
        (MissingWeightsError: are not there), or memory does not suffice.
    """
    with short_collections():
        yield Step("starting torch")
        with _no_collections():
            engine = load_engine()
        yield Step("reading the image")
        image = _read(data, plane)
        options = {**options, **_made(masks or {}, plane)}
        run = leaving_alpha(engine, image, **_channels(image, rgb), **options)
        with _a_core_for_the_viewer():
            return outcome_of_plane(image, (yield from _steps_of(run)), plane)


def select(outcome: Outcome, off: Sequence[tuple[float, float]]) -> Generator[Step, None, Outcome]:
    """Leave waves of a result in the picture.

    Parameters
    ----------
    outcome : Outcome
        Of one plane, with all waves.
    off : sequence of tuple of float
        Of :func:`napari_periodic_denoise.select_waves`.

    Yields
    ------
    Step

    Returns
    -------
    Outcome
    """
    yield Step("switching waves")
    from napari_periodic_denoise import select_waves

    with short_collections(), _a_core_for_the_viewer():
        estimate = select_waves(outcome.image, outcome.estimate, off)
        return outcome_of_selection(outcome, estimate)


def denoise_planes(
    data: Any,  # noqa: ANN401 - whatever array napari was given, maybe lazy, or a list of levels
    plane: Plane,
    *,
    rgb: bool,
    model: str,
    options: dict[str, Any],
) -> Generator[Step, None, Outcome]:
    """Estimate the noise of all planes: of those in memory now, of others when they are shown.

    Parameters
    ----------
    data : array-like, or list of such
    plane : Plane
        The one that is shown. Of lazy data it is computed in any case.
    rgb, options
        As for :func:`denoise`.
    model : str
        Of :func:`napari_periodic_denoise.clean_stack`.

    Yields
    ------
    Step

    Returns
    -------
    Outcome

    Raises
    ------
    CannotRunError
        As for :func:`denoise`.
    """
    with short_collections():
        yield Step("starting torch")
        with _no_collections():
            load_engine()
        from napari_periodic_denoise import iter_clean_stack

        is_pyramid = isinstance(data, list)
        levels = [by_planes(level, plane) for level in (data if is_pyramid else [data])]
        run = iter_clean_stack(
            levels if is_pyramid else levels[0],
            plane_axes=plane.axes,
            model=model,
            **_channels(levels[0], rgb),
            **options,
        )
        with _a_core_for_the_viewer():
            stack: StackEstimate = yield from _steps_of(run)
            shown = _read(data[0] if is_pyramid else data, plane)
            if is_lazy(stack.estimates):
                yield Step(f"cleaning {plane}, which is shown")
                with _weights_explained(), _image_explained():
                    estimate, computed = compute(stack.estimates[plane.index])
                return outcome_of_lazy_planes(shown, stack, plane, model, estimate, computed)
            return outcome_of_planes(shown, stack, plane, model)


def look_at_spectrum(
    data: Any,  # noqa: ANN401 - whatever array napari was given, maybe lazy
    plane: Plane,
    *,
    rgb: bool,
    features: str,
) -> Generator[Step, None, WhitenedSpectrum]:
    """Find out what the spectrum of one plane looks like, and make ready to draw it.

    Parameters
    ----------
    data, plane, rgb
        As for :func:`denoise`.
    features : str
        Of :func:`napari_periodic_denoise.noise.spectrum.whitened_spectrum`.

    Yields
    ------
    Step

    Returns
    -------
    WhitenedSpectrum

    Raises
    ------
    CannotRunError
        As for :func:`denoise`.
    """
    with short_collections():
        yield Step("starting torch and matplotlib")
        with _no_collections():
            load_torch()
            from napari_periodic_denoise.noise.spectrum import whitened_spectrum
            from napari_periodic_denoise.viewer.spectrum_figure import warm_up

            warm_up()
        yield Step("reading the image")
        image = _read(data, plane)
        yield Step("taking the spectrum")
        colours = image[..., : len(COLOURS)] if rgb else image
        with _a_core_for_the_viewer(), _image_explained():
            return whitened_spectrum(colours, features=features, channel_axis=-1 if rgb else None)


def _made(masks: Mapping[str, Callable[[], Mask]], plane: Plane) -> dict[str, Mask]:
    made = {}
    for name, make in masks.items():
        try:
            made[name] = make()
        except NothingMarkedError as error:
            if name == "protect" and plane.part is not None:  # it may lie in other parts
                continue
            raise CannotRunError(str(error)) from error
    return made


def _steps_of(run: Generator[Progress, None, T]) -> Generator[Step, None, T]:
    """Steps of the engine; what it has to say of the weights, or of an image, in words."""
    reading = True  # when it complains of an image; later that is a bug
    with closing(run):
        while True:
            try:
                with _weights_explained(), _image_explained() if reading else nullcontext():
                    progress = next(run)
            except StopIteration as end:
                result: T = end.value
                return result
            reading = "reading" in progress.message
            told = (progress.message, progress.done, progress.total)
            yield Step(*told, progress.preview, progress.cleaned and progress.cleaned())


def _channels(data: Any, rgb: bool) -> dict[str, Any]:  # noqa: ANN401
    alpha = data.shape[-1] - len(COLOURS) if rgb else 0
    return {"channel_axis": -1 if rgb else None, "alpha": alpha}


def look_for_weights(network: str, path: Path | None) -> Generator[Step, None, None]:
    """Find out whether a network's trained weights are on this computer.

    Parameters
    ----------
    network : {"vgg16", "vgg19"}
    path : Path or None
        The file, where one was chosen.

    Yields
    ------
    Step

    Raises
    ------
    MissingWeightsError
        If they are not.
    """
    weights = yield from _weights_module()
    with _weights_explained():
        weights.find_weights(network, path)


def check_weights(network: str, path: Path) -> Generator[Step, None, Path]:
    """Find out whether a file's weights can be used.

    Parameters
    ----------
    network : {"vgg16", "vgg19"}
    path : Path

    Yields
    ------
    Step

    Returns
    -------
    Path
        The file.

    Raises
    ------
    CannotRunError
        If they can't; says why.
    """
    yield from _weights_module()
    yield Step("checking the file")
    from napari_periodic_denoise.noise.networks import load_network

    with _weights_explained():
        load_network(network, weights_path=path)
    return path


def download_weights(source: Source) -> Generator[Step, None, Path]:
    """Download a network's trained weights.

    Parameters
    ----------
    source : Source
        Of the MissingWeightsError.

    Yields
    ------
    Step

    Returns
    -------
    Path
        The file.

    Raises
    ------
    CannotRunError
        If it fails; says why. Nothing half-written stays behind, nor when this is closed.
    """
    weights = yield from _weights_module()
    yield Step("connecting")
    with _weights_explained(), closing(weights.iter_download(source)) as download:
        for done, total in download:
            of = f" of {total >> 20}" if total else ""
            yield Step(f"downloading, {done >> 20}{of} MB", done >> 10, total >> 10)
    return source.path


def load_engine() -> Engine:
    """Import the engine, and torch with it, which takes seconds."""
    load_torch()
    from napari_periodic_denoise import iter_estimate_noise

    return iter_estimate_noise


def _weights_module() -> Generator[Step, None, Any]:
    yield Step("starting torch")
    with short_collections(), _no_collections():
        load_torch()
        from napari_periodic_denoise import vision, weights

        with _weights_explained():
            vision.torchvision_models()
    return weights


@contextmanager
def _image_explained() -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError, OSError) as error:
        raise _not_taken(error) from error


@contextmanager
def _weights_explained() -> Iterator[None]:
    from napari_periodic_denoise.weights import WeightsError, WeightsNotFoundError

    try:
        yield
    except WeightsNotFoundError as error:
        raise MissingWeightsError(_sentence(error), error.source) from error
    except (WeightsError, ImportError) as error:  # of torchvision, which says what to install
        raise CannotRunError(_sentence(error)) from error


def _sentence(error: Exception) -> str:
    words = str(error)
    return f"{words[:1].upper()}{words[1:]}."


def _aside(steps: Generator[Step, None, T]) -> Generator[Step, None, T]:
    # An import, the computation of a lazy array, or a step through a large network can't be
    # interrupted. In a further thread it can be left behind, so that Cancel need not wait for
    # it; what it was called by ends with it. As a daemon it does not keep Python from quitting
    # for ever, as an executor's thread would.
    news: SimpleQueue[Step | None] = SimpleQueue()
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
        step = Step("starting")
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


def _read(data: Any, plane: Plane) -> Any:  # noqa: ANN401
    # Only computed here: what is taken, the engine says. It knows tensors and masks as well.
    import torch

    with _image_explained():
        pixels = plane.of(data)
        if not is_in_memory(data):
            import dask.array  # noqa: F401 - which the result's layer takes, in the viewer's thread
        return pixels if isinstance(pixels, torch.Tensor) else np.asanyarray(pixels)


def _not_taken(error: Exception) -> CannotRunError:
    words = " ".join([str(error), *getattr(error, "__notes__", [])])
    return CannotRunError(f"This layer can't be worked on: {words}")


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
