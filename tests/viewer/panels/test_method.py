"""The engine's options in the dock."""

import inspect

import pytest

from napari_periodic_denoise import estimate_noise
from napari_periodic_denoise.noise import estimate
from napari_periodic_denoise.options import (
    DEFAULT_FEATURES,
    DEFAULT_STEPS,
    FEATURES,
    METHODS,
    NETWORKS,
    NOISE_MODELS,
    OPTIMIZERS,
    REMAINDERS,
    WEIGHTS,
)
from napari_periodic_denoise.viewer.panels import method as method_panel
from napari_periodic_denoise.viewer.panels.method import MethodPanel

DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(estimate_noise).parameters.items()
}


@pytest.fixture
def panel(qtbot):
    panel = MethodPanel()
    qtbot.addWidget(panel.native)
    yield panel
    panel.missing.cancel_search()


def is_shown(choice):
    """Whether it is, once all is unfolded."""
    return not choice.native.parent().isHidden()


def test_choices_are_the_engines(panel):
    for choice, known in (
        (panel.method, METHODS),
        (panel.weights, WEIGHTS),
        (panel.noise_model, NOISE_MODELS),
        (panel.remainder, REMAINDERS),
        (panel.optimizer, OPTIMIZERS),
    ):
        assert sorted(choice.choices) == sorted(known)
    for method in METHODS:
        panel.method.value = method
        known = FEATURES if method == "aligned" else NETWORKS
        assert sorted(panel.features.choices) == sorted(known)
        for features in known:  # taken by the engine together with all the others
            panel.features.value = features
            options = panel.engine_options()
            next(estimate.iter_estimate_noise(None, **options))
            assert (options["method"], options["features"]) == (method, features)


@pytest.mark.parametrize("method", METHODS)
def test_defaults_are_the_engines(panel, method):
    panel.method.value = method
    steps = DEFAULT_STEPS.get(method)
    known = DEFAULTS | {
        "method": method,
        "features": DEFAULT_FEATURES[method],
        "steps": steps,
    }
    assert panel.engine_options().items() <= known.items()


def test_sensitivities_say_what_they_are():
    values = [value for _, value in method_panel.SENSITIVITIES]
    assert values == sorted(values)
    for words, value in method_panel.SENSITIVITIES:
        assert int(words.split("1 in ")[1].replace(" ", "")) == round(1 / value)


def test_rare_options_are_folded_away(panel):
    assert panel.more.native.isHidden()
    panel.unfold.native.click()
    assert not panel.more.native.isHidden()
    panel.unfold.native.click()
    assert panel.more.native.isHidden()


@pytest.mark.parametrize(
    ("method", "features", "shown"),
    [
        ("aligned", "edges", {"noise_model", "remainder", "sensitivity"}),
        ("aligned", "vgg16", {"weights", "noise_model", "remainder", "sensitivity"}),
        (
            "gram_aligned",
            "vgg19",
            {"weights", "noise_model", "remainder", "sensitivity", "refine_steps"},
        ),
        ("texture", "vgg16", {"weights", "optimizer", "texture_steps", "max_size"}),
    ],
)
def test_only_what_applies_is_shown(panel, method, features, shown):
    panel.method.value = method
    panel.features.value = features
    rare = {"noise_model", "remainder", "sensitivity", "refine_steps", "optimizer"}
    for name in {"weights", "texture_steps", "max_size"} | rare:
        assert is_shown(getattr(panel, name)) == (name in shown), name
    # and nothing else goes to the engine
    names = {"refine_steps": "steps", "texture_steps": "steps"}
    sent = set(panel.engine_options()) - {"method", "features", "gram", "weights_path"}
    assert sent == {names.get(name, name) for name in shown}


def test_methods_with_a_network_share_it(panel):
    panel.method.value = "texture"
    panel.features.value = "vgg16"
    panel.method.value = "gram_aligned"
    assert panel.features.value == "vgg16"
    panel.method.value = "aligned"
    assert panel.features.value == "edges"
    panel.features.value = "cosines"
    panel.method.value = "texture"
    assert panel.features.value == "vgg16"
    panel.method.value = "aligned"
    assert panel.features.value == "cosines"


def test_the_tooltip_says_what_a_texture_is_not(panel):
    assert "no phase" in panel.method.tooltip
    assert "comparison only" in panel.method.tooltip


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_wider_than_a_narrow_dock(panel, method):
    panel.method.value = method
    panel.unfold.value = True
    assert panel.native.minimumSizeHint().width() <= 300
