"""The waves of a record as rows of a table."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


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
    def strength(self) -> float:
        """Amplitude, in the channel where it is largest."""
        return float(self.waves[0]["amplitude"])

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


@dataclass(frozen=True, slots=True)
class LineRow:
    """Noise of rows or columns of a record, in all channels that have it.

    It has what a `WaveRow` has; only a period it has not.

    Attributes
    ----------
    lines : tuple of dict
        One for each channel, the strongest first.
    is_on : bool
        Whether it is removed.
    """

    lines: tuple[dict[str, Any], ...]
    is_on: bool

    @property
    def frequencies(self) -> list[str]:
        """The name that switches it: ``["rows"]`` or ``["columns"]``."""
        return [self.lines[0]["lines"]]

    def period(self, height: float = 1, width: float = 1) -> float:
        """No period: infinite."""
        return math.inf

    @property
    def angle(self) -> float:
        """Direction of the lines in degrees: 0 for rows, 90 for columns."""
        return float(self.lines[0]["direction"])

    @property
    def strength(self) -> float:
        """Root mean square of the noise, in intensity units, where it is largest."""
        return float(self.lines[0]["strength"])

    @property
    def share(self) -> float:
        """Share of the noise's variance, in the channel where it is largest."""
        return max(float(line["share"]) for line in self.lines)

    @property
    def false_alarms(self) -> float:
        """Lines that save so many nats by chance, ``exp(−nats)``."""
        return math.exp(-max(float(line["evidence"]["nats"]) for line in self.lines))

    @property
    def family(self) -> str:
        """What kind of noise it is, in words, and whether it is only suggested."""
        suggested = all(line["outcome"] == "suggested" for line in self.lines)
        return f"{self.lines[0]['kind']}{', suggested' if suggested else ''}"

    def amplitude(self, channels: Sequence[str]) -> str:
        """How far it raises and lowers the image, in words; see `WaveRow.amplitude`."""
        heights = []
        for line in self.lines:
            name = f" ({channels[line['channel']]})" if channels else ""
            heights.append(f"±{line['strength']:.3g}{name}")
        return ", ".join(heights)


def rows(record: Mapping[str, Any]) -> list[WaveRow | LineRow]:
    """Return what was found, one row for each wave and for the noise of rows and columns.

    Waves come first, the strongest of them first.

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
    lines: dict[str, list[dict[str, Any]]] = {}
    for line in record.get("lines", []):  # which records of earlier versions do not have
        lines.setdefault(line["lines"], []).append(line)
    found: list[WaveRow | LineRow] = []
    found += (WaveRow(tuple(waves), is_on[place]) for place, waves in places.items())
    for each in lines.values():
        each.sort(key=lambda line: -line["strength"])
        found.append(LineRow(tuple(each), any(line["outcome"] == "removed" for line in each)))
    return found


def waves_as_csv(
    found: Iterable[WaveRow | LineRow], pixel: tuple[float, float, str] | None
) -> str:
    """Return what was found as a table of CSV, a line for each channel of each.

    Parameters
    ----------
    found : iterable of WaveRow and LineRow
    pixel : tuple of float, float, str, or None
        Height and width of a pixel and their unit, where these are known.
    """
    lines: list[dict[str, Any]] = []
    for number, row in enumerate(found, start=1):
        for one in _of_each_channel(row):
            lines.append(
                {
                    "wave": number,
                    "on": int(row.is_on),
                    "channel": one["channel"],
                    **_geometry(row if isinstance(row, LineRow) else WaveRow((one,), True), pixel),
                    **_size(one),
                    "share": one["share"],
                    "false_alarms": one.get("false_alarms", row.false_alarms),
                    "family": row.family,
                    **_phase(one),
                }
            )
    text = io.StringIO(newline="")
    names = list(dict.fromkeys(name for line in lines for name in line))
    table = csv.DictWriter(text, names or ["wave"])
    table.writeheader()
    table.writerows(lines)
    return text.getvalue()


def _of_each_channel(row: WaveRow | LineRow) -> tuple[dict[str, Any], ...]:
    return row.lines if isinstance(row, LineRow) else row.waves


def _geometry(
    row: WaveRow | LineRow, pixel: tuple[float, float, str] | None
) -> dict[str, float | str]:
    """Period and angle; a row of lines has no period."""
    has_period = math.isfinite(row.period())
    found: dict[str, float | str] = {"period_px": row.period() if has_period else ""}
    if pixel is not None:
        found[f"period_{pixel[2]}"] = row.period(*pixel[:2]) if has_period else ""
    return found | {"angle_degrees": row.angle}


def _size(one: Mapping[str, Any]) -> dict[str, float | str]:
    multiplies = one.get("dark") is not None
    return {
        "amplitude": one["amplitude"] if "amplitude" in one else one["strength"],
        "amplitude_is": "share of brightness" if multiplies else "intensity",
    }


def _phase(one: Mapping[str, Any]) -> dict[str, float | str]:
    fy, fx = one.get("frequency", ("", ""))
    return {"frequency_y": fy, "frequency_x": fx, "phase": one.get("phase", "")}


def _height(wave: Mapping[str, Any]) -> str:
    if wave["dark"] is not None:
        return f"±{100 * wave['amplitude']:.3g}%"
    return f"±{wave['amplitude']:.3g}"
