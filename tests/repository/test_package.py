import subprocess
import sys
from importlib.metadata import version

import pytest

import napari_periodic_denoise as package


@pytest.mark.parametrize(
    "statement",
    [
        "import napari_periodic_denoise",
        "import napari_periodic_denoise as p; dir(p); p.__version__",
        "import napari_periodic_denoise.cli",
        "from npe2 import PluginManifest\n"
        "PluginManifest.from_distribution('napari-periodic-denoise')",
    ],
)
def test_torch_and_napari_wait_until_they_are_used(statement):
    """Looking the plugin up, or asking for help, must not cost the seconds that they cost."""
    check = f"{statement}\nimport sys; print({{'torch', 'napari'}} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", check], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_public_names():
    assert dir(package) == sorted(package.__all__)
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert {
        "clean_stack",
        "estimate_noise",
        "iter_estimate_noise",
        "NoiseEstimate",
        "Progress",
        "Wave",
    } <= set(package.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'denoise'"):
        package.denoise  # noqa: B018


def test_version_is_the_distributions():
    assert package.__version__ == version("napari-periodic-denoise")
