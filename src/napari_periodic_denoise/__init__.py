"""Find and remove periodic noise from images, in napari, from Python and from the shell."""

from typing import TYPE_CHECKING

from napari_periodic_denoise._version import __version__

if TYPE_CHECKING:
    from napari_periodic_denoise.io.images import read_image
    from napari_periodic_denoise.noise.estimate import estimate_noise, iter_estimate_noise
    from napari_periodic_denoise.noise.progress import Progress
    from napari_periodic_denoise.noise.result import NoiseEstimate
    from napari_periodic_denoise.noise.selection import select_waves
    from napari_periodic_denoise.noise.waves.wave import Wave
    from napari_periodic_denoise.stacks.clean import StackEstimate, clean_stack, iter_clean_stack

_HOMES = {
    "NoiseEstimate": "noise.result",
    "Progress": "noise.progress",
    "StackEstimate": "stacks.clean",
    "Wave": "noise.waves.wave",
    "clean_stack": "stacks.clean",
    "estimate_noise": "noise.estimate",
    "iter_clean_stack": "stacks.clean",
    "iter_estimate_noise": "noise.estimate",
    "read_image": "io.images",
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
    "read_image",
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
