"""Time and memory of one step of the Gram synthesis, compared with the bare network.

``python -m benchmarks.networks [--size N] [--network NAME] [--threads N] [--check]
[--margin M]``
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable

import torch

from benchmarks.speed import memory_above
from napari_periodic_denoise.noise.gram_matching.texture import gram_loss
from napari_periodic_denoise.noise.robust import Range
from napari_periodic_denoise.noise.statistics.networks import (
    gram_matrices,
    load_network,
    to_network,
)

MOST_BARE_PASSES = 1.3
RUNS = 9


def bare_pass(name: str, size: int) -> Callable[[], None]:
    """Torchvision's own layers down to the deepest of the five, forward and backward."""
    layers = load_network(name, weights="random").stack
    maps = torch.rand(1, 3, size, size, requires_grad=True)
    return lambda: layers(maps).sum().backward()


def gram_step(name: str, size: int) -> Callable[[], None]:
    """From a grey image to the loss of the five Gram matrices, and back."""
    network = load_network(name, weights="random")
    texture = torch.rand(size, size, requires_grad=True)
    with torch.no_grad():
        target = gram_matrices(network, to_network(torch.rand(size, size), Range(0, 1)))
    return lambda: gram_loss(
        gram_matrices(network, to_network(texture, Range(0, 1))), target
    ).backward()


def seconds(function: Callable[[], None]) -> float:
    """Return the time of a call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def peak_memory(case: str, name: str, size: int, threads: int) -> float:
    """Return the peak memory of a pass in MB, without the network, in a separate process."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_peak, (case, name, size, threads))


def _peak(case: str, name: str, size: int, threads: int) -> float:
    torch.set_num_threads(threads)
    step = {"bare": bare_pass, "gram": gram_step}[case](name, size)
    return memory_above(step) / 2**20


def main() -> int:
    """Print the time of a step in bare passes, and the memory of both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--network", default="vgg19")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="exit with 1 above the bound")
    parser.add_argument("--margin", type=float, default=1.0, help="factor on the bound")
    options = parser.parse_args()
    name, size = options.network, options.size
    torch.set_num_threads(options.threads)

    bare, gram = bare_pass(name, size), gram_step(name, size)
    seconds(bare), seconds(gram)
    # alternating, since the machine's speed drifts
    times = [(seconds(gram), seconds(bare)) for _ in range(RUNS)]
    ratio = statistics.median(ours / theirs for ours, theirs in times)
    step = statistics.median(ours for ours, _ in times)
    print(f"{name}, {size}×{size}: {step:.2f} s a Gram step, {ratio:.2f} bare passes")
    for case in ("bare", "gram"):
        memory = peak_memory(case, name, size, options.threads)
        print(f"peak memory of a {case} pass: {memory:.0f} MB")
    return int(options.check and ratio > options.margin * MOST_BARE_PASSES)


if __name__ == "__main__":
    sys.exit(main())
