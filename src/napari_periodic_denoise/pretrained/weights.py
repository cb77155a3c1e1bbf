"""Trained weights of the networks: find, check, and download them on request."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import tempfile
import urllib.request
import warnings
from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from napari_periodic_denoise.pretrained.vgg import torchvision_models, vgg_features

ENVIRONMENT = "NAPARI_PERIODIC_DENOISE_WEIGHTS"

_CHUNK = 1 << 20  # bytes; 548 steps of progress for VGG19
_TIMEOUT = 30.0  # seconds without a byte; longer than usual network interruptions
_CODE = re.compile(r"GLOBAL (\S+)")


@dataclass(frozen=True, slots=True)
class Source:
    """Source and destination of a download of weights.

    Attributes
    ----------
    network : str
        ``"vgg16"`` or ``"vgg19"``.
    url : str
        URL of the file. Its name ends with the first digits of the file's SHA-256, as in
        torchvision.
    path : Path
        Destination in the cache of torch's hub.
    size : float
        Size of the download in MB.
    """

    network: str
    url: str
    path: Path
    size: float


class WeightsError(OSError):
    """Raised when weights are missing or unusable. The message says why."""


class WeightsNotFoundError(WeightsError, FileNotFoundError):
    """Raised when the weights are not on this computer. The message says how to get them.

    Attributes
    ----------
    source : Source
        Source for `iter_download`.
    """

    def __init__(self, message: str, source: Source) -> None:
        super().__init__(message)
        self.source = source


def imagenet_source(network: str) -> Source:
    """Return the source of torchvision's ImageNet weights of a network.

    Parameters
    ----------
    network : {"vgg16", "vgg19"}

    Returns
    -------
    Source
    """
    vgg_features(network)  # raises an error for unknown names
    enum = torchvision_models().get_model_weights(network).IMAGENET1K_V1
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return Source(network, enum.url, folder / Path(enum.url).name, enum.meta["_file_size"])


def find_weights(network: str, weights_path: str | os.PathLike[str] | None = None) -> Path:
    """Find the file of a network's ImageNet weights on this computer.

    The file is given by `weights_path`, or else by the environment variable
    ``NAPARI_PERIODIC_DENOISE_WEIGHTS``, or else in the cache of torch's hub. Nothing is
    downloaded.

    Parameters
    ----------
    network : {"vgg16", "vgg19"}
    weights_path : path-like, optional
        The file, or a folder that contains it under torchvision's name.

    Returns
    -------
    Path

    Raises
    ------
    WeightsNotFoundError
        If the file does not exist. It is a FileNotFoundError.
    """
    source = imagenet_source(network)
    named = weights_path or os.environ.get(ENVIRONMENT)
    path = Path(named).expanduser() if named else source.path
    if path.is_dir():
        path /= source.path.name
        source = replace(source, path=path)
    if path.is_file():
        return path
    origin = "weights_path" if weights_path else ENVIRONMENT
    what = f"{origin} names {path}, which does not exist" if named else f"there is no {path}"
    raise WeightsNotFoundError(
        f"the ImageNet weights of {network} were not found: {what}. They are downloaded on "
        f"request only: call napari_periodic_denoise.pretrained.weights.download({network!r}), "
        f"or save {source.url} ({source.size:.0f} MB) in {source.path.parent}, or give the file "
        f"as weights_path or in the environment variable {ENVIRONMENT}, or use weights='random'",
        source,
    )


def load_weights(
    network: str, path: str | os.PathLike[str], needed: Iterable[str] = ()
) -> dict[str, torch.Tensor]:
    """Load the weights of a network's convolutional part from a file.

    Parameters
    ----------
    network : {"vgg16", "vgg19"}
    path : path-like
        State dict of the whole network or of its ``features``, written by `torch.save`. Deep
        layers may be missing. Code in the file is never run.
    needed : iterable of str
        Required tensors, with the names of the result.

    Returns
    -------
    dict of Tensor of float32
        Tensors with the names of ``features.state_dict()``: ``"0.weight"``, ``"0.bias"``...

    Raises
    ------
    WeightsError
        If the file cannot be read, contains code, is damaged, or belongs to another network.
    """
    path = Path(path)
    state = _read(path)
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items()
    ):
        kind = type(state).__name__
        raise WeightsError(f"expected a state dict of named tensors in {path}, got a {kind}")
    if any(key.startswith("features.") for key in state):  # of the whole network
        state = {
            key.removeprefix("features."): value
            for key, value in state.items()
            if key.startswith("features.")
        }
    expected = {key: value.shape for key, value in vgg_features(network).state_dict().items()}
    for key, value in state.items():
        shape = expected.get(key)
        if shape != value.shape:
            has = f"has {key} of shape {tuple(shape)}" if shape else f"has no {key}"
            raise WeightsError(
                f"{path} does not belong to {network}, which {has}; the file has shape "
                f"{tuple(value.shape)}"
            )
        if not value.isfinite().all():
            raise WeightsError(f"{path} is damaged: {key} contains NaN or infinite values")
    missing = [key for key in needed if key not in state]
    if missing:
        raise WeightsError(f"{path} has no {missing[0]} of the features of {network}")
    return {key: value.to(torch.float32) for key, value in state.items()}


def download(network: str) -> Path:
    """Download a network's ImageNet weights into the cache of torch's hub.

    Parameters
    ----------
    network : {"vgg16", "vgg19"}

    Returns
    -------
    Path
        The downloaded file.

    Raises
    ------
    WeightsError
        See `iter_download`.
    """
    source = imagenet_source(network)
    for _ in iter_download(source):
        pass
    return source.path


def iter_download(source: Source) -> Generator[tuple[int, int], None, None]:
    """Download weights step by step, for progress bars and cancellation.

    The file is written under a temporary name, checked against the SHA-256 digits in the URL's
    file name, and then renamed. If the generator is closed or fails, nothing remains.

    Parameters
    ----------
    source : Source

    Yields
    ------
    done, total : int
        Bytes. ``total`` is 0 if the server does not announce it.

    Raises
    ------
    WeightsError
        If the server cannot be reached, the file cannot be written, or its digest is wrong.
    """
    stem, digits = Path(source.url).stem.rsplit("-", 1)
    hint = f": download it by other means to {source.path}, or give it as weights_path"
    partial: Path | None = None
    try:
        source.path.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(source.url, timeout=_TIMEOUT) as response:
            total, done, digest = int(response.headers["Content-Length"] or 0), 0, hashlib.sha256()
            handle, name = tempfile.mkstemp(".part", stem, source.path.parent)
            partial = Path(name)
            with os.fdopen(handle, "wb") as file:
                while chunk := response.read(_CHUNK):
                    file.write(chunk)
                    digest.update(chunk)
                    done += len(chunk)
                    yield done, total
        if done < total:
            raise WeightsError(f"{source.url} ended after {done} of {total} bytes: try again")
        if not digest.hexdigest().startswith(digits):
            raise WeightsError(
                f"{source.url} has the wrong content: expected a SHA-256 that starts with "
                f"{digits}, got {digest.hexdigest()[: len(digits)]}" + hint
            )
        partial.chmod(0o644)  # temporary files are readable by their owner only
        partial.replace(source.path)
    except WeightsError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise WeightsError(f"{source.url} cannot be downloaded ({error})" + hint) from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def _read(path: Path) -> object:
    """Read a file of `torch.save` that contains tensors only."""
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about files of other formats, handled below
            return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError(f"{path} does not exist") from error
    except PermissionError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror})") from error
    except Exception as error:  # torch.load raises many kinds of errors for other files
        code = _CODE.search(str(error))
        if code:
            raise WeightsError(
                f"{path} is refused: it contains more than tensors ({code[1]}), and opening it "
                "could run code: save the network's state_dict() instead"
            ) from error
        raise WeightsError(f"{path} is damaged, truncated, or not a file of torch") from error
