"""Plan a batch: the files to clean, and the files to write."""

from __future__ import annotations

import glob
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_periodic_denoise.io.images import is_image, lossless
from napari_periodic_denoise.io.stores import identity_of, is_zarr


@dataclass(frozen=True, slots=True)
class Job:
    """A file to clean, and the files to write, some of which may not be wanted."""

    source: Path
    cleaned: Path
    noise: Path | None
    waves: Path | None

    @property
    def targets(self) -> list[Path]:
        """The files to write."""
        return [path for path in (self.cleaned, self.noise, self.waves) if path is not None]

    @property
    def is_written(self) -> bool:
        """Whether all files are there; each is there complete or not at all."""
        return all(target.exists() for target in self.targets)


def expand(inputs: list[Path]) -> list[Path]:
    """Return the files that files, folders and patterns with wildcards stand for.

    Parameters
    ----------
    inputs : list of Path
        A folder stands for the images in it, without those in its folders.

    Returns
    -------
    list of Path
        Each once, although there may be several ways to it. A path that does not exist, or that
        cannot be opened, is kept: cleaning it says what is wrong.
    """
    found: dict[Path, Path] = {}
    for path in inputs:
        inside: list[Path] = []
        if identity_of(path) is None and glob.has_magic(str(path)):
            inside = sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207
        elif not is_zarr(path):
            with suppress(OSError):  # not a folder, or not readable
                inside = [file for file in sorted(path.iterdir()) if _is_input(file)]
        for file in inside or [path]:
            found.setdefault(_folder_of(file) / file.name, file)
    return list(found.values())


def jobs_of(inputs: list[Path], out: Path, *, noise: bool, waves: bool) -> list[Job]:
    """Return the jobs for some files.

    Parameters
    ----------
    inputs : list of Path
    out : Path
        Files of several folders are written into the same folders below it.
    noise, waves : bool
        Whether these are to be written.

    Returns
    -------
    list of Job
        Outputs are named after their inputs without the ending. Where that makes two outputs
        of one name, they are named after the inputs with the ending.
    """
    folders = [_folder_of(source) for source in inputs]
    shared = len(_common_parts(folders))
    # drives of Windows become folders
    below = [[part.strip(":\\/") for part in folder.parts[shared:]] for folder in folders]
    places = [out.joinpath(*parts) for parts in below]
    ignores_case = _ignores_case(out)

    def job(source: Path, place: Path, names: Counter[str] | None = None) -> Job:
        ending = ".zarr" if is_zarr(source) else ".tif"
        same = place / source.name

        def named(short: Path, whole: str) -> Path:
            is_free = names is None or short == same or names[_key(short, ignores_case)] == 1
            return short if is_free else place / whole

        return Job(
            source=source,
            cleaned=named(place / lossless(source.name), f"{source.name}.png"),
            noise=named(place / f"{source.stem}-noise{ending}", f"{source.name}-noise{ending}")
            if noise
            else None,
            waves=named(place / f"{source.stem}-waves.json", f"{source.name}-waves.json")
            if waves
            else None,
        )

    short = [job(source, place) for source, place in zip(inputs, places, strict=True)]
    names = Counter(_key(target, ignores_case) for one in short for target in one.targets)
    return [job(source, place, names) for source, place in zip(inputs, places, strict=True)]


def check_targets(jobs: list[Job], *, overwrite: bool) -> dict[Path, ValueError]:
    """Return why jobs cannot be done.

    Parameters
    ----------
    jobs : list of Job
    overwrite : bool
        Whether files that exist may be replaced.

    Returns
    -------
    dict of Path to ValueError
        By source: an output is one of the inputs, or inside one, or exists, or has the name of an
        output of an earlier job, which is done.
    """
    sources = {identity for job in jobs if (identity := identity_of(job.source))}
    stores = {job.source.resolve(): job.source for job in jobs if is_zarr(job.source)}
    ignores_case = bool(jobs) and _ignores_case(jobs[0].cleaned.parent)
    owners: dict[str, Path] = {}
    reasons: dict[Path, ValueError] = {}
    for job in jobs:
        reason = ""
        for target in job.targets:
            identity, owner = identity_of(target), owners.get(_key(target, ignores_case))
            folder = _folder_of(target)
            within = [stores[path] for path in (folder, *folder.parents) if path in stores]
            if identity in sources:
                reason = f"would overwrite the input {target}; choose another --out"
            elif within:
                reason = f"{target} is inside the input {within[0]}; choose another --out"
            elif owner:
                reason = f"{target} is the output for {owner}; clean this input with another --out"
            elif identity and not overwrite:
                reason = f"{target} exists already; --overwrite replaces it"
            if reason:
                reasons[job.source] = ValueError(reason)
                break
        else:
            owners |= {_key(target, ignores_case): job.source for target in job.targets}
    return reasons


def _is_input(path: Path) -> bool:
    """Whether a path in a folder is an image, or is named like one and cannot be read."""
    try:
        return is_image(path) or is_zarr(path) or (path.suffix == ".zarr" and path.is_dir())
    except OSError:
        return True


def _folder_of(path: Path) -> Path:
    """Return the one name of a file's folder, whatever links lead to it."""
    try:
        return path.parent.resolve()
    except (OSError, RuntimeError):  # links that lead to each other
        return path.parent.absolute()


def _common_parts(folders: list[Path]) -> list[str]:
    """Return the parts of the deepest folder that holds all folders."""
    common: list[str] = []
    for parts in zip(*(folder.parts for folder in folders), strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return common


def _key(path: Path, ignores_case: bool) -> str:
    return str(path).casefold() if ignores_case else str(path)


def _ignores_case(folder: Path) -> bool:
    """Whether names in a folder that differ in case only are the same name."""
    for path in (folder, *folder.absolute().parents):
        swapped = path.with_name(path.name.swapcase()) if path.name else path
        identity = identity_of(path)
        if identity and swapped != path:
            return identity == identity_of(swapped)
    return sys.platform in ("win32", "darwin")
