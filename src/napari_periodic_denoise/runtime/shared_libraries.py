"""Preload native libraries, so that importing torch neither freezes nor crashes napari.

Errors are ignored here. The import that follows raises them.
"""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.util import find_spec
from pathlib import Path


def load_torch() -> None:
    """Load torch's libraries without holding the GIL.

    Python holds the GIL while it loads the libraries of an extension. For torch this freezes the
    viewer for a third of a second, or for seconds from a slow disk. After the preload, the import
    finds the libraries loaded. (On Windows torch preloads them itself.)
    """
    if os.name == "posix":
        for folder in _folders("torch"):
            for library in (folder / "lib").glob("libtorch.*"):
                _load(library, os.RTLD_NOW)


def load_triton() -> None:
    """Load triton's library with its own LLVM.

    torchvision and torch's optimisers import triton if it is installed, which is the case with
    torch for CUDA on Linux. If Mesa draws napari's canvas, it has already loaded another LLVM
    into the process. triton would use functions of that LLVM and crash.
    """
    if sys.platform.startswith("linux") and "triton" not in sys.modules:
        for folder in _folders("triton"):
            _load(folder / "_C" / "libtriton.so", os.RTLD_NOW | os.RTLD_DEEPBIND)


def _folders(package: str) -> list[Path]:
    """Folders of an installed package, without importing it."""
    spec = find_spec(package)
    return [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]


def _load(library: Path, mode: int) -> None:
    """Load a library by ``dlopen``, without raising errors."""
    # a plain C function releases the GIL, which ctypes.CDLL(library) does not
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.argtypes, dlopen.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
    dlopen(os.fsencode(library), mode)
