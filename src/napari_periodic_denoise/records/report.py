"""The noise found in many files, as one table of CSV or one file of JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any

from napari_periodic_denoise.io.atomic import claim, replacing, write_json
from napari_periodic_denoise.records.table import components, rows

#: Bytes of file names that are not Unicode are kept as they are on disk.
_NOT_UNICODE = "surrogateescape"
#: Of all versions. Each version has these and some of the others.
_FIRST_COLUMNS = (
    *("file", "plane", "removed_variance", "channel", "frequency_y", "frequency_x"),
    *("period", "amplitude", "phase", "reason"),
)
_COLUMNS = (
    *("file", "plane", "removed_variance", "not_finite", "wave", "on", "channel"),
    *("period", "angle_degrees", "amplitude", "amplitude_is", "share", "false_alarms", "family"),
    *("frequency_y", "frequency_x", "phase", "amplitude_error", "phase_error"),
    *("frequency_y_error", "frequency_x_error", "reason"),
)


class Report:
    """The noise found in many files, as one file of CSV or JSON; see `open_report`.

    The part of each file is appended to a journal beside the report at once, so that a run that
    was killed can be resumed. The report is made from it at the end.

    Parameters
    ----------
    path : Path
        CSV, with one row for each wave, for each noise of rows or columns, and for each plane
        without any; or JSON.
    parts : dict of str to list of dict
        What is known already, by file.
    """

    def __init__(self, path: Path, parts: dict[str, list[dict[str, Any]]]) -> None:
        self.path, self._lock, self._parts = path, Lock(), parts
        self._journal = _journal_of(path)
        with self._journal.open("w", encoding="utf-8") as journal:
            for file, part in parts.items():
                _append(journal, file, part)

    def add(self, file: str, planes: list[dict[str, Any]]) -> None:
        """Add the record of a file, to the journal too.

        Parameters
        ----------
        file : str
        planes : list of dict
            For each plane its place in the stack, and what `record` returns.
        """
        part = list(_rows(planes)) if _is_csv(self.path) else planes
        with self._lock:
            with self._journal.open("a", encoding="utf-8") as journal:
                _append(journal, file, part)
            self._parts[file] = part

    def finish(self, files: Iterable[str]) -> None:
        """Write the report; it appears complete or not at all.

        Parameters
        ----------
        files : iterable of str
            The files of this run, in order. Files of earlier runs come before them.
        """
        order = list(files)
        earlier = [file for file in self._parts if file not in set(order)]
        known = {file: self._parts[file] for file in [*earlier, *order] if file in self._parts}
        if _is_csv(self.path):
            text = io.StringIO(newline="")
            table = csv.DictWriter(text, _COLUMNS)
            table.writeheader()
            for file, part in known.items():
                table.writerows({"file": file, **row} for row in part)
            with replacing(self.path) as target:
                target.write(text.getvalue().encode(errors=_NOT_UNICODE))
        else:
            entries = [{"file": file, "planes": part} for file, part in known.items()]
            write_json(self.path, entries)
        self._journal.unlink()


@contextmanager
def open_report(path: Path, *, resume: bool = False, overwrite: bool = False) -> Iterator[Report]:
    """Open a report that no other run writes until the end of the block.

    Parameters
    ----------
    path : Path
        Ends in .csv or .json.
    resume : bool
        Whether to keep what earlier runs found.
    overwrite : bool
        Whether a file of that name may be replaced.

    Raises
    ------
    ValueError
        If the name has another ending, the file exists, or it is not a report.
    ClaimedError
        If another run is writing it.
    """
    if path.suffix.lower() not in (".csv", ".json"):
        raise ValueError(f"expected a report named .csv or .json, got {path}")
    with claim(path, wait=False):
        if not (resume or overwrite):
            if path.exists():
                raise ValueError(f"{path} exists; --resume adds to it, --overwrite replaces it")
            if _journal_of(path).exists():
                raise ValueError(
                    f"{_journal_of(path)} is left from a run that was stopped; --resume "
                    "continues it, --overwrite discards it"
                )
        yield Report(path, _read(path) if resume else {})


def _is_csv(path: Path) -> bool:
    return path.suffix.lower() == ".csv"


def _journal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.journal")


def _append(journal: io.TextIOBase, file: str, part: list[dict[str, Any]]) -> None:
    # on a line of its own: the last write may have failed halfway, on a full disk
    journal.write(f"\n{json.dumps([file, part])}\n")


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Read the report of an earlier run, and the journal of one that was killed."""
    parts: dict[str, list[dict[str, Any]]] = {}
    if path.exists():
        try:
            parts = _read_table(path) if _is_csv(path) else _read_json(path)
        except (ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
            raise ValueError(f"{path} is not a report of this command; nothing is done") from error
    if _journal_of(path).exists():
        for line in _journal_of(path).read_text("utf-8", errors="replace").splitlines():
            with suppress(ValueError):  # of an empty line, or one that was being written
                file, part = json.loads(line)
                parts[file] = part
    return parts


def _read_json(path: Path) -> dict[str, list[dict[str, Any]]]:
    parts = {entry["file"]: entry["planes"] for entry in json.loads(path.read_text("utf-8"))}
    if not all(isinstance(part, list) for part in parts.values()):
        raise TypeError
    return parts


def _read_table(path: Path) -> dict[str, list[dict[str, Any]]]:
    parts: dict[str, list[dict[str, Any]]] = {}
    with path.open(encoding="utf-8", errors=_NOT_UNICODE, newline="") as text:
        table = csv.DictReader(text, strict=True)
        if not set(_FIRST_COLUMNS) <= set(table.fieldnames or ()) <= set(_COLUMNS):
            raise ValueError
        for row in table:
            if None in row or None in row.values():
                raise ValueError
            parts.setdefault(row.pop("file"), []).append(row)
    return parts


def _rows(planes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for plane in planes:
        place = " ".join(map(str, plane["plane"]))
        whole = {name: plane[name] for name in ("removed_variance", "not_finite")}
        for component in list(components(rows(plane))) or [{}]:
            if component:
                component["period"] = component.pop("period_px")
            yield {"plane": place, **whole, **component}
