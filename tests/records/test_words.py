from dataclasses import replace

import pytest

from napari_periodic_denoise.noise.waves.wave import Rejected
from napari_periodic_denoise.noise.wording import Cause
from napari_periodic_denoise.records.record import record
from napari_periodic_denoise.records.table import rows
from napari_periodic_denoise.records.words import in_words
from records import FEW, ITS_OWN, PLAIN, estimate_of


def words_of(*waves, of_stack=False, off=(), **options):
    return in_words(record(estimate_of(*waves, off=off, **options)), of_stack=of_stack)


def test_what_is_off_is_recorded_and_told():
    other = replace(PLAIN, frequency=(0.1, 0.0))
    found = record(estimate_of(PLAIN, off=[other]))
    assert [wave["frequency"] for wave in found["waves"]] == [[0.0, 0.1]]
    assert [wave["frequency"] for wave in found["off"]] == [[0.1, 0.0]]
    assert [row.is_on for row in rows(found)] == [True, False]
    assert in_words(found).startswith("1 of 2 waves removed (50% of the image variance).")
    words = words_of(off=[PLAIN, other])
    assert words == "All noise that was found is switched off and stays in the image."


@pytest.mark.parametrize(
    ("false_alarms", "words"),
    [
        (0.0, "fewer than one in a billion images"),
        (1.3e-5, "about one in 80,000 images"),
        (0.5, "about one in 2 images"),
        (40.0, "may arise by chance, but such peaks do not fit so well"),
    ],
)
def test_how_sure_it_is_is_told_of_the_least_sure(false_alarms, words):
    faint = replace(PLAIN, frequency=(0.1, 0.0), false_alarms=false_alarms)
    words_found = words_of(replace(PLAIN, false_alarms=1e-200), faint)
    assert words_found.startswith("2 waves removed (50% of the image variance).")
    assert "as strong as the weakest one" in words_found
    assert words in words_found


@pytest.mark.parametrize(
    ("remainder", "words"),
    [("stripes", "Stripes removed"), ("quasi-periodic", "Quasi-periodic noise removed")],
)
def test_what_is_no_wave_is_told_too(remainder, words):
    alone = words_of(remainder=remainder, share=0.1)
    assert alone.startswith(words)
    assert "10% of the image variance" in alone
    assert "check the noise layer for parts of the specimen" in alone
    assert alone in words_of(PLAIN, remainder=remainder, share=0.1)


def test_where_nothing_was_found_it_is_told_what_to_try():
    weaker = Rejected((0.1, 0.1), 1e-2, Cause.TOO_WEAK)
    words = words_of(rejected=(weaker, FEW))
    assert words.startswith("No periodic noise was found. The image is unchanged.")
    strongest = "The strongest peak, 2.8 px at 34°, was not removed: only a few parts of the image"
    assert strongest in words
    assert "too weak" not in words
    tries = (
        "sensitivity",
        "cosine",
        "stripes",
        "area that contains only noise",
        "one model for all",
    )
    assert [hint in words for hint in tries] == [True] * 4 + [False]
    assert "one model for all" in words_of(of_stack=True)
    tried = words_of(
        rejected=(), sensitivity=0.1, features="cosines", remainder="stripes", exemplar=[]
    )
    assert not any(hint in tried for hint in tries)
    assert "What to try" not in tried
    assert "No peak of the spectrum stands out." in tried


def test_what_may_be_the_specimen_is_told():
    lattice = [replace(PLAIN, frequency=f) for f in ((0.1, 0.02), (0.03, 0.1), (0.13, 0.12))]
    assert "A lattice of 3 waves was found, which may be part of the specimen" in words_of(
        *lattice
    )
    left = "Left in the image:\n5.0 px at 0°: the area of noise alone shows only 4% of it"
    words = words_of(PLAIN, rejected=(ITS_OWN, FEW))
    assert left in words
    assert "only a few parts" not in words
    many = [replace(ITS_OWN, frequency=(0.1, 0.05 * i)) for i in range(5)]
    assert words_of(PLAIN, rejected=many).endswith("and 2 more")


def test_of_a_texture_its_warning_is_told():
    estimate = estimate_of(method="texture", share=0.9)
    assert in_words(record(estimate)) == "\n\n".join(estimate.warnings)
