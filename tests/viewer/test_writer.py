"""Layers saved as napari saves them, with the real writer."""

import json

import dask.array as da
import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.plugins import _initialize_plugins

from napari_periodic_denoise import estimate_noise
from napari_periodic_denoise.io.images import read_image
from napari_periodic_denoise.records.replay import is_replayable
from napari_periodic_denoise.viewer.layers.outcome import outcome_of_plane
from napari_periodic_denoise.viewer.layers.plane import Plane
from napari_periodic_denoise.viewer.layers.results import deliver

PLUGIN = "napari-periodic-denoise"


def save(viewer, path, layer=None):
    viewer.layers.selection = {layer or viewer.layers[-1]}
    return viewer.layers.save(str(path), selected=True, plugin=PLUGIN)


def size_in(path):
    with tifffile.TiffFile(path) as tiff:
        pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
    sizes = [name for name in pixels if name.startswith("PhysicalSize") and name[-1] in "XYZ"]
    return {name[-1]: (pixels[name], pixels[f"{name}Unit"]) for name in sizes}


@pytest.fixture
def viewer():
    _initialize_plugins()  # as napari's window does
    return ViewerModel()


def test_a_result_is_saved_with_its_record(viewer, tmp_path):
    y, x = np.indices((64, 72))
    image = np.rint(100 + 12 * np.cos(0.6 * y + 0.4 * x)).astype(np.uint8)
    source = viewer.add_image(image, scale=(0.5, 0.25), units="um")
    outcome = outcome_of_plane(image, estimate_noise(image), Plane())
    for _ in deliver(viewer.layers, source, outcome):
        pass
    _, noise, cleaned = viewer.layers
    for layer in (noise, cleaned):
        path = tmp_path / f"{layer.name}.ome.tif"
        written = save(viewer, path, layer)
        assert list(map(str, written)) == [str(path), f"{path}.json"]
        made = tifffile.imread(path)
        assert made.dtype == layer.data.dtype
        np.testing.assert_array_equal(made, layer.data)
        np.testing.assert_array_equal(read_image(path).pixels, layer.data)
        assert size_in(path) == {"Y": (0.5, "µm"), "X": (0.25, "µm")}
        record = json.loads((tmp_path / f"{path}.json").read_text("utf-8"))
        assert record == layer.metadata["periodic_noise"]
        assert is_replayable(record)
    assert len(list(tmp_path.glob("*.tif*"))) == 4


@pytest.mark.parametrize(
    ("shape", "dtype", "rgb"),
    [
        ((20, 24), "float64", False),
        ((20, 24, 3), "uint8", True),
        ((5, 20, 24, 4), "uint8", True),
        ((5, 20, 24), ">i2", False),
        ((2, 5, 20, 24), "uint16", False),
        ((2, 3, 4, 20, 24), "float32", False),
        ((2, 1, 3, 4, 20, 24), "float32", False),
        ((5, 20, 24), "int64", False),
        ((5, 20, 24), "bool", False),
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_any_image_is_saved(viewer, tmp_path, shape, dtype, rgb, lazy):
    data = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 200, shape).astype(dtype)
    viewer.add_image(da.from_array(data) if lazy else data, rgb=rgb)
    path = tmp_path / "image.ome.tif"
    assert list(map(str, save(viewer, path))) == [str(path)]
    made = tifffile.imread(path)
    assert made.dtype.newbyteorder("=") == data.dtype.newbyteorder("=")
    np.testing.assert_array_equal(made, data)


def test_axes_and_the_finest_level(viewer, tmp_path):
    data = np.random.default_rng(0).integers(0, 200, (3, 32, 40), np.uint16)
    viewer.add_image(
        [data, data[:, ::2, ::2]],
        multiscale=True,
        axis_labels=("t", "y", "x"),
        scale=(2, 0.5, 0.5),
    )
    path = tmp_path / "movie.ome.tif"
    save(viewer, path)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.series[0].axes == "TYX"
    np.testing.assert_array_equal(tifffile.imread(path), data)
    assert size_in(path) == {"Y": (0.5, "pixel"), "X": (0.5, "pixel")}


@pytest.mark.parametrize(
    ("unit", "size"),
    [("micron", (0.5, "µm")), ("nm", (0.5, "nm")), ("inch", (12700, "µm")), ("s", (0.5, "pixel"))],
)
def test_lengths_have_the_names_that_ome_knows(viewer, tmp_path, unit, size):
    viewer.add_image(np.zeros((20, 24), np.uint8), scale=(0.5, 0.5), units=(unit, unit))
    path = tmp_path / "image.ome.tif"
    save(viewer, path)
    assert size_in(path) == {"Y": size, "X": size}


def test_naparis_own_writer_stays_the_usual_one(viewer, tmp_path):
    viewer.add_image(np.zeros((20, 24), np.uint8), metadata={"periodic_noise": {"a": 1}})
    viewer.layers.save(str(tmp_path / "image.tif"))
    assert [path.name for path in tmp_path.glob("image*")] == ["image.tif"]
    with tifffile.TiffFile(tmp_path / "image.tif") as tiff:
        assert not tiff.is_ome
