"""Areas in napari's real window, with the real engine."""

import numpy as np
import pytest

from window import check, choose, click, open_dock

SPECIMEN, NOISE = (0.125, 0.0), (0.11, 0.07)


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer(show=True)


def cosine(shape, frequency, phase=0.0):
    y, x = np.indices(shape)
    return np.cos(2 * np.pi * (frequency[0] * y + frequency[1] * x) + phase)


@pytest.fixture
def crystal():
    """A specimen that is itself a lattice, next to an empty area; waves over all of it."""
    shape = (256, 256)
    lattice = 12 * (cosine(shape, (0.125, 0)) + cosine(shape, (0, 0.125), 1))
    lattice[:, 180:] = 0
    grain = np.random.default_rng(0).normal(0, 2, shape)
    noise = 8 * cosine(shape, NOISE)
    return (100 + lattice + grain + noise).astype(np.float32), lattice, noise


def finished(viewer, dock, qtbot, count):
    qtbot.waitUntil(lambda: len(viewer.layers) == count and not dock.running, timeout=60_000)


def test_an_exemplar_separates_noise_from_a_specimen_that_is_a_lattice(viewer, qtbot, crystal):
    pixels, lattice, truth = crystal
    viewer.add_image(pixels, name="crystal", scale=(0.1, 0.1))
    dock = open_dock(viewer)
    click(dock)
    finished(viewer, dock, qtbot, 3)
    _, noise, cleaned = viewer.layers
    alone = len(dock.found.table.model.rows)
    assert alone > 1  # the specimen is mistaken for noise

    empty = np.array([[10, 190], [10, 245], [245, 245], [245, 190]]) * 0.1
    area = viewer.add_shapes([empty], shape_type="rectangle", name="empty")
    drawn = area.data[0].copy()
    viewer.layers.selection.active = viewer.layers[0]
    choose(dock.areas.exemplar, "empty")
    assert dock.areas.exemplar.value is area
    click(dock)
    finished(viewer, dock, qtbot, 4)
    assert len(dock.found.table.model.rows) == 1
    assert (noise.data - truth).std() < 0.5
    assert np.corrcoef((cleaned.data - 100)[:, :170].ravel(), lattice[:, :170].ravel())[0, 1] > 0.9
    np.testing.assert_array_equal(area.data[0], drawn)


def test_what_is_left_alone_stays_to_the_bit(viewer, qtbot, crystal):
    pixels, _, truth = crystal
    viewer.add_image(pixels)
    labels = np.zeros(pixels.shape, np.uint8)
    labels[:, :184] = 1
    viewer.add_labels(labels, name="specimen")
    viewer.layers.selection.active = viewer.layers[0]
    dock = open_dock(viewer)
    choose(dock.areas.protect, "specimen")
    qtbot.waitUntil(dock.areas.keep.native.isVisible)
    check(dock.areas.keep)
    dock.areas.edge.value = 6
    click(dock)
    finished(viewer, dock, qtbot, 4)
    noise, cleaned = viewer.layers[2:]
    np.testing.assert_array_equal(cleaned.data[:, :184], pixels[:, :184])
    assert not noise.data[:, :184].any()
    assert len(dock.found.table.model.rows) == 1
    assert (noise.data - truth)[:, 192:].std() < 0.5
    np.testing.assert_array_equal(labels[:, 184:], 0)

    check(dock.areas.keep)
    click(dock)
    finished(viewer, dock, qtbot, 4)
    assert (noise.data - truth).std() < 0.5


def test_areas_go_with_one_plane(viewer, qtbot, crystal):
    viewer.add_image(np.stack([crystal[0]] * 2))
    viewer.add_labels(np.ones((256, 256), np.uint8), name="all")
    viewer.layers.selection.active = viewer.layers[0]
    dock = open_dock(viewer)
    choose(dock.planes, "Every")
    choose(dock.areas.protect, "all")
    assert not dock.run_button.enabled
    assert "Choose This plane" in dock.status.value
    qtbot.wait(500)  # else Qt takes the keys for more of the same word
    choose(dock.planes, "This")
    assert dock.run_button.enabled
