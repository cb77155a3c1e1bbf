"""Describe a record in words for the user."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from napari_periodic_denoise.noise.wording import Cause, plural
from napari_periodic_denoise.records.table import LineRow, Row, WaveRow, rows

_CERTAIN = 1e-9  # false alarms; smaller numbers mean nothing to a reader
_MAX_SENSITIVITY = 0.1  # false alarms; the highest sensitivity of the dock
_MAX_LISTED = 3  # kept peaks; more would hide the rest of the text


def in_words(record: Mapping[str, Any], *, of_stack: bool = False) -> str:
    """Describe what was removed, how certain it is, and what to try.

    Parameters
    ----------
    record : mapping
        Record of one plane, see `record`.
    of_stack : bool
        Whether there are other planes to try.

    Returns
    -------
    str
        Paragraphs, separated by empty lines.
    """
    settings, found = record["settings"], rows(record)
    waves = [row for row in found if isinstance(row, WaveRow)]
    words = []
    if settings.get("method") != "texture":
        if waves or any(row.is_on for row in found):
            words += [_removed(record, found), _certainty([row for row in waves if row.is_on])]
        if record["remainder_variance"]:
            words.append(_remainder(record))
        elif not found:
            words += ["No periodic noise was found. The image is unchanged.", _strongest(record)]
            advice = list(_advice(settings, of_stack))
            words.append("\n".join(["What to try:", *advice]) if advice else "")
    return "\n\n".join(filter(None, [*words, *record["warnings"], _kept(record)]))


def _removed(record: Mapping[str, Any], found: Sequence[Row]) -> str:
    """Say what was removed, and its share of the variance."""
    if not any(row.is_on for row in found):
        if any(row.is_suggested for row in found):
            return "Nothing was removed. What was found may be part of the specimen."
        return "All noise that was found is switched off and stays in the image."
    waves = [row for row in found if isinstance(row, WaveRow)]
    on, count = sum(row.is_on for row in waves), len(waves)
    parts = []
    if on:
        parts.append(plural(on) if on == count else f"{on} of {plural(count)}")
    parts += [
        f"{row.noises[0]['kind']} ({row.lines})"
        for row in found
        if isinstance(row, LineRow) and row.is_on
    ]
    what, share = ", ".join(parts), _percent(record["removed_variance"])
    return f"{what[:1].upper()}{what[1:]} removed ({share} of the image variance)."


def _certainty(on: Sequence[WaveRow]) -> str:
    """Say how often the weakest removed peak arises by chance."""
    if not on:
        return ""
    alarms = max(row.false_alarms for row in on)
    one = "it" if len(on) == 1 else "the weakest one"
    if alarms >= 1:
        chance = f"peaks as strong as {one} may arise by chance, but such peaks do not fit so well"
    elif alarms < _CERTAIN:
        chance = (
            f"a peak as strong as {one} arises by chance in fewer than one in a billion images"
        )
    else:
        images = float(f"{1 / alarms:.1g}")
        chance = f"a peak as strong as {one} arises by chance in about one in {images:,.0f} images"
    return f"Certainty: all parts of the image agree, and {chance}."


def _remainder(record: Mapping[str, Any]) -> str:
    """Say which noise was removed besides waves."""
    kind = record["settings"]["remainder"]
    what = "Stripes" if kind == "stripes" else f"{kind[:1].upper()}{kind[1:]} noise"
    return (
        f"{what} removed ({_percent(record['remainder_variance'])} of the image variance). This "
        "is less certain than waves: check the noise layer for parts of the specimen."
    )


def _strongest(record: Mapping[str, Any]) -> str:
    """Say why the strongest peak was not removed."""
    peaks = record["rejected"]
    if not peaks:
        return "No peak of the spectrum stands out."
    peak = min(peaks, key=lambda peak: peak["false_alarms"])
    return f"The strongest peak, {_period(peak)}, was not removed: {peak['reason']}."


def _kept(record: Mapping[str, Any]) -> str:
    """List the peaks that were kept as part of the specimen, if waves were found."""
    peaks = [peak for peak in record["rejected"] if Cause(peak["cause"]).is_specimen]
    peaks.sort(key=lambda peak: peak["false_alarms"])
    if not peaks or not (record["waves"] or record["off"]):  # the strongest is described then
        return ""
    lines = [f"{_period(peak)}: {peak['reason']}" for peak in peaks[:_MAX_LISTED]]
    if len(peaks) > _MAX_LISTED:
        lines.append(f"and {len(peaks) - _MAX_LISTED} more")
    return "\n".join(["Left in the image:", *lines])


def _period(peak: Mapping[str, Any]) -> str:
    """Period and direction of a peak, in words."""
    fy, fx = peak["frequency"]
    return f"{1 / math.hypot(fy, fx):.1f} px at {round(math.degrees(math.atan2(fy, fx))) % 180}°"


def _percent(share: float) -> str:
    """Format a share as percent."""
    return f"{100 * share:.3g}%"


def _advice(settings: Mapping[str, Any], of_stack: bool) -> Iterator[str]:
    """Yield settings that may find more, and were not tried yet."""
    if settings.get("sensitivity", 0) < _MAX_SENSITIVITY:
        yield "• a higher sensitivity, under More options"
    if settings.get("features") == "edges":
        yield "• cosine patterns as features, if the image is grainy"
    if settings.get("remainder") in ("auto", "none"):
        yield "• removing stripes or quasi-periodic noise as well, if the noise is uneven"
    if settings.get("exemplar") is None:
        yield "• marking an area that contains only noise, or an area to ignore"
    if of_stack:
        yield "• other planes, or one model for all planes, which finds weaker noise"
