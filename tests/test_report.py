import json
import os
from dataclasses import replace

import numpy as np
import pytest

from napari_periodic_denoise import NoiseEstimate, Wave, __version__
from napari_periodic_denoise.noise.model import Rejected
from napari_periodic_denoise.report import Report, in_words, record

PLAIN = Wave((0.0, 0.1), 3.0, 0.0, 1e-9, 100.0)
KINDS = [
    (PLAIN, "10.0 px at 0°: ±3"),
    (
        replace(PLAIN, envelope=((3 + 1j, 0.5j), (1 + 0j, -2j))),
        "10.0 px at 0°, changing over the image: ±3",
    ),
    (replace(PLAIN, profile=((0.1, 3.0), (0.6, -3.0))), "10.0 px at 0°, hard-edged: ±3"),
    (replace(PLAIN, amplitude=0.0825, dark=12.0), "10.0 px at 0°: ±8.25% of the brightness"),
]


def estimate_of(*waves, shape=(20, 30), remainder="none", share=0.0):
    """An estimate as the engine makes them, of no image."""
    noise = np.zeros(shape, np.float32)
    rejected = (Rejected((0.2, 0.3), 1e-4, "only few parts of the image show it"),)
    return NoiseEstimate(noise, noise, waves, {"remainder": remainder}, 0.5, share, rejected)


@pytest.mark.parametrize(("wave", "words"), KINDS, ids=[words for _, words in KINDS])
def test_every_kind_of_wave_in_words_and_in_json(wave, words):
    estimate = estimate_of(wave)
    assert in_words(estimate, ()) == words
    found = record(estimate)
    assert json.loads(json.dumps(found)) == found
    assert found["waves"] == [{**wave.to_dict(), "reason": wave.reason}]


def test_a_record_says_why_and_by_what():
    found = record(estimate_of(remainder="stripes", share=0.1))
    assert found["version"] == __version__
    assert found["settings"] == {"remainder": "stripes"}
    assert (found["removed_variance"], found["remainder_variance"]) == (0.5, 0.1)
    assert found["rejected"] == [
        {
            "frequency": [0.2, 0.3],
            "false_alarms": 1e-4,
            "reason": "only few parts of the image show it",
        }
    ]


def test_a_wave_of_several_channels_is_one_line():
    waves = (
        replace(PLAIN, amplitude=5.0, channel=1),
        replace(PLAIN, frequency=(0.1, 0.0), channel=2),
        replace(PLAIN, frequency=(0.0, 0.10001)),
        replace(PLAIN, frequency=(0.0, 0.10002)),  # a second one, close by
        replace(PLAIN, profile=((0.1, 3.0), (0.6, -3.0)), channel=2),
    )
    assert in_words(estimate_of(*waves, shape=(20, 30, 3)), ("red", "green", "blue")) == (
        "10.0 px at 0°: ±5 (green), ±3 (red)\n"
        "10.0 px at 90°: ±3 (blue)\n"
        "10.0 px at 0°: ±3 (red)\n"
        "10.0 px at 0°, hard-edged: ±3 (blue)"
    )


def test_of_many_waves_the_first_are_told():
    waves = [replace(PLAIN, frequency=(0.0, 1 / period)) for period in range(5, 15)]
    lines = in_words(estimate_of(*waves), (), most=4).splitlines()
    assert lines[0].startswith("5.0 px")
    assert lines[3:] == ["8.0 px at 0°: ±3", "and 6 more"]
    assert in_words(estimate_of(), ()) == ""


@pytest.mark.parametrize(
    ("remainder", "words"),
    [("stripes", "stripes: 10% of the variance"), ("quasi-periodic", "quasi-periodic noise: 10%")],
)
def test_what_is_no_wave_is_told_last(remainder, words):
    for waves in ((), (PLAIN,) * 3):
        lines = in_words(estimate_of(*waves, remainder=remainder, share=0.1), (), 2).splitlines()
        assert lines[-1].startswith(words)
        assert len(lines) == (4 if waves else 1)


def test_a_texture_is_called_one():
    estimate = estimate_of(remainder="none", share=0.9)
    estimate.settings["method"] = "texture"
    assert in_words(estimate, ()) == "texture: 90% of the variance"


PLANE = {"plane": [2], "removed_variance": 0.25, "waves": [{**PLAIN.to_dict(), "reason": "α"}]}


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_a_report_that_was_killed_is_taken_up_from_its_journal(tmp_path, suffix):
    path = tmp_path / f"deeper/r.{suffix}"
    first = Report(path)
    first.add("a", [PLANE])
    first.add("b", [PLANE, PLANE])
    journal = next(path.parent.iterdir())
    with journal.open("a") as cut:
        cut.write('["c", [{"plane"')
    assert not path.exists()
    again = Report(path, resume=True)
    again.add("b", [PLANE])
    again.finish(["b", "a", "c"])
    whole = Report(tmp_path / f"whole.{suffix}")
    for name in "ba":
        whole.add(name, [PLANE])
    whole.finish("ba")
    assert path.read_bytes() == (tmp_path / f"whole.{suffix}").read_bytes()
    assert list(path.parent.iterdir()) == [path]
    Report(path, resume=True).finish("ba")
    assert path.read_bytes() == (tmp_path / f"whole.{suffix}").read_bytes()


def test_half_a_line_in_a_journal_spoils_no_other(tmp_path):
    path = tmp_path / "r.json"
    report = Report(path)
    with next(tmp_path.iterdir()).open("a") as cut:
        cut.write('["a", [{"half')  # where the disk was full, and then was not
    report.add("b", [])
    again = Report(path, resume=True)
    again.finish("ab")
    assert json.loads(path.read_text()) == [{"file": "b", "planes": []}]


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_files_whose_names_are_no_unicode_are_reported(tmp_path, suffix):
    path, name = tmp_path / f"r.{suffix}", os.fsdecode(b"\xff\xb5.tif")
    part = [{"plane": [], "removed_variance": 0.0, "waves": []}]
    report = Report(path)
    report.add(name, part)
    report.finish([name])
    before = path.read_bytes()
    assert before
    Report(path, resume=True).finish([name])
    assert path.read_bytes() == before


def test_without_resume_a_report_begins_anew(tmp_path):
    for name in "ab":
        report = Report(tmp_path / "r.json")
        report.add(name, [PLANE])
        report.finish("ab")
    assert [told["file"] for told in json.loads((tmp_path / "r.json").read_text())] == ["b"]
