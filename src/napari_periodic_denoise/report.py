"""What was found in an image: as plain values for files, and in words."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_periodic_denoise import __version__

if TYPE_CHECKING:
    from napari_periodic_denoise.noise.estimate import NoiseEstimate
    from napari_periodic_denoise.noise.waves import Wave


_NO_UNICODE = "surrogateescape"  # names of files that are none come as they are on disk
_SURE = 1e-9  # false alarms, fewer than which nobody needs to tell apart
_MOST_SENSITIVE = 0.1  # false alarms, as many as the dock offers
_TOLD = 3  # peaks that were left to the specimen, at most


def record(estimate: NoiseEstimate, off: Sequence[Wave] = ()) -> dict[str, Any]:
    """Return what was found, why, and with which settings, ready for JSON.

    Parameters
    ----------
    estimate : NoiseEstimate
    off : sequence of Wave
        Those that were found too, but are left in the image.
    """
    waves = [*estimate.waves, *off]
    places, families = _places(waves, estimate), _families(waves, estimate)
    told = [
        {**wave.to_dict(), "reason": wave.reason, "place": place, "family": family}
        for wave, place, family in zip(waves, places, families, strict=True)
    ]
    return {
        "version": __version__,
        "settings": estimate.settings,
        "removed_variance": estimate.removed_variance,
        "remainder_variance": estimate.remainder_variance,
        "summary": estimate.summary,
        "warnings": list(estimate.warnings),
        "waves": told[: len(estimate.waves)],
        "off": told[len(estimate.waves) :],
        "rejected": [
            {**asdict(peak), "frequency": list(peak.frequency)} for peak in estimate.rejected
        ],
    }


@dataclass(frozen=True, slots=True)
class WaveRow:
    """A wave of a record, in all channels that have it.

    Attributes
    ----------
    waves : tuple of dict
        One for each channel, the strongest first.
    is_on : bool
        Whether it is taken away.
    """

    waves: tuple[dict[str, Any], ...]
    is_on: bool

    @property
    def frequency(self) -> tuple[float, float]:
        """``(fy, fx)`` in cycles/pixel."""
        fy, fx = self.waves[0]["frequency"]
        return fy, fx

    @property
    def frequencies(self) -> list[tuple[float, float]]:
        """Those of all channels, which may differ a little."""
        return [(fy, fx) for fy, fx in (wave["frequency"] for wave in self.waves)]

    def period(self, height: float = 1, width: float = 1) -> float:
        """Distance between two crests, of pixels of a height and a width."""
        fy, fx = self.frequency
        return 1 / math.hypot(fy / height, fx / width)

    @property
    def angle(self) -> float:
        """Direction of travel in degrees, see `Wave`."""
        return math.degrees(math.atan2(*self.frequency)) % 180

    @property
    def share(self) -> float:
        """Share of the noise's variance, in the channel where it is largest."""
        return max(float(wave["share"]) for wave in self.waves)

    @property
    def false_alarms(self) -> float:
        """Those expected in the surest channel."""
        return min(float(wave["false_alarms"]) for wave in self.waves)

    @property
    def family(self) -> str:
        """What kind of wave it is, in words."""
        return ", ".join(dict.fromkeys(word for wave in self.waves for word in wave["family"]))

    def amplitude(self, channels: Sequence[str]) -> str:
        """How far it raises and lowers the image, in words.

        Parameters
        ----------
        channels : sequence of str
            Names of the channels; empty for an image without.
        """
        heights = []
        for wave in self.waves:
            name = f" ({channels[wave['channel']]})" if channels else ""
            heights.append(f"{_height(wave)}{name}")
        return ", ".join(heights)


def rows(record: Mapping[str, Any]) -> list[WaveRow]:
    """Return the waves of a record, one row for each, the strongest first.

    Parameters
    ----------
    record : mapping
        As `record` returns it, of one plane.
    """
    places: dict[int, list[dict[str, Any]]] = {}
    is_on: dict[int, bool] = {}
    for waves, on in ((record["waves"], True), (record["off"], False)):
        for wave in waves:
            places.setdefault(wave["place"], []).append(wave)
            is_on[wave["place"]] = on
    return [WaveRow(tuple(waves), is_on[place]) for place, waves in places.items()]


def waves_as_csv(told: Iterable[WaveRow], pixel: tuple[float, float, str] | None) -> str:
    """Return waves as a table of CSV, a line for each channel of each.

    Parameters
    ----------
    told : iterable of WaveRow
    pixel : tuple of float, float, str, or None
        Height and width of a pixel and their unit, where these are known.
    """
    lines: list[dict[str, Any]] = []
    for number, row in enumerate(told, start=1):
        for wave in row.waves:
            fy, fx = wave["frequency"]
            one = WaveRow((wave,), row.is_on)
            lines.append(
                {
                    "wave": number,
                    "on": int(row.is_on),
                    "channel": wave["channel"],
                    "period_px": one.period(),
                    **({f"period_{pixel[2]}": one.period(*pixel[:2])} if pixel else {}),
                    "angle_degrees": one.angle,
                    "amplitude": wave["amplitude"],
                    "amplitude_is": "intensity" if wave["dark"] is None else "share of brightness",
                    "share": wave["share"],
                    "false_alarms": wave["false_alarms"],
                    "family": one.family,
                    "frequency_y": fy,
                    "frequency_x": fx,
                    "phase": wave["phase"],
                }
            )
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(lines[0]) if lines else ["wave"])
    table.writeheader()
    table.writerows(lines)
    return text.getvalue()


def in_words(record: Mapping[str, Any], *, of_stack: bool = False) -> str:
    """Return what was found for a person: what was taken away, how sure it is, what to try.

    Parameters
    ----------
    record : mapping
        As `record` returns it, of one plane.
    of_stack : bool
        Whether there are other planes to try.
    """
    settings, told = record["settings"], rows(record)
    words = []
    if settings.get("method") != "texture":
        if told:
            words += [_taken(record, told), _sureness([row for row in told if row.is_on])]
        if record["remainder_variance"]:
            words.append(_rest(record))
        elif not told:
            words += ["No periodic noise was found: the picture is unchanged.", _nearest(record)]
            tries = list(_tries(settings, of_stack))
            words.append("\n".join(["What to try:", *tries]) if tries else "")
    return "\n\n".join(filter(None, [*words, *record["warnings"], _specimens(record)]))


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


def _places(waves: Sequence[Wave], estimate: NoiseEstimate) -> list[int]:
    """Number of the frequency at which each wave is, of those that are switched together."""
    from napari_periodic_denoise.noise.families import distances  # which imports torch
    from napari_periodic_denoise.noise.model import APART

    frequencies = np.array([wave.frequency for wave in waves]).reshape(-1, 2)
    near = distances(frequencies, _plane_shape(estimate)) < APART / 2
    places: list[int] = []
    for i in range(len(waves)):
        first = int(near[i].argmax())
        places.append(places[first] if first < i else i)
    return places


def _families(waves: Sequence[Wave], estimate: NoiseEstimate) -> list[list[str]]:
    """What kind of wave each is, and what it belongs to."""
    from napari_periodic_denoise.noise.families import fundamental, in_lattices

    shape = _plane_shape(estimate)
    families = [_nature(wave) for wave in waves]
    for channel in {wave.channel for wave in waves}:
        own = [i for i, wave in enumerate(waves) if wave.channel == channel]
        frequencies = np.array([waves[i].frequency for i in own])
        lattice = in_lattices(frequencies, shape)
        series = fundamental(frequencies, np.array([waves[i].amplitude for i in own]), shape)
        for k, i in enumerate(own):
            if lattice[k]:
                families[i].append("lattice")
            elif series is not None and series[1][k]:
                families[i].append(f"harmonic of {1 / math.hypot(*series[0]):.1f} px")
    return families


def _plane_shape(estimate: NoiseEstimate) -> tuple[int, int]:
    shape = list(estimate.noise.shape)
    axis = estimate.settings.get("channel_axis")
    if axis is not None:
        del shape[axis]
    return shape[0], shape[1]


def _nature(wave: Wave) -> list[str]:
    words = []
    if wave.profile is not None:
        words.append("hard-edged")
    if wave.envelope is not None:
        words.append("changing over the image")
    if wave.dark is not None:
        words.append("follows the brightness")
    return words or ["constant"]


def _height(wave: Mapping[str, Any]) -> str:
    if wave["dark"] is not None:
        return f"±{100 * wave['amplitude']:.3g}%"
    return f"±{wave['amplitude']:.3g}"


def _taken(record: Mapping[str, Any], told: Sequence[WaveRow]) -> str:
    on, count = sum(row.is_on for row in told), len(told)
    if not on:
        return "All waves that were found are switched off: they stay in the picture."
    waves = "1 wave was" if on == 1 else f"{on} waves were"
    if on < count:
        waves = f"{on} of {count} waves {'was' if on == 1 else 'were'}"
    return f"{waves} taken away: {100 * record['removed_variance']:.3g}% of the variance."


def _sureness(on: Sequence[WaveRow]) -> str:
    if not on:
        return ""
    least = max(row.false_alarms for row in on)
    one = "it" if len(on) == 1 else "the faintest"
    if least >= 1:
        chance = f"peaks as strong as {one} may come by chance, but no such fit"
    elif least < _SURE:
        chance = f"a peak as strong as {one} comes by chance in less than 1 of a billion pictures"
    else:
        often = float(f"{1 / least:.1g}")
        chance = f"a peak as strong as {one} comes by chance in about 1 of {often:,.0f} pictures"
    return f"How sure that is: all parts of the picture agree, and {chance}."


def _rest(record: Mapping[str, Any]) -> str:
    kind = record["settings"]["remainder"]
    kind = kind if kind == "stripes" else f"{kind} noise"
    return (
        f"{kind[:1].upper()}{kind[1:]} {'were' if kind == 'stripes' else 'was'} taken away: "
        f"{100 * record['remainder_variance']:.3g}% of the variance. That is less sure than waves "
        "are: look for parts of the specimen in the noise layer."
    )


def _nearest(record: Mapping[str, Any]) -> str:
    peaks = record["rejected"]
    if not peaks:
        return "No peak of the spectrum stands out."
    peak = min(peaks, key=lambda peak: peak["false_alarms"])
    return f"The strongest peak, {_direction(peak)}, was not taken: {peak['reason']}."


def _specimens(record: Mapping[str, Any]) -> str:
    """What was left to the specimen, of which one may think otherwise."""
    peaks = [peak for peak in record["rejected"] if "the specimen's" in peak["reason"]]
    peaks.sort(key=lambda peak: peak["false_alarms"])
    if not peaks or not (record["waves"] or record["off"]):  # else the strongest is told
        return ""
    told = [f"{_direction(peak)}: {peak['reason']}" for peak in peaks[:_TOLD]]
    if len(peaks) > _TOLD:
        told.append(f"and {len(peaks) - _TOLD} more")
    return "\n".join(["Left in the picture:", *told])


def _direction(peak: Mapping[str, Any]) -> str:
    fy, fx = peak["frequency"]
    return f"{1 / math.hypot(fy, fx):.1f} px at {round(math.degrees(math.atan2(fy, fx))) % 180}°"


def _tries(settings: Mapping[str, Any], of_stack: bool) -> Iterator[str]:
    """What may find more, of what was not tried yet."""
    if settings.get("sensitivity", 0) < _MOST_SENSITIVE:
        yield "• a higher sensitivity, under More options"
    if settings.get("features") == "edges":
        yield "• cosine patterns as features, if the picture is grainy"
    if settings.get("remainder") == "none":
        yield "• to remove stripes or quasi-periodic noise also, if it is not even"
    if settings.get("exemplar") is None:
        yield "• to mark an area where only noise is seen, or one to leave alone"
    if of_stack:
        yield "• other planes, or one model for all: many planes show what none does alone"
