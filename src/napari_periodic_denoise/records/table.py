"""The waves of a record, as rows of a table."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class WaveRow:
    """A wave of a record in all channels that have it.

    Attributes
    ----------
    waves : tuple of dict
        One for each channel, the strongest first.
    is_on : bool
        Whether the wave is removed from the image.
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
        """Frequencies of all channels, which may differ slightly."""
        return [(fy, fx) for fy, fx in (wave["frequency"] for wave in self.waves)]

    def period(self, height: float = 1, width: float = 1) -> float:
        """Distance between two crests, in the unit of a pixel's height and width."""
        fy, fx = self.frequency
        return 1 / math.hypot(fy / height, fx / width)

    @property
    def strength(self) -> float:
        """Largest amplitude in any channel."""
        return float(self.waves[0]["amplitude"])

    @property
    def angle(self) -> float:
        """Direction of travel in degrees, 0 to 180; see `Wave`."""
        return math.degrees(math.atan2(*self.frequency)) % 180

    @property
    def share(self) -> float:
        """Largest share of the noise's variance in any channel."""
        return max(float(wave["share"]) for wave in self.waves)

    @property
    def false_alarms(self) -> float:
        """Smallest number of expected false alarms in any channel."""
        return min(float(wave["false_alarms"]) for wave in self.waves)

    @property
    def family(self) -> str:
        """Words for the kind of the wave, and for one that is only suggested."""
        words = dict.fromkeys(word for wave in self.waves for word in wave["family"])
        return ", ".join([*words, *(["suggested"] if self.is_suggested else [])])

    @property
    def is_suggested(self) -> bool:
        """Whether the wave stays in the image, since it may be part of the specimen."""
        return not self.is_on and self.is_of_lattice

    @property
    def is_of_lattice(self) -> bool:
        """Whether it belongs to a lattice that was suggested, and is switched with it."""
        # records of earlier versions have no outcome
        return bool(self.waves[0].get("outcome") == "suggested")

    def amplitude(self, channels: Sequence[str]) -> str:
        """Amplitude in each channel, in words.

        Parameters
        ----------
        channels : sequence of str
            Names of the channels. Empty for an image without channels.

        Returns
        -------
        str
        """
        amplitudes = []
        for wave in self.waves:
            name = f" ({channels[wave['channel']]})" if channels else ""
            amplitudes.append(f"{_amplitude(wave)}{name}")
        return ", ".join(amplitudes)


@dataclass(frozen=True, slots=True)
class LineRow:
    """Noise of rows or columns in a record, in all channels with it.

    It has all that a `WaveRow` has except a period.

    Attributes
    ----------
    noises : tuple of dict
        One for each channel, the strongest first.
    is_on : bool
        Whether the noise is removed from the image.
    """

    noises: tuple[dict[str, Any], ...]
    is_on: bool

    @property
    def lines(self) -> str:
        """``"rows"`` or ``"columns"``."""
        return str(self.noises[0]["lines"])

    @property
    def frequencies(self) -> list[str]:
        """Name that switches the noise, in a list."""
        return [self.noises[0]["name"]]

    def period(self, height: float = 1, width: float = 1) -> float:
        """Infinite: the noise has no period."""
        return math.inf

    @property
    def angle(self) -> float:
        """Direction of the lines in degrees: 0 for rows, 90 for columns."""
        return float(self.noises[0]["direction"])

    @property
    def strength(self) -> float:
        """Largest root mean square in any channel, in intensity units."""
        return float(self.noises[0]["strength"])

    @property
    def share(self) -> float:
        """Largest share of the noise's variance in any channel."""
        return max(float(noise["share"]) for noise in self.noises)

    @property
    def false_alarms(self) -> float:
        """Probability that lines save so many nats by chance, ``exp(−nats)``."""
        return math.exp(-max(float(noise["evidence"]["nats"]) for noise in self.noises))

    @property
    def family(self) -> str:
        """Words for the kind of the noise, and for noise that is only suggested."""
        return f"{self.noises[0]['kind']}{', suggested' if self.is_suggested else ''}"

    @property
    def is_of_lattice(self) -> bool:
        """No: it is switched by itself."""
        return False

    @property
    def is_suggested(self) -> bool:
        """Whether the noise stays in the image, since it may be part of the specimen."""
        return all(noise["outcome"] == "suggested" for noise in self.noises)

    def amplitude(self, channels: Sequence[str]) -> str:
        """Strength in each channel, in words; see `WaveRow.amplitude`."""
        strengths = []
        for noise in self.noises:
            name = f" ({channels[noise['channel']]})" if channels else ""
            strengths.append(f"±{noise['strength']:.3g}{name}")
        return ", ".join(strengths)


Row = WaveRow | LineRow


def rows(record: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a record: its waves, the strongest first, then noise of rows and columns.

    Parameters
    ----------
    record : mapping
        Record of one plane, see `record`.

    Returns
    -------
    list of WaveRow and LineRow
    """
    groups: dict[int, list[dict[str, Any]]] = {}
    is_on: dict[int, bool] = {}
    for waves, on in ((record["waves"], True), (record["off"], False)):
        for wave in waves:
            groups.setdefault(wave["place"], []).append(wave)
            is_on[wave["place"]] = on
    found: list[Row] = [WaveRow(tuple(waves), is_on[group]) for group, waves in groups.items()]
    lines: dict[str, list[dict[str, Any]]] = {}
    for noise in record.get("lines", []):  # records of earlier versions have none
        lines.setdefault(noise["name"], []).append(noise)
    for noises in lines.values():
        noises.sort(key=lambda noise: -noise["strength"])
        found.append(LineRow(tuple(noises), any(n["outcome"] == "removed" for n in noises)))
    return found


def waves_as_csv(found: Iterable[Row], pixel: tuple[float, float, str] | None) -> str:
    """Format rows as a CSV table with one line per row and channel.

    Parameters
    ----------
    found : iterable of WaveRow and LineRow
    pixel : tuple of float, float, str, or None
        Height and width of a pixel and their unit, if they are known.

    Returns
    -------
    str
    """
    lines = list(components(found, pixel))
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(lines[0]) if lines else ["wave"])
    table.writeheader()
    table.writerows(lines)
    return text.getvalue()


def components(
    found: Iterable[Row], pixel: tuple[float, float, str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the values of each row in each channel, by name of the column.

    Parameters
    ----------
    found : iterable of WaveRow and LineRow
    pixel : tuple of float, float, str, or None
        Height and width of a pixel and their unit, if they are known.

    Yields
    ------
    dict
        Noise of rows and columns has no period, frequency, phase and reason: they are ``""``, as
        are errors that are not known, see `Wave`.
    """
    for number, row in enumerate(found, start=1):
        for one in _by_channel(row):
            (values,) = one.noises if isinstance(one, LineRow) else one.waves
            has_period = isinstance(one, WaveRow)
            fy, fx = one.frequency if isinstance(one, WaveRow) else ("", "")
            multiplies = values.get("dark") is not None
            yield {
                "wave": number,
                "on": int(row.is_on),
                "channel": values["channel"],
                "period_px": one.period() if has_period else "",
                **(
                    {f"period_{pixel[2]}": one.period(*pixel[:2]) if has_period else ""}
                    if pixel
                    else {}
                ),
                "angle_degrees": one.angle,
                "amplitude": one.strength,
                "amplitude_is": "share of brightness" if multiplies else "intensity",
                "share": values["share"],
                "false_alarms": one.false_alarms,
                "family": one.family,
                "frequency_y": fy,
                "frequency_x": fx,
                "phase": values.get("phase", ""),
                **_errors(values),
                "reason": values.get("reason", ""),
            }


def _errors(values: Mapping[str, Any]) -> dict[str, Any]:
    """Standard errors of a wave by name of the column, ``""`` where there is none."""
    along_y, along_x = values.get("frequency_error") or (None, None)
    errors = {
        "amplitude_error": values.get("amplitude_error"),
        "phase_error": values.get("phase_error"),
        "frequency_y_error": along_y,
        "frequency_x_error": along_x,
    }
    return {name: "" if error is None else error for name, error in errors.items()}


def _by_channel(row: Row) -> list[Row]:
    """Split a row into one for each channel."""
    if isinstance(row, LineRow):
        return [LineRow((noise,), row.is_on) for noise in row.noises]
    return [WaveRow((wave,), row.is_on) for wave in row.waves]


def _amplitude(wave: Mapping[str, Any]) -> str:
    """Amplitude of a wave, in words."""
    if wave["dark"] is not None:
        return f"±{100 * wave['amplitude']:.3g}%"
    return f"±{wave['amplitude']:.3g}"
