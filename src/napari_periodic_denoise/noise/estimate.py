"""Estimate and remove periodic noise: the entry point of the engine."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from napari_periodic_denoise.noise.areas import (
    MIN_PIXELS,
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
from napari_periodic_denoise.noise.lines.channels import lines_before_waves, lines_beside_waves
from napari_periodic_denoise.noise.lines.result import LineNoise
from napari_periodic_denoise.noise.neighbours import filled
from napari_periodic_denoise.noise.outcome import kept
from napari_periodic_denoise.noise.progress import Progress, Stage, Step
from napari_periodic_denoise.noise.remainder.map_fit import Kind, find_remainder
from napari_periodic_denoise.noise.result import NoiseEstimate
from napari_periodic_denoise.noise.robust import robust_range
from napari_periodic_denoise.noise.search.crystal import with_suggestions
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
from napari_periodic_denoise.noise.unlit import dark_ground, is_dark_without, may_need_light
from napari_periodic_denoise.noise.waves.frequency import Frequency
from napari_periodic_denoise.noise.waves.synthesis import render_noise
from napari_periodic_denoise.noise.waves.wave import Wave
from napari_periodic_denoise.options import Options, with_options
from napari_periodic_denoise.runtime.device import resolve_device
from napari_periodic_denoise.runtime.steps import finish, mapped

_EXPECTED_STEPS = 12  # steps of a typical run, for progress bars (benchmarks.speed prints them)
# Smallest side of a clear rectangle as a share of the image's side. A narrower spectrum has too
# few frequencies for its background, the mean of 11×11.
_NARROW = 1 / 16
_ZERO_FREQUENCY = 1e-12  # cycles/pixel; smaller values are zero in any image, and overflow the fit


@with_options
def estimate_noise(image: Any, **options: Any) -> NoiseEstimate:  # noqa: ANN401
    """Estimate the periodic noise of an image, and remove it.

    Parameters
    ----------
    image : array-like, shape (H, W), or with one more axis of channels
        numpy, torch or dask array (computed once) of any real dtype, at least 16×16 pixels. It
        is never modified.
    method : {"aligned", "gram_aligned", "texture"}
        ``"aligned"`` finds waves in the spectral Gram matrix, and fits amplitude, phase and
        frequency to the image robustly. ``"gram_aligned"`` refines these waves until the Gram
        matrices of a network's feature maps match those of noise alone, see
        `refine.refine_waves`. ``"texture"`` is the textbook synthesis of an image with the same
        Gram matrices, see `texture.synthesize_texture`. A texture has no phase: it shows what
        repeats, but its crests do not match the image. Its noise and cleaned image are for
        comparison only.
    features : {"edges", "cosines", "vgg16", "vgg19"}, optional
        Features of the Gram matrices: clipped first differences, clipped products with 3×3
        cosine patterns, or feature maps of a network, which are clipped for the search of waves.
        The default is ``"edges"``, or ``"vgg19"`` for the methods that need a network.
    layers : sequence of str, or mapping of str to float, optional
        Convolutions of the network, ``conv1_1``..., and their weights in the loss. The default is
        `options.LAYER_WEIGHTS`, or ``conv1_2`` for the search of waves, which needs layers before
        the first pooling.
    weights : {"imagenet", "random"}
        Weights of the network, see `networks.load_network`. They are downloaded on request only.
    weights_path : path-like, optional
        File of the ImageNet weights, or its folder; see `weights.find_weights`.
    optimizer : {"adam", "lbfgs"}
        Optimiser of the texture.
    steps : int, optional
        Largest number of steps: 2,000 of the texture, or 60 of the refinement, by default.
    max_size : int
        Largest number of pixels along the longer side of a texture. A larger image is reduced.
    noise_model : {"auto", "additive", "multiplicative"}
        Whether the noise is added to the intensities, or multiplies them by one plus the noise.
        ``"auto"`` chooses for each wave by the shorter description.
    remainder : {"auto", "none", "quasi-periodic", "stripes"}
        Noise to remove besides waves. ``"auto"``: noise of rows and columns (lines of any
        offset, single lines, jumps, streaks, hum), if it is certainly not the specimen; see
        `lines.find.find_lines`. ``"quasi-periodic"``: noise with a narrow spectrum all over the
        image. ``"stripes"``: stripes of any width in one direction. The last two damage a
        specimen with stripes or a weave of its own, see `remainder.map_fit.find_remainder`.
    suggestions : {"keep", "remove"}
        Treatment of lattices, and of noise of rows and columns, that may be part of the
        specimen. They are kept in the image and listed in ``suggested``, or they are removed.
    channel_axis : int, optional
        Axis of the channels, for example −1 for RGB. Frequencies are found in all channels
        together, amplitudes and phases in each. A channel without the noise does not change.
    exemplar : array-like, optional
        Area that contains only noise: a mask of bool or labels of integers (nonzero inside), of
        shape (H, W), or a list of rectangles ``(y0, x0, y1, x1)``, row y1 and column x1 excluded.
        Waves and lines stay in the image as part of the specimen if the exemplar shows less than
        half of them. For noise that multiplies, the exemplar must be half as bright as the rest.
        The target of ``"gram_aligned"`` is the largest rectangle in it. The texture and the other
        kinds of remainder ignore it.
    protect : array-like, optional
        Area that the fit of waves and lines ignores, in the form of an exemplar: where the
        specimen resembles the noise, or where there is no noise. The texture, the other kinds of
        remainder and the refinement of ``"gram_aligned"`` use the whole image.
    protect_edge : float, optional
        Width in pixels of the transition around the protected area. Protected pixels then do not
        change, to the bit, and the subtraction fades out over the transition. By default the
        noise is subtracted from the protected area too.
    proposed : sequence of tuple of float
        Frequencies ``(fy, fx)`` in cycles/pixel to test in addition to the peaks of the spectrum.
        Those that fail are in ``rejected``.
    sensitivity : float
        Expected number of false alarms per image without periodic noise, before the tests of the
        fit. A larger number finds weaker noise.
    gram : bool
        Whether to return the Gram matrices of the image's feature maps. A network takes three
        channels as RGB, and the mean of any other number of channels.
    device : str
        ``"auto"`` chooses CUDA, then MPS, then the CPU. Otherwise a device name of torch.
    seed : int
        Seed of the random choice of pixels. The same seed gives the same result on the same
        machine.

    Returns
    -------
    NoiseEstimate

    Raises
    ------
    TypeError
        If the pixels are not real numbers.
    ValueError
        If an option is not one of its choices. If the image has the wrong number of axes, is too
        small, or has a channel without a finite pixel. If an area does not fit the image, or
        marks too few or too many pixels. If a proposed frequency is impossible in the image.
    WeightsError
        If the network's weights are missing or unusable. It is an OSError.
    ImportError
        If a network is needed and torchvision cannot be imported.

    Notes
    -----
    The model is ``I = C + N`` with ``N = Σ a·cos(2π f·x + φ)``. Amplitude a and phase φ are
    constant or change slowly over the image. Frequencies come from peaks of the spectral Gram
    matrix of the clipped gradient, whitened by its local background. Then ``Σ |∂(I − N)|`` is
    minimised over amplitude, phase and frequency of all waves jointly. A specimen's gradient is
    sparse, so the L1 norm ignores it and the recovery is nearly exact. A wave is accepted if it
    shortens the description of the n fitted pixels by more than ``4·ln n`` nats, all parts of
    the image agree, and it is not an artefact of rounding. The residual is searched again until
    nothing is found.

    Other descriptions replace constant waves if they are shorter: one folded profile for
    harmonics, a lattice for integer combinations of two base frequencies, a gain
    ``I = b + (C − b)(1 + M)`` for waves that follow the brightness, a carrier with a slow
    envelope for waves that leave a residual, and amplitudes that follow the tone for a print's
    screen.

    The fit ignores saturated and clipped pixels. Their values after the subtraction are
    explained in `assemble.restore_saturated`. It also ignores pixels that are NaN or infinite:
    they stay as they are, to the bit, the noise is zero there, and ``not_finite`` counts them.

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
    """Run `estimate_noise` step by step, for progress bars and cancellation.

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
        total += chosen.max_steps * (1 if joint else len(inputs.images))
    run = _noise_where_lit(inputs, chosen, network)
    inputs, found = yield from _progress(run, inputs, total)

    yield Progress(Stage.SUBTRACT, total - 1, total, "subtracting the noise")
    if inputs.weight is not None:
        found = [
            part
            if part.remainder is None
            else replace(part, remainder=part.remainder * inputs.weight)
            for part in found
        ]
    estimate = assemble_estimate(
        inputs.channels,
        inputs.images,
        found,
        channel_axis=chosen.channel_axis,
        settings=chosen.as_settings(
            exemplar=_as_rectangles(inputs.exemplar),
            protect=None if inputs.lit_only else _as_rectangles(inputs.protected),
            proposed=[list(frequency) for frequency in inputs.proposed],
            device=str(device),
        ),
        gram=_grams(inputs.images, chosen.features, network) if chosen.gram else {},
        weight=inputs.weight,
        lit_only=inputs.lit_only,
    )
    yield Progress(Stage.SUBTRACT, total, total, estimate.summary)
    return estimate


@dataclass(frozen=True, slots=True, eq=False)
class _Inputs:
    """A checked image, with its areas and proposed frequencies.

    Attributes
    ----------
    channels : ndarray, shape (C, H, W)
        Image in its dtype. It is only read.
    channel_axis : int or None
        Channel axis of the image.
    images : list of Normalized
        The channels, normalised.
    exemplar, protected : ndarray of bool, shape (H, W), or None
    proposed : list of tuple of float
        ``(fy, fx)`` in cycles/pixel.
    weight : Tensor of float32, shape (H, W), or None
        Weight of the subtraction at each pixel.
    lit_only : bool
        Whether the protected area is the dark ground.
    """

    channels: np.ndarray
    channel_axis: int | None
    images: list[Normalized]
    exemplar: Mask | None
    protected: Mask | None
    proposed: list[Frequency]
    weight: torch.Tensor | None
    lit_only: bool = False

    @property
    def fit_images(self) -> list[Normalized]:
        """Channels for the fit, which ignores protected pixels like saturated ones."""
        if self.protected is None:
            return self.images
        return [_ignoring(image, self.protected) for image in self.images]


def _read(image: Any, options: Options, device: torch.device) -> _Inputs:  # noqa: ANN401
    """Check and normalise the image, its areas and the proposed frequencies."""
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
    """Load the network of the options, and check its layers."""
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
    run: Generator[Step, None, tuple[_Inputs, list[ChannelNoise]]], inputs: _Inputs, total: int
) -> Generator[Progress, None, tuple[_Inputs, list[ChannelNoise]]]:
    """Turn steps into progress with previews in the image's shape."""
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


def _noise_where_lit(
    inputs: _Inputs, options: Options, network: Network | None
) -> Generator[Step, None, tuple[_Inputs, list[ChannelNoise]]]:
    """Estimate the noise of each channel; noise of light is not searched in the dark ground.

    Less than half of the image may have it then, so the search in the whole image refuses it.
    """
    found = yield from _noise(inputs, options, network)
    refused = [peak for part in found for peak in part.rejected]
    suggested = any(kept(part.waves) for part in found)  # its refused peaks are the specimen's
    if inputs.protected is not None or suggested or not may_need_light(refused):
        return inputs, found
    ground = dark_ground(inputs.images)
    if ground is None:
        return inputs, found
    yield Step(Stage.DETECT, "searching where there is light")
    lit = replace(inputs, protected=ground.cpu().numpy(), weight=1 - ground.float(), lit_only=True)
    again = yield from _noise(lit, options, network)
    noises = [
        render_noise(image.pixels, part.waves)
        for image, part in zip(inputs.images, again, strict=True)
    ]
    return (lit, again) if is_dark_without(ground, inputs.images, noises) else (inputs, found)


def _noise(
    inputs: _Inputs, options: Options, network: Network | None
) -> Generator[Step, None, list[ChannelNoise]]:
    """Estimate the noise of each channel by the chosen method."""
    if options.method == "texture":
        assert network is not None
        return (yield from _texture(inputs.images, network, options))
    return (yield from _waves(inputs, options, network))


def _waves(
    inputs: _Inputs, options: Options, network: Network | None
) -> Generator[Step, None, list[ChannelNoise]]:
    """Find the waves of each channel, and the remainder if it is requested."""
    whole, exemplar, protected = inputs.fit_images, inputs.exemplar, inputs.protected
    images: list[Normalized] = whole
    lines: list[list[LineNoise]] = [[] for _ in whole]
    area = None if exemplar is None else torch.from_numpy(exemplar).to(whole[0].pixels.device)
    if options.remainder == "auto":
        yield Step(Stage.DETECT, "searching for noise of rows and columns")
        images, lines = lines_before_waves(whole, options.suggestions, area)
    refines = options.method == "gram_aligned"
    channels = yield from find_waves(
        images,
        feature_extractor("edges") if refines else feature_extractor(options.features, network),
        noise_model=options.noise_model,
        sensitivity=options.sensitivity,
        seed=options.seed,
        exemplar=area,
        proposed=inputs.proposed,
        clear=None if protected is None else _clear_rectangle(protected),
    )
    found: list[ChannelNoise] = []
    decided = (
        with_suggestions(channels) if _may_suggest(options) else [c.waves() for c in channels]
    )
    for image, channel, waves in zip(images, channels, decided, strict=True):
        residual = None
        if refines and waves:
            assert network is not None
            waves = yield from _refined(image, waves, network, options, exemplar)
            residual = image.pixels - render_noise(image.pixels, waves)
        remainder = None
        if options.remainder in ("stripes", "quasi-periodic"):
            kind: Kind = "stripes" if options.remainder == "stripes" else "quasi-periodic"
            residual = channel.residual() if residual is None else residual
            remainder = yield from find_remainder(
                filled(residual, image.missing), image.quantum, options.sensitivity, kind=kind
            )
            remainder = remainder if bool(remainder.any()) else None
        found.append(ChannelNoise(waves, remainder, channel.rejected))
    if options.remainder == "auto":
        yield Step(Stage.DETECT, "searching for more noise of rows and columns")
        found = lines_beside_waves(whole, lines, found, options.suggestions, area)
    return found


def _may_suggest(options: Options) -> bool:
    """Whether waves may be only suggested: not if the user knows where or that it is noise."""
    return options.suggestions == "keep" and options.exemplar is None


def _cleaned(inputs: _Inputs, residuals: list[torch.Tensor]) -> np.ndarray:
    """Subtract the current noise; the result has the image's shape and dtype."""
    share = 1.0 if inputs.weight is None else inputs.weight
    planes = [
        subtract(channel, ((image.pixels - residual) * share * image.unit).cpu().numpy())
        for channel, image, residual in zip(inputs.channels, inputs.images, residuals, strict=True)
    ]
    return restore_channel_axis(np.stack(planes), inputs.channel_axis)


def _refined(
    image: Normalized,
    waves: list[Wave],
    network: Network,
    options: Options,
    exemplar: Mask | None,
) -> Generator[Step, None, list[Wave]]:
    """Refine waves by the Gram matrices of noise alone."""
    run = refine_channel(
        image.pixels,
        waves,
        network,
        image.quantum,
        exemplar=None if exemplar is None else largest_rectangle(exemplar),
        layer_weights=options.layers,
        steps=options.max_steps,
    )
    yield Step(Stage.FIT, "computing the Gram matrices of noise alone")

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
    """Synthesise a texture of RGB jointly, or of each channel, and subtract its mean."""
    groups = [images] if len(images) == 3 else [[image] for image in images]
    preview = np.zeros((len(images), *images[0].pixels.shape), dtype=np.float32)
    found: list[ChannelNoise] = []
    for group in groups:
        # differences from one centre, since float32 is not exact for large intensities
        centre = group[0].centre
        planes = torch.stack([i.pixels * i.unit + (i.centre - centre) for i in group])
        of_group = slice(len(found), len(found) + len(group))
        run = synthesize_texture(
            planes if len(group) == 3 else planes[0],
            network,
            layer_weights=options.layers,
            optimizer=options.optimizer,
            steps=options.max_steps,
            max_size=options.max_size,
            seed=options.seed,
        )
        yield Step(Stage.FIT, "computing the Gram matrices of the image")
        texture = yield from mapped(
            run, partial(_texture_step, preview[of_group], centre, preview)
        )
        found += (
            ChannelNoise([], (plane - plane.mean()) / image.unit)
            for plane, image in zip(texture.reshape(planes.shape), group, strict=True)
        )
    return found


def _texture_step(part: np.ndarray, centre: float, preview: np.ndarray, done: TextureStep) -> Step:
    """Make a step of a synthesis; its texture fills a part of the preview."""
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
    """Gram matrix of each layer. Without a network, the maps of all channels are joined."""
    if network is None:
        maps = torch.cat([MAPS[features](image.pixels) for image in images])
        return {features: gram_matrix(maps).cpu().numpy()}
    centre = images[0].centre
    planes = torch.stack([i.pixels * i.unit + (i.centre - centre) for i in images])
    if len(images) != 3:
        planes = planes.mean(0)
    grams = gram_matrices(network, to_network(planes, robust_range(planes)))
    return {layer: matrix.cpu().numpy() for layer, matrix in grams.items()}


def _as_rectangles(mask: Mask | None) -> list[list[int]] | None:
    """Convert a mask to rectangles for the settings."""
    return None if mask is None else [list(rectangle) for rectangle in rectangles(mask)]


def _within_image(proposed: Sequence[Frequency], shape: tuple[int, int]) -> list[Frequency]:
    """Check that an image can show the proposed frequencies, and return them."""
    frequencies = [
        (fy if abs(fy) > _ZERO_FREQUENCY else 0.0, fx if abs(fx) > _ZERO_FREQUENCY else 0.0)
        for fy, fx in proposed
    ]
    for frequency in frequencies:
        if max(map(abs, frequency)) > 0.5:
            raise ValueError(
                f"the proposed frequency {frequency} is beyond 0.5 cycles/pixel along an axis, "
                "the Nyquist limit: propose a lower frequency"
            )
        if np.hypot(*(np.array(frequency) * window_size(*shape))) < MIN_CYCLES:
            raise ValueError(
                f"the proposed frequency {frequency} has fewer than {MIN_CYCLES} cycles in the "
                "image, too few for a wave: propose a higher frequency"
            )
    return frequencies


def _clear_rectangle(protected: Mask) -> Rectangle | None:
    """Find a large rectangle without protected pixels; None if all are narrow."""
    y0, x0, y1, x1 = clear = largest_rectangle(~protected)
    narrow = min((y1 - y0) / protected.shape[0], (x1 - x0) / protected.shape[1])
    return clear if min(y1 - y0, x1 - x0) >= MIN_SIZE and narrow > _NARROW else None


def _ignoring(image: Normalized, protected: Mask) -> Normalized:
    """Mark protected pixels as saturated, so the fit ignores them."""
    area = torch.from_numpy(protected).to(image.pixels.device)
    return replace(image, saturated=area if image.saturated is None else area | image.saturated)


def _check_exemplar(images: list[Normalized], mask: Mask | None) -> None:
    """Raise a ValueError if too few pixels of the exemplar are usable."""
    for image in images:
        if mask is None or image.saturated is None:
            continue
        usable = int(np.count_nonzero(mask & ~image.saturated.cpu().numpy()))
        if usable < MIN_PIXELS:
            raise ValueError(
                f"only {usable} pixels of the exemplar are finite, and not black, saturated or "
                f"protected; at least {MIN_PIXELS} are needed: mark another area"
            )


def _check_layers(network: Network, method: str) -> None:
    """Raise a ValueError if the layers cannot show the frequencies of waves."""
    deepest = list(network.layers)[-1]
    if method == "aligned" and network.stride > 1:
        raise ValueError(
            f"layers={deepest!r} comes after a pooling, which aliases frequencies: use conv1_1 or "
            "conv1_2"
        )
