import pytest
import torch

from napari_periodic_denoise.noise.features import edges, gradient, robust_scale


def random_image(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_gradient_of_a_plane_is_its_slope():
    y, x = torch.meshgrid(torch.arange(5.0), torch.arange(7.0), indexing="ij")
    along_y, along_x = gradient(2 * y - 3 * x)
    assert along_y.shape == (4, 6)
    torch.testing.assert_close(along_y, torch.full((4, 6), 2.0))
    torch.testing.assert_close(along_x, torch.full((4, 6), -3.0))


def test_edges_are_clipped_at_one_deviation():
    image = random_image(100, 120)
    image[50:, 60:] += 1000
    maps = edges(image)
    assert maps.shape == (2, 99, 119)
    assert maps.abs().max() == 1
    # of a normal law, 68% lie within one deviation
    assert float((maps.abs() < 1).float().mean()) == pytest.approx(0.68, abs=0.02)


def test_edges_do_not_depend_on_scale_and_offset():
    image = random_image(40, 40)
    torch.testing.assert_close(edges(image), edges(8 * image + 3), atol=1e-4, rtol=1e-4)


def test_edges_of_a_constant_are_zero():
    assert not edges(torch.full((20, 30), 5.0)).any()


def test_robust_scale_is_the_deviation_of_the_bulk():
    values = random_image(100_000)
    values[:1000] = 1e6
    assert robust_scale(values) == pytest.approx(1, rel=0.03)


def test_robust_scale_of_mostly_zeros_is_not_zero():
    values = torch.zeros(1000)
    values[:100] = 2
    assert robust_scale(values) == pytest.approx(0.2)
