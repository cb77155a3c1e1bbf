"""Find and remove periodic noise from images, in napari, from Python and from the shell."""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_periodic_denoise.noise.estimate import estimate_noise, iter_estimate_noise
    from napari_periodic_denoise.noise.result import NoiseEstimate, Progress
    from napari_periodic_denoise.noise.selection import select_waves
    from napari_periodic_denoise.noise.waves import Wave
    from napari_periodic_denoise.stack import StackEstimate, clean_stack, iter_clean_stack

try:
    __version__ = version("napari-periodic-denoise")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "unknown"

_HOMES = {
    "NoiseEstimate": "noise.result",
    "Progress": "noise.result",
    "StackEstimate": "stack",
    "Wave": "noise.waves",
    "clean_stack": "stack",
    "estimate_noise": "noise.estimate",
    "iter_clean_stack": "stack",
    "iter_estimate_noise": "noise.estimate",
    "select_waves": "noise.selection",
}

__all__ = [
    "NoiseEstimate",
    "Progress",
    "StackEstimate",
    "Wave",
    "__version__",
    "clean_stack",
    "estimate_noise",
    "iter_clean_stack",
    "iter_estimate_noise",
    "select_waves",
]


def __getattr__(name: str) -> object:
    # napari imports this package to read the manifest: torch must wait for the first use.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
