import torch

from napari_periodic_denoise.noise.lines.differences import line_differences
from napari_periodic_denoise.noise.lines.outliers import fit_lines, fit_variation
from napari_periodic_denoise.noise.lines.profile import as_profile, specimen_power


def white(h, w, seed=0):
    return torch.randn(h, w, generator=torch.Generator().manual_seed(seed))


def measured(image):
    profile, other = (as_profile(line_differences(i, 1e-3)) for i in (image, image.T.contiguous()))
    return profile, specimen_power(other, profile.lines)


def fitted(noise, refused=None):
    profile, specimen = measured(noise + 0.3 * white(256, noise.shape[1], 1))
    return fit_lines(profile, specimen[0], refused)


def test_bad_columns_are_few_and_the_rest_stays():
    offsets = torch.zeros(200)
    offsets[[20, 77, 150]] = torch.tensor([1.0, -2.0, 0.5])
    found = fitted(offsets[None].expand(256, -1))
    assert sorted(found.single.tolist()) == [20, 77, 150]
    assert not len(found.jumps)
    assert found.rest.std() < 0.03
    error = found.outliers - (offsets - offsets.mean())
    assert error.abs().max() < 0.1


def test_jumps_stay_level_between():
    offsets = torch.zeros(200)
    offsets[50:] += 1
    offsets[120:] -= 2
    found = fitted(offsets[None].expand(256, -1))
    assert sorted(found.jumps.tolist()) == [50, 120]
    assert found.outliers[60:110].std() < 1e-6


def test_where_all_lines_differ_none_stands_out():
    offsets = white(1, 200, 5)
    found = fitted(offsets.expand(256, -1))
    assert not len(found.single)
    assert not len(found.jumps)
    error = found.rest - (offsets[0] - offsets.mean())
    assert error.var() < 0.05 * offsets.var()


def test_refused_lines_are_not_taken():
    offsets = torch.zeros(200)
    offsets[77] = 2
    refused = torch.zeros(400, dtype=torch.bool)
    refused[77] = True
    assert 77 not in fitted(offsets[None].expand(256, -1), refused).single


def test_no_noise_is_nothing():
    found = fitted(torch.zeros(256, 200))
    assert not len(found.single)
    assert not len(found.jumps)
    assert found.nats < 10


def test_variation_along_the_lines_is_taken_only_where_there_is_some():
    offsets = white(1, 200, 5)
    along = torch.cos(torch.pi * (torch.arange(256) + 0.5) / 256)[:, None]
    orders = fit_variation(*measured(0.3 * offsets * along + 0.3 * white(256, 200, 1)))
    error = orders[0] * 2**0.5 / 0.3 - (offsets[0] - offsets.mean())
    assert error.var() < 0.2 * offsets.var()
    assert orders[1:].square().sum() < 0.1 * orders[0].square().sum()
    constant = fit_variation(*measured(0.3 * offsets + 0.3 * white(256, 200, 1)))
    assert constant.numel() == 0 or constant.var() < 0.05 * orders[0].var()
