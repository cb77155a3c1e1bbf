"""Where a running estimate is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import torch


class Stage(StrEnum):
    """What a run does at the moment.

    While it reads, an error is one of the input; later, it is one of the engine.
    """

    READ = "read"
    DETECT = "detect"
    FIT = "fit"
    SUBTRACT = "subtract"


class Step(NamedTuple):
    """A step of the engine, announced before it is taken.

    Attributes
    ----------
    stage : Stage
    message : str
        What is done next, in words for a person.
    texture : ndarray of float32, shape (C, H, W), optional
        The texture so far, in intensity units.
    residuals : list of Tensor of float32, shape (H, W), optional
        What the waves known so far leave of each channel.
    """

    stage: Stage
    message: str
    texture: np.ndarray | None = None
    residuals: list[torch.Tensor] | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a running estimate is.

    Attributes
    ----------
    stage : Stage
        A string: ``"read"``, ``"detect"``, ``"fit"`` or ``"subtract"``.
    done, total : int
        Steps done and expected; ``total`` is a guess that only ``done == total`` ends.
    message : str
        What is being done, in words for a person.
    preview : ndarray of float32, shape of the image, optional
        The texture so far, in the image's intensity units; every few seconds of a synthesis.
    cleaned : callable, optional
        Returns the image without the waves that are known so far, in its shape and dtype; each
        time that the residual is searched again.
    """

    stage: Stage
    done: int
    total: int
    message: str
    preview: np.ndarray | None = field(default=None, compare=False)
    cleaned: Callable[[], np.ndarray] | None = field(default=None, compare=False)
