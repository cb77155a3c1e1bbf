"""Options of an estimate: choices, defaults and checks, each defined once.

This module does not import torch, since the command's help, the dock and the manifest must not
wait for it.
"""

from __future__ import annotations

import math
import numbers
import os
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from inspect import Parameter, signature
from typing import Any, Literal, TypeVar, get_args

Method = Literal["aligned", "gram_aligned", "texture"]
Network = Literal["vgg16", "vgg19"]
Features = Literal["edges", "cosines", "vgg16", "vgg19"]
Weights = Literal["imagenet", "random"]
Optimizer = Literal["adam", "lbfgs"]
NoiseModel = Literal["auto", "additive", "multiplicative"]
Remainder = Literal["auto", "none", "quasi-periodic", "stripes"]
Suggestions = Literal["keep", "remove"]
StackModel = Literal["per_plane", "shared", "drifting"]

METHODS: tuple[Method, ...] = get_args(Method)
NETWORKS: tuple[Network, ...] = get_args(Network)
FEATURES: tuple[Features, ...] = get_args(Features)
WEIGHTS: tuple[Weights, ...] = get_args(Weights)
OPTIMIZERS: tuple[Optimizer, ...] = get_args(Optimizer)
NOISE_MODELS: tuple[NoiseModel, ...] = get_args(NoiseModel)
REMAINDERS: tuple[Remainder, ...] = get_args(Remainder)
SUGGESTIONS: tuple[Suggestions, ...] = get_args(Suggestions)
STACK_MODELS: tuple[StackModel, ...] = get_args(StackModel)

DEFAULT_FEATURES: Mapping[Method, Features] = {
    "aligned": "edges",
    "gram_aligned": "vgg19",
    "texture": "vgg19",
}
#: Layers of Gatys, Ecker & Bethge (2015), with the weights of the usual recipe.
LAYER_WEIGHTS: Mapping[str, float] = {
    "conv1_1": 1.0,
    "conv2_1": 0.75,
    "conv3_1": 0.2,
    "conv4_1": 0.2,
    "conv5_1": 0.2,
}
#: Layer before the first pooling that finds the most waves (benchmarks.networks).
DETECTION_LAYERS: Mapping[str, float] = {"conv1_2": 1.0}
#: Largest numbers of steps: of the published synthesis, and of the refinement
#: (benchmarks.gram_aligned).
DEFAULT_STEPS: Mapping[Method, int] = {"texture": 2000, "gram_aligned": 60}
DEFAULT_MAX_SIZE = 400  # pixels; takes minutes on a CPU (docs/textbook.md)
DEFAULT_SENSITIVITY = 1e-3  # false alarms per image: one clean image in a thousand has one

#: Options of a model that all planes of a stack share.
SHARED_OPTIONS = (
    "features",
    "noise_model",
    "remainder",
    "suggestions",
    "sensitivity",
    "device",
    "seed",
    "channel_axis",
)
_SHARED_REMAINDERS = ("auto", "none")

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Options:
    """Options of `estimate_noise`, checked and completed.

    Attributes
    ----------
    method, features, layers, weights, weights_path, optimizer, steps, max_size, noise_model, \
    remainder, suggestions, channel_axis, exemplar, protect, protect_edge, proposed, \
    sensitivity, gram, device, seed
        As for `estimate_noise`. ``features`` and ``layers`` get the defaults of the method.
        ``layers`` maps names to weights, and is empty without a network. The estimate checks
        areas and proposed frequencies against the shape of the image.

    Raises
    ------
    TypeError
        If an option is unknown.
    ValueError
        If a value is not one of its choices, or out of its range.
    """

    method: Method = "aligned"
    features: Any = None
    layers: Any = None
    weights: Weights = "imagenet"
    weights_path: Any = None
    optimizer: Optimizer = "adam"
    steps: int | None = None
    max_size: int = DEFAULT_MAX_SIZE
    noise_model: NoiseModel = "auto"
    remainder: Remainder = "auto"
    suggestions: Suggestions = "keep"
    channel_axis: int | None = None
    exemplar: Any = None
    protect: Any = None
    protect_edge: float | None = None
    proposed: Sequence[tuple[float, float]] = ()
    sensitivity: float = DEFAULT_SENSITIVITY
    gram: bool = False
    device: Any = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)
        features = DEFAULT_FEATURES[self.method] if self.features is None else self.features
        check_choice("features", features, FEATURES if self.method == "aligned" else NETWORKS)
        layers = _layer_weights(self.layers, self.method, features)
        check_choice("weights", self.weights, WEIGHTS)
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        steps = None if self.steps is None else _whole("steps", self.steps, 1)
        max_size = _whole("max_size", self.max_size, 1)
        check_choice("noise_model", self.noise_model, NOISE_MODELS)
        check_choice("remainder", self.remainder, REMAINDERS)
        check_choice("suggestions", self.suggestions, SUGGESTIONS)
        channel_axis = self.channel_axis
        if channel_axis is not None:
            channel_axis = _whole("channel_axis", channel_axis)
        protect_edge = self.protect_edge
        if protect_edge is not None:
            protect_edge = _real("protect_edge", protect_edge, "a number of pixels, 0 or more", 0)
        sensitivity = _real("sensitivity", self.sensitivity, "a positive number of false alarms")
        seed = _whole("seed", self.seed, 0, 2**63 - 1)
        path = None if self.weights_path is None else os.fspath(self.weights_path)
        checked = {
            "features": features,
            "layers": layers,
            "weights_path": path,
            "steps": steps,
            "max_size": max_size,
            "channel_axis": channel_axis,
            "protect_edge": protect_edge,
            "proposed": tuple(as_frequencies(self.proposed, "proposed")),
            "sensitivity": sensitivity,
            "gram": bool(self.gram),
            "seed": seed,
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Options:
        """Make options from a mapping.

        Parameters
        ----------
        given : mapping of str to value
            Options that differ from the defaults.

        Returns
        -------
        Options
        """
        names = option_names()
        unknown = [name for name in given if name not in names]
        if unknown:
            raise TypeError(
                f"expected options among {', '.join(names)}, got {', '.join(map(str, unknown))}"
            )
        return cls(**given)

    @property
    def needs_network(self) -> bool:
        """Whether the features are feature maps of a network."""
        return self.features in NETWORKS

    @property
    def max_steps(self) -> int:
        """Largest number of steps of the texture or the refinement; 0 for other methods."""
        return DEFAULT_STEPS.get(self.method, 0) if self.steps is None else self.steps

    def as_settings(self, **resolved: Any) -> dict[str, Any]:  # noqa: ANN401
        """Return the options as plain values for JSON.

        Parameters
        ----------
        **resolved
            Values that replace the given ones, such as the name of the device, or areas as
            rectangles.

        Returns
        -------
        dict
        """
        settings = {name: getattr(self, name) for name in option_names()}
        settings["layers"] = dict(self.layers) or None
        settings["proposed"] = [list(frequency) for frequency in self.proposed]
        return settings | resolved


def option_names() -> tuple[str, ...]:
    """Return the names of all options, in the order of the signature."""
    return tuple(field.name for field in fields(Options))


def changed_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that differ from the defaults of `estimate_noise`.

    Parameters
    ----------
    settings : mapping
        Settings from `Options.as_settings`.

    Returns
    -------
    dict
    """
    method = settings["method"]
    usual = Options(method=method).as_settings(method=Options().method)
    usual["steps"] = DEFAULT_STEPS.get(method)
    usual["layers"] = dict(DETECTION_LAYERS if method == "aligned" else LAYER_WEIGHTS)
    return {
        name: settings[name]
        for name, default in usual.items()
        if settings.get(name, default) not in (None, default)
    }


def check_shared(model: str, options: Options) -> None:
    """Check that a model of all planes supports the options.

    Parameters
    ----------
    model : str
        ``"shared"`` or ``"drifting"``.
    options : Options

    Raises
    ------
    ValueError
        If an option is only supported for single planes.
    """
    usual = Options().as_settings()
    for name, value in options.as_settings().items():
        if name not in SHARED_OPTIONS and name != "layers" and value is not usual[name]:
            if isinstance(value, int | float | str | list) and value == usual[name]:
                continue
            raise ValueError(
                f"{name}={reprlib.repr(value)} is not supported with model={model!r}, which "
                f"supports {', '.join(SHARED_OPTIONS[:-1])}: omit it, or use model='per_plane'"
            )
    if options.remainder not in _SHARED_REMAINDERS:
        raise ValueError(
            f"remainder={options.remainder!r} is not supported with model={model!r}, which "
            f"supports {', '.join(_SHARED_REMAINDERS)}: omit it, or use model='per_plane'"
        )
    if options.needs_network:
        maps = [name for name in FEATURES if name not in NETWORKS]
        raise ValueError(
            f"features={options.features!r} need a network; with model={model!r} use one of "
            f"{', '.join(maps)}, or use model='per_plane'"
        )


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """Check that a value is one of its choices.

    Parameters
    ----------
    name : str
        Name of the option.
    value : object
    choices : tuple

    Raises
    ------
    ValueError
        If it is not. The message lists the choices.
    """
    if not any(isinstance(value, type(choice)) and value == choice for choice in choices):
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name}={reprlib.repr(value)} is not one of the choices: {listed}")


def as_frequencies(
    frequencies: Sequence[tuple[float, float]], name: str
) -> list[tuple[float, float]]:
    """Convert frequencies to plain numbers.

    Parameters
    ----------
    frequencies : sequence of tuple of float
        ``(fy, fx)`` in cycles/pixel.
    name : str
        Name of the option for errors.

    Returns
    -------
    list of tuple of float

    Raises
    ------
    ValueError
        If they are not pairs of finite numbers.
    """
    import numpy as np  # late, since the command's help needs no arrays

    try:
        array = np.asarray(frequencies, dtype=np.float64)
    except (TypeError, ValueError):  # no numbers, or tuples of different lengths
        array = np.asarray(np.nan)
    if not array.size:
        return []
    if array.ndim != 2 or array.shape[1] != 2 or not np.isfinite(array).all():
        raise ValueError(
            f"expected {name} as a list of frequencies (fy, fx) in cycles/pixel, got "
            f"{reprlib.repr(frequencies)}"
        )
    return [(fy, fx) for fy, fx in array.tolist()]


def with_options(function: F) -> F:
    """Add each option to the signature of a function that takes ``**options``.

    Parameters
    ----------
    function : callable

    Returns
    -------
    callable
        The function itself. `help` and completion list the options with their defaults.
    """
    plain = signature(function)
    kept = [p for p in plain.parameters.values() if p.kind is not Parameter.VAR_KEYWORD]
    names = {parameter.name for parameter in kept}
    options = [
        Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default)
        for field in fields(Options)
        if field.name not in names and field.default is not MISSING
    ]
    new = plain.replace(parameters=[*kept, *options])
    function.__signature__ = new  # type: ignore[attr-defined]
    return function


def _layer_weights(
    layers: Sequence[str] | Mapping[str, float] | None, method: Method, features: str
) -> dict[str, float]:
    """Return the layers of a network with their weights; none without a network."""
    if features not in NETWORKS:
        if layers:
            raise ValueError(
                f"layers={reprlib.repr(layers)} need a network, got features={features!r}: omit "
                f"layers, or choose one of {', '.join(NETWORKS)}"
            )
        return {}
    if layers is None:
        return dict(DETECTION_LAYERS if method == "aligned" else LAYER_WEIGHTS)
    if isinstance(layers, str):
        layers = (layers,)
    if isinstance(layers, Mapping):
        return {str(layer): float(weight) for layer, weight in layers.items()}
    return {layer: LAYER_WEIGHTS.get(layer, 1.0) for layer in layers}


def _whole(name: str, value: object, low: int | None = None, high: int | None = None) -> int:
    """Return a whole number within its bounds."""
    bounds = "" if low is None else f" from {low}" + ("" if high is None else f" to {high}")
    number = int(value) if isinstance(value, numbers.Integral) else None
    if (
        number is None
        or (low is not None and number < low)
        or (high is not None and number > high)
    ):
        raise ValueError(f"expected {name} as a whole number{bounds}, got {value!r}")
    return number


def _real(name: str, value: object, what: str, low: float | None = None) -> float:
    """Return a finite number that is positive, or at least ``low``."""
    number = float(value) if isinstance(value, numbers.Real) else math.nan
    if not (math.isfinite(number) and (number > 0 if low is None else number >= low)):
        raise ValueError(f"expected {name} as {what}, got {value!r}")
    return number
