"""Textbook Gram synthesis: optimise a random image until its Gram matrices match."""

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

_ADAM_RATE = 0.03  # as in the recipe for pixels in [0, 1]; benchmarks.networks checks it
_MEMORY = 10  # steps in the history of L-BFGS, as in scipy
# The synthesis ends when the loss has not fallen by 1% in 100 steps (benchmarks.networks).
_CONVERGED_STEPS = 100
_CONVERGED = 0.99  # of the loss


@dataclass(frozen=True, slots=True, eq=False)
class TextureStep:
    """Progress of a running synthesis.

    Attributes
    ----------
    step, steps : int
        Steps done, and largest number of steps.
    loss : float
        Loss of the texture before the step, see `gram_loss`.
    preview : Tensor of float32, shape of the image, optional
        Current texture, every few seconds.
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
        Gram matrices by layer. The layers of the target are summed.
    layer_weights : mapping of str to float
        Weights by layer. Other layers have weight 1.

    Returns
    -------
    Tensor, shape ()

    Notes
    -----
    Gatys et al. 2016 divide by the numbers of elements and pixels; others do not. The elements
    of a deep layer's matrix are hundreds of times larger than those of a shallow one, so each
    choice weights the layers differently. Here each error is relative to the norm of its target,
    and only the weights decide.
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
    """Synthesise a texture with the Gram matrices of an image, from a random start.

    A Gram matrix sums over positions, so the texture has no phase. It shows what repeats in the
    image, but its crests lie elsewhere, and its subtraction makes the image worse. The whole
    image is the target, so the texture also has the statistics of the specimen.

    Parameters
    ----------
    image : Tensor of float32, shape (H, W) or (3, H, W)
        Grey or RGB.
    network : Network
        Network on the image's device.
    layer_weights : mapping of str to float
        See `gram_loss`.
    optimizer : {"adam", "lbfgs"}
        Adam with a learning rate of 0.03, as published, or L-BFGS, which needs a tenth of the
        steps.
    steps : int
        Largest number of steps. The synthesis ends when the loss has not fallen by 1% in 100
        steps.
    max_size : int
        Largest number of pixels along the longer side. A larger image is reduced first.
    seed : int
        Seed of the random start.
    preview_every : float
        Seconds between two previews.

    Yields
    ------
    TextureStep
        After each step.

    Returns
    -------
    Tensor of float32, shape of the image
        Texture with the smallest loss, in the image's intensity units. Its mean is about that
        of the image.

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
            raise ValueError(f"expected {name} of at least 1, got {count}")
    small = _reduced(image, max_size, network.stride)
    span = robust_range(image)
    with torch.no_grad():
        target = gram_matrices(network, to_network(small, span))
    random = torch.rand(small.shape, generator=torch.Generator().manual_seed(seed))
    texture = random.to(image.device).requires_grad_()
    updates = _optimizer(optimizer, texture)

    def loss() -> float:
        updates.zero_grad()
        grams = gram_matrices(network, to_network(texture, Range(0, 1)))
        value = gram_loss(grams, target, layer_weights)
        value.backward()  # type: ignore[no-untyped-call]
        return value.item()

    lowest, best = math.inf, texture.detach()
    milestone, loss_then = 0, math.inf  # the last step that lowered the loss by 1%
    preview_at = time.monotonic()
    for step in range(1, steps + 1):
        before = texture.detach().clone()
        value = updates.step(loss)
        if value < lowest:
            lowest, best = value, before
        if lowest < _CONVERGED * loss_then:
            milestone, loss_then = step, lowest
        preview = None
        if time.monotonic() - preview_at >= preview_every:
            preview, preview_at = _as_image(best, span, image.shape), time.monotonic()
        yield TextureStep(step, steps, value, preview)
        if step - milestone >= _CONVERGED_STEPS or not math.isfinite(value):
            break
    return _as_image(best, span, image.shape)


def _optimizer(name: str, texture: torch.Tensor) -> torch.optim.Optimizer:
    if name == "adam":
        return torch.optim.Adam([texture], lr=_ADAM_RATE)
    return torch.optim.LBFGS([texture], max_iter=1, history_size=_MEMORY)


def _reduced(image: torch.Tensor, max_size: int, min_size: int) -> torch.Tensor:
    """Reduce an image to ``max_size`` pixels along its longer side; each has ``min_size``."""
    height, width = image.shape[-2:]
    scale = max_size / max(height, width)
    if scale >= 1:
        return image
    return _resized(image, tuple(max(min_size, round(scale * n)) for n in (height, width)))


def _as_image(texture: torch.Tensor, span: Range, shape: torch.Size) -> torch.Tensor:
    """Scale and resize a texture in [0, 1] to an image's intensities and shape."""
    intensities = texture * (span.high - span.low) + span.low
    return _resized(intensities, tuple(shape[-2:]))


def _resized(image: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    if image.shape[-2:] == size:
        return image
    planes = image.reshape(1, -1, *image.shape[-2:])
    resized = interpolate(planes, size, mode="bicubic", antialias=True, align_corners=False)
    return resized.reshape(*image.shape[:-2], *size)
