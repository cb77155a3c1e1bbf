"""Files of the dock's choices."""

import json

import pytest

from napari_periodic_denoise.viewer import preferences as settings

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
        settings.write(path, choices)
        assert settings.read(path, ALLOWED) == choices
    assert [file.name for file in path.parent.iterdir()] == ["settings.json"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"metod": "aligned"}', ["metod is no setting"]),
        ('{"method": "magic"}', ['method is "magic", and may be "aligned", "texture"']),
        ('{"steps": 0}', ["steps is 0, and may be from 1 to 100"]),
        ('{"steps": 2.0}', ["steps is 2.0"]),
        ('{"steps": true}', ["steps is true"]),
        ('{"gram": 1}', ["gram is 1, and may be false, true"]),
        ('{"sensitivity": "0.1"}', ['sensitivity is "0.1", and may be 0.001, 0.1']),
        ('{"weights": null}', ["weights is null, and may be text"]),
        ('{"method": ["aligned"]}', ['method is ["aligned"]']),
        ('{"a": 1, "gram": 3, "steps": 5}', ["a is no setting; gram is 3"]),
        ("[1]", ["holds no settings, but [1]"]),
        ('{"method": "al', ["is damaged, or no JSON"]),
        ("", ["is damaged, or no JSON"]),
        (b"\xff\xfe", ["is damaged, or no JSON"]),
    ],
)
def test_what_does_not_fit_is_named(content, words, tmp_path):
    path = tmp_path / "settings.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(settings.SettingsError) as caught:
        settings.read(path, ALLOWED)
    for part in [str(path), *words]:
        assert part in str(caught.value)
    assert "steps is 5" not in str(caught.value)


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path):
    for path in (tmp_path / "gone.json", tmp_path):
        with pytest.raises(settings.SettingsError, match=r"can't be read"):
            settings.read(path, ALLOWED)


def test_a_file_that_can_not_be_written_stays_as_it_was(tmp_path):
    path = tmp_path / "settings.json"
    settings.write(path, CHOICES)
    with pytest.raises(TypeError):
        settings.write(path, {"method": object()})
    assert json.loads(path.read_text()) == CHOICES


def test_choices_are_kept_beside_naparis_settings(settings_folder):
    assert settings.kept_in() == settings_folder / "napari-periodic-denoise.json"


def test_preferences_are_kept_by_napari(settings_folder):
    preferences = settings.preferences()
    assert (preferences.device, preferences.weights_folder) == ("auto", "")
    assert preferences.sensitivity == "usual"
    preferences.device = "cpu"
    kept = settings_folder / "napari-periodic-denoise.yaml"
    assert "device: cpu" in kept.read_text()
    with pytest.raises(ValueError, match="allowed"):
        preferences.sensitivity = "enormous"
