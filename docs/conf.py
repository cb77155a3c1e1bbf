"""How Sphinx makes the pages of this folder: ``make docs``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from napari_periodic_denoise import __version__

GENERATED = Path(__file__).parent / "_generated"

project = "napari-periodic-denoise"
author = "napari-periodic-denoise developers"
project_copyright = author
release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
default_role = "obj"
myst_heading_anchors = 3  # as on GitHub

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say them
napoleon_google_docstring = False

html_theme = "furo"
html_title = project

# The command's page is what it says about itself.
GENERATED.mkdir(exist_ok=True)
subprocess.run(
    (sys.executable, "-m", "typer", "napari_periodic_denoise.cli", "utils", "docs")
    + ("--name", project, "--title", "Command line reference")
    + ("--output", GENERATED / "command-line.md"),
    check=True,
    stdout=subprocess.DEVNULL,
)
