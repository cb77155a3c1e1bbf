"""The sample images in napari."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.plugins import _initialize_plugins

from napari_periodic_denoise import samples
from napari_periodic_denoise.viewer import sample_data


@pytest.mark.parametrize("name", ["cell_with_interference", "newspaper_halftone"])
def test_samples_are_image_layers(name):
    ((pixels, options, kind),) = getattr(sample_data, name)()
    sample = getattr(samples, name)()
    assert kind == "image"
    assert options["name"] == sample.name
    assert options["metadata"] == {"attribution": sample.attribution}
    np.testing.assert_array_equal(pixels, sample.image)


@pytest.mark.parametrize("key", ["cell", "newspaper"])
def test_napari_opens_them_by_the_manifest(key):
    _initialize_plugins()  # as napari's window does
    viewer = ViewerModel()
    (layer,) = viewer.open_sample("napari-periodic-denoise", key)
    assert layer.data.ndim == 2
    assert layer.metadata["attribution"]
