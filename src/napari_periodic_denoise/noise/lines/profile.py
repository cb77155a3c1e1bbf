"""The most probable offsets of lines, given how much their neighbours differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from napari_periodic_denoise.noise.lines.differences import Differences

# The power of line noise falls with the frequency: white to 1/f. A steeper law would take a single
# edge of the specimen for a step of all that follows.
_SLOPES = (0.0, 0.5, 1.0)
_SPECIMEN = 2.0  # times the specimen's profile in the other direction; `benchmarks.lines`
_CONSTANT = 4.0  # times what varies along the lines is the specimen's; `benchmarks.lines`
_SLOWEST = 0.02  # cycles/line, under which the specimen may be as strong as noise
_UNUSUAL = 6.0  # times the expected power, which chance exceeds once in 70 frequencies
_SLOW_CYCLES = 4  # across the image, as vignetting and large things change at most
_CLIP = 4.0  # deviations
_ROUNDS = 60  # at most, of fitting offsets and their spectrum in turn
_OCTAVE = 1.5  # ratio of the edges of two frequency bands
_ITERATIONS = 200  # of conjugate gradients, at most
_CONVERGED = 1e-4  # of the first residual


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """What the differences say of the lines' offsets, without any expectation of them.

    Attributes
    ----------
    differences : sequence of Differences
    pulls : Tensor of float64, shape (K, W)
        Weighted differences gathered at each line, order by order.
    bands : Tensor of float64, shape (W, 2·b + 1)
        Diagonals of the matrix that takes offsets to pulls, from b below the main one on.
    error : Tensor of float64, shape (W,)
        Variance of the least-squares offsets by frequency; infinite at 0.
    """

    differences: Sequence[Differences]
    pulls: torch.Tensor
    bands: torch.Tensor
    error: torch.Tensor

    @property
    def lines(self) -> int:
        """Number of lines W."""
        return self.pulls.shape[1]

    def precision(self, offsets: torch.Tensor) -> torch.Tensor:
        """Gather the differences of offsets, as `pulls` are, shape (K, W)."""
        width = self.bands.shape[1]
        beside = torch.nn.functional.pad(offsets, (width // 2, width // 2)).unfold(1, width, 1)
        gathered: torch.Tensor = torch.einsum("kwb,wb->kw", beside, self.bands)
        return gathered


def as_profile(differences: Sequence[Differences]) -> Profile:
    """Gather differences at the lines.

    Parameters
    ----------
    differences : sequence of Differences
        Of `line_differences`.

    Returns
    -------
    Profile
    """
    pulls = [_gathered(d.orders / d.variance, d.size) for d in differences]
    gathered = torch.stack(pulls).sum(0)
    lines = gathered.shape[1]
    return Profile(differences, gathered, _bands(differences, lines), _error(differences, lines))


def _error(differences: Sequence[Differences], lines: int) -> torch.Tensor:
    """Variance of the least-squares offsets by frequency, shape (W,); infinite at 0."""
    turn = torch.arange(lines, dtype=torch.float64) * (math.pi / 2 / lines)
    known = torch.zeros_like(turn)
    for d in differences:
        narrow = torch.sin(d.size * turn) / (d.size * torch.sin(turn))
        narrow[0] = 1
        response = (2 * narrow * torch.sin(d.size * turn)).square()
        known += response * len(d.variance) / lines / float(d.variance.mean())
    return 1 / known


def _bands(differences: Sequence[Differences], lines: int) -> torch.Tensor:
    """Diagonals of the matrix of `Profile.precision`, from its products with combs."""
    reach = 2 * differences[-1].size - 1
    width = 2 * reach + 1
    line = torch.arange(lines)
    combs = (line % width == torch.arange(width)[:, None]).double()
    products = sum(
        (_gathered(apart(combs, d.size) / d.variance, d.size) for d in differences),
        start=torch.zeros_like(combs),
    )
    column = line[:, None] + torch.arange(-reach, reach + 1)
    inside = (column >= 0) & (column < lines)
    return torch.where(inside, products[column % width, line[:, None]], 0.0)


def apart(offsets: torch.Tensor, size: int) -> torch.Tensor:
    """Differences of the means of blocks of lines side by side.

    Parameters
    ----------
    offsets : Tensor of float64, shape (..., W)
    size : int
        Lines per block.

    Returns
    -------
    Tensor of float64, shape (..., W − 2·size + 1)
    """
    total = torch.nn.functional.pad(offsets.cumsum(-1), (1, 0))
    means = (total[..., size:] - total[..., :-size]) / size
    return means[..., size:] - means[..., :-size]


def _gathered(weights: torch.Tensor, size: int) -> torch.Tensor:
    """Transpose of `apart`: shape (K, n) to (K, n + 2·size − 1)."""
    pad = torch.nn.functional.pad
    means = pad(weights, (size, 0)) - pad(weights, (0, size))
    total = pad(means.cumsum(-1), (1, size - 1), mode="constant")
    total[..., means.shape[-1] + 1 :] = total[..., means.shape[-1], None]
    before = pad(total[..., :-size], (size, 0)) if size < total.shape[-1] else 0 * total
    return (total - before)[..., 1:] / size


def cosine_transform(values: torch.Tensor) -> torch.Tensor:
    """Orthonormal cosine transform along the last axis.

    Parameters
    ----------
    values : Tensor of float64, shape (..., W)

    Returns
    -------
    Tensor of float64, same shape
    """
    n = values.shape[-1]
    both = torch.fft.rfft(torch.cat([values, values.flip(-1)], -1))[..., :n]
    result: torch.Tensor = (both * _turns(n).conj()).real
    return result


def inverse_cosine_transform(coefficients: torch.Tensor) -> torch.Tensor:
    """Inverse of `cosine_transform`, which is its transpose."""
    n = coefficients.shape[-1]
    spectrum = coefficients * _turns(n)
    # half of each sequence's spectrum is not given: the mean counts once, all others twice
    spectrum = torch.nn.functional.pad(spectrum * (2 * n), (0, 1))
    spectrum[..., 0] *= 2
    both: torch.Tensor = torch.fft.irfft(spectrum, 2 * n)
    return both[..., :n]


@lru_cache(maxsize=8)
def _turns(lines: int) -> torch.Tensor:
    """Half a sample's turn at each frequency, scaled so that the transform is orthonormal."""
    turn = torch.arange(lines, dtype=torch.float64) * (math.pi / 2 / lines)
    scale = torch.full_like(turn, 1 / math.sqrt(2 * lines))
    scale[0] /= math.sqrt(2)
    return torch.polar(scale, turn)


def most_probable(
    profile: Profile, pulls: torch.Tensor, noise: torch.Tensor, specimen: torch.Tensor
) -> torch.Tensor:
    """Offsets of lines, most probable if noise and specimen have these powers.

    Parameters
    ----------
    profile : Profile
    pulls : Tensor of float64, shape (K, W)
    noise, specimen : Tensor of float64, shape (K, W)
        Expected power of the line noise, and of the specimen's own profile, by frequency.

    Returns
    -------
    Tensor of float64, shape (K, W)
        Mean zero.
    """
    both = noise + specimen
    inverse = 1 / both.clamp_min(1e-30)
    inverse[..., 0] = 1e12  # the mean is kept
    scale = 1 / (1 / profile.error + inverse)

    def applied(coefficients: torch.Tensor) -> torch.Tensor:
        gathered = cosine_transform(profile.precision(inverse_cosine_transform(coefficients)))
        return gathered + inverse * coefficients

    rest = cosine_transform(pulls)
    found, first = torch.zeros_like(rest), float(rest.square().sum())
    scaled = scale * rest
    direction, norm = scaled, (rest * scaled).sum(-1, keepdim=True)
    for _ in range(_ITERATIONS):
        if float(rest.square().sum()) <= _CONVERGED**2 * first:
            break
        image = applied(direction)
        step = norm / (direction * image).sum(-1, keepdim=True).clamp_min(1e-300)
        found = found + step * direction
        rest = rest - step * image
        scaled = scale * rest
        norm, before = (rest * scaled).sum(-1, keepdim=True), norm
        direction = scaled + norm / before.clamp_min(1e-300) * direction
    found = found * noise / both.clamp_min(1e-30)
    found[..., 0] = 0
    return inverse_cosine_transform(found)


def least_squares(profile: Profile, pulls: torch.Tensor) -> torch.Tensor:
    """Offsets without any expectation, by frequency, shape (K, W); mean zero."""
    wide = torch.full_like(pulls, 1e8)
    return cosine_transform(most_probable(profile, pulls, wide, torch.zeros_like(wide)))


def specimen_power(other: Profile, lines: int, *, may_be_noise: bool = False) -> torch.Tensor:
    """Power of the specimen's own profile, by frequency.

    Specimens have no preferred direction: what the differences find along the other axis, where
    there is no line noise, is as much as they take for noise along this one. If there may be
    line noise as well, what varies along the lines tells the specimen's share: line noise is
    the same in all parts.

    Parameters
    ----------
    other : Profile
        Of the other axis.
    lines : int
        Lines along this axis.
    may_be_noise : bool
        Whether the other axis may have line noise of its own.

    Returns
    -------
    Tensor of float64, shape (K, lines)
    """
    # one straight edge across all of the image has power at all frequencies
    usual = as_profile([_clipped(d) for d in other.differences])
    power = least_squares(usual, usual.pulls).square()
    excess = (_over_an_octave(power, lines) - _over_an_octave(other.error, lines)).clamp_min(0)
    if may_be_noise:
        varying = excess[1 : len(excess) // 2]  # the others tell the variance
        excess[0] = torch.minimum(excess[0], _CONSTANT * varying.amax(0))
    return _SPECIMEN * excess


def _clipped(differences: Differences) -> Differences:
    """Differences without those that are much larger than most."""
    orders = differences.orders
    usual = 1.4826 * orders.abs().median(1, keepdim=True).values
    most = _CLIP * torch.maximum(usual, differences.variance.mean().sqrt())
    return Differences(differences.size, orders.clamp(-most, most), differences.variance)


def _over_an_octave(power: torch.Tensor, lines: int) -> torch.Tensor:
    """Mean over the frequencies around each one, at the frequencies of another number of lines."""
    total = torch.nn.functional.pad(power[..., 1:].cumsum(-1), (1, 0))
    most = total.shape[-1] - 1
    frequency = torch.arange(lines, dtype=torch.float64) / lines * power.shape[-1]
    low = (frequency / _OCTAVE).floor().long().sub(1).clamp(0, most - 1)
    high = (frequency * _OCTAVE).ceil().long().clamp(1, most)
    high = torch.maximum(high, low + 2).clamp_max(most)
    low = torch.minimum(low, high - 1)
    return (total[..., high] - total[..., low]) / (high - low)


def noise_power(power: torch.Tensor, error: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Expected power of line noise by frequency: ``A·f^−b``, whichever is most likely.

    Parameters
    ----------
    power : Tensor of float64, shape (W,)
        Of the least-squares offsets.
    error : Tensor of float64, shape (W,)
        Its part that is error or specimen.

    Returns
    -------
    power : Tensor of float64, shape (W,)
    nats : float
        By which the description of the offsets gets shorter than without noise.
    """
    lines = len(power)
    every = torch.arange(1, lines, dtype=torch.float64) / lines
    first = min(max(round(2 * _SLOWEST * lines), 2 * _SLOW_CYCLES), lines // 2)
    frequency, power, error = every[first - 1 :], power[first:], error[first:]
    nothing = float((error.log() + power / error).sum())
    best, saved = torch.zeros_like(every), -math.inf
    for slope in _SLOPES:
        shape = frequency**-slope
        height = 2 * float((power / shape).median())
        for _ in range(_ROUNDS):
            expected = height * shape
            passed = expected / (expected + error)
            height = float(((passed.square() * power + passed * error) / shape).mean())
        expected = height * shape
        nats = (nothing - float(((expected + error).log() + power / (expected + error)).sum())) / 2
        if nats > saved:
            best, saved = height * every**-slope, nats
    return torch.nn.functional.pad(best, (1, 0)), saved


def slow_excess(power: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """Power of slow changes that is far more than expected: illumination, and large things.

    Parameters
    ----------
    power, expected : Tensor of float64, shape (W,)
        Of the least-squares offsets, by frequency.

    Returns
    -------
    Tensor of float64, shape (W,)
        Zero where it is not far more, and for all but slow changes.
    """
    lines = len(power)
    found, usual = _over_an_octave(power, lines), _over_an_octave(expected, lines)
    excess = torch.where(found > _UNUSUAL * usual, found - usual, 0.0)
    excess[2 * _SLOW_CYCLES :] = 0
    return excess
