"""Hum along scan lines: waves of the same frequency along all lines, of any phase in each.

The lines are the columns of the tensors here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn.functional import max_pool1d, pad

from napari_periodic_denoise.noise.lines.texture import local_scale
from napari_periodic_denoise.noise.waves.frequency import Frequency

# Of 27 whole clean images only a scanned text and two lattices exceed 1.8 times the background in
# all groups of lines; made hum of `benchmarks.lines` has 19 times and more, real hum 3.4.
_STANDS_OUT = 2.5
_FAINTEST = 0.02  # of the most that one stands out; clipped waves have such sums of frequencies
_PARTS = 8  # groups of lines, and parts along them
_QUICK = 128  # pairs of neighbouring lines for the quick look
_PAIRS = 1024  # for the frequencies
_CLIPPED = 1.5  # mean magnitudes
_FEWEST_CYCLES = 3  # along a line, so that a Hann window keeps them apart from the mean
_LOBE = 2  # frequencies to either side that this window spreads a wave to
_AROUND = 12  # frequencies to either side that make the background
_FEWEST_AROUND = 6
_FINE = 8  # steps per frequency
_MOST = 12  # frequencies
_SEARCHES = 3
_PIXELS_ALONG = 512  # of a line that are fitted, as in `differences`
_STEPS, _AGAIN = 5, 2  # of a fit, and of one that begins at another
_RIDGE = 1e-9  # of the mean curvature
_AVERAGED = 1 / 32  # of the frequencies over the lines, over which a spectrum is averaged
_LEAST_AVERAGED = 4  # of them to either side
_MOST_SHARE = 0.9999
_COMMON = 0.25  # of the power of 64 lines, which chance exceeds once in 400
_POINTS = 3  # of the spectrum over the lines
_PERIODIC = 0.5  # of its power in these points, which are waves then
_SURELY = 0.8  # before the fit, with the random noise; single waves have 0.95
_PIECES = 8.0  # cycles across the lines between waves that are pieces of hum


@dataclass(frozen=True, slots=True, eq=False)
class Hum:
    """Waves along lines, an amplitude and a phase in each.

    Attributes
    ----------
    frequencies : Tensor of float64, shape (F,)
        Along the lines, in cycles/pixel.
    coefficients : Tensor of complex128, shape (F, W)
        Each wave is the real part of ``coefficient · exp(2πi · frequency · y)``.
    nats : float
        What two halves of the lines tell of each other.
    """

    frequencies: torch.Tensor
    coefficients: torch.Tensor
    nats: float

    def draw(self, shape: tuple[int, int]) -> torch.Tensor:
        """Noise of float32 with the lines as columns, shape (H, W)."""
        return _waves(self.frequencies, shape[0]) @ _as_real(self.coefficients)

    def times(self, factor: float) -> Hum:
        """Return the hum of an image whose contrast is as many times as high."""
        return replace(self, coefficients=factor * self.coefficients)


def may_show_hum(
    pixels: torch.Tensor,
    ignored: torch.Tensor | None = None,
    waves: Sequence[Frequency] = (),
) -> bool:
    """Tell whether a frequency along the lines stands out in all groups of lines.

    Parameters
    ----------
    pixels : Tensor of float32, shape (H, W)
        Each column is a line.
    ignored : Tensor of bool, shape (H, W), optional
        Pixels that tell nothing, as saturated ones.
    waves : sequence of tuple of float
        See `find_hum`.

    Returns
    -------
    bool
        False as well if what stands out is a wave of the image.
    """
    return len(_peaks(_apart(pixels, ignored, _QUICK), waves, pixels.shape)) > 0


def find_hum(
    pixels: torch.Tensor,
    quantum: float,
    ignored: torch.Tensor | None = None,
    waves: Sequence[Frequency] = (),
) -> tuple[Hum, torch.Tensor] | None:
    """Find hum along lines that is no wave of the image.

    Parameters
    ----------
    pixels : Tensor of float32, shape (H, W)
        Each column is a line.
    quantum : float
        Step between two grey levels.
    ignored : Tensor of bool, shape (H, W), optional
        Pixels that tell nothing.
    waves : sequence of tuple of float
        Frequencies along and across the lines of waves that were found, and removed.

    Returns
    -------
    hum : Hum
    foretold : Tensor of float32, shape (H, W)
        Hum in the even ones of eight parts of the lines as the odd ones tell it, and the other
        way round. A specimen does not agree with it.

    Notes
    -----
    Frequencies stand out in the power of clipped differences between neighbouring lines, summed
    over all lines. The wave of each line and frequency is the one whose residual has the smallest
    differences, along the line and to both lines beside it, in the sense of a Cauchy law with
    the specimen's local texture as its scale.

    The lines' coefficients are then filtered by a Wiener filter over the lines. The power of the
    hum is what both halves of the lines have in common. Hum of unrelated phases is only made
    weaker by it, hum of related ones smooth. A frequency whose spectrum over the lines is a few
    points is left to the search for waves, unless that has taken several points of it.
    """
    pixels, ignored = pixels.cpu(), None if ignored is None else ignored.cpu()
    known = torch.ones_like(pixels) if ignored is None else (~ignored).to(pixels)
    frequencies = torch.zeros(0, dtype=torch.float64)
    fitted, rest = torch.zeros(0, pixels.shape[1]), pixels
    for _ in range(_SEARCHES):
        more = _peaks(_apart(rest, ignored, _PAIRS), waves, pixels.shape)
        if len(frequencies):
            apart = (more[:, None] - frequencies).abs().amin(1) * len(pixels)
            more = more[apart > _LOBE]
        if not len(more):
            break
        frequencies = torch.cat([frequencies, more])[:_MOST]
        fitted = _fitted(pixels, known, quantum, frequencies)
        rest = pixels - _waves(frequencies, len(pixels)) @ fitted
    if not len(frequencies):
        return None
    part = torch.arange(len(pixels)) * _PARTS // len(pixels)
    even = (part % 2 == 0)[:, None].to(pixels)
    halves = [
        _as_complex(_fitted(pixels, known * half, quantum, frequencies, fitted))
        for half in (even, 1 - even)
    ]
    coefficients = _as_complex(fitted)
    share = _common(coefficients, *halves)
    in_pieces = _in_pieces(frequencies, waves, pixels.shape)
    keep = (share.amax(1) > 0) & (in_pieces | (_in_points(coefficients) < _PERIODIC))
    if not bool(keep.any()):
        return None
    frequencies, share = frequencies[keep], share[keep]
    in_even, in_odd, coefficients = (
        torch.fft.ifft(torch.fft.fft(each[keep]) * share) for each in (*halves, coefficients)
    )
    drawn = _waves(frequencies, len(pixels))
    foretold = torch.where(even > 0, drawn @ _as_real(in_odd), drawn @ _as_real(in_even))
    return Hum(frequencies, coefficients, -float((1 - share).log().sum())), foretold


def _apart(pixels: torch.Tensor, ignored: torch.Tensor | None, pairs: int) -> torch.Tensor:
    """Differences between neighbouring lines, clipped, of so many pairs; shape (H, pairs)."""
    most = pixels.shape[1] - 1
    pairs = min(pairs, most)
    first = torch.arange(pairs, device=pixels.device) * (most // pairs)
    apart = pixels[:, first + 1] - pixels[:, first]
    apart -= apart.mean(0)
    if ignored is not None:
        apart.masked_fill_(ignored[:, first + 1] | ignored[:, first], 0)
    clip = _CLIPPED * apart.abs().mean(0)
    return apart.clamp_(-clip, clip)


def _excess(apart: torch.Tensor) -> torch.Tensor:
    """Power by frequency relative to the background, the least of all groups of lines."""
    window = torch.hann_window(len(apart), dtype=apart.dtype, device=apart.device)
    power = torch.fft.rfft(apart * window[:, None], dim=0).abs().square()
    groups = torch.stack([group.mean(1) for group in power.tensor_split(_PARTS, 1)]).cpu()
    # the geometric mean hardly knows of other peaks
    total = pad(groups.clamp_min(1e-30).log().cumsum(1), (1, 0))
    at = torch.arange(_FEWEST_CYCLES, len(power) - _LOBE)
    reach = (at - 1).clamp(_FEWEST_AROUND, _AROUND)
    low, high = (at - reach).clamp_min(1), (at + reach + 1).clamp_max(len(power))
    near = at - _LOBE, at + _LOBE + 1
    around = total[:, high] - total[:, low] - total[:, near[1]] + total[:, near[0]]
    background = (around / (high - low - 2 * _LOBE - 1)).exp()
    # odd and even pixels apart have no phase
    return pad((groups[:, at] / background).amin(0), (_FEWEST_CYCLES, _LOBE))


def _peaks(apart: torch.Tensor, waves: Sequence[Frequency], shape: Sequence[int]) -> torch.Tensor:
    """Frequencies that stand out and are no waves, in cycles/pixel; strongest first."""
    excess = _excess(apart)
    highest = max_pool1d(excess[None], 2 * _LOBE + 1, 1, _LOBE)[0]
    least = max(_STANDS_OUT, _FAINTEST * float(excess.max()))
    at = ((excess > least) & (excess == highest)).nonzero()[:, 0]
    at = at[excess[at].argsort(descending=True)]
    if not len(at):
        return at.double()
    length, apart = len(apart), apart.cpu()
    fine = (at[:, None] + torch.arange(-_FINE, _FINE + 1) / _FINE).double() / length
    window = torch.hann_window(length, dtype=apart.dtype)
    turned = (_waves(fine.flatten(), length) * window[:, None]).T @ apart
    turned = torch.complex(*turned.view(2, *fine.shape, -1))
    power = turned.abs().square().sum(2).log()
    best = power[:, 1:-1].argmax(1, keepdim=True) + 1
    before, there, after = (power.gather(1, best + i) for i in (-1, 0, 1))
    between = (before - after) / (2 * (before - 2 * there + after))
    found = (fine.gather(1, best) + between.clamp(-1, 1) / (_FINE * length))[:, 0]
    of_lines = turned[torch.arange(len(at)), best[:, 0]]
    return found[_in_pieces(found, waves, shape) | (_in_points(of_lines) < _SURELY)]


def _waves(frequencies: torch.Tensor, length: int) -> torch.Tensor:
    """Cosines and negative sines, shape (length, 2·F), float32."""
    phase = 2 * math.pi * torch.arange(length, dtype=torch.float64)[:, None] * frequencies
    return torch.cat([phase.cos(), -phase.sin()], 1).float()


def _as_real(coefficients: torch.Tensor) -> torch.Tensor:
    """Factors of the columns of `_waves`, shape (2·F, W), float32."""
    return torch.cat([coefficients.real, coefficients.imag]).float()


def _as_complex(factors: torch.Tensor) -> torch.Tensor:
    return torch.complex(*factors.double().chunk(2))


def _fitted(
    pixels: torch.Tensor,
    known: torch.Tensor,
    quantum: float,
    frequencies: torch.Tensor,
    start: torch.Tensor | None = None,
) -> torch.Tensor:
    """Factors of the waves of all lines by reweighted least squares, shape (2·F, W)."""
    height, width = pixels.shape
    along_line = min(height - 1, _PIXELS_ALONG)
    here = torch.arange(along_line) * (height - 1) // along_line
    waves = _waves(frequencies, height)
    waves, steps = waves[here], waves[here + 1] - waves[here]
    apart, pixels = pixels[here + 1] - pixels[here], pixels[here]
    known_along, known = known[here + 1] * known[here], known[here]
    known_across = known[:, 1:] * known[:, :-1]
    count = waves.shape[1]
    # products of two waves, so that the curvature of all lines is one product of matrices
    of_waves, of_steps = ((w[:, :, None] * w[:, None]).flatten(1) for w in (waves, steps))
    found = torch.zeros(count, width) if start is None else start
    for _ in range(_STEPS if start is None else _AGAIN):
        along, across = apart - steps @ found, (pixels - waves @ found).diff()
        across -= across.median(0).values  # the lines may have offsets
        weight = _weights(along, quantum).mul_(known_along)
        own = (weight.T @ of_steps).view(width, count, count).double()
        pull = (weight.mul_(along).T @ steps).double()
        weight = _weights(across, quantum).mul_(known_across)
        beside = (weight.T @ of_waves).view(width - 1, count, count).double()
        pulled = (weight.mul_(across).T @ waves).double()
        own += pad(beside, (0, 0, 0, 0, 1, 0)) + pad(beside, (0, 0, 0, 0, 0, 1))
        pull += pad(pulled, (0, 0, 1, 0)) - pad(pulled, (0, 0, 0, 1))
        found = found + _solved(own, beside, pull).T.float()
    return found


def _weights(rest: torch.Tensor, quantum: float) -> torch.Tensor:
    """Weights of a Cauchy law with the local texture as its scale."""
    scale = local_scale(rest.abs(), quantum / 2)
    return scale.square_().add_(rest.square()).reciprocal_()


def _solved(own: torch.Tensor, beside: torch.Tensor, pull: torch.Tensor) -> torch.Tensor:
    """Solve for all lines, each coupled to those beside it, by elimination line by line.

    Parameters
    ----------
    own : Tensor of float64, shape (W, n, n)
        Blocks on the diagonal.
    beside : Tensor of float64, shape (W − 1, n, n)
        Negative blocks beside the diagonal, symmetric.
    pull : Tensor of float64, shape (W, n)

    Returns
    -------
    Tensor of float64, shape (W, n)
    """
    width, count = pull.shape
    # all of a half may be saturated, which tells nothing
    ridge = _RIDGE * max(float(own.diagonal(dim1=1, dim2=2).mean()), _RIDGE)
    own = own + ridge * torch.eye(count, dtype=own.dtype)
    # what each line takes over from the one after it, and its value without that
    both = torch.cat([pad(beside, (0, 0, 0, 0, 0, 1)), pull[:, :, None]], 2)
    for line in range(width):
        if line:
            taken = beside[line - 1] @ both[line - 1]
            own[line] -= taken[:, :-1]
            both[line, :, -1] += taken[:, -1]
        both[line] = torch.linalg.solve(own[line], both[line])
    value: torch.Tensor = both[:, :, -1]
    for line in range(width - 2, -1, -1):
        value[line] += both[line, :, :-1] @ value[line + 1]
    return value


def _common(whole: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Share of the coefficients' power that two halves of the lines have in common.

    Parameters
    ----------
    whole, first, second : Tensor of complex128, shape (F, W)
        Coefficients fitted to all of the lines, and to each half.

    Returns
    -------
    Tensor of float64, shape (F, W)
        By frequency over the lines. Zero where it is small in all of them.
    """
    whole, first, second = (torch.fft.fft(each) for each in (whole, first, second))
    common, power = (first * second.conj()).real, whole.abs().square().clamp_min(1e-30)
    is_hum = common.sum(1, keepdim=True) > _COMMON * power.sum(1, keepdim=True)
    return (_averaged(common) / _averaged(power)).clamp(0, _MOST_SHARE) * is_hum


def _averaged(power: torch.Tensor) -> torch.Tensor:
    """Mean over the frequencies around each one; they are periodic."""
    half = max(round(power.shape[1] * _AVERAGED / 2), _LEAST_AVERAGED)
    around = pad(power[None], (half, half), mode="circular")[0]
    mean: torch.Tensor = around.unfold(1, 2 * half + 1, 1).mean(-1)
    return mean


def _in_points(coefficients: torch.Tensor) -> torch.Tensor:
    """Share of the power in few points of the spectrum over the lines, shape (F,)."""
    count = coefficients.shape[1]
    window = torch.hann_window(count)
    power = torch.fft.fft(coefficients * window).abs().square()
    rest = power.clone()
    for _ in range(_POINTS):
        near = rest.argmax(1, keepdim=True) + torch.arange(-_LOBE, _LOBE + 1)
        rest.scatter_(1, near % count, 0.0)
    share: torch.Tensor = 1 - rest.sum(1) / power.sum(1).clamp_min(1e-30)
    return share


def _in_pieces(
    frequencies: torch.Tensor, waves: Sequence[Frequency], shape: Sequence[int]
) -> torch.Tensor:
    """Whether waves have these frequencies along the lines, and several across them."""
    along, across = torch.tensor(waves, dtype=torch.float64).view(-1, 2).abs().T
    near = (along - frequencies[:, None]).abs() * shape[0] < 1
    first = across.masked_fill(~near, torch.inf).amin(1) if len(waves) else torch.inf
    last = across.masked_fill(~near, -torch.inf).amax(1) if len(waves) else -torch.inf
    return (torch.as_tensor(last) - first) * shape[1] > _PIECES
