"""Standard errors of fitted waves, from the scores of the image's parts.

A fit θ of least ``Σ ρ(r)`` differs from the truth by ``H⁻¹ Σ ψ(r) J``, with the gradient J of a
difference, ``ψ = ρ'`` and the Hessian H (Huber 1967, "The behavior of maximum likelihood
estimates under nonstandard conditions"). The sum over each part of the image is one draw of it.
Neighbouring differences share pixels and edges of the specimen, parts hardly do, so the squares of
the parts' sums add up to the variance (Cameron & Miller 2015, "A practitioner's guide to
cluster-robust inference").
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from napari_periodic_denoise.noise.fitting.evidence import membership
from napari_periodic_denoise.noise.fitting.gauss_newton import (
    Fit,
    bands,
    real_and_imaginary,
    with_shifts,
)
from napari_periodic_denoise.noise.fitting.sample import GradientSample
from napari_periodic_denoise.noise.fitting.schedule import next_softening
from napari_periodic_denoise.noise.waves.frequency import Float, Shape

_DISTINCT = 1e-8  # least eigenvalue of the scaled Hessian; beyond, float32 sums tell nothing


def standard_errors(sample: GradientSample, fit: Fit) -> Float:
    """Measure the standard errors of waves fitted by `gauss_newton.polish_waves`.

    Parameters
    ----------
    sample : GradientSample
        Gradient of the image, at the differences that the waves were fitted to.
    fit : Fit
        K waves.

    Returns
    -------
    ndarray of float64, shape (K, 4)
        See `errors_of`.
    """
    count, softening = len(fit), 0.0
    ties = torch.from_numpy(fit.ties.T.astype(np.float32)).to(sample.gradient.device)
    coefficients = real_and_imaginary(fit.coefficients, ties.device)
    real, imaginary = coefficients.view(2, count, 1, 1, 1)
    hessian, scores = torch.zeros((), device=ties.device), torch.zeros((), device=ties.device)
    for columns, gradient, counted, position in bands(sample, fit.frequencies):
        left = gradient - (coefficients @ columns.flatten(1)).view_as(gradient)
        # the sample is in random order, so its first band represents all of it
        softening = softening or next_softening(0.0, left, sample.quantum)
        jacobian = with_shifts(columns, (real, imaginary), ties, position)
        y, x = map(membership, position)
        # ρ = √(r² + d²), so ψ = r/ρ and ψ' = d²/ρ³; in place, since memory limits the speed
        root = left.square().add_(softening**2).rsqrt_().sqrt_()  # 1/√ρ
        half = jacobian.mul_((root * root).mul_(root).mul_(counted).mul_(softening))
        hessian = hessian + half.flatten(1) @ half.flatten(1).T
        score = half.mul_(left.div_(root).div_(softening)).sum(1)
        scores = scores + y.T @ score @ x
    matrix, parts = (each.cpu().double().numpy() for each in (hessian, scores.flatten(1)))
    scale = np.maximum(matrix.diagonal(), np.finfo(np.float32).tiny) ** -0.5
    inverse = np.linalg.pinv(matrix * scale * scale[:, None], _DISTINCT, hermitian=True)
    changes = scale[:, None] * (inverse @ (scale[:, None] * parts))
    shifts = fit.ties @ changes[2 * count :].reshape(2, len(fit.bases), -1)
    return errors_of(
        fit.coefficients, changes[:count] + 1j * changes[count : 2 * count], shifts, sample.shape
    )


def errors_of(
    coefficients: NDArray[np.complex128],
    changes: NDArray[np.complex128],
    shifts: Float,
    shape: Shape,
) -> Float:
    """Turn the parts' shares of the last step of a fit into standard errors.

    Parameters
    ----------
    coefficients : ndarray of complex128, shape (K,)
        See `gauss_newton.Fit`.
    changes : ndarray of complex128, shape (K, P)
        What each of P parts of the image adds to the coefficients.
    shifts : ndarray of float64, shape (2, K, P)
        What it adds to the frequencies along y and x, in cycles across the image.
    shape : tuple of int
        ``(H, W)`` of the image.

    Returns
    -------
    ndarray of float64, shape (K, 4)
        Errors of the amplitude, of the phase at pixel (0, 0) in radians, and of ``fy`` and ``fx``
        in cycles/pixel. From the centre, an error of the frequency turns the phase.
    """
    size = np.maximum(np.abs(coefficients), np.finfo(np.float64).tiny)[:, None]
    along = changes * (coefficients.conj()[:, None] / size)
    lengths = np.array(shape)[:, None, None]
    turned = along.imag / size - np.pi * (shifts * (lengths - 1) / lengths).sum(0)
    values = np.stack([along.real, turned, *(shifts / lengths)], 1)
    parts = max(2, int((values != 0).any((0, 1)).sum()))  # saturated or protected ones add nothing
    errors: Float = np.sqrt((values**2).sum(2) * (parts / (parts - 1)))
    return errors
