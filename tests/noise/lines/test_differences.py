import torch

from napari_periodic_denoise.noise.lines.differences import PARTS, line_differences


def white(h, w, seed=0):
    return torch.randn(h, w, generator=torch.Generator().manual_seed(seed))


def test_differences_are_those_of_the_offsets():
    offsets = white(1, 80)[0]
    for d in line_differences(0.01 * white(160, 80, 1) + offsets, 1e-3):
        means = offsets.unfold(0, d.size, 1).mean(1)
        expected = means[d.size :] - means[: -d.size]
        assert torch.allclose(d.orders[0].float(), expected, atol=0.02)


def test_bright_things_do_not_count():
    offsets = white(1, 80)[0]
    image = 0.01 * white(160, 80, 1) + offsets
    image[20:60, 30:50] += 100
    first = line_differences(image, 1e-3)[0]
    assert torch.allclose(first.orders[0].float(), offsets.diff(), atol=0.02)


def test_ignored_pixels_tell_nothing():
    offsets = white(1, 80)[0]
    image = 0.01 * white(160, 80, 1) + offsets
    ignored = torch.zeros(160, 80, dtype=torch.bool)
    ignored[:100] = True
    other = image.clone()
    other[:100] = 7
    first = line_differences(other, 1e-3, ignored)[0]
    assert torch.allclose(first.orders[0].float(), offsets.diff(), atol=0.02)


def test_the_variance_is_what_the_locations_stray_by():
    first = line_differences(white(512, 400), 1e-3)[0]
    ratio = float(first.orders[0].square().mean() / first.variance.mean())
    assert 0.5 < ratio < 3


def test_orders_are_cosines_along_the_lines():
    along = torch.cos(torch.pi * (torch.arange(320) + 0.5) / 320)
    image = 0.1 * along[:, None] * torch.arange(64.0) + 0.2 * white(320, 64)
    first = line_differences(image, 1e-3)[0]
    energy = first.orders.square().mean(1)
    assert energy[1] > 0.9 * energy[2:].sum()
    # an amplitude of √2 per unit, as `result.draw` takes it
    assert abs(float(first.orders[1].mean()) - 0.1 * 0.5**0.5) < 0.02
    assert len(energy) == PARTS
