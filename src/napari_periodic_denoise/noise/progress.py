"""Steps and progress of a running estimate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import torch


class Stage(StrEnum):
    """Stage of a run.

    An error during `READ` is an error of the input. A later error is one of the engine.
    """

    READ = "read"
    DETECT = "detect"
    FIT = "fit"
    SUBTRACT = "subtract"


class Step(NamedTuple):
    """A step of the engine, announced before it is computed.

    Attributes
    ----------
    stage : Stage
    message : str
        Description of the step for the user.
    texture : ndarray of float32, shape (C, H, W), optional
        Current texture in intensity units.
    residuals : list of Tensor of float32, shape (H, W), optional
        Each channel without its current waves, in the unit of its pixels.
    """

    stage: Stage
    message: str
    texture: np.ndarray | None = None
    residuals: list[torch.Tensor] | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a running estimate.

    Attributes
    ----------
    stage : Stage
        A string: ``"read"``, ``"detect"``, ``"fit"`` or ``"subtract"``.
    done, total : int
        Steps done, and steps expected. They are equal only at the end.
    message : str
        Description of the current step for the user.
    preview : ndarray of float32, shape of the image, optional
        Current texture in the image's intensity units, every few seconds of a synthesis.
    cleaned : callable, optional
        Returns the image without its current waves, in its shape and dtype. It is given each
        time that the residual is searched again.
    """

    stage: Stage
    done: int
    total: int
    message: str
    preview: np.ndarray | None = field(default=None, compare=False)
    cleaned: Callable[[], np.ndarray] | None = field(default=None, compare=False)
