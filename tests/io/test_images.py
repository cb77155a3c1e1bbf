import json
import os
import re
import signal
import struct
import subprocess
import sys
import zlib

import dask.array as da
import imagecodecs
import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from napari_periodic_denoise.io.atomic import write_array, write_json
from napari_periodic_denoise.io.images import (
    Calibration,
    ImageFileError,
    lossless,
    read_image,
    write_cleaned,
    write_image,
)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 60_000, (48, 80)).astype(np.uint16)


def coloured(channels, dtype=np.uint8):
    """Random pixels, channels last."""
    return np.random.default_rng(1).integers(0, 255, (48, 80, channels)).astype(dtype)


def rewrite(source, target):
    """Read and write as the command does, without changing a pixel."""
    image = read_image(source)
    write_cleaned(target, image.pixels, image)
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


@pytest.mark.parametrize(("channels", "alpha"), [(2, 1), (3, 0), (4, 1)])
def test_png_keeps_colours_and_alpha(tmp_path, channels, alpha):
    pixels = coloured(channels)
    iio.imwrite(tmp_path / "in.png", pixels, dpi=(300, 150))
    image = rewrite(tmp_path / "in.png", tmp_path / "out.png")
    assert (image.channel_axis, image.alpha) == (-1, alpha)
    with Image.open(tmp_path / "in.png") as before, Image.open(tmp_path / "out.png") as after:
        assert after.mode == before.mode
        assert after.info["dpi"] == before.info["dpi"]
        np.testing.assert_array_equal(after, pixels)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_becomes_png(tmp_path, channels):
    pixels = coloured(channels).squeeze()
    iio.imwrite(tmp_path / "in.jpeg", pixels, dpi=(300, 150))
    assert lossless("in.jpeg") == "in.png"
    image = rewrite(tmp_path / "in.jpeg", tmp_path / "out.png")
    assert image.channel_axis == (None if channels == 1 else -1)
    np.testing.assert_array_equal(
        iio.imread(tmp_path / "out.png"), iio.imread(tmp_path / "in.jpeg")
    )
    with Image.open(tmp_path / "out.png") as after:
        assert after.info["dpi"] == pytest.approx((300, 150), rel=1e-4)
    with pytest.raises(ImageFileError, match="choose another"):
        write_image(tmp_path / "out.jpg", image.pixels, image.calibration)


@pytest.mark.parametrize("suffix", ["tif", "png", "jpg"])
def test_colours_keep_their_profile(tmp_path, suffix):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with Image.fromarray(coloured(3)) as image:
        image.save(tmp_path / f"in.{suffix}", icc_profile=profile)
    name = lossless(f"out.{suffix}")
    image = rewrite(tmp_path / f"in.{suffix}", tmp_path / name)
    with Image.open(tmp_path / name) as after:
        assert after.info["icc_profile"] == profile
    assert image.calibration.of_noise(3).profile is None


def test_other_names_stay():
    for name in ("a.b.tif", "a.PNG", "a"):
        assert lossless(name) == name


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("orientation", range(10))
def test_a_turned_jpeg_comes_upright(tmp_path, orientation, channels):
    with Image.fromarray(coloured(channels).squeeze()) as image:
        exif = image.getexif()
        exif[274] = orientation
        image.save(tmp_path / "in.jpg", dpi=(300, 150), exif=exif)
    rewrite(tmp_path / "in.jpg", tmp_path / "out.png")
    with Image.open(tmp_path / "in.jpg") as before, Image.open(tmp_path / "out.png") as after:
        upright = ImageOps.exif_transpose(before)
        np.testing.assert_array_equal(after, upright)
        turned = upright.size != before.size
        assert after.info["dpi"] == pytest.approx((150, 300) if turned else (300, 150), rel=1e-4)


LAST, FIRST = 2, 0  # axis of the channels
IN_PLANES = {"planarconfig": "separate"}
SIDE_BY_SIDE = {"planarconfig": "contig"}
KINDS_OF_CHANNELS = [
    (3, LAST, 0, {"photometric": "rgb"}),
    (3, LAST, 0, {"photometric": "rgb", "compression": "lzw", "predictor": True}),
    (3, LAST, 0, {"photometric": "rgb", "tile": (16, 32)}),
    (3, LAST, 0, {"photometric": "rgb", "imagej": True}),
    (3, LAST, 0, {"photometric": "rgb", "ome": True, "metadata": {"axes": "YXS"}}),
    (4, LAST, 1, {"photometric": "rgb"}),
    (4, LAST, 1, {"photometric": "rgb", "extrasamples": ["assocalpha"]}),
    (4, LAST, 1, {"photometric": "rgb", "extrasamples": ["unspecified"]}),
    (5, LAST, 2, {"photometric": "rgb", "extrasamples": ["unassalpha", "unspecified"]}),
    (3, FIRST, 0, {"photometric": "rgb", **IN_PLANES}),
    (4, FIRST, 1, {"photometric": "rgb", **IN_PLANES}),
    (2, LAST, 1, {"photometric": 1, "extrasamples": ["unassalpha"], **SIDE_BY_SIDE}),
    (5, LAST, 0, {"photometric": 1, **SIDE_BY_SIDE}),
    (5, FIRST, 0, {"photometric": 1, **IN_PLANES}),
    (5, FIRST, 0, {"photometric": 1, "metadata": {"axes": "CYX"}}),
    (5, LAST, 0, {"photometric": 0, "metadata": {"axes": "YXC"}}),
    (5, FIRST, 0, {"imagej": True, "metadata": {"axes": "CYX", "unit": "um"}}),
    (5, FIRST, 0, {"ome": True, "photometric": 1, "metadata": {"axes": "CYX"}}),
]


@pytest.mark.parametrize(("channels", "axis", "alpha", "options"), KINDS_OF_CHANNELS, ids=str)
def test_tiff_keeps_channels(tmp_path, channels, axis, alpha, options):
    pixels = np.moveaxis(coloured(channels), -1, axis)
    tifffile.imwrite(tmp_path / "in.tif", pixels, resolution=(5, 7), **options)
    image = rewrite(tmp_path / "in.tif", tmp_path / "out.tif")
    assert (image.channel_axis, image.alpha) == (axis, alpha)
    np.testing.assert_array_equal(image.pixels, pixels)

    def told(path):
        with tifffile.TiffFile(path) as tiff:
            page, series = tiff.pages.first, tiff.series[0]
            np.testing.assert_array_equal(series.asarray(), pixels)
            tags = (
                "photometric",
                "planarconfig",
                "extrasamples",
                "samplesperpixel",
                "description",
            )
            return (
                [getattr(page, tag) for tag in tags],
                (len(tiff.pages), series.axes, tiff.is_imagej, tiff.is_ome),
                page.get_resolution(),
            )

    assert told(tmp_path / "out.tif") == told(tmp_path / "in.tif")


@pytest.mark.parametrize(("channels", "axis", "alpha", "options"), KINDS_OF_CHANNELS, ids=str)
def test_tiff_of_the_noise_of_channels(tmp_path, channels, axis, alpha, options):
    tifffile.imwrite(
        tmp_path / "in.tif",
        np.moveaxis(coloured(channels), -1, axis),
        resolution=(5, 7),
        **options,
    )
    noise = np.moveaxis(coloured(channels - alpha, np.float32), -1, 0)
    calibration = read_image(tmp_path / "in.tif").calibration.of_noise(len(noise))
    write_image(tmp_path / "noise.tif", noise, calibration)
    with tifffile.TiffFile(tmp_path / "noise.tif") as tiff:
        assert tiff.series[0].axes == ("CYX" if len(noise) > 1 else "YX")
        np.testing.assert_array_equal(tiff.asarray(), noise.squeeze())
        assert tiff.pages.first.get_resolution() == (5, 7)
        if "unit" in options.get("metadata", ()):
            assert tiff.imagej_metadata["unit"] == "um"


def test_a_tiff_of_jpeg_is_read_as_rgb(tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", coloured(3), photometric="rgb", compression="jpeg")
    image = rewrite(tmp_path / "in.tif", tmp_path / "out.tif")
    np.testing.assert_array_equal(image.pixels, tifffile.imread(tmp_path / "in.tif"))
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        assert tiff.pages.first.photometric == 2
        np.testing.assert_array_equal(tiff.asarray(), image.pixels)


def test_of_a_stack_one_can_say_where_the_channels_are(tmp_path, pixels):
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([pixels] * 5), photometric=1)
    assert read_image(tmp_path / "stack.tif", 0).channel_axis == 0
    # where a file tells, it knows better, and a plain image has none
    tifffile.imwrite(tmp_path / "rgb.tif", coloured(3), photometric="rgb")
    assert read_image(tmp_path / "rgb.tif", 0).channel_axis == LAST
    tifffile.imwrite(tmp_path / "grey.tif", pixels)
    assert read_image(tmp_path / "grey.tif", 0).channel_axis is None


def test_json_is_written_whole_or_not_at_all(tmp_path):
    write_json(tmp_path / "new" / "a.json", {"µ": [1.5, None]})
    assert json.loads((tmp_path / "new" / "a.json").read_text("utf-8")) == {"µ": [1.5, None]}
    with pytest.raises(TypeError):
        write_json(tmp_path / "new" / "a.json", {"µ": object()})
    assert json.loads((tmp_path / "new" / "a.json").read_text("utf-8")) == {"µ": [1.5, None]}
    assert len(list((tmp_path / "new").iterdir())) == 1


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
def test_a_tiffs_resolution_that_is_no_number_is_not_claimed_for_the_noise(
    tmp_path, pixels, fractions
):
    tifffile.imwrite(tmp_path / "in.tif", pixels, resolution=(7, 7), resolutionunit=2)
    with tifffile.TiffFile(tmp_path / "in.tif", mode="r+b") as tiff:
        tiff.pages.first.tags["XResolution"].overwrite(fractions[:2])
        tiff.pages.first.tags["YResolution"].overwrite(fractions[2:])
    calibration = read_image(tmp_path / "in.tif").calibration
    assert calibration.resolution is None
    write_image(tmp_path / "noise.tif", np.float32(pixels), calibration.of_noise())
    with tifffile.TiffFile(tmp_path / "noise.tif") as tiff:
        np.testing.assert_array_equal(tiff.asarray(), pixels)
        assert tiff.pages.first.resolutionunit == 1  # none: not one pixel per inch


@pytest.mark.parametrize(("told", "kept"), [(6, 6), (8, 8), (0, 1), (9, 1)])
def test_tiff_keeps_orientation(tmp_path, pixels, told, kept):
    tifffile.imwrite(tmp_path / "in.tif", pixels, extratags=[(274, "H", 1, told, True)])
    image = rewrite(tmp_path / "in.tif", tmp_path / "out.tif")
    write_image(tmp_path / "noise.tif", np.float32(pixels), image.calibration.of_noise())
    for name, orientation in (("out.tif", told), ("noise.tif", kept)):
        with tifffile.TiffFile(tmp_path / name) as tiff:
            assert tiff.pages.first.tags.valueof("Orientation") == orientation
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


def png_deep_colour(path):
    path.write_bytes(imagecodecs.png_encode(np.zeros((20, 20, 3), np.uint16)))


def png_palette(path):
    Image.new("P", (20, 20)).save(path)


def jpeg(path):
    iio.imwrite(path, np.zeros((20, 20), np.uint8), extension=".jpg")


def jpeg_cmyk(path):
    Image.new("CMYK", (20, 20)).save(path)


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


def tiff_cmyk(path):
    tifffile.imwrite(path, np.zeros((20, 20, 4), np.uint8), photometric="separated")


def tiff_palette(path):
    colours = np.zeros((3, 256), np.uint16)
    tifffile.imwrite(path, np.zeros((20, 20), np.uint8), photometric="palette", colormap=colours)


def tiff_two_images(path):
    with tifffile.TiffWriter(path) as file:
        file.write(np.zeros((20, 20), np.uint8))
        file.write(np.zeros((9, 9), np.uint8))


REFUSED = [
    (nothing, "a.tif", "no such file"),
    (nothing, "a.png", "no such file"),
    (folder, "a.tif", "is a directory"),
    (text, "a.gif", r"expected TIFF \(.tif, .tiff\), .*, got a .gif file; .* Fiji"),
    (text, "a.czi", "got a .czi file; .* Bio-Formats: bfconvert"),
    (text, "a.mrc", "got a .mrc file; .* bfconvert"),
    (text, "a.zarr.zip", "unpack it into a folder"),
    (text, "a.h5", "tifffile.imwrite"),
    (text, "a", "got a name without an ending"),
    (empty, "a.tif", "an empty file"),
    (empty, "a.png", "an empty file"),
    (text, "a.tif", "expected a TIFF file, as its name says, got none of"),
    (text, "a.jpg", "expected a JPEG file, as its name says, got none of"),
    (jpeg, "a.png", "expected a PNG file, as its name says, got JPEG"),
    (jpeg_cmyk, "a.jpg", "CMYK"),
    (png, "a.tif", "expected a TIFF file, as its name says, got PNG"),
    (tiff, "a.png", "expected a PNG file, as its name says, got TIFF"),
    (png_deep_colour, "a.png", "of which 8 would be lost; convert it to TIFF"),
    (png_palette, "a.png", "a palette"),
    (png_animation, "a.png", "animation"),
    (png_damaged, "a.png", "damaged or cut short"),
    (png_enormous, "a.png", "131072×131072 pixels; a PNG file may have at most 2³¹"),
    (tiff_cmyk, "a.tif", "SEPARATED; convert it to RGB .* Fiji"),
    (tiff_palette, "a.tif", "PALETTE; convert it to RGB"),
    (tiff_two_images, "a.tif", "2 images that do not form a stack; save each"),
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
    ("shape", "options"),
    [
        ((48, 80), {}),
        ((48, 80), {"rowsperstrip": 8}),
        ((48, 80), {"compression": "lzw", "rowsperstrip": 8}),
        ((48, 80), {"tile": (16, 16)}),
        ((24, 40, 4), {"photometric": "rgb"}),
        ((4, 24, 40), {"photometric": "rgb", **IN_PLANES}),
        ((4, 24, 40), {"imagej": True, "metadata": {"axes": "CYX"}}),
        ((4, 24, 40), {"imagej": True, "metadata": {"axes": "CYX"}, "truncate": True}),
        ((4, 24, 40), {"ome": True, "photometric": 1, "metadata": {"axes": "CYX"}}),
        ((4, 24, 40), {"photometric": 1, "metadata": {"axes": "CYX"}, "compression": "lzw"}),
    ],
    ids=str,
)
def test_tiff_cut_anywhere_is_refused_or_whole_still(tmp_path, pixels, shape, options):
    tifffile.imwrite(tmp_path / "whole.tif", pixels.reshape(shape), **options)
    content = (tmp_path / "whole.tif").read_bytes()
    path = tmp_path / "cut.tif"
    for length in [*range(1, 600, 37), *range(600, len(content), 997), len(content) - 1]:
        path.write_bytes(content[:length])
        try:
            read = read_image(path)
        except ImageFileError:
            continue
        # what ends the file are tags of a later page, which nothing hangs on
        assert len(content) - length < 20
        assert shape[0] == 4
        np.testing.assert_array_equal(read.pixels, pixels.reshape(shape))


def test_jpeg_cut_anywhere_is_refused(tmp_path):
    iio.imwrite(tmp_path / "whole.jpg", coloured(3))
    content = (tmp_path / "whole.jpg").read_bytes()
    path = tmp_path / "cut.jpg"
    for length in [*range(1, 100, 7), *range(100, len(content) - 20, 97)]:
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


@pytest.mark.parametrize("dtype", ["uint8", ">f4", "bool"])
@pytest.mark.parametrize("lazy", [False, True])
def test_arrays_are_written_in_parts(tmp_path, dtype, lazy):
    array = np.random.default_rng(0).integers(0, 2, (4, 20, 24)).astype(dtype).swapaxes(1, 2)
    write_array(tmp_path / "a.npy", da.from_array(array) if lazy else array)
    made = np.load(tmp_path / "a.npy")
    assert made.dtype == array.dtype
    np.testing.assert_array_equal(made, array)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


WRITE_HALF_THEN_WAIT = """
import signal, sys, time
from pathlib import Path
import numpy as np, tifffile
from napari_periodic_denoise.io.images import Calibration, write_image

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
    assert all(re.fullmatch(r"\.napari-periodic-denoise-\w+\.(part|lock)", name) for name in left)
    if number == signal.SIGINT:
        assert left == []
