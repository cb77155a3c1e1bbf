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

# mean and standard deviation of RGB in ImageNet, as in torchvision's documentation of VGG
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_TILE = 512  # pixels a side; 64 maps of conv1 need 256 bytes per pixel, 64 MB per tile


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A convolutional network, cut after the deepest layer in use.

    Attributes
    ----------
    name : str
        ``"vgg16"`` or ``"vgg19"``.
    layers : dict of str to int
        Layers in use and their indices in the stack, shallow first.
    stack : Sequential
        3×3 convolutions, ReLUs and 2×2 max-poolings, frozen and in eval mode.
    """

    name: str
    layers: dict[str, int]
    stack: torch.nn.Sequential

    @property
    def stride(self) -> int:
        """Distance in pixels of two neighbours in the deepest map."""
        return 1 << sum(isinstance(module, MaxPool2d) for module in self.stack)

    @property
    def reach(self) -> int:
        """Radius of the deepest map's receptive field in pixels, a multiple of the stride."""
        reach, stride = 0, 1
        for module in self.stack:
            if isinstance(module, Conv2d):
                reach += stride
            elif isinstance(module, MaxPool2d):
                reach += stride
                stride *= 2
        return stride * math.ceil(reach / stride)


def layer_indices(network: str) -> dict[str, int]:
    """Convolutions of a network by name, ``conv1_1``..., and their indices in its features.

    Parameters
    ----------
    network : {"vgg16", "vgg19"}

    Returns
    -------
    dict of str to int
        Shallow first. The number before the underscore increases after each pooling.
    """
    indices, block, within = {}, 1, 0
    for index, module in enumerate(vgg_features(network)):
        if isinstance(module, Conv2d):
            within += 1
            indices[f"conv{block}_{within}"] = index
        elif isinstance(module, MaxPool2d):
            block, within = block + 1, 0
    return indices


def load_network(
    name: str = "vgg19",
    layers: Sequence[str] = tuple(LAYER_WEIGHTS),
    *,
    weights: str = "imagenet",
    weights_path: str | os.PathLike[str] | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Network:
    """Build a network up to the deepest requested layer.

    Parameters
    ----------
    name : {"vgg19", "vgg16"}
    layers : sequence of str
        Convolutions whose maps are needed, ``conv1_1``...
    weights : {"imagenet", "random"}
        ImageNet weights from a file on this computer (see `weights.find_weights`), or random
        filters, which also describe textures [1]_ [2]_. Random filters are normal with variance
        2 / (9 · input channels), which preserves the scale of the maps (He et al. 2015), without
        bias.
    weights_path : path-like, optional
        See `weights.find_weights`.
    seed : int
        Seed of the random weights.
    device : torch.device or str

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        If a name is not one of the choices.
    WeightsError
        If the weights are missing or unusable. It is an OSError.
    ImportError
        If torchvision cannot be imported.

    References
    ----------
    .. [1] I. Ustyuzhaninov, W. Brendel, L. Gatys, M. Bethge, "Texture synthesis using shallow
       convolutional networks with random filters", 2016.
    .. [2] K. He, Y. Wang, J. Hopcroft, "A powerful generative model using random weights for
       the deep image representation", NIPS 2016.
    """
    indices = layer_indices(name)
    unknown = [layer for layer in layers if layer not in indices]
    if unknown or not layers:
        given = repr(unknown[0]) if unknown else "no layer"
        raise ValueError(f"expected layers of {name} ({', '.join(indices)}), got {given}")
    check_choice("weights", weights, WEIGHTS)
    wanted = {layer: index for layer, index in indices.items() if layer in layers}
    stack = torch.nn.Sequential(*list(vgg_features(name))[: max(wanted.values()) + 1])
    if weights == "imagenet":
        state = load_weights(name, find_weights(name, weights_path), stack.state_dict())
        state = {key: state[key] for key in stack.state_dict()}
    else:
        state = _random_weights(stack, seed)
    stack.load_state_dict(state, assign=True)
    return Network(name, wanted, stack.to(device).eval().requires_grad_(False))


def to_network(image: torch.Tensor, span: Range) -> torch.Tensor:
    """Scale intensities as the network was trained: to [0, 1], then by ImageNet's statistics.

    Parameters
    ----------
    image : Tensor of float32, shape (H, W) or (3, H, W)
        Grey, which becomes three equal channels, or RGB.
    span : Range
        Intensities that become 0 and 1.

    Returns
    -------
    Tensor of float32, shape (3, H, W)
    """
    mean, std = _imagenet(image)
    return ((image - span.low) / (span.high - span.low) - mean) / std


def from_network(maps: torch.Tensor, span: Range, *, grey: bool) -> torch.Tensor:
    """Invert `to_network`.

    Parameters
    ----------
    maps : Tensor of float32, shape (3, H, W)
    span : Range
        Range that was given to `to_network`.
    grey : bool
        Whether to return the mean of the three channels.

    Returns
    -------
    Tensor of float32, shape (H, W) or (3, H, W)
    """
    mean, std = _imagenet(maps)
    image = (maps * std + mean) * (span.high - span.low) + span.low
    return image.mean(0) if grey else image


def feature_maps(network: Network, maps: torch.Tensor) -> dict[str, torch.Tensor]:
    """Outputs of the convolutions, before their ReLUs.

    Parameters
    ----------
    network : Network
    maps : Tensor of float32, shape (3, H, W)
        See `to_network`. H and W are at least the stride of the network.

    Returns
    -------
    dict of str to Tensor of float32, shape (C, h, w)
        By layer, shallow first. h and w are H and W, halved and rounded down at each pooling.

    Raises
    ------
    ValueError
        If the image is too small.

    Notes
    -----
    A map before the ReLU keeps its sign, and a ``conv1_1`` map is linear in the image. A widely
    used tutorial [1]_ does the same. Gatys et al. use the maps after the ReLU.

    References
    ----------
    .. [1] A. Jacq, "Neural transfer using PyTorch", PyTorch tutorials.
    """
    if min(maps.shape[1:]) < network.stride:
        raise ValueError(
            f"the image is {maps.shape[1]}×{maps.shape[2]} pixels; {list(network.layers)[-1]} of "
            f"{network.name} needs at least {network.stride}×{network.stride}"
        )
    outputs = {}
    names = {index: name for name, index in network.layers.items()}
    batch = maps[None]  # a batch, since single images are views, which slow autograd in place
    for index, module in enumerate(network.stack):
        if isinstance(module, ReLU):  # in place if the map before it is not an output
            batch = torch.relu(batch) if index - 1 in names else batch.relu_()
        else:
            batch = module(batch)
        if index in names:
            outputs[names[index]] = batch[0]
    return outputs


def gram_matrices(
    network: Network, maps: torch.Tensor, *, tile: int = _TILE
) -> dict[str, torch.Tensor]:
    """Gram matrix of each layer, see `gram.gram_matrix`.

    A large image is processed in tiles, each with a margin as wide as the receptive field. The
    result equals that of the whole image except for rounding.

    Parameters
    ----------
    network : Network
    maps : Tensor of float32, shape (3, H, W)
        See `to_network`.
    tile : int
        Size of a tile in pixels.

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
    """Feature maps of an image in tiles without overlap.

    Parameters
    ----------
    network : Network
    maps : Tensor of float32, shape (3, H, W)
        See `to_network`.
    tile : int
        Size of a tile in pixels, rounded to the network's stride to align the poolings.

    Yields
    ------
    dict of str to Tensor of float32, shape (C, h, w)
        Maps of each tile, row by row; see `feature_maps`.
    """
    size = network.stride * max(1, tile // network.stride)
    for top, bottom in _spans(maps.shape[1], size, network.stride):
        for left, right in _spans(maps.shape[2], size, network.stride):
            above, before = (max(0, start - network.reach) for start in (top, left))
            part = maps[:, above : bottom + network.reach, before : right + network.reach]
            cropped = {}
            for name, features in feature_maps(network, part).items():
                stride = _stride(network, name)
                y, x = (top - above) // stride, (left - before) // stride
                h, w = (bottom - top) // stride, (right - left) // stride
                cropped[name] = features[:, y : y + h, x : x + w]
            yield cropped


def _spans(length: int, size: int, stride: int) -> list[tuple[int, int]]:
    """Starts and ends of tiles. A rest of less than a stride belongs to the last tile."""
    starts = [0] if length <= size else [s for s in range(0, length, size) if s + stride <= length]
    return list(zip(starts, [*starts[1:], length], strict=True))


def _stride(network: Network, layer: str) -> int:
    """Distance in pixels of two neighbours in a layer's map."""
    above = list(network.stack)[: network.layers[layer]]
    return 1 << sum(isinstance(module, MaxPool2d) for module in above)


def _imagenet(like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """ImageNet's mean and standard deviation on a tensor's device, shape (3, 1, 1)."""
    mean, std = (like.new_tensor(v)[:, None, None] for v in (_IMAGENET_MEAN, _IMAGENET_STD))
    return mean, std


def _random_weights(stack: torch.nn.Sequential, seed: int) -> dict[str, torch.Tensor]:
    """Draw filters (He et al. 2015) layer by layer; more layers do not change the first."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, value in stack.state_dict().items():
        if key.endswith("bias"):
            state[key] = torch.zeros(value.shape)
        else:
            spread = math.sqrt(2 / value[0].numel())
            state[key] = spread * torch.randn(value.shape, generator=generator)
    return state
