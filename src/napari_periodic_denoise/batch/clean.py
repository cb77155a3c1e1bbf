"""What is done with many files: which are read and written, and how a stack is cleaned."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_periodic_denoise.batch.plan import Job
from napari_periodic_denoise.io.atomic import write_json
from napari_periodic_denoise.io.images import ImageFile, ImageFileError, read_image, write_image
from napari_periodic_denoise.io.stores import StoredStack, is_zarr, tiff_stack, zarr_stack
from napari_periodic_denoise.io.tiff_pages import TiffPages
from napari_periodic_denoise.runtime.steps import finish, mapped

if TYPE_CHECKING:
    from napari_periodic_denoise.noise.progress import Progress
    from napari_periodic_denoise.noise.result import NoiseEstimate
    from napari_periodic_denoise.runtime.workers import Workers

Planes = list[dict[str, Any]]  # what was found in each, as report.record has it
Found = Callable[[Planes], None]
Tell = Callable[[int, int, str], None]  # done, of how many, and what is being done


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
        if is_zarr(job.source):
            return self._clean_stack(zarr_stack(job.source), job, tell, found)
        if job.source.is_dir():
            next(job.source.iterdir(), None)  # an error, if it can't be read
            raise ImageFileError("no images in this folder")
        image = read_image(job.source, self.channel_axis)
        if isinstance(image.pixels, TiffPages):
            return self._clean_stack(tiff_stack(image), job, tell, found)
        return self._clean_image(image, job, tell, found)

    def _clean_image(self, image: ImageFile, job: Job, tell: Tell, found: Found | None) -> str:
        from napari_periodic_denoise.records.record import record

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

    def _clean_stack(self, source: StoredStack, job: Job, tell: Tell, found: Found | None) -> str:
        from napari_periodic_denoise.records.record import record
        from napari_periodic_denoise.stacks.clean import iter_clean_stack, of_each
        from napari_periodic_denoise.stacks.layout import Layout

        def report(step: Progress) -> None:
            tell(step.done, step.total, step.message)

        axes: dict[str, Any] = {
            "plane_axes": source.plane_axes,
            "channel_axis": source.channel_axis,
        }
        axes_and_options = {**axes, **self.options, "alpha": source.alpha, "model": self.model}
        result = finish(mapped(iter_clean_stack(source.levels, **axes_and_options), report))
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
    from napari_periodic_denoise.stacks.planes import iter_clean_plane

    axes: dict[str, Any] = {"channel_axis": image.channel_axis, "alpha": image.alpha}

    def report(step: Progress) -> None:
        tell(step.done, step.total, step.message)

    return finish(mapped(iter_clean_plane(image.pixels, **axes, **options), report))


def _estimate_file(path: Path, channel_axis: int | None, options: dict[str, Any]) -> NoiseEstimate:
    return estimate_image(read_image(path, channel_axis), options, lambda *_: None)


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
