"""End a run on Ctrl-C or SIGTERM so that nothing half written is left."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

#: What a terminal, a batch system and a closed session send, where the system has it.
_SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
]


def end_at_once_on_interrupt() -> None:
    """Let Ctrl-C end the process at once, while nothing is written yet.

    As an exception it could be raised within an import that catches all exceptions, and be lost.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def stoppable() -> Iterator[Callable[[], None]]:
    """Turn signals that end the process into exceptions; for the main thread.

    Yields
    ------
    callable
        Raises the exception again, in case some code has caught and lost it.
    """
    received: list[int] = []

    def stop(number: int, _frame: object = None) -> NoReturn:
        received.append(number)
        # zarr reads in tasks of asyncio, which tells errors of those that are left behind
        logging.getLogger("asyncio").disabled = True
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)  # as shells have it

    def check() -> None:
        if received:
            stop(received[0])

    usual = {number: signal.getsignal(number) for number in _SIGNALS}
    # one that is ignored, as after nohup, stays ignored
    changed = [n for n in _SIGNALS if usual[n] in (signal.SIG_DFL, signal.default_int_handler)]
    for number in changed:
        signal.signal(number, stop)
    try:
        yield check
    finally:
        for number in changed:
            signal.signal(number, usual[number])
