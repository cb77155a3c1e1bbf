"""Write files and folders that appear under their name complete or not at all.

What is being written has a temporary name in the same folder. A lock beside it is held by the
process that writes it, and freed by the system when that process ends, however it ends. So the
leftovers of a run that was killed are told apart from the files of a run at work.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock, SoftFileLock, Timeout

_PREFIX = ".napari-periodic-denoise-"
#: What file systems without locks answer; there a file that exists stands for the lock.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


class ClaimedError(OSError):
    """Another run is writing the file."""


def write_json(path: Path, content: object) -> None:
    """Write plain values as JSON; the file appears complete or not at all.

    Parameters
    ----------
    path : Path
        As for `replacing`.
    content : object
    """
    with replacing(path) as file:
        text = f"{json.dumps(content, indent=1, ensure_ascii=False)}\n"
        # a file name that is not Unicode is escaped, and the result is still JSON
        file.write(text.encode(errors="backslashreplace"))


def write_array(path: Path, pixels: Any) -> None:  # noqa: ANN401 - lazy ones too
    """Write an array as a .npy file, part by part; it appears complete or not at all.

    Parameters
    ----------
    path : Path
        As for `replacing`.
    pixels : array-like
        Of at least one axis, along the first of which it is read.
    """
    first = np.asarray(pixels[:1])
    header = {
        "descr": np.lib.format.dtype_to_descr(first.dtype),
        "fortran_order": False,
        "shape": tuple(map(int, pixels.shape)),
    }
    with replacing(path) as file:
        np.lib.format.write_array_header_2_0(file, header)
        for part in range(pixels.shape[0]):
            file.write(np.ascontiguousarray(pixels[part], first.dtype).data)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that takes the name at the end of the block.

    Parameters
    ----------
    path : Path
        Its folder is made if it is missing. A file of that name is replaced.
    """
    with _temporary(path) as temporary:
        with temporary.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # a power cut may otherwise leave the name on an empty file
        temporary.replace(path)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give the name of a temporary folder that takes the final name at the end of the block.

    Parameters
    ----------
    path : Path
        As for `replacing`. No system exchanges two folders in one step: a folder that is there
        is moved out of the way first, and back if the new one cannot take its place.
    """
    with _temporary(path) as temporary, _temporary(path) as old:
        yield temporary
        if path.exists():
            path.replace(old)
        try:
            temporary.replace(path)
        except BaseException:  # Ctrl-C too
            if old.exists() and not path.exists():
                old.replace(path)
            raise


@contextmanager
def claim(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Keep other runs from writing a file until the end of the block.

    Parameters
    ----------
    path : Path
        Its folder is made if it is missing.
    wait : bool
        Whether to wait for a run that has claimed it.

    Raises
    ------
    ClaimedError
        If another run has claimed it, and ``wait`` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # a digest, as the name with more around it may be too long
    digest = sha256(os.fsencode(path.name)).hexdigest()[:16]
    try:
        with _locked(path.with_name(f"{_PREFIX}{digest}.lock"), wait=wait):
            yield
    except Timeout as error:
        raise ClaimedError(f"another run is writing {path}") from error


def remove_leftovers(folder: Path) -> None:
    """Remove what runs that have ended left half written; runs at work keep theirs.

    Parameters
    ----------
    folder : Path
    """
    for name in {path.stem for path in folder.glob(f"{_PREFIX}*.*")}:
        with suppress(Timeout), _locked(folder / f"{name}.lock", wait=False):
            _remove(folder / f"{name}.part")


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Give a temporary name beside a path; what still has it at the end is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{_PREFIX}{token_hex(8)}.part")
    with _locked(temporary.with_suffix(".lock")):
        try:
            yield temporary
        finally:
            with suppress(OSError):  # a later run with --resume removes it
                _remove(temporary)


@contextmanager
def _locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock file, and remove it at the end."""
    timeout = -1 if wait else 0
    lock: FileLock | SoftFileLock = FileLock(path, timeout=timeout)
    try:
        lock.acquire()
    except OSError as error:
        if isinstance(error, Timeout) or error.errno not in _NO_LOCKS:
            raise
        lock = SoftFileLock(path, timeout=timeout)
        lock.acquire()
    try:
        yield
    finally:
        # before it is released: a process that waits for it sees that it is gone, and makes anew
        with suppress(OSError):  # Windows removes it on release
            path.unlink()
        lock.release()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
