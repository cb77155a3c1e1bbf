"""Show how far a batch is, and its results, whether or not anyone can read them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import Lock
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bars

Tell = Callable[[int, int, str], None]  # done, of how many, and the current step

_MINUTE = 60.0  # seconds between lines where there is no terminal: a night's log stays short


class Display(Protocol):
    """Shows the progress of jobs, several at a time, and lines of text."""

    def say(self, line: str, *, error: bool = False) -> None:
        """Print a line; see `say`."""

    def job(self, label: str) -> AbstractContextManager[Tell]:
        """Show a job until the end of the block."""


def say(line: str, *, error: bool = False) -> None:
    """Print a line; if nothing can be written there, the work goes on without.

    Parameters
    ----------
    line : str
    error : bool
        Whether it goes to standard error.
    """
    stream = sys.stderr if error else sys.stdout
    try:
        print(line, file=stream, flush=True)
    except (OSError, ValueError):  # a full disk, a reader that is gone, a closed file
        with suppress(OSError, ValueError):
            _silence(stream.fileno())


def open_missing_streams() -> None:
    """Stand in for standard streams that are closed, as under cron or a service.

    Otherwise the next files that are opened take their numbers, and messages are written into
    images.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


@contextmanager
def display() -> Iterator[Display]:
    """Show progress bars on a terminal, and a line a minute elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.fields[label]}", markup=False),
        BarColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Bars(
        *columns,
        console=console,
        transient=True,
        redirect_stdout=False,  # results go to standard output, also while bars are shown
        redirect_stderr=False,
    ) as bars:
        yield _Terminal(bars)


class _Terminal:
    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._lock = Lock()

    def say(self, line: str, *, error: bool = False) -> None:
        with self._lock:
            self._bars.stop()  # the line would be written into the bars
            say(line, error=error)
            self._bars.start()

    @contextmanager
    def job(self, label: str) -> Iterator[Tell]:
        task = self._bars.add_task("reading", label=label, total=None)

        def tell(done: int, total: int, message: str) -> None:
            self._bars.update(task, completed=done, total=total, description=message)

        try:
            yield tell
        finally:
            self._bars.remove_task(task)


class _Lines:
    def __init__(self) -> None:
        self._last = time.monotonic()

    def say(self, line: str, *, error: bool = False) -> None:
        say(line, error=error)

    @contextmanager
    def job(self, label: str) -> Iterator[Tell]:
        def tell(done: int, total: int, message: str) -> None:
            now = time.monotonic()
            if now - self._last >= _MINUTE:
                self._last = now
                say(f"{label}: {message}", error=True)

        yield tell


def _silence(number: int) -> None:
    """Send what is written to a stream, and what waits to be, to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
