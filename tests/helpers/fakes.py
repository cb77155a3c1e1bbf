"""An engine for tests of what is around the engine."""

import time
from dataclasses import replace
from threading import Event

import numpy as np

from napari_periodic_denoise import NoiseEstimate, Progress, Wave
from napari_periodic_denoise.noise.progress import Stage
from napari_periodic_denoise.noise.waves.wave import Rejected
from napari_periodic_denoise.noise.wording import Cause


def make_estimate(image, amplitude=3.0, remainder="none", method="aligned", gram=False):
    """Vertical stripes; of an image in colour in all but its last channel, green twice as much.

    As one wave, or as a remainder where one is asked for, or as a texture.
    """
    shape = image.shape[:2]
    wave = Wave((0.0, 0.1), amplitude, 0.0, 1e-9, 100.0)
    noise = amplitude * np.cos(2 * np.pi * 0.1 * np.arange(shape[1], dtype=np.float32))
    noise = np.broadcast_to(noise, shape).astype(np.float32)
    waves = [wave]
    if image.ndim == 3:
        noise = np.stack([noise, 2 * noise, 0 * noise], axis=-1)
        waves = [replace(wave, amplitude=2 * amplitude, channel=1), wave]
    no_waves = remainder not in ("none", "auto") or method == "texture"
    return NoiseEstimate(
        noise=noise,
        cleaned=(image - noise).astype(image.dtype),
        waves=() if no_waves else tuple(waves),
        settings={
            "method": method,
            "remainder": remainder,
            "channel_axis": None if image.ndim == 2 else -1,
            "gram": gram,
            "protect": None,
            "device": "cpu",
        },
        removed_variance=0.5,
        remainder_variance=0.5 if no_waves else 0.0,
        rejected=(Rejected((0.2, 0.3), 1e-4, Cause.FEW_PARTS),),
        gram={"conv1_1": np.eye(64, dtype=np.float32)} if gram else {},
    )


class FakeEngine:
    """Stands in for iter_estimate_noise: quick, and does as it is told."""

    def __init__(self):
        self.images = []
        self.options = []
        self.hold = Event()  # while set, the engine works on and on
        self.error = None
        self.amplitude = 3.0
        self.half_way = False  # whether it shows an image of which half the noise is taken away
        self.in_step = None  # called in every step, with what the engine holds

    def __call__(self, image, **options):
        self.images.append(image)
        self.options.append(options)
        held = np.ones(1000)
        yield Progress(Stage.READ, 0, 2, "reading the image")
        yield Progress(Stage.DETECT, 1, 2, "looking for waves")
        if self.error:
            raise self.error
        if options["method"] == "texture":
            for share in (0.5, 1.0):
                preview = np.float32(share) * image
                yield Progress(Stage.FIT, 1, 2, f"texture, {share}", preview)
        if self.half_way:
            half = make_estimate(image, self.amplitude / 2).cleaned
            yield Progress(Stage.DETECT, 1, 2, "looking for waves (1 found)", cleaned=lambda: half)
        while True:
            if self.in_step:
                self.in_step(held)
            if not self.hold.is_set():
                break
            time.sleep(0.01)
            yield Progress(Stage.FIT, 1, 2, "fitting 1 wave")
        yield Progress(Stage.FIT, 2, 2, "done")
        remainder = options.get("remainder", "none")
        return make_estimate(image, self.amplitude, remainder, options["method"], options["gram"])
