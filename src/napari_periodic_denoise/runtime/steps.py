"""Drive generators that work step by step."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")
U = TypeVar("U")


def finish(run: Generator[Any, None, T]) -> T:
    """Run a generator to its end, and return its result.

    Parameters
    ----------
    run : generator

    Returns
    -------
    object
    """
    result: list[T] = []
    for _ in _kept(run, result):
        pass
    return result[0]


def mapped(run: Generator[S, None, T], function: Callable[[S], U]) -> Generator[U, None, T]:
    """Apply a function to each step of a generator, and return its result.

    Parameters
    ----------
    run : generator
        It is closed when this generator is closed.
    function : callable

    Yields
    ------
    object
        ``function(step)``.

    Returns
    -------
    object
        Result of the generator.
    """
    result: list[T] = []
    with closing(_kept(run, result)) as steps:
        for step in steps:
            yield function(step)
    return result[0]


def _kept(run: Generator[S, None, T], result: list[T]) -> Generator[S, None, None]:
    """Yield the steps of a generator, and append its result to a list."""
    result.append((yield from run))
