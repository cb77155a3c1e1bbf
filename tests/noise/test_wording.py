import pytest

from napari_periodic_denoise.noise.waves.wave import Rejected
from napari_periodic_denoise.noise.wording import Cause, plural


@pytest.mark.parametrize("cause", Cause)
def test_each_cause_has_words_with_what_was_measured(cause):
    peak = Rejected((0.1, 0.2), 1e-3, cause, measured=0.25, required=44)
    assert peak.reason
    assert "{" not in peak.reason
    assert peak.to_dict()["reason"] == peak.reason
    assert Cause(peak.to_dict()["cause"]) is cause


def test_what_the_test_measured_is_in_the_reason():
    assert (
        "saves 40 of the required 44 nats" in Rejected((0, 0.1), 1, Cause.TOO_WEAK, 40, 44).reason
    )
    assert "leave 50% of it" in Rejected((0, 0.1), 1, Cause.INCOMPLETE, 0.5).reason


def test_only_two_causes_leave_a_peak_to_the_specimen():
    assert [c for c in Cause if c.is_specimen] == [Cause.INCOMPLETE, Cause.OUTSIDE_EXEMPLAR]


def test_counts_are_in_the_singular_or_the_plural():
    assert [plural(1), plural(2), plural(0, "plane")] == ["1 wave", "2 waves", "0 planes"]
