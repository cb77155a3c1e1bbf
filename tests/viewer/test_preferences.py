"""Files of the dock's choices."""

import json

import pytest

from napari_periodic_denoise.viewer import preferences

ALLOWED = {
    "method": ["aligned", "texture"],
    "sensitivity": [0.001, 0.1],
    "steps": range(1, 101),
    "gram": (False, True),
    "weights": None,
}
CHOICES = {"method": "texture", "sensitivity": 0.1, "steps": 100, "gram": True, "weights": "Ä.pth"}


def test_what_was_written_is_read(tmp_path):
    path = tmp_path / "new/settings.json"
    for choices in (CHOICES, {}):
        preferences.write_choices(path, choices)
        assert preferences.read_choices(path, ALLOWED) == choices
    assert [file.name for file in path.parent.iterdir()] == ["settings.json"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"metod": "aligned"}', ["metod is not a setting"]),
        ('{"method": "magic"}', ['method is "magic"; expected "aligned", "texture"']),
        ('{"steps": 0}', ["steps is 0; expected 1 to 100"]),
        ('{"steps": 2.0}', ["steps is 2.0"]),
        ('{"steps": true}', ["steps is true"]),
        ('{"gram": 1}', ["gram is 1; expected false, true"]),
        ('{"sensitivity": "0.1"}', ['sensitivity is "0.1"; expected 0.001, 0.1']),
        ('{"weights": null}', ["weights is null; expected any text"]),
        ('{"method": ["aligned"]}', ['method is ["aligned"]']),
        ('{"a": 1, "gram": 3, "steps": 5}', ["a is not a setting; gram is 3"]),
        ("[1]", ["expected an object, got [1]"]),
        ('{"method": "al', ["is damaged or not JSON"]),
        ("", ["is damaged or not JSON"]),
        ("[" * 100_000, ["is nested too deeply"]),
        (b"\xff\xfe", ["is damaged or not JSON"]),
    ],
)
def test_what_does_not_fit_is_named(content, words, tmp_path):
    path = tmp_path / "settings.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(preferences.SettingsError) as caught:
        preferences.read_choices(path, ALLOWED)
    for part in [str(path), *words]:
        assert part in str(caught.value)
    assert "steps is 5" not in str(caught.value)


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path):
    for path in (tmp_path / "gone.json", tmp_path):
        with pytest.raises(preferences.SettingsError, match=r"cannot be read"):
            preferences.read_choices(path, ALLOWED)


def test_a_file_that_cannot_be_written_does_not_change(tmp_path):
    path = tmp_path / "settings.json"
    preferences.write_choices(path, CHOICES)
    with pytest.raises(TypeError):
        preferences.write_choices(path, {"method": object()})
    assert json.loads(path.read_text()) == CHOICES


def test_choices_are_kept_beside_naparis_settings(settings_folder):
    assert preferences.settings_file() == settings_folder / "napari-periodic-denoise.json"


def test_preferences_are_kept_by_napari(settings_folder):
    plugin = preferences.plugin_preferences()
    assert (plugin.device, plugin.weights_folder) == ("auto", "")
    assert plugin.sensitivity == "usual"
    plugin.device = "cpu"
    kept = settings_folder / "napari-periodic-denoise.yaml"
    assert "device: cpu" in kept.read_text()
    with pytest.raises(ValueError, match="allowed"):
        plugin.sensitivity = "enormous"
