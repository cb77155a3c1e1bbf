import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_periodic_denoise.noise.neighbours import filled, local_means


@given(st.integers(0, 1000), st.floats(0.01, 0.99))
def test_means_are_within_the_range_of_the_known(seed, share):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand((30, 40), generator=generator) + 5
    known = torch.rand((30, 40), generator=generator) < share
    means, found = local_means(image, known)
    assert not (found & known).any()
    assert not means[~found].any()
    if found.any():
        assert means[found].min() >= image[known].min() - 1e-4
        assert means[found].max() <= image[known].max() + 1e-4
    assert torch.equal(filled(image, ~known)[known], image[known])


def test_the_nearest_neighbours_count():
    image = torch.zeros(9, 60)
    image[:, 20:] = 7
    known = torch.ones(9, 60, dtype=torch.bool)
    known[:, 10:] = False
    known[:, 55:] = True
    means, found = local_means(image, known)
    assert not means[:, :20].any()
    torch.testing.assert_close(means[:, 53], torch.full((9,), 7.0))
    assert not found[:, 30].any()  # 21 pixels from the left, 25 from the right
