"""torchvision's VGG networks, imported on first use and built without weights."""

from __future__ import annotations

from types import ModuleType

import torch

from napari_periodic_denoise.options import NETWORKS, check_choice
from napari_periodic_denoise.runtime.shared_libraries import load_triton

# A torchvision built for CUDA cannot load its operators with a torch built for the CPU, and its
# import fails when it registers these two. pip installs this pair if torch's CPU build was there
# first. The networks need no operators, so declaring the names is enough.
_BOX_OPERATORS = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
# a module variable, since the names exist only as long as the library object
_declared = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]


def torchvision_models() -> ModuleType:
    """Import ``torchvision.models``.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        If torchvision is not installed, or was built for another torch. The message says what
        to install.
    """
    load_triton()  # as torchvision does
    try:
        try:
            from torchvision import models
        except RuntimeError as error:
            if "operator torchvision::" not in str(error):
                raise
            for name in _BOX_OPERATORS:
                if not hasattr(torch.ops.torchvision, name):
                    _declared.define(name + _SIGNATURE)  # type: ignore[no-untyped-call]
            from torchvision import models
    except (ImportError, RuntimeError) as error:
        raise ImportError(
            f"VGG features need torchvision, which cannot be imported ({_first_line(error)}): "
            f"install the version for torch {torch.__version__} from the same source as torch; "
            "pip install torch torchvision installs a matching pair"
        ) from error
    module: ModuleType = models
    return module


def vgg_features(network: str) -> torch.nn.Sequential:
    """Convolutional part of a network on torch's meta device, with shapes but no values.

    Parameters
    ----------
    network : {"vgg16", "vgg19"}

    Returns
    -------
    Sequential
        3×3 convolutions, ReLUs and 2×2 max-poolings.

    Raises
    ------
    ImportError
        See `torchvision_models`.
    ValueError
        If the network is not one of the choices.
    """
    check_choice("network", network, NETWORKS)
    with torch.device("meta"):
        features: torch.nn.Sequential = getattr(torchvision_models(), network)().features
    return features


def _first_line(error: Exception) -> str:
    """First line of an error's message."""
    return str(error).strip().split("\n")[0]
