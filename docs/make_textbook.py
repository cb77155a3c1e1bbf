"""Draw the figures of docs/textbook.md, from scikit-image's camera and VGG16's weights.

``PYTHONPATH=. python docs/make_textbook.py [--weights PATH] [--steps N]``
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.families import Array, rejection
from benchmarks.methods import FREQUENCY, SIZE, noisy, sinusoid
from napari_periodic_denoise import estimate_noise
from napari_periodic_denoise.noise.gram_matching.refine import noise_grams
from napari_periodic_denoise.noise.gram_matching.texture import gram_loss, synthesize_texture
from napari_periodic_denoise.noise.robust import robust_range
from napari_periodic_denoise.noise.statistics.features import gradient
from napari_periodic_denoise.noise.statistics.networks import (
    Network,
    feature_maps,
    gram_matrices,
    load_network,
    to_network,
)

IMAGES = Path(__file__).parent / "images"
PHASES = np.linspace(-np.pi, np.pi, 41)


def tensor(array: np.ndarray) -> torch.Tensor:
    """Array as a tensor for the engine."""
    return torch.from_numpy(array.astype(np.float32))


def show(axes: Axes, image: np.ndarray, title: str, limits: tuple[float, float]) -> None:
    """Draw an image with its title."""
    axes.imshow(image, cmap="gray", vmin=limits[0], vmax=limits[1], interpolation="nearest")
    axes.set_title(title, fontsize=9)
    axes.axis("off")


def figure(rows: int, columns: int, size: float = 2.2) -> tuple[Figure, np.ndarray]:
    """Make a figure with a grid of axes."""
    made = Figure(figsize=(size * columns, (size + 0.3) * rows), layout="constrained", dpi=110)
    return made, made.subplots(rows, columns, squeeze=False)


def save(made: Figure, name: str) -> None:
    """Write a figure of the documentation."""
    made.savefig(IMAGES / name, pil_kwargs={"optimize": True})
    print(name)


@torch.no_grad()
def features(network: Network, image: np.ndarray) -> None:
    """Draw two maps of each layer, and its Gram matrix."""
    pixels = tensor(image)
    maps = feature_maps(network, to_network(pixels, robust_range(pixels)))
    grams = gram_matrices(network, to_network(pixels, robust_range(pixels)))
    made, axes = figure(3, len(maps))
    for column, (layer, channels) in enumerate(maps.items()):
        strongest = channels.var((1, 2)).argsort(descending=True)[:2]
        for row, channel in enumerate(strongest.tolist()):
            values = channels[channel].numpy()
            limits = tuple(np.percentile(values, (1, 99)))
            title = f"{layer}, map {channel}\n{values.shape[0]}×{values.shape[1]}"
            show(axes[row, column], values, title, limits)
        gram = grams[layer][:64, :64].numpy()
        limit = float(np.percentile(np.abs(gram), 99))
        title = f"Gram, 64 of {len(grams[layer])} channels"
        show(axes[2, column], gram, title, (-limit, limit))
    save(made, "textbook_gram.png")


def synthesis(network: Network, image: np.ndarray, noise: Array, steps: int) -> None:
    """Draw the texture from the random start on, and both subtractions."""
    frames: list[tuple[str, np.ndarray]] = []
    run = synthesize_texture(
        tensor(image), network, optimizer="lbfgs", steps=steps, preview_every=0
    )
    wanted = {2: "start", steps // 10: "", steps // 3: ""}  # a preview shows the step before
    while True:
        try:
            step = next(run)
        except StopIteration as end:
            texture = end.value.numpy()
            break
        if step.step in wanted and step.preview is not None:
            name = wanted[step.step] or f"step {step.step - 1}"
            frames.append((name, step.preview.numpy()))
    frames.append((f"step {steps}", texture))
    made, axes = figure(2, 4)
    limits = (float(image.min()), float(image.max()))
    for column, (title, frame) in enumerate(frames[:4]):
        show(axes[0, column], frame, f"texture: {title}", limits)
    estimate = estimate_noise(image)
    wrong = image - (texture - texture.mean())
    decibels = [rejection(n, noise) for n in (texture, estimate.noise)]
    show(axes[1, 0], image, "noisy image", limits)
    show(axes[1, 1], wrong, f"image − texture ({decibels[0]:.1f} dB)", limits)
    show(axes[1, 2], estimate.cleaned, f"image − waves ({decibels[1]:.1f} dB)", limits)
    show(axes[1, 3], estimate.noise, "waves", (-30, 30))
    save(made, "textbook_synthesis.png")


@torch.no_grad()
def phase(network: Network, image: np.ndarray) -> None:
    """Draw the Gram loss and the gradient of the same wave against its shift."""
    pixels = tensor(image)
    shown = robust_range(pixels)
    target = noise_grams(network, tensor(sinusoid(0.7)), shown)
    edges = gradient(pixels)
    gram, aligned = [], []
    for shift in PHASES:
        wave = tensor(sinusoid(0.7 + shift))
        gram.append(float(gram_loss(noise_grams(network, wave, shown), target)))
        aligned.append(float((edges - gradient(wave)).abs().mean() / edges.abs().mean()))
    weak = noise_grams(network, tensor(0.8 * sinusoid(0.7)), shown)
    made = Figure(figsize=(8, 2.8), layout="constrained", dpi=110)
    left, right = made.subplots(1, 2)
    left.semilogy(np.degrees(PHASES), gram, label="shifted")
    left.axhline(float(gram_loss(weak, target)), ls=":", color="C1", label="20% too weak")
    left.set_title("Gram loss against the noise's own matrices", fontsize=9)
    left.legend(fontsize=8)
    right.plot(np.degrees(PHASES), aligned)
    right.set_title("mean |∂(image − wave)|, in units of mean |∂ image|", fontsize=9)
    for axes in (left, right):
        axes.set_xlabel("shift of the wave, degrees", fontsize=8)
        axes.set_xticks([-180, -90, 0, 90, 180])
        axes.tick_params(labelsize=8)
    save(made, "textbook_phase.png")


def main() -> None:
    """Draw all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="file of VGG16's ImageNet weights")
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    mpl.use("agg")
    torch.set_num_threads(1)
    IMAGES.mkdir(exist_ok=True)
    network = load_network("vgg16", weights_path=options.weights)
    image, noise = noisy()
    print(f"one wave of period {1 / np.hypot(*FREQUENCY):.1f} px, {SIZE}²")
    features(network, image)
    phase(network, image)
    synthesis(network, image, noise, options.steps)


if __name__ == "__main__":
    main()
