import pickle
import tracemalloc

import numpy as np
import pytest
import tifffile

from napari_periodic_denoise.io import tiff_pages as tiffpages
from napari_periodic_denoise.io.atomic import replacing
from napari_periodic_denoise.io.images import read_image
from napari_periodic_denoise.io.tiff_copy import copying
from napari_periodic_denoise.io.tiff_pages import Directory, NewTiff, TiffPages


def data(*shape, dtype=np.uint16):
    return np.random.default_rng(0).integers(0, 60_000, shape).astype(dtype)


KINDS = {
    "pages": ((5, 24, 32), {"photometric": 1}),
    "compressed": ((5, 24, 32), {"photometric": 1, "compression": "zlib"}),
    "tiled": ((5, 48, 32), {"photometric": 1, "tile": (16, 16)}),
    "other byte order": ((5, 24, 32), {"photometric": 1, "byteorder": ">"}),
    "imagej": ((2, 3, 24, 32), {"imagej": True, "metadata": {"axes": "TZYX"}}),
    "ome": ((2, 3, 24, 32), {"ome": True, "photometric": 1, "metadata": {"axes": "TCYX"}}),
    "colours": ((5, 24, 32, 3), {"photometric": 2, "compression": "zlib"}),
    "planes of colours": ((5, 3, 24, 32), {"photometric": 2, "planarconfig": 2}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_pages_are_what_tifffile_reads(tmp_path, kind):
    shape, options = KINDS[kind]
    pixels = data(*shape)
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    pages = read_image(tmp_path / "a.tif").pixels
    assert isinstance(pages, TiffPages)
    assert (pages.shape, pages.dtype, pages.ndim) == (shape, pixels.dtype, len(shape))
    for pages_of in (pages, pickle.loads(pickle.dumps(pages))):
        np.testing.assert_array_equal(pages_of[(slice(None),) * len(shape)], pixels)
        np.testing.assert_array_equal(pages_of, pixels)
        some = (slice(1, 2), *(slice(1, 9) for _ in shape[1:]))
        np.testing.assert_array_equal(pages_of[some], pixels[some])


def test_a_directory_is_where_a_page_and_its_pixels_are(tmp_path):
    pixels = data(3, 48, 32)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric=1, tile=(16, 16))
    content = (tmp_path / "a.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        found = [Directory.of(page) for page in tiff.pages]
        for directory, page in zip(found, pixels, strict=True):
            np.testing.assert_array_equal(
                tiffpages.page_at(tiff, directory.offset).asarray(), page
            )
            start, size = directory.parts[0]
            assert content[start : start + size] == page[:16, :16].tobytes()
            assert len(directory.parts) == 6


def test_of_each_page_little_is_kept_even_while_a_file_is_opened(tmp_path):
    def peak(count):
        tifffile.imwrite(tmp_path / "a.tif", data(count, 8, 8), photometric=1)
        tracemalloc.start()
        read_image(tmp_path / "a.tif")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(10)  # imports
    assert peak(510) - peak(10) < 500 * 1000  # bytes; a page of tifffile takes 7000


def test_of_large_stacks_imagej_has_but_one_page(tmp_path):
    pixels = data(5, 24, 32, dtype=">u2")
    path = tmp_path / "a.tif"
    with path.open("wb") as file, tifffile.TiffWriter(file, byteorder=">") as writer:
        description = b"ImageJ=1.54f\nimages=5\nslices=5\n"
        where = writer.write(
            pixels[0], photometric=1, metadata=None, description=description, returnoffset=True
        )
    assert sum(where) == path.stat().st_size  # the pixels come last
    with path.open("ab") as file:
        file.write(pixels[1:].tobytes())
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels[:, :, :], pixels)


def rewrite(source, target, order):
    """Read and write pages in some order, without changing a pixel."""
    pages = read_image(source).pixels
    with replacing(target) as file, copying(file, (pages,)) as (written,):
        for i in order(range(pages.shape[0])):
            where = (slice(i, i + 1), *(slice(None),) * (pages.ndim - 1))
            written[where] = pages[where]


@pytest.mark.parametrize("order", [list, lambda numbers: list(reversed(numbers))])
@pytest.mark.parametrize("kind", KINDS)
def test_pages_are_written_in_any_order_and_keep_their_axes(tmp_path, kind, order):
    shape, options = KINDS[kind]
    pixels = data(*shape)
    tifffile.imwrite(tmp_path / "a.tif", pixels, resolution=(5, 7), **options)
    rewrite(tmp_path / "a.tif", tmp_path / "b.tif", order)
    with tifffile.TiffFile(tmp_path / "a.tif") as a, tifffile.TiffFile(tmp_path / "b.tif") as b:
        assert a.series[0].axes == b.series[0].axes
        assert a.ome_metadata == b.ome_metadata
        assert a.imagej_metadata == b.imagej_metadata
        assert b.pages.first.get_resolution() == (5, 7)
        assert not b.is_bigtiff
        np.testing.assert_array_equal(b.asarray(), pixels)


@pytest.mark.parametrize("order", [list, lambda numbers: list(reversed(numbers))])
def test_new_stacks_are_written_in_any_order(tmp_path, monkeypatch, order):
    monkeypatch.setattr(tiffpages, "_BIG", 1000)
    pixels = data(2, 3, 24, 32)
    with replacing(tmp_path / "a.tif") as file:
        written = NewTiff(file, pixels.shape, pixels.dtype, {"photometric": 1})
        for t in order(range(2)):
            for z in order(range(3)):
                written[t : t + 1, z : z + 1, :, :] = pixels[t : t + 1, z : z + 1]
    with tifffile.TiffFile(tmp_path / "a.tif") as made:
        assert made.is_bigtiff
        np.testing.assert_array_equal(made.asarray(), pixels)


def test_pages_in_an_order_of_ome_keep_it(tmp_path):
    """OME may say that the pages of a channel come one after the other, or any other order."""
    pixels = data(2, 3, 24, 32)
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, ome=True, photometric=1, metadata={"axes": "CZYX"}
    )
    xml = tifffile.tiffcomment(tmp_path / "a.tif")
    changed = xml.replace('DimensionOrder="XYZCT"', 'DimensionOrder="XYCZT"')
    assert changed != xml
    tifffile.tiffcomment(tmp_path / "a.tif", changed)
    rewrite(tmp_path / "a.tif", tmp_path / "b.tif", list)
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "b.tif"), tifffile.imread(tmp_path / "a.tif")
    )
