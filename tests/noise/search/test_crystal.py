"""Lattices that may be the specimen are suggested; others are removed as before."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from benchmarks.families import bundled
from napari_periodic_denoise import clean_stack, estimate_noise, select_waves
from napari_periodic_denoise.noise.input import normalize
from napari_periodic_denoise.noise.outcome import Outcome
from napari_periodic_denoise.noise.search.channel import ChannelModel, channel_model
from napari_periodic_denoise.noise.search.crystal import with_suggestions
from napari_periodic_denoise.noise.waves.wave import Rejected, Wave, wave_at_centre
from napari_periodic_denoise.noise.wording import Cause
from napari_periodic_denoise.records.record import record
from napari_periodic_denoise.records.table import rows
from napari_periodic_denoise.records.words import in_words

SHAPE = (256, 256)
HEXAGON = [(0.07, 0.02), (0.0177, -0.0706), (0.0877, -0.0506)]  # the last is the others' sum


def lattice(amplitude: float) -> np.ndarray:
    y, x = np.indices(SHAPE)
    waves = [np.cos(2 * np.pi * (fy * y + fx * x)) for fy, fx in HEXAGON]
    return amplitude * np.sum(waves, 0)


def crystal() -> np.ndarray:
    """Atoms on a surface with a slope, and nothing else but random noise."""
    y, _ = np.indices(SHAPE)
    random = np.random.default_rng(0).normal(0, 3, SHAPE)
    return np.rint(110 + 0.05 * y + lattice(20) + random).astype(np.uint8)


@pytest.fixture(scope="module")
def estimate():
    return estimate_noise(crystal())


def test_a_crystal_comes_back_to_the_bit_with_a_suggestion(estimate):
    np.testing.assert_array_equal(estimate.cleaned, crystal())
    assert not estimate.noise.any()
    assert estimate.waves == ()
    assert len(estimate.suggested) == len(estimate.kept_waves) >= 3
    assert {wave.outcome for wave in estimate.kept_waves} == {Outcome.SUGGESTED}
    assert estimate.summary.startswith("nothing removed; suggested: a lattice of")
    assert "suggestions='remove'" in estimate.warnings[-1]


def test_on_request_the_lattice_is_removed(estimate):
    cleaned = estimate_noise(crystal(), suggestions="remove")
    assert cleaned.kept_waves == ()
    left = cleaned.noise - lattice(20)
    assert left.std() < 0.05 * lattice(20).std()
    wanted = [wave.frequency for wave in estimate.kept_waves]
    chosen = select_waves(crystal(), estimate, off=[], on=wanted)
    np.testing.assert_allclose(chosen.noise, cleaned.noise, atol=1e-3)
    assert chosen.settings["on"] == [list(frequency) for frequency in wanted]
    again = select_waves(crystal(), chosen, off=wanted)
    np.testing.assert_array_equal(again.cleaned, crystal())


def test_an_exemplar_decides_instead(estimate):
    known = estimate_noise(crystal(), exemplar=[(0, 0, 128, 256)])
    assert known.kept_waves == ()
    assert len(known.waves) == len(estimate.kept_waves)


def test_a_record_tells_what_is_suggested(estimate):
    found = record(estimate)
    table = rows(found)
    assert [row.is_on for row in table] == [False] * len(estimate.kept_waves)
    assert all(row.is_suggested and row.family.endswith("suggested") for row in table)
    assert in_words(found).startswith("Nothing was removed. What was found may be")


def test_a_lattice_on_a_specimen_is_removed():
    clean = 0.6 * 255 * bundled("camera", 256) + 51
    noise = lattice(8)
    estimate = estimate_noise(np.rint(clean + noise))
    assert estimate.kept_waves == ()
    assert (estimate.noise - noise).std() < 0.1 * noise.std()


@pytest.mark.parametrize("model", ["shared", "drifting"])
def test_a_stack_of_a_crystal_stays(model):
    rng = np.random.default_rng(1)
    stack = np.stack([np.rint(110 + lattice(20) + rng.normal(0, 3, SHAPE)) for _ in range(3)])
    result = clean_stack(stack.astype(np.uint8), model=model)
    np.testing.assert_array_equal(result.cleaned, stack)
    assert all(len(e.suggested) >= 3 for e in result.estimates.flat)
    asked = clean_stack(stack.astype(np.uint8), model=model, suggestions="remove")
    assert all(len(e.waves) >= 3 for e in asked.estimates.flat)


def channel(waves, refused: int, pixels=None) -> ChannelModel:
    """A channel with these waves as settled ones, and refused peaks."""
    pixels = 100 * np.random.default_rng(0).normal(size=SHAPE) if pixels is None else pixels
    peaks = tuple(
        Rejected((0.2, 0.01 * number), 1e-30, Cause.PARTS_DISAGREE) for number in range(refused)
    )
    empty = channel_model(normalize(pixels), 0)
    return replace(empty, settled=tuple(waves), rejected=peaks)


def settled(unsteady: float) -> list[Wave]:
    """Three waves of a lattice; their amplitude changes by a cosine along the rows."""
    envelope = np.array([[0.1, 0.1 * unsteady]])
    return [
        wave_at_centre(np.array(frequency), envelope, SHAPE, false_alarms=1e-9, evidence=1e3)
        for frequency in HEXAGON
    ]


@pytest.mark.parametrize(
    ("unsteady", "refused", "outcome"),
    [
        (0.0, 0, Outcome.REMOVED),
        (0.0, 9, Outcome.REMOVED),
        (0.0, 10, Outcome.SUGGESTED),
        (0.2, 12, Outcome.SUGGESTED),
        (0.6, 12, Outcome.REMOVED),  # as the dots of a print, which follow its tone
    ],
)
def test_a_steady_lattice_among_refused_peaks_is_suggested(unsteady, refused, outcome):
    (waves,) = with_suggestions([channel(settled(unsteady), refused)])
    assert [wave.outcome for wave in waves] == [outcome] * 3


def test_peaks_that_chance_may_make_do_not_count():
    model = channel(settled(0), 12)
    weak = tuple(replace(peak, false_alarms=1e-6) for peak in model.rejected)
    (waves,) = with_suggestions([replace(model, rejected=weak)])
    assert {wave.outcome for wave in waves} == {Outcome.REMOVED}


def test_one_channel_decides_for_all():
    suspect, other = channel(settled(0), 12), channel(settled(0), 0)
    both = with_suggestions([other, suspect])
    assert [[wave.outcome for wave in waves] for waves in both] == [[Outcome.SUGGESTED] * 3] * 2


def test_an_oblique_lattice_of_many_waves_is_suggested():
    first = np.array(HEXAGON[0])
    sites = [(1, 0), (0, 1), (1, 1), (2, 0), (0, 2), (2, 1), (1, 2), (2, 2)]

    def waves(second: np.ndarray) -> list[Wave]:
        return [
            wave_at_centre(
                j * first + k * second, np.array([[0.1 / (j + k)]]), SHAPE,
                false_alarms=1e-9, evidence=1e3,
            )
            for j, k in sites
        ]  # fmt: skip

    oblique = first @ np.array([[0.5, 0.866], [-0.866, 0.5]])  # turned by 60°
    right = np.array([-first[1], first[0]])
    for base, count, outcome in (
        (oblique, 8, Outcome.SUGGESTED),
        (oblique, 7, Outcome.REMOVED),
        (right, 8, Outcome.REMOVED),
        (1.4 * right, 8, Outcome.REMOVED),
    ):
        (found,) = with_suggestions([channel(waves(base)[:count], 0)])
        assert {wave.outcome for wave in found} == {outcome}


def test_one_wave_among_refused_peaks_of_its_lattice_is_suggested():
    model = channel(settled(0)[:1], 12)
    others = tuple(Rejected(f, 1e-30, Cause.PARTS_DISAGREE) for f in HEXAGON[1:])
    ((wave,),) = with_suggestions([replace(model, rejected=(*model.rejected, *others))])
    assert wave.outcome is Outcome.SUGGESTED


def test_waves_of_no_lattice_are_removed():
    waves = settled(0)[:2]
    (found,) = with_suggestions([channel(waves, 0)])
    assert found == waves


@pytest.mark.parametrize("name", ["h_stm_step_edge", "h_stm_step_edge_and_atoms"])
def test_atoms_of_a_microscope_come_back_to_the_bit(name):
    path = Path(__file__).parents[4] / f"shared/data/clean/{name}.tif"
    if not path.exists():
        pytest.skip("no STM images in ../shared/data/clean")
    atoms = tifffile.imread(path)
    estimate = estimate_noise(atoms)
    np.testing.assert_array_equal(estimate.cleaned, atoms)
    assert len(estimate.suggested) >= 3


def test_a_square_screen_of_sharp_dots_is_a_print():
    def waves(turn: float) -> list[Wave]:
        base = np.array([[0.03, 0.04], [-0.04 * turn, 0.03]])
        return [
            wave_at_centre(
                np.array([j, k]) @ base, np.array([[0.1 / (j + k)]]), SHAPE,
                false_alarms=1e-9, evidence=1e3,
            )
            for j in range(5) for k in range(5) if j + k
        ]  # fmt: skip

    (square,) = with_suggestions([channel(waves(1.0), 12)])
    assert {wave.outcome for wave in square} == {Outcome.REMOVED}
    (other,) = with_suggestions([channel(waves(1.2), 12)])
    assert Outcome.SUGGESTED in {wave.outcome for wave in other}
    (soft,) = with_suggestions([channel(waves(1.0)[:10], 12)])
    assert Outcome.SUGGESTED in {wave.outcome for wave in soft}
