"""Feature maps of VGG networks, and their Gram matrices."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.nn import Conv2d, MaxPool2d, ReLU

from napari_periodic_denoise.noise.robust import Range
from napari_periodic_denoise.noise.statistics.gram import gram_matrix
from napari_periodic_denoise.options import LAYER_WEIGHTS, WEIGHTS, check_choice
from napari_periodic_denoise.pretrained.vgg import vgg_features
from napari_periodic_denoise.pretrained.weights import find_weights, load_weights

# layers and their weights in the loss, as the textbook recipe has them
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_TILE = 512  # pixels a side; conv1 of VGG takes 256 bytes a pixel and map


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A convolutional network, cut after the deepest layer that is looked at.

    Attributes
    ----------
    name : str
        ``"vgg16"`` or ``"vgg19"``.
    layers : dict of str to int
        The layers looked at and their places in the stack, shallow first.
    stack : Sequential
        3×3 convolutions, ReLUs and 2×2 max-poolings; frozen, in eval mode.
    """

    name: str
    layers: dict[str, int]
    stack: torch.nn.Sequential

    @property
    def stride(self) -> int:
        """Pixels between two neighbours in the deepest map."""
        return 1 << sum(isinstance(module, MaxPool2d) for module in self.stack)

    @property
    def reach(self) -> int:
        """Pixels, a multiple of the stride, beyond which none tells in the deepest map."""
        reach, stride = 0, 1
        for module in self.stack:
            if isinstance(module, Conv2d):
                reach += stride
            elif isinstance(module, MaxPool2d):
                reach += stride
                stride *= 2
        return stride * math.ceil(reach / stride)


def layer_places(network: str) -> dict[str, int]:
    """Convolutions of a network by name, ``conv1_1``..., and their places in its features.

    Parameters
    ----------
    network : {"vgg16", "vgg19"}

    Returns
    -------
    dict of str to int
        Shallow first. The number before the underscore counts up after each pooling.
    """
    places, block, within = {}, 1, 0
    for place, module in enumerate(vgg_features(network)):
        if isinstance(module, Conv2d):
            within += 1
            places[f"conv{block}_{within}"] = place
        elif isinstance(module, MaxPool2d):
            block, within = block + 1, 0
    return places


def load_network(
    name: str = "vgg19",
    layers: Sequence[str] = tuple(LAYER_WEIGHTS),
    *,
    weights: str = "imagenet",
    weights_path: str | os.PathLike[str] | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Network:
    """Build a network as deep as the layers need.

    Parameters
    ----------
    name : {"vgg19", "vgg16"}
    layers : sequence of str
        Convolutions to look at, ``conv1_1``...
    weights : {"imagenet", "random"}
        Trained on ImageNet, from a file on this computer (see `weights.find_weights`); or
        random filters, which serve for the statistics of textures too [1]_ [2]_: normal, of
        variance 2 / (9 · input channels), which keeps the size of the maps, and no bias.
    weights_path : path-like, optional
        See `weights.find_weights`.
    seed : int
        Of the random weights.
    device : torch.device or str

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        If a name is not one of the choices.
    WeightsError
        If the weights are not there or can't be used; an OSError.
    ImportError
        If torchvision can't be imported.

    References
    ----------
    .. [1] I. Ustyuzhaninov, W. Brendel, L. Gatys, M. Bethge, "Texture synthesis using shallow
       convolutional networks with random filters", 2016.
    .. [2] K. He, Y. Wang, J. Hopcroft, "A powerful generative model using random weights for
       the deep image representation", NIPS 2016.
    """
    places = layer_places(name)
    unknown = [layer for layer in layers if layer not in places]
    if unknown or not layers:
        asked = f"layer {unknown[0]!r}" if unknown else "no layer"
        raise ValueError(f"{asked} was asked for; those of {name} are: {', '.join(places)}")
    check_choice("weights", weights, WEIGHTS)
    wanted = {layer: place for layer, place in places.items() if layer in layers}
    stack = torch.nn.Sequential(*list(vgg_features(name))[: max(wanted.values()) + 1])
    if weights == "imagenet":
        state = load_weights(name, find_weights(name, weights_path), stack.state_dict())
        state = {key: state[key] for key in stack.state_dict()}
    else:
        state = _random_weights(stack, seed)
    stack.load_state_dict(state, assign=True)
    return Network(name, wanted, stack.to(device).eval().requires_grad_(False))


def to_network(image: torch.Tensor, shown: Range) -> torch.Tensor:
    """Intensities as the network was trained on: to [0, 1], then ImageNet's mean and deviation.

    Parameters
    ----------
    image : Tensor of float32, shape (H, W) or (3, H, W)
        Grey, which becomes three equal channels, or RGB.
    shown : Range

    Returns
    -------
    Tensor of float32, shape (3, H, W)
    """
    mean, std = _imagenet(image)
    return ((image - shown.low) / (shown.high - shown.low) - mean) / std


def from_network(maps: torch.Tensor, shown: Range, *, grey: bool) -> torch.Tensor:
    """Undo `to_network`.

    Parameters
    ----------
    maps : Tensor of float32, shape (3, H, W)
    shown : Range
        As went in.
    grey : bool
        Return the mean of the three channels.

    Returns
    -------
    Tensor of float32, shape (H, W) or (3, H, W)
    """
    mean, std = _imagenet(maps)
    image = (maps * std + mean) * (shown.high - shown.low) + shown.low
    return image.mean(0) if grey else image


def feature_maps(network: Network, maps: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the convolutions give, before the ReLU that follows.

    Parameters
    ----------
    network : Network
    maps : Tensor of float32, shape (3, H, W)
        See `to_network`; at least one stride of the network high and wide.

    Returns
    -------
    dict of str to Tensor of float32, shape (C, h, w)
        By layer, shallow first; h and w are H and W, halved and rounded down at each pooling.

    Raises
    ------
    ValueError
        If the image is too small.

    Notes
    -----
    Before the ReLU, as a widely used tutorial [1]_ takes them: a map keeps its sign, and a
    ``conv1_1`` map is linear in the image. Gatys et al. rectify first.

    References
    ----------
    .. [1] A. Jacq, "Neural transfer using PyTorch", PyTorch tutorials.
    """
    if min(maps.shape[1:]) < network.stride:
        raise ValueError(
            f"{list(network.layers)[-1]} of {network.name} needs an image of at least "
            f"{network.stride}×{network.stride} pixels, not {tuple(maps.shape[1:])}"
        )
    found = {}
    names = {place: name for name, place in network.layers.items()}
    batch = maps[None]  # in place, autograd is slow with views, which single images would be
    for place, module in enumerate(network.stack):
        if isinstance(module, ReLU):  # in place only where the map before it is not kept
            batch = torch.relu(batch) if place - 1 in names else batch.relu_()
        else:
            batch = module(batch)
        if place in names:
            found[names[place]] = batch[0]
    return found


def gram_matrices(
    network: Network, maps: torch.Tensor, *, tile: int = _TILE
) -> dict[str, torch.Tensor]:
    """Gram matrix of each layer, see `gram.gram_matrix`.

    An image larger than a tile is worked on in parts, each with as much around it as tells in
    its feature maps: the result is that of the whole but for rounding.

    Parameters
    ----------
    network : Network
    maps : Tensor of float32, shape (3, H, W)
        See `to_network`.
    tile : int
        Pixels a side.

    Returns
    -------
    dict of str to Tensor of float32, shape (C, C)
        By layer, shallow first.
    """
    total: dict[str, torch.Tensor] = {}
    count = dict.fromkeys(network.layers, 0)
    for part in feature_tiles(network, maps, tile):
        for name, features in part.items():
            pixels = features.shape[1] * features.shape[2]
            gram = gram_matrix(features) * pixels
            total[name] = total[name] + gram if name in total else gram
            count[name] += pixels
    return {name: gram / count[name] for name, gram in total.items()}


def feature_tiles(
    network: Network, maps: torch.Tensor, tile: int = _TILE
) -> Iterator[dict[str, torch.Tensor]]:
    """Feature maps of an image part by part: together those of the whole, without overlap.

    Parameters
    ----------
    network : Network
    maps : Tensor of float32, shape (3, H, W)
    tile : int
        Pixels a side; rounded to the network's stride, so that the poolings stay aligned.

    Yields
    ------
    dict of str to Tensor of float32, shape (C, h, w)
        Parts row by row, see `feature_maps`.
    """
    size = network.stride * max(1, tile // network.stride)
    for top, bottom in _spans(maps.shape[1], size, network.stride):
        for left, right in _spans(maps.shape[2], size, network.stride):
            above, before = (max(0, start - network.reach) for start in (top, left))
            part = maps[:, above : bottom + network.reach, before : right + network.reach]
            found = {}
            for name, features in feature_maps(network, part).items():
                stride = _stride(network, name)
                y, x = (top - above) // stride, (left - before) // stride
                h, w = (bottom - top) // stride, (right - left) // stride
                found[name] = features[:, y : y + h, x : x + w]
            yield found


def _spans(length: int, size: int, stride: int) -> list[tuple[int, int]]:
    """Starts and ends of parts; the rest of less than a stride goes to the last one."""
    starts = [0] if length <= size else [s for s in range(0, length, size) if s + stride <= length]
    return list(zip(starts, [*starts[1:], length], strict=True))


def _stride(network: Network, layer: str) -> int:
    """Pixels between two neighbours in a layer's map."""
    above = list(network.stack)[: network.layers[layer]]
    return 1 << sum(isinstance(module, MaxPool2d) for module in above)


def _imagenet(like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mean, std = (like.new_tensor(v)[:, None, None] for v in (_IMAGENET_MEAN, _IMAGENET_STD))
    return mean, std


def _random_weights(stack: torch.nn.Sequential, seed: int) -> dict[str, torch.Tensor]:
    """Filters of He et al. 2015, drawn layer by layer: more layers change none before them."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, value in stack.state_dict().items():
        if key.endswith("bias"):
            state[key] = torch.zeros(value.shape)
        else:
            spread = math.sqrt(2 / value[0].numel())
            state[key] = spread * torch.randn(value.shape, generator=generator)
    return state
