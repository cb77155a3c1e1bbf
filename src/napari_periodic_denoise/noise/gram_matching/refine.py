"""Refine the waves of the aligned fit by the Gram matrices of noise alone."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from napari_periodic_denoise.noise.fitting.evidence import EVIDENCE_PER_LOG_PIXEL
from napari_periodic_denoise.noise.gram_matching.texture import gram_loss
from napari_periodic_denoise.noise.robust import Range, robust_range
from napari_periodic_denoise.noise.statistics.features import gradient
from napari_periodic_denoise.noise.statistics.networks import (
    Network,
    gram_matrices,
    to_network,
)
from napari_periodic_denoise.noise.waves.synthesis import render_noise, synthesize
from napari_periodic_denoise.noise.waves.wave import Wave, wave_at_centre
from napari_periodic_denoise.options import DEFAULT_STEPS, LAYER_WEIGHTS

# benchmarks.gram_aligned checks these numbers.
_GRAM_SIZE = 256  # pixels a side of the area whose Gram matrices are matched
_BULK = 0.5  # softening of the L1 norm, in median magnitudes of the residual
_MIN_BULK = 1e-3  # smallest softening, in mean magnitudes of the gradient
_MEMORY = 20  # steps in the history of L-BFGS
_EVALUATIONS = 8  # of the loss in a line search
_CONVERGED = 1e-6  # relative decrease of the loss, below which the refinement ends


@dataclass(frozen=True, slots=True)
class RefineStep:
    """Progress of a running refinement.

    Attributes
    ----------
    step, steps : int
        Steps done, and largest number of steps.
    gradient_loss : float
        Mean magnitude of the residual's first differences, relative to the start.
    gram_loss : float
        See `texture.gram_loss`.
    """

    step: int
    steps: int
    gradient_loss: float
    gram_loss: float


def noise_grams(network: Network, noise: torch.Tensor, span: Range) -> dict[str, torch.Tensor]:
    """Gram matrices of noise alone, at the middle of the intensity range.

    Parameters
    ----------
    network : Network
    noise : Tensor of float32, shape (H, W)
        Synthesised noise, or an area of the image with noise alone. Its mean is subtracted.
    span : Range
        Intensity range of the image, see `robust.robust_range`.

    Returns
    -------
    dict of str to Tensor of float32, shape (C, C)
        By layer.
    """
    middle = (span.low + span.high) / 2
    return gram_matrices(network, to_network(noise - noise.mean() + middle, span))


def refine_channel(
    pixels: torch.Tensor,
    waves: Sequence[Wave],
    network: Network,
    quantum: float,
    *,
    exemplar: tuple[int, int, int, int] | None = None,
    layer_weights: Mapping[str, float] = LAYER_WEIGHTS,
    steps: int = DEFAULT_STEPS["gram_aligned"],
) -> Generator[RefineStep, None, list[Wave]]:
    """Refine the waves of an image that are added and have no profile, see `refine_waves`.

    Parameters
    ----------
    pixels : Tensor of float32, shape (H, W)
    waves : sequence of Wave
        All waves of the image. Waves that multiply or have a profile do not change. They are
        subtracted first.
    network : Network
        Network on the image's device.
    quantum : float
        Step between two grey levels.
    exemplar : tuple of int, optional
        Rectangle ``(y0, x0, y1, x1)`` with noise alone. Its Gram matrices are the target.
        Without it, the target comes from the waves themselves.
    layer_weights, steps
        As for `refine_waves`.

    Yields
    ------
    RefineStep
        After each step.

    Returns
    -------
    list of Wave
        In the given order. The given waves are returned if the refined ones lengthen the
        description by more than the evidence of one wave.
    """
    free = [i for i, w in enumerate(waves) if (w.profile, w.dark, w.tones) == (None,) * 3]
    if not free:
        return list(waves)
    shape = (pixels.shape[0], pixels.shape[1])
    pixels = pixels - render_noise(pixels, [w for i, w in enumerate(waves) if i not in free])
    span = robust_range(pixels)
    start = [waves[i] for i in free]
    area = exemplar or _middle(shape)
    window = slice(area[0], area[2]), slice(area[1], area[3])
    noise, background = synthesize(start, shape, pixels.device)[window], None
    if exemplar is not None:
        # The target also contains the Gram matrices of the random noise. The rotated residual
        # has the same strength, but not the same position, so waves can still fit the residual.
        whole = _levelled(pixels[window])
        noise, background = whole, _levelled(whole - noise).flip(0, 1)
    with torch.no_grad():
        target = noise_grams(network, noise, span)
    refined = yield from refine_waves(
        pixels,
        start,
        network,
        target,
        span,
        area,
        background,
        layer_weights=layer_weights,
        quantum=quantum,
        steps=steps,
    )
    longer = _added_description(pixels, start, refined, quantum)
    if longer > EVIDENCE_PER_LOG_PIXEL * math.log(pixels.numel()):
        return list(waves)
    result = list(waves)
    for i, wave in zip(free, refined, strict=True):
        result[i] = replace(wave, outcome=waves[i].outcome)
    return result


def refine_waves(
    pixels: torch.Tensor,
    waves: Sequence[Wave],
    network: Network,
    target: Mapping[str, torch.Tensor],
    span: Range,
    area: tuple[int, int, int, int] | None = None,
    background: torch.Tensor | None = None,
    *,
    layer_weights: Mapping[str, float] = LAYER_WEIGHTS,
    gram_weight: float = 0.3,
    quantum: float = 0.0,
    steps: int = DEFAULT_STEPS["gram_aligned"],
) -> Generator[RefineStep, None, list[Wave]]:
    """Refine amplitude, phase and frequency of waves by target Gram matrices.

    The objective is ``Σ|∂(I − N)| / Σ|∂(I − N₀)| + γ · Σ_l w_l ‖G_l(N) − T_l‖² / ‖T_l‖²``. The
    first term aligns the waves with the image. The second term matches their statistics with
    the target. It does not depend on the overall phase, but on amplitudes, periods and the
    phases of waves relative to each other, that is, on the shape of the pattern.

    Parameters
    ----------
    pixels : Tensor of float32, shape (H, W)
    waves : sequence of Wave
        Start N₀. Its phases are right to about a quarter of a cycle.
    network : Network
        Network on the image's device.
    target : mapping of str to Tensor, shape (C, C)
        Gram matrices T of noise without specimen, see `noise_grams`.
    span : Range
        Intensity range of the target.
    area : tuple of int, optional
        Rectangle ``(y0, x0, y1, x1)`` for the waves' Gram matrices. It is best the rectangle of
        the target, since borders influence the matrices. By default the middle of the image.
    background : Tensor of float32, shape of the area, optional
        Random noise in the target, which is added to the waves.
    layer_weights : mapping of str to float
        Weights w, see `texture.gram_loss`.
    gram_weight : float
        γ. With 0 the Gram term is omitted. Above 1 the border of a small target matters.
    quantum : float
        Step between two grey levels. Smaller differences are rounding.
    steps : int
        Largest number of L-BFGS steps. The refinement ends when the loss has converged.

    Yields
    ------
    RefineStep
        After each step.

    Returns
    -------
    list of Wave
        In the given order.
    """
    model = _Waves(waves, pixels)
    differences = _gradient(pixels)
    with torch.no_grad():
        residual = (differences - _gradient(model.noise())).abs()
        scale = float(residual.mean())
        smallest = max(_MIN_BULK * float(differences.abs().mean()), quantum)
        bulk = max(_BULK * float(residual.median()), smallest)
    y0, x0, y1, x1 = area or _middle((pixels.shape[0], pixels.shape[1]))
    parts = (0.0, 0.0)

    def loss() -> float:
        nonlocal parts
        optimizer.zero_grad()
        noise = model.noise()
        aligned = (differences - _gradient(noise)).square().add(bulk**2).sqrt().mean() / scale
        value, matched = aligned, aligned.new_zeros(())
        if gram_weight:
            part = noise[y0:y1, x0:x1]
            part = part if background is None else part + background
            matched = gram_loss(noise_grams(network, part, span), target, layer_weights)
            value = aligned + gram_weight * matched
        value.backward()  # type: ignore[no-untyped-call]
        parts = aligned.item(), matched.item()
        return value.item()

    optimizer: torch.optim.Optimizer = _lbfgs(model.parameters)
    last = math.inf
    for step in range(1, steps + 1):
        value = optimizer.step(loss)
        yield RefineStep(step, steps, *parts)
        if last - value < _CONVERGED * value:
            break
        last = value
    return model.waves()


class _Waves:
    """Waves as parameters of similar scale, whose steps change the image by similar amounts.

    Phase vectors are computed in float64 on the CPU. Their products are computed on the image's
    device.
    """

    def __init__(self, waves: Sequence[Wave], pixels: torch.Tensor) -> None:
        self._start = waves
        self._shape = tuple(pixels.shape)
        self._like = pixels
        self.parameters = []
        for wave in waves:
            centre = (np.array(self._shape) - 1) / 2
            turn = np.exp(2j * np.pi * float(np.array(wave.frequency) @ centre))
            envelope = np.array(wave.envelope or [[wave.amplitude * np.exp(1j * wave.phase)]])
            relative = torch.from_numpy(envelope * turn / wave.amplitude)
            self.parameters += [
                torch.view_as_real(relative).clone().requires_grad_(),
                torch.zeros(2, dtype=torch.float64, requires_grad=True),
            ]

    def noise(self) -> torch.Tensor:
        """Sum the waves, shape (H, W); see `synthesis.synthesize`."""
        rows, columns = [], []
        for wave, envelope, (fy, fx) in self._each():
            along_y, along_x = (
                _modulated(f, order, length)
                for f, order, length in zip((fy, fx), wave.order, self._shape, strict=True)
            )
            rows.append(wave.amplitude * envelope.T @ along_y)
            columns.append(along_x)
        y, x = torch.cat(rows), torch.cat(columns)
        left, right = torch.cat([y.real, -y.imag]).T, torch.cat([x.real, x.imag])
        return left.to(self._like) @ right.to(self._like)

    def waves(self) -> list[Wave]:
        """Return the current waves."""
        with torch.no_grad():
            return [
                wave_at_centre(
                    frequency.numpy(),
                    wave.amplitude * envelope.numpy(),
                    (self._shape[0], self._shape[1]),
                    false_alarms=wave.false_alarms,
                    evidence=wave.evidence,
                )
                for wave, envelope, frequency in self._each()
            ]

    def _each(self) -> Iterator[tuple[Wave, torch.Tensor, torch.Tensor]]:
        """Yield each given wave, its current relative envelope at the centre and frequency."""
        size = torch.tensor(self._shape, dtype=torch.float64)
        for number, wave in enumerate(self._start):
            envelope, shift = self.parameters[2 * number : 2 * number + 2]
            frequency = torch.tensor(wave.frequency, dtype=torch.float64) + shift / (3 * size)
            yield wave, torch.view_as_complex(envelope), frequency


def _added_description(
    pixels: torch.Tensor, before: Sequence[Wave], after: Sequence[Wave], quantum: float
) -> float:
    """Nats by which waves lengthen the description of the gradient, compared with others."""
    shape = (pixels.shape[0], pixels.shape[1])
    magnitudes = [
        float(
            gradient(pixels - synthesize(waves, shape, pixels.device))
            .square_()
            .add_(quantum**2)
            .sqrt_()
            .mean()
        )
        for waves in (before, after)
    ]
    return 2 * pixels.numel() * math.log(magnitudes[1] / magnitudes[0])


def _middle(shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Rectangle of at most `_GRAM_SIZE` pixels a side in the middle of an image."""
    top, left = (max(0, (n - _GRAM_SIZE) // 2) for n in shape)
    return top, left, min(shape[0], top + _GRAM_SIZE), min(shape[1], left + _GRAM_SIZE)


def _levelled(image: torch.Tensor) -> torch.Tensor:
    """Subtract the best-fitting plane, since uneven illumination is not noise."""
    h, w = image.shape
    y, x = (torch.linspace(-1, 1, n, device=image.device) for n in (h, w))
    level = image - image.mean()
    slope_y = (level.mean(1) * y).sum() / y.square().sum()
    slope_x = (level.mean(0) * x).sum() / x.square().sum()
    return level - slope_y * y[:, None] - slope_x * x


def _gradient(image: torch.Tensor) -> torch.Tensor:
    """`features.gradient` for autograd, which cannot differentiate ``out=``."""
    here = image[:-1, :-1]
    return torch.stack([image[1:, :-1] - here, image[:-1, 1:] - here])


def _modulated(frequency: torch.Tensor, order: int, length: int) -> torch.Tensor:
    """`synthesis.modulated_phasors` for autograd, with the origin at the centre."""
    at = torch.arange(length, dtype=torch.float64)
    turns = 2 * torch.pi * frequency * (at - (length - 1) / 2)
    basis = torch.arange(order + 1, dtype=torch.float64)[:, None] * (at + 0.5) * torch.pi / length
    return basis.cos() * torch.complex(turns.cos(), turns.sin())


def _lbfgs(parameters: list[torch.Tensor]) -> torch.optim.LBFGS:
    """L-BFGS with a strong-Wolfe line search, one step per call."""
    return torch.optim.LBFGS(
        parameters,
        max_iter=1,
        max_eval=_EVALUATIONS,
        history_size=_MEMORY,
        line_search_fn="strong_wolfe",
    )
