import torch

from napari_periodic_denoise.noise.lines.evidence import weigh


def white(h, w, seed=0):
    return torch.randn(h, w, generator=torch.Generator().manual_seed(seed))


def test_noise_all_over_agrees_in_all_parts():
    noise = white(1, 128, 1).expand(128, -1)
    evidence, doubtful = weigh(noise + 0.2 * white(128, 128), noise, 1e-3, 5.0)
    assert evidence.nats == 5
    assert evidence.parts == 64
    assert evidence.agreeing == 1
    assert evidence.saved > 0.7
    assert abs(evidence.along) < 0.35
    assert evidence.left < 1.2
    assert doubtful.float().mean() < 0.1


def test_noise_of_half_the_image_does_not():
    noise = white(1, 128, 1).expand(128, -1)
    image = 0.2 * white(128, 128)
    image[:64] += noise[:64]
    evidence, doubtful = weigh(image, noise, 1e-3, 5.0)
    assert evidence.agreeing < 0.6
    assert doubtful.float().mean() > 0.7


def test_lines_in_a_smooth_border_lack_the_texture():
    offsets = torch.zeros(128)
    offsets[[3, 5, 90]] = torch.tensor([4.0, -4.0, 0])
    noise = offsets.expand(128, -1)
    texture = white(128, 128)
    texture[:, :10] *= 0.2
    evidence, _ = weigh(texture + noise, noise, 1e-3, 5.0)
    assert evidence.texture < 0.5
    evidence, _ = weigh(white(128, 128) + noise, noise, 1e-3, 5.0)
    assert 0.75 < evidence.texture < 4 / 3


def test_a_specimen_that_is_coarser_where_the_lines_are_is_seen():
    lines = (torch.arange(128) % 16 == 0).float()
    noise = lines.expand(128, -1)
    image = noise + (0.1 + 0.5 * lines) * white(128, 128)
    evidence, _ = weigh(image, noise, 1e-3, 5.0)
    assert evidence.along > 0.45
    assert evidence.across > 0.45
    assert evidence.left > 1.4


def test_ignored_pixels_do_not_count():
    noise = white(1, 128, 1).expand(128, -1)
    image = 0.2 * white(128, 128)
    image[:64] += noise[:64]
    ignored = torch.zeros(128, 128, dtype=torch.bool)
    ignored[64:] = True
    evidence, _ = weigh(image, noise, 1e-3, 5.0, ignored)
    assert evidence.parts == 32
    assert evidence.agreeing == 1


def test_no_noise_has_no_evidence():
    evidence, _ = weigh(white(64, 64), torch.zeros(64, 64), 1e-3, 0.0)
    assert (evidence.parts, evidence.agreeing, evidence.along) == (0, 0, 0)
