"""Periodic noise estimated and taken away: the one path through the engine."""

from __future__ import annotations

import math
import numbers
import os
import reprlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

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
from napari_periodic_denoise.noise.gram_matching.refine import STEPS as REFINE_STEPS
from napari_periodic_denoise.noise.gram_matching.refine import refine_channel
from napari_periodic_denoise.noise.gram_matching.texture import (
    MAX_SIZE,
    OPTIMIZERS,
    synthesize_texture,
)
from napari_periodic_denoise.noise.gram_matching.texture import STEPS as TEXTURE_STEPS
from napari_periodic_denoise.noise.input import MIN_SIZE, Normalized, as_image, normalize
from napari_periodic_denoise.noise.remainder.map_fit import Kind, find_remainder
from napari_periodic_denoise.noise.result import NoiseEstimate, Progress
from napari_periodic_denoise.noise.robust import robust_range
from napari_periodic_denoise.noise.search.channel import ChannelModel
from napari_periodic_denoise.noise.search.find import find_waves
from napari_periodic_denoise.noise.statistics.gram import gram_matrix
from napari_periodic_denoise.noise.statistics.networks import (
    LAYER_WEIGHTS,
    WEIGHTS,
    Network,
    gram_matrices,
    load_network,
    to_network,
)
from napari_periodic_denoise.noise.statistics.peaks import MIN_CYCLES, window_size
from napari_periodic_denoise.noise.statistics.spectra import (
    MAPS,
    FeatureExtractor,
    feature_extractor,
)
from napari_periodic_denoise.noise.waves.frequency import Frequency, as_frequencies
from napari_periodic_denoise.noise.waves.synthesis import render_noise
from napari_periodic_denoise.noise.waves.wave import Wave
from napari_periodic_denoise.pretrained.vgg import NETWORKS
from napari_periodic_denoise.runtime.device import resolve_device

__all__ = ["NoiseEstimate", "Progress", "estimate_noise", "iter_estimate_noise"]

METHODS = ("aligned", "gram_aligned", "texture")
FEATURES = (*MAPS, *NETWORKS)
NOISE_MODELS = ("auto", "additive", "multiplicative")
REMAINDERS = ("none", "quasi-periodic", "stripes")
DEFAULT_FEATURES = {"aligned": "edges", "gram_aligned": "vgg19", "texture": "vgg19"}
DEFAULT_SENSITIVITY = 1e-3

_DETECTION_LAYER = {"conv1_2": 1.0}  # of those before the first pooling, what finds the most
_EXPECTED_STEPS = 12
_NARROW = 1 / 16  # of the image's side
_NO_CYCLE = 1e-12  # cycles/pixel, which no image can tell from none; far less overflows the fit

T = TypeVar("T")

# what is done and a message, and the texture so far, or what makes the noise so far, shape
# (C, H, W), in intensity units
_Step = tuple[str, str, np.ndarray | Callable[[], np.ndarray] | None]


def estimate_noise(
    image: Any,  # noqa: ANN401
    *,
    method: str = "aligned",
    features: str | None = None,
    layers: Sequence[str] | Mapping[str, float] | None = None,
    weights: str = "imagenet",
    weights_path: str | os.PathLike[str] | None = None,
    optimizer: str = "adam",
    steps: int | None = None,
    max_size: int = MAX_SIZE,
    noise_model: str = "auto",
    remainder: str = "none",
    channel_axis: int | None = None,
    exemplar: Any = None,  # noqa: ANN401
    protect: Any = None,  # noqa: ANN401
    protect_edge: float | None = None,
    proposed: Sequence[Frequency] = (),
    sensitivity: float = DEFAULT_SENSITIVITY,
    gram: bool = False,
    device: str = "auto",
    seed: int = 0,
) -> NoiseEstimate:
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
    remainder : {"none", "quasi-periodic", "stripes"}
        What else to take away that is no sum of few waves: noise of a narrow spectrum all over
        the image, or stripes of any width in one direction. See `remainder.find_remainder`; a
        specimen that is itself striped or woven is harmed by it.
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
    run = iter_estimate_noise(
        image,
        method=method,
        features=features,
        layers=layers,
        weights=weights,
        weights_path=weights_path,
        optimizer=optimizer,
        steps=steps,
        max_size=max_size,
        noise_model=noise_model,
        remainder=remainder,
        channel_axis=channel_axis,
        exemplar=exemplar,
        protect=protect,
        protect_edge=protect_edge,
        proposed=proposed,
        sensitivity=sensitivity,
        gram=gram,
        device=device,
        seed=seed,
    )
    while True:
        try:
            next(run)
        except StopIteration as end:
            estimate: NoiseEstimate = end.value
            return estimate


def iter_estimate_noise(
    image: Any,  # noqa: ANN401
    *,
    method: str = "aligned",
    features: str | None = None,
    layers: Sequence[str] | Mapping[str, float] | None = None,
    weights: str = "imagenet",
    weights_path: str | os.PathLike[str] | None = None,
    optimizer: str = "adam",
    steps: int | None = None,
    max_size: int = MAX_SIZE,
    noise_model: str = "auto",
    remainder: str = "none",
    channel_axis: int | None = None,
    exemplar: Any = None,  # noqa: ANN401
    protect: Any = None,  # noqa: ANN401
    protect_edge: float | None = None,
    proposed: Sequence[Frequency] = (),
    sensitivity: float = DEFAULT_SENSITIVITY,
    gram: bool = False,
    device: str = "auto",
    seed: int = 0,
) -> Generator[Progress, None, NoiseEstimate]:
    """`estimate_noise` step by step, for progress bars and to be stopped in between.

    Parameters
    ----------
    image, method, features, layers, weights, weights_path, optimizer, steps, max_size, \
    noise_model, remainder, channel_axis, exemplar, protect, protect_edge, proposed, \
    sensitivity, gram, device, seed
        As for `estimate_noise`.

    Yields
    ------
    Progress
        Before each step.

    Returns
    -------
    NoiseEstimate
    """
    check_choice("method", method, METHODS)
    features = DEFAULT_FEATURES[method] if features is None else features
    check_choice("features", features, FEATURES if method == "aligned" else NETWORKS)
    layer_weights = _layer_weights(layers, method, features)
    check_choice("weights", weights, WEIGHTS)
    check_choice("optimizer", optimizer, OPTIMIZERS)
    for name, count in (("steps", steps), ("max_size", max_size)):
        if name == "steps" and count is None:
            continue
        if not isinstance(count, numbers.Integral) or count < 1:
            raise ValueError(f"{name} must be a whole number above zero, not {count!r}")
    check_choice("noise_model", noise_model, NOISE_MODELS)
    check_choice("remainder", remainder, REMAINDERS)
    if not (channel_axis is None or isinstance(channel_axis, numbers.Integral)):
        raise ValueError(f"channel_axis must be a whole number or None, not {channel_axis!r}")
    if not isinstance(sensitivity, numbers.Real) or not 0 < sensitivity < math.inf:
        raise ValueError(
            f"sensitivity must be a positive number of false alarms, not {sensitivity!r}"
        )
    if not isinstance(seed, numbers.Integral) or not 0 <= seed < 2**63:
        raise ValueError(f"seed must be an integer from 0 to 2⁶³ − 1, not {seed!r}")
    if protect_edge is not None and not (
        isinstance(protect_edge, numbers.Real) and 0 <= protect_edge < math.inf
    ):
        raise ValueError(f"protect_edge must be a number of pixels or None, not {protect_edge!r}")
    where = resolve_device(device)

    total = _EXPECTED_STEPS
    yield Progress("detect", 0, total, "reading the image")
    array = as_image(image, channel_axis)
    channels = array[None] if channel_axis is None else array
    shape = channels.shape[1], channels.shape[2]
    mask = None if exemplar is None else as_exemplar(exemplar, shape)
    protected = None if protect is None else as_protected(protect, shape)
    frequencies = _checked(proposed, shape)
    images = [normalize(channel, where) for channel in channels]
    told = images if protected is None else [_left_out(image, protected) for image in images]
    _check_shown(told, mask)
    weight = subtraction_weight(protected, protect_edge, where)
    network = None
    if features in NETWORKS:
        yield Progress("detect", 0, total, f"loading {features}")
        network = load_network(
            features,
            tuple(layer_weights),
            weights=weights,
            weights_path=weights_path,
            seed=int(seed),
            device=where,
        )
        _check_layers(network, method)
    if method == "texture":
        assert network is not None
        most = TEXTURE_STEPS if steps is None else int(steps)
        total += most * (1 if len(images) == 3 else len(images))
        run = _texture(images, network, layer_weights, optimizer, most, int(max_size), int(seed))
    else:
        refine = None
        if method == "gram_aligned":
            assert network is not None
            most = REFINE_STEPS if steps is None else int(steps)
            total += most * len(images)
            refine = _Refinement(network, layer_weights, most)
        run = _waves(
            told,
            feature_extractor("edges" if refine else features, None if refine else network),
            refine,
            noise_model=noise_model,
            remainder=remainder,
            sensitivity=float(sensitivity),
            seed=int(seed),
            mask=mask,
            proposed=frequencies,
            clear=None if protected is None else _clear_rectangle(protected),
            weight=weight,
        )
    done = 0
    while True:
        try:
            stage, message, so_far = next(run)
        except StopIteration as end:
            found: list[ChannelNoise] = end.value
            break
        done = min(done + 1, total - 2)
        preview = cleaned = None
        if callable(so_far):
            cleaned = partial(_cleaned, channels, so_far, channel_axis)
        elif so_far is not None:
            preview = restore_channel_axis(so_far, channel_axis)
        yield Progress(stage, done, total, message, preview, cleaned)

    yield Progress("subtract", total - 1, total, "subtracting the noise")
    if weight is not None:
        found = [
            own if own.rest is None else replace(own, rest=own.rest * weight) for own in found
        ]
    estimate = assemble_estimate(
        channels,
        images,
        found,
        channel_axis=channel_axis,
        settings={
            "method": method,
            "features": features,
            "layers": layer_weights or None,
            "weights": weights,
            "weights_path": None if weights_path is None else os.fspath(weights_path),
            "optimizer": optimizer,
            "steps": None if steps is None else int(steps),
            "max_size": int(max_size),
            "noise_model": noise_model,
            "remainder": remainder,
            "channel_axis": None if channel_axis is None else int(channel_axis),
            "exemplar": None if mask is None else [list(r) for r in rectangles(mask)],
            "protect": None if protected is None else [list(r) for r in rectangles(protected)],
            "protect_edge": None if protect_edge is None else float(protect_edge),
            "proposed": [list(frequency) for frequency in frequencies],
            "sensitivity": float(sensitivity),
            "gram": bool(gram),
            "device": str(where),
            "seed": int(seed),
        },
        gram=_grams(images, features, network) if gram else {},
        weight=weight,
    )
    yield Progress("subtract", total, total, estimate.summary)
    return estimate


@dataclass(frozen=True, slots=True, eq=False)
class _Refinement:
    """What waves are refined by."""

    network: Network
    layer_weights: dict[str, float]
    steps: int


def _waves(
    images: list[Normalized],
    extract: FeatureExtractor,
    refine: _Refinement | None,
    *,
    noise_model: str,
    remainder: str,
    sensitivity: float,
    seed: int,
    mask: Mask | None,
    proposed: Sequence[Frequency],
    clear: Rectangle | None,
    weight: torch.Tensor | None,
) -> Generator[_Step, None, list[ChannelNoise]]:
    """Waves of each channel, and what is left of noise that is no sum of few."""
    area = None if mask is None else torch.from_numpy(mask).to(images[0].pixels.device)
    left_now: list[list[torch.Tensor]] = []
    search = find_waves(
        images,
        extract,
        noise_model=noise_model,
        sensitivity=sensitivity,
        seed=seed,
        exemplar=area,
        proposed=proposed,
        clear=clear,
        on_residual=left_now.append,
    )
    while True:
        try:
            stage, message = next(search)
        except StopIteration as end:
            channels: list[ChannelModel] = end.value
            break
        noise = partial(_noise_so_far, images, left_now.pop(), weight) if left_now else None
        yield stage, message, noise
    found: list[ChannelNoise] = []
    for image, channel in zip(images, channels, strict=True):
        waves, left = channel.waves(), None
        if refine and waves:
            waves = yield from _refined(image, waves, refine, mask)
            left = image.pixels - render_noise(image.pixels, waves)
        rest = None
        if remainder != "none":
            kind: Kind = "stripes" if remainder == "stripes" else "quasi-periodic"
            left = channel.residual() if left is None else left
            rest = yield from _without_preview(
                find_remainder(left, image.quantum, sensitivity, kind=kind)
            )
            rest = rest if bool(rest.any()) else None
        found.append(ChannelNoise(waves, rest, channel.rejected))
    return found


def _noise_so_far(
    images: list[Normalized], left: list[torch.Tensor], weight: torch.Tensor | None
) -> np.ndarray:
    """What is taken away of images of which some is left, shape (C, H, W), in intensity units."""
    share = 1.0 if weight is None else weight
    planes = [
        ((image.pixels - rest) * share * image.unit).cpu().numpy()
        for image, rest in zip(images, left, strict=True)
    ]
    return np.stack(planes)


def _cleaned(
    channels: np.ndarray, noise: Callable[[], np.ndarray], channel_axis: int | None
) -> np.ndarray:
    """Channels less their noise so far, where the image has them."""
    planes = [subtract(channel, own) for channel, own in zip(channels, noise(), strict=True)]
    return restore_channel_axis(np.stack(planes), channel_axis)


def _refined(
    image: Normalized, waves: list[Wave], refine: _Refinement, mask: Mask | None
) -> Generator[_Step, None, list[Wave]]:
    """Waves refined by the Gram matrices of noise alone."""
    run = refine_channel(
        image.pixels,
        waves,
        refine.network,
        image.quantum,
        exemplar=None if mask is None else largest_rectangle(mask),
        layer_weights=refine.layer_weights,
        steps=refine.steps,
    )
    yield "fit", "taking the Gram matrices of noise alone", None
    while True:
        try:
            step = next(run)
        except StopIteration as end:
            refined: list[Wave] = end.value
            return refined
        message = (
            f"refining by Gram matrices, step {step.step} of {step.steps}: gradient "
            f"{step.gradient_loss:.4f}, Gram loss {step.gram_loss:.3g}"
        )
        yield "fit", message, None


def _texture(
    images: list[Normalized],
    network: Network,
    layer_weights: dict[str, float],
    optimizer: str,
    steps: int,
    max_size: int,
    seed: int,
) -> Generator[_Step, None, list[ChannelNoise]]:
    """Texture of the three channels of RGB together, or of each one by itself, less its mean."""
    groups = [images] if len(images) == 3 else [[image] for image in images]
    preview = np.zeros((len(images), *images[0].pixels.shape), dtype=np.float32)
    found: list[ChannelNoise] = []
    for group in groups:
        # differences from one centre, which float32 can tell even of large intensities
        centre = group[0].centre
        planes = torch.stack([i.pixels * i.unit + (i.centre - centre) for i in group])
        run = synthesize_texture(
            planes if len(group) == 3 else planes[0],
            network,
            layer_weights=layer_weights,
            optimizer=optimizer,
            steps=steps,
            max_size=max_size,
            seed=seed,
        )
        yield "fit", "taking the Gram matrices of the image", None
        while True:
            try:
                step = next(run)
            except StopIteration as end:
                texture = end.value.reshape(planes.shape)
                break
            shown = None
            if step.preview is not None:
                of_group = slice(len(found), len(found) + len(group))
                preview[of_group] = step.preview.cpu().numpy() + centre
                shown = preview.copy()
            message = f"texture, step {step.step} of {step.steps}: loss {step.loss:.3g}"
            yield "fit", message, shown
        found += (
            ChannelNoise([], (plane - plane.mean()) / image.unit)
            for plane, image in zip(texture, group, strict=True)
        )
    return found


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


def _without_preview(run: Generator[tuple[str, str], None, T]) -> Generator[_Step, None, T]:
    while True:
        try:
            stage, message = next(run)
        except StopIteration as end:
            value: T = end.value
            return value
        yield stage, message, None


def _layer_weights(
    layers: Sequence[str] | Mapping[str, float] | None, method: str, features: str
) -> dict[str, float]:
    """Layers of a network and their weights; none without a network."""
    if features not in NETWORKS:
        if layers is not None:
            raise ValueError(
                f"layers={reprlib.repr(layers)} are of a network, which features={features!r} "
                "is not"
            )
        return {}
    if layers is None:
        return dict(_DETECTION_LAYER if method == "aligned" else LAYER_WEIGHTS)
    if isinstance(layers, str):
        layers = (layers,)
    if isinstance(layers, Mapping):
        return {str(layer): float(weight) for layer, weight in layers.items()}
    return {layer: LAYER_WEIGHTS.get(layer, 1.0) for layer in layers}


def _checked(proposed: Sequence[Frequency], shape: tuple[int, int]) -> list[Frequency]:
    """Proposed frequencies as plain numbers, or what is wrong with them."""
    frequencies = [
        (fy if abs(fy) > _NO_CYCLE else 0.0, fx if abs(fx) > _NO_CYCLE else 0.0)
        for fy, fx in as_frequencies(proposed, "proposed")
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


def _left_out(image: Normalized, protected: Mask) -> Normalized:
    """Return the image with protected pixels as such that tell nothing."""
    area = torch.from_numpy(protected).to(image.pixels.device)
    return replace(image, saturated=area if image.saturated is None else area | image.saturated)


def _check_shown(images: list[Normalized], mask: Mask | None) -> None:
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


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """Raise a ValueError that lists the choices, if a value is none of them.

    Parameters
    ----------
    name : str
        Of the option.
    value : object
    choices : tuple
    """
    if not any(isinstance(value, type(choice)) and value == choice for choice in choices):
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name}={reprlib.repr(value)} is not one of the choices: {listed}")
