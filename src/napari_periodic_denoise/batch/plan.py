"""Plan a batch: which files are cleaned, and which files are written."""

from __future__ import annotations

import glob
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_periodic_denoise.io.images import is_image, lossless
from napari_periodic_denoise.io.stores import identity_of, is_zarr


@dataclass(frozen=True, slots=True)
class Job:
    """A file to be cleaned, and the files to be written, of which some may not be wanted."""

    source: Path
    cleaned: Path
    noise: Path | None
    waves: Path | None

    @property
    def targets(self) -> list[Path]:
        """The files to be written."""
        return [path for path in (self.cleaned, self.noise, self.waves) if path is not None]

    @property
    def is_done(self) -> bool:
        """Whether all is written; each file is there whole or not at all."""
        return all(target.exists() for target in self.targets)


def expand(inputs: list[Path]) -> list[Path]:
    """Return the files that files, folders and patterns with wildcards stand for.

    Parameters
    ----------
    inputs : list of Path
        Of a folder the images in it, but not those in folders in it.

    Returns
    -------
    list of Path
        What is not there, or can't be looked into, stays, for someone to be told.
    """
    found: list[Path] = []
    for path in inputs:
        inside: list[Path] = []
        if identity_of(path) is None and glob.has_magic(str(path)):
            inside = sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207
        elif not is_zarr(path):
            with suppress(OSError):  # no folder, or one that can't be read: who opens it is told
                inside = [file for file in sorted(path.iterdir()) if _is_taken(file)]
        found += inside or [path]
    return list(dict.fromkeys(found))


def jobs_of(inputs: list[Path], out: Path, *, noise: bool, waves: bool) -> list[Job]:
    """Return what is to be done with some files.

    Parameters
    ----------
    inputs : list of Path
    out : Path
    noise, waves : bool
        Whether they are to be written.
    """
    return [
        Job(
            source=source,
            cleaned=out / lossless(source.name),
            noise=out / f"{source.stem}-noise{'.zarr' if is_zarr(source) else '.tif'}"
            if noise
            else None,
            waves=out / f"{source.stem}-waves.json" if waves else None,
        )
        for source in inputs
    ]


def check_targets(jobs: list[Job], *, overwrite: bool) -> dict[Path, ValueError]:
    """Return why jobs can't be done: files to be written are inputs, another's output, or there.

    Parameters
    ----------
    jobs : list of Job
    overwrite : bool
        Whether files that are there may be replaced.

    Returns
    -------
    dict of Path to ValueError
        By source.
    """
    sources = {identity for job in jobs if (identity := identity_of(job.source))}
    claims = Counter(os.path.normcase(target) for job in jobs for target in job.targets)
    reasons: dict[Path, ValueError] = {}
    for job in jobs:
        for target in job.targets:
            identity, reason = identity_of(target), ""
            if identity in sources:
                reason = f"would overwrite the input {target}; choose another --out"
            elif claims[os.path.normcase(target)] > 1:
                reason = f"{target} would be written twice; clean these inputs one by one"
            elif identity and not overwrite:
                reason = f"{target} exists already; --overwrite replaces it"
            if reason:
                reasons.setdefault(job.source, ValueError(reason))
    return reasons


def _is_taken(path: Path) -> bool:
    """Whether a path in a folder is an image, or its name says so and it can't be read."""
    try:
        return is_image(path) or is_zarr(path) or (path.suffix == ".zarr" and path.is_dir())
    except OSError:
        return True
