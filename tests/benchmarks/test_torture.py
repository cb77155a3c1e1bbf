import shutil

import numpy as np
import pytest
import tifffile

from benchmarks import torture

SOME = (
    "lzw-predictor.tif",
    "palette.tif",
    "series-1.ome.tif",
    "pillow.png",
    "zarr-3-sharded.zarr",
)


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torture")
    chosen = [case for case in torture.cases() if case.name in SOME]
    return folder, torture.run(folder, chosen)


def test_there_are_enough_kinds_of_files():
    names = [case.name for case in torture.cases()]
    assert len(names) == len(set(names)) >= 60
    assert len({case.writer for case in torture.cases()}) >= 6


def test_nothing_is_lost_in_some_of_them(tried):
    _, rows = tried
    assert len(rows) == len(SOME)
    assert [row.case.name for row in rows if not row.is_right] == []


def test_what_is_lost_is_seen(tried, tmp_path):
    folder, _ = tried
    shutil.copytree(folder, tmp_path / "copy")
    (case,) = (case for case in torture.cases() if case.name == SOME[0])
    path = tmp_path / "copy/clean-out" / case.name
    pixels = tifffile.imread(path)
    tifffile.imwrite(path, np.flip(pixels, -1), photometric=1)
    row = torture.check(case, tmp_path / "copy", "")
    assert row.unchanged == "**changed**"
    assert "tags" in row.told
    assert not row.is_right
    assert "**changed**" in torture.table([row])
