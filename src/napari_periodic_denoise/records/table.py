"""The waves of a record, as rows of a table."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
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
        """Words for the kind of the wave."""
        return ", ".join(dict.fromkeys(word for wave in self.waves for word in wave["family"]))

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


def rows(record: Mapping[str, Any]) -> list[WaveRow]:
    """Return one row for each wave of a record, the strongest first.

    Parameters
    ----------
    record : mapping
        Record of one plane, see `record`.

    Returns
    -------
    list of WaveRow
    """
    groups: dict[int, list[dict[str, Any]]] = {}
    is_on: dict[int, bool] = {}
    for waves, on in ((record["waves"], True), (record["off"], False)):
        for wave in waves:
            groups.setdefault(wave["place"], []).append(wave)
            is_on[wave["place"]] = on
    return [WaveRow(tuple(waves), is_on[group]) for group, waves in groups.items()]


def waves_as_csv(waves: Iterable[WaveRow], pixel: tuple[float, float, str] | None) -> str:
    """Format waves as a CSV table with one line per wave and channel.

    Parameters
    ----------
    waves : iterable of WaveRow
    pixel : tuple of float, float, str, or None
        Height and width of a pixel and their unit, if they are known.

    Returns
    -------
    str
    """
    lines: list[dict[str, Any]] = []
    for number, row in enumerate(waves, start=1):
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


def _amplitude(wave: Mapping[str, Any]) -> str:
    """Amplitude of a wave, in words."""
    if wave["dark"] is not None:
        return f"±{100 * wave['amplitude']:.3g}%"
    return f"±{wave['amplitude']:.3g}"
