"""Waves of the aligned fit, refined until their Gram matrices are those of noise alone."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

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

_GRAM_SIZE = 256
_BULK = 0.5  # median magnitudes of the residual, below which the L1 norm is rounded off
_LEAST_BULK = 1e-3  # mean magnitudes of the gradient
_MEMORY = 20  # steps that L-BFGS remembers
_TRIES = 8  # along one direction
_SETTLED = 1e-6  # of the loss: what a step must take off it


@dataclass(frozen=True, slots=True)
class RefineStep:
    """Where a running refinement is.

    Attributes
    ----------
    step, steps : int
        Steps done, and at most.
    gradient_loss : float
        Mean magnitude of the image's first differences without the waves, in units of that
        without the waves at the start.
    gram_loss : float
        See `texture.gram_loss`.
    """

    step: int
    steps: int
    gradient_loss: float
    gram_loss: float


def noise_grams(network: Network, noise: torch.Tensor, shown: Range) -> dict[str, torch.Tensor]:
    """Gram matrices of noise alone, as far from black as from white.

    Parameters
    ----------
    network : Network
    noise : Tensor of float32, shape (H, W)
        Synthesised, or an area of the image where nothing else is seen; its mean is left out.
    shown : Range
        Of the image, see `networks.robust_range`.

    Returns
    -------
    dict of str to Tensor of float32, shape (C, C)
        By layer.
    """
    middle = (shown.low + shown.high) / 2
    return gram_matrices(network, to_network(noise - noise.mean() + middle, shown))


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
    """Refine those of an image's waves that can be, see `refine_waves`.

    Parameters
    ----------
    pixels : Tensor of float32, shape (H, W)
    waves : sequence of Wave
        All that the image has. Those that multiply or have a profile stay as they are, and
        are taken out of the image first.
    network : Network
        On the image's device.
    quantum : float
        Step between two grey levels.
    exemplar : tuple of int, optional
        Rectangle ``(y0, x0, y1, x1)`` where only noise is seen, which the target is taken of.
        Without, it is taken of the waves themselves.
    layer_weights, steps
        As for `refine_waves`.

    Yields
    ------
    RefineStep
        After each step.

    Returns
    -------
    list of Wave
        In the order of the start; as they were, if refined they describe the image longer by
        more than a wave has to save.
    """
    free = [i for i, w in enumerate(waves) if w.profile is None and w.dark is None]
    if not free:
        return list(waves)
    shape = (pixels.shape[0], pixels.shape[1])
    pixels = pixels - render_noise(pixels, [w for i, w in enumerate(waves) if i not in free])
    shown = robust_range(pixels)
    start = [waves[i] for i in free]
    area = exemplar or _middle(shape)
    seen = slice(area[0], area[2]), slice(area[1], area[3])
    noise, beside = synthesize(start, shape, pixels.device)[seen], None
    if exemplar is not None:
        # What is not periodic has Gram matrices of its own. Turned around, it is as strong, but
        # no longer where it was: what the waves have missed of themselves they can still take up.
        whole = _levelled(pixels[seen])
        noise, beside = whole, _levelled(whole - noise).flip(0, 1)
    with torch.no_grad():
        target = noise_grams(network, noise, shown)
    refined = yield from refine_waves(
        pixels,
        start,
        network,
        target,
        shown,
        area,
        beside,
        layer_weights=layer_weights,
        quantum=quantum,
        steps=steps,
    )
    if _lost(pixels, start, refined, quantum) > EVIDENCE_PER_LOG_PIXEL * math.log(pixels.numel()):
        return list(waves)
    found = list(waves)
    for i, wave in zip(free, refined, strict=True):
        found[i] = wave
    return found


def refine_waves(
    pixels: torch.Tensor,
    waves: Sequence[Wave],
    network: Network,
    target: Mapping[str, torch.Tensor],
    shown: Range,
    area: tuple[int, int, int, int] | None = None,
    beside: torch.Tensor | None = None,
    *,
    layer_weights: Mapping[str, float] = LAYER_WEIGHTS,
    gram_weight: float = 0.3,
    quantum: float = 0.0,
    steps: int = DEFAULT_STEPS["gram_aligned"],
) -> Generator[RefineStep, None, list[Wave]]:
    """Refine amplitude, phase and frequency of waves by what is known of the noise.

    Minimises ``Σ|∂(I − N)| / Σ|∂(I − N₀)| + γ · Σ_l w_l ‖G_l(N) − T_l‖² / ‖T_l‖²``: the first
    term puts the waves where the image has them, the second makes them the noise that the
    target was taken of. Without phase by itself, the Gram term tells amplitudes, periods, and
    where the crests of one wave lie with respect to those of another: the shape of the pattern.

    Parameters
    ----------
    pixels : Tensor of float32, shape (H, W)
    waves : sequence of Wave
        N₀, phases within about a quarter of a cycle.
    network : Network
        On the image's device.
    target : mapping of str to Tensor, shape (C, C)
        Gram matrices of noise without specimen, see `noise_grams`.
    shown : Range
        As for the target.
    area : tuple of int, optional
        Rectangle ``(y0, x0, y1, x1)`` that the waves' Gram matrices are taken of: best that
        which the target was taken of, as the borders tell too. By default the middle.
    beside : Tensor of float32, shape of the area, optional
        What else the target has, as random noise, which the waves are not to make up for.
    layer_weights : mapping of str to float
        See `texture.gram_loss`.
    gram_weight : float
        γ; 0 leaves the Gram term out. Above one, the border of a small target tells too.
    quantum : float
        Step between two grey levels, below which a difference tells nothing.
    steps : int
        Of L-BFGS, at most; ends earlier when the loss has settled.

    Yields
    ------
    RefineStep
        After each step.

    Returns
    -------
    list of Wave
        In the order of the start.
    """
    moved = _Waves(waves, pixels)
    edges = _gradient(pixels)
    with torch.no_grad():
        residual = (edges - _gradient(moved.noise())).abs()
        scale = float(residual.mean())
        least = max(_LEAST_BULK * float(edges.abs().mean()), quantum)
        bulk = max(_BULK * float(residual.median()), least)
    y0, x0, y1, x1 = area or _middle((pixels.shape[0], pixels.shape[1]))
    parts = (0.0, 0.0)

    def loss() -> float:
        nonlocal parts
        moves.zero_grad()
        noise = moved.noise()
        aligned = (edges - _gradient(noise)).square().add(bulk**2).sqrt().mean() / scale
        value, alike = aligned, aligned.new_zeros(())
        if gram_weight:
            part = noise[y0:y1, x0:x1]
            part = part if beside is None else part + beside
            alike = gram_loss(noise_grams(network, part, shown), target, layer_weights)
            value = aligned + gram_weight * alike
        value.backward()  # type: ignore[no-untyped-call]
        parts = aligned.item(), alike.item()
        return value.item()

    moves: torch.optim.Optimizer = _lbfgs(moved.parameters)
    last = math.inf
    for step in range(1, steps + 1):
        value = moves.step(loss)
        yield RefineStep(step, steps, *parts)
        if last - value < _SETTLED * value:
            break
        last = value
    return moved.waves()


class _Waves:
    """Waves as unknowns: numbers near one, whose steps make changes of like size in the image.

    Computed in float64, of which only the products of phase vectors with one another need the
    image's device.
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
        """Sum of the waves, shape (H, W); see `waves.synthesize`."""
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
        """Return the waves as they are now."""
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
        """Each wave at the start, its relative envelope at the centre, and its frequency."""
        size = torch.tensor(self._shape, dtype=torch.float64)
        for number, wave in enumerate(self._start):
            envelope, shift = self.parameters[2 * number : 2 * number + 2]
            frequency = torch.tensor(wave.frequency, dtype=torch.float64) + shift / (3 * size)
            yield wave, torch.view_as_complex(envelope), frequency


def _lost(
    pixels: torch.Tensor, before: Sequence[Wave], after: Sequence[Wave], quantum: float
) -> float:
    """Nats by which other waves make the description of an image's gradient longer."""
    shape = (pixels.shape[0], pixels.shape[1])
    spread = [
        float(
            gradient(pixels - synthesize(waves, shape, pixels.device))
            .square_()
            .add_(quantum**2)
            .sqrt_()
            .mean()
        )
        for waves in (before, after)
    ]
    return 2 * pixels.numel() * math.log(spread[1] / spread[0])


def _middle(shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Rectangle of at most `_GRAM_SIZE` pixels a side in the middle of an image."""
    top, left = (max(0, (n - _GRAM_SIZE) // 2) for n in shape)
    return top, left, min(shape[0], top + _GRAM_SIZE), min(shape[1], left + _GRAM_SIZE)


def _levelled(image: torch.Tensor) -> torch.Tensor:
    """Image without the plane that fits it best: light that falls off is no noise."""
    h, w = image.shape
    y, x = (torch.linspace(-1, 1, n, device=image.device) for n in (h, w))
    level = image - image.mean()
    slope_y = (level.mean(1) * y).sum() / y.square().sum()
    slope_x = (level.mean(0) * x).sum() / x.square().sum()
    return level - slope_y * y[:, None] - slope_x * x


def _gradient(image: torch.Tensor) -> torch.Tensor:
    """`features.gradient`, through which autograd can pass."""
    here = image[:-1, :-1]
    return torch.stack([image[1:, :-1] - here, image[:-1, 1:] - here])


def _modulated(frequency: torch.Tensor, order: int, length: int) -> torch.Tensor:
    """Phase vectors from the middle times a cosine basis, see `waves.modulated_phasors`."""
    at = torch.arange(length, dtype=torch.float64)
    turns = 2 * torch.pi * frequency * (at - (length - 1) / 2)
    basis = torch.arange(order + 1, dtype=torch.float64)[:, None] * (at + 0.5) * torch.pi / length
    return basis.cos() * torch.complex(turns.cos(), turns.sin())


def _lbfgs(parameters: list[torch.Tensor]) -> torch.optim.LBFGS:
    return torch.optim.LBFGS(
        parameters,
        max_iter=1,
        max_eval=_TRIES,
        history_size=_MEMORY,
        line_search_fn="strong_wolfe",
    )
