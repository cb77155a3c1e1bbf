"""An engine for tests of what is around the engine."""

import time
from threading import Event

import numpy as np

from napari_periodic_denoise import NoiseEstimate, Progress, Wave


def make_estimate(image, amplitude=3.0):
    wave = Wave((0.0, 0.1), amplitude, 0.0, 1e-9, 100.0)
    noise = amplitude * np.cos(2 * np.pi * 0.1 * np.arange(image.shape[1], dtype=np.float32))
    noise = np.broadcast_to(noise, image.shape).astype(np.float32)
    return NoiseEstimate(
        noise=noise,
        cleaned=(image - noise).astype(image.dtype),
        waves=(wave,),
        settings={"method": "aligned"},
        removed_variance=0.5,
    )


class FakeEngine:
    """Stands in for iter_estimate_noise: quick, and does as it is told."""

    def __init__(self):
        self.images = []
        self.hold = Event()  # while set, the engine works on and on
        self.error = None
        self.amplitude = 3.0
        self.in_step = None  # called in every step, with what the engine holds

    def __call__(self, image, *, method):
        assert method == "aligned"
        self.images.append(image)
        held = np.ones(1000)
        yield Progress("detect", 0, 2, "reading the image")
        yield Progress("detect", 1, 2, "looking for waves")
        if self.error:
            raise self.error
        while True:
            if self.in_step:
                self.in_step(held)
            if not self.hold.is_set():
                break
            time.sleep(0.01)
            yield Progress("fit", 1, 2, "fitting 1 wave")
        yield Progress("fit", 2, 2, "done")
        return make_estimate(image, self.amplitude)
