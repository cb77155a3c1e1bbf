"""Clean one file: an image at once, a stack piece by piece."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, wait
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from napari_periodic_denoise.batch.ledger import stamp_of
from napari_periodic_denoise.batch.plan import Job
from napari_periodic_denoise.io.atomic import write_json
from napari_periodic_denoise.io.image_file import describe_dropped
from napari_periodic_denoise.io.images import (
    ImageFile,
    ImageFileError,
    read_image,
    write_cleaned,
    write_image,
)
from napari_periodic_denoise.io.stores import StoredStack, is_zarr, tiff_stack, zarr_stack
from napari_periodic_denoise.io.tiff_pages import TiffPages, TiffTarget
from napari_periodic_denoise.noise.wording import not_finite
from napari_periodic_denoise.runtime.steps import finish, mapped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_periodic_denoise.batch.progress import Tell
    from napari_periodic_denoise.noise.progress import Progress
    from napari_periodic_denoise.noise.result import NoiseEstimate
    from napari_periodic_denoise.runtime.workers import Workers
    from napari_periodic_denoise.stacks.clean import StackPlan

Records = list[dict[str, Any]]  # of each plane its place in the stack, and its `record`
Ignored = list[tuple[list[int], int]]  # planes, and their numbers of pixels not finite
Found = Callable[[Records], None]


@dataclass(frozen=True, slots=True)
class Cleaner:
    """How files are cleaned.

    Attributes
    ----------
    options : dict
        Of the engine.
    workers : Workers
    threads : Executor or None
        Waits for as many pieces of a stack as there are workers; None for one worker.
    channel_axis : int or None
        Of TIFF stacks that do not say which axis it is.
    model : str
        Of stacks, see `clean_stack`.
    keeps_records : bool
        Whether `clean` calls ``found`` with the record of each plane of a stack; otherwise with
        none, and the memory does not grow with the number of planes.
    """

    options: dict[str, Any]
    workers: Workers
    threads: Executor | None = None
    channel_axis: int | None = None
    model: str = "per_plane"
    keeps_records: bool = True

    def open(self, job: Job) -> ImageFile | StoredStack:
        """Open the input of a job; of a stack no pixels are read yet.

        Parameters
        ----------
        job : Job
        """
        return _open(job.source, self.channel_axis)

    def clean(self, source: ImageFile | StoredStack, job: Job, tell: Tell, found: Found) -> str:
        """Clean an input, write the outputs, and return the result in one line.

        Parameters
        ----------
        source : ImageFile or StoredStack
            As `open` returns it.
        job : Job
        tell : callable
            Called with how far it is.
        found : callable
            Called with the record of each plane, just before the files get their names.
        """
        if isinstance(source, ImageFile):
            summary = self._clean_image(source, job, tell, found)
        else:
            summary = self._clean_stack(source, job, tell, found)
        missing = [target for target in job.targets if not target.exists()]
        if missing:
            raise OSError(f"{missing[0]} was written, and is not there any more")
        return summary

    def _clean_image(self, image: ImageFile, job: Job, tell: Tell, found: Found) -> str:
        from napari_periodic_denoise.records.record import record

        if self.workers.are_here:
            estimate = estimate_image(image, self.options, tell)
        else:
            tell(0, 1, "computing")
            read = (job.source.absolute(), self.channel_axis, self.options)
            estimate = self.workers.call(_estimate_file, *read)
        if job.noise is not None:
            noise, channels = estimate.noise, 1
            if image.channel_axis is not None:  # signed values are no colours: a page for each
                noise = np.moveaxis(noise, image.channel_axis, 0)
                channels = len(noise)
            write_image(job.noise, noise, image.calibration.of_noise(channels))
        found_here = record(estimate)
        if job.waves is not None:
            write_json(job.waves, found_here)
        entry = {"plane": [], **found_here}
        found([entry])
        write_cleaned(job.cleaned, estimate.cleaned, image)
        return (
            estimate.summary
            + _describe_ignored(_ignored([entry]))
            + describe_dropped(image.dropped)
        )

    def _clean_stack(self, source: StoredStack, job: Job, tell: Tell, found: Found) -> str:
        from napari_periodic_denoise.stacks.clean import iter_plan_stack

        axes: dict[str, Any] = {
            "plane_axes": source.plane_axes,
            "channel_axis": source.channel_axis,
        }
        run = iter_plan_stack(
            source.levels, **axes, alpha=source.alpha, model=self.model, **self.options
        )
        plan = finish(mapped(run, lambda step: tell(step.done, step.total, step.message)))
        with ExitStack() as outputs:
            # the cleaned stack comes first and so is named last: where it is, all is
            cleaned = outputs.enter_context(source.open_cleaned(job.cleaned))
            noise = outputs.enter_context(source.open_noise(job.noise)) if job.noise else []
            written = _Written(cleaned, noise)
            is_noisy, ignored, records = self._clean_pieces(source, job, plan, written, tell)
            written.check()
            if job.waves is not None:
                write_json(job.waves, {"planes": records})
            found(records)
        count = len(is_noisy)
        summary = f"{count} plane{'s' * (count > 1)}, periodic noise in {sum(is_noisy)}"
        return summary + _describe_ignored(ignored) + describe_dropped(source.dropped)

    def _clean_pieces(
        self, source: StoredStack, job: Job, plan: StackPlan, written: _Written, tell: Tell
    ) -> tuple[list[bool], Ignored, Records]:
        """Clean a stack into its outputs.

        Return of each plane, in any order, whether it has noise; the planes with pixels that are
        not finite, in any order; and the records, in order.
        """
        is_noisy: list[bool] = []
        ignored: Ignored = []
        records: Records = []
        wants_records = self.keeps_records or job.waves is not None
        total = math.prod(plan.layout.stacked_shape(source.levels[0]))
        wants_noise = job.noise is not None
        opened = (job.source.absolute(), str(stamp_of(job.source)), self.channel_axis)

        def progress(done: int, message: str) -> None:
            done += len(is_noisy)
            tell(done, total, f"plane {min(done + 1, total)} of {total}: {message}")

        def clean(piece: Piece) -> None:
            options = plan.groups[piece.group][1]
            if self.workers.are_here:
                made = clean_piece(source, piece, options, wants_noise, progress)
            else:
                made = self.workers.call(_clean_opened, opened, piece, options, wants_noise)
            written.add(piece, made)
            if piece.is_finest:
                is_noisy.extend(part["removed_variance"] > 0 for part in made.records)
                ignored.extend(_ignored(made.records))
                if wants_records:
                    records.extend(made.records)
                tell(len(is_noisy), total, f"plane {len(is_noisy)} of {total}")

        tell(0, total, f"plane 1 of {total}")
        self._for_each(clean, pieces_of(source.levels, plan))
        return is_noisy, ignored, sorted(records, key=lambda part: part["plane"])

    def _for_each(self, clean: Callable[[Piece], None], pieces: Iterable[Piece]) -> None:
        if self.threads is None:
            for piece in pieces:
                clean(piece)
            return
        begun: deque[Future[None]] = deque()
        try:
            for piece in pieces:
                if len(begun) == self.workers.most_prepared:
                    begun.popleft().result()
                begun.append(self.threads.submit(clean, piece))
            for future in begun:
                future.result()
        finally:
            # a piece under way would be written to what is removed after an error
            wait([future for future in begun if not future.cancel()])


@dataclass(frozen=True, slots=True)
class Piece:
    """Planes that are computed and written at a time.

    Attributes
    ----------
    group : int
        Of levels that hold the same planes, see `StackPlan`.
    levels : tuple of int
    stacked : tuple of slice
        Along the stacked axes.
    where : tuple of slice
        In the stack.
    """

    group: int
    levels: tuple[int, ...]
    stacked: tuple[slice, ...]
    where: tuple[slice, ...]

    @property
    def is_finest(self) -> bool:
        """Whether the finest level is among them, whose planes are recorded."""
        return self.levels[0] == 0


@dataclass(frozen=True, slots=True)
class CleanedPiece:
    """A piece without its noise: arrays of each level, and the record of each plane."""

    cleaned: list[NDArray[Any]]
    noise: list[NDArray[np.float32]]
    records: Records


class _Written:
    """The outputs of a stack, one array for each level, and what has been written to them."""

    def __init__(self, cleaned: list[Any], noise: list[Any]) -> None:
        self._cleaned, self._noise = cleaned, noise
        self._sums: list[tuple[Any, tuple[slice, ...], int]] = []

    def add(self, piece: Piece, made: CleanedPiece) -> None:
        for outputs, blocks in ((self._cleaned, made.cleaned), (self._noise, made.noise)):
            for level, block in zip(piece.levels, blocks, strict=False):
                output = outputs[level]
                output[piece.where] = block
                # a file that is gone cannot take its name; of a folder, chunks may be gone
                if not isinstance(output, TiffTarget):
                    # read back, as codecs may lose something
                    self._sums.append((output, piece.where, _sum_of(output[piece.where])))

    def check(self) -> None:
        """Raise an OSError if an output has lost what was written, before it gets its name."""
        for output, where, expected in self._sums:
            if _sum_of(output[where]) != expected:
                raise OSError("another program removed a part of the output; all is discarded")


def _ignored(records: Records) -> Ignored:
    """Planes with pixels that are not finite, and their numbers of such pixels."""
    return [(part["plane"], part["not_finite"]) for part in records if part["not_finite"]]


def _describe_ignored(ignored: Ignored) -> str:
    """Return the part of a line about a file that says which pixels are not finite."""
    if not ignored:
        return ""
    place = ", ".join(map(str, min(plane for plane, _ in ignored)))
    where = f"plane {place}: " if place else ""
    if len(ignored) > 1:
        where = f"{len(ignored)} planes, first {place}: "
    return f"; {where}{not_finite(sum(count for _, count in ignored))}"


def _sum_of(block: NDArray[Any]) -> int:
    return crc32(np.ascontiguousarray(block).tobytes())


def estimate_image(image: ImageFile, options: dict[str, Any], tell: Tell) -> NoiseEstimate:
    """Estimate the noise of a single image.

    Parameters
    ----------
    image : ImageFile
    options : dict
        Of the engine.
    tell : callable
        Called with each step.
    """
    from napari_periodic_denoise.runtime.device import one_thread
    from napari_periodic_denoise.stacks.planes import iter_clean_plane

    axes: dict[str, Any] = {"channel_axis": image.channel_axis, "alpha": image.alpha}
    run = iter_clean_plane(image.pixels, **axes, **options)
    with one_thread():  # sums depend on the number of threads, and outputs must not
        return finish(mapped(run, lambda step: tell(step.done, step.total, step.message)))


def _estimate_file(path: Path, channel_axis: int | None, options: dict[str, Any]) -> NoiseEstimate:
    image = _open(path, channel_axis)
    assert isinstance(image, ImageFile)
    return estimate_image(image, options, lambda *_: None)


def _open(path: Path, channel_axis: int | None) -> ImageFile | StoredStack:
    """Open a file; of a stack no pixels are read yet."""
    if is_zarr(path):
        return zarr_stack(path)
    if path.is_dir():
        next(path.iterdir(), None)  # an error, if it cannot be read
        raise ImageFileError("no images in this folder")
    image = read_image(path, channel_axis)
    return tiff_stack(image) if isinstance(image.pixels, TiffPages) else image


def clean_piece(
    source: StoredStack,
    piece: Piece,
    options: dict[str, Any],
    wants_noise: bool,
    tell: Callable[[int, str], None],
) -> CleanedPiece:
    """Clean the planes of a piece, which are read here.

    Parameters
    ----------
    source : StoredStack
    piece : Piece
    options : dict
        Of `clean_plane`.
    wants_noise : bool
        Whether to return the noise.
    tell : callable
        Called with the number of planes that are done, and the current step.
    """
    from napari_periodic_denoise.records.record import record
    from napari_periodic_denoise.runtime.device import one_thread
    from napari_periodic_denoise.stacks.layout import Layout
    from napari_periodic_denoise.stacks.planes import iter_clean_levels, naming_plane

    layout = Layout.of(source.levels[0].ndim, source.plane_axes, source.channel_axis)
    levels = [np.asarray(source.levels[i][piece.where]) for i in piece.levels]
    shape = layout.stacked_shape(source.levels[piece.levels[0]])
    cleaned = [np.empty_like(level) for level in levels]
    shapes = [layout.noise_shape(level, options["alpha"]) for level in levels]
    noise = [np.empty(size, np.float32) for size in shapes if wants_noise]
    records: Records = []
    for done, index in enumerate(np.ndindex(layout.stacked_shape(levels[0]))):
        at = layout.at(index)
        place = [part.start + i for part, i in zip(piece.stacked, index, strict=True)]
        number = int(np.ravel_multi_index(place, shape)) if shape else 0
        run = iter_clean_levels([level[at] for level in levels], number, options)
        # sums depend on the number of threads, and outputs must not
        with one_thread(), naming_plane(tuple(place)):
            estimates = finish(mapped(run, partial(_tell_step, tell, done)))
        for i, estimate in enumerate(estimates):
            cleaned[i][at] = estimate.cleaned
            if wants_noise:
                noise[i][at] = estimate.noise
        records.append({"plane": place, **record(estimates[0])})
    return CleanedPiece(cleaned, [source.as_noise(part) for part in noise], records)


def _tell_step(tell: Callable[[int, str], None], done: int, step: Progress) -> None:
    tell(done, step.message)


def _clean_opened(
    opened: tuple[Path, str, int | None],
    piece: Piece,
    options: dict[str, Any],
    wants_noise: bool,
) -> CleanedPiece:
    """Clean a piece in another process, which keeps the file open for the next one."""
    return clean_piece(_kept_open(*opened), piece, options, wants_noise, lambda *_: None)


@lru_cache(maxsize=1)
def _kept_open(path: Path, _stamp: str, channel_axis: int | None) -> StoredStack:
    source = _open(path, channel_axis)
    assert isinstance(source, StoredStack)
    return source


def pieces_of(levels: list[Any], plan: StackPlan) -> Iterator[Piece]:
    """Yield pieces of whole chunks, so that no two of them write to the same one.

    Parameters
    ----------
    levels : list of array
    plan : StackPlan
    """
    layout = plan.layout
    for group, (members, _) in enumerate(plan.groups):
        shape = layout.stacked_shape(levels[members[0]])
        chunks = [getattr(levels[i], "shards", None) or levels[i].chunks for i in members]
        steps = [math.lcm(*(chunk[axis] for chunk in chunks)) for axis in layout.stacked]
        starts = (range(0, n, step) for n, step in zip(shape, steps, strict=True))
        for start in product(*starts):
            corners = zip(start, steps, shape, strict=True)
            stacked = tuple(slice(a, min(a + step, n)) for a, step, n in corners)
            where = [slice(None)] * levels[0].ndim
            for axis, part in zip(layout.stacked, stacked, strict=True):
                where[axis] = part
            yield Piece(group, tuple(members), stacked, tuple(where))
