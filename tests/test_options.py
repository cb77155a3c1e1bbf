import subprocess
import sys
from inspect import signature

import numpy as np
import pytest

from napari_periodic_denoise import estimate_noise, iter_estimate_noise
from napari_periodic_denoise.options import (
    DEFAULT_FEATURES,
    DETECTION_LAYERS,
    FEATURES,
    LAYER_WEIGHTS,
    METHODS,
    NETWORKS,
    REMAINDERS,
    SHARED_OPTIONS,
    STACK_MODELS,
    Options,
    changed_options,
    check_shared,
    option_names,
)


def test_the_documented_keywords_are_the_options():
    for function in (estimate_noise, iter_estimate_noise):
        parameters = signature(function).parameters
        assert tuple(parameters)[1:] == option_names()
        assert {n: p.default for n, p in parameters.items() if n != "image"} == {
            name: Options.__dataclass_fields__[name].default for name in option_names()
        }
    documented = estimate_noise.__doc__
    for name in option_names():
        assert f"\n    {name} : " in documented, name


def test_options_need_no_torch():
    code = "import sys, napari_periodic_denoise.options; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_method_fills_in_its_features_layers_and_steps():
    assert Options().features == "edges"
    assert Options().layers == {}
    assert Options(features="vgg16").layers == DETECTION_LAYERS
    for method in ("gram_aligned", "texture"):
        options = Options(method=method)
        assert options.features == DEFAULT_FEATURES[method]
        assert options.layers == LAYER_WEIGHTS
    assert Options(method="texture").max_steps == 2000
    assert Options(method="gram_aligned").max_steps == 60
    assert Options(method="texture", steps=7).max_steps == 7


def test_layers_may_be_a_name_names_or_weights():
    texture = {"method": "texture"}
    assert Options(**texture, layers="conv2_1").layers == {"conv2_1": 0.75}
    assert Options(**texture, layers=["conv2_1", "conv2_2"]).layers == {
        "conv2_1": 0.75,
        "conv2_2": 1.0,
    }
    assert Options(**texture, layers={"conv1_1": 3}).layers == {"conv1_1": 3.0}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "magic"}, r"method='magic' is not one of the choices: 'aligned'"),
        ({"features": "vgg11"}, "features='vgg11'"),
        ({"method": "texture", "features": "edges"}, "choices: 'vgg16', 'vgg19'"),
        ({"layers": ["conv1_1"]}, r"layers=.*need a network, got features='edges'"),
        ({"weights": "none"}, "weights"),
        ({"optimizer": "sgd"}, "optimizer"),
        ({"steps": 0}, "expected steps as a whole number from 1, got 0"),
        ({"max_size": 2.5}, "expected max_size as a whole number from 1, got 2.5"),
        ({"noise_model": True}, "noise_model"),
        ({"remainder": "rest"}, "remainder"),
        ({"suggestions": "drop"}, "suggestions"),
        ({"channel_axis": 0.0}, "channel_axis"),
        ({"protect_edge": -1}, "expected protect_edge as a number of pixels, 0 or more, got -1"),
        ({"protect_edge": float("inf")}, "protect_edge"),
        ({"proposed": [1, 2]}, r"frequencies \(fy, fx\)"),
        ({"sensitivity": 0}, "expected sensitivity as a positive number of false alarms, got 0"),
        ({"sensitivity": float("nan")}, "sensitivity"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
    ],
)
def test_what_is_wrong_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        Options.of(given)


def test_an_unknown_option_is_named_with_those_that_there_are():
    with pytest.raises(TypeError, match=r"expected options among method, .*, got colour"):
        Options.of({"colour": True})


def test_settings_make_the_same_options_again():
    options = Options(
        method="gram_aligned",
        layers={"conv1_1": 2},
        proposed=[(0.1, 0.2)],
        seed=np.int64(3),
        sensitivity=np.float32(0.5),
        channel_axis=np.int8(-1),
    )
    settings = options.as_settings()
    assert Options.of(settings).as_settings() == settings
    assert [type(settings[name]) for name in ("seed", "sensitivity", "channel_axis")] == [
        int,
        float,
        int,
    ]


@pytest.mark.parametrize("method", METHODS)
def test_only_what_was_changed_is_listed(method):
    expected = {} if method == "aligned" else {"method": method}
    assert changed_options(Options(method=method).as_settings()) == expected
    changed = Options(method=method, seed=3, steps=5).as_settings()
    assert changed_options(changed).items() >= {"seed": 3, "steps": 5}.items()


@pytest.mark.parametrize("model", STACK_MODELS[1:])
def test_a_model_of_all_planes_takes_what_waves_are_found_with(model):
    shared = {"features": "cosines", "noise_model": "additive", "sensitivity": 0.1, "seed": 2}
    shared |= {"remainder": "none", "suggestions": "remove"}
    assert shared.keys() < set(SHARED_OPTIONS)
    check_shared(model, Options(**shared, channel_axis=0, device="cpu"))
    for wrong in (
        *({"remainder": remainder} for remainder in REMAINDERS[2:]),
        *({"features": features} for features in FEATURES if features in NETWORKS),
        {"method": "texture"},
        {"gram": True},
        {"exemplar": np.ones((4, 4), bool)},
        {"protect": [(0, 0, 4, 4)]},
        {"proposed": [(0.1, 0.1)]},
    ):
        with pytest.raises(ValueError, match=f"with model='{model}'"):
            check_shared(model, Options(**wrong))
