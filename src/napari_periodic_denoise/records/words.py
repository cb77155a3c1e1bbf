"""What was found in an image, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from napari_periodic_denoise.records.table import WaveRow, rows

_SURE = 1e-9  # false alarms, fewer than which nobody needs to tell apart
_MOST_SENSITIVE = 0.1  # false alarms, as many as the dock offers
_TOLD = 3  # peaks that were left to the specimen, at most


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
