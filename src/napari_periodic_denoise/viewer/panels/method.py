"""Panel of the engine's options."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from magicgui.widgets import CheckBox, ComboBox, Container, SpinBox, Widget

from napari_periodic_denoise.options import (
    DEFAULT_FEATURES,
    DEFAULT_MAX_SIZE,
    DEFAULT_SENSITIVITY,
    DEFAULT_STEPS,
    FEATURES,
    METHODS,
    NETWORKS,
    NOISE_MODELS,
    OPTIMIZERS,
    REMAINDERS,
    WEIGHTS,
)
from napari_periodic_denoise.viewer.panels.parts import row
from napari_periodic_denoise.viewer.panels.weights import WeightsPanel
from napari_periodic_denoise.viewer.preferences import plugin_preferences

#: The labels of the choices.
_LABELS = {
    "aligned": "Phase-aligned waves",
    "gram_aligned": "Gram-refined waves",
    "texture": "Texture, to compare",
    "edges": "Edges",
    "cosines": "Cosine patterns",
    "vgg16": "VGG16 network",
    "vgg19": "VGG19 network",
    "imagenet": "Trained (ImageNet)",
    "random": "Random filters",
    "auto": "Automatic",
    "additive": "Added to the image",
    "multiplicative": "Follows brightness",
    "none": "Nothing more",
    "stripes": "Parallel stripes",
    "quasi-periodic": "Quasi-periodic noise",
    "adam": "Adam",
    "lbfgs": "L-BFGS",
}
#: False alarms per image; the decades around the engine's default.
SENSITIVITIES = [
    ("Lowest: 1 in 100 000", 1e-5),
    ("Low: 1 in 10 000", 1e-4),
    ("Usual: 1 in 1000", 1e-3),
    ("High: 1 in 100", 1e-2),
    ("Highest: 1 in 10", 1e-1),
]

_WEIGHTS_OF = "{}_weights"  # name of the setting: the file chosen for a network


class _Row(NamedTuple):
    """A choice with its label."""

    label: str
    choice: ComboBox | SpinBox
    widget: Container[Widget]


def _row(label: str, choice: ComboBox | SpinBox) -> _Row:
    return _Row(label, choice, row(label, choice))


class MethodPanel(Container[Widget]):
    """Chooses method, features, weights and rarely used options; shows only what applies."""

    def __init__(self) -> None:
        self._make_method()
        self._make_wave_options()
        self._make_step_options()
        self._make_texture_options()
        self.missing = WeightsPanel()
        self._weights_row = _row("Weights", self.weights)
        self._rare_rows = [*self._wave_rows, *self._refine_rows, *self._texture_rows]
        self.more = Container[Widget](
            widgets=[*(r.widget for r in self._rare_rows), self.gram],
            labels=False,
            visible=False,
        )
        self.more.margins = (0, 0, 0, 0)
        self.unfold = CheckBox(text="More options", tooltip="Shows or hides rarely used options.")
        self._first_rows = [_row("Method", self.method), _row("Features", self.features)]
        super().__init__(
            widgets=[
                *(r.widget for r in self._first_rows),
                self._weights_row.widget,
                self.missing,
                self.unfold,
                self.more,
            ],
            labels=False,
        )
        self.margins = (0, 0, 0, 0)
        self._choices: dict[str, ComboBox | SpinBox | CheckBox] = {
            "method": self.method,
            "weights": self.weights,
            "noise_model": self.noise_model,
            "remainder": self.remainder,
            "sensitivity": self.sensitivity,
            "refine_steps": self.refine_steps,
            "optimizer": self.optimizer,
            "texture_steps": self.texture_steps,
            "max_size": self.max_size,
            "gram": self.gram,
        }
        # the methods that need a network share the choice of it
        self._last_features: dict[str, str] = {m: DEFAULT_FEATURES[m] for m in METHODS}
        self.method.changed.connect(self._offer_features)
        self.features.changed.connect(self._remember_features)
        self.weights.changed.connect(self._update_visibility)
        for choice in (self.method, self.features, self.weights):
            choice.changed.connect(self._find_weights)
        self.unfold.changed.connect(self._unfold)
        self._offer_features()

    def _make_method(self) -> None:
        self.method = ComboBox(
            choices=_labelled(METHODS),
            tooltip=(
                "How the noise is separated from the specimen.\n"
                "Phase-aligned waves: finds patterns that repeat across the whole image by Gram\n"
                "statistics, fits waves to them, and removes exactly these waves. All other\n"
                "details stay, however fine.\n"
                "Gram-refined waves: the same, then adjusts the waves with a network's Gram\n"
                "matrices. Much slower, and needs a network.\n"
                "Texture, to compare: the textbook synthesis of an image with the same Gram\n"
                "matrices. It shows what repeats, but has no phase, so its crests are at random\n"
                "places. Removing it makes the image worse: its layers are for comparison only."
            ),
        )
        self.features = ComboBox(
            choices=_labelled(FEATURES),
            tooltip=(
                "The features from which the Gram statistics are computed.\n"
                "Edges: differences between neighbours. The fastest.\n"
                "Cosine patterns: correlations with small waves. Takes about twice as long, and\n"
                "finds noise that is a tenth weaker under strong random noise.\n"
                "VGG16 network, VGG19 network: feature maps of a network for photographs. Much\n"
                "slower."
            ),
        )
        self.weights = ComboBox(
            choices=_labelled(WEIGHTS),
            tooltip=(
                "The filters of the network.\n"
                "Trained (ImageNet): learned from photographs. A large file; the dock asks once\n"
                "if it is not on this computer.\n"
                "Random filters: always the same ones. They also describe textures, and need no\n"
                "file."
            ),
        )

    def _make_wave_options(self) -> None:
        self.noise_model = ComboBox(
            choices=_labelled(NOISE_MODELS),
            tooltip=(
                "How the noise combines with the image.\n"
                "Automatic: chosen for each wave by the better fit.\n"
                "Added to the image: equally strong in dark and bright places, like mains hum.\n"
                "Follows brightness: strong in bright places, zero where the image is black,\n"
                "like flickering light or the dots of a print."
            ),
        )
        self.remainder = ComboBox(
            choices=_labelled(REMAINDERS),
            tooltip=(
                "What else is removed after the waves.\n"
                "Automatic: noise of rows and columns, such as light-sheet stripes or scan\n"
                "lines, where it is certainly not the specimen. If that is uncertain, the noise\n"
                "is listed as suggested, and a tick in the table removes it.\n"
                "Parallel stripes: all in one direction, which is found automatically. Their\n"
                "width, strength and spacing are irregular, as in curtaining or shadows.\n"
                "Quasi-periodic noise: has a rough period but irregular crests, such as a weave\n"
                "or drifting interference.\n"
                "The last two damage a specimen with stripes or a weave of its own. Check the\n"
                "noise layer."
            ),
        )
        self.sensitivity = ComboBox(
            choices=SENSITIVITIES,
            value=DEFAULT_SENSITIVITY,
            tooltip=(
                "The accepted rate of false alarms. Usual: of 1000 images without periodic\n"
                "noise, about one seems to have some by chance, and more tests follow before\n"
                "anything is removed. Choose higher if faint noise remains, lower if the noise\n"
                "layer shows parts of the specimen."
            ),
        )
        self._wave_rows = [
            _row("Noise", self.noise_model),
            _row("Also remove", self.remainder),
            _row("Sensitivity", self.sensitivity),
        ]

    def _make_step_options(self) -> None:
        self.refine_steps = SpinBox(
            value=DEFAULT_STEPS["gram_aligned"],
            min=1,
            max=1000,
            tooltip=(
                "Maximum number of adjustments of the waves. Each step runs the network once\n"
                "forwards and once backwards."
            ),
        )
        self.texture_steps = SpinBox(
            value=DEFAULT_STEPS["texture"],
            min=1,
            max=10_000,
            tooltip=(
                "Maximum number of steps of the texture. It stops earlier if it no longer\n"
                "improves."
            ),
        )
        self._refine_rows = [_row("Steps", self.refine_steps)]

    def _make_texture_options(self) -> None:
        self.optimizer = ComboBox(
            choices=_labelled(OPTIMIZERS),
            tooltip=(
                "How the texture approaches the image's Gram matrices.\n"
                "Adam: as published.\n"
                "L-BFGS: the same quality in about a tenth of the steps."
            ),
        )
        self.max_size = SpinBox(
            value=DEFAULT_MAX_SIZE,
            min=32,
            max=1024,
            tooltip=(
                "Pixels along the longer side of the texture. A larger image is reduced to this\n"
                "size and loses fine noise. Time and memory grow with the square of the size."
            ),
        )
        self.gram = CheckBox(
            text="Show Gram matrices",
            tooltip=(
                "Adds the Gram matrix of each layer of the features as an image, to the right of\n"
                "the source. It shows how strongly each pair of feature maps correlates. White\n"
                "is zero, green positive, pink negative. The largest elements exceed the\n"
                "contrast limits."
            ),
        )
        self._texture_rows = [
            _row("Optimizer", self.optimizer),
            _row("Steps", self.texture_steps),
            _row("Size (px)", self.max_size),
        ]

    @property
    def trained_network(self) -> str | None:
        """The network whose trained weights are needed, or None."""
        needed = self.features.value in NETWORKS and self.weights.value == "imagenet"
        return self.features.value if needed else None

    @property
    def choices(self) -> dict[str, Any]:
        """All choices as JSON values, including those that do not apply to the method."""
        return {
            **{name: choice.value for name, choice in self._choices.items()},
            "features": self._last_features["aligned"],
            "network": self._last_features["texture"],
            **{
                _WEIGHTS_OF.format(network): str(self.missing.chosen(network) or "")
                for network in NETWORKS
            },
        }

    @property
    def allowed(self) -> dict[str, Collection[Any] | None]:
        """The allowed values of each choice; None allows any text."""
        return {
            **{name: _allowed(choice) for name, choice in self._choices.items()},
            "features": FEATURES,
            "network": NETWORKS,
            **{_WEIGHTS_OF.format(network): None for network in NETWORKS},
        }

    def changed_words(self, defaults: Mapping[str, Any]) -> list[str]:
        """Say which choices that apply to the method differ from their defaults.

        Parameters
        ----------
        defaults : mapping
            Like `choices`.

        Returns
        -------
        list of str
            Such as ``"Also remove: Parallel stripes"``.
        """
        default = {
            self.method: defaults["method"],
            self.features: defaults["features" if self.method.value == "aligned" else "network"],
            **{self._choices[name]: defaults[name] for name in self._choices},
        }
        words = [
            f"{label}: {getattr(choice, 'current_choice', choice.value)}"
            for label, choice, _ in self._rows_that_apply()
            if choice.value != default[choice]
        ]
        return words + ([self.gram.text] if self.gram.value != default[self.gram] else [])

    def set_choices(self, choices: Mapping[str, Any]) -> None:
        """Set all choices.

        This does not search for missing weights, which would import torch. The next run reports
        them.

        Parameters
        ----------
        choices : mapping
            Like `choices`, with allowed values.
        """
        with self.method.changed.blocked(), self.weights.changed.blocked():
            for name, choice in self._choices.items():
                choice.value = choices[name]
        self._last_features = {
            "aligned": choices["features"],
            **dict.fromkeys(["gram_aligned", "texture"], choices["network"]),
        }
        for network in NETWORKS:
            self.missing.set_path(network, choices[_WEIGHTS_OF.format(network)])
        self.missing.find_weights(None)
        self._offer_features()
        self.changed.emit(self)

    def engine_options(self) -> dict[str, Any]:
        """Return the engine's options that apply to the method."""
        options = {
            "method": self.method.value,
            "features": self.features.value,
            "gram": self.gram.value,
        }
        device = plugin_preferences().device
        if device != "auto":
            options["device"] = device
        if self.features.value in NETWORKS:
            options["weights"] = self.weights.value
        if self.trained_network:
            options["weights_path"] = self.missing.path(self.trained_network)
        if self.method.value == "texture":
            return options | {
                "optimizer": self.optimizer.value,
                "steps": self.texture_steps.value,
                "max_size": self.max_size.value,
            }
        if self.method.value == "gram_aligned":
            options["steps"] = self.refine_steps.value
        return options | {
            "noise_model": self.noise_model.value,
            "remainder": self.remainder.value,
            "sensitivity": self.sensitivity.value,
        }

    def _offer_features(self) -> None:
        method = self.method.value
        with self.features.changed.blocked():
            self.features.choices = _labelled(FEATURES if method == "aligned" else NETWORKS)
            self.features.value = self._last_features[method]
        self._update_visibility()

    def _remember_features(self, features: str) -> None:
        sharing = ["aligned"] if self.method.value == "aligned" else ["gram_aligned", "texture"]
        self._last_features |= dict.fromkeys(sharing, features)
        self._update_visibility()

    def _update_visibility(self) -> None:
        applying = self._rows_that_apply()
        for one in (self._weights_row, *self._rare_rows):
            one.widget.visible = one in applying

    def _rows_that_apply(self) -> list[_Row]:
        method = self.method.value
        return [
            *self._first_rows,
            *([self._weights_row] if self.features.value in NETWORKS else []),
            *(self._wave_rows if method != "texture" else []),
            *(self._refine_rows if method == "gram_aligned" else []),
            *(self._texture_rows if method == "texture" else []),
        ]

    def _find_weights(self) -> None:
        self.missing.find_weights(self.trained_network)

    def _unfold(self, wanted: bool) -> None:
        self.more.visible = wanted


def _labelled(choices: Iterable[str]) -> list[tuple[str, str]]:
    """Return choices for a combo box: label and value."""
    return [(_LABELS[choice], choice) for choice in choices]


def _allowed(choice: ComboBox | SpinBox | CheckBox) -> Collection[Any]:
    """Return the values that a choice may have."""
    if isinstance(choice, ComboBox):
        return choice.choices
    if isinstance(choice, SpinBox):
        return range(int(choice.min), int(choice.max) + 1)
    return (False, True)
