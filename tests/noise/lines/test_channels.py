"""Line noise of an image, from its pixels to the estimate and back."""

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.families import bundled, corrupt, rejection
from napari_periodic_denoise import estimate_noise, select_waves
from napari_periodic_denoise.noise.outcome import Outcome
from napari_periodic_denoise.records.record import record
from napari_periodic_denoise.records.table import LineRow, rows, waves_as_csv
from napari_periodic_denoise.records.words import in_words


@pytest.fixture(scope="module")
def striped():
    """An image in which each row has its own offset, and the offsets."""
    rng = np.random.default_rng(3)
    clean = bundled("camera")[:256, :256]
    noise = np.broadcast_to(0.06 * rng.normal(size=(256, 1)), clean.shape)
    return corrupt(clean, noise, rng, 0.01), 255 * 0.6 * noise


@pytest.fixture(scope="module")
def estimate(striped):
    return estimate_noise(striped[0])


def test_rows_of_any_offset_are_removed(striped, estimate):
    assert rejection(estimate.noise, striped[1]) > 8
    (line,) = estimate.removed_lines
    assert (line.name, line.direction, line.channel) == ("rows: lines", 0.0, 0)
    assert 0 < line.strength < 1.001 * float(estimate.noise.std())
    assert line.share == pytest.approx((line.strength / float(estimate.noise.std())) ** 2, rel=0.1)
    assert not estimate.suggested
    assert estimate.components == (*estimate.waves, line)
    assert "rows: lines" in estimate.summary


def test_on_request_the_rows_stay(striped):
    estimate = estimate_noise(striped[0], remainder="none")
    assert estimate.lines == ()
    assert rejection(estimate.noise, striped[1]) < 8


def test_rows_are_switched_off_and_on_again(striped, estimate):
    image = striped[0]
    off = select_waves(image, estimate, off=["rows"])
    if not estimate.waves:
        np.testing.assert_array_equal(off.cleaned, image)
    assert [line.outcome for line in off.lines] == [Outcome.SWITCHED_OFF]
    assert off.removed_variance < estimate.removed_variance
    assert off.suggested == estimate.suggested == ()
    again = select_waves(image, off, off=[], on=["rows"])
    np.testing.assert_allclose(again.noise, estimate.noise, atol=1e-3)
    assert select_waves(image, estimate, off=["columns"]) is estimate


def test_waves_are_not_taken_out_of_the_lines():
    rng = np.random.default_rng(0)
    clean = bundled("moon")[:256, :256]
    columns = 0.1 * rng.normal(size=256) + 0.1 * (-1.0) ** np.arange(256)
    noise = np.broadcast_to(columns, clean.shape)
    slanted = 0.05 * np.cos(2 * np.pi * (0.11 * np.arange(256)[:, None] + 0.17 * np.arange(256)))
    estimate = estimate_noise(corrupt(clean, noise + slanted, rng, 0.01))
    assert "columns: lines" in [line.name for line in estimate.removed_lines]
    np.testing.assert_allclose(estimate.waves[0].frequency, (0.11, 0.17), atol=1e-4)
    assert not any(wave.frequency[0] == 0 for wave in estimate.waves)
    assert rejection(estimate.noise, 255 * 0.6 * (noise + slanted)) > 27


@pytest.mark.parametrize("is_there", [True, False])
def test_an_exemplar_shows_the_lines_or_they_stay(is_there):
    rng = np.random.default_rng(0)
    clean = np.full((256, 256), 0.5)
    noise = np.tile(0.06 * rng.normal(size=(256, 1)), (1, 256))
    noise[:60, :60] *= is_there
    image = corrupt(clean, noise, rng, 0.01)
    estimate = estimate_noise(image, exemplar=[(0, 0, 60, 60)])
    assert [line.name for line in estimate.removed_lines] == ["rows: lines"] * is_there
    assert bool(estimate.noise.any()) == is_there


def test_lines_beside_an_exemplar_stay():
    rng = np.random.default_rng(0)
    columns = 0.06 * rng.normal(size=256) * (np.arange(256) >= 100)
    image = corrupt(np.full((256, 256), 0.5), np.tile(columns, (256, 1)), rng, 0.01)
    assert estimate_noise(image).removed_lines
    assert estimate_noise(image, exemplar=[(0, 0, 256, 90)]).lines == ()


def test_a_strong_wave_along_the_lines_stays_a_wave():
    rng = np.random.default_rng(0)
    clean = bundled("moon")[:256, :256]
    wave = 0.15 * np.cos(2 * np.pi * 0.0937 * np.arange(256))
    noise = np.broadcast_to(0.01 * rng.normal(size=256) + wave, clean.shape)
    estimate = estimate_noise(corrupt(clean, noise, rng, 0.01))
    assert [line.name for line in estimate.removed_lines] == ["columns: lines"]
    assert len(estimate.waves) == 1
    assert rejection(estimate.noise, 255 * 0.6 * noise) > 25


def test_hum_of_any_phase_is_removed_before_the_waves():
    rng = np.random.default_rng(0)
    clean = bundled("camera")[:256, :256]
    phase = rng.uniform(0, 2 * np.pi, (256, 1)) + 2 * np.pi * 0.07 * np.arange(256)
    noise = 0.1 * np.cos(phase) + 0.04 * np.cos(2 * phase)
    image = corrupt(clean, noise, rng, 0.01)
    estimate = estimate_noise(image)
    (hum,) = estimate.removed_lines
    assert hum.name == "rows: hum along lines"
    assert estimate.waves == ()
    assert rejection(estimate.noise, 255 * 0.6 * noise) > 15
    off = select_waves(image, estimate, off=["rows: hum along lines"])
    np.testing.assert_array_equal(off.cleaned, image)


def test_channels_are_decided_together(striped):
    image = np.stack([striped[0], striped[0] // 2 + 60], -1)
    estimate = estimate_noise(image, channel_axis=-1)
    assert [(line.channel, line.name) for line in estimate.removed_lines] == [
        (0, "rows: lines"),
        (1, "rows: lines"),
    ]
    strong, weak = estimate.removed_lines
    assert weak.strength == pytest.approx(strong.strength / 2, rel=0.1)


def test_a_record_has_a_row_of_lines(estimate):
    found = json.loads(json.dumps(record(estimate)))
    (row,) = (row for row in rows(found) if isinstance(row, LineRow))
    assert row.is_on
    assert row.frequencies == ["rows: lines"]
    assert (row.angle, row.period()) == (0.0, np.inf)
    assert row.strength == pytest.approx(estimate.removed_lines[0].strength)
    assert row.amplitude(()) == f"±{row.strength:.3g}"
    assert row.family == "lines"
    assert "ines (rows)" in in_words(found)
    table = waves_as_csv(rows(found), None).splitlines()
    assert len(table) == 1 + len(estimate.waves) + 1


def test_a_suggested_row_says_so(striped, estimate):
    off = select_waves(striped[0], estimate, off=["rows"])
    suggested = [replace(noise, outcome=Outcome.SUGGESTED) for noise in off.lines]
    for lines, family in ((off.lines, "lines"), (suggested, "lines, suggested")):
        found = rows(record(replace(off, lines=tuple(lines))))
        (row,) = (row for row in found if isinstance(row, LineRow))
        assert not row.is_on
        assert row.family == family


def test_clean_images_come_back_to_the_bit():
    for name in ("camera", "cell", "brick"):
        image = (255 * bundled(name)[:256, :256]).astype(np.uint8)
        np.testing.assert_array_equal(estimate_noise(image, remainder="auto").cleaned, image)
