"""The options of an estimate: choices, defaults and checks, each defined once.

Nothing here imports torch: the command's help, the dock and the manifest read these definitions
and must not wait for it.
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
Remainder = Literal["none", "quasi-periodic", "stripes"]
StackModel = Literal["per_plane", "shared", "drifting"]

METHODS: tuple[Method, ...] = get_args(Method)
NETWORKS: tuple[Network, ...] = get_args(Network)
FEATURES: tuple[Features, ...] = get_args(Features)
WEIGHTS: tuple[Weights, ...] = get_args(Weights)
OPTIMIZERS: tuple[Optimizer, ...] = get_args(Optimizer)
NOISE_MODELS: tuple[NoiseModel, ...] = get_args(NoiseModel)
REMAINDERS: tuple[Remainder, ...] = get_args(Remainder)
STACK_MODELS: tuple[StackModel, ...] = get_args(StackModel)

DEFAULT_FEATURES: Mapping[Method, Features] = {
    "aligned": "edges",
    "gram_aligned": "vgg19",
    "texture": "vgg19",
}
#: The layers of Gatys, Ecker & Bethge (2015); the weights of the usual recipe fall with depth.
LAYER_WEIGHTS: Mapping[str, float] = {
    "conv1_1": 1.0,
    "conv2_1": 0.75,
    "conv3_1": 0.2,
    "conv4_1": 0.2,
    "conv5_1": 0.2,
}
#: The layer before the first pooling that finds the most waves (benchmarks.networks).
DETECTION_LAYERS: Mapping[str, float] = {"conv1_2": 1.0}
#: Steps at most: of the synthesis as published, and of the refinement (benchmarks.gram_aligned).
DEFAULT_STEPS: Mapping[Method, int] = {"texture": 2000, "gram_aligned": 60}
DEFAULT_MAX_SIZE = 400  # pixels; takes minutes on a CPU (docs/textbook.md)
DEFAULT_SENSITIVITY = 1e-3  # false alarms per image: one clean image in a thousand is examined

#: The options that a model shared by all planes of a stack can be found with.
SHARED_OPTIONS = ("features", "noise_model", "sensitivity", "device", "seed", "channel_axis")

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Options:
    """The options of `estimate_noise`, checked and completed.

    Attributes
    ----------
    method, features, layers, weights, weights_path, optimizer, steps, max_size, noise_model, \
    remainder, channel_axis, exemplar, protect, protect_edge, proposed, sensitivity, gram, \
    device, seed
        As for `estimate_noise`. ``features`` and ``layers`` are filled in with the method's
        defaults; ``layers`` maps names to weights and is empty without a network. Areas and
        proposed frequencies are checked against the image's shape by the estimate itself.

    Raises
    ------
    TypeError
        If there is no such option.
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
    remainder: Remainder = "none"
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
        """Return options by name.

        Parameters
        ----------
        given : mapping of str to value
            Those that differ from the defaults.
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
        """Whether the features are those of a network."""
        return self.features in NETWORKS

    @property
    def most_steps(self) -> int:
        """Steps of the texture or of the refinement, at most; 0 where there are none."""
        return DEFAULT_STEPS.get(self.method, 0) if self.steps is None else self.steps

    def as_settings(self, **resolved: Any) -> dict[str, Any]:  # noqa: ANN401
        """Return the options as plain values for JSON.

        Parameters
        ----------
        **resolved
            Values that the run has put in place of what was given: the device by name, areas
            as rectangles.
        """
        settings = {name: getattr(self, name) for name in option_names()}
        settings["layers"] = dict(self.layers) or None
        settings["proposed"] = [list(frequency) for frequency in self.proposed]
        return settings | resolved


def option_names() -> tuple[str, ...]:
    """Names of all options, in the order of the signature."""
    return tuple(field.name for field in fields(Options))


def changed_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those settings that `estimate_noise` does not choose by itself.

    Parameters
    ----------
    settings : mapping
        As `Options.as_settings` returns them.
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
    """Check that a model of all planes can be found with the options.

    Parameters
    ----------
    model : str
        ``"shared"`` or ``"drifting"``.
    options : Options

    Raises
    ------
    ValueError
        If an option only goes with single planes.
    """
    usual = Options().as_settings()
    for name, value in options.as_settings().items():
        if name not in SHARED_OPTIONS and name != "layers" and value is not usual[name]:
            if isinstance(value, int | float | str | list) and value == usual[name]:
                continue
            raise ValueError(
                f"{name}={reprlib.repr(value)} does not go with model={model!r}, which takes "
                f"{', '.join(SHARED_OPTIONS[:-1])} alone: leave it out, or take "
                "model='per_plane'"
            )
    if options.needs_network:
        maps = [name for name in FEATURES if name not in NETWORKS]
        raise ValueError(
            f"features={options.features!r} need a network; with model={model!r} take one of "
            f"{', '.join(maps)}, or take model='per_plane'"
        )


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """Raise a ValueError that lists the choices, if a value is none of them.

    Parameters
    ----------
    name : str
        Name of the option.
    value : object
    choices : tuple
    """
    if not any(isinstance(value, type(choice)) and value == choice for choice in choices):
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name}={reprlib.repr(value)} is not one of the choices: {listed}")


def as_frequencies(
    frequencies: Sequence[tuple[float, float]], name: str
) -> list[tuple[float, float]]:
    """Frequencies as plain numbers, or what is wrong with them.

    Parameters
    ----------
    frequencies : sequence of tuple of float
        ``(fy, fx)`` in cycles/pixel.
    name : str
        What they are called in errors.

    Returns
    -------
    list of tuple of float

    Raises
    ------
    ValueError
        If they are not pairs of finite numbers.
    """
    import numpy as np  # late: the command's help needs no arrays

    try:
        array = np.asarray(frequencies, dtype=np.float64)
    except (TypeError, ValueError):  # no numbers, or tuples of different lengths
        array = np.asarray(np.nan)
    if not array.size:
        return []
    if array.ndim != 2 or array.shape[1] != 2 or not np.isfinite(array).all():
        raise ValueError(
            f"{name} must be a list of frequencies (fy, fx) in cycles/pixel, not "
            f"{reprlib.repr(frequencies)}"
        )
    return [(fy, fx) for fy, fx in array.tolist()]


def with_options(function: F) -> F:
    """Show each option in the signature of a function that takes ``**options``.

    Parameters
    ----------
    function : callable

    Returns
    -------
    callable
        The function itself; `help` and completion list the options with their defaults.
    """
    own = signature(function)
    kept = [p for p in own.parameters.values() if p.kind is not Parameter.VAR_KEYWORD]
    names = {parameter.name for parameter in kept}
    options = [
        Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default)
        for field in fields(Options)
        if field.name not in names and field.default is not MISSING
    ]
    function.__signature__ = own.replace(parameters=[*kept, *options])  # type: ignore[attr-defined]
    return function


def _layer_weights(
    layers: Sequence[str] | Mapping[str, float] | None, method: Method, features: str
) -> dict[str, float]:
    """Layers of a network and their weights; none without a network."""
    if features not in NETWORKS:
        if layers:
            raise ValueError(
                f"layers={reprlib.repr(layers)} are of a network, which features={features!r} "
                "is not"
            )
        return {}
    if layers is None:
        return dict(DETECTION_LAYERS if method == "aligned" else LAYER_WEIGHTS)
    if isinstance(layers, str):
        layers = (layers,)
    if isinstance(layers, Mapping):
        return {str(layer): float(weight) for layer, weight in layers.items()}
    return {layer: LAYER_WEIGHTS.get(layer, 1.0) for layer in layers}


def _whole(name: str, value: object, least: int | None = None, most: int | None = None) -> int:
    """Return a whole number within its bounds."""
    bounds = "" if least is None else f" from {least}" + ("" if most is None else f" to {most}")
    number = int(value) if isinstance(value, numbers.Integral) else None
    if (
        number is None
        or (least is not None and number < least)
        or (most is not None and number > most)
    ):
        raise ValueError(f"expected {name} as a whole number{bounds}, got {value!r}")
    return number


def _real(name: str, value: object, what: str, least: float | None = None) -> float:
    """Return a finite number: positive, or at least ``least``."""
    number = float(value) if isinstance(value, numbers.Real) else math.nan
    if not (math.isfinite(number) and (number > 0 if least is None else number >= least)):
        raise ValueError(f"expected {name} as {what}, got {value!r}")
    return number
