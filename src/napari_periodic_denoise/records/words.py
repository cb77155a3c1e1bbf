"""What was found in an image, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from napari_periodic_denoise.noise.wording import Cause, plural
from napari_periodic_denoise.records.table import LineRow, WaveRow, rows

# In false alarms: surer than one in a billion images, figures mean nothing to a person.
_SURE = 1e-9
_MOST_SENSITIVE = 0.1  # false alarms: the highest of the dock's sensitivities
_MOST_LISTED = 3  # peaks left to the specimen; more would hide the rest of the page


def in_words(record: Mapping[str, Any], *, of_stack: bool = False) -> str:
    """Say for a person what was removed, how sure that is, and what to try.

    Parameters
    ----------
    record : mapping
        As `record` returns it, of one plane.
    of_stack : bool
        Whether there are other planes to try.
    """
    settings, found = record["settings"], rows(record)
    waves = [row for row in found if isinstance(row, WaveRow)]
    words = []
    if settings.get("method") != "texture":
        if any(row.is_on for row in found) or waves:
            words += [_removed(record, found), _sureness([row for row in waves if row.is_on])]
        if record["remainder_variance"]:
            words.append(_remainder(record))
        elif not found:
            words += ["No periodic noise was found. The image is unchanged.", _strongest(record)]
            tries = list(_tries(settings, of_stack))
            words.append("\n".join(["What to try:", *tries]) if tries else "")
    return "\n\n".join(filter(None, [*words, *record["warnings"], _kept(record)]))


def _removed(record: Mapping[str, Any], found: Sequence[WaveRow | LineRow]) -> str:
    if not any(row.is_on for row in found):
        return "All noise that was found is switched off and stays in the image."
    waves = [row for row in found if isinstance(row, WaveRow)]
    on, count = sum(row.is_on for row in waves), len(waves)
    parts = []
    if on:
        parts.append(plural(on) if on == count else f"{on} of {plural(count)}")
    parts += [
        f"{row.lines[0]['kind']} along the {row.lines[0]['lines']}"
        for row in found
        if isinstance(row, LineRow) and row.is_on
    ]
    what = " and ".join(parts)
    share = _percent(record["removed_variance"])
    return f"{what[:1].upper()}{what[1:]} removed ({share} of the image variance)."


def _sureness(on: Sequence[WaveRow]) -> str:
    if not on:
        return ""
    least = max(row.false_alarms for row in on)
    one = "it" if len(on) == 1 else "the weakest one"
    if least >= 1:
        chance = f"peaks as strong as {one} may arise by chance, but they do not fit so well"
    elif least < _SURE:
        chance = (
            f"a peak as strong as {one} arises by chance in fewer than one in a billion images"
        )
    else:
        often = float(f"{1 / least:.1g}")
        chance = f"a peak as strong as {one} arises by chance in about one in {often:,.0f} images"
    return f"How sure this is: all parts of the image agree, and {chance}."


def _remainder(record: Mapping[str, Any]) -> str:
    kind = record["settings"]["remainder"]
    what = "Stripes" if kind == "stripes" else f"{kind[:1].upper()}{kind[1:]} noise"
    return (
        f"{what} removed ({_percent(record['remainder_variance'])} of the image variance). This "
        "is less sure than waves are: look for parts of the specimen in the noise layer."
    )


def _strongest(record: Mapping[str, Any]) -> str:
    peaks = record["rejected"]
    if not peaks:
        return "No peak of the spectrum stands out."
    peak = min(peaks, key=lambda peak: peak["false_alarms"])
    return f"The strongest peak, {_place(peak)}, was not removed: {peak['reason']}."


def _kept(record: Mapping[str, Any]) -> str:
    """What was left to the specimen, and may be noise after all."""
    peaks = [peak for peak in record["rejected"] if Cause(peak["cause"]).is_specimen]
    peaks.sort(key=lambda peak: peak["false_alarms"])
    if not peaks or not (record["waves"] or record["off"]):  # else the strongest is named
        return ""
    lines = [f"{_place(peak)}: {peak['reason']}" for peak in peaks[:_MOST_LISTED]]
    if len(peaks) > _MOST_LISTED:
        lines.append(f"and {len(peaks) - _MOST_LISTED} more")
    return "\n".join(["Left in the image:", *lines])


def _place(peak: Mapping[str, Any]) -> str:
    fy, fx = peak["frequency"]
    return f"{1 / math.hypot(fy, fx):.1f} px at {round(math.degrees(math.atan2(fy, fx))) % 180}°"


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _tries(settings: Mapping[str, Any], of_stack: bool) -> Iterator[str]:
    """What may find more, among what was not tried yet."""
    if settings.get("sensitivity", 0) < _MOST_SENSITIVE:
        yield "• a higher sensitivity, under More options"
    if settings.get("features") == "edges":
        yield "• cosine patterns as features, if the image is grainy"
    if settings.get("remainder") in ("auto", "none"):
        yield "• removing stripes or quasi-periodic noise too, if the noise is uneven"
    if settings.get("exemplar") is None:
        yield "• marking an area where only noise is seen, or an area to leave alone"
    if of_stack:
        yield "• other planes, or one model for all planes: many planes show weaker noise than one"
