"""Words for counts, and for the reasons why a peak is not a wave of the noise."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Cause(StrEnum):
    """Why a peak of the spectrum was not accepted as a wave of the noise."""

    FEW_PARTS = "few parts"
    NO_GAIN = "no gain"
    TOO_WEAK = "too weak"
    PARTS_DISAGREE = "parts disagree"
    ROUNDING = "rounding"
    DUPLICATE = "duplicate"
    INCOMPLETE = "incomplete"
    OUTSIDE_EXEMPLAR = "outside the exemplar"

    @property
    def is_specimen(self) -> bool:
        """Whether the peak is kept in the image as part of the specimen."""
        return self in (Cause.INCOMPLETE, Cause.OUTSIDE_EXEMPLAR)


_REASONS: Mapping[Cause, str] = {
    Cause.FEW_PARTS: "only a few parts of the image show it",
    Cause.NO_GAIN: "its removal does not shorten the description of the image",
    Cause.TOO_WEAK: "too weak: saves {measured:.0f} of the required {required:.0f} nats",
    Cause.PARTS_DISAGREE: (
        "parts of the image disagree: t = {measured:.1f}; more than {required:.1f} is required"
    ),
    Cause.ROUNDING: "only {measured:.2f} grey levels: may be the rounding of another wave",
    Cause.DUPLICATE: "the same as a stronger wave, onto which the fit moved",
    Cause.INCOMPLETE: (
        "its removal would leave {measured:.0%} of it, so it is too irregular for noise and "
        "probably belongs to the specimen"
    ),
    Cause.OUTSIDE_EXEMPLAR: (
        "the area of noise alone shows only {measured:.0%} of it, so it belongs to the specimen"
    ),
}


def reason_of(cause: Cause, measured: float, required: float) -> str:
    """Say why a peak was not accepted.

    Parameters
    ----------
    cause : Cause
    measured, required : float
        Measured quantity of the test, and its threshold; see `Rejected`.

    Returns
    -------
    str
    """
    return _REASONS[cause].format(measured=measured, required=required)


def plural(count: int, what: str = "wave") -> str:
    """Return a count with its noun in the singular or the plural: ``1 wave``, ``2 waves``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def not_finite(count: int) -> str:
    """Say how many pixels are NaN or infinite, and what happened to them."""
    if count == 1:
        return "1 pixel is not finite; it was ignored and is unchanged"
    return f"{count:,} pixels are not finite; they were ignored and are unchanged"
