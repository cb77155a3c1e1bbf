"""The part of the dock that says how the noise is to be found: the engine's options."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

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
from napari_periodic_denoise.viewer.preferences import preferences

#: Each choice in words.
_WORDS = {
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
SENSITIVITIES = [
    ("Lowest: 1 in 100 000", 1e-5),
    ("Low: 1 in 10 000", 1e-4),
    ("Usual: 1 in 1000", 1e-3),
    ("High: 1 in 100", 1e-2),
    ("Highest: 1 in 10", 1e-1),
]

_WEIGHTS_OF = "{}_weights"  # of a network: the file that was chosen


class MethodPanel(Container[Widget]):
    """Method, features and weights, and what rarely needs to be changed; only what applies."""

    def __init__(self) -> None:
        self.method = ComboBox(
            choices=_in_words(METHODS),
            tooltip=(
                "How the noise is told from the specimen.\n"
                "Phase-aligned waves: finds by Gram statistics what repeats all over the\n"
                "picture, fits waves to it, and takes exactly these away. All else in the\n"
                "picture stays, however fine.\n"
                "Gram-refined waves: the same, and then adjusts the waves by a network's Gram\n"
                "matrices. Takes much longer, and needs a network.\n"
                "Texture, to compare: the textbook synthesis of a picture with the same Gram\n"
                "matrices. It shows what repeats, but has no phase: its crests fall anywhere.\n"
                "Taking it away makes the picture worse; its layers are for comparison only."
            ),
        )
        self.features = ComboBox(
            choices=_in_words(FEATURES),
            tooltip=(
                "What the Gram statistics are taken of.\n"
                "Edges: differences between neighbours. The fastest.\n"
                "Cosine patterns: how much each place is like small waves. Takes about twice as\n"
                "long, and finds noise a tenth weaker under strong random noise.\n"
                "VGG16 network, VGG19 network: feature maps of a network that was made to tell\n"
                "things in photographs. Much slower."
            ),
        )
        self.weights = ComboBox(
            choices=_in_words(WEIGHTS),
            tooltip=(
                "What the network's filters are.\n"
                "Trained (ImageNet): learnt from photographs; a large file, which is asked for\n"
                "once if it is not on this computer.\n"
                "Random filters: drawn by chance, always the same ones. They serve for the\n"
                "statistics of textures too, and need no file."
            ),
        )
        self.missing = WeightsPanel()
        self.noise_model = ComboBox(
            choices=_in_words(NOISE_MODELS),
            tooltip=(
                "How noise and picture come together.\n"
                "Automatic: decided for each wave, by what describes the picture best.\n"
                "Added to the picture: as strong in dark places as in bright ones, like hum from\n"
                "the mains.\n"
                "Follows brightness: strong in bright places, none where it is black, like\n"
                "flickering light or the dots of a print."
            ),
        )
        self.remainder = ComboBox(
            choices=_in_words(REMAINDERS),
            tooltip=(
                "What else is taken away, once the waves are.\n"
                "Parallel stripes: all in one direction, which is found; of any width and\n"
                "strength, not evenly spaced, as curtains or shadows are.\n"
                "Quasi-periodic noise: keeps about to a period, but not to its crests, such as a\n"
                "weave or interference that wanders.\n"
                "A specimen that is itself striped or woven is harmed: look at the noise layer."
            ),
        )
        self.sensitivity = ComboBox(
            choices=SENSITIVITIES,
            value=DEFAULT_SENSITIVITY,
            tooltip=(
                "How many false alarms are put up with. Usual: of 1000 pictures without periodic\n"
                "noise, about one looks by mere chance as if it had some; even then it is looked\n"
                "at more closely before anything is taken away. Go higher if faint noise is left\n"
                "behind, lower if parts of the specimen are seen in the noise layer."
            ),
        )
        self.refine_steps = SpinBox(
            value=DEFAULT_STEPS["gram_aligned"],
            min=1,
            max=1000,
            tooltip=(
                "How often the waves are adjusted, at most. Each step takes the network once\n"
                "through the picture and back."
            ),
        )
        self.optimizer = ComboBox(
            choices=_in_words(OPTIMIZERS),
            tooltip=(
                "How the texture is moved towards the picture's Gram matrices.\n"
                "Adam: as published.\n"
                "L-BFGS: comes as near in about a tenth of the steps."
            ),
        )
        self.texture_steps = SpinBox(
            value=DEFAULT_STEPS["texture"],
            min=1,
            max=10_000,
            tooltip=(
                "How many steps the texture takes, at most: it ends earlier when it no longer\n"
                "comes nearer."
            ),
        )
        self.max_size = SpinBox(
            value=DEFAULT_MAX_SIZE,
            min=32,
            max=1024,
            tooltip=(
                "Pixels along the longer side of the texture. A larger picture is reduced to it,\n"
                "and fine noise is lost; time and memory grow with its square."
            ),
        )
        self.gram = CheckBox(
            text="Show Gram matrices",
            tooltip=(
                "Add the Gram matrix of each layer of the features as an image, to the right of\n"
                "the picture: how strongly each two feature maps go together. White is zero,\n"
                "green above, pink below; the brightest elements are beyond the contrast limits."
            ),
        )
        self._weights_row = row("Weights", self.weights)
        self._of_waves = [
            row("Noise", self.noise_model),
            row("Also remove", self.remainder),
            row("Sensitivity", self.sensitivity),
        ]
        self._of_refinement = [row("Steps", self.refine_steps)]
        self._of_texture = [
            row("Optimizer", self.optimizer),
            row("Steps", self.texture_steps),
            row("Size (px)", self.max_size),
        ]
        self.more = Container[Widget](
            widgets=[*self._of_waves, *self._of_refinement, *self._of_texture, self.gram],
            labels=False,
            visible=False,
        )
        self.more.margins = (0, 0, 0, 0)
        self.unfold = CheckBox(
            text="More options", tooltip="What rarely needs to be changed: unfold, or fold again."
        )
        super().__init__(
            widgets=[
                row("Method", self.method),
                row("Features", self.features),
                self._weights_row,
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
        # the methods with a network share their choice of it
        self._last_features: dict[str, str] = {m: DEFAULT_FEATURES[m] for m in METHODS}
        self.method.changed.connect(self._offer_features)
        self.features.changed.connect(self._remember_features)
        self.weights.changed.connect(self._show_what_applies)
        for choice in (self.method, self.features, self.weights):
            choice.changed.connect(self._look_for_weights)
        self.unfold.changed.connect(self._unfold)
        self._offer_features()

    @property
    def trained_network(self) -> str | None:
        """The network whose trained weights are needed."""
        needed = self.features.value in NETWORKS and self.weights.value == "imagenet"
        return self.features.value if needed else None

    @property
    def choices(self) -> dict[str, Any]:
        """All that is chosen, whether it applies to the method or not, ready for JSON."""
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
        """Which values each choice may have; None is any text."""
        return {
            **{name: _allowed(choice) for name, choice in self._choices.items()},
            "features": FEATURES,
            "network": NETWORKS,
            **{_WEIGHTS_OF.format(network): None for network in NETWORKS},
        }

    def choose(self, choices: Mapping[str, Any]) -> None:
        """Set all choices.

        Whether weights are missing is not looked for, as that would import torch: the next run
        will tell.

        Parameters
        ----------
        choices : mapping
            As `choices` are, with allowed values.
        """
        with self.method.changed.blocked(), self.weights.changed.blocked():
            for name, choice in self._choices.items():
                choice.value = choices[name]
        self._last_features = {
            "aligned": choices["features"],
            **dict.fromkeys(["gram_aligned", "texture"], choices["network"]),
        }
        for network in NETWORKS:
            self.missing.choose_for(network, choices[_WEIGHTS_OF.format(network)])
        self.missing.look_for(None)
        self._offer_features()
        self.changed.emit(self)

    def engine_options(self) -> dict[str, Any]:
        """Return those of the engine's options that apply to the method."""
        options = {
            "method": self.method.value,
            "features": self.features.value,
            "gram": self.gram.value,
        }
        device = preferences().device
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
            self.features.choices = _in_words(FEATURES if method == "aligned" else NETWORKS)
            self.features.value = self._last_features[method]
        self._show_what_applies()

    def _remember_features(self, features: str) -> None:
        sharing = ["aligned"] if self.method.value == "aligned" else ["gram_aligned", "texture"]
        self._last_features |= dict.fromkeys(sharing, features)
        self._show_what_applies()

    def _show_what_applies(self) -> None:
        method = self.method.value
        self._weights_row.visible = self.features.value in NETWORKS
        for rows, shown in (
            (self._of_waves, method != "texture"),
            (self._of_refinement, method == "gram_aligned"),
            (self._of_texture, method == "texture"),
        ):
            for choice in rows:
                choice.visible = shown

    def _look_for_weights(self) -> None:
        self.missing.look_for(self.trained_network)

    def _unfold(self, wanted: bool) -> None:
        self.more.visible = wanted


def _in_words(choices: Iterable[str]) -> list[tuple[str, str]]:
    """Choices as a menu takes them: words and value."""
    return [(_WORDS[choice], choice) for choice in choices]


def _allowed(choice: ComboBox | SpinBox | CheckBox) -> Collection[Any]:
    """Which values a choice may have."""
    if isinstance(choice, ComboBox):
        return choice.choices
    if isinstance(choice, SpinBox):
        return range(int(choice.min), int(choice.max) + 1)
    return (False, True)
