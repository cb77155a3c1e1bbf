import subprocess
import sys

import pytest

from napari_periodic_denoise.pretrained.vgg import torchvision_models, vgg_features


def test_networks_are_torchvisions():
    assert torchvision_models().__name__ == "torchvision.models"
    names = [type(module).__name__ for module in vgg_features("vgg16")]
    assert (names.count("Conv2d"), names.count("MaxPool2d")) == (13, 5)
    assert [type(m).__name__ for m in vgg_features("vgg19")].count("Conv2d") == 16


def test_networks_are_built_without_memory():
    assert {p.device.type for p in vgg_features("vgg19").parameters()} == {"meta"}


def test_an_unknown_network_is_a_value_error():
    with pytest.raises(
        ValueError, match=r"'resnet18' is not one of the choices: 'vgg16', 'vgg19'"
    ):
        vgg_features("resnet18")


def test_what_to_install_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ImportError, match=r"need torchvision.*pip install torch torchvision"):
        vgg_features("vgg16")


def test_torchvision_waits_until_it_is_used():
    check = (
        "import napari_periodic_denoise.noise.statistics.networks, sys\n"
        "import napari_periodic_denoise.pretrained.weights\n"
        "print('torchvision' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], stdout=subprocess.PIPE, text=True)
    assert done.stdout == "False\n"
