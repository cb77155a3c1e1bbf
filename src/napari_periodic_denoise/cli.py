"""The command ``napari-periodic-denoise``."""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

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
    check_shared,
)

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
    """Set up what all commands share."""
    from napari_periodic_denoise.batch.progress import open_missing_streams

    open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        # file names and ° may not exist in the terminal's encoding: no reason to stop
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    # what is wrong with a file is said once, by the command, in one line
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)


@app.command()
def clean(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN",
            readable=False,  # an unreadable input is reported like any other that fails
            help="Images and stacks, grey or colour: TIFF, PNG, JPEG or OME-Zarr; folders of "
            "these, or patterns with wildcards.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="Folder for the cleaned images; created if it is missing. Names are kept; JPEG "
            "inputs are written as PNG, since recompressing would change them. Inputs from "
            "several folders are written into the same folders in DIR.",
        ),
    ],
    noise: Annotated[
        bool,
        typer.Option(
            "--noise",
            help="Also write the noise, as NAME-noise.tif in float32. Colour images give three "
            "pages: red, green and blue.",
        ),
    ] = False,
    waves: Annotated[
        bool,
        typer.Option(
            "--waves", help="Also write the waves and the reasons for them to NAME-waves.json."
        ),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            help="Write the noise found in each plane of each file to one table, .csv or .json.",
        ),
    ] = None,
    method: Annotated[
        Method,
        typer.Option(
            help="aligned finds waves. gram_aligned refines them with a network. texture "
            "synthesises an image that shows what repeats but not where; it is for comparison "
            "only."
        ),
    ] = _USUAL.method,
    features: Annotated[
        Features | None,
        typer.Option(
            show_default="edges, or vgg19 if the method needs a network",
            help="Features of the image in which repeats are searched.",
        ),
    ] = None,
    weights: Annotated[
        Weights, typer.Option(help="Weights of the network. This command never downloads them.")
    ] = _USUAL.weights,
    weights_path: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="File of the ImageNet weights, or its folder."),
    ] = None,
    noise_model: Annotated[
        NoiseModel,
        typer.Option(
            help="Whether the noise is added to the image, or multiplies it and so is stronger "
            "in bright parts. auto decides for each wave."
        ),
    ] = _USUAL.noise_model,
    remainder: Annotated[
        Remainder,
        typer.Option(
            help="What to remove besides waves. auto removes noise of rows and columns that is "
            "certainly not the specimen. quasi-periodic removes noise of about one period whose "
            "phase wanders, and stripes those of any width in one direction; both damage a "
            "specimen that is itself woven or striped."
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
            help="Expected number of false alarms in an image without periodic noise; 0.001 is "
            "one in a thousand such images. A larger number finds weaker waves.",
        ),
    ] = _USUAL.sensitivity,
    model: Annotated[
        _StackModel,
        typer.Option(
            help="How stacks are cleaned. per-plane cleans each plane by itself. shared finds "
            "waves in many planes together, also weaker ones, and fits them to all planes. "
            "drifting does the same for waves that drift from plane to plane.",
        ),
    ] = _PER_PLANE,
    channel_axis: Annotated[
        int | None,
        typer.Option(
            help="Axis of the channels of TIFF stacks whose files do not name it; 0 is the "
            "first axis."
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="Where to compute: auto, cpu, cuda or mps.")
    ] = _USUAL.device,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the random choice of pixels to fit.")
    ] = _USUAL.seed,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace output files that exist.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue a run that was stopped. Outputs that are complete are kept; those "
            "whose input or settings have changed since are done again. Several runs can share "
            "DIR.",
        ),
    ] = False,
    jobs: Annotated[
        int, typer.Option(min=1, help="Number of processes that share the files and planes.")
    ] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Scheduler of dask.distributed, whose workers compute instead. They must see "
            "the inputs under the same names.",
        ),
    ] = None,
) -> None:
    """Remove periodic noise from image files and stacks.

    Pixel type, resolution, pixel size, axes and transparency are kept. Stacks are read, cleaned
    and written plane by plane. A file that fails is reported in one line; the others are
    processed.
    """
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
    stack_model = model.value.replace("-", "_")
    _check_options(options, stack_model)

    from napari_periodic_denoise.batch.clean import Cleaner
    from napari_periodic_denoise.batch.ledger import Ledger
    from napari_periodic_denoise.batch.plan import check_targets, expand, jobs_of
    from napari_periodic_denoise.batch.progress import display
    from napari_periodic_denoise.batch.run import Batch, reason_of, waiting_threads
    from napari_periodic_denoise.io.atomic import remove_leftovers
    from napari_periodic_denoise.records.report import open_report
    from napari_periodic_denoise.runtime.signals import stoppable
    from napari_periodic_denoise.runtime.workers import WorkersGoneError, start

    planned = jobs_of(expand(inputs), out, noise=noise, waves=waves)
    with ExitStack() as held:
        check = held.enter_context(stoppable())
        shown = held.enter_context(display())
        try:
            if resume:
                for folder in {job.cleaned.parent for job in planned} | {out}:
                    remove_leftovers(folder)
            table = None
            if report:
                opened = open_report(report, resume=resume, overwrite=overwrite)
                table = held.enter_context(opened)
            workers = held.enter_context(start(jobs, scheduler, partial(shown.say, error=True)))
        except (ValueError, OSError, WorkersGoneError) as error:
            raise typer.BadParameter(reason_of(error)) from error
        files, pieces = held.enter_context(waiting_threads(workers))
        batch = Batch(
            jobs=planned,
            refused=check_targets(planned, overwrite=overwrite or resume),
            cleaner=Cleaner(options, workers, pieces, channel_axis, stack_model, bool(report)),
            ledger=Ledger(out, {**options, "model": stack_model, "channel_axis": channel_axis}),
            display=shown,
            check=check,
            report=table,
            overwrite=overwrite,
            resume=resume,
        )
        is_well = batch.run(files)
    if not is_well:
        raise typer.Exit(1)


def _check_options(options: dict[str, Any], model: str) -> None:
    """Say once what is wrong with the options, rather than once for each file."""
    from napari_periodic_denoise.runtime.device import resolve_device

    try:
        resolve_device(options["device"])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--device") from error
    try:
        checked = Options.of(options)
        if model != _PER_PLANE.value.replace("-", "_"):
            check_shared(model, checked)
        if checked.needs_network and checked.weights == "imagenet":
            from napari_periodic_denoise.pretrained.weights import find_weights

            find_weights(checked.features, checked.weights_path)
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error).split("\n")[0]) from error


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="Folder for images and figures.")
    ] = Path("demo-output"),
    no_gui: Annotated[
        bool, typer.Option("--no-gui", help="Do not open napari, even if there is a display.")
    ] = False,
) -> None:
    """Clean the two sample images, draw the results, and show them in napari."""
    from napari_periodic_denoise.batch.clean import estimate_image
    from napari_periodic_denoise.batch.progress import display, say
    from napari_periodic_denoise.batch.run import reason_of
    from napari_periodic_denoise.demo import has_display, open_napari, write_demo
    from napari_periodic_denoise.io.images import ImageFile
    from napari_periodic_denoise.runtime.signals import stoppable
    from napari_periodic_denoise.samples import SAMPLES

    with stoppable():
        for make in SAMPLES:
            sample = make()
            with display() as shown, shown.job(sample.name) as tell:
                estimate = estimate_image(ImageFile(sample.image), {}, tell)
            try:
                figure = write_demo(sample, estimate, out)
            except OSError as error:
                say(f"error: {out}: {reason_of(error)}", error=True)
                raise typer.Exit(1) from error
            say(f"{sample.name}: {estimate.summary}\n    {figure.resolve()}")
    say(f"Images and figures are in {out.resolve()}")
    if no_gui:
        return
    if not has_display():
        say("There is no display; napari is not opened.")
        return
    say("Opening napari; close its window to end.")
    try:
        open_napari()
    except RuntimeError as error:  # the demo has not failed: its files are written
        say(str(error), error=True)
