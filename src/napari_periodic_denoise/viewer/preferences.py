"""What a user has set: in napari's preferences, and in files of what is chosen in the dock."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from napari.settings import get_plugin_settings

PLUGIN = "napari-periodic-denoise"

#: By name, which values a choice in the dock may have; None is any text.
Allowed = Mapping[str, Collection[Any] | None]
Choices = Mapping[str, Any]


class SettingsError(ValueError):
    """A file of settings can't be used; the message says why, for a person."""


def preferences() -> Any:  # noqa: ANN401 - a model that napari makes of the manifest
    """Return what is set in napari's preferences; napari keeps them, and tells of changes."""
    return get_plugin_settings(PLUGIN).defaults


def kept_in() -> Path | None:
    """File in which the dock's choices are kept between sessions, beside napari's own settings.

    None where napari keeps no settings.
    """
    path: Path | None = get_plugin_settings(PLUGIN).config_path
    return path and path.with_suffix(".json")


def read(path: Path, allowed: Allowed) -> dict[str, Any]:
    """Read choices from a file.

    Parameters
    ----------
    path : Path
    allowed : mapping
        The choices that there are.

    Returns
    -------
    dict
        Those that are in the file; not all need to be.

    Raises
    ------
    SettingsError
        If the file can't be read, is no JSON, or has choices or values that there are not.
    """
    try:
        choices = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror}") from error
    except ValueError as error:  # of JSON, or of UTF-8
        raise SettingsError(f"{path} is damaged, or no JSON: {error}") from error
    if not isinstance(choices, dict):
        raise SettingsError(f"{path} holds no settings, but {_shown(choices)}")
    wrong = [f"{name} is no setting" for name in choices if name not in allowed]
    wrong += [
        f"{name} is {_shown(value)}, and may be {_listed(allowed[name])}"
        for name, value in choices.items()
        if name in allowed and not _is_among(value, allowed[name])
    ]
    if wrong:
        raise SettingsError(f"{path} is not for this version: {'; '.join(wrong)}")
    return choices


def write(path: Path, choices: Choices) -> None:
    """Write choices to a file, which appears whole or not at all.

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
    # to Python 1, 1.0 and True are the same
    return any(type(value) is type(one) for one in allowed) and value in allowed


def _listed(allowed: Collection[Any] | None) -> str:
    if allowed is None:
        return "text"
    if isinstance(allowed, range):
        return f"from {allowed[0]} to {allowed[-1]}"
    return ", ".join(map(_shown, allowed))


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
