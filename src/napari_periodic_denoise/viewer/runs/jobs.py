"""Jobs for a thread: denoising, the spectrum, a network's weights."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_periodic_denoise.noise.progress import Stage
from napari_periodic_denoise.runtime.shared_libraries import load_torch
from napari_periodic_denoise.runtime.steps import mapped
from napari_periodic_denoise.stacks.channels import leaving_alpha
from napari_periodic_denoise.viewer.layers.lazily import by_planes, compute, is_in_memory, is_lazy
from napari_periodic_denoise.viewer.layers.masks import Mask, NothingMarkedError
from napari_periodic_denoise.viewer.layers.outcome import (
    Outcome,
    outcome_of_lazy_planes,
    outcome_of_plane,
    outcome_of_planes,
    outcome_of_selection,
)
from napari_periodic_denoise.viewer.layers.plane import Plane
from napari_periodic_denoise.viewer.layers.results import COLOURS
from napari_periodic_denoise.viewer.responsive import (
    a_core_for_the_viewer,
    no_collections,
    short_collections,
)
from napari_periodic_denoise.viewer.runs.thread import CannotRunError, Status

if TYPE_CHECKING:
    from napari_periodic_denoise import Progress
    from napari_periodic_denoise.noise.statistics.whitened import WhitenedSpectrum
    from napari_periodic_denoise.pretrained.weights import Source
    from napari_periodic_denoise.stacks.channels import Engine
    from napari_periodic_denoise.stacks.clean import StackEstimate

T = TypeVar("T")


class MissingWeightsError(CannotRunError):
    """A network's weights are not on this computer; ``source`` is where they are to be had."""

    def __init__(self, message: str, source: Source) -> None:
        super().__init__(message)
        self.source = source


def denoise(
    data: Any,  # noqa: ANN401 - whatever array napari was given, maybe lazy
    plane: Plane,
    *,
    rgb: bool,
    options: dict[str, Any],
    masks: Mapping[str, Callable[[], Mask]] | None = None,
) -> Generator[Status, None, Outcome]:
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
    Status

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
        yield Status("starting torch")
        with no_collections():
            engine = load_engine()
        yield Status("reading the image")
        image = _read(data, plane)
        options = {**options, **_made(masks or {}, plane)}
        run = leaving_alpha(engine, image, **_channels(image, rgb), **options)
        with a_core_for_the_viewer():
            return outcome_of_plane(image, (yield from _steps_of(run)), plane)


def select(
    outcome: Outcome, off: Sequence[tuple[float, float]]
) -> Generator[Status, None, Outcome]:
    """Leave waves of a result in the picture.

    Parameters
    ----------
    outcome : Outcome
        Of one plane, with all waves.
    off : sequence of tuple of float
        Of :func:`napari_periodic_denoise.select_waves`.

    Yields
    ------
    Status

    Returns
    -------
    Outcome
    """
    yield Status("switching waves")
    from napari_periodic_denoise import select_waves

    with short_collections(), a_core_for_the_viewer():
        estimate = select_waves(outcome.image, outcome.estimate, off)
        return outcome_of_selection(outcome, estimate)


def denoise_planes(
    data: Any,  # noqa: ANN401 - whatever array napari was given, maybe lazy, or a list of levels
    plane: Plane,
    *,
    rgb: bool,
    model: str,
    options: dict[str, Any],
) -> Generator[Status, None, Outcome]:
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
    Status

    Returns
    -------
    Outcome

    Raises
    ------
    CannotRunError
        As for :func:`denoise`.
    """
    with short_collections():
        yield Status("starting torch")
        with no_collections():
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
        with a_core_for_the_viewer():
            stack: StackEstimate = yield from _steps_of(run)
            shown = _read(data[0] if is_pyramid else data, plane)
            if is_lazy(stack.estimates):
                yield Status(f"cleaning {plane}, which is shown")
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
) -> Generator[Status, None, WhitenedSpectrum]:
    """Find out what the spectrum of one plane looks like, and make ready to draw it.

    Parameters
    ----------
    data, plane, rgb
        As for :func:`denoise`.
    features : str
        Of :func:`napari_periodic_denoise.noise.statistics.whitened.whitened_spectrum`.

    Yields
    ------
    Status

    Returns
    -------
    WhitenedSpectrum

    Raises
    ------
    CannotRunError
        As for :func:`denoise`.
    """
    with short_collections():
        yield Status("starting torch and matplotlib")
        with no_collections():
            load_torch()
            from napari_periodic_denoise.noise.statistics.whitened import whitened_spectrum
            from napari_periodic_denoise.viewer.panels.spectrum_figure import warm_up

            warm_up()
        yield Status("reading the image")
        image = _read(data, plane)
        yield Status("taking the spectrum")
        colours = image[..., : len(COLOURS)] if rgb else image
        with a_core_for_the_viewer(), _image_explained():
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


def _steps_of(run: Generator[Progress, None, T]) -> Generator[Status, None, T]:
    """Steps of the engine; what it has to say of the weights, or of an image, in words."""
    with closing(_explained(run)) as explained:
        return (yield from mapped(explained, _status))


def _status(progress: Progress) -> Status:
    cleaned = progress.cleaned and progress.cleaned()
    return Status(progress.message, progress.done, progress.total, progress.preview, cleaned)


def _explained(run: Generator[Progress, None, T]) -> Generator[Progress, None, T]:
    """Steps of the engine, with its errors in words: those of the image only while it is read."""
    stage = Stage.READ

    def noted(progress: Progress) -> Progress:
        nonlocal stage
        stage = progress.stage
        return progress

    try:
        with _weights_explained():
            return (yield from mapped(run, noted))
    except (TypeError, ValueError, OSError) as error:
        if stage is not Stage.READ:
            raise
        raise _not_taken(error) from error


def _channels(data: Any, rgb: bool) -> dict[str, Any]:  # noqa: ANN401
    alpha = data.shape[-1] - len(COLOURS) if rgb else 0
    return {"channel_axis": -1 if rgb else None, "alpha": alpha}


def look_for_weights(network: str, path: Path | None) -> Generator[Status, None, None]:
    """Find out whether a network's trained weights are on this computer.

    Parameters
    ----------
    network : {"vgg16", "vgg19"}
    path : Path or None
        The file, where one was chosen.

    Yields
    ------
    Status

    Raises
    ------
    MissingWeightsError
        If they are not.
    """
    weights = yield from _weights_module()
    with _weights_explained():
        weights.find_weights(network, path)


def check_weights(network: str, path: Path) -> Generator[Status, None, Path]:
    """Find out whether a file's weights can be used.

    Parameters
    ----------
    network : {"vgg16", "vgg19"}
    path : Path

    Yields
    ------
    Status

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
    yield Status("checking the file")
    from napari_periodic_denoise.noise.statistics.networks import load_network

    with _weights_explained():
        load_network(network, weights_path=path)
    return path


def download_weights(source: Source) -> Generator[Status, None, Path]:
    """Download a network's trained weights.

    Parameters
    ----------
    source : Source
        Of the MissingWeightsError.

    Yields
    ------
    Status

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
    yield Status("connecting")
    with _weights_explained(), closing(weights.iter_download(source)) as download:
        for done, total in download:
            of = f" of {total >> 20}" if total else ""
            yield Status(f"downloading, {done >> 20}{of} MB", done >> 10, total >> 10)
    return source.path


def load_engine() -> Engine:
    """Import the engine, and torch with it, which takes seconds."""
    load_torch()
    from napari_periodic_denoise import iter_estimate_noise

    return iter_estimate_noise


def _weights_module() -> Generator[Status, None, Any]:
    yield Status("starting torch")
    with short_collections(), no_collections():
        load_torch()
        from napari_periodic_denoise.pretrained import vgg as vision
        from napari_periodic_denoise.pretrained import weights

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
    from napari_periodic_denoise.pretrained.weights import WeightsError, WeightsNotFoundError

    try:
        yield
    except WeightsNotFoundError as error:
        raise MissingWeightsError(_sentence(error), error.source) from error
    except (WeightsError, ImportError) as error:  # of torchvision, which says what to install
        raise CannotRunError(_sentence(error)) from error


def _sentence(error: Exception) -> str:
    words = str(error)
    return f"{words[:1].upper()}{words[1:]}."


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
