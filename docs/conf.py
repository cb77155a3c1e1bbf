"""Sphinx configuration: ``make docs``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from napari_periodic_denoise import __version__

HERE = Path(__file__).parent
GENERATED = HERE / "_generated"

project = "napari-periodic-denoise"
author = "napari-periodic-denoise developers"
project_copyright = author
release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "_generated/licences.md"]
default_role = "obj"
myst_heading_anchors = 3  # as on GitHub

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings give the types
napoleon_google_docstring = False

html_theme = "furo"
html_title = project

# Pages generated from the package at build time.
GENERATED.mkdir(exist_ok=True)
TYPER = ("typer", "napari_periodic_denoise.cli", "utils", "docs", "--name", project)
COMMANDS = {
    "command-line.md": ("-m", *TYPER, "--title", "Command line reference"),
    "licences.md": (str(HERE.parent / "scripts/licences.py"),),
}
for page, command in COMMANDS.items():
    with (GENERATED / page).open("w", encoding="utf-8") as file:
        subprocess.run([sys.executable, *command], check=True, stdout=file)
