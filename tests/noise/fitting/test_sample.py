import torch

from gradients import SHAPE, specimen, tensor
from napari_periodic_denoise.noise.fitting.sample import sample_area, sample_gradient


def test_a_sample_is_spread_over_the_image_and_repeatable():
    image = tensor(specimen())
    one, two = sample_gradient(image, 5000, 1, 1e-5), sample_gradient(image, 5000, 1, 1e-5)
    assert 5000 <= len(one) < 5500
    assert torch.equal(one.rows, two.rows)
    assert torch.equal(one.gradient, two.gradient)
    assert not torch.equal(one.rows, sample_gradient(image, 5000, 2, 1e-5).rows)
    assert len(set(one.rows.tolist())) == len(one.rows)
    assert one.rows.max() < SHAPE[0] - 1
    assert one.columns.max() < SHAPE[1] - 1
    row, column = int(one.rows[3]), int(one.columns[5])
    assert one.gradient[0, 3, 5] == image[row + 1, column] - image[row, column]
    assert one.gradient[1, 3, 5] == image[row, column + 1] - image[row, column]


def test_parts_of_a_sample():
    image = tensor(specimen())
    sample = sample_gradient(image, 10_000, 1, 1e-5)
    few = sample.first(1000)
    assert 1000 <= len(few) < 1200
    assert torch.equal(few.gradient, few.of(image).gradient)
    middle = sample.central(60)
    assert 0 < len(middle) < len(sample)
    assert (middle.rows - (SHAPE[0] - 1) / 2).abs().max() <= 30
    assert torch.equal(middle.gradient, middle.of(image).gradient)


def test_an_area_is_sampled_where_it_is():
    area = torch.zeros(SHAPE, dtype=torch.bool)
    area[20:50, 30:70] = True
    area[100:120, 200:] = True
    image = tensor(specimen())
    sample = sample_area(image, area, 10**6, 0, 1e-5)
    # pairs one below the other, and side by side; of the image's last column none is the first
    assert sample.counted[0].sum() == 29 * 40 + 19 * 29
    assert sample.counted[1].sum() == 30 * 39 + 20 * 29
    changed = image + 100 * ~area
    counted = sample.counted > 0
    assert torch.equal(sample.of(changed).gradient[counted], sample.gradient[counted])
    few = sample_area(image, area, 400, 0, 1e-5)
    assert 100 < len(few) <= 128 * 128
    assert few.counted.sum() > 0


def test_ignored_pixels_are_not_counted():
    ignored = torch.zeros(SHAPE, dtype=torch.bool)
    ignored[40, 50] = True
    sample = sample_gradient(tensor(specimen()), 10**6, 0, 1e-5, ignored)
    # the pixel's own differences, and those of the pixels above it and to the left of it
    assert (sample.counted == 0).sum() == 4
    row, column = int((sample.rows == 40).nonzero()), int((sample.columns == 50).nonzero())
    assert sample.counted[:, row, column].tolist() == [0, 0]


def test_a_rectangle_keeps_its_rows_and_columns():
    sample = sample_gradient(tensor(specimen()), 10**6, 0, 1e-5)
    part = sample.within((10, 20, 30, 25))
    assert sorted(part.rows.tolist()) == list(range(10, 30))
    assert sorted(part.columns.tolist()) == list(range(20, 25))
    assert part.shape == sample.shape


def test_narrow_images_keep_their_short_side():
    sample = sample_gradient(torch.zeros(100, 5000), 20_000, 0, 1e-5)
    assert len(sample.rows) == 99
    assert 190 < len(sample.columns) < 220


def test_an_area_without_neighbours_gives_an_empty_sample():
    area = torch.zeros(SHAPE, dtype=torch.bool)
    area[3, 3] = area[9, 9] = True
    assert len(sample_area(tensor(specimen()), area, 100, 0, 1e-5)) == 0
