import csv
import json
import math
import os
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from napari_periodic_denoise.io.atomic import ClaimedError
from napari_periodic_denoise.noise.lines.evidence import LineEvidence
from napari_periodic_denoise.noise.lines.result import LineKind, LineNoise
from napari_periodic_denoise.noise.outcome import Outcome
from napari_periodic_denoise.records.record import record
from napari_periodic_denoise.records.report import open_report
from records import PLAIN, estimate_of

FOUND = record(estimate_of(PLAIN))
PLANE = {"plane": [2], **FOUND, "waves": [{**FOUND["waves"][0], "reason": "α"}]}


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


def line_noise(axis, kind, outcome, channel=0):
    evidence = LineEvidence(*(20.0 if i == 0 else 0 for i in range(8)))
    return LineNoise(
        kind, outcome, axis, (200, 300), torch.zeros(1, 300), 2.5, evidence, channel, 0.5
    )


def test_noise_of_rows_and_columns_and_pixels_that_are_not_finite_have_their_place(tmp_path):
    lines = (
        line_noise(0, LineKind.LINES, Outcome.REMOVED),
        line_noise(1, LineKind.SINGLE, Outcome.SUGGESTED),
    )
    both = replace(estimate_of(PLAIN), lines=lines, not_finite=7)
    alone = replace(estimate_of(), lines=lines[1:])
    with reporting(tmp_path / "r.csv", "a") as report:
        planes = [both, alone, estimate_of()]
        report.add("a", [{"plane": [i], **record(part)} for i, part in enumerate(planes)])
    with (tmp_path / "r.csv").open() as table:
        rows = list(csv.DictReader(table))
    names = ("plane", "not_finite", "on", "family", "angle_degrees", "amplitude", "period")
    assert [[row[name] for name in names] for row in rows] == [
        ["0", "7", "1", "constant", "0.0", "3.0", "10.0"],
        ["0", "7", "1", "lines", "90.0", "2.5", ""],
        ["0", "7", "0", "single lines, suggested", "0.0", "2.5", ""],
        ["1", "0", "0", "single lines, suggested", "0.0", "2.5", ""],
        ["2", "0", "", "", "", "", ""],
    ]
    assert [row["wave"] for row in rows] == ["1", "2", "3", "1", ""]
    assert float(rows[1]["false_alarms"]) == math.exp(-20)


def test_rows_of_a_report_without_the_new_columns_are_kept(tmp_path):
    path = tmp_path / "r.csv"
    header = "file,plane,removed_variance,channel,frequency_y,frequency_x,period,amplitude,phase"
    path.write_text(f"{header},reason\na,2,0.25,0,0.0,0.1,10.0,3.0,0.5,why\nb,,0.0,,,,,,,\n")
    first = {"plane": "3", "removed_variance": 0.0}
    path.with_name("r.csv.journal").write_text(f"\n{json.dumps(['c', [first]])}\n")
    with reporting(path, "d", resume=True) as report:
        report.add("d", [PLANE])
    with path.open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert [row["file"] for row in rows] == ["a", "b", "c", "d"]
    assert [row["not_finite"] for row in rows] == ["", "", "", "0"]
    assert [row["period"] for row in rows] == ["10.0", "", "", "10.0"]
    assert [row["reason"] for row in rows] == ["why", "", "", "α"]
    written = path.read_bytes()
    with reporting(path, "d", resume=True):
        pass
    assert path.read_bytes() == written


def test_a_report_without_the_newest_columns_is_resumed(tmp_path):
    path = tmp_path / "r.csv"
    with reporting(path, "a") as report:
        report.add("a", [PLANE])
    with path.open() as table:
        (row,) = csv.DictReader(table)
    assert row.pop("amplitude_error") == row.pop("phase_error") == ""
    path.write_text(f"{','.join(row)}\n{','.join(row.values())}\n")
    with reporting(path, "b", resume=True) as report:
        report.add("b", [PLANE])
    with path.open() as table:
        assert [row["file"] for row in csv.DictReader(table)] == ["a", "b"]


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_files_whose_names_are_no_unicode_are_reported(tmp_path, suffix):
    path, name = tmp_path / f"r.{suffix}", os.fsdecode(b"\xff\xb5.tif")
    part = [{"plane": [], **record(estimate_of())}]
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
