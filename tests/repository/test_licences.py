import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/licences.py"
is_refused = runpy.run_path(str(SCRIPT))["is_refused"]


@pytest.mark.parametrize(
    "licence",
    [
        "AGPL-3.0-or-later",
        "GNU Affero General Public License v3",
        "GPL-3.0-only",
        "GNU General Public License v2 (GPLv2)",
        "CC-BY-NC-4.0 NonCommercial",
        "unknown",
    ],
)
def test_what_asks_more_of_users_than_bsd_does_is_refused(licence):
    assert is_refused(licence)


@pytest.mark.parametrize(
    "licence",
    [
        "BSD-3-Clause AND MIT AND Zlib",
        "Apache-2.0 OR GPL-2.0-only",
        "LGPL v3",
        "GNU Lesser General Public License v2 (LGPLv2)",
        "Mozilla Public License 2.0 (MPL 2.0)",
    ],
)
def test_what_does_not_is_taken(licence):
    assert not is_refused(licence)


def test_all_that_the_package_needs_is_taken(capsys):
    runpy.run_path(str(SCRIPT), run_name="__main__")
    table = capsys.readouterr().out
    assert "| torch |" in table
    assert "| napari |" in table
    assert "PyQt" not in table
