"""The textbook Gram synthesis: a random image changed until its Gram matrices match."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass

import torch
from torch.nn.functional import interpolate

from napari_periodic_denoise.noise.robust import Range, robust_range
from napari_periodic_denoise.noise.statistics.networks import (
    Network,
    gram_matrices,
    to_network,
)
from napari_periodic_denoise.options import (
    DEFAULT_MAX_SIZE,
    DEFAULT_STEPS,
    LAYER_WEIGHTS,
    OPTIMIZERS,
    check_choice,
)

_ADAM_RATE = 0.03
_MEMORY = 10  # steps that L-BFGS remembers
_SETTLED_STEPS = 100
_SETTLED = 0.99  # of the loss: what it must fall below within so many steps


@dataclass(frozen=True, slots=True, eq=False)
class TextureStep:
    """Where a running synthesis is.

    Attributes
    ----------
    step, steps : int
        Steps done, and at most.
    loss : float
        See `gram_loss`, of the texture before the step.
    preview : Tensor of float32, shape of the image, optional
        The texture so far, every few seconds.
    """

    step: int
    steps: int
    loss: float
    preview: torch.Tensor | None


def gram_loss(
    grams: Mapping[str, torch.Tensor],
    target: Mapping[str, torch.Tensor],
    layer_weights: Mapping[str, float] = LAYER_WEIGHTS,
) -> torch.Tensor:
    r"""Weighted mean squared error of Gram matrices, ``Σ_l w_l ‖G_l − T_l‖² / ‖T_l‖²``.

    Parameters
    ----------
    grams, target : mapping of str to Tensor, shape (C, C)
        By layer. Those of the target are summed over.
    layer_weights : mapping of str to float
        1 for layers it does not name.

    Returns
    -------
    Tensor, shape ()

    Notes
    -----
    Gatys et al. 2016 divide by the number of elements and of pixels, others by neither; as the
    elements of a deep layer's matrix are hundreds of times larger than those of a shallow one,
    each choice weighs the layers differently. Divided by the target's own size, every layer's
    error is a share of what it could be, and the weights mean what they say.
    """
    terms = []
    for layer, wanted in target.items():
        size = wanted.square().mean().clamp_min(torch.finfo(wanted.dtype).tiny)
        error = (grams[layer] - wanted).square().mean() / size
        terms.append(layer_weights.get(layer, 1.0) * error)
    return torch.stack(terms).sum()


def synthesize_texture(
    image: torch.Tensor,
    network: Network,
    *,
    layer_weights: Mapping[str, float] = LAYER_WEIGHTS,
    optimizer: str = "adam",
    steps: int = DEFAULT_STEPS["texture"],
    max_size: int = DEFAULT_MAX_SIZE,
    seed: int = 0,
    preview_every: float = 3.0,
) -> Generator[TextureStep, None, torch.Tensor]:
    """Texture with the Gram matrices of an image, from a random start.

    A Gram matrix sums over position, so it knows what repeats in the image, but not where: the
    texture has no phase. It shows what repeats; subtracted from the image it makes it worse,
    as crests fall anywhere. And as the whole image is the target, it holds the specimen's
    statistics along with the noise's.

    Parameters
    ----------
    image : Tensor of float32, shape (H, W) or (3, H, W)
        Grey or RGB.
    network : Network
        On the image's device.
    layer_weights : mapping of str to float
        See `gram_loss`.
    optimizer : {"adam", "lbfgs"}
        Adam with a rate of 0.03, as published; or L-BFGS, which comes as near in a tenth of
        the steps.
    steps : int
        At most; ends earlier when the loss has not fallen by 1% within 100 steps.
    max_size : int
        A larger image is reduced to this many pixels along its longer side first.
    seed : int
        Of the random start.
    preview_every : float
        Seconds.

    Yields
    ------
    TextureStep
        After each step.

    Returns
    -------
    Tensor of float32, shape of the image
        The texture of the least loss, in the image's intensity units, its mean about that of
        the image.

    Raises
    ------
    ValueError
        If an option is not one of its choices.

    References
    ----------
    .. [1] L. Gatys, A. Ecker, M. Bethge, "Texture synthesis using convolutional neural
       networks", NIPS 2015; "Image style transfer using convolutional neural networks", CVPR
       2016.
    """
    check_choice("optimizer", optimizer, OPTIMIZERS)
    for name, count in (("steps", steps), ("max_size", max_size)):
        if count < 1:
            raise ValueError(f"{name} must be at least 1, not {count}")
    small = _reduced(image, max_size, network.stride)
    shown = robust_range(image)
    with torch.no_grad():
        target = gram_matrices(network, to_network(small, shown))
    random = torch.rand(small.shape, generator=torch.Generator().manual_seed(seed))
    texture = random.to(image.device).requires_grad_()
    moves = _optimizer(optimizer, texture)

    def loss() -> float:
        moves.zero_grad()
        grams = gram_matrices(network, to_network(texture, Range(0, 1)))
        value = gram_loss(grams, target, layer_weights)
        value.backward()  # type: ignore[no-untyped-call]
        return value.item()

    least, best = math.inf, texture.detach()
    milestone, before_it = 0, math.inf  # the last step that took 1% off the loss
    seen_at = time.monotonic()
    for step in range(1, steps + 1):
        before = texture.detach().clone()
        value = moves.step(loss)
        if value < least:
            least, best = value, before
        if least < _SETTLED * before_it:
            milestone, before_it = step, least
        preview = None
        if time.monotonic() - seen_at >= preview_every:
            preview, seen_at = _as_image(best, shown, image.shape), time.monotonic()
        yield TextureStep(step, steps, value, preview)
        if step - milestone >= _SETTLED_STEPS or not math.isfinite(value):
            break
    return _as_image(best, shown, image.shape)


def _optimizer(name: str, texture: torch.Tensor) -> torch.optim.Optimizer:
    if name == "adam":
        return torch.optim.Adam([texture], lr=_ADAM_RATE)
    return torch.optim.LBFGS([texture], max_iter=1, history_size=_MEMORY)


def _reduced(image: torch.Tensor, max_size: int, least: int) -> torch.Tensor:
    """Image of at most so many pixels a side, but of at least as many as the network needs."""
    height, width = image.shape[-2:]
    scale = max_size / max(height, width)
    if scale >= 1:
        return image
    return _resized(image, tuple(max(least, round(scale * n)) for n in (height, width)))


def _as_image(texture: torch.Tensor, shown: Range, shape: torch.Size) -> torch.Tensor:
    intensities = texture * (shown.high - shown.low) + shown.low
    return _resized(intensities, tuple(shape[-2:]))


def _resized(image: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    if image.shape[-2:] == size:
        return image
    planes = image.reshape(1, -1, *image.shape[-2:])
    resized = interpolate(planes, size, mode="bicubic", antialias=True, align_corners=False)
    return resized.reshape(*image.shape[:-2], *size)
