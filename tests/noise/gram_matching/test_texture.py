import numpy as np
import pytest
import torch

from napari_periodic_denoise.noise.gram_matching.texture import (
    TextureStep,
    gram_loss,
    synthesize_texture,
)
from napari_periodic_denoise.noise.robust import robust_range
from napari_periodic_denoise.noise.statistics.networks import (
    gram_matrices,
    load_network,
    to_network,
)


def run(*args, **options) -> tuple[list[TextureStep], torch.Tensor]:
    synthesis, steps = synthesize_texture(*args, **options), []
    while True:
        try:
            steps.append(next(synthesis))
        except StopIteration as end:
            return steps, end.value


def stripes(height: int = 48, width: int = 64) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    noise = torch.randn(height, width, generator=torch.Generator().manual_seed(5))
    return 1000 + 100 * torch.cos(2 * torch.pi * (0.125 * x + 0.0625 * y)) + 10 * noise


@pytest.fixture(scope="module")
def network():
    return load_network("vgg16", ["conv1_1", "conv2_1"], weights="random")


def test_the_loss_is_each_layers_share_times_its_weight():
    target = {"a": torch.eye(3), "b": 100 * torch.ones(2, 2)}
    grams = {"a": 2 * torch.eye(3), "b": 110 * torch.ones(2, 2)}
    assert gram_loss(target, target).item() == 0
    assert gram_loss(grams, target).item() == pytest.approx(1 + 0.01)
    assert gram_loss(grams, target, {"a": 0.5, "b": 20}).item() == pytest.approx(0.5 + 0.2)


def test_the_loss_of_a_black_target_is_finite():
    assert gram_loss({"a": torch.zeros(2, 2)}, {"a": torch.zeros(2, 2)}).item() == 0


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_gram_matrices_of_the_texture_approach_those_of_the_image(network, optimizer):
    image = stripes()
    steps, texture = run(image, network, optimizer=optimizer, steps=60)
    assert [s.step for s in steps] == list(range(1, 61))
    assert texture.shape == image.shape
    assert texture.mean().item() == pytest.approx(1000, abs=30)
    assert texture.std().item() == pytest.approx(image.std().item(), rel=0.25)
    shown = robust_range(image)
    target, found = (gram_matrices(network, to_network(i, shown)) for i in (image, texture))
    assert gram_loss(found, target).item() < 0.02 * steps[0].loss
    assert gram_loss(found, target).item() == pytest.approx(min(s.loss for s in steps), rel=1e-3)


def test_the_texture_repeats_as_the_image_does_but_elsewhere(network):
    image = stripes()

    def peak(texture: torch.Tensor) -> tuple[int, int]:
        power = np.abs(np.fft.rfft2(texture - texture.mean()))
        return tuple(map(int, np.unravel_index(power.argmax(), power.shape)))

    textures = [run(image, network, optimizer="lbfgs", steps=150, seed=s)[1] for s in (0, 1)]
    found = np.array([peak(texture) for texture in textures])
    assert np.abs(found - peak(image)).max() <= 2  # of 48 and 64 frequencies
    assert abs(np.corrcoef(textures[0].flatten(), textures[1].flatten())[0, 1]) < 0.7


def test_a_seed_gives_the_same_texture(network):
    first, again, other = (run(stripes(), network, steps=3, seed=s)[1] for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_large_images_are_reduced_and_the_texture_brought_back(network):
    image = stripes(70, 100)
    steps, texture = run(image, network, steps=2, max_size=32, preview_every=0)
    assert texture.shape == image.shape
    assert steps[0].preview.shape == image.shape


def test_rgb_is_taken(network):
    image = torch.stack([stripes(), 2 * stripes(), -stripes()])
    _, texture = run(image, network, optimizer="lbfgs", steps=30)
    assert texture.shape == image.shape
    assert texture.mean((1, 2)).argsort().tolist() == [2, 0, 1]  # as the image's


def test_previews_come_every_few_seconds(network):
    steps, _ = run(stripes(), network, steps=3, preview_every=1e9)
    assert [s.preview for s in steps] == [None] * 3


def test_it_stops_when_the_loss_has_settled(network):
    steps, texture = run(torch.full((16, 16), 3.0), network, optimizer="lbfgs", steps=5000)
    assert len(steps) < 2000
    assert texture.isfinite().all()


def test_it_can_be_stopped(network):
    synthesis = synthesize_texture(stripes(), network)
    next(synthesis)
    synthesis.close()


def test_options_are_checked(network):
    with pytest.raises(ValueError, match=r"optimizer='sgd' is not one of the choices: 'adam'"):
        next(synthesize_texture(stripes(), network, optimizer="sgd"))
    with pytest.raises(ValueError, match="expected steps of at least 1, got 0"):
        next(synthesize_texture(stripes(), network, steps=0))
