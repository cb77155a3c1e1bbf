"""Gram matrices of feature maps, global and resolved by frequency."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count
from typing import Any

import torch

MAX_WINDOWS = 4  # along each axis; 16 windows bring the scatter of power down to a quarter


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
    Gatys, Ecker & Bethge 2016 [1]_ divide by ``2·C·H·W`` inside their loss. This function
    returns the mean product of two channels over all positions, so images of different size are
    comparable.

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

    It is the Fourier transform of the Gram matrices of shifted features [1]_ [2]_. By its
    scale, the sum over all frequencies of one whole, untapered window is `gram_matrix`
    (Parseval).

    Parameters
    ----------
    features : Tensor, shape (C, H, W)
    window : tuple of int, optional
        Height h and width w of the windows, see `window_starts`. By default one window covers
        the whole image.
    taper : bool
        Whether each window is weighted by a Hann window of unit power, against leakage.

    Returns
    -------
    Tensor of complex, shape (h, w // 2 + 1, C, C)
        Hermitian at each frequency, in the order of ``torch.fft.rfft2``. The omitted frequencies
        ``−ω`` have the complex conjugate.

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
    """Trace of `spectral_gram`, the part that detection needs.

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
        for channel in part:  # one by one, since a batch of spectra would need most memory
            power = torch.view_as_real(_spectrum(channel)).square_().sum(2)
            total = power if total is None else total.add_(power)
        count += 1
    assert total is not None
    return total.div_(count)


def window_starts(length: int, window: int) -> list[int]:
    """First pixels of windows spread evenly over a length.

    Windows overlap by about half. A very long image has `MAX_WINDOWS` with gaps.

    Parameters
    ----------
    length : int
        Pixels of the image.
    window : int
        Pixels of a window.

    Returns
    -------
    list of int
    """
    gap = length - window
    number = min(math.ceil(2 * gap / window + 0.75), MAX_WINDOWS)
    if number < 2:
        return [gap // 2]
    return [round(i * gap / (number - 1)) for i in range(number)]


def fast_length_below(length: int) -> int:
    """Largest length, up to the one given, with a fast Fourier transform.

    Parameters
    ----------
    length : int
        Pixels.

    Returns
    -------
    int
        Its prime factors are 2, 3 and 5.
    """
    return next(shorter for shorter in range(length, 0, -1) if _is_fast(shorter))


def fast_length_above(length: int) -> int:
    """Smallest even length, from the one given, with a fast Fourier transform.

    Parameters
    ----------
    length : int
        Pixels.

    Returns
    -------
    int
        Its prime factors are 2, 3 and 5.
    """
    return next(longer for longer in count(length + length % 2, 2) if _is_fast(longer))


def _is_fast(length: int) -> bool:
    """Whether a length has no prime factor above 5, so its Fourier transform is fast."""
    return not 30**64 % length


def hann(length: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Hann window without its two zeros, with a mean square of one.

    Parameters
    ----------
    length : int
        Pixels.
    device : torch.device or str

    Returns
    -------
    Tensor of float32, shape (length,)
    """
    window = torch.hann_window(length + 2, periodic=False, dtype=torch.float64)[1:-1]
    return (window / window.square().mean().sqrt()).to(torch.float32).to(device)


class _SelfProduct(torch.autograd.Function):
    """``Φ Φᵀ``. Its gradient needs one product; autograd would compute two."""

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
    """Yield the channels, shape (h, w), of each window."""
    height, width = features.shape[1:]
    h, w = window or (height, width)
    weight_y, weight_x = hann(h, features.device)[:, None], hann(w, features.device)
    for y in window_starts(height, h):
        for x in window_starts(width, w):
            part = features[:, y : y + h, x : x + w]
            yield (channel * weight_y * weight_x if taper else channel for channel in part)


def _spectrum(channel: torch.Tensor) -> torch.Tensor:
    """Half-plane spectrum, shape (h, w // 2 + 1). Its squares sum to the mean square."""
    spectrum: torch.Tensor = torch.fft.rfft2(channel)
    return spectrum.div_(channel.numel())
