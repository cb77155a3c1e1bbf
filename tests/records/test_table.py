import csv
from dataclasses import replace

import numpy as np
import pytest

from napari_periodic_denoise.records.record import record
from napari_periodic_denoise.records.table import rows, waves_as_csv
from records import KINDS, PLAIN, estimate_of


@pytest.mark.parametrize(("wave", "family", "height"), KINDS, ids=[kind for _, kind, _ in KINDS])
def test_every_kind_of_wave_is_a_row(wave, family, height):
    (row,) = rows(record(estimate_of(wave)))
    assert row.family == family
    assert row.amplitude(()) == height
    assert (row.period(), row.angle) == (pytest.approx(10), 0)
    assert row.is_on
    assert (row.share, row.false_alarms) == (0.25, 1e-4)


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


def test_a_table_has_the_errors_of_waves():
    errors = {"amplitude_error": 0.5, "phase_error": 0.25, "frequency_error": (1e-3, 2e-3)}
    found = rows(record(estimate_of(replace(PLAIN, **errors))))
    (line,) = csv.DictReader(waves_as_csv(found, None).splitlines())
    names = ("amplitude_error", "phase_error", "frequency_y_error", "frequency_x_error")
    assert [float(line[name]) for name in names] == [0.5, 0.25, 1e-3, 2e-3]


def test_waves_as_a_table():
    changing = replace(PLAIN, envelope=((3 + 1j,),), amplitude=2.0, channel=1, phase=0.5)
    multiplying = replace(PLAIN, frequency=(0.1, 0.0), amplitude=0.25, dark=10.0)
    found = record(estimate_of(PLAIN, changing, shape=(200, 300, 3), off=[multiplying]))
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
    assert {line["amplitude_error"] for line in lines} == {""}
    assert "period_µm" not in waves_as_csv(rows(found), None)
    assert waves_as_csv([], None).splitlines() == ["wave"]
