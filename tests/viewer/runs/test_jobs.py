"""The jobs of runs, without a thread, a viewer or a window."""

import dask.array as da
import numpy as np
import pytest
import torch

from napari_periodic_denoise.noise.progress import Progress, Stage
from napari_periodic_denoise.pretrained import weights
from napari_periodic_denoise.runtime.steps import finish
from napari_periodic_denoise.viewer.layers.masks import NothingMarkedError
from napari_periodic_denoise.viewer.layers.plane import Plane
from napari_periodic_denoise.viewer.runs import jobs, thread

OPTIONS = {"method": "aligned", "gram": False}


def denoise(data, plane=Plane(), *, rgb=False, masks=None):  # noqa: B008 - frozen
    return finish(jobs.denoise(data, plane, rgb=rgb, options=OPTIONS, masks=masks))


def failing(stage, error):
    """An engine with an error after a stage began."""

    def run(image, **options):
        yield Progress(Stage.READ, 0, 2, "reading the image")
        if stage is not Stage.READ:
            yield Progress(stage, 1, 2, "looking for waves")
        raise error

    return run


def test_a_plane_of_a_stack(engine, image):
    stack = np.stack([image, image + 1, image + 2])
    outcome = denoise(stack, Plane((1, 2), (1,)))
    np.testing.assert_array_equal(engine.images[0], stack[1])
    np.testing.assert_array_equal(outcome.image, stack[1])
    assert outcome.start == (1, 0, 0)
    assert outcome.cleaned.shape == (1, *image.shape)


def test_statuses_are_the_engines(engine, image):
    engine.half_way = True
    run = jobs.denoise(image, Plane(), rgb=False, options=OPTIONS)
    statuses = list(run)
    assert [status.message for status in statuses[:2]] == ["starting torch", "reading the image"]
    assert (statuses[-1].message, statuses[-1].done, statuses[-1].total) == ("done", 2, 2)
    (so_far,) = (status.cleaned for status in statuses if status.cleaned is not None)
    assert so_far.shape == image.shape


@pytest.mark.parametrize("make", [lambda pixels: pixels, torch.from_numpy])
def test_the_engine_makes_the_checks(engine, make):
    data = make(np.full((32, 40), np.nan))
    engine.error = ZeroDivisionError()  # after it got the image
    with pytest.raises(ZeroDivisionError):
        denoise(data)
    assert engine.images[0] is data


def test_alpha_does_not_reach_the_engine(engine, image):
    pixels = np.stack([image] * 4, axis=-1)
    outcome = denoise(pixels, rgb=True)
    assert engine.images[0].shape == (*image.shape, 3)
    assert engine.options[0]["channel_axis"] == -1
    np.testing.assert_array_equal(outcome.cleaned[..., 3], image)


@pytest.mark.parametrize("error", [TypeError("of text"), ValueError("too small"), OSError("gone")])
def test_errors_while_reading_are_messages(monkeypatch, image, error):
    error.add_note("in plane 3")
    monkeypatch.setattr(jobs, "load_engine", lambda: failing(Stage.READ, error))
    with pytest.raises(thread.CannotRunError) as caught:
        denoise(image)
    assert str(caught.value) == f"This layer cannot be processed: {error} in plane 3"


def test_errors_after_reading_are_bugs(monkeypatch, image):
    monkeypatch.setattr(jobs, "load_engine", lambda: failing(Stage.DETECT, ValueError("a bug")))
    with pytest.raises(ValueError, match="a bug"):
        denoise(image)


def test_data_that_cannot_be_read(engine, image):
    def fail(block):
        raise OSError("the disk is gone")

    lazy = da.from_array(image).map_blocks(fail, meta=image[:0, :0])
    with pytest.raises(thread.CannotRunError, match="cannot be processed: the disk is gone"):
        denoise(lazy)
    assert not engine.images


def test_masks_are_computed_here(engine, image):
    mask = image > 100
    denoise(image, masks={"protect": lambda: mask})
    assert engine.options[0]["protect"] is mask


def test_an_empty_area_stops_the_run_unless_it_may_be_elsewhere(engine, image):
    def nothing():
        raise NothingMarkedError("“drawn” marks nothing")

    part = Plane(part=((0, 20), (0, 20)))
    denoise(image, part, masks={"protect": nothing})
    assert "protect" not in engine.options[0]
    for plane, name in ((Plane(), "protect"), (part, "exemplar")):
        with pytest.raises(thread.CannotRunError, match="“drawn” marks nothing"):
            denoise(image, plane, masks={name: nothing})


def test_waves_are_left_out(engine, image):
    outcome = denoise(image)
    fewer = finish(jobs.select(outcome, [(0.0, 0.1)]))
    assert not fewer.noise.any()
    np.testing.assert_array_equal(fewer.cleaned, image)


@pytest.mark.parametrize("lazy", [False, True])
def test_all_planes_or_the_displayed_one(engine, image, lazy):
    stack = np.stack([image, image + 1, image + 2])
    data = da.from_array(stack, chunks=(3, 16, 40)) if lazy else stack
    outcome = finish(
        jobs.denoise_planes(
            data, Plane((1, 2), (1,)), rgb=False, model="per_plane", options=OPTIONS
        )
    )
    assert len(engine.images) == (1 if lazy else 3)
    assert bool(outcome.computed) == lazy
    assert hasattr(outcome.noise, "compute") == lazy
    assert outcome.plane.index == (1,)
    np.testing.assert_array_equal(engine.images[-1], stack[1 if lazy else 2])


def test_the_spectrum_of_colours_without_alpha():
    y, x = np.indices((64, 80))
    wave = 50 * np.cos(2 * np.pi * (0.125 * y + 0.25 * x))
    grain = np.random.default_rng(0).normal(0, 10, wave.shape)
    pixels = np.stack([100 + grain + wave] * 3 + [np.full_like(wave, np.nan)], axis=-1)
    spectrum = finish(jobs.compute_spectrum(pixels, Plane(), rgb=True, features="edges"))
    row, column = np.unravel_index(spectrum.excess.argmax(), spectrum.excess.shape)
    found = np.array([spectrum.fy[row], spectrum.fx[column]])
    np.testing.assert_allclose(np.sign(found[0]) * found, (0.125, 0.25), atol=1 / 64)
    with pytest.raises(thread.CannotRunError, match="cannot be processed"):
        finish(jobs.compute_spectrum(np.zeros((4, 4)), Plane(), rgb=False, features="edges"))


def test_missing_weights_say_where_to_get_them():
    with pytest.raises(jobs.MissingWeightsError) as caught:
        finish(jobs.find_weights("vgg16", None))
    assert caught.value.source == weights.imagenet_source("vgg16")
    assert str(caught.value).endswith(".")


def test_a_damaged_file_of_weights(tmp_path):
    path = tmp_path / "vgg16.pth"
    path.write_text("<html>404</html>")
    with pytest.raises(thread.CannotRunError) as caught:
        finish(jobs.check_weights("vgg16", path))
    assert str(path) in str(caught.value)


def test_a_download_counts_its_bytes(serve):
    source = serve(bytes(3 << 20))
    run = jobs.download_weights(source)
    statuses = list(run)
    assert statuses[1].message == "connecting"
    assert statuses[-1].message == "downloading, 3 of 3 MB"
    assert (statuses[-1].done, statuses[-1].total) == (3072, 3072)
    assert source.path.stat().st_size == 3 << 20


def test_a_download_of_another_file_is_a_message(serve):
    source = serve(b"something else", digits="0123abcd")
    with pytest.raises(thread.CannotRunError, match="has the wrong content"):
        finish(jobs.download_weights(source))
    assert not source.path.exists()
