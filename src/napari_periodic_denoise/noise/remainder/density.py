"""Spectral density of stripes and of quasi-periodic textures."""

from __future__ import annotations

import math

import torch
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d, pad

from napari_periodic_denoise.noise.robust import MAD_TO_SIGMA
from napari_periodic_denoise.noise.statistics.gram import hann

Grid = tuple[int, int]

_MAX_PERIOD = 64.0  # pixels; slower noise is the base level, which is kept

# Stripes. benchmarks.rejection (hard and soft stripes, clean images) checks these numbers.
_CONE = 0.2  # slope of the cone; a stripe is at least five times as long as wide
_FIRST_RADIUS = 16  # cycles across the grid; below, directions are not resolved
_AROUND = 0.2  # radians to each side with which a direction is compared
_CAP = 3.0  # log power; caps the peaks of waves and the gaps
_ROW = 8  # cycles across the grid that are averaged along the line
_GAP = 4  # cycles between the line, which the taper blurs, and its surroundings
_BESIDE = 3.0  # width of the surroundings, in widths of the cone
_CLEAR = 1.0  # smallest excess of noise, in units of its surroundings

# Quasi-periodic textures. benchmarks.rejection (weave, clean images) checks these numbers.
_WINDOW = 128  # pixels
_MIN_WINDOW = 32  # pixels; smaller images have no quasi-periodic noise
_MAX_WINDOWS = 12  # along each axis
_MIN_CYCLES = 8  # per window; slower textures are the specimen's
_REACH = 10  # bins of the local median
_PRESENT = 2.0  # times the surroundings, from which on a window shows the noise
_MIN_SHOWING = 0.6  # share of the windows that must show the noise


def frequencies(grid: Grid, device: torch.device | str = "cpu") -> tuple[torch.Tensor, ...]:
    """Frequencies of ``torch.fft.rfft2`` in cycles/pixel.

    Parameters
    ----------
    grid : tuple of int
        ``(h, w)``.
    device : torch.device or str

    Returns
    -------
    fy : Tensor of float32, shape (h, 1)
    fx : Tensor of float32, shape (1, w // 2 + 1)
    """
    fy = torch.fft.fftfreq(grid[0], device=device)[:, None]
    return fy, torch.fft.rfftfreq(grid[1], device=device)[None]


def stripe_density(
    features: torch.Tensor, grid: Grid, window: Grid, sensitivity: float
) -> torch.Tensor:
    """Spectral density of stripes in one direction, which is detected.

    The spectrum of stripes is a line through zero frequency, at right angles to them. The
    direction is that of the largest log power relative to neighbouring directions. By the
    a-contrario rule, n normal directions reach ``√(2·ln(n/sensitivity))`` standard deviations by
    chance. The density is the power on the line minus the power beside it at the same frequency.

    Parameters
    ----------
    features : Tensor of float32, shape (C, H, W)
    grid : tuple of int
        Even numbers of frequencies along y and x, at least the size of the window.
    window : tuple of int
        Height and width of the windows whose power is averaged.
    sensitivity : float
        Expected number of false alarms in an image without stripes.

    Returns
    -------
    Tensor of float32, shape (h, w // 2 + 1)
        Variance of the features per (cycle/pixel)². Zero without stripes.
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
    # keep only excess that is connected with the line
    stands_out = (excess > _CLEAR * surroundings).long()
    right = stands_out[:, middle:].cumprod(1)
    left = stands_out[:, : middle + 1].flip(1).cumprod(1).flip(1)
    excess *= torch.cat([left[:, :-1], right], 1)

    density = torch.zeros_like(power)
    density[on_line] = excess.flatten()[cell[on_line]]
    return density * (1 - (frequency * _MAX_PERIOD).clamp_min(1) ** -2)


def texture_density(features: torch.Tensor, grid: Grid, sensitivity: float) -> torch.Tensor:
    """Spectral density of quasi-periodic noise, which most windows show.

    The mean log power of small windows is robust against high power in few windows. It is
    compared with its median around each frequency, and with its median over all directions,
    since the pass band of a specimen or a lens has no direction. An excess over both of
    ``√(2·ln(n/sensitivity))`` standard deviations seeds a region. Half of that excess extends it.

    Parameters
    ----------
    features : Tensor of float32, shape (C, H, W)
    grid : tuple of int
        Numbers of frequencies along y and x.
    sensitivity : float
        Expected number of false alarms in an image without periodic noise.

    Returns
    -------
    Tensor of float32, shape (h, w // 2 + 1)
        Variance of the features per (cycle/pixel)². Zero without noise.
    """
    size = min(_WINDOW, 2 * (min(features.shape[1:]) // 4))
    if size < _MIN_WINDOW:
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
    fast = frequency >= _MIN_CYCLES
    bulk = excess[fast] - excess[fast].median()
    tests = size * size / 2
    deviation = MAD_TO_SIGMA * float(bulk.abs().median())
    threshold = deviation * _normal_threshold(tests / sensitivity)
    level = surroundings.exp()
    present = (_smoothed(windows) > _PRESENT * level).float().mean(0) >= _MIN_SHOWING
    region = fast & (excess > max(threshold, math.log1p(_CLEAR / 2))) & present
    if not bool(region.any()):
        return features.new_zeros(grid[0], grid[1] // 2 + 1)
    extent = fast & (excess > threshold / 2)
    for _ in range(size // 4):
        region = _grown(region) & extent
    density = torch.where(region, log_power.exp() - level, 0.0) * math.exp(
        _log_bias(len(features))
    )
    return _resampled(density, grid)


def _log_bias(channels: int) -> float:
    """Log of the mean power of independent channels, minus the mean of its log.

    The sum of C exponential variables follows a gamma law, so it is ``ln C − ψ(C)``.
    """
    return math.log(channels) - float(torch.digamma(torch.tensor(float(channels))))


def _normal_threshold(tests: float) -> float:
    """Standard deviations that a normal variable exceeds about once in so many tests."""
    return math.sqrt(2 * math.log(max(tests, math.e)))


def _power(windows: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Power summed over channels, per (cycle/pixel)². It is positive, for the logarithm."""
    h, w = windows.shape[1:]
    total = windows.new_zeros(grid[0], grid[1] // 2 + 1)
    for channel in windows:
        total += torch.view_as_real(torch.fft.rfft2(channel, s=grid)).square().sum(2)
    return total.div_(h * w).clamp_min_(torch.finfo(total.dtype).tiny)


def _mean_power(features: torch.Tensor, grid: Grid, window: Grid) -> torch.Tensor:
    """Power averaged over tapered windows, shape (h, w // 2 + 1)."""
    h, w = (min(n, m) for n, m in zip(features.shape[1:], window, strict=True))
    taper = hann(h, features.device)[:, None] * hann(w, features.device)
    starts = [(y, x) for y in _spread(features.shape[1], h) for x in _spread(features.shape[2], w)]
    total = features.new_zeros(grid[0], grid[1] // 2 + 1)
    for y, x in starts:
        total += _power(features[:, y : y + h, x : x + w] * taper, grid)
    return total.div_(len(starts))


def _spread(length: int, window: int) -> list[int]:
    """First pixels of windows that overlap by half; at most `_MAX_WINDOWS` of them."""
    gap = length - window
    steps = min(math.ceil(2 * gap / window), _MAX_WINDOWS - 1)
    return [round(i * gap / max(steps, 1)) for i in range(steps + 1)]


def _direction(power: torch.Tensor, grid: Grid, sensitivity: float) -> float | None:
    """Angle of the strongest line through zero, in radians from x towards y, if significant."""
    h, w = grid
    n = max(grid)
    device = power.device
    angle = torch.arange(math.ceil(math.pi * n / 2), device=device) * (2 / n)
    radius = torch.arange(_FIRST_RADIUS, n // 2 - 1, device=device) / n
    ky = (angle.sin()[:, None] * radius * h).round().long()
    kx = (angle.cos()[:, None] * radius * w).round().long()
    half_plane = torch.where(kx < 0, -1, 1)
    polar = power[half_plane * ky % h, half_plane * kx].log()
    level = _angular_mean(polar, n)
    level = _angular_mean(torch.minimum(polar, level + _CAP), n)
    score = (polar - level).clamp(-_CAP, _CAP).mean(1)
    deviation = MAD_TO_SIGMA * (score - score.median()).abs().median()
    best = int(score.argmax())
    threshold = deviation * _normal_threshold(math.pi * n / sensitivity)
    return float(angle[best]) if score[best] > threshold else None


def _angular_mean(polar: torch.Tensor, n: int) -> torch.Tensor:
    """Mean over neighbouring directions, which are periodic."""
    reach = round(_AROUND * n / 2)
    total = pad(polar.T[None], (reach + 1, reach), mode="circular")[0].T.cumsum(0)
    return (total[2 * reach + 1 :] - total[: -2 * reach - 1]) / (2 * reach + 1)


def _cell_means(values: torch.Tensor, cell: torch.Tensor, shape: Grid) -> torch.Tensor:
    """Weighted mean of the values in each cell and in its neighbours along the first axis."""
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
    """Pad half planes, shape (n, h, w // 2 + 1), with the frequencies around them."""
    wrapped = torch.cat([values[:, -reach:], values, values[:, :reach]], 1)
    return pad(wrapped[:, None], (reach, reach, 0, 0), mode="reflect")


def _smoothed(values: torch.Tensor) -> torch.Tensor:
    """Mean over 3×3 bins of half planes, shape (n, h, w // 2 + 1)."""
    return avg_pool2d(_around(values, 1), 3, stride=1)[:, 0]


def _grown(region: torch.Tensor) -> torch.Tensor:
    """Dilate a region of a half plane by one bin."""
    return max_pool2d(_around(region[None].float(), 1), 3, stride=1)[0, 0] > 0


def _local_median(values: torch.Tensor) -> torch.Tensor:
    """Median over 21×21 bins of a half plane."""
    reach = min(_REACH, values.shape[1] - 1)
    side = 2 * reach + 1
    framed = _around(values[None], reach)[0, 0]
    return framed.unfold(0, side, 1).unfold(1, side, 1).flatten(2).median(2).values


def _resampled(density: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Interpolate a density linearly from a square window's frequencies to the grid's."""
    size = density.shape[0]
    fy, fx = (f.flatten() * size for f in frequencies(grid, density.device))
    below = fy.floor().long()
    share = (fy - below)[:, None]
    rows = density[below % size] * (1 - share) + density[(below + 1) % size] * share
    below = fx.floor().long().clamp(max=size // 2 - 1)
    share = fx - below
    return rows[:, below] * (1 - share) + rows[:, below + 1] * share
