"""What was found in an image: as plain values for files, and in words."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

_NO_UNICODE = "surrogateescape"  # names of files that are none come as they are on disk


class Report:
    """What was found in many files, as one file of CSV or JSON.

    Each file's part is kept in a journal beside it at once, so that a run that was killed can be
    taken up again; at the end the report is made of it.

    Parameters
    ----------
    path : Path
        CSV, a row for each wave and for each plane without, or JSON.
    resume : bool
        Whether to keep what an earlier run has found in files that are not cleaned again.

    Raises
    ------
    ValueError
        If the name says another format.
    """

    columns = (
        *("file", "plane", "removed_variance", "channel", "frequency_y", "frequency_x"),
        *("period", "amplitude", "phase", "reason"),
    )

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        if path.suffix.lower() not in (".csv", ".json"):
            raise ValueError(f"{path} is named neither .csv nor .json")
        self._path, self._lock = path, Lock()
        self._is_csv = path.suffix.lower() == ".csv"
        self._journal = path.with_name(f"{path.name}.journal")
        self._parts: dict[str, list[dict[str, Any]]] = {}
        if resume:
            self._read()
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._journal.open("w", encoding="utf-8") as journal:
            for file, part in self._parts.items():
                self._write(journal, file, part)

    def add(self, file: str, planes: list[dict[str, Any]]) -> None:
        """Add what was found in a file, to the journal too.

        Parameters
        ----------
        file : str
        planes : list of dict
            Of each plane its place in the stack, and what `record` returns.
        """
        part = list(_rows(planes)) if self._is_csv else planes
        with self._lock:
            with self._journal.open("a", encoding="utf-8") as journal:
                self._write(journal, file, part)
            self._parts[file] = part

    def finish(self, files: Iterable[str]) -> None:
        """Write the report; it appears whole or not at all.

        Parameters
        ----------
        files : iterable of str
            In the order in which they are to be told; those of which nothing is known are not.
        """
        from napari_periodic_denoise.io.atomic import replacing, write_json

        known = {file: self._parts[file] for file in files if file in self._parts}
        if not self._is_csv:
            told = [{"file": file, "planes": part} for file, part in known.items()]
            write_json(self._path, told)
        else:
            text = io.StringIO(newline="")
            table = csv.DictWriter(text, self.columns)
            table.writeheader()
            for file, part in known.items():
                table.writerows({"file": file, **row} for row in part)
            with replacing(self._path) as target:
                target.write(text.getvalue().encode(errors=_NO_UNICODE))
        self._journal.unlink()

    @staticmethod
    def _write(journal: io.TextIOBase, file: str, part: list[dict[str, Any]]) -> None:
        # begun on a line of its own: the last write may have failed halfway, on a full disk
        journal.write(f"\n{json.dumps([file, part])}\n")

    def _read(self) -> None:
        """Read the report of an earlier run, and the journal of one that was killed."""
        if self._path.exists() and not self._is_csv:
            told = json.loads(self._path.read_text("utf-8"))
            self._parts = {entry["file"]: entry["planes"] for entry in told}
        elif self._path.exists():
            with self._path.open(encoding="utf-8", errors=_NO_UNICODE, newline="") as table:
                for row in csv.DictReader(table):
                    self._parts.setdefault(row.pop("file"), []).append(row)
        if self._journal.exists():
            for line in self._journal.read_text("utf-8").splitlines():
                with suppress(ValueError):  # of an empty line, or one that was being written
                    file, part = json.loads(line)
                    self._parts[file] = part


def _rows(planes: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for told in planes:
        place = " ".join(map(str, told["plane"]))
        plane = {"plane": place, "removed_variance": told["removed_variance"]}
        for wave in told["waves"] or [{}]:
            row = {name: wave[name] for name in Report.columns if name in wave}
            if wave:
                fy, fx = wave["frequency"]
                row |= {"frequency_y": fy, "frequency_x": fx, "period": 1 / math.hypot(fy, fx)}
            yield {**plane, **row}
