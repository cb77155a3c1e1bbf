"""The user's settings: napari's preferences, and files of the dock's choices."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from napari.settings import get_plugin_settings

PLUGIN = "napari-periodic-denoise"

#: Allowed values of each choice in the dock, by name; None allows any text.
Allowed = Mapping[str, Collection[Any] | None]
Choices = Mapping[str, Any]


class SettingsError(ValueError):
    """A file of settings cannot be used; the message tells the user why."""


def plugin_preferences() -> Any:  # noqa: ANN401 - napari makes the model from the manifest
    """Return the plugin's part of napari's preferences; napari saves it and emits changes."""
    return get_plugin_settings(PLUGIN).defaults


def settings_file() -> Path | None:
    """Return the file that keeps the dock's choices between sessions.

    It is next to napari's own settings; None if napari saves no settings.
    """
    path: Path | None = get_plugin_settings(PLUGIN).config_path
    return path and path.with_suffix(".json")


def read_choices(path: Path, allowed: Allowed) -> dict[str, Any]:
    """Read choices from a file.

    Parameters
    ----------
    path : Path
    allowed : mapping
        The known choices and their values.

    Returns
    -------
    dict
        The choices in the file, which need not be all.

    Raises
    ------
    SettingsError
        If the file cannot be read, is not JSON, or has unknown choices or values.
    """
    try:
        choices = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise SettingsError(f"{path} is nested too deeply") from error
    except ValueError as error:  # from JSON or from UTF-8
        raise SettingsError(f"{path} is damaged or not JSON: {error}") from error
    if not isinstance(choices, dict):
        raise SettingsError(
            f"{path} does not contain settings: expected an object, got {_as_json(choices)}"
        )
    wrong = [f"{name} is not a setting" for name in choices if name not in allowed]
    wrong += [
        f"{name} is {_as_json(value)}; expected {_listed(allowed[name])}"
        for name, value in choices.items()
        if name in allowed and not _is_among(value, allowed[name])
    ]
    if wrong:
        raise SettingsError(f"{path} does not fit this version: {'; '.join(wrong)}")
    return choices


def write_choices(path: Path, choices: Choices) -> None:
    """Write choices to a file atomically.

    Parameters
    ----------
    path : Path
    choices : mapping
    """
    from napari_periodic_denoise.io.atomic import write_json

    write_json(path, dict(choices))


def _is_among(value: object, allowed: Collection[Any] | None) -> bool:
    if allowed is None:
        return isinstance(value, str)
    # in Python, 1 == 1.0 == True
    return any(type(value) is type(one) for one in allowed) and value in allowed


def _listed(allowed: Collection[Any] | None) -> str:
    if allowed is None:
        return "any text"
    if isinstance(allowed, range):
        return f"{allowed[0]} to {allowed[-1]}"
    return ", ".join(map(_as_json, allowed))


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
