import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_periodic_denoise.noise.fitting.schedule import (
    next_softening,
    shifted_bases,
    solve_damped,
)


def test_the_softening_halves_down_to_the_bulk_and_the_quantum():
    residual = torch.tensor([0.5, -1.0, 2.0])
    assert next_softening(8.0, residual, 0.1) == 4.0
    assert next_softening(0.2, residual, 0.1) == 0.5  # half of the median magnitude
    assert next_softening(0.2, residual, 0.9) == 0.9


@given(st.integers(0, 99))
def test_a_regular_system_is_solved(seed):
    rng = np.random.default_rng(seed)
    columns = torch.from_numpy(rng.normal(size=(4, 50)))
    truth = torch.from_numpy(rng.normal(size=4))
    normal = columns @ columns.T
    solution = solve_damped(normal, normal @ truth, normal.diagonal().rsqrt())
    np.testing.assert_allclose(solution, truth, rtol=0.02, atol=1e-2)


def test_two_equal_columns_share_their_coefficient():
    normal = torch.ones(2, 2, dtype=torch.float64)
    moment = torch.full((2,), 3.0, dtype=torch.float64)
    solution = solve_damped(normal, moment, torch.ones(2, dtype=torch.float64))
    np.testing.assert_allclose(solution, [1.5, 1.5], rtol=1e-3)


def test_steps_of_bases_are_bounded_for_their_highest_harmonic():
    bases, ties = (
        np.array([[0.1, 0.2], [0.3, 0.0]]),
        np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 1.0]]),
    )
    moved = shifted_bases(bases, ties, np.array([9.0, 0.01, -9.0, 0.0]), (100, 200))
    np.testing.assert_allclose(moved - bases, [[0.1 / 100, -0.1 / 200], [0.01 / 100, 0.0]])
    assert moved == pytest.approx(
        shifted_bases(bases, ties, np.array([0.1, 0.01, -0.1, 0.0]), (100, 200))
    )
