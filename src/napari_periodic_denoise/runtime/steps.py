"""Drive generators that do their work step by step."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")
U = TypeVar("U")


def finish(run: Generator[Any, None, T]) -> T:
    """Take all the steps of a run, and return its result.

    Parameters
    ----------
    run : generator
    """
    result: list[T] = []
    for _ in _kept(run, result):
        pass
    return result[0]


def mapped(run: Generator[S, None, T], function: Callable[[S], U]) -> Generator[U, None, T]:
    """Yield a function of each step of a run, and return the run's result.

    Parameters
    ----------
    run : generator
        Closed when this is.
    function : callable
    """
    result: list[T] = []
    with closing(_kept(run, result)) as steps:
        for step in steps:
            yield function(step)
    return result[0]


def _kept(run: Generator[S, None, T], result: list[T]) -> Generator[S, None, None]:
    """Yield the steps of a run, and append its result to a list."""
    result.append((yield from run))
