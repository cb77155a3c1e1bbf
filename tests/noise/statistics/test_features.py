import pytest
import torch

from napari_periodic_denoise.noise.robust import robust_scale
from napari_periodic_denoise.noise.statistics.features import clipped, cosines, edges, gradient


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


def test_rounding_along_a_wave_is_no_edge():
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing="ij")
    across, along = edges(torch.sin(x) + 1e-7 * torch.sin(y)).abs().amax(dim=(1, 2)).flip(0)
    assert across > 0.9
    assert along < 1e-3


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


def test_cosines_of_a_parabola_are_its_slopes_and_its_bend():
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(8.0), indexing="ij")
    maps = cosines(y**2 + 3 * x)
    assert maps.shape == (8, 7, 6)
    # along x only slope and no bend; along y both; nothing along both at once
    assert [bool((m != m[0, 0]).any()) for m in maps] == [False] * 2 + [True] + [False] * 5


def test_cosines_of_flat_areas_are_zero():
    image = torch.full((30, 30), 0.1)
    image[:, :4] = 0.7
    assert not cosines(image)[:, :, 4:].any()


def test_cosines_do_not_depend_on_scale_and_offset():
    image = random_image(40, 40)
    torch.testing.assert_close(cosines(image), cosines(8 * image + 3), atol=1e-4, rtol=1e-4)


def test_maps_are_clipped_about_their_medians():
    maps = random_image(3, 100, 100) * torch.tensor([1.0, 7.0, 0.0])[:, None, None] + 50
    found = clipped(maps)
    assert found.abs().amax((1, 2)).tolist() == [1, 1, 0]
    assert found[:2].median().abs() < 1e-3
    assert float((found[1].abs() < 1).float().mean()) == pytest.approx(0.68, abs=0.02)
    assert float((clipped(maps, 2)[0].abs() < 1).float().mean()) == pytest.approx(0.95, abs=0.01)
