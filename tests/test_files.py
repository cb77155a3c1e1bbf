import os
import re
import signal
import struct
import subprocess
import sys
import zlib

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_periodic_denoise.files import Calibration, ImageFileError, read_image, write_image


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 60_000, (48, 80)).astype(np.uint16)


def rewrite(source, target):
    """Read and write as the command does, without changing a pixel."""
    image = read_image(source)
    write_image(target, image.pixels, image.calibration)
    return image


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "f2", "f4", "f8", ">u2", ">f4"])
@pytest.mark.parametrize("suffix", [".tif", ".TIFF"])
def test_tiff_keeps_values_and_dtype(tmp_path, pixels, dtype, suffix):
    pixels = (pixels // 256).astype(dtype)
    tifffile.imwrite(
        tmp_path / f"in{suffix}", pixels, byteorder=dtype[0] if dtype[0] == ">" else "<"
    )
    rewrite(tmp_path / f"in{suffix}", tmp_path / f"out{suffix}")
    written = tifffile.imread(tmp_path / f"out{suffix}")
    assert written.dtype == pixels.dtype.newbyteorder("=")
    np.testing.assert_array_equal(written, pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_keeps_values_dtype_and_resolution(tmp_path, pixels, dtype):
    pixels = (pixels // (1 if dtype == np.uint16 else 256)).astype(dtype)
    iio.imwrite(tmp_path / "in.png", pixels, dpi=(300, 150))
    rewrite(tmp_path / "in.png", tmp_path / "out.png")
    written = iio.imread(tmp_path / "out.png")
    assert written.dtype == dtype
    np.testing.assert_array_equal(written, pixels)
    with Image.open(tmp_path / "in.png") as before, Image.open(tmp_path / "out.png") as after:
        assert after.info["dpi"] == before.info["dpi"]


def test_png_without_resolution_gets_none(tmp_path, pixels):
    iio.imwrite(tmp_path / "in.png", pixels)
    rewrite(tmp_path / "in.png", tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert "dpi" not in image.info


@pytest.mark.parametrize("unit", [1, 2, 3])
@pytest.mark.parametrize("resolution", [((2_000_000, 13), (1, 3)), ((72, 1), (72, 1))])
def test_tiff_keeps_resolution_to_the_fraction(tmp_path, pixels, resolution, unit):
    tifffile.imwrite(tmp_path / "in.tif", pixels, resolution=resolution, resolutionunit=unit)
    rewrite(tmp_path / "in.tif", tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        tags = tiff.pages.first.tags
        assert (tags["XResolution"].value, tags["YResolution"].value) == resolution
        assert tags["ResolutionUnit"].value == unit


@pytest.mark.parametrize("fractions", [(0, 0, 0, 0), (72, 1, 72, 0), (0, 1, 72, 1)])
def test_a_tiffs_resolution_that_is_no_number_is_dropped(tmp_path, pixels, fractions):
    tifffile.imwrite(tmp_path / "in.tif", pixels, resolution=(7, 7), resolutionunit=2)
    with tifffile.TiffFile(tmp_path / "in.tif", mode="r+b") as tiff:
        tiff.pages.first.tags["XResolution"].overwrite(fractions[:2])
        tiff.pages.first.tags["YResolution"].overwrite(fractions[2:])
    assert rewrite(tmp_path / "in.tif", tmp_path / "out.tif").calibration.resolution is None
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        np.testing.assert_array_equal(tiff.asarray(), pixels)
        assert tiff.pages.first.resolutionunit == 1  # none: not one pixel per inch


@pytest.mark.parametrize(("told", "kept"), [(6, 6), (8, 8), (0, 1), (9, 1)])
def test_tiff_keeps_orientation(tmp_path, pixels, told, kept):
    tifffile.imwrite(tmp_path / "in.tif", pixels, extratags=[(274, "H", 1, told, True)])
    image = rewrite(tmp_path / "in.tif", tmp_path / "out.tif")
    write_image(tmp_path / "noise.tif", np.float32(pixels), image.calibration.of_noise())
    for name in ("out.tif", "noise.tif"):
        with tifffile.TiffFile(tmp_path / name) as tiff:
            assert tiff.pages.first.tags.valueof("Orientation") == kept
            np.testing.assert_array_equal(tiff.asarray(), pixels)


@pytest.mark.parametrize("limit", [3000, 1000])  # of 3840 pixels, where Pillow warns and raises
def test_a_large_png_is_no_attack(tmp_path, monkeypatch, pixels, limit):
    iio.imwrite(tmp_path / "in.png", pixels)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    np.testing.assert_array_equal(read_image(tmp_path / "in.png").pixels, pixels)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_imagej_pixel_size_and_display_range_are_kept(tmp_path, pixels):
    metadata = {"unit": "um", "min": 10.0, "max": 300.0}
    tifffile.imwrite(
        tmp_path / "in.tif", pixels, imagej=True, resolution=(5.5, 4.5), metadata=metadata
    )
    image = rewrite(tmp_path / "in.tif", tmp_path / "out.tif")
    write_image(tmp_path / "noise.tif", np.float32(pixels), image.calibration.of_noise())
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        assert tiff.is_imagej
        assert tiff.imagej_metadata.items() >= metadata.items()
        assert tiff.pages.first.get_resolution() == (5.5, 4.5)
        assert tiff.asarray().shape == pixels.shape
    with tifffile.TiffFile(tmp_path / "noise.tif") as tiff:
        assert tiff.imagej_metadata["unit"] == "um"
        assert not {"min", "max"} & tiff.imagej_metadata.keys()
        assert tiff.pages.first.get_resolution() == (5.5, 4.5)
        assert tiff.asarray().dtype == np.float32


def test_ome_pixel_size_is_kept_and_not_claimed_for_the_noise(tmp_path, pixels):
    size = {"PhysicalSizeX": 0.065, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(tmp_path / "in.ome.tif", pixels, metadata={"axes": "YX", **size})
    image = rewrite(tmp_path / "in.ome.tif", tmp_path / "out.ome.tif")
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as tiff:
        assert tiff.is_ome
        assert 'PhysicalSizeX="0.065"' in tiff.ome_metadata
        assert "µm" in tiff.ome_metadata
        np.testing.assert_array_equal(tiff.asarray(), pixels)
    assert image.calibration.of_noise().description == ""  # it names the image's data type


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "lzw", "predictor": True},
        {"compression": "zstd"},
        {"compression": "deflate", "tile": (16, 32)},
        {"bigtiff": True},
        {"photometric": "miniswhite"},
        {"rowsperstrip": 5},
    ],
    ids=str,
)
def test_kinds_of_tiff(tmp_path, pixels, options):
    tifffile.imwrite(tmp_path / "in.tif", pixels, **options)
    rewrite(tmp_path / "in.tif", tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        np.testing.assert_array_equal(tiff.asarray(), pixels)
        inverted = options.get("photometric") == "miniswhite"
        assert tiff.pages.first.photometric == (0 if inverted else 1)


def test_of_a_pyramid_the_full_size_is_read(tmp_path, pixels):
    with tifffile.TiffWriter(tmp_path / "in.tif") as tiff:
        tiff.write(pixels, subifds=1, tile=(16, 16))
        tiff.write(pixels[::2, ::2], subfiletype=1, tile=(16, 16))
    np.testing.assert_array_equal(read_image(tmp_path / "in.tif").pixels, pixels)


def nothing(path):
    pass


def empty(path):
    path.touch()


def text(path):
    path.write_text("not an image")


def folder(path):
    path.mkdir()


def png(path):
    iio.imwrite(path, np.zeros((20, 20), np.uint8), extension=".png")


def png_colour(path):
    iio.imwrite(path, np.zeros((20, 20, 3), np.uint8))


def png_alpha(path):
    Image.new("LA", (20, 20)).save(path)


def png_palette(path):
    Image.new("P", (20, 20)).save(path)


def png_animation(path):
    frames = [Image.new("L", (20, 20), grey) for grey in (0, 100)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def png_damaged(path):
    png(path)
    content = bytearray(path.read_bytes())
    content[50] ^= 0xFF
    path.write_bytes(content)


def png_enormous(path):
    """A header that promises 2**34 pixels, and next to nothing behind it."""
    png(path)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 2**17, 2**17)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)


def tiff(path):
    tifffile.imwrite(path, np.zeros((20, 20), np.uint8))


def tiff_colour(path):
    tifffile.imwrite(path, np.zeros((20, 20, 3), np.uint8), photometric="rgb")


def tiff_palette(path):
    colours = np.zeros((3, 256), np.uint16)
    tifffile.imwrite(path, np.zeros((20, 20), np.uint8), photometric="palette", colormap=colours)


def tiff_stack(path):
    tifffile.imwrite(path, np.zeros((5, 20, 20), np.uint8), photometric="minisblack")


def tiff_two_images(path):
    with tifffile.TiffWriter(path) as file:
        file.write(np.zeros((20, 20), np.uint8))
        file.write(np.zeros((9, 9), np.uint8))


REFUSED = [
    (nothing, "a.tif", "no such file"),
    (nothing, "a.png", "no such file"),
    (folder, "a.tif", "is a directory"),
    (text, "a.jpg", r"TIFF \(.tif, .tiff\) and PNG \(.png\)"),
    (empty, "a.tif", "an empty file"),
    (empty, "a.png", "an empty file"),
    (text, "a.tif", "neither a TIFF nor a PNG file, not a TIFF"),
    (png, "a.tif", "PNG, not a TIFF file as its name says"),
    (tiff, "a.png", "TIFF, not a PNG file as its name says"),
    (png_colour, "a.png", "colour"),
    (png_alpha, "a.png", "alpha"),
    (png_palette, "a.png", "colour"),
    (png_animation, "a.png", "animation"),
    (png_damaged, "a.png", "damaged or cut short"),
    (png_enormous, "a.png", "131072×131072 pixels; at most 2³¹"),
    (tiff_colour, "a.tif", "colour"),
    (tiff_palette, "a.tif", "colour"),
    (tiff_stack, "a.tif", r"a stack \(5×20×20, axes QYX\)"),
    (tiff_two_images, "a.tif", "2 images"),
]


@pytest.mark.parametrize(
    ("make", "name", "reason"),
    REFUSED,
    ids=[f"{make.__name__}-{name}" for make, name, _ in REFUSED],
)
def test_refused_in_one_line(tmp_path, make, name, reason):
    make(tmp_path / name)
    with pytest.raises(ImageFileError, match=reason) as raised:
        read_image(tmp_path / name)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "options",
    [{}, {"rowsperstrip": 8}, {"compression": "lzw", "rowsperstrip": 8}, {"tile": (16, 16)}],
    ids=str,
)
def test_tiff_cut_anywhere_is_refused(tmp_path, pixels, options):
    tifffile.imwrite(tmp_path / "whole.tif", pixels, **options)
    content = (tmp_path / "whole.tif").read_bytes()
    path = tmp_path / "cut.tif"
    for length in [*range(1, 600, 37), *range(600, len(content), 997), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(ImageFileError):
            read_image(path)


def test_png_cut_anywhere_is_refused(tmp_path, pixels):
    iio.imwrite(tmp_path / "whole.png", pixels)
    content = (tmp_path / "whole.png").read_bytes()
    path = tmp_path / "cut.png"
    # the last 20 bytes hold lengths, checksums and the end marker, and no pixels
    for length in [*range(1, 100, 7), *range(100, len(content) - 20, 997), len(content) - 21]:
        path.write_bytes(content[:length])
        with pytest.raises(ImageFileError):
            read_image(path)


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("existing", [None, b"what was there"])
def test_a_write_that_fails_leaves_no_trace(tmp_path, monkeypatch, pixels, failure, existing):
    target = tmp_path / "a.tif"
    if existing:
        target.write_bytes(existing)

    def write_half(file, pixels, **options):
        file.write(pixels.tobytes()[: pixels.nbytes // 2])
        raise failure

    monkeypatch.setattr(tifffile, "imwrite", write_half)
    with pytest.raises(type(failure)):
        write_image(target, pixels, Calibration())
    assert [path.name for path in tmp_path.iterdir()] == (["a.tif"] if existing else [])
    if existing:
        assert target.read_bytes() == existing


WRITE_HALF_THEN_WAIT = """
import signal, sys, time
from pathlib import Path
import numpy as np, tifffile
from napari_periodic_denoise.files import Calibration, write_image

# a background job of a shell without job control ignores the signal
signal.signal(signal.SIGINT, signal.default_int_handler)

def write_half(file, pixels, **options):
    file.write(pixels.tobytes()[:pixels.nbytes // 2])
    file.flush()
    print("half", flush=True)
    time.sleep(60)

tifffile.imwrite = write_half
write_image(Path(sys.argv[1]), np.zeros((99, 99), np.uint8), Calibration())
"""


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_while_writing(tmp_path, number):
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_HALF_THEN_WAIT, str(tmp_path / "a.tif")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout.readline() == "half\n"
        process.send_signal(number)
    left = [path.name for path in tmp_path.iterdir()]
    assert "a.tif" not in left
    assert all(re.fullmatch(r"\.napari-periodic-denoise-\w+\.part", name) for name in left)
    if number == signal.SIGINT:
        assert left == []
