"""Jobs for a thread: noise, waves, the spectrum, a network's weights."""

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
from napari_periodic_denoise.stacks.layout import is_in_memory
from napari_periodic_denoise.viewer.layers.lazily import chunk_by_plane, compute, is_lazy
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
    """A network's weights are not on this computer; ``source`` says where to get them."""

    def __init__(self, message: str, source: Source) -> None:
        super().__init__(message)
        self.source = source


def denoise(
    data: Any,  # noqa: ANN401 - any array that napari accepts, perhaps lazy
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
        The plane of the data to clean; computed here.
    rgb : bool
        Whether the last axis holds colours, and perhaps alpha, which does not change.
    options : dict
        As for :func:`napari_periodic_denoise.estimate_noise`.
    masks : mapping of str to callable, optional
        Functions that compute the areas, keyed by option; called here.

    Yields
    ------
    Status

    Returns
    -------
    Outcome

    Raises
    ------
    CannotRunError
        If the image or an area is unsuitable, if the network's weights cannot be used
        (MissingWeightsError if they are missing), or if memory runs out.
    """
    with short_collections():
        yield Status("starting torch")
        with no_collections():
            engine = load_engine()
        yield Status("reading the image")
        image = _read_plane(data, plane)
        options = {**options, **_compute_masks(masks or {}, plane)}
        run = leaving_alpha(engine, image, **_channels(image, rgb), **options)
        with a_core_for_the_viewer():
            return outcome_of_plane(image, (yield from _statuses_of(run)), plane)


def select(
    outcome: Outcome, off: Sequence[tuple[float, float] | str]
) -> Generator[Status, None, Outcome]:
    """Subtract a subset of a result's waves without refitting.

    Parameters
    ----------
    outcome : Outcome
        Of one plane, with all waves.
    off : sequence of tuple of float, or str
        As for :func:`napari_periodic_denoise.select_waves`. Suggested components that are not
        among them are removed.

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
        suggested = (component.key for component in outcome.estimate.suggested)
        on = [key for key in suggested if key not in off]
        estimate = select_waves(outcome.image, outcome.estimate, off, on)
        return outcome_of_selection(outcome, estimate)


def denoise_planes(
    data: Any,  # noqa: ANN401 - any array that napari accepts, or a list of levels
    plane: Plane,
    *,
    rgb: bool,
    model: str,
    options: dict[str, Any],
) -> Generator[Status, None, Outcome]:
    """Estimate the noise of all planes: now if in memory, otherwise when a plane is shown.

    Parameters
    ----------
    data : array-like, or list of such
    plane : Plane
        The displayed plane. It is computed now, even if the data are lazy.
    rgb, options
        As for :func:`denoise`.
    model : str
        As for :func:`napari_periodic_denoise.clean_stack`.

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
        levels = [chunk_by_plane(level, plane) for level in (data if is_pyramid else [data])]
        run = iter_clean_stack(
            levels if is_pyramid else levels[0],
            plane_axes=plane.axes,
            model=model,
            **_channels(levels[0], rgb),
            **options,
        )
        with a_core_for_the_viewer():
            stack: StackEstimate = yield from _statuses_of(run)
            image = _read_plane(data[0] if is_pyramid else data, plane)
            if is_lazy(stack.estimates):
                yield Status(f"cleaning the displayed {plane}")
                with _translated_weights_errors(), _translated_image_errors():
                    estimate, computed = compute(stack.estimates[plane.index])
                return outcome_of_lazy_planes(image, stack, plane, model, estimate, computed)
            return outcome_of_planes(image, stack, plane, model)


def compute_spectrum(
    data: Any,  # noqa: ANN401 - any array that napari accepts, perhaps lazy
    plane: Plane,
    *,
    rgb: bool,
    features: str,
) -> Generator[Status, None, WhitenedSpectrum]:
    """Compute the spectrum of one plane, and prepare to draw it.

    Parameters
    ----------
    data, plane, rgb
        As for :func:`denoise`.
    features : str
        As for `napari_periodic_denoise.noise.statistics.whitened.whitened_spectrum`.

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
        image = _read_plane(data, plane)
        yield Status("computing the spectrum")
        colours = image[..., : len(COLOURS)] if rgb else image
        with a_core_for_the_viewer(), _translated_image_errors():
            return whitened_spectrum(colours, features=features, channel_axis=-1 if rgb else None)


def _compute_masks(masks: Mapping[str, Callable[[], Mask]], plane: Plane) -> dict[str, Mask]:
    computed = {}
    for name, compute_mask in masks.items():
        try:
            computed[name] = compute_mask()
        except NothingMarkedError as error:
            if name == "protect" and plane.part is not None:  # other parts may contain it
                continue
            raise CannotRunError(str(error)) from error
    return computed


def _statuses_of(run: Generator[Progress, None, T]) -> Generator[Status, None, T]:
    """Convert the engine's progress to statuses, and its errors to messages for the user."""
    with closing(_with_translated_errors(run)) as translated:
        return (yield from mapped(translated, _status))


def _status(progress: Progress) -> Status:
    cleaned = progress.cleaned and progress.cleaned()
    return Status(progress.message, progress.done, progress.total, progress.preview, cleaned)


def _with_translated_errors(run: Generator[Progress, None, T]) -> Generator[Progress, None, T]:
    """Translate the engine's errors: those of the image only while the image is read."""
    stage = Stage.READ

    def note_stage(progress: Progress) -> Progress:
        nonlocal stage
        stage = progress.stage
        return progress

    try:
        with _translated_weights_errors():
            return (yield from mapped(run, note_stage))
    except (TypeError, ValueError, OSError) as error:
        if stage is not Stage.READ:
            raise
        raise _unusable_image(error) from error


def _channels(data: Any, rgb: bool) -> dict[str, Any]:  # noqa: ANN401
    alpha = data.shape[-1] - len(COLOURS) if rgb else 0
    return {"channel_axis": -1 if rgb else None, "alpha": alpha}


def find_weights(network: str, path: Path | None) -> Generator[Status, None, None]:
    """Check that a network's trained weights are on this computer.

    Parameters
    ----------
    network : {"vgg16", "vgg19"}
    path : Path or None
        The file or folder that the user has chosen, if any.

    Yields
    ------
    Status

    Raises
    ------
    MissingWeightsError
        If they are missing.
    """
    weights = yield from _import_weights()
    with _translated_weights_errors():
        weights.find_weights(network, path)


def check_weights(network: str, path: Path) -> Generator[Status, None, Path]:
    """Check that a file's weights can be used.

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
        If they cannot be used; the message gives the reason.
    """
    yield from _import_weights()
    yield Status("checking the file")
    from napari_periodic_denoise.noise.statistics.networks import load_network

    with _translated_weights_errors():
        load_network(network, weights_path=path)
    return path


def download_weights(source: Source) -> Generator[Status, None, Path]:
    """Download a network's trained weights.

    Parameters
    ----------
    source : Source
        From the MissingWeightsError.

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
        If the download fails; the message gives the reason. No partial file remains, even if
        the generator is closed.
    """
    weights = yield from _import_weights()
    yield Status("connecting")
    with _translated_weights_errors(), closing(weights.iter_download(source)) as download:
        for done, total in download:
            of = f" of {total >> 20}" if total else ""
            yield Status(f"downloading, {done >> 20}{of} MB", done >> 10, total >> 10)
    return source.path


def load_engine() -> Engine:
    """Import the engine and torch, which takes seconds."""
    load_torch()
    from napari_periodic_denoise import iter_estimate_noise

    return iter_estimate_noise


def _import_weights() -> Generator[Status, None, Any]:
    yield Status("starting torch")
    with short_collections(), no_collections():
        load_torch()
        from napari_periodic_denoise.pretrained import vgg, weights

        with _translated_weights_errors():
            vgg.torchvision_models()
    return weights


@contextmanager
def _translated_image_errors() -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError, OSError) as error:
        raise _unusable_image(error) from error


@contextmanager
def _translated_weights_errors() -> Iterator[None]:
    from napari_periodic_denoise.pretrained.weights import WeightsError, WeightsNotFoundError

    try:
        yield
    except WeightsNotFoundError as error:
        raise MissingWeightsError(_sentence(error), error.source) from error
    except (WeightsError, ImportError) as error:  # the ImportError says what to install
        raise CannotRunError(_sentence(error)) from error


def _sentence(error: Exception) -> str:
    words = str(error)
    return f"{words[:1].upper()}{words[1:]}."


def _read_plane(data: Any, plane: Plane) -> Any:  # noqa: ANN401
    # No checks here: the engine makes them, and accepts tensors and masked arrays as well.
    import torch

    with _translated_image_errors():
        pixels = plane.of(data)
        if not is_in_memory(data):
            import dask.array  # noqa: F401 - slow; the viewer's thread needs it for the result
        return pixels if isinstance(pixels, torch.Tensor) else np.asanyarray(pixels)


def _unusable_image(error: Exception) -> CannotRunError:
    words = " ".join([str(error), *getattr(error, "__notes__", [])])
    return CannotRunError(f"This layer cannot be processed: {words}")
