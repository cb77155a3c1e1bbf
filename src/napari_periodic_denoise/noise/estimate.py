"""Periodic noise estimated and removed: the one path through the engine."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from napari_periodic_denoise.noise.areas import (
    LEAST_PIXELS,
    Mask,
    Rectangle,
    as_exemplar,
    as_protected,
    largest_rectangle,
    rectangles,
    subtraction_weight,
)
from napari_periodic_denoise.noise.assemble import (
    ChannelNoise,
    assemble_estimate,
    restore_channel_axis,
    subtract,
)
from napari_periodic_denoise.noise.gram_matching.refine import RefineStep, refine_channel
from napari_periodic_denoise.noise.gram_matching.texture import TextureStep, synthesize_texture
from napari_periodic_denoise.noise.input import MIN_SIZE, Normalized, as_image, normalize
from napari_periodic_denoise.noise.lines.channels import find_lines_together
from napari_periodic_denoise.noise.lines.result import accepted
from napari_periodic_denoise.noise.progress import Progress, Stage, Step
from napari_periodic_denoise.noise.remainder.map_fit import Kind, find_remainder
from napari_periodic_denoise.noise.result import NoiseEstimate
from napari_periodic_denoise.noise.robust import robust_range
from napari_periodic_denoise.noise.search.find import find_waves
from napari_periodic_denoise.noise.statistics.gram import gram_matrix
from napari_periodic_denoise.noise.statistics.networks import (
    Network,
    gram_matrices,
    load_network,
    to_network,
)
from napari_periodic_denoise.noise.statistics.peaks import MIN_CYCLES, window_size
from napari_periodic_denoise.noise.statistics.spectra import MAPS, feature_extractor
from napari_periodic_denoise.noise.waves.frequency import Frequency
from napari_periodic_denoise.noise.waves.synthesis import render_noise
from napari_periodic_denoise.noise.waves.wave import Wave
from napari_periodic_denoise.options import Options, with_options
from napari_periodic_denoise.runtime.device import resolve_device
from napari_periodic_denoise.runtime.steps import finish, mapped

_EXPECTED_STEPS = 12  # of a typical run, for progress bars; benchmarks.speed prints them
# Of the image's side: the spectrum of a narrower rectangle has too few frequencies to find peaks
# among (the background is the mean of 11 by 11).
_NARROW = 1 / 16
_NO_CYCLE = 1e-12  # cycles/pixel, which no image can tell from none; far less overflows the fit


@with_options
def estimate_noise(image: Any, **options: Any) -> NoiseEstimate:  # noqa: ANN401
    """Find the periodic noise of an image, and the image without it.

    Parameters
    ----------
    image : array-like, shape (H, W), or with one more axis of channels
        numpy, torch or dask (computed once); any real dtype, at least 16×16 pixels. Never
        written to.
    method : {"aligned", "gram_aligned", "texture"}
        How the noise is found. ``"aligned"``: from the spectral Gram matrix which waves there
        are, from a robust fit to the image where their crests lie. ``"gram_aligned"``: these
        waves refined until the Gram matrices of a network's feature maps are those of noise
        alone, see `gram_aligned.refine_waves`. ``"texture"``: the textbook synthesis of an
        image with the same Gram matrices, see `texture.synthesize_texture`. It has no phase:
        it shows what repeats, but its crests fall anywhere, and to subtract it makes the image
        worse; its noise and cleaned image are for comparison.
    features : {"edges", "cosines", "vgg16", "vgg19"}, optional
        What the Gram matrices are taken of: clipped first differences, clipped products with
        3×3 cosine patterns, or the feature maps of a network; clipped, too, where they are to
        find waves. By default edges, and VGG19 for the methods that need a network.
    layers : sequence of str, or mapping of str to float, optional
        Convolutions of the network, ``conv1_1``..., and their weights in the loss. By default
        the five of `networks.LAYER_WEIGHTS`; to find waves, which only layers before the first
        pooling can, ``conv1_2``.
    weights : {"imagenet", "random"}
        Of the network, see `networks.load_network`. Never downloaded unasked.
    weights_path : path-like, optional
        File of the ImageNet weights, or its folder; see `weights.find_weights`.
    optimizer : {"adam", "lbfgs"}
        Of the texture.
    steps : int, optional
        Of the texture, by default 2,000, or of the refinement, by default 60, at most.
    max_size : int
        Pixels along the longer side that a larger image is reduced to for a texture.
    noise_model : {"auto", "additive", "multiplicative"}
        How noise and specimen combine: whether intensities are raised and lowered by the noise,
        or multiplied by one plus the noise. ``"auto"`` chooses wave by wave, by what describes
        the image shorter.
    remainder : {"auto", "none", "quasi-periodic", "stripes"}
        What is removed besides waves. ``"auto"``: noise of rows and columns, of any offset and
        strength, where it is sure that it is not the specimen's; see `lines.find.find_lines`.
        ``"none"``: nothing. ``"quasi-periodic"``: noise of a narrow spectrum all over the image;
        ``"stripes"``: stripes of any width in one direction. These two are removed without
        asking whether they are the specimen's, see `remainder.map_fit.find_remainder`.
    suggestions : {"keep", "remove"}
        What happens to noise that may be the specimen's: it is listed in ``components`` and kept
        in the image, or it is removed too.
    channel_axis : int, optional
        Axis of the channels, as −1 for RGB. Frequencies are found in all channels together,
        amplitudes and phases in each; a channel without the noise stays as it is, to the bit.
    exemplar : array-like, optional
        Where only noise is seen: a mask of bool, or labels of integers that are not zero there,
        both of shape (H, W), or a list of rectangles ``(y0, x0, y1, x1)``, row y1 and column x1
        excluded. A wave of which it shows less than half is the specimen's, and stays in the
        image; of noise that multiplies, it has to be half as bright as the rest. The refinement
        of ``"gram_aligned"`` takes its target from the largest rectangle in it. The texture
        and the remainder do without.
    protect : array-like, optional
        What the waves are not fitted to, given as an exemplar is: where the specimen is like
        noise, or where there is none of it. The texture, the remainder and the refinement of
        ``"gram_aligned"`` look at all of the image.
    protect_edge : float, optional
        Leaves the protected pixels as they are, to the bit: the noise is taken away less and
        less over so many pixels around them, and not at all within. By default it is taken away
        there too.
    proposed : sequence of tuple of float
        Frequencies ``(fy, fx)`` in cycles/pixel, off the grid, that are examined besides the
        peaks of the spectrum, like these. Those that are refused are in ``rejected``.
    sensitivity : float
        How many false alarms to expect per image without periodic noise before the fit
        examines them; larger finds weaker noise.
    gram : bool
        Return the Gram matrices of the image's feature maps too. Three channels are seen by a
        network as RGB; of other numbers of channels it sees the mean.
    device : str
        ``"auto"`` takes CUDA, then MPS, then the CPU; or a name torch knows.
    seed : int
        Of the random choice of pixels; the same seed gives the same result on the same machine.

    Returns
    -------
    NoiseEstimate

    Raises
    ------
    TypeError
        If the pixels are not real numbers.
    ValueError
        If an option is not one of its choices, the image has not as many axes, is too small,
        or holds NaN or infinite pixels, an area does not fit the image or marks too few pixels
        or too many, or a proposed frequency is none that the image can have.
    WeightsError
        If the network's weights are not there or can't be used; an OSError.
    ImportError
        If a network is asked for and torchvision can't be imported.

    Notes
    -----
    The model is ``I = C + N`` with ``N = Σ a·cos(2π f·x + φ)``, amplitude a and phase φ
    constant or changing slowly over the image. Frequencies are taken from peaks
    of the spectral Gram matrix of the clipped gradient, whitened by its local background; then
    ``Σ |∂(I − N)|`` is minimised over amplitude, phase and frequency of all waves jointly. As a
    specimen's gradient is sparse, the L1 norm ignores it, and recovery is nearly exact. A wave
    is kept if it shortens the description of the n pixels that the fit looks at by more than
    ``4·ln n`` nats, with all parts of the image agreeing, and is no artefact of rounding; what
    is left is searched again until nothing is found.

    What waves of constant amplitude can't explain is described otherwise where that makes the
    description shorter: harmonics as one folded profile, waves at whole combinations of two
    base frequencies as a lattice, waves that follow the brightness as a gain,
    ``I = b + (C − b)(1 + M)``, waves that leave something behind as carriers of envelopes that
    change as slowly as will do.

    Pixels at the image's limits, saturated or clipped, are left out of the fit; cleaned, they
    get what their limit and their neighbours allow, see `images.restore_saturated`.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_periodic_denoise import estimate_noise
    >>> y, x = np.mgrid[:128, :128]
    >>> specimen = 100.0 * (np.hypot(y - 60, x - 70) < 30)
    >>> estimate = estimate_noise(specimen + 5 * np.cos(2 * np.pi * (0.11 * y + 0.07 * x)))
    >>> [tuple(round(f, 4) for f in wave.frequency) for wave in estimate.waves]
    [(0.11, 0.07)]
    >>> bool(abs(estimate.cleaned - specimen).max() < 0.01)
    True
    """
    return finish(iter_estimate_noise(image, **options))


@with_options
def iter_estimate_noise(
    image: Any,  # noqa: ANN401
    **options: Any,  # noqa: ANN401
) -> Generator[Progress, None, NoiseEstimate]:
    """`estimate_noise` step by step, for progress bars and to be stopped in between.

    Parameters
    ----------
    image, **options
        As for `estimate_noise`.

    Yields
    ------
    Progress
        Before each step.

    Returns
    -------
    NoiseEstimate
    """
    chosen = Options.of(options)
    device = resolve_device(chosen.device)
    total = _EXPECTED_STEPS
    yield Progress(Stage.READ, 0, total, "reading the image")
    inputs = _read(image, chosen, device)
    network = None
    if chosen.needs_network:
        yield Progress(Stage.DETECT, 0, total, f"loading {chosen.features}")
        network = _load(chosen, device)
    if network is not None and chosen.method != "aligned":
        joint = chosen.method == "texture" and len(inputs.images) == 3
        total += chosen.most_steps * (1 if joint else len(inputs.images))
    found = yield from _progress(_noise(inputs, chosen, network), inputs, total)

    yield Progress(Stage.SUBTRACT, total - 1, total, "subtracting the noise")
    if inputs.weight is not None:
        found = [
            own if own.rest is None else replace(own, rest=own.rest * inputs.weight)
            for own in found
        ]
    estimate = assemble_estimate(
        inputs.channels,
        inputs.images,
        found,
        channel_axis=chosen.channel_axis,
        settings=chosen.as_settings(
            exemplar=_as_rectangles(inputs.exemplar),
            protect=_as_rectangles(inputs.protected),
            proposed=[list(frequency) for frequency in inputs.proposed],
            device=str(device),
        ),
        gram=_grams(inputs.images, chosen.features, network) if chosen.gram else {},
        weight=inputs.weight,
    )
    yield Progress(Stage.SUBTRACT, total, total, estimate.summary)
    return estimate


@dataclass(frozen=True, slots=True, eq=False)
class _Inputs:
    """An image, and areas and frequencies given with it, checked.

    Attributes
    ----------
    channels : ndarray, shape (C, H, W)
        In the image's own dtype; only read.
    channel_axis : int or None
        Where the image has its channels.
    images : list of Normalized
        Each channel.
    exemplar, protected : ndarray of bool, shape (H, W), or None
    proposed : list of tuple of float
    weight : Tensor of float32, shape (H, W), or None
        Share of the noise that is subtracted from each pixel.
    """

    channels: np.ndarray
    channel_axis: int | None
    images: list[Normalized]
    exemplar: Mask | None
    protected: Mask | None
    proposed: list[Frequency]
    weight: torch.Tensor | None

    @property
    def fit_images(self) -> list[Normalized]:
        """The channels, with protected pixels ignored as saturated ones are."""
        if self.protected is None:
            return self.images
        return [_ignoring(image, self.protected) for image in self.images]


def _read(image: Any, options: Options, device: torch.device) -> _Inputs:  # noqa: ANN401
    array = as_image(image, options.channel_axis)
    channels = array[None] if options.channel_axis is None else array
    shape = channels.shape[1], channels.shape[2]
    exemplar = None if options.exemplar is None else as_exemplar(options.exemplar, shape)
    protected = None if options.protect is None else as_protected(options.protect, shape)
    inputs = _Inputs(
        channels=channels,
        channel_axis=options.channel_axis,
        images=[normalize(channel, device) for channel in channels],
        exemplar=exemplar,
        protected=protected,
        proposed=_within_image(options.proposed, shape),
        weight=subtraction_weight(protected, options.protect_edge, device),
    )
    _check_exemplar(inputs.fit_images, exemplar)
    return inputs


def _load(options: Options, device: torch.device) -> Network:
    network = load_network(
        options.features,
        tuple(options.layers),
        weights=options.weights,
        weights_path=options.weights_path,
        seed=options.seed,
        device=device,
    )
    _check_layers(network, options.method)
    return network


def _progress(
    run: Generator[Step, None, list[ChannelNoise]], inputs: _Inputs, total: int
) -> Generator[Progress, None, list[ChannelNoise]]:
    """Count the steps, and put what there is so far into the image's shape."""
    done = 0

    def progress(step: Step) -> Progress:
        nonlocal done
        done = min(done + 1, total - 2)
        preview = cleaned = None
        if step.texture is not None:
            preview = restore_channel_axis(step.texture, inputs.channel_axis)
        if step.residuals is not None:
            cleaned = partial(_cleaned, inputs, step.residuals)
        return Progress(step.stage, done, total, step.message, preview, cleaned)

    return (yield from mapped(run, progress))


def _noise(
    inputs: _Inputs, options: Options, network: Network | None
) -> Generator[Step, None, list[ChannelNoise]]:
    """Noise of each channel by the method that is chosen."""
    if options.method == "texture":
        assert network is not None
        return (yield from _texture(inputs.images, network, options))
    return (yield from _waves(inputs, options, network))


def _waves(
    inputs: _Inputs, options: Options, network: Network | None
) -> Generator[Step, None, list[ChannelNoise]]:
    """Waves of each channel, and what is left of noise that is no sum of few."""
    images, exemplar, protected = inputs.fit_images, inputs.exemplar, inputs.protected
    refines = options.method == "gram_aligned"
    channels = yield from find_waves(
        images,
        feature_extractor("edges") if refines else feature_extractor(options.features, network),
        noise_model=options.noise_model,
        sensitivity=options.sensitivity,
        seed=options.seed,
        exemplar=None
        if exemplar is None
        else torch.from_numpy(exemplar).to(images[0].pixels.device),
        proposed=inputs.proposed,
        clear=None if protected is None else _clear_rectangle(protected),
    )
    found: list[ChannelNoise] = []
    for image, channel in zip(images, channels, strict=True):
        waves, left = channel.waves(), None
        if refines and waves:
            assert network is not None
            waves = yield from _refined(image, waves, network, options, exemplar)
            left = image.pixels - render_noise(image.pixels, waves)
        rest = None
        if options.remainder not in ("auto", "none"):
            kind: Kind = "stripes" if options.remainder == "stripes" else "quasi-periodic"
            left = channel.residual() if left is None else left
            rest = yield from find_remainder(left, image.quantum, options.sensitivity, kind=kind)
            rest = rest if bool(rest.any()) else None
        found.append(ChannelNoise(waves, rest, channel.rejected))
    if options.remainder == "auto":
        yield Step(Stage.DETECT, "looking for noise of rows and columns")
        lines = find_lines_together(images, found)
        found = [replace(own, lines=each) for own, each in zip(found, lines, strict=True)]
    if options.suggestions == "remove":
        found = [replace(own, lines=tuple(map(accepted, own.lines))) for own in found]
    return found


def _cleaned(inputs: _Inputs, residuals: list[torch.Tensor]) -> np.ndarray:
    """Channels less the noise found so far, where the image has them."""
    share = 1.0 if inputs.weight is None else inputs.weight
    planes = [
        subtract(channel, ((image.pixels - rest) * share * image.unit).cpu().numpy())
        for channel, image, rest in zip(inputs.channels, inputs.images, residuals, strict=True)
    ]
    return restore_channel_axis(np.stack(planes), inputs.channel_axis)


def _refined(
    image: Normalized,
    waves: list[Wave],
    network: Network,
    options: Options,
    exemplar: Mask | None,
) -> Generator[Step, None, list[Wave]]:
    """Waves refined by the Gram matrices of noise alone."""
    run = refine_channel(
        image.pixels,
        waves,
        network,
        image.quantum,
        exemplar=None if exemplar is None else largest_rectangle(exemplar),
        layer_weights=options.layers,
        steps=options.most_steps,
    )
    yield Step(Stage.FIT, "taking the Gram matrices of noise alone")

    def step(done: RefineStep) -> Step:
        message = (
            f"refining by Gram matrices, step {done.step} of {done.steps}: gradient "
            f"{done.gradient_loss:.4f}, Gram loss {done.gram_loss:.3g}"
        )
        return Step(Stage.FIT, message)

    return (yield from mapped(run, step))


def _texture(
    images: list[Normalized], network: Network, options: Options
) -> Generator[Step, None, list[ChannelNoise]]:
    """Texture of the three channels of RGB together, or of each one by itself, less its mean."""
    groups = [images] if len(images) == 3 else [[image] for image in images]
    preview = np.zeros((len(images), *images[0].pixels.shape), dtype=np.float32)
    found: list[ChannelNoise] = []
    for group in groups:
        # differences from one centre, which float32 can tell even of large intensities
        centre = group[0].centre
        planes = torch.stack([i.pixels * i.unit + (i.centre - centre) for i in group])
        of_group = slice(len(found), len(found) + len(group))
        run = synthesize_texture(
            planes if len(group) == 3 else planes[0],
            network,
            layer_weights=options.layers,
            optimizer=options.optimizer,
            steps=options.most_steps,
            max_size=options.max_size,
            seed=options.seed,
        )
        yield Step(Stage.FIT, "taking the Gram matrices of the image")
        texture = yield from mapped(
            run, partial(_texture_step, preview[of_group], centre, preview)
        )
        found += (
            ChannelNoise([], (plane - plane.mean()) / image.unit)
            for plane, image in zip(texture.reshape(planes.shape), group, strict=True)
        )
    return found


def _texture_step(part: np.ndarray, centre: float, preview: np.ndarray, done: TextureStep) -> Step:
    """Step of a synthesis; what there is of it fills a part of the preview."""
    texture = None
    if done.preview is not None:
        part[...] = done.preview.cpu().numpy() + centre
        texture = preview.copy()
    message = f"texture, step {done.step} of {done.steps}: loss {done.loss:.3g}"
    return Step(Stage.FIT, message, texture)


@torch.no_grad()
def _grams(
    images: list[Normalized], features: str, network: Network | None
) -> dict[str, np.ndarray]:
    """Gram matrix of each layer, channels of the image joined."""
    if network is None:
        maps = torch.cat([MAPS[features](image.pixels) for image in images])
        return {features: gram_matrix(maps).cpu().numpy()}
    centre = images[0].centre
    seen = torch.stack([i.pixels * i.unit + (i.centre - centre) for i in images])
    if len(images) != 3:
        seen = seen.mean(0)
    grams = gram_matrices(network, to_network(seen, robust_range(seen)))
    return {layer: matrix.cpu().numpy() for layer, matrix in grams.items()}


def _as_rectangles(mask: Mask | None) -> list[list[int]] | None:
    return None if mask is None else [list(rectangle) for rectangle in rectangles(mask)]


def _within_image(proposed: Sequence[Frequency], shape: tuple[int, int]) -> list[Frequency]:
    """Proposed frequencies as plain numbers, or what is wrong with them."""
    frequencies = [
        (fy if abs(fy) > _NO_CYCLE else 0.0, fx if abs(fx) > _NO_CYCLE else 0.0)
        for fy, fx in proposed
    ]
    for frequency in frequencies:
        if max(map(abs, frequency)) > 0.5:
            raise ValueError(
                f"the proposed frequency {frequency} is beyond 0.5 cycles/pixel along an axis, "
                "which is the finest that pixels can show"
            )
        if np.hypot(*(np.array(frequency) * window_size(*shape))) < MIN_CYCLES:
            raise ValueError(
                f"the proposed frequency {frequency} has fewer than {MIN_CYCLES} cycles in the "
                "image, which is too few to tell a wave by"
            )
    return frequencies


def _clear_rectangle(protected: Mask) -> Rectangle | None:
    """A large rectangle without protected pixels; None where there are only narrow ones."""
    y0, x0, y1, x1 = clear = largest_rectangle(~protected)
    narrow = min((y1 - y0) / protected.shape[0], (x1 - x0) / protected.shape[1])
    return clear if min(y1 - y0, x1 - x0) >= MIN_SIZE and narrow > _NARROW else None


def _ignoring(image: Normalized, protected: Mask) -> Normalized:
    """Return the image with protected pixels as such that tell nothing."""
    area = torch.from_numpy(protected).to(image.pixels.device)
    return replace(image, saturated=area if image.saturated is None else area | image.saturated)


def _check_exemplar(images: list[Normalized], mask: Mask | None) -> None:
    """Whether the exemplar shows more than pixels at the image's limits."""
    for image in images:
        if mask is None or image.saturated is None:
            continue
        told = int(np.count_nonzero(mask & ~image.saturated.cpu().numpy()))
        if told < LEAST_PIXELS:
            raise ValueError(
                f"all but {told} pixels of the exemplar are at the limits of the image, black "
                "or saturated, or protected, and show no noise: mark another area"
            )


def _check_layers(network: Network, method: str) -> None:
    """Whether frequencies can be told in a network's layers, where they have to be."""
    deepest = list(network.layers)[-1]
    if method == "aligned" and network.stride > 1:
        raise ValueError(
            f"layers={deepest!r} comes after a pooling, which folds frequencies: waves are found "
            "by conv1_1 and conv1_2"
        )
