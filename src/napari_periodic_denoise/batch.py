"""What is done with many files: which are read and written, and how a stack is cleaned."""

from __future__ import annotations

import glob
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import product
from json import JSONDecodeError
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_periodic_denoise.files import (
    ImageFile,
    ImageFileError,
    is_image,
    lossless,
    one_line,
    read_image,
    replacing,
    replacing_folder,
    tiff_options,
    write_image,
    write_json,
)
from napari_periodic_denoise.tiffpages import TiffPages, TiffTarget

if TYPE_CHECKING:
    from napari_periodic_denoise.noise.estimate import NoiseEstimate
    from napari_periodic_denoise.workers import Workers

Planes = list[dict[str, Any]]  # what was found in each, as report.record has it
Found = Callable[[Planes], None]
Tell = Callable[[int, int, str], None]  # done, of how many, and what is being done


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


@dataclass(frozen=True, slots=True)
class Cleaner:
    """How files are cleaned.

    Attributes
    ----------
    options : dict
        Of the engine.
    workers : Workers
    threads : Executor or None
        In which as many pieces of a stack are waited for as there are workers; None for one.
    channel_axis : int or None
        Of TIFF stacks that don't say themselves.
    model : str
        Of stacks, see `clean_stack`.
    """

    options: dict[str, Any]
    workers: Workers
    threads: Executor | None = None
    channel_axis: int | None = None
    model: str = "per_plane"

    def clean(self, job: Job, tell: Tell, found: Found | None = None) -> str:
        """Clean a file, and return what was found in one line.

        Parameters
        ----------
        job : Job
        tell : callable
            Is told how far it is.
        found : callable, optional
            Gets what was found in each plane, just before the files get their names.
        """
        if _is_zarr(job.source):
            return self._clean_stack(_in_zarr(job.source), job, tell, found)
        if job.source.is_dir():
            next(job.source.iterdir(), None)  # an error, if it can't be read
            raise ImageFileError("no images in this folder")
        image = read_image(job.source, self.channel_axis)
        if isinstance(image.pixels, TiffPages):
            return self._clean_stack(_in_tiff(image), job, tell, found)
        return self._clean_image(image, job, tell, found)

    def _clean_image(self, image: ImageFile, job: Job, tell: Tell, found: Found | None) -> str:
        from napari_periodic_denoise.report import record

        if self.workers.are_here:
            estimate = estimate_image(image, self.options, tell)
        else:
            read = (job.source.absolute(), self.channel_axis, self.options)
            estimate = self.workers.call(_estimate_file, *read)
        if job.noise is not None:
            noise, channels = estimate.noise, 1
            if image.channel_axis is not None:  # signed values are no colours: a page for each
                noise = np.moveaxis(noise, image.channel_axis, 0)
                channels = len(noise)
            write_image(job.noise, noise, image.calibration.of_noise(channels))
        told = record(estimate)
        if job.waves is not None:
            write_json(job.waves, told)
        if found is not None:
            found([{"plane": [], **told}])
        write_image(job.cleaned, estimate.cleaned, image.calibration)
        return estimate.summary

    def _clean_stack(self, source: _Stack, job: Job, tell: Tell, found: Found | None) -> str:
        from napari_periodic_denoise.report import record
        from napari_periodic_denoise.stack import Layout, iter_clean_stack, of_each

        axes: dict[str, Any] = {
            "plane_axes": source.plane_axes,
            "channel_axis": source.channel_axis,
        }
        axes_and_options = {**axes, **self.options, "alpha": source.alpha, "model": self.model}
        run = iter_clean_stack(source.levels, **axes_and_options)
        while True:
            try:
                step = next(run)
            except StopIteration as end:
                result = end.value
                break
            tell(step.done, step.total, step.message)
        records = of_each(record, result.estimates)
        layout = Layout.of(source.levels[0].ndim, **axes)
        planes: Planes = []
        total = math.prod(layout.stacked_shape(source.levels[0]))
        with ExitStack() as outputs:
            # the cleaned stack comes first and so is named last: where it is, all is
            cleaned = outputs.enter_context(source.open_cleaned(job.cleaned))
            arrays = [result.cleaned]
            targets = [cleaned]
            if job.noise is not None:
                targets.append(outputs.enter_context(source.open_noise(job.noise)))
                arrays.append([source.as_noise(level) for level in result.noise])

            def write(piece: _Piece) -> None:
                wanted = [part[i][piece.where] for part in arrays for i in piece.levels]
                made = [part[i] for part in targets for i in piece.levels]
                if piece.levels[0] == 0:
                    wanted.append(records[piece.stacked])
                blocks = list(self.workers.compute(*wanted))
                if piece.levels[0] == 0:
                    told = blocks.pop()
                    for index in np.ndindex(told.shape):
                        start = (part.start for part in piece.stacked)
                        place = [a + b for a, b in zip(start, index, strict=True)]
                        planes.append({"plane": place, **told[index]})
                for target, block in zip(made, blocks, strict=True):
                    target[piece.where] = block
                tell(len(planes), total, f"plane {len(planes)} of {total}")

            tell(0, total, f"plane 1 of {total}")
            self._for_each(write, _pieces(source.levels, layout))
            planes.sort(key=lambda told: told["plane"])
            if job.waves is not None:
                write_json(job.waves, {"planes": planes})
            if found is not None:
                found(planes)
        noisy = sum(bool(told["waves"] or told["remainder_variance"]) for told in planes)
        return f"{total} plane{'s' * (total > 1)}, periodic noise in {noisy}"

    def _for_each(self, write: Callable[[_Piece], None], pieces: Iterable[_Piece]) -> None:
        if self.threads is None:
            for piece in pieces:
                write(piece)
            return
        begun = [self.threads.submit(write, piece) for piece in pieces]
        try:
            for future in begun:
                future.result()
        finally:
            # those that run, else one would go on writing to what is removed after an error; of
            # those cancelled nobody tells when they are over
            wait([future for future in begun if not future.cancel()])


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
        if _identity(path) is None and glob.has_magic(str(path)):
            inside = sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207
        elif not _is_zarr(path):
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
            noise=out / f"{source.stem}-noise{'.zarr' if _is_zarr(source) else '.tif'}"
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
    sources = {identity for job in jobs if (identity := _identity(job.source))}
    claims = Counter(os.path.normcase(target) for job in jobs for target in job.targets)
    reasons: dict[Path, ValueError] = {}
    for job in jobs:
        for target in job.targets:
            identity, reason = _identity(target), ""
            if identity in sources:
                reason = f"would overwrite the input {target}; choose another --out"
            elif claims[os.path.normcase(target)] > 1:
                reason = f"{target} would be written twice; clean these inputs one by one"
            elif identity and not overwrite:
                reason = f"{target} exists already; --overwrite replaces it"
            if reason:
                reasons.setdefault(job.source, ValueError(reason))
    return reasons


def estimate_image(image: ImageFile, options: dict[str, Any], tell: Tell) -> NoiseEstimate:
    """Estimate the noise of a single image.

    Parameters
    ----------
    image : ImageFile
    options : dict
        Of the engine.
    tell : callable
        Is told each step.
    """
    from napari_periodic_denoise.planes import iter_clean_plane

    axes: dict[str, Any] = {"channel_axis": image.channel_axis, "alpha": image.alpha}
    run = iter_clean_plane(image.pixels, **axes, **options)
    while True:
        try:
            step = next(run)
        except StopIteration as end:
            estimate: NoiseEstimate = end.value
            return estimate
        tell(step.done, step.total, step.message)


def _estimate_file(path: Path, channel_axis: int | None, options: dict[str, Any]) -> NoiseEstimate:
    return estimate_image(read_image(path, channel_axis), options, lambda *_: None)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what all names of one file share, or None if there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_zarr(path: Path) -> bool:
    return any(_identity(path / name) for name in ("zarr.json", ".zgroup", ".zarray"))


def _is_taken(path: Path) -> bool:
    """Whether a path in a folder is an image, or its name says so and it can't be read."""
    try:
        return is_image(path) or _is_zarr(path) or (path.suffix == ".zarr" and path.is_dir())
    except OSError:
        return True


def _check_memory(level: Any, plane_axes: tuple[int, int]) -> None:  # noqa: ANN401
    """Whether a plane can be held at all: a few bytes may promise any number of chunks."""
    if not hasattr(os, "sysconf"):  # Windows gives no memory that it does not have
        return
    needed = 2 * 4 * math.prod(level.shape[axis] for axis in plane_axes)  # it and its noise
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise ImageFileError(
            f"a plane takes at least {needed / 1e9:.0f} GB of memory, of which this computer has "
            f"{there / 1e9:.0f} GB"
        )


Targets = AbstractContextManager[list[Any]]  # arrays to be filled, one for each level


@dataclass(frozen=True, slots=True)
class _Stack:
    """A stack on disk, and how such a one is written."""

    levels: list[Any]
    plane_axes: tuple[int, int]
    channel_axis: int | None
    open_cleaned: Callable[[Path], Targets]
    open_noise: Callable[[Path], Targets]
    alpha: int = 0
    as_noise: Callable[[Any], Any] = field(default=lambda noise: noise)


@dataclass(frozen=True, slots=True)
class _Piece:
    """What is computed and written at a time."""

    levels: tuple[int, ...]
    where: tuple[slice, ...]
    stacked: tuple[slice, ...]


def _pieces(levels: list[Any], layout: Any) -> Iterator[_Piece]:  # noqa: ANN401
    """Pieces of whole chunks, so that no two of them write to the same one."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, level in enumerate(levels):
        groups.setdefault(layout.stacked_shape(level), []).append(i)
    for shape, members in groups.items():
        chunks = [getattr(levels[i], "shards", None) or levels[i].chunks for i in members]
        steps = [math.lcm(*(chunk[axis] for chunk in chunks)) for axis in layout.stacked]
        starts = (range(0, n, step) for n, step in zip(shape, steps, strict=True))
        for start in product(*starts):
            corners = zip(start, steps, shape, strict=True)
            stacked = tuple(slice(a, min(a + step, n)) for a, step, n in corners)
            where = [slice(None)] * levels[0].ndim
            for axis, part in zip(layout.stacked, stacked, strict=True):
                where[axis] = part
            yield _Piece(tuple(members), tuple(where), stacked)


def _in_zarr(path: Path) -> _Stack:
    try:
        from napari_periodic_denoise.omezarr import (
            copy_without_pixels,
            make_for_noise,
            open_zarr,
        )
    except ImportError as error:
        raise ImageFileError(
            "zarr is not installed; pip install 'napari-periodic-denoise[zarr]'"
        ) from error
    try:
        image = open_zarr(path.absolute())
    except (KeyError, TypeError, AttributeError, IndexError, JSONDecodeError) as error:
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise ImageFileError(f"not a whole OME-Zarr image ({reason})") from error
    _check_memory(image.levels[0], image.plane_axes)

    @contextmanager
    def made(make: Callable[..., list[Any]], target: Path) -> Iterator[list[Any]]:
        with replacing_folder(target) as folder:
            yield make(image, folder)

    return _Stack(
        levels=list(image.levels),
        plane_axes=image.plane_axes,
        channel_axis=image.channel_axis,
        open_cleaned=lambda target: made(copy_without_pixels, target),
        open_noise=lambda target: made(make_for_noise, target),
    )


def _in_tiff(image: ImageFile) -> _Stack:
    pages, axes = image.pixels, image.axes
    assert isinstance(pages, TiffPages)

    @contextmanager
    def cleaned(target: Path) -> Iterator[list[Any]]:
        options = tiff_options(image.calibration)
        with replacing(target) as file:
            told = (pages.shape, pages.dtype, pages.page_ndim, pages.positions, options)
            yield [TiffTarget(file, *told)]

    @contextmanager
    def noise(target: Path) -> Iterator[list[Any]]:
        shape, ndim, positions = pages.shape, pages.page_ndim, list(pages.positions)
        names = axes
        if "S" in axes:
            assert image.channel_axis is not None
            samples = pages.shape[image.channel_axis] - image.alpha
            names = axes.replace("S", "")[:-2] + "SYX"
            sizes = dict(zip(axes, shape, strict=True), S=samples)
            shape, ndim = tuple(sizes[name] for name in names), 2
            positions = list(range(math.prod(shape[:-2])))
        counts = {name: n for name, n in zip(names, shape, strict=True) if name not in "YX"}
        channels = counts.pop("C", 1) * counts.pop("S", 1)
        frames = counts.pop("T", 1)
        calibration = image.calibration.of_noise(
            channels, math.prod(counts.values()), frames, is_same_shape=names == axes
        )
        with replacing(target) as file:
            options = tiff_options(replace(calibration, photometric=1))
            yield [TiffTarget(file, shape, np.float32, ndim, positions, options)]

    def as_noise(level: Any) -> Any:  # noqa: ANN401
        # signed values are no colours: a page for each
        return np.moveaxis(level, axes.index("S"), -3) if "S" in axes else level

    return _Stack(
        levels=[pages],
        plane_axes=(axes.index("Y"), axes.index("X")),
        channel_axis=image.channel_axis,
        alpha=image.alpha,
        open_cleaned=cleaned,
        open_noise=noise,
        as_noise=as_noise,
    )
