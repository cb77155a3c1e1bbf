import numpy as np
import pytest
from napari.layers import Labels, Shapes

from napari_periodic_denoise.viewer.panels.layer_choice import LayerChoice


@pytest.fixture
def choice(viewer):
    choice = LayerChoice(
        viewer.layers, lambda layer: isinstance(layer, Labels | Shapes), none="none"
    )
    for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
        event.connect(choice.reset_choices)
    yield choice
    choice.native.deleteLater()


def offered(choice):
    return [choice.native.itemText(i) for i in range(choice.native.count())]


def test_layers_of_the_kinds_come_and_go(viewer, choice):
    assert offered(choice) == ["none"]
    assert choice.value is None
    viewer.add_image(np.zeros((8, 8)))
    labels = viewer.add_labels(np.zeros((8, 8), int), name="cells")
    viewer.add_shapes(name="drawn")
    assert offered(choice) == ["none", "cells", "drawn"]
    assert choice.value is None
    heard = []
    choice.changed.connect(heard.append)
    choice.value = labels
    viewer.add_shapes(name="another")
    assert choice.value is labels
    assert heard == [labels]
    viewer.layers.remove(labels)
    assert choice.value is None
    assert heard == [labels, None]
    assert offered(choice) == ["none", "drawn", "another"]


def test_a_renamed_layer_stays_chosen(viewer, choice):
    labels = viewer.add_labels(np.zeros((8, 8), int), name="cells")
    choice.value = labels
    labels.name = "nuclei"
    viewer.add_labels(np.zeros((8, 8), int), name="cells")
    assert choice.value is labels
    assert sorted(offered(choice)) == ["cells", "none", "nuclei"]
