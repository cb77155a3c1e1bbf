import csv
import json
import os
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from napari_periodic_denoise import NoiseEstimate, Wave, __version__
from napari_periodic_denoise.io.atomic import ClaimedError
from napari_periodic_denoise.noise.waves.wave import Rejected
from napari_periodic_denoise.noise.wording import Cause
from napari_periodic_denoise.records.record import record
from napari_periodic_denoise.records.report import open_report
from napari_periodic_denoise.records.table import rows, waves_as_csv
from napari_periodic_denoise.records.words import in_words

PLAIN = Wave((0.0, 0.1), 3.0, 0.0, 1e-4, 100.0, share=0.25)
KINDS = [
    (PLAIN, "constant", "±3"),
    (
        replace(PLAIN, envelope=((3 + 1j, 0.5j), (1 + 0j, -2j))),
        "changing over the image",
        "±3",
    ),
    (replace(PLAIN, profile=((0.1, 3.0), (0.6, -3.0))), "hard-edged", "±3"),
    (replace(PLAIN, amplitude=0.0825, dark=12.0), "follows the brightness", "±8.25%"),
]
FEW = Rejected((0.2, 0.3), 1e-4, Cause.FEW_PARTS)
ITS_OWN = Rejected((0.0, 0.2), 1e-8, Cause.OUTSIDE_EXEMPLAR, 0.04, 0.5)


def estimate_of(*waves, shape=(200, 300), share=0.0, rejected=(FEW,), **settings):
    """An estimate as the engine makes them, of no image."""
    noise = np.zeros(shape, np.float32)
    settings = {
        "method": "aligned",
        "features": "edges",
        "remainder": "none",
        "sensitivity": 1e-3,
        "exemplar": None,
        "channel_axis": None if len(shape) == 2 else 2,
        **settings,
    }
    return NoiseEstimate(noise, noise, waves, settings, 0.5, share, rejected)


def words_of(*waves, of_stack=False, off=(), **options):
    return in_words(record(estimate_of(*waves, **options), off), of_stack=of_stack)


@pytest.mark.parametrize(("wave", "family", "height"), KINDS, ids=[kind for _, kind, _ in KINDS])
def test_every_kind_of_wave_in_words_and_in_json(wave, family, height):
    found = record(estimate_of(wave))
    assert json.loads(json.dumps(found)) == found
    (told,) = found["waves"]
    assert told.items() >= {**wave.to_dict(), "reason": wave.reason}.items()
    (row,) = rows(found)
    assert row.family == family
    assert row.amplitude(()) == height
    assert (row.period(), row.angle) == (pytest.approx(10), 0)
    assert row.is_on
    assert (row.share, row.false_alarms) == (0.25, 1e-4)


def test_a_record_says_why_and_by_what():
    estimate = estimate_of(remainder="stripes", share=0.1)
    found = record(estimate)
    assert found["version"] == __version__
    assert found["settings"] == estimate.settings
    assert (found["removed_variance"], found["remainder_variance"]) == (0.5, 0.1)
    assert found["summary"] == estimate.summary
    assert found["warnings"] == list(estimate.warnings)
    assert found["rejected"] == [
        {
            "frequency": [0.2, 0.3],
            "false_alarms": 1e-4,
            "cause": "few parts",
            "measured": 0.0,
            "required": 0.0,
            "reason": "only few parts of the image show it",
        }
    ]


def test_a_wave_of_several_channels_is_one_row():
    waves = (
        replace(PLAIN, amplitude=5.0, channel=1, share=0.5),
        replace(PLAIN, frequency=(0.1, 0.0), channel=2),
        replace(PLAIN, frequency=(0.0, 0.1001), false_alarms=1e-6),
        replace(PLAIN, profile=((0.1, 3.0), (0.6, -3.0)), channel=2),
    )
    first, second = rows(record(estimate_of(*waves, shape=(200, 300, 3))))
    assert first.amplitude(("red", "green", "blue")) == "±5 (green), ±3 (red), ±3 (blue)"
    assert second.amplitude(("red", "green", "blue")) == "±3 (blue)"
    assert first.family == "constant, hard-edged"
    assert first.frequencies == [(0.0, 0.1), (0.0, 0.1001), (0.0, 0.1)]
    assert (first.share, first.false_alarms) == (0.5, 1e-6)
    assert second.angle == 90


def test_a_period_in_units_is_that_of_the_pixels():
    (row,) = rows(record(estimate_of(replace(PLAIN, frequency=(0.03, 0.04)))))
    assert row.period() == pytest.approx(20)
    assert row.period(0.5, 0.5) == pytest.approx(10)
    assert row.period(3, 1) == pytest.approx(1 / np.hypot(0.01, 0.04))


def test_waves_that_belong_together_say_so():
    def families(*frequencies):
        waves = [replace(PLAIN, frequency=frequency) for frequency in frequencies]
        return [row.family for row in rows(record(estimate_of(*waves)))]

    *lattice, alone = families((0.1, 0.02), (0.03, 0.1), (0.13, 0.12), (0.2, -0.31))
    assert lattice == ["constant, lattice"] * 3
    assert alone == "constant"
    *series, alone = families((0.0, 0.1), (0.0, 0.15), (0.0, 0.2), (0.2, -0.31))
    assert series == ["constant, harmonic of 20.0 px"] * 3
    assert alone == "constant"


def test_what_is_off_is_recorded_and_told():
    other = replace(PLAIN, frequency=(0.1, 0.0))
    found = record(estimate_of(PLAIN), [other])
    assert [wave["frequency"] for wave in found["waves"]] == [[0.0, 0.1]]
    assert [wave["frequency"] for wave in found["off"]] == [[0.1, 0.0]]
    assert [row.is_on for row in rows(found)] == [True, False]
    assert in_words(found).startswith("1 of 2 waves removed (50% of the image variance).")
    words = words_of(off=[PLAIN, other])
    assert words == "All waves that were found are switched off and stay in the image."


@pytest.mark.parametrize(
    ("false_alarms", "words"),
    [
        (0.0, "fewer than one in a billion images"),
        (1.3e-5, "about one in 80,000 images"),
        (0.5, "about one in 2 images"),
        (40.0, "may arise by chance, but they do not fit so well"),
    ],
)
def test_how_sure_it_is_is_told_of_the_least_sure(false_alarms, words):
    faint = replace(PLAIN, frequency=(0.1, 0.0), false_alarms=false_alarms)
    told = words_of(replace(PLAIN, false_alarms=1e-200), faint)
    assert told.startswith("2 waves removed (50% of the image variance).")
    assert "as strong as the weakest one" in told
    assert words in told


@pytest.mark.parametrize(
    ("remainder", "words"),
    [("stripes", "Stripes removed"), ("quasi-periodic", "Quasi-periodic noise removed")],
)
def test_what_is_no_wave_is_told_too(remainder, words):
    alone = words_of(remainder=remainder, share=0.1)
    assert alone.startswith(words)
    assert "10% of the image variance" in alone
    assert "look for parts of the specimen" in alone
    assert alone in words_of(PLAIN, remainder=remainder, share=0.1)


def test_where_nothing_was_found_it_is_told_what_to_try():
    weaker = Rejected((0.1, 0.1), 1e-2, Cause.TOO_WEAK)
    words = words_of(rejected=(weaker, FEW))
    assert words.startswith("No periodic noise was found. The image is unchanged.")
    strongest = "The strongest peak, 2.8 px at 34°, was not removed: only few parts of the image"
    assert strongest in words
    assert "too weak" not in words
    tries = ("sensitivity", "cosine", "stripes", "area where only noise", "one model for all")
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
    assert "A lattice of 3 waves was found, which may be the specimen's" in words_of(*lattice)
    left = "Left in the image:\n5.0 px at 0°: kept: the exemplar shows 4% of it"
    words = words_of(PLAIN, rejected=(ITS_OWN, FEW))
    assert left in words
    assert "only few parts" not in words
    many = [replace(ITS_OWN, frequency=(0.1, 0.05 * i)) for i in range(5)]
    assert words_of(PLAIN, rejected=many).endswith("and 2 more")


def test_of_a_texture_its_warning_is_told():
    estimate = estimate_of(method="texture", share=0.9)
    assert in_words(record(estimate)) == "\n\n".join(estimate.warnings)


def test_waves_as_a_table():
    changing = replace(PLAIN, envelope=((3 + 1j,),), amplitude=2.0, channel=1, phase=0.5)
    multiplying = replace(PLAIN, frequency=(0.1, 0.0), amplitude=0.25, dark=10.0)
    found = record(estimate_of(PLAIN, changing, shape=(200, 300, 3)), [multiplying])
    lines = list(csv.DictReader(waves_as_csv(rows(found), (0.5, 0.2, "µm")).splitlines()))
    assert [line["wave"] for line in lines] == ["1", "1", "2"]
    assert [line["on"] for line in lines] == ["1", "1", "0"]
    assert [line["channel"] for line in lines] == ["0", "1", "0"]
    assert [float(line["period_px"]) for line in lines] == pytest.approx([10, 10, 10])
    assert [float(line["period_µm"]) for line in lines] == pytest.approx([2, 2, 5])
    assert [line["family"] for line in lines] == [
        "constant",
        "changing over the image",
        "follows the brightness",
    ]
    assert [float(line["amplitude"]) for line in lines] == [3, 2, 0.25]
    assert [line["amplitude_is"] for line in lines[1:]] == ["intensity", "share of brightness"]
    assert (float(lines[1]["phase"]), float(lines[2]["frequency_y"])) == (0.5, 0.1)
    assert "period_µm" not in waves_as_csv(rows(found), None)
    assert waves_as_csv([], None).splitlines() == ["wave"]


PLANE = {"plane": [2], "removed_variance": 0.25, "waves": [{**PLAIN.to_dict(), "reason": "α"}]}


@contextmanager
def reporting(path, files=(), **options):
    """Open a report, and finish it for some files."""
    with open_report(path, **options) as report:
        yield report
        report.finish(files)


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_a_report_that_was_killed_is_resumed_from_its_journal(tmp_path, suffix):
    path = tmp_path / f"deeper/r.{suffix}"
    with open_report(path) as first:
        first.add("a", [PLANE])
        first.add("b", [PLANE, PLANE])
    journal = path.with_name(f"r.{suffix}.journal")
    with journal.open("a") as cut:
        cut.write('["c", [{"plane"')
    assert not path.exists()
    with pytest.raises(ValueError, match="left from a run that was stopped"):
        open_report(path).__enter__()
    with reporting(path, "bac", resume=True) as again:
        again.add("b", [PLANE])
    whole = tmp_path / f"whole.{suffix}"
    with reporting(whole, "ba") as report:
        for name in "ba":
            report.add(name, [PLANE])
    assert path.read_bytes() == whole.read_bytes()
    assert list(path.parent.iterdir()) == [path]
    with reporting(path, "ba", resume=True):
        pass
    assert path.read_bytes() == whole.read_bytes()


def test_half_a_line_in_a_journal_spoils_no_other(tmp_path):
    path = tmp_path / "r.json"
    with open_report(path) as report:
        with path.with_name("r.json.journal").open("a") as cut:
            cut.write('["a", [{"half')  # where the disk was full, and then was not
        report.add("b", [])
    with reporting(path, "ab", resume=True):
        pass
    assert json.loads(path.read_text()) == [{"file": "b", "planes": []}]


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_files_whose_names_are_no_unicode_are_reported(tmp_path, suffix):
    path, name = tmp_path / f"r.{suffix}", os.fsdecode(b"\xff\xb5.tif")
    part = [{"plane": [], "removed_variance": 0.0, "waves": []}]
    with reporting(path, [name]) as report:
        report.add(name, part)
    before = path.read_bytes()
    assert before
    with reporting(path, [name], resume=True):
        pass
    assert path.read_bytes() == before


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_a_report_is_replaced_only_on_request_and_rows_are_kept(tmp_path, suffix):
    path = tmp_path / f"r.{suffix}"
    with reporting(path, "a") as report:
        report.add("a", [PLANE])
    first = path.read_bytes()
    with pytest.raises(ValueError, match="exists; --resume adds to it, --overwrite replaces it"):
        open_report(path).__enter__()
    assert path.read_bytes() == first
    with reporting(path, "b", resume=True) as report:  # of other files
        report.add("b", [PLANE, PLANE])
    both = path.read_bytes()
    assert both.count(b"\xce\xb1") == 3  # the reason, of each plane
    assert both.startswith(first.removesuffix(b"\n]\n"))
    with reporting(path, "a", overwrite=True) as report:
        report.add("a", [PLANE])
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("r.csv", "sample,dose\nA,3\n"),
        ("r.csv", ""),
        ("r.json", '{"my": "settings"}'),
        ("r.json", "[" * 100_000),
        ("r.json", "no JSON"),
        ("r.json", '[{"file": "a", "planes": 3}]'),
    ],
)
def test_a_table_of_something_else_is_left_alone(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ValueError, match="is not a report of this command"):
        open_report(path, resume=True).__enter__()
    assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


def test_two_runs_do_not_write_one_report(tmp_path):
    path = tmp_path / "r.csv"
    with (
        open_report(path),
        pytest.raises(ClaimedError, match="another run is writing"),
        open_report(path, resume=True),
    ):
        pass
