import torch

from napari_periodic_denoise.noise.lines.streaks import find_streaks


def white(h, w, seed=0):
    return torch.randn(h, w, generator=torch.Generator().manual_seed(seed))


def test_streaks_are_found_to_the_pixel():
    image = 0.2 * white(256, 100)
    image[40:131, 30] += 2
    image[100:256, 31] -= 1.5
    found = find_streaks(image, 1e-3)
    order = found.line.argsort()
    assert found.line[order].tolist() == [30, 31]
    assert (found.first[order] - torch.tensor([40, 100])).abs().max() <= 2
    assert (found.last[order] - torch.tensor([131, 256])).abs().max() <= 2
    assert (found.offset[order] - torch.tensor([2, -1.5])).abs().max() < 0.15
    assert found.nats > 100


def test_what_is_drawn_is_where_it_was_found():
    image = 0.2 * white(256, 100)
    image[40:131, 30] += 2
    drawn = find_streaks(image, 1e-3).draw((256, 100))
    assert (image - drawn).std() < 0.21
    assert not drawn[:, :30].any()


def test_wider_things_and_edges_are_no_streaks():
    image = 0.2 * white(256, 100)
    image[40:131, 30:32] += 2
    image[:, 60:] += 3
    assert not len(find_streaks(image, 1e-3).line)


def test_random_noise_has_no_streaks():
    for seed in range(5):
        assert not len(find_streaks(white(128, 128, seed), 1e-3).line)


def test_ignored_pixels_make_no_streak():
    image = 0.2 * white(256, 100)
    image[40:131, 30] += 2
    ignored = torch.zeros(256, 100, dtype=torch.bool)
    ignored[40:131, 30] = True
    assert not len(find_streaks(image, 1e-3, ignored).line)


def test_a_small_image_is_left_alone():
    assert not len(find_streaks(white(16, 16), 1e-3).line)
