import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_periodic_denoise.noise.waves.frequency import distances
from napari_periodic_denoise.noise.waves.lattices import (
    combinations,
    fundamental,
    in_lattices,
    index_lattice,
    lattice_indices,
    missing_sites,
    square_lattice,
)

SHAPE = (200, 260)
ONE, OTHER = np.array([0.071, 0.032]), np.array([-0.025, 0.083])


def same_waves(one: np.ndarray, other: np.ndarray) -> bool:
    least = distances(np.concatenate([one, other]), SHAPE)[range(len(one)), len(one) :]
    return bool((least.diagonal() < 1e-6).all())


def test_harmonics_share_one_base_whatever_their_alias():
    frequencies = np.array([1, 2, 3, 5, 11])[:, None] * ONE
    frequencies = (frequencies + 0.5) % 1 - 0.5
    bases, ties = index_lattice(frequencies, np.array([5, 4, 3, 2, 1]), SHAPE)
    assert ties.shape == (5, 1)
    np.testing.assert_array_equal(np.abs(ties[:, 0]), [1, 2, 3, 5, 11])
    assert same_waves(ties @ bases, frequencies)


def test_a_lattice_has_two_bases_and_strangers_stay_free():
    lattice = np.array([ONE, OTHER, ONE + OTHER, ONE - OTHER, 2 * ONE])
    frequencies = np.concatenate([lattice, [[0.31, -0.17]]])
    bases, ties = index_lattice(frequencies, np.array([9, 8, 3, 3, 2, 20]), SHAPE)
    assert len(bases) == 3
    assert same_waves(ties @ bases, frequencies)
    assert np.count_nonzero(ties[5]) == 1
    assert not ties[:5, ties[5] != 0].any()


@pytest.mark.parametrize(
    "strongest",
    [
        [(2, 0), (0, 1), (2, 1)],  # half of the sites
        [(2, 1), (1, -1), (3, 0)],  # a third
        [(1, 1), (2, 1), (3, 2)],  # skewed
    ],
)
def test_bases_are_the_shortest_whichever_waves_are_strong(strongest):
    orders = np.array([*strongest, (1, 0), (1, -2), (-1, 3), (3, -1), (1, 4)])
    strengths = np.arange(len(orders), 0, -1)
    bases, ties = index_lattice(orders @ [ONE, OTHER], strengths, SHAPE, thorough=True)
    assert len(bases) == 2
    assert same_waves(ties @ bases, orders @ [ONE, OTHER])
    lengths = np.hypot(*bases.T)
    np.testing.assert_allclose(np.sort(lengths), np.sort(np.hypot(*np.array([ONE, OTHER]).T)))


@given(st.integers(0, 500))
def test_unrelated_waves_stay_free(seed):
    frequencies = np.random.default_rng(seed).uniform(-0.5, 0.5, (4, 2))
    bases, ties = index_lattice(frequencies, np.ones(4), (512, 512))
    if len(bases) < 4:  # chance does it now and then, within what the fit will tell
        assert (distances(np.concatenate([ties @ bases, frequencies]), (512, 512)) < 0.5).sum() > 8
    else:
        np.testing.assert_array_equal(np.sort(ties, 0), np.sort(np.eye(4), 0))


def test_indices_prefer_the_lowest_combination():
    ties = lattice_indices(np.array([ONE, -ONE, 3 * ONE, [0.4, 0.4]]), ONE[None], 5, SHAPE)
    np.testing.assert_array_equal(ties[:, 0], [1, -1, 3, 0])


def test_missing_sites_are_next_to_occupied_ones():
    bases, ties = np.array([ONE, OTHER]), np.array([[1, 0], [0, 1], [1, 1]])
    missing = missing_sites(bases, ties, SHAPE)
    assert [1.0, -1.0] in missing.tolist()
    assert [2.0, 0.0] in missing.tolist()
    assert not {(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)} & set(map(tuple, missing.tolist()))
    assert np.abs(missing).max() <= 3
    assert not len(missing_sites(np.array([ONE]), np.ones((1, 1)), SHAPE))


def test_combinations_are_one_of_each_opposite_pair():
    points = {tuple(p) for p in combinations(2, 2).tolist()}
    assert len(points) == 12
    assert not any((-a, -b) in points for a, b in points)


@pytest.mark.parametrize("multiples", [(1, 3, 5, 7), (3, 5, 7, 9), (2, 3, 4, 5)])
def test_the_fundamental_may_be_missing(multiples):
    base = np.array([0.011, 0.043])
    frequencies = np.array(multiples)[:, None] * base
    found = fundamental(frequencies, 1 / np.array(multiples), SHAPE)
    assert found is not None
    np.testing.assert_allclose(np.abs(found[0]), np.abs(base), atol=1e-9)
    assert found[1].all()


def test_two_waves_have_no_fundamental():
    assert fundamental(np.array([ONE, 2 * ONE]), np.ones(2), SHAPE) is None


def test_lattices_are_told_from_harmonics():
    lattice = np.array([ONE, OTHER, ONE - OTHER, 2 * ONE + OTHER])
    alone = np.array([[0.31, 0.17]])
    members = in_lattices(np.concatenate([lattice[:3], alone]), SHAPE)
    assert members.tolist() == [True, True, True, False]
    assert not in_lattices(np.array([ONE, 2 * ONE, 3 * ONE]), SHAPE).any()
    assert not in_lattices(np.array([ONE, OTHER]), SHAPE).any()
    assert in_lattices(np.empty((0, 2)), SHAPE).tolist() == []


def test_the_fundamental_is_told_by_its_sharpest_harmonics():
    base, shape = np.array([0.011, 0.043]), (512, 512)
    multiples = np.array([1, 3, 5, 7])
    frequencies = multiples[:, None] * base
    frequencies[0] += 0.03 / 512  # many times as much at the seventh
    found = fundamental(frequencies, 1 / multiples, shape)
    assert found is not None
    assert np.abs((np.abs(found[0]) - base) * 512).max() < 0.01
    assert found[1].all()


def test_waves_of_one_direction_are_no_lattice():
    frequencies = np.array([[1, 0], [2, 0], [1.371, 0], [2.371, 0], [0.629, 0]]) @ [ONE, OTHER]
    _, ties = index_lattice(frequencies, np.array([9, 5, 8, 3, 2]), SHAPE)
    assert (np.count_nonzero(ties, axis=1) == 1).all()


def test_a_square_lattice_has_the_bases_of_most_of_its_waves():
    bases = np.array([[0.131, 0.128], [0.128, -0.131]])
    ties = np.array([[1, 1], [1, -1], [1, 0], [0, 1], [2, 0]])
    strengths = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    found = square_lattice(ties @ bases, strengths, (256, 256))
    np.testing.assert_allclose(found, bases)


def test_a_hexagonal_lattice_is_not_square():
    angles = np.radians([10, 70, 130])
    hexagon = 0.1 * np.stack([np.sin(angles), np.cos(angles)], 1)
    assert square_lattice(hexagon, np.ones(3), (256, 256)) is None
