import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_periodic_denoise.noise.robust import Range, robust_range
from napari_periodic_denoise.noise.statistics.networks import (
    LAYER_WEIGHTS,
    feature_maps,
    feature_tiles,
    from_network,
    gram_matrices,
    layer_indices,
    load_network,
    to_network,
)
from napari_periodic_denoise.pretrained.vgg import vgg_features

DEEPEST = "conv5_1"


def camera(height: int = 64, width: int = 64) -> torch.Tensor:
    return torch.from_numpy(skimage.data.camera()[128:, 192:][:height, :width].astype(np.float32))


def seen(image: torch.Tensor) -> torch.Tensor:
    return to_network(image, robust_range(image))


@pytest.fixture(scope="module")
def vgg16(vgg16_path):
    return load_network("vgg16", weights_path=vgg16_path)


@pytest.fixture(scope="module")
def random_vgg16():
    return load_network("vgg16", weights="random")


# layers


def test_layers_are_named_by_block():
    assert layer_indices("vgg19") == {
        **{"conv1_1": 0, "conv1_2": 2, "conv2_1": 5, "conv2_2": 7},
        **{"conv3_1": 10, "conv3_2": 12, "conv3_3": 14, "conv3_4": 16},
        **{"conv4_1": 19, "conv4_2": 21, "conv4_3": 23, "conv4_4": 25},
        **{"conv5_1": 28, "conv5_2": 30, "conv5_3": 32, "conv5_4": 34},
    }
    assert layer_indices("vgg16")["conv5_1"] == 24


def test_the_five_layers_of_the_recipe_are_the_default(random_vgg16):
    assert list(random_vgg16.layers) == list(LAYER_WEIGHTS)
    assert list(LAYER_WEIGHTS.values()) == [1.0, 0.75, 0.2, 0.2, 0.2]


def test_an_unknown_layer_lists_those_there_are():
    with pytest.raises(ValueError, match=r"conv1_1, conv1_2, conv2_1.*conv5_3\), got 'relu1_1'"):
        load_network("vgg16", ["conv1_1", "relu1_1"], weights="random")
    with pytest.raises(ValueError, match=r"conv1_1.*got no layer"):
        load_network("vgg16", [], weights="random")


def test_unknown_weights_are_a_value_error():
    with pytest.raises(ValueError, match="'places' is not one of the choices: 'imagenet', 'rand"):
        load_network("vgg16", weights="places")


def test_deeper_layers_are_not_built():
    network = load_network("vgg19", ["conv2_1", "conv1_1"], weights="random")
    assert len(network.stack) == 6
    assert list(network.layers) == ["conv1_1", "conv2_1"]


def test_networks_are_frozen(random_vgg16):
    assert not random_vgg16.stack.training
    assert not any(p.requires_grad for p in random_vgg16.stack.parameters())


def test_random_weights_are_seeded_and_independent_of_depth():
    shallow = load_network("vgg16", ["conv1_2"], weights="random", seed=3)
    deep = load_network("vgg16", ["conv2_1"], weights="random", seed=3)
    other = load_network("vgg16", ["conv1_2"], weights="random", seed=4)
    assert torch.equal(shallow.stack[2].weight, deep.stack[2].weight)
    assert not torch.equal(shallow.stack[2].weight, other.stack[2].weight)


def test_random_weights_keep_the_size_of_the_maps(random_vgg16):
    sizes = [float(m.square().mean()) for m in feature_maps(random_vgg16, seen(camera())).values()]
    assert max(sizes) < 4 * min(sizes)


# intensities


@given(st.integers(0, 99), st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.booleans())
def test_intensities_come_back(seed, low, width, grey):
    shape = (20, 30) if grey else (3, 20, 30)
    image = torch.from_numpy(np.random.default_rng(seed).random(shape, np.float32)) * width + low
    shown = robust_range(image)
    maps = to_network(image, shown)
    assert maps.shape == (3, 20, 30)
    back = from_network(maps, shown, grey=grey)
    assert float((back - image).abs().max()) <= 1e-6 * max(abs(low), abs(low + width), width)


def test_8_bit_images_come_back_exactly():
    image = camera()
    shown = robust_range(image)
    assert torch.equal(from_network(to_network(image, shown), shown, grey=True).round(), image)


def test_the_range_is_robust():
    image = camera(100, 100)
    shown = robust_range(image)
    image[3, 3] = 60_000
    hot = robust_range(image)
    assert (hot.low, hot.high) == pytest.approx((shown.low, shown.high), abs=2)


def test_the_range_of_a_large_image_is_that_of_a_sample():
    image = torch.rand(1000, 300, generator=torch.Generator().manual_seed(0))
    shown = robust_range(image)
    assert (shown.low, shown.high) == pytest.approx((0.005, 0.995), abs=2e-3)


def test_constant_images_have_a_range():
    assert robust_range(torch.full((20, 20), 7.0)) == Range(7, 8)
    spike = torch.zeros(100, 100)
    spike[0, 0] = 5
    assert robust_range(spike) == Range(0, 5)


# feature maps


def test_feature_maps_are_torchvisions(vgg16, vgg16_path):
    stack = vgg_features("vgg16")[:25]
    state = torch.load(vgg16_path, weights_only=True)
    stack.load_state_dict({k.removeprefix("features."): v for k, v in state.items()}, assign=True)
    expected = {}
    for name, place in vgg16.layers.items():
        stack[place].register_forward_hook(
            lambda _, __, out, name=name: expected.update({name: out.clone()})
        )
    maps = seen(camera(70, 91))
    with torch.no_grad():
        stack(maps)
    found = feature_maps(vgg16, maps)
    assert list(found) == list(expected) == list(LAYER_WEIGHTS)
    for name, features in found.items():
        error = (features - expected[name]).abs().max() / expected[name].abs().max()
        assert float(error) < 1e-5
        assert float(features.min()) < 0  # before the ReLU


def test_the_input_is_not_written_to(random_vgg16):
    maps = seen(camera())
    before = maps.clone()
    feature_maps(random_vgg16, maps)
    assert torch.equal(maps, before)


def test_every_layer_can_be_asked_for():
    names = [name for name in layer_indices("vgg16") if name < "conv3"]
    together = feature_maps(load_network("vgg16", names, weights="random"), seen(camera()))
    for name in names:
        alone = load_network("vgg16", [name], weights="random")
        torch.testing.assert_close(feature_maps(alone, seen(camera()))[name], together[name])


def test_too_small_an_image_is_a_value_error(random_vgg16):
    with pytest.raises(ValueError, match=r"15×40 pixels; conv5_1 of vgg16 needs at least 16×16"):
        feature_maps(random_vgg16, torch.zeros(3, 15, 40))
    assert feature_maps(random_vgg16, torch.zeros(3, 16, 16))["conv5_1"].shape == (512, 1, 1)


# of the real network, on a part of scikit-image's camera: mean, deviation, and two of the values
MAPS = {
    "conv1_1": (-0.03528, 1.02318, -1.0525, 0.186704),
    "conv2_1": (-0.942345, 3.98994, -1.83329, -1.13085),
    "conv3_1": (-2.75006, 7.70066, -9.7446, -4.77859),
    "conv4_1": (-9.70517, 14.4962, 15.9835, -10.5394),
    "conv5_1": (-8.38582, 12.2539, -23.1091, 21.7169),
}
# of the Gram matrices: trace, sum, and one element off the diagonal
GRAMS = {
    "conv1_1": (67.0808, 16.8817, -0.508005),
    "conv2_1": (2151.36, 32357.7, -9.25369),
    "conv3_1": (17116.7, 743871, 2.18346),
    "conv4_1": (155813, 2.84507e07, 70.3508),
    "conv5_1": (112876, 2.12227e07, -151.112),
}


def test_fingerprints_of_the_feature_maps(vgg16):
    for name, features in feature_maps(vgg16, seen(camera())).items():
        found = features.mean(), features.std(), features[3, 2, 1], features[40, -1, -2]
        assert [float(value) for value in found] == pytest.approx(MAPS[name], rel=1e-4, abs=1e-4)


def test_fingerprints_of_the_gram_matrices(vgg16):
    for name, gram in gram_matrices(vgg16, seen(camera())).items():
        found = gram.trace(), gram.sum(), gram[3, 40]
        assert [float(value) for value in found] == pytest.approx(GRAMS[name], rel=1e-4)


# Gram matrices


def test_gram_matrices_equal_a_float64_computation(vgg16, vgg16_path):
    maps = seen(camera(61, 90))
    state = torch.load(vgg16_path, weights_only=True)
    flow, start = maps.double(), 0
    for name, gram in gram_matrices(vgg16, maps).items():
        for place in range(start, vgg16.layers[name] + 1):
            if isinstance(vgg16.stack[place], torch.nn.Conv2d):
                weight, bias = (
                    state[f"features.{place}.{k}"].double() for k in ("weight", "bias")
                )
                flow = torch.conv2d(flow, weight, bias, padding=1)
            elif isinstance(vgg16.stack[place], torch.nn.ReLU):
                flow = flow.clamp_min(0)
            else:
                flow = torch.nn.functional.max_pool2d(flow, 2)
        start = vgg16.layers[name] + 1
        flat = flow.numpy()
        expected = np.einsum("iyx,jyx->ij", flat, flat, optimize=True) / flat[0].size
        assert np.abs(gram.numpy() - expected).max() <= 1e-5 * np.abs(expected).max()


@settings(max_examples=10)
@given(st.integers(16, 120), st.integers(16, 120), st.sampled_from([1, 48, 70]))
def test_tiles_fit_together(random_vgg16, height, width, size):
    """Sizes are no multiples of the strides, tiles no multiples of 16."""
    maps = seen(camera(height, width))
    whole = feature_maps(random_vgg16, maps)
    area = dict.fromkeys(whole, 0)
    for part in feature_tiles(random_vgg16, maps, size):
        for name, features in part.items():
            area[name] += features[0].numel()
    assert area == {name: features[0].numel() for name, features in whole.items()}


@settings(max_examples=5)
@given(st.integers(16, 200), st.integers(100, 200))
def test_gram_matrices_of_tiles_are_those_of_the_whole(random_vgg16, height, width):
    maps = seen(camera(height, width))
    whole = gram_matrices(random_vgg16, maps)
    for name, gram in gram_matrices(random_vgg16, maps, tile=48).items():
        assert float((gram - whole[name]).abs().max()) <= 2e-6 * float(whole[name].abs().max())


def test_tiles_of_the_real_network_are_those_of_the_whole(vgg16):
    maps = seen(camera(235, 178))
    whole = gram_matrices(vgg16, maps)
    for name, gram in gram_matrices(vgg16, maps, tile=96).items():
        assert float((gram - whole[name]).abs().max()) <= 2e-6 * float(whole[name].abs().max())


def test_gram_matrices_have_a_gradient(random_vgg16):
    image = camera().requires_grad_()
    sum(
        g.sum() for g in gram_matrices(random_vgg16, to_network(image, Range(0, 255))).values()
    ).backward()
    assert image.grad.abs().min() > 0
