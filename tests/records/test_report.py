import json
import os

import pytest

from napari_periodic_denoise.records.report import Report
from records import PLAIN

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
