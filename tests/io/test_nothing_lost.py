"""What a file holds beside its pixels is in the cleaned file too, or is named as missing."""

import json
import os
import stat
import struct

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image, PngImagePlugin
from typer.testing import CliRunner

from napari_periodic_denoise import estimate_noise
from napari_periodic_denoise.cli import app

Y, X = np.indices((64, 64))
HUM = 500 * np.cos(0.7 * Y + 0.5 * X)
OME = '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'


def clean(*arguments):
    return CliRunner().invoke(app, ["clean", *map(str, arguments)])


def noisy(*levels, dtype=np.uint16):
    return np.stack([level + HUM for level in levels]).astype(dtype)


def cleaned(planes):
    return np.stack([estimate_noise(plane).cleaned for plane in planes])


def ome(z, t, parts, uuid=""):
    return (
        f'{OME}{uuid}><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" '
        f'Type="uint16" SizeX="64" SizeY="64" SizeZ="{z}" SizeC="1" SizeT="{t}">'
        f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{parts}</Pixels></Image></OME>'
    ).encode()


def write_series(folder, data):
    """Write a file for each time point, of which each describes the whole series."""
    uuids = [f"urn:uuid:00000000-0000-0000-0000-00000000000{t}" for t in range(len(data))]
    parts = "".join(
        f'<TiffData FirstZ="{z}" FirstT="{t}" IFD="{z}" PlaneCount="1">'
        f'<UUID FileName="run_t{t}.ome.tif">{uuid}</UUID></TiffData>'
        for t, uuid in enumerate(uuids)
        for z in range(data.shape[1])
    )
    for t, uuid in enumerate(uuids):
        xml = ome(data.shape[1], len(data), parts, f' UUID="{uuid}"')
        path = folder / f"run_t{t}.ome.tif"
        tifffile.imwrite(path, data[t], description=xml, metadata=None, photometric=1)


@pytest.fixture
def source(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_each_file_of_a_series_keeps_its_own_planes(source, out):
    data = noisy(1000, 2000, 11000, 12000).reshape(2, 2, 64, 64)
    write_series(source, data)
    result = clean(source, "--out", out, "--noise", "--report", out / "report.csv")
    assert result.exit_code == 0, result.output
    assert result.stdout.count(": 2 planes, periodic noise in 2\n") == 2
    for t in range(2):
        with tifffile.TiffFile(out / f"run_t{t}.ome.tif", _multifile=False) as after:
            pages = [page.asarray() for page in after.pages]
            before = tifffile.tiffcomment(source / f"run_t{t}.ome.tif")
            assert after.ome_metadata == before
        np.testing.assert_array_equal(pages, cleaned(data[t]))
        of_noise = tifffile.imread(out / f"run_t{t}.ome-noise.tif")
        np.testing.assert_array_equal(of_noise, [estimate_noise(p).noise for p in data[t]])
    series = tifffile.imread(out / "run_t0.ome.tif")
    np.testing.assert_array_equal(series, [cleaned(part) for part in data])


def test_one_file_of_a_series_needs_no_other(source, out):
    data = noisy(1000, 2000, 11000, 12000).reshape(2, 2, 64, 64)
    write_series(source, data)
    (source / "run_t0.ome.tif").unlink()
    assert clean(source, "--out", out).exit_code == 0
    with tifffile.TiffFile(out / "run_t1.ome.tif", _multifile=False) as after:
        np.testing.assert_array_equal([p.asarray() for p in after.pages], cleaned(data[1]))


def test_the_noise_names_no_other_file(source, out):
    data = noisy(5000, 6000)
    uuid = "urn:uuid:00000000-0000-0000-0000-000000000001"
    parts = "".join(
        f'<TiffData FirstT="{t}" IFD="{t}" PlaneCount="1">'
        f'<UUID FileName="a.ome.tif">{uuid}</UUID></TiffData>'
        for t in range(2)
    )
    xml = ome(1, 2, parts, f' UUID="{uuid}"')
    tifffile.imwrite(source / "a.ome.tif", data, description=xml, metadata=None, photometric=1)
    assert clean(source, "--out", out, "--noise").exit_code == 0
    with tifffile.TiffFile(out / "a.ome-noise.tif") as of_noise:
        assert "UUID" not in of_noise.ome_metadata
        assert "FileName" not in of_noise.ome_metadata
        assert of_noise.series[0].axes == "TYX"
        np.testing.assert_array_equal(of_noise.asarray(), [estimate_noise(p).noise for p in data])
    assert uuid in tifffile.tiffcomment(out / "a.ome.tif")


@pytest.mark.parametrize(
    ("z", "parts"),
    [
        (4, '<TiffData IFD="2" PlaneCount="4"/>'),
        (6, "".join(f'<TiffData FirstZ="{z}" IFD="{5 - z}" PlaneCount="1"/>' for z in range(6))),
        (6, "".join(f'<TiffData FirstZ="{z}" IFD="{z % 5}" PlaneCount="1"/>' for z in range(6))),
    ],
    ids=["offset", "reversed", "shared"],
)
def test_pages_stay_where_the_xml_says(source, out, z, parts):
    data = noisy(*range(1000, 7000, 1000))
    description = ome(z, 1, parts)
    path = source / "a.ome.tif"
    tifffile.imwrite(path, data, description=description, metadata=None, photometric=1)
    before = tifffile.imread(path)
    assert clean(path, "--out", out, "--noise").exit_code == 0
    after = tifffile.imread(out / "a.ome.tif")
    np.testing.assert_array_equal(after, cleaned(before))
    with tifffile.TiffFile(out / "a.ome.tif") as tiff:
        assert len(tiff.pages) == 6
        assert tiff.ome_metadata.encode() == description


def never_written(path):
    """A TIFF file as libvips leaves it when it stops: offset and size of its strip are 0."""
    tags = [
        (256, 4, 64), (257, 4, 64), (258, 3, 16), (259, 3, 8), (262, 3, 1), (273, 4, 0),
        (277, 3, 1), (278, 4, 64), (279, 4, 0),
    ]  # fmt: skip
    entries = b"".join(
        struct.pack("<HHI", tag, kind, 1)
        + (struct.pack("<HH", value, 0) if kind == 3 else struct.pack("<I", value))
        for tag, kind, value in tags
    )
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, 9) + entries + bytes(4))


def test_pixels_that_were_never_written_are_not_taken_for_zeros(source, out):
    never_written(source / "cut.tif")
    result = clean(source / "cut.tif", "--out", out)
    assert result.exit_code == 1
    assert "page 1" in result.stderr
    assert "never written" in result.stderr
    assert not (out / "cut.tif").exists()


def tags(path, page=0):
    """All that a page's tags say, but where its pixels are."""
    with tifffile.TiffFile(path, is_scanimage=False) as tiff:
        tiff.pages.useframes = False
        return {
            tag.code: tag.value
            for tag in tiff.pages[page].tags
            if tag.name not in ("StripOffsets", "StripByteCounts", "TileOffsets", "TileByteCounts")
        }


TAGS = [
    (700, "B", 13, b"<x:xmpmeta/> ", True),  # XMP
    (34118, "s", 0, "0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 9.9 nm\r\n", True),  # Zeiss
    (34682, "s", 0, "[Scan]\r\nPixelWidth=9.9e-9\r\n", True),  # FEI
]
WAYS = {
    "plain": {},
    "big endian": {"byteorder": ">"},
    "bigtiff": {"bigtiff": True},
    "lzw": {"compression": "lzw", "predictor": True, "rowsperstrip": 9},
    "zlib tiles": {"compression": "zlib", "tile": (16, 48)},
    "zstd big endian": {"compression": "zstd", "predictor": True, "byteorder": ">"},
    "packbits": {"compression": "packbits"},
    "lzma": {"compression": "lzma"},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("count", [1, 3])
def test_all_tags_of_a_tiff_are_kept(source, out, way, count):
    data = noisy(*(1000 * (k + 1) for k in range(count)))
    path = source / "a.tif"
    with tifffile.TiffWriter(
        path, byteorder=WAYS[way].get("byteorder"), bigtiff=WAYS[way].get("bigtiff", False)
    ) as tiff:
        options = {k: v for k, v in WAYS[way].items() if k not in ("byteorder", "bigtiff")}
        for k, plane in enumerate(data):
            tiff.write(
                plane, photometric=1, metadata=None, contiguous=False, extratags=TAGS,
                datetime="2024:01:02 03:04:05", software="a microscope",
                description=f"page {k}", **options,
            )  # fmt: skip
    result = clean(path, "--out", out)
    assert result.exit_code == 0, result.output
    for page in range(count):
        assert tags(out / "a.tif", page) == tags(path, page)
    np.testing.assert_array_equal(
        tifffile.imread(out / "a.tif").reshape(data.shape), cleaned(data)
    )
    assert "not kept" not in result.output


def test_floats_with_their_predictor(source, out):
    data = noisy(1000, 2000, dtype=np.float32)
    options = {"compression": "zlib", "predictor": 3, "tile": (32, 32), "photometric": 1}
    for order in "<>":
        tifffile.imwrite(source / "a.tif", data, byteorder=order, **options)
        assert clean(source, "--out", out, "--overwrite").exit_code == 0
        np.testing.assert_array_equal(tifffile.imread(out / "a.tif"), cleaned(data))
        assert tags(out / "a.tif") == tags(source / "a.tif")


def test_compressed_files_stay_about_as_large(source, out):
    rng = np.random.default_rng(0)
    data = (rng.normal(1000, 3, (6, 64, 64)) + HUM).astype(np.uint16)
    tifffile.imwrite(source / "a.tif", data, photometric=1, compression="zlib", tile=(32, 32))
    assert clean(source, "--out", out).exit_code == 0
    before, after = ((folder / "a.tif").stat().st_size for folder in (source, out))
    assert after < 1.1 * before
    np.testing.assert_array_equal(tifffile.imread(out / "a.tif"), cleaned(data))


def test_more_bytes_than_before_find_room(source, out):
    """Noise that compresses to nothing, and an image that does not."""
    data = noisy(1000, 2000)
    tifffile.imwrite(source / "a.tif", np.zeros_like(data), photometric=1, compression="zlib")
    from napari_periodic_denoise.io.images import read_image
    from napari_periodic_denoise.io.stores import tiff_stack

    random = np.random.default_rng(0).integers(0, 2**16, data.shape).astype(np.uint16)
    with tiff_stack(read_image(source / "a.tif")).open_cleaned(out / "a.tif") as (target,):
        for k in (1, 0):
            target[k : k + 1, :, :] = random[k : k + 1]
    np.testing.assert_array_equal(tifffile.imread(out / "a.tif"), random)


def test_what_was_not_filled_in_does_not_get_its_name(source, out):
    tifffile.imwrite(source / "a.tif", noisy(1000, 2000), photometric=1)
    from napari_periodic_denoise.io.images import read_image
    from napari_periodic_denoise.io.stores import tiff_stack

    with (
        pytest.raises(RuntimeError, match="1 of 2"),
        tiff_stack(read_image(source / "a.tif")).open_cleaned(out / "a.tif") as (target,),
    ):
        target[0:1, :, :] = noisy(1000)
    assert not (out / "a.tif").exists()


def test_lossy_compression_is_named(source, out):
    data = noisy(1000, 2000)
    data = (data // 16).astype(np.uint8)
    tifffile.imwrite(source / "a.tif", data, photometric=1, compression="jpeg", tile=(32, 32))
    before = tifffile.imread(source / "a.tif")
    result = clean(source, "--out", out)
    assert "not kept: JPEG compression" in result.stdout
    np.testing.assert_array_equal(tifffile.imread(out / "a.tif"), cleaned(before))


def test_old_scanimage_files_are_whole(source, out):
    data = noisy(*range(1000, 7000, 1000), dtype=np.int16)
    with tifffile.TiffWriter(source / "a.tif") as tiff:
        for k, plane in enumerate(data):
            description = f"state.configPath='x'\rframe={k}"
            tiff.write(plane, description=description, metadata=None, contiguous=False)
    result = clean(source, "--out", out)
    assert result.exit_code == 0, result.output
    assert tags(out / "a.tif", 5) == tags(source / "a.tif", 5)
    np.testing.assert_array_equal(
        tifffile.imread(out / "a.tif", is_scanimage=False), cleaned(data)
    )


def test_all_levels_of_a_pyramid_are_cleaned(source, out):
    plane = noisy(1000)[0]
    with tifffile.TiffWriter(source / "a.ome.tif", ome=True) as tiff:
        tiff.write(plane, subifds=1, tile=(16, 16), photometric=1)
        tiff.write(plane[::2, ::2], subfiletype=1, tile=(16, 16), photometric=1)
    assert clean(source, "--out", out, "--noise").exit_code == 0
    with tifffile.TiffFile(out / "a.ome.tif") as after:
        fine, coarse = after.series[0].levels
        expected = estimate_noise(plane)
        np.testing.assert_array_equal(fine.asarray(), expected.cleaned)
        np.testing.assert_allclose(
            coarse.asarray().astype(float), expected.cleaned[::2, ::2], atol=1
        )
    np.testing.assert_array_equal(tifffile.imread(out / "a.ome-noise.tif"), expected.noise)


def test_the_file_with_the_axes_is_named(source, out):
    data = noisy(1000, 2000)
    xml = (
        f'{OME} UUID="urn:uuid:00000000-0000-0000-0000-000000000001"><BinaryOnly '
        'MetadataFile="run.companion.ome" UUID="urn:uuid:00000000-0000-0000-0000-000000000002"/>'
        "</OME>"
    ).encode()
    path = source / "a.ome.tif"
    tifffile.imwrite(path, data, description=xml, metadata=None, photometric=1)
    result = clean(path, "--out", out)
    assert result.exit_code == 0, result.output
    assert "run.companion.ome" in result.stdout
    assert tifffile.tiffcomment(out / "a.ome.tif").encode() == xml


def test_text_and_exif_of_a_png_are_kept(source, out):
    text = PngImagePlugin.PngInfo()
    text.add_text("Description", "a cell")
    text.add_itxt("Comment", "in µm")
    exif = Image.Exif()
    exif[306] = "2024:01:02 03:04:05"
    image = Image.fromarray((noisy(1000)[0] // 16).astype(np.uint8))
    image.save(source / "a.png", pnginfo=text, exif=exif, transparency=7)
    image.save(source / "b.jpg", exif=exif, quality=95)
    result = clean(source, "--out", out)
    assert result.exit_code == 0, result.output
    for name in ("a.png", "b.png"):
        with Image.open(out / name) as after:
            assert after.getexif()[306] == "2024:01:02 03:04:05"
    with Image.open(out / "a.png") as after:
        assert after.text["Description"] == "a cell"
        assert after.text["Comment"] == "in µm"
    lines = {line.split(":")[0]: line for line in result.stdout.splitlines()}
    assert "not kept: transparency" in lines[str(source / "a.png")]
    assert "not kept" not in lines[str(source / "b.jpg")]


def ome_zarr(path, data, channel=None):
    axes = [{"name": name, "type": "space"} for name in "zyx"[-data.ndim :]]
    transform = [{"type": "scale", "scale": [1.0] * data.ndim}]
    datasets = [{"path": "0", "coordinateTransformations": transform}]
    told = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    if channel:
        told["omero"] = {"channels": [channel]}
    group = zarr.create_group(path, attributes={"ome": told})
    group.create_array("0", shape=data.shape, chunks=(1, 64, 64), dtype=data.dtype)[:] = data


def test_the_noise_of_ome_zarr_keeps_a_display_window(source, out):
    window = {"min": 0, "max": 4095, "start": 100, "end": 1300}
    channel = {"label": "GFP", "color": "00FF00", "window": window}
    ome_zarr(source / "a.zarr", noisy(1000, 2000), channel)
    assert clean(source, "--out", out, "--noise").exit_code == 0
    kept = zarr.open_group(out / "a-noise.zarr").attrs["ome"]["omero"]["channels"][0]
    assert kept["label"] == "GFP"
    window = kept["window"]
    assert (window["start"], window["end"]) == (-600, 600)
    assert window["min"] <= window["start"] < window["end"] <= window["max"]


@pytest.mark.parametrize("by_link", [False, True])
def test_out_inside_an_input_is_refused(source, by_link):
    ome_zarr(source / "a.zarr", noisy(1000, 2000))
    ome_zarr(source / "b.zarr", noisy(1000, 2000))
    out = source / "b.zarr"
    if by_link:
        out = source / "link"
        out.symlink_to(source / "b.zarr", target_is_directory=True)
    before = sorted(source.rglob("*"))
    for inputs in ([source / "b.zarr"], [source / "a.zarr", source / "b.zarr"]):
        result = clean(*inputs, "--out", out / "deep" / "er", "--overwrite")
        assert result.exit_code == 1
        errors = result.stderr.splitlines()
        assert len(errors) == len(inputs)
        assert all("inside the input" in error and "b.zarr;" in error for error in errors)
        assert sorted(source.rglob("*")) == before


@pytest.mark.skipif(os.name == "nt", reason="permissions as POSIX has them")
def test_an_output_can_be_written_where_the_source_cannot(source, out):
    ome_zarr(source / "a.zarr", noisy(1000, 2000))
    for path in (source / "a.zarr").rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    (source / "a.zarr").chmod(0o555)
    try:
        assert clean(source / "a.zarr", "--out", out).exit_code == 0
    finally:
        for path in [source / "a.zarr", *(source / "a.zarr").rglob("*")]:
            path.chmod(0o755)
    mask = os.umask(0)
    os.umask(mask)
    for path in (out / "a.zarr").rglob("*"):
        usual = 0o777 if path.is_dir() else 0o666
        assert stat.S_IMODE(path.stat().st_mode) == usual & ~mask, path


def test_the_plane_with_nan_is_named(source, out):
    data = noisy(*[1000] * 5, dtype=np.float32)
    data[3] = np.nan
    tifffile.imwrite(source / "a.tif", data, photometric=1)
    result = clean(source / "a.tif", "--out", out)
    assert result.exit_code == 1
    assert "plane 3: the image has no finite pixel" in result.stderr


def test_a_plane_with_nan_is_cleaned_and_named(source, out):
    data = noisy(*[1000] * 5, dtype=np.float32)
    data[3, 0, :3] = np.nan
    tifffile.imwrite(source / "a.tif", data, photometric=1)
    tifffile.imwrite(source / "b.tif", data[3], photometric=1)
    result = clean(source / "a.tif", source / "b.tif", "--out", out, "--waves")
    assert result.exit_code == 0
    words = "3 pixels are not finite; they were ignored and are unchanged"
    assert f"periodic noise in 5; plane 3: {words}" in result.stdout
    assert f"; {words}" in result.stdout.splitlines()[1]
    np.testing.assert_array_equal(tifffile.imread(out / "a.tif"), cleaned(data))
    np.testing.assert_array_equal(tifffile.imread(out / "b.tif"), cleaned(data[3:])[0])
    planes = json.loads((out / "a-waves.json").read_text())["planes"]
    assert [plane["not_finite"] for plane in planes] == [0, 0, 0, 3, 0]
