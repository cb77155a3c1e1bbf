"""How much noise there is at each frequency: of stripes, and of quasi-periodic textures."""

from __future__ import annotations

import math

import torch
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d, pad

from napari_periodic_denoise.noise.statistics.gram import hann

Grid = tuple[int, int]

_WIDEST = 64.0  # pixels; what is slower is the base level, which is kept

# stripes
_CONE = 0.2  # a stripe is at least five times as long as wide
_FIRST_RADIUS = 16  # cycles across the grid, under which all directions look alike
_AROUND = 0.2  # radians to each side that a direction is compared with
_CAP = 3.0  # in log power, against peaks of waves and holes
_ROW = 8  # cycles across the grid that are averaged along the line
_GAP = 4  # cycles between the line, blurred by the taper, and what it is compared with
_BESIDE = 3.0  # widths of the cone up to which it is compared
_CLEAR = 1.0  # noise stands at least that far above its surroundings, in units of them

# quasi-periodic textures
_WINDOW = 128
_LEAST_WINDOW = 32
_MOST_WINDOWS = 12  # along each axis
_LEAST_CYCLES = 8  # per window
_REACH = 10
_PRESENT = 2.0  # times the surroundings
_MOST = 0.6  # of the windows


def frequencies(grid: Grid, device: torch.device | str = "cpu") -> tuple[torch.Tensor, ...]:
    """Frequencies of ``torch.fft.rfft2`` along y, shape (h, 1), and x, shape (1, w // 2 + 1)."""
    fy = torch.fft.fftfreq(grid[0], device=device)[:, None]
    return fy, torch.fft.rfftfreq(grid[1], device=device)[None]


def stripe_density(
    features: torch.Tensor, grid: Grid, window: Grid, sensitivity: float
) -> torch.Tensor:
    """Spectral density of stripes in one direction, whichever it is.

    Stripes have their spectrum on a line through zero frequency, at right angles to them. The
    direction is the one in which the log power stands out most from that of directions beside
    it; a-contrario, n directions of normal law reach ``√(2·ln(n/sensitivity))`` deviations. What
    lies on the line above the power beside it, farther from the line at the same frequency, is
    the density.

    Parameters
    ----------
    features : Tensor of float32, shape (C, H, W)
    grid : tuple of int
        Frequencies along y and x; even, and not smaller than the window.
    window : tuple of int
        Height and width of the parts whose power is averaged.
    sensitivity : float
        Number of false alarms to expect on an image without stripes.

    Returns
    -------
    Tensor of float32, shape (h, w // 2 + 1)
        Variance of the features per (cycle/pixel)²; zero everywhere if there are no stripes.
    """
    power = _mean_power(features, grid, window)
    angle = _direction(power, grid, sensitivity)
    if angle is None:
        return torch.zeros_like(power)
    dy, dx = math.sin(angle), math.cos(angle)
    fy, fx = frequencies(grid, power.device)
    half_plane = torch.where(fy * dy + fx * dx < 0, -1.0, 1.0)
    # across the stripes in cycles per pixel, and along them in cycles over the grid
    frequency = half_plane * (fy * dy + fx * dx)
    length = abs(dx) * grid[0] + abs(dy) * grid[1]
    along = half_plane * (fx * dy - fy * dx) * length
    reach = _CONE * frequency * length

    row = (frequency * (abs(dy) * grid[0] + abs(dx) * grid[1]) / _ROW).long()
    on_line = along.abs() <= reach + 0.5
    middle = round(float(reach.max())) + 1
    cell = row * (2 * middle + 1) + along.round().long() + middle
    shape = (int(row.max()) + 1, 2 * middle + 1)
    line = _cell_means(power[on_line], cell[on_line], shape)
    sides = []
    for aside in (along, -along):
        beside = (aside > _GAP + reach) & (aside < 2 * _GAP + _BESIDE * reach)
        sides.append(_cell_means(power[beside].log(), row[beside], (shape[0], 1)))
    surroundings = (torch.maximum(*sides) + _log_bias(len(features))).exp()
    excess = line - surroundings
    # only what hangs together with the line itself
    stands_out = (excess > _CLEAR * surroundings).long()
    right = stands_out[:, middle:].cumprod(1)
    left = stands_out[:, : middle + 1].flip(1).cumprod(1).flip(1)
    excess *= torch.cat([left[:, :-1], right], 1)

    density = torch.zeros_like(power)
    density[on_line] = excess.flatten()[cell[on_line]]
    return density * (1 - (frequency * _WIDEST).clamp_min(1) ** -2)


def texture_density(features: torch.Tensor, grid: Grid, sensitivity: float) -> torch.Tensor:
    """Spectral density of quasi-periodic noise: whatever stands out in most windows.

    The mean over small windows of the log power, which high power in few windows hardly lifts,
    is compared with its median around each frequency, and with that over all directions: a
    specimen's or a lens's pass band has no direction. Rising above both by
    ``√(2·ln(n/sensitivity))`` deviations seeds a region, which half of that extends.

    Parameters
    ----------
    features : Tensor of float32, shape (C, H, W)
    grid : tuple of int
        Frequencies along y and x.
    sensitivity : float
        Number of false alarms to expect on an image without periodic noise.

    Returns
    -------
    Tensor of float32, shape (h, w // 2 + 1)
        Variance of the features per (cycle/pixel)²; zero everywhere if there is none.
    """
    size = min(_WINDOW, 2 * (min(features.shape[1:]) // 4))
    if size < _LEAST_WINDOW:
        return features.new_zeros(grid[0], grid[1] // 2 + 1)
    taper = hann(size, features.device)[:, None] * hann(size, features.device)
    windows = torch.stack(
        [
            _power(features[:, y : y + size, x : x + size] * taper, (size, size))
            for y in _spread(features.shape[1], size)
            for x in _spread(features.shape[2], size)
        ]
    )
    log_power = windows.log().mean(0)
    frequency = torch.hypot(*frequencies((size, size), features.device)) * size
    ring = frequency.round().long()
    rings = torch.stack([log_power[ring == r].median() for r in range(int(ring.max()) + 1)])
    surroundings = torch.maximum(_local_median(log_power), rings[ring])
    excess = log_power - surroundings
    fast = frequency >= _LEAST_CYCLES
    bulk = excess[fast] - excess[fast].median()
    tests = size * size / 2
    least = 1.4826 * float(bulk.abs().median()) * _normal_threshold(tests / sensitivity)
    level = surroundings.exp()
    present = (_local_mean(windows) > _PRESENT * level).float().mean(0) >= _MOST
    region = fast & (excess > max(least, math.log1p(_CLEAR / 2))) & present
    if not bool(region.any()):
        return features.new_zeros(grid[0], grid[1] // 2 + 1)
    extent = fast & (excess > least / 2)
    for _ in range(size // 4):
        region = _grown(region) & extent
    density = torch.where(region, log_power.exp() - level, 0.0) * math.exp(
        _log_bias(len(features))
    )
    return _resampled(density, grid)


def _log_bias(channels: int) -> float:
    """By how much the mean log of the power of independent channels lies below that of the mean.

    The sum of C exponential variables follows a gamma law: ``ln C − ψ(C)``.
    """
    return math.log(channels) - float(torch.digamma(torch.tensor(float(channels))))


def _normal_threshold(tests: float) -> float:
    """Deviations that a normal variable exceeds once in so many tests, about."""
    return math.sqrt(2 * math.log(max(tests, math.e)))


def _power(windows: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Power summed over channels, per (cycle/pixel)²; positive, so that it has a logarithm."""
    h, w = windows.shape[1:]
    total = windows.new_zeros(grid[0], grid[1] // 2 + 1)
    for channel in windows:
        total += torch.view_as_real(torch.fft.rfft2(channel, s=grid)).square().sum(2)
    return total.div_(h * w).clamp_min_(torch.finfo(total.dtype).tiny)


def _mean_power(features: torch.Tensor, grid: Grid, window: Grid) -> torch.Tensor:
    h, w = (min(n, m) for n, m in zip(features.shape[1:], window, strict=True))
    taper = hann(h, features.device)[:, None] * hann(w, features.device)
    starts = [(y, x) for y in _spread(features.shape[1], h) for x in _spread(features.shape[2], w)]
    total = features.new_zeros(grid[0], grid[1] // 2 + 1)
    for y, x in starts:
        total += _power(features[:, y : y + h, x : x + w] * taper, grid)
    return total.div_(len(starts))


def _spread(length: int, window: int) -> list[int]:
    """First pixels of windows over all of the length that overlap by half, if not too many."""
    rest = length - window
    steps = min(math.ceil(2 * rest / window), _MOST_WINDOWS - 1)
    return [round(i * rest / max(steps, 1)) for i in range(steps + 1)]


def _direction(power: torch.Tensor, grid: Grid, sensitivity: float) -> float | None:
    """Angle of the line through zero that stands out, in radians from x towards y."""
    h, w = grid
    n = max(grid)
    device = power.device
    angle = torch.arange(math.ceil(math.pi * n / 2), device=device) * (2 / n)
    radius = torch.arange(_FIRST_RADIUS, n // 2 - 1, device=device) / n
    ky = (angle.sin()[:, None] * radius * h).round().long()
    kx = (angle.cos()[:, None] * radius * w).round().long()
    half_plane = torch.where(kx < 0, -1, 1)
    polar = power[half_plane * ky % h, half_plane * kx].log()
    level = _turned_mean(polar, n)
    level = _turned_mean(torch.minimum(polar, level + _CAP), n)
    score = (polar - level).clamp(-_CAP, _CAP).mean(1)
    deviation = 1.4826 * (score - score.median()).abs().median()
    best = int(score.argmax())
    least = deviation * _normal_threshold(math.pi * n / sensitivity)
    return float(angle[best]) if score[best] > least else None


def _turned_mean(polar: torch.Tensor, n: int) -> torch.Tensor:
    """Mean over neighbouring directions, which go on around."""
    reach = round(_AROUND * n / 2)
    total = pad(polar.T[None], (reach + 1, reach), mode="circular")[0].T.cumsum(0)
    return (total[2 * reach + 1 :] - total[: -2 * reach - 1]) / (2 * reach + 1)


def _cell_means(values: torch.Tensor, cell: torch.Tensor, shape: Grid) -> torch.Tensor:
    """Mean of the values in each cell and those before and after it along the first axis."""
    size = shape[0] * shape[1]
    kernel = values.new_tensor([1, 2, 3, 2, 1]).view(1, 1, 5, 1) / 9
    total, count = (
        conv2d(pad(t.view(1, 1, *shape).to(values), (0, 0, 2, 2), mode="replicate"), kernel)[0, 0]
        for t in (
            torch.bincount(cell, weights=values, minlength=size),
            torch.bincount(cell, minlength=size),
        )
    )
    return total / count.clamp_min(1e-9)


def _around(values: torch.Tensor, reach: int) -> torch.Tensor:
    """Half planes, shape (n, h, w // 2 + 1), with a frame of the frequencies around them."""
    wrapped = torch.cat([values[:, -reach:], values, values[:, :reach]], 1)
    return pad(wrapped[:, None], (reach, reach, 0, 0), mode="reflect")


def _local_mean(values: torch.Tensor) -> torch.Tensor:
    return avg_pool2d(_around(values, 1), 3, stride=1)[:, 0]


def _grown(region: torch.Tensor) -> torch.Tensor:
    return max_pool2d(_around(region[None].float(), 1), 3, stride=1)[0, 0] > 0


def _local_median(values: torch.Tensor) -> torch.Tensor:
    reach = min(_REACH, values.shape[1] - 1)
    side = 2 * reach + 1
    framed = _around(values[None], reach)[0, 0]
    return framed.unfold(0, side, 1).unfold(1, side, 1).flatten(2).median(2).values


def _resampled(density: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Interpolate linearly from the frequencies of a square window to those of the grid."""
    size = density.shape[0]
    fy, fx = (f.flatten() * size for f in frequencies(grid, density.device))
    below = fy.floor().long()
    share = (fy - below)[:, None]
    rows = density[below % size] * (1 - share) + density[(below + 1) % size] * share
    below = fx.floor().long().clamp(max=size // 2 - 1)
    share = fx - below
    return rows[:, below] * (1 - share) + rows[:, below + 1] * share
