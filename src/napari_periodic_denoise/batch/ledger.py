"""The ledger of an output folder: which input, with which settings, made each output.

With it ``--resume`` tells outputs that are up to date from those whose input or settings have
changed since. Several runs append to one ledger at the same time.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from enum import Enum
from pathlib import Path
from threading import Lock
from typing import Any

from napari_periodic_denoise.batch.plan import Job
from napari_periodic_denoise.io.atomic import claim

NAME = ".napari-periodic-denoise.jsonl"


class State(Enum):
    """What an earlier run has done of a job."""

    MISSING = "not written yet"
    CHANGED = "changed"
    DONE = "done already"
    UNKNOWN = "done already, by an unknown input or settings"


class Ledger:
    """The ledger of a folder.

    Parameters
    ----------
    folder : Path
    settings : dict
        That this run cleans with.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self._path, self._settings = folder / NAME, json.loads(json.dumps(settings, default=str))
        self._lock, self._read = Lock(), 0
        self._entries: dict[str, dict[str, Any]] = {}

    def state_of(self, job: Job) -> State:
        """Return what is done of a job.

        Parameters
        ----------
        job : Job
        """
        if not job.is_written:
            return State.MISSING
        entry = self._entry_of(job)
        if entry is None:
            return State.UNKNOWN
        if entry["replaces"] == stamp_of(job.cleaned):  # noted, and stopped before it was written
            return State.CHANGED
        same = entry["input"] == stamp_of(job.source) and entry["settings"] == self._settings
        return State.DONE if same else State.CHANGED

    def note(self, job: Job, source: list[int] | None) -> None:
        """Note a job whose outputs are complete, and get their names next.

        Parameters
        ----------
        job : Job
        source : list of int
            `stamp_of` the input when it was opened.
        """
        replaces = stamp_of(job.cleaned)
        entry = {"output": self._key(job), "input": source, "settings": self._settings}
        line = json.dumps({**entry, "replaces": replaces})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with claim(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")  # a line of its own: the last write may have failed halfway

    def _entry_of(self, job: Job) -> dict[str, Any] | None:
        with self._lock:
            if self._path.exists():
                with self._path.open(encoding="utf-8", errors="replace") as file:
                    file.seek(self._read)
                    for line in iter(file.readline, ""):
                        if not line.endswith("\n"):  # being written
                            break
                        self._read = file.tell()
                        with suppress(ValueError, KeyError, TypeError):
                            entry = json.loads(line)
                            self._entries[entry["output"]] = entry
            return self._entries.get(self._key(job))

    def _key(self, job: Job) -> str:
        return job.cleaned.relative_to(self._path.parent).as_posix()


def stamp_of(path: Path) -> list[int] | None:
    """Return what changes when a file does: size and time, or None if it is not there.

    Parameters
    ----------
    path : Path
        Of a folder all files in it count.

    Returns
    -------
    list of int
        Number of files, bytes, and the latest change in nanoseconds.
    """
    files = 1
    try:
        status = path.stat()
    except OSError:
        return None
    size, time = status.st_size, status.st_mtime_ns
    if path.is_dir():
        files = size = 0
        for folder, _, names in os.walk(path):
            for name in names:
                with suppress(OSError):
                    status = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118 - of many
                    files, size = files + 1, size + status.st_size
                    time = max(time, status.st_mtime_ns)
    return [files, size, time]
