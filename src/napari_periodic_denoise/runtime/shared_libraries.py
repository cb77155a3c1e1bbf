"""Shared libraries that are loaded before Python does, in a way that Python doesn't.

Whatever fails here, the import does again and reports.
"""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.util import find_spec
from pathlib import Path


def load_torch() -> None:
    """Load torch's libraries without holding Python's lock.

    Python holds its lock while it loads an extension's libraries: for torch's that freezes the
    viewer for a third of a second, and for seconds from a slow disk. The import then finds them
    loaded. (On Windows torch itself does so.)
    """
    if os.name == "posix":
        for folder in _folders("torch"):
            for library in (folder / "lib").glob("libtorch.*"):
                _load(library, os.RTLD_NOW)


def load_triton() -> None:
    """Load triton's library so that it uses the LLVM it brings, and no other.

    torchvision and torch's optimizers import triton where it is installed: with torch for CUDA
    on Linux. Where Mesa draws napari's canvas, it has loaded an LLVM for all of the process by
    then. triton would take functions of that one, and crash.
    """
    if sys.platform.startswith("linux") and "triton" not in sys.modules:
        for folder in _folders("triton"):
            _load(folder / "_C" / "libtriton.so", os.RTLD_NOW | os.RTLD_DEEPBIND)


def _folders(package: str) -> list[Path]:
    found = find_spec(package)
    return [Path(folder) for folder in (found and found.submodule_search_locations) or ()]


def _load(library: Path, mode: int) -> None:
    # a plain C function lets Python's lock go, which ctypes.CDLL(library) doesn't
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.argtypes, dlopen.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
    dlopen(os.fsencode(library), mode)
