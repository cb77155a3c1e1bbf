"""The package's version, as installed."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("napari-periodic-denoise")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "unknown"
