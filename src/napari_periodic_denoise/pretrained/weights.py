"""Trained weights of the networks: looked for, checked, and downloaded only when asked to."""

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

_CHUNK = 1 << 20
_TIMEOUT = 30.0  # seconds without a byte
_CODE = re.compile(r"GLOBAL (\S+)")


@dataclass(frozen=True, slots=True)
class Source:
    """Where weights come from, and where they go.

    Attributes
    ----------
    network : str
        ``"vgg16"`` or ``"vgg19"``.
    url : str
        Its file name ends in the first digits of the file's SHA-256, as torchvision's do.
    path : Path
        File in the folder that torch's hub keeps its downloads in.
    size : float
        MB to download.
    """

    network: str
    url: str
    path: Path
    size: float


class WeightsError(OSError):
    """Weights can't be used or had; says why."""


class WeightsNotFoundError(WeightsError, FileNotFoundError):
    """The weights are not on this computer; says where to get them.

    Attributes
    ----------
    source : Source
        What `download` takes.
    """

    def __init__(self, message: str, source: Source) -> None:
        super().__init__(message)
        self.source = source


def imagenet_source(network: str) -> Source:
    """Torchvision's own ImageNet weights of a network.

    Parameters
    ----------
    network : {"vgg16", "vgg19"}

    Returns
    -------
    Source
    """
    vgg_features(network)  # which knows the names
    enum = torchvision_models().get_model_weights(network).IMAGENET1K_V1
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return Source(network, enum.url, folder / Path(enum.url).name, enum.meta["_file_size"])


def find_weights(network: str, weights_path: str | os.PathLike[str] | None = None) -> Path:
    """File of a network's ImageNet weights on this computer.

    Looked for in `weights_path`, else in what the environment variable
    ``NAPARI_PERIODIC_DENOISE_WEIGHTS`` names, else in the cache of torch's hub. Nothing is
    downloaded.

    Parameters
    ----------
    network : {"vgg16", "vgg19"}
    weights_path : path-like, optional
        The file, or a folder that holds it under torchvision's name.

    Returns
    -------
    Path

    Raises
    ------
    WeightsNotFoundError
        If it is not there; a FileNotFoundError.
    """
    source = imagenet_source(network)
    named = weights_path or os.environ.get(ENVIRONMENT)
    path = Path(named).expanduser() if named else source.path
    if path.is_dir():
        path /= source.path.name
        source = replace(source, path=path)
    if path.is_file():
        return path
    whence = "weights_path" if weights_path else ENVIRONMENT
    what = f"{whence} names {path}, which is not there" if named else f"there is no {path}"
    raise WeightsNotFoundError(
        f"the ImageNet weights of {network} were not found: {what}. They are not downloaded "
        "unasked: call "
        f"napari_periodic_denoise.pretrained.weights.download({network!r}), or fetch "
        f"{source.url} ({source.size:.0f} MB) into {source.path.parent}, or give the file as "
        f"weights_path or in the environment variable {ENVIRONMENT}; weights='random' needs none",
        source,
    )


def load_weights(
    network: str, path: str | os.PathLike[str], needed: Iterable[str] = ()
) -> dict[str, torch.Tensor]:
    """Weights of a network's convolutional part from a file.

    Parameters
    ----------
    network : {"vgg16", "vgg19"}
    path : path-like
        A state dict of the whole network or of its ``features``, as `torch.save` writes it.
        It may lack deep layers. Read so that no code in it can run.
    needed : iterable of str
        What has to be in it, named as in the result.

    Returns
    -------
    dict of Tensor of float32
        Named as in ``features.state_dict()``: ``"0.weight"``, ``"0.bias"``...

    Raises
    ------
    WeightsError
        If the file can't be read, holds code, is damaged, or belongs to another network.
    """
    path = Path(path)
    state = _read(path)
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items()
    ):
        kind = type(state).__name__
        raise WeightsError(f"{path} holds no state dict of named tensors, but a {kind}")
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
                f"{path} does not belong to {network}, which {has}; the file's is of shape "
                f"{tuple(value.shape)}"
            )
        if not value.isfinite().all():
            raise WeightsError(f"{path} is damaged: {key} holds NaN or infinite values")
    missing = [key for key in needed if key not in state]
    if missing:
        raise WeightsError(f"{path} lacks {missing[0]} of {network}'s features")
    return {key: value.to(torch.float32) for key, value in state.items()}


def download(network: str) -> Path:
    """Download a network's ImageNet weights into the cache of torch's hub.

    Parameters
    ----------
    network : {"vgg16", "vgg19"}

    Returns
    -------
    Path

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
    """Download weights step by step, for progress bars and to be stopped in between.

    They are written under a temporary name, checked against the SHA-256 digits in the URL's
    file name, and only then named as they will be found. Nothing stays behind when the
    generator is closed or fails.

    Parameters
    ----------
    source : Source

    Yields
    ------
    done, total : int
        Bytes; ``total`` is what the server says, or 0 where it says nothing.

    Raises
    ------
    WeightsError
        If the server can't be reached, the file can't be written, or what came is not the file.
    """
    stem, digits = Path(source.url).stem.rsplit("-", 1)
    hint = f"; get it by other means and save it as {source.path}, or give it as weights_path"
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
            raise WeightsError(f"{source.url} broke off after {done} of {total} bytes; try again")
        if not digest.hexdigest().startswith(digits):
            raise WeightsError(
                f"what came from {source.url} is not the file it should be: its SHA-256 starts "
                f"with {digest.hexdigest()[: len(digits)]}, not {digits}" + hint
            )
        partial.chmod(0o644)  # the temporary file is for its owner alone
        partial.replace(source.path)
    except WeightsError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise WeightsError(f"{source.url} can't be downloaded ({error})" + hint) from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def _read(path: Path) -> object:
    """Read what `torch.save` wrote, if it is tensors only."""
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about files that are no torch files, seen below
            return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError(f"{path} is not there") from error
    except PermissionError as error:
        raise WeightsError(f"{path} can't be read ({error.strerror})") from error
    except Exception as error:  # torch.load fails in a dozen ways on what is not its own
        code = _CODE.search(str(error))
        if code:
            raise WeightsError(
                f"{path} is refused: it holds more than tensors ({code[1]}), and opening it "
                "could run code; save the network's state_dict() instead"
            ) from error
        raise WeightsError(f"{path} is damaged, cut short, or no file of torch's") from error
