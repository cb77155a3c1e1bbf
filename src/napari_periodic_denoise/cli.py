"""The command ``napari-periodic-denoise``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_periodic_denoise._version import __version__
from napari_periodic_denoise.options import (
    STACK_MODELS,
    Features,
    Method,
    NoiseModel,
    Options,
    Remainder,
    Suggestions,
    Weights,
)

if TYPE_CHECKING:
    from napari_periodic_denoise.batch.clean import Tell
    from napari_periodic_denoise.batch.plan import Job

# torch, tifffile, matplotlib and napari are imported where they are first needed: --help is quick

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Find and remove periodic noise (hum, stripes, moiré, lattices) from images.",
)


# in the words of a shell, which has hyphens
_StackModel = StrEnum("_StackModel", [m.replace("_", "-") for m in STACK_MODELS])  # type: ignore[misc]
_PER_PLANE = _StackModel("per-plane")
_USUAL = Options()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"napari-periodic-denoise {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Set up what all the commands share."""
    for stream in (sys.stdout, sys.stderr):
        # file names and ° may not exist in the terminal's encoding: never a reason to stop
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    # what is wrong with a file is said once, by us, in one line
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)


@app.command()
def clean(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN",
            readable=False,  # one that is not is told as any other that can't be done
            help="Images and stacks, grey or in colour: TIFF, PNG, JPEG or OME-Zarr; folders of "
            "such, or patterns with wildcards.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="Folder for the cleaned images, made where needed. They keep their names, but "
            "those of JPEG files become PNG: to compress them again would change them again.",
        ),
    ],
    noise: Annotated[
        bool,
        typer.Option(
            "--noise",
            help="Write the noise too, as NAME-noise.tif in float32; of an image in colour with "
            "red, green and blue as three channels, one after the other.",
        ),
    ] = False,
    waves: Annotated[
        bool,
        typer.Option(
            "--waves", help="Write which waves there are, and why, too, as NAME-waves.json."
        ),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            help="Write which waves there are in which plane of which file, as .csv or .json.",
        ),
    ] = None,
    method: Annotated[
        Method,
        typer.Option(
            help="How the noise is found: by its waves, by these refined with a network, or as a "
            "texture that shows what repeats, but not where, and is for comparison only."
        ),
    ] = _USUAL.method,
    features: Annotated[
        Features | None,
        typer.Option(
            show_default="edges, or vgg19 where a network is needed",
            help="What is looked at to see what repeats.",
        ),
    ] = None,
    weights: Annotated[
        Weights, typer.Option(help="Of a network; never downloaded unasked.")
    ] = _USUAL.weights,
    weights_path: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="File of the ImageNet weights, or its folder."),
    ] = None,
    noise_model: Annotated[
        NoiseModel,
        typer.Option(
            help="Whether the noise is added to the image, or multiplies it and so is stronger "
            "where that is brighter; auto finds out."
        ),
    ] = _USUAL.noise_model,
    remainder: Annotated[
        Remainder,
        typer.Option(
            help="What to remove besides waves: noise of rows and columns, where it is certainly "
            "not the specimen (lines); noise that keeps about to a period, but not to "
            "its crests, or stripes of any width in one direction. A specimen that is itself "
            "woven or striped is harmed."
        ),
    ] = _USUAL.remainder,
    suggestions: Annotated[
        Suggestions,
        typer.Option(
            help="What to do with noise of rows and columns that may be the specimen's: keep it "
            "in the image and say so, or remove it too."
        ),
    ] = _USUAL.suggestions,
    sensitivity: Annotated[
        float,
        typer.Option(
            help="False alarms to be expected in an image without periodic noise; 0.001 is one in "
            "a thousand such images. More lets fainter waves be found.",
        ),
    ] = _USUAL.sensitivity,
    model: Annotated[
        _StackModel,
        typer.Option(
            help="Of stacks: each plane by itself; waves found in many planes together, which "
            "shows weaker ones, and shared by all; or shared, but drifting from plane to plane.",
        ),
    ] = _PER_PLANE,
    channel_axis: Annotated[
        int | None,
        typer.Option(
            help="Of TIFF stacks that don't say which axis their channels are along: 0 for the "
            "first."
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="Where to compute: auto, cpu, cuda or mps.")
    ] = _USUAL.device,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the random choice of pixels to fit.")
    ] = _USUAL.seed,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace output files that exist.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Take up a run that was stopped: leave out what is written already, and remove "
            "what was half written. For the same inputs and options, and with no other run at "
            "work in DIR.",
        ),
    ] = False,
    jobs: Annotated[
        int, typer.Option(min=1, help="Processes, between which files and planes are shared out.")
    ] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Scheduler of dask.distributed, whose workers compute instead; they need to see "
            "the inputs under the same names.",
        ),
    ] = None,
) -> None:
    """Remove periodic noise from image files and stacks.

    Pixel type, resolution, pixel size, axes and transparency are kept. Stacks are read, cleaned
    and written plane by plane. A file that can't be done is told in one line, and the others are
    done all the same.
    """
    from napari_periodic_denoise.runtime.device import resolve_device

    try:
        resolve_device(device)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--device") from error
    options: dict[str, Any] = {
        "method": method,
        "features": features,
        "weights": weights,
        "weights_path": weights_path,
        "noise_model": noise_model,
        "remainder": remainder,
        "suggestions": suggestions,
        "sensitivity": sensitivity,
        "device": device,
        "seed": seed,
    }
    try:
        Options.of(options)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error

    from napari_periodic_denoise.batch.clean import Cleaner
    from napari_periodic_denoise.batch.plan import check_targets, expand, jobs_of
    from napari_periodic_denoise.io.atomic import remove_leftovers
    from napari_periodic_denoise.records.report import Report
    from napari_periodic_denoise.runtime.workers import start, threads

    todo = jobs_of(expand(inputs), out, noise=noise, waves=waves)
    refused = check_targets(todo, overwrite=overwrite or resume)
    failed = False
    with ExitStack() as held:
        try:
            if resume:
                remove_leftovers(out)
            workers = held.enter_context(start(jobs, scheduler))
            told = Report(report, resume=resume) if report else None
        except (ValueError, OSError) as error:
            raise typer.BadParameter(_reason(error)) from error
        files = pieces = None
        if workers.count > 1:
            # of their own, as those who wait for files would wait for threads that they hold
            files, pieces = (held.enter_context(threads(workers.count)) for _ in range(2))
        cleaner = Cleaner(options, workers, pieces, channel_axis, model.value.replace("-", "_"))

        def do(job: Job, tell: Tell) -> str:
            if job.source in refused:
                raise refused[job.source]
            if resume and job.is_done:
                return "done already"
            return cleaner.clean(job, tell, partial(told.add, str(job.source)) if told else None)

        begun = [files.submit(do, job, lambda *_: None) for job in todo] if files else []
        for number, job in enumerate(todo):
            try:
                with _bar(f"{number + 1}/{len(todo)} {job.source.name}") as tell:
                    summary = begun[number].result() if begun else do(job, tell)
            except Exception as error:  # whatever is wrong with one file, the others are done
                failed = True
                typer.echo(f"error: {job.source}: {_reason(error)}", err=True)
            else:
                typer.echo(f"{job.source}: {summary}")
        if told:
            try:
                told.finish(str(job.source) for job in todo)
            except OSError as error:
                failed = True
                typer.echo(f"error: {report}: {_reason(error)}", err=True)
    if failed:
        raise typer.Exit(1)


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="Folder for images and figures.")
    ] = Path("demo-output"),
    no_gui: Annotated[
        bool, typer.Option("--no-gui", help="Don't open napari, even where there is a display.")
    ] = False,
) -> None:
    """Clean the two sample images, draw before, noise and after, and show them in napari."""
    from napari_periodic_denoise.batch.clean import estimate_image
    from napari_periodic_denoise.demo import has_display, open_napari, write_demo
    from napari_periodic_denoise.io.images import ImageFile
    from napari_periodic_denoise.samples import SAMPLES

    for make in SAMPLES:
        sample = make()
        with _bar(sample.name) as tell:
            estimate = estimate_image(ImageFile(sample.image), {}, tell)
        try:
            figure = write_demo(sample, estimate, out)
        except OSError as error:
            typer.echo(f"error: {out}: {_reason(error)}", err=True)
            raise typer.Exit(1) from error
        typer.echo(f"{sample.name}: {estimate.summary}\n    {figure.resolve()}")
    typer.echo(f"Images and figures are in {out.resolve()}")
    if no_gui:
        return
    if not has_display():
        typer.echo("No display here: napari is not opened.")
        return
    typer.echo("Opening napari; close its window to end.")
    try:
        open_napari()
    except RuntimeError as error:  # no failure of the demo: the files are there
        typer.echo(str(error), err=True)


@contextmanager
def _bar(label: str) -> Iterator[Tell]:
    """Show a progress bar, which only a terminal gets to see."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.fields[label]}", markup=False),
        BarColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("reading", label=label, total=None)

        def tell(done: int, total: int, message: str) -> None:
            bar.update(task, completed=done, total=total, description=message)

        yield tell


def _reason(error: Exception) -> str:
    """Say in one line what was wrong, with the type of an error that nobody expected."""
    from napari_periodic_denoise.io.images import one_line

    # RuntimeError is what torch raises when memory runs out
    if isinstance(error, OSError | ValueError | TypeError | RuntimeError | MemoryError):
        return one_line(error)
    return f"{type(error).__name__}: {one_line(error)}"
