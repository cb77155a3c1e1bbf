"""Gram matrices: what repeats in an image, as a whole and at each frequency."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

MOST_WINDOWS = 4  # along each axis


def gram_matrix(features: torch.Tensor) -> torch.Tensor:
    r"""Gram matrix of feature maps, ``G = Φ Φᵀ / (H·W)``.

    Parameters
    ----------
    features : Tensor, shape (C, H, W)

    Returns
    -------
    Tensor, shape (C, C)
        Symmetric, positive semidefinite.

    Notes
    -----
    Gatys, Ecker & Bethge 2016 [1]_ divide by ``2·C·H·W`` inside their loss; here it is the mean
    product of two channels over all positions, so that images of different size compare.

    References
    ----------
    .. [1] L. Gatys, A. Ecker, M. Bethge, "Image style transfer using convolutional neural
       networks", CVPR 2016.
    """
    flat = features.flatten(1)
    product: torch.Tensor = _SelfProduct.apply(flat)  # type: ignore[no-untyped-call]
    return product / flat.shape[1]


def spectral_gram(
    features: torch.Tensor, *, window: tuple[int, int] | None = None, taper: bool = True
) -> torch.Tensor:
    r"""Gram matrix resolved by frequency, ``G(ω) = mean over windows of Φ̂(ω) Φ̂(ω)ᴴ``.

    It is the Fourier transform of the Gram matrices of shifted features [1]_ [2]_. Scaled so
    that over one whole, untapered window the sum over all frequencies is `gram_matrix`
    (Parseval).

    Parameters
    ----------
    features : Tensor, shape (C, H, W)
    window : tuple of int, optional
        Height and width of the windows (see `window_starts`); by default one window, the whole.
    taper : bool
        Weight each window by a Hann window of unit power, against leakage.

    Returns
    -------
    Tensor of complex, shape (h, w // 2 + 1, C, C)
        Hermitian at each frequency, in the order of ``torch.fft.rfft2``: the frequencies that
        are left out, ``−ω``, hold the complex conjugate.

    References
    ----------
    .. [1] G. Berger, R. Memisevic, "Incorporating long-range consistency in CNN-based texture
       generation", ICLR 2017.
    .. [2] N. Gonthier, Y. Gousseau, S. Ladjal, "High resolution neural texture synthesis with
       long range constraints", 2020.
    """
    total: torch.Tensor | None = None
    count = 0
    for part in _windows(features, window, taper):
        spectrum = torch.stack([_spectrum(channel) for channel in part])
        outer = torch.einsum("cyx,dyx->yxcd", spectrum, spectrum.conj())
        total = outer if total is None else total.add_(outer)
        count += 1
    assert total is not None
    return total.div_(count)


def spectral_power(
    features: torch.Tensor, *, window: tuple[int, int] | None = None, taper: bool = True
) -> torch.Tensor:
    """Trace of `spectral_gram`, without the off-diagonal part that detection has no use for.

    Parameters
    ----------
    features, window, taper
        As for `spectral_gram`.

    Returns
    -------
    Tensor of float, shape (h, w // 2 + 1)
    """
    total: torch.Tensor | None = None
    count = 0
    for part in _windows(features, window, taper):
        for channel in part:  # one by one: a batch of spectra would take the most memory of all
            power = torch.view_as_real(_spectrum(channel)).square_().sum(2)
            total = power if total is None else total.add_(power)
        count += 1
    assert total is not None
    return total.div_(count)


def window_starts(length: int, window: int) -> list[int]:
    """First pixels of windows spread evenly over ``length`` pixels.

    They overlap by about half; of a very long image at most ``MOST_WINDOWS`` are taken, as
    more would tell little that is new.
    """
    rest = length - window
    count = min(math.ceil(2 * rest / window + 0.75), MOST_WINDOWS)
    if count < 2:
        return [rest // 2]
    return [round(i * rest / (count - 1)) for i in range(count)]


def is_fast(length: int) -> bool:
    """Whether a length has no prime factor above 5, so that its Fourier transform is fast."""
    return not 30**64 % length


def hann(length: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Hann window without its two zeros, scaled to a mean square of one."""
    window = torch.hann_window(length + 2, periodic=False, dtype=torch.float64)[1:-1]
    return (window / window.square().mean().sqrt()).to(torch.float32).to(device)


class _SelfProduct(torch.autograd.Function):
    """``Φ Φᵀ``; its gradient takes one product, where autograd would take two."""

    @staticmethod
    def forward(ctx: Any, flat: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        ctx.save_for_backward(flat)
        return flat @ flat.T

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        (flat,) = ctx.saved_tensors
        gradient: torch.Tensor = (outer[0] + outer[0].T) @ flat
        return gradient


def _windows(
    features: torch.Tensor, window: tuple[int, int] | None, taper: bool
) -> Iterator[Iterator[torch.Tensor]]:
    """Channels, shape (h, w), of each window."""
    height, width = features.shape[1:]
    h, w = window or (height, width)
    weight_y, weight_x = hann(h, features.device)[:, None], hann(w, features.device)
    for y in window_starts(height, h):
        for x in window_starts(width, w):
            part = features[:, y : y + h, x : x + w]
            yield (channel * weight_y * weight_x if taper else channel for channel in part)


def _spectrum(channel: torch.Tensor) -> torch.Tensor:
    """Half-plane spectrum, shape (h, w // 2 + 1), its squares adding up to the mean square."""
    spectrum: torch.Tensor = torch.fft.rfft2(channel)
    return spectrum.div_(channel.numel())
