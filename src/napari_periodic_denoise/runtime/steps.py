"""Drive generators that do their work step by step."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

T = TypeVar("T")


def finish(run: Generator[Any, None, T]) -> T:
    """Take all the steps of a run, and return its result.

    Parameters
    ----------
    run : generator
    """
    while True:
        try:
            next(run)
        except StopIteration as end:
            result: T = end.value
            return result
