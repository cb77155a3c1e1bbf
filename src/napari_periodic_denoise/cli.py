"""The command ``napari-periodic-denoise``."""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_periodic_denoise import __version__

if TYPE_CHECKING:
    from napari_periodic_denoise.files import ImageFile
    from napari_periodic_denoise.noise.estimate import NoiseEstimate

# torch, tifffile, matplotlib and napari are imported where they are first needed: --help is quick

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Find and remove periodic noise (hum, stripes, moiré, lattices) from images.",
)


@dataclass(frozen=True, slots=True)
class _Job:
    source: Path
    cleaned: Path
    noise: Path | None
    waves: Path | None

    @property
    def targets(self) -> list[Path]:
        return [path for path in (self.cleaned, self.noise, self.waves) if path is not None]


# the engine's, spelt out here because asking it would import torch
_NoiseModel = StrEnum("_NoiseModel", ["auto", "additive", "multiplicative"])
_Remainder = StrEnum("_Remainder", ["none", "quasi-periodic", "stripes"])


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
        typer.Argument(metavar="IN", help="2-D images, grey or in colour: TIFF, PNG or JPEG."),
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
    noise_model: Annotated[
        _NoiseModel,
        typer.Option(
            help="Whether the noise is added to the image, or multiplies it and so is stronger "
            "where that is brighter; auto finds out."
        ),
    ] = _NoiseModel.auto,
    remainder: Annotated[
        _Remainder,
        typer.Option(
            help="What to remove besides waves: noise that keeps about to a period, but not to "
            "its crests, or stripes of any width in one direction. A specimen that is itself "
            "woven or striped is harmed."
        ),
    ] = _Remainder.none,
    sensitivity: Annotated[
        float | None,
        typer.Option(
            show_default="0.001",
            help="False alarms to be expected in an image without periodic noise; 0.001 is one in "
            "a thousand such images. More lets fainter waves be found.",
        ),
    ] = None,
    channel_axis: Annotated[
        int | None,
        typer.Option(
            help="Of TIFF stacks that don't say which axis their channels are along: 0 for the "
            "first."
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="Where to compute: auto, cpu, cuda or mps.")
    ] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of the random choice of pixels to fit.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace output files that exist.")
    ] = False,
) -> None:
    """Remove periodic noise from image files.

    Pixel type, resolution, pixel size and transparency are kept. A file that can't be done is
    told in one line, and the others are done all the same.
    """
    from napari_periodic_denoise.device import resolve_device

    try:
        resolve_device(device)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--device") from error
    options: dict[str, Any] = {
        "noise_model": noise_model.value,
        "remainder": remainder.value,
        "device": device,
        "seed": seed,
    }
    if sensitivity is not None:
        options["sensitivity"] = sensitivity

    jobs = [_job(source, out, noise=noise, waves=waves) for source in inputs]
    sources = {identity for job in jobs if (identity := _identity(job.source))}
    claims = Counter(os.path.normcase(target) for job in jobs for target in job.targets)
    failed = False
    for number, job in enumerate(jobs, start=1):
        try:
            _check_targets(job, sources, claims, overwrite=overwrite)
            label = f"{number}/{len(jobs)} {job.source.name}"
            summary = _clean_file(job, label, channel_axis, options)
        except Exception as error:  # whatever is wrong with one file, the others are done
            failed = True
            typer.echo(f"error: {job.source}: {_reason(error)}", err=True)
        else:
            typer.echo(f"{job.source}: {summary}")
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
    from napari_periodic_denoise.demo import has_display, open_napari, write_demo
    from napari_periodic_denoise.files import ImageFile
    from napari_periodic_denoise.samples import SAMPLES

    for make in SAMPLES:
        sample = make()
        estimate = _estimate(ImageFile(sample.image), sample.name, {})
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


def _job(source: Path, out: Path, *, noise: bool, waves: bool) -> _Job:
    from napari_periodic_denoise.files import lossless

    return _Job(
        source=source,
        cleaned=out / lossless(source.name),
        noise=out / f"{source.stem}-noise.tif" if noise else None,
        waves=out / f"{source.stem}-waves.json" if waves else None,
    )


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what all names of one file share, or None if there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _check_targets(
    job: _Job, sources: set[tuple[int, int]], claims: Counter[str], *, overwrite: bool
) -> None:
    """Raise a ValueError if a file to be written is an input, another's output, or there."""
    for target in job.targets:
        identity = _identity(target)
        if identity in sources:
            raise ValueError(f"would overwrite the input {target}; choose another --out")
        if claims[os.path.normcase(target)] > 1:
            raise ValueError(f"{target} would be written twice; clean these inputs one by one")
        if identity and not overwrite:
            raise ValueError(f"{target} exists already; --overwrite replaces it")


def _clean_file(job: _Job, label: str, channel_axis: int | None, options: dict[str, Any]) -> str:
    import numpy as np

    from napari_periodic_denoise.files import read_image, write_image, write_json
    from napari_periodic_denoise.report import record

    image = read_image(job.source, channel_axis)
    estimate = _estimate(image, label, options)
    if job.noise is not None:
        noise, channels = estimate.noise, 1
        if image.channel_axis is not None:  # signed values are no colours: a page for each
            noise = np.moveaxis(noise, image.channel_axis, 0)
            channels = len(noise)
        write_image(job.noise, noise, image.calibration.of_noise(channels))
    if job.waves is not None:
        write_json(job.waves, record(estimate))
    write_image(job.cleaned, estimate.cleaned, image.calibration)
    return estimate.summary


def _estimate(image: ImageFile, label: str, options: dict[str, Any]) -> NoiseEstimate:
    """Run the engine under a progress bar, which only a terminal gets to see."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    from napari_periodic_denoise.channels import leaving_alpha
    from napari_periodic_denoise.noise.estimate import iter_estimate_noise

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.fields[label]}", markup=False),
        BarColumn(),
        TextColumn("{task.description}", markup=False),
    )
    run = leaving_alpha(
        iter_estimate_noise,
        image.pixels,
        channel_axis=image.channel_axis,
        alpha=image.alpha,
        **options,
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("reading", label=label, total=None)
        while True:
            try:
                step = next(run)
            except StopIteration as end:
                estimate: NoiseEstimate = end.value
                return estimate
            bar.update(task, completed=step.done, total=step.total, description=step.message)


def _reason(error: Exception) -> str:
    """Say in one line what was wrong, with the type of an error that nobody expected."""
    from napari_periodic_denoise.files import one_line

    # RuntimeError is what torch raises when memory runs out
    if isinstance(error, OSError | ValueError | TypeError | RuntimeError | MemoryError):
        return one_line(error)
    return f"{type(error).__name__}: {one_line(error)}"
