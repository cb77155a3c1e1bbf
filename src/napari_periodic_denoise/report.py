"""What was found in an image: as plain values for files, and in words."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from napari_periodic_denoise import __version__

if TYPE_CHECKING:
    from napari_periodic_denoise.noise.estimate import NoiseEstimate
    from napari_periodic_denoise.noise.waves import Wave


_NO_UNICODE = "surrogateescape"  # names of files that are none come as they are on disk
_SAME = 1e-4  # cycles/pixel, within which the frequencies of two channels are the same


def record(estimate: NoiseEstimate) -> dict[str, Any]:
    """Return what was found, why, and with which settings, ready for JSON.

    Parameters
    ----------
    estimate : NoiseEstimate
    """
    return {
        "version": __version__,
        "settings": estimate.settings,
        "removed_variance": estimate.removed_variance,
        "remainder_variance": estimate.remainder_variance,
        "waves": [{**wave.to_dict(), "reason": wave.reason} for wave in estimate.waves],
        "rejected": [
            {**asdict(peak), "frequency": list(peak.frequency)} for peak in estimate.rejected
        ],
    }


def in_words(estimate: NoiseEstimate, channels: Sequence[str], most: int = 8) -> str:
    """Return what was found for a person: a line for each wave, and one for the remainder.

    Parameters
    ----------
    estimate : NoiseEstimate
    channels : sequence of str
        Names of the channels, told where an image has several.
    most : int
        How many lines of waves there are at most.
    """
    groups: list[list[Wave]] = []
    for wave in estimate.waves:
        group = next((group for group in groups if _is_of(wave, group)), None)
        if group is None:
            groups.append([wave])
        else:
            group.append(wave)
    names = [f" ({name})" for name in channels] if estimate.noise.ndim > 2 else [""]
    told = []
    for group in groups:
        first = group[0]
        place = f"{first.period:.1f} px at {round(first.angle) % 180}°"
        heights = (f"{_amplitude(wave)}{names[wave.channel]}" for wave in group)
        told.append(f"{', '.join([place, *_nature(first)])}: {', '.join(heights)}")
    if len(told) > most:
        told[most:] = [f"and {len(told) - most} more"]
    if estimate.remainder_variance:
        kind = estimate.settings["remainder"]
        words = kind if kind == "stripes" else f"{kind} noise"
        if estimate.settings.get("method") == "texture":
            words = "texture"
        told.append(f"{words}: {100 * estimate.remainder_variance:.3g}% of the variance")
    return "\n".join(told)


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
        from napari_periodic_denoise.files import replacing, write_json

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


def _is_of(wave: Wave, group: list[Wave]) -> bool:
    """Whether a wave is the same as that of other channels, each of which has fitted it anew."""
    return all(
        wave.channel != other.channel
        and math.dist(wave.frequency, other.frequency) < _SAME
        and _nature(wave) == _nature(other)
        for other in group
    )


def _nature(wave: Wave) -> list[str]:
    words = []
    if wave.profile is not None:
        words.append("hard-edged")
    if wave.envelope is not None:
        words.append("changing over the image")
    return words


def _amplitude(wave: Wave) -> str:
    if wave.dark is not None:
        return f"±{100 * wave.amplitude:.3g}% of the brightness"
    return f"±{wave.amplitude:.3g}"
