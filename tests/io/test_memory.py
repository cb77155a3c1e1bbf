import os

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import zarr

from napari_periodic_denoise.io import memory
from napari_periodic_denoise.io.image_file import ImageFileError
from napari_periodic_denoise.io.images import read_image
from napari_periodic_denoise.io.memory import check_memory
from napari_periodic_denoise.io.stores import zarr_stack

pytestmark = pytest.mark.skipif(os.name == "nt", reason="memory as POSIX has it")


@pytest.fixture
def little(monkeypatch, tmp_path):
    """A computer with 1 MB."""
    monkeypatch.setattr(memory, "_CONTAINER", tmp_path / "memory.max")
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 1000, "SC_PHYS_PAGES": 1000}.get)


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg"])
def test_a_plane_that_is_too_large_is_refused_with_the_figure(tmp_path, little, name):
    iio.imwrite(tmp_path / name, np.zeros((400, 400), np.uint8))
    with pytest.raises(ImageFileError, match="a plane takes at least 0 GB of memory"):
        read_image(tmp_path / name)


def test_a_page_of_a_stack_too(tmp_path, little):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 100, 100), np.uint8), photometric=1)
    read_image(tmp_path / "a.tif")  # the stack need not fit
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 400, 400), np.uint8), photometric=1)
    with pytest.raises(ImageFileError, match="a plane takes"):
        read_image(tmp_path / "a.tif")


def zarr_image(path, shape, chunks, shards=None):
    axes = [{"name": name} for name in "zyx"]
    told = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    group = zarr.create_group(path, attributes={"ome": told})
    group.create_array("0", shape=shape, chunks=chunks, shards=shards, dtype="u2")


def test_chunks_of_many_planes_are_refused_before_anything_starts(tmp_path, little):
    shape = (1000, 100, 100)
    zarr_image(tmp_path / "a.zarr", shape, (10, 50, 50))
    zarr_stack(tmp_path / "a.zarr")
    zarr_image(tmp_path / "b.zarr", shape, (100, 50, 50))
    zarr_image(tmp_path / "c.zarr", shape, (1, 50, 50), (100, 50, 50))
    for name in "bc":
        with pytest.raises(ImageFileError, match=r"the 100 planes of a chunk .* fewer planes"):
            zarr_stack(tmp_path / f"{name}.zarr")


def test_the_limit_of_a_container_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_CONTAINER", tmp_path / "memory.max")
    for limit in ("max", "100000000"):
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        check_memory(1_000_000, 2)
    (tmp_path / "memory.max").write_text("10000000\n")
    with pytest.raises(ImageFileError, match="this computer has 0 GB"):
        check_memory(1_000_000, 2)
