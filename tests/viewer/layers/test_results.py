"""The two result layers, without any window."""

import json
from dataclasses import replace

import numpy as np
import pytest
from napari.components import LayerList
from napari.layers import Image

from fakes import make_estimate
from napari_periodic_denoise import __version__
from napari_periodic_denoise.records import record as records
from napari_periodic_denoise.viewer.layers import results
from napari_periodic_denoise.viewer.layers.outcome import outcome_of_plane
from napari_periodic_denoise.viewer.layers.plane import Plane


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 4000, (30, 40), dtype=np.uint16)


@pytest.fixture
def source(image):
    return Image(
        image,
        name="cell",
        scale=(0.5, 0.25),
        translate=(3, -4),
        rotate=20,
        shear=[0.1],
        affine=[[1, 0.2, 7], [0, 2, 1], [0, 0, 1]],
        units=("micrometer", "micrometer"),
        axis_labels=("y", "x"),
        colormap="magenta",
        contrast_limits=(100, 3000),
        gamma=0.7,
        interpolation2d="linear",
    )


def deliver(layer_list, source, estimate):
    outcome = outcome_of_plane(source.data, estimate, Plane())
    for _ in results.deliver(layer_list, source, outcome):
        pass


def test_results_lie_where_the_source_lies_and_look_like_it(source, image):
    estimate = make_estimate(image)
    layer_list = LayerList([source])
    deliver(layer_list, source, estimate)
    _, noise, cleaned = layer_list
    assert [noise.name, cleaned.name] == ["cell noise", "cell cleaned"]
    assert noise.visible
    assert cleaned.visible
    for layer in (noise, cleaned):
        for name in results.PLACEMENT:
            assert results.placement(layer)[name] == results.placement(source)[name], name
        np.testing.assert_allclose(
            layer.data_to_world((7.5, 11.0)), source.data_to_world((7.5, 11.0))
        )
        assert layer.interpolation2d == "linear"
        assert not layer.rgb
    assert cleaned.colormap == source.colormap
    assert cleaned.gamma == source.gamma
    assert cleaned.contrast_limits == source.contrast_limits
    assert cleaned.contrast_limits_range == source.contrast_limits_range
    assert cleaned.data.dtype == np.uint16
    low, high = noise.contrast_limits
    assert low == -high
    assert high == pytest.approx(np.abs(estimate.noise).max())


def test_metadata_record_the_origin_of_a_result(source, image):
    estimate = make_estimate(image)
    layer_list = LayerList([source])
    deliver(layer_list, source, estimate)
    for layer, result in zip(layer_list[1:], ("noise", "cleaned"), strict=True):
        record = layer.metadata["periodic_noise"]
        assert record["result"] == result
        assert record["source"] == "cell"
        assert record["version"] == __version__
        assert record["settings"] == estimate.settings
        assert record.items() > records.record(estimate).items()
        assert json.loads(json.dumps(record)) == record
        assert results.is_result(layer)
    assert not results.is_result(source)
    assert source.metadata == {}


@pytest.mark.parametrize("foreign", ["50 Hz", None, [1, 2]])
def test_metadata_of_others_under_the_same_key_are_skipped(source, image, foreign):
    other = Image(image, metadata={"periodic_noise": foreign})
    source.metadata["periodic_noise"] = foreign
    layer_list = LayerList([other, source])
    deliver(layer_list, source, make_estimate(image))
    assert [results.is_result(layer) for layer in layer_list] == [False, False, True, True]
    assert other.metadata == source.metadata == {"periodic_noise": foreign}


def test_failed_delivery_leaves_nothing_behind(source, image):
    layer_list = LayerList([source])
    estimate = replace(make_estimate(image), cleaned="no image")
    with pytest.raises(Exception, match=r"."):
        deliver(layer_list, source, estimate)
    assert list(layer_list) == [source]


def test_second_delivery_updates_even_renamed_layers(source, image):
    layer_list = LayerList([source])
    deliver(layer_list, source, make_estimate(image))
    _, noise, cleaned = layer_list
    noise.name, cleaned.name = "hum", "the image for the paper"
    cleaned.colormap = "viridis"
    cleaned.metadata["mine"] = 1
    source.scale = (2, 2)
    second = make_estimate(image, amplitude=5)
    deliver(layer_list, source, second)
    assert list(layer_list) == [source, noise, cleaned]
    assert noise.data is second.noise
    assert cleaned.data is second.cleaned
    assert noise.contrast_limits == pytest.approx([-5, 5])
    assert cleaned.colormap.name == "viridis"
    assert cleaned.metadata["mine"] == 1
    assert tuple(noise.scale) == tuple(cleaned.scale) == (2, 2)
    assert noise.metadata["periodic_noise"]["waves"][0]["amplitude"] == 5


def test_only_what_is_missing_is_added(source, image):
    layer_list = LayerList([source])
    deliver(layer_list, source, make_estimate(image))
    cleaned = layer_list["cell cleaned"]
    layer_list.remove("cell noise")
    deliver(layer_list, source, make_estimate(image))
    assert [layer.name for layer in layer_list] == ["cell", "cell cleaned", "cell noise"]
    assert layer_list["cell cleaned"] is cleaned


def test_sources_of_equal_name_keep_their_own_results(source, image):
    layer_list = LayerList([source])
    deliver(layer_list, source, make_estimate(image))
    source.name = "old"
    other = Image(image, name="cell")
    layer_list.append(other)
    deliver(layer_list, other, make_estimate(image))
    assert len(layer_list) == 6
    assert results.find_result(layer_list, source, "noise") is layer_list[1]
    assert results.find_result(layer_list, other, "noise") is layer_list[4]


@pytest.mark.parametrize("channels", [3, 4])
def test_results_in_colour(image, channels):
    pixels = np.stack([image] * channels, axis=-1).astype(np.float32) / 4000
    source = Image(
        pixels,
        rgb=True,
        name="slide",
        scale=(0.5, 0.25),
        rotate=20,
        units=("micrometer", "micrometer"),
        axis_labels=("y", "x"),
        gamma=0.7,
    )
    estimate = replace(make_estimate(pixels[..., :3]), cleaned=pixels / 2)
    layer_list = LayerList([source])
    for _ in range(2):
        deliver(layer_list, source, estimate)
    *noises, cleaned = layer_list[1:]
    names = ["slide noise red", "slide noise green", "slide noise blue"]
    assert [noise.name for noise in noises] == names
    assert [noise.colormap.name for noise in noises] == ["red", "green", "blue"]
    # additive over one that covers what lies beneath: together they show the noise in its colours
    assert [noise.blending for noise in noises] == [
        "translucent_no_depth",
        "additive",
        "additive",
    ]
    for channel, noise in enumerate(noises):
        np.testing.assert_array_equal(noise.data, estimate.noise[..., channel])
        assert not noise.rgb
        assert noise.contrast_limits == pytest.approx([-6, 6])
    assert cleaned.name == "slide cleaned"
    assert cleaned.rgb
    assert cleaned.data is estimate.cleaned
    assert cleaned.gamma == source.gamma
    assert cleaned.contrast_limits == source.contrast_limits
    for layer in (*noises, cleaned):
        assert results.placement(layer) == results.placement(source)
        assert layer.visible
        assert results.is_result(layer)


def test_three_columns_are_no_colours():
    narrow = np.zeros((40, 3), np.uint8)
    source = Image(narrow, rgb=False)
    layer_list = LayerList([source])
    deliver(layer_list, source, make_estimate(narrow))
    assert [layer.rgb for layer in layer_list] == [False] * 3


def test_multiscale_is_used_at_full_resolution(image):
    layer = Image([image, image[::2, ::2]], multiscale=True)
    assert results.pixels(layer) is image


def gram_of(**sizes):
    rng = np.random.default_rng(0)
    grams = {}
    for layer, size in sizes.items():
        maps = rng.normal(size=(size, 100)).astype(np.float32)
        grams[layer] = maps @ maps.T / 100
    return grams


FIVE = {"conv1_1": 64, "conv2_1": 128, "conv3_1": 256, "conv4_1": 512, "conv5_1": 512}


def test_gram_matrices_stand_beside_the_image(source, image):
    estimate = replace(make_estimate(image), gram=gram_of(**FIVE))
    layer_list = LayerList([source])
    deliver(layer_list, source, estimate)
    grams = layer_list[3:]
    assert [layer.name for layer in grams] == [f"cell Gram {name}" for name in FIVE]
    (top, _), (bottom, right) = source.extent.world
    places = []
    for layer, (name, size) in zip(grams, FIVE.items(), strict=True):
        assert layer.data is estimate.gram[name]
        low, high = layer.extent.world
        assert low[1] > right
        assert top <= low[0] < high[0] <= bottom
        assert np.ptp(layer.extent.world, axis=0) == pytest.approx(
            [(0.95 * (bottom - top) / 2) * (1 - 1 / size)] * 2, rel=0.02
        )
        assert all(  # none over another
            (low >= end).any() or (high <= start).any() for start, end in places
        )
        places.append((low, high))
        assert layer.visible
        assert layer.units == source.units
        assert layer.metadata["periodic_noise"]["result"] == f"Gram {name}"
        assert results.is_result(layer)
        # zero is the middle, and most elements are within the contrast
        assert layer.contrast_limits[0] == -layer.contrast_limits[1]
        assert layer.contrast_limits_range[1] == pytest.approx(np.abs(layer.data).max())
        assert 0.9 < np.mean(np.abs(layer.data) <= layer.contrast_limits[1]) < 1


def test_a_matrix_of_zeros_still_has_limits(source, image):
    estimate = replace(make_estimate(image), gram={"edges": np.zeros((2, 2), np.float32)})
    layer_list = LayerList([source])
    deliver(layer_list, source, estimate)
    assert layer_list[-1].contrast_limits == [-1, 1]


def test_gram_matrices_are_updated_and_give_way_to_those_of_other_features(source, image):
    layer_list = LayerList([source])
    first = replace(make_estimate(image), gram=gram_of(conv1_1=64, conv2_1=128))
    deliver(layer_list, source, first)
    *_, shallow, deep = layer_list
    shallow.name = "mine"
    deliver(layer_list, source, make_estimate(image))  # without: they still are the image's
    assert list(layer_list)[3:] == [shallow, deep]
    second = replace(make_estimate(image), gram=gram_of(conv1_1=32, conv5_1=512))
    deliver(layer_list, source, second)
    assert [layer.name for layer in layer_list[3:]] == ["mine", "cell Gram conv5_1"]
    assert layer_list[3] is shallow
    assert shallow.data is second.gram["conv1_1"]
    assert np.ptp(shallow.extent.world[:, 0]) > 0.8 * np.ptp(source.extent.world[:, 0]) / 2
    assert results.find_result(layer_list, source, "Gram conv2_1") is None


def test_gram_matrices_of_another_source_are_let_be(source, image):
    other = Image(image, name="other")
    layer_list = LayerList([source, other])
    deliver(layer_list, source, replace(make_estimate(image), gram=gram_of(conv1_1=64)))
    deliver(layer_list, other, replace(make_estimate(image), gram=gram_of(conv2_1=64)))
    assert "cell Gram conv1_1" in layer_list
    assert "other Gram conv2_1" in layer_list


@pytest.mark.parametrize("size", [(30, 40), (3000, 2100)])
def test_an_unfinished_texture_lies_where_the_source_lies(source, size):
    source.data = np.zeros(size, np.uint16)
    texture = np.linspace(0, 4000, size[0] * size[1], dtype=np.float32).reshape(size)
    layer = Image(**results.preview_arguments(source, texture, Plane(), "texture"))
    assert layer.name == "cell texture"
    assert results.is_result(layer)
    assert max(layer.data.shape) <= 2048  # of a large one some pixels, each in its place
    step = size[0] // layer.data.shape[0]
    assert layer.data[3, 5] == texture[3 * step, 5 * step]
    np.testing.assert_allclose(
        layer.data_to_world((3, 5)), source.data_to_world((3 * step, 5 * step))
    )
    assert layer.contrast_limits == source.contrast_limits
    assert layer.colormap == source.colormap


def test_a_preview_of_a_part_lies_where_that_part_lies(source, image):
    part = Plane(part=((10, 30), (15, 40)))
    layer = Image(**results.preview_arguments(source, part.of(image), part, "preview"))
    assert layer.name == "cell preview"
    assert layer.data.dtype == image.dtype
    np.testing.assert_array_equal(layer.data, image[10:, 15:])
    np.testing.assert_allclose(layer.data_to_world((3, 5)), source.data_to_world((13, 20)))


@pytest.mark.parametrize(("dtype", "most"), [("uint8", 255), ("uint16", 65535), ("float32", 1)])
def test_an_unfinished_texture_in_colour_has_the_sources_intensities(dtype, most):
    source = Image(np.zeros((20, 30, 3), dtype), rgb=True)
    texture = np.float32([[[-0.1 * most, 0.5 * most, 1.1 * most]]]) * np.ones((20, 30, 1))
    layer = Image(
        **results.preview_arguments(source, texture.astype(np.float32), Plane(), "texture")
    )
    assert layer.rgb
    assert layer.data.dtype == dtype
    assert layer.data[0, 0, 1] == pytest.approx(most / 2, abs=0.5)
    if dtype != "float32":
        assert list(layer.data[0, 0, ::2]) == [0, most]
