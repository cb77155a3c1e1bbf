"""Compare image files by many writers before and after they are cleaned.

``python -m benchmarks.torture`` writes each kind of file twice, without and with a wave, cleans
all of them with one command, and compares the files before and after with readers that the
command does not use where there is one: of images without a wave all pixels to the bit, of
others what is left of the wave. Type, axes, sizes, names and tags have to be the same. It prints
a table, and fails where a file differs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import imageio.v3 as iio
import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import Image, ImageSequence, PngImagePlugin

SHAPE = (48, 64)
LEVEL, SPREAD, AMPLITUDE = 100, 2, 12  # grey levels, so that all fits into 8 bits
#: Largest share of the wave that may be left. Of waves this strong the fit leaves 1%, rounding to
#: 8 bits 6%, JPEG and small levels of a pyramid up to 15%.
LEFT = 0.25
PLACES = ("StripOffsets", "StripByteCounts", "TileOffsets", "TileByteCounts", "SubIFDs")

Array = NDArray[Any]
Draw = Callable[..., Array]
Write = Callable[[Path, Draw], None]


@dataclass(frozen=True)
class Case:
    """A kind of file."""

    name: str
    writer: str
    write: Write
    refused: str = ""  # what the command says, if it should not clean such files


@dataclass
class Pixels:
    """Draws images without and with a wave."""

    wave: bool

    def __call__(
        self, *stacked: int, dtype: str = "u2", samples: int = 0, alpha: int = 0, scale: int = 1
    ) -> Array:
        """Return planes of random pixels, ``scale`` times as bright as 8 bits."""
        rng = np.random.default_rng(0)
        channels = (samples,) if samples else ()
        image = LEVEL + SPREAD * rng.normal(size=(*stacked, *channels, *SHAPE))
        y, x = np.indices(SHAPE)
        wave = AMPLITUDE * np.cos(2 * np.pi * (0.11 * y + 0.07 * x))
        pixels = image + wave * self.wave
        if alpha:
            pixels[..., samples - alpha :, :, :] = 255
        if samples:
            pixels = np.moveaxis(pixels, -3, -1)
        pixels = scale * pixels
        pixels = np.rint(pixels) if np.dtype(dtype).kind in "iu" else pixels
        return np.ascontiguousarray(pixels, dtype)


def tiff(name: str, *stacked: int, draw: dict[str, Any] | None = None, **options: Any) -> Case:  # noqa: ANN401
    """Return a file that tifffile writes at once."""

    def write(path: Path, pixels: Draw) -> None:
        tifffile.imwrite(path, pixels(*stacked, **(draw or {})), **options)

    return Case(f"{name}.tif", "tifffile", write)


def plain_tiffs() -> Iterator[Case]:
    """Files of tifffile: types, byte orders, strips, tiles, compressions."""
    grey = {"photometric": "minisblack"}
    for dtype in ("u1", "u2", "i2", "u4", "i4", "f2", "f4", "f8"):
        yield tiff(f"type-{dtype}", draw={"dtype": dtype}, **grey)
    yield tiff("big-endian", byteorder=">", **grey)
    yield tiff("big-endian-float", draw={"dtype": "f4"}, byteorder=">", **grey)
    yield tiff("bigtiff", bigtiff=True, **grey)
    yield tiff("white-is-zero", photometric="miniswhite")
    yield tiff("strips", rowsperstrip=7, **grey)
    yield tiff("tiles", tile=(16, 32), **grey)
    yield tiff("tiles-big-endian", 3, tile=(16, 32), byteorder=">", **grey)
    for name in ("lzw", "zlib", "zstd", "lzma", "packbits"):
        yield tiff(name, 2, compression=name, **grey)
    yield tiff("lzw-predictor", 2, compression="lzw", predictor=True, rowsperstrip=9, **grey)
    yield tiff(
        "zlib-predictor-big-endian", 2, compression="zlib", predictor=True, byteorder=">", **grey
    )
    floats = {"dtype": "f4"}
    yield tiff("float-predictor", draw=floats, compression="zlib", predictor=3, **grey)
    yield tiff(
        "float-predictor-tiles",
        draw=floats, compression="zlib", predictor=3, tile=(32, 32), byteorder=">", **grey,
    )  # fmt: skip
    yield tiff("jpeg", 2, draw={"dtype": "u1"}, compression="jpeg", tile=(16, 16), **grey)
    yield tiff("jpeg2000", draw={"dtype": "u1"}, compression="jpeg2000", **grey)
    yield tiff("12-bits-in-16", 2, draw={"scale": 30}, **grey)
    yield tiff("12-bits-packed", draw={"scale": 30}, bitspersample=12, **grey)
    yield tiff("stack", 4, **grey)
    yield tiff("stack-of-stacks", 2, 3, metadata={"axes": "TZYX"}, **grey)
    yield tiff("stack-bigtiff", 4, bigtiff=True, **grey)
    yield tiff("resolution", resolution=((20000, 13), (20000, 13)), resolutionunit=3, **grey)
    yield tiff("turned", extratags=[(274, "H", 1, 6, True)], **grey)
    yield tiff("datetime", datetime="2024:01:02 03:04:05", software="a microscope", **grey)
    sem = [
        (700, "B", 13, b"<x:xmpmeta/> ", True),
        (34118, "s", 0, "AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 9.9 nm\r\n", True),
        (34682, "s", 0, "[Scan]\r\nPixelWidth=9.9e-9\r\n", True),
    ]
    yield tiff("electron-microscope", extratags=sem, metadata=None, **grey)


def coloured_tiffs() -> Iterator[Case]:
    """Files of tifffile with several samples a pixel."""
    rgb = {"photometric": "rgb"}
    three, four = {"dtype": "u1", "samples": 3}, {"dtype": "u1", "samples": 4, "alpha": 1}
    yield tiff("rgb", draw=three, **rgb)
    yield tiff("rgb-16", draw={"samples": 3, "scale": 100}, **rgb)
    yield tiff("rgb-tiles-lzw", draw=three, tile=(16, 16), compression="lzw", predictor=2, **rgb)
    yield tiff("rgb-jpeg", draw=three, compression="jpeg", **rgb)
    yield tiff("rgba", draw=four, extrasamples=["unassalpha"], **rgb)
    yield tiff("rgb-stack", 2, draw=three, **rgb)

    def planar(path: Path, draw: Draw) -> None:
        pixels = np.moveaxis(draw(**three), -1, 0)
        tifffile.imwrite(path, pixels, planarconfig="separate", **rgb)

    def planar_tiles(path: Path, draw: Draw) -> None:
        pixels = np.moveaxis(draw(**three), -1, 0)
        options = {"tile": (16, 16), "compression": "zlib", "predictor": True}
        tifffile.imwrite(path, pixels, planarconfig="separate", **options, **rgb)

    def palette(path: Path, draw: Draw) -> None:
        colours = np.zeros((3, 256), np.uint16)
        tifffile.imwrite(path, draw(dtype="u1"), photometric="palette", colormap=colours)

    def cmyk(path: Path, draw: Draw) -> None:
        tifffile.imwrite(path, draw(dtype="u1", samples=4), photometric="separated")

    yield Case("rgb-planar.tif", "tifffile", planar)
    yield Case("rgb-planar-tiles.tif", "tifffile", planar_tiles)
    yield Case("palette.tif", "tifffile", palette, "PALETTE; convert it")
    yield Case("cmyk.tif", "tifffile", cmyk, "SEPARATED; convert it")


def imagej_tiffs() -> Iterator[Case]:
    """Files as ImageJ has them."""
    size = {"unit": "um", "spacing": 0.5, "min": 10.0, "max": 300.0}
    ij = {"imagej": True, "resolution": (4, 4)}
    yield tiff("imagej", metadata=size, **ij)
    yield tiff("imagej-hyperstack", 2, 2, 2, metadata={"axes": "TZCYX", **size}, **ij)
    ramp = np.arange(256, dtype=np.uint8)
    luts = [np.stack([ramp * (c == k) for c in range(3)]).astype(np.uint8) for k in range(2)]
    told = {"axes": "ZCYX", "LUTs": luts, "Labels": [f"slice {k}" for k in range(4)], **size}
    yield tiff("imagej-luts-labels", 2, 2, metadata={**told, "mode": "composite"}, **ij)
    rois = {"axes": "ZYX", "Overlays": [b"Iout" + bytes(60)] * 2, "ROI": b"Iout" + bytes(60)}
    yield tiff("imagej-rois", 3, metadata=rois, **ij)
    yield tiff("imagej-rgb", draw={"dtype": "u1", "samples": 3}, photometric="rgb", imagej=True)
    yield tiff("imagej-float", 2, draw={"dtype": "f4"}, metadata={"axes": "TYX"}, **ij)

    def one_page(path: Path, draw: Draw) -> None:
        """Of a stack of more than 4 GB ImageJ writes one directory; the planes follow."""
        pixels = draw(4).astype(">u2")
        with path.open("wb") as file:
            with tifffile.TiffWriter(file, byteorder=">") as writer:
                words = b"ImageJ=1.54f\nimages=4\nslices=4\n"
                writer.write(pixels[0], photometric=1, metadata=None, description=words)
            file.seek(0, 2)
            file.write(pixels[1:].tobytes())

    yield Case("imagej-one-directory.tif", "tifffile", one_page)


def ome_tiffs() -> Iterator[Case]:
    """OME-TIFF files."""
    size = {"PhysicalSizeX": 0.065, "PhysicalSizeXUnit": "µm", "PhysicalSizeZ": 0.3}
    yield tiff("plane.ome", metadata={"axes": "YX", **size})
    names = {"axes": "TCZYX", "Channel": {"Name": ["GFP", "mCherry"]}, **size}
    yield tiff("five-axes.ome", 2, 2, 2, metadata=names)
    bits = {"axes": "TYX", "SignificantBits": 12}
    yield tiff("12-bits.ome", 2, draw={"scale": 30}, metadata=bits)
    yield tiff("rgb.ome", 2, draw={"dtype": "u1", "samples": 3}, metadata={"axes": "TYXS"})
    yield tiff("compressed.ome", 3, metadata={"axes": "ZYX"}, compression="zlib", tile=(32, 32))
    yield tiff("bigtiff.ome", 3, metadata={"axes": "ZYX"}, bigtiff=True, byteorder=">")

    def pyramid(path: Path, draw: Draw, *stacked: int) -> None:
        pixels = draw(*stacked)
        with tifffile.TiffWriter(path, ome=True) as writer:
            told = {"axes": "TYX"[-pixels.ndim :]}
            options = {"photometric": 1, "tile": (16, 16), "compression": "zlib"}
            writer.write(pixels, subifds=1, metadata=told, **options)
            writer.write(pixels[..., ::2, ::2], subfiletype=1, **options)

    yield Case("pyramid.ome.tif", "tifffile", pyramid)
    yield Case("pyramid-stack.ome.tif", "tifffile", lambda path, draw: pyramid(path, draw, 2))

    def described(parts: str, pages: int, z: int) -> Write:
        def write(path: Path, draw: Draw) -> None:
            pixels = draw(pages)
            pixels[: pages - z] = LEVEL  # pages of no image
            xml = ome_xml(z, 1, parts)
            tifffile.imwrite(path, pixels, description=xml, metadata=None, photometric=1)

        return write

    offset = '<TiffData IFD="1" PlaneCount="3"/>'
    backwards = "".join(f'<TiffData FirstZ="{z}" IFD="{2 - z}" PlaneCount="1"/>' for z in range(3))
    yield Case("pages-from-the-second.ome.tif", "tifffile", described(offset, 4, 3))
    yield Case("pages-backwards.ome.tif", "tifffile", described(backwards, 3, 3))
    uuid = '<TiffData IFD="0" PlaneCount="3"><UUID FileName="{}">urn:uuid:1</UUID></TiffData>'
    own = uuid.format("named-by-uuid.ome.tif")
    yield Case("named-by-uuid.ome.tif", "tifffile", described(own, 3, 3))

    def part_of_series(t: int) -> Write:
        def write(path: Path, draw: Draw) -> None:
            parts = "".join(
                f'<TiffData FirstT="{k}" IFD="0" PlaneCount="2">'
                f'<UUID FileName="series-{k}.ome.tif">urn:uuid:{k}</UUID></TiffData>'
                for k in range(2)
            )
            xml = ome_xml(2, 2, parts, f' UUID="urn:uuid:{t}"')
            tifffile.imwrite(path, draw(2), description=xml, metadata=None, photometric=1)

        return write

    for t in range(2):
        yield Case(f"series-{t}.ome.tif", "tifffile", part_of_series(t))

    def with_companion(path: Path, draw: Draw) -> None:
        xml = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:1">'
            '<BinaryOnly MetadataFile="run.companion.ome" UUID="urn:uuid:2"/></OME>'
        )
        tifffile.imwrite(path, draw(3), description=xml, metadata=None, photometric=1)

    def two_images(path: Path, draw: Draw) -> None:
        with tifffile.TiffWriter(path, ome=True) as writer:
            writer.write(draw(2), photometric=1)
            writer.write(draw()[:40], photometric=1)

    yield Case("companion.ome.tif", "tifffile", with_companion)
    yield Case("two-images.ome.tif", "tifffile", two_images, "2 images that do not form a stack")


def ome_xml(z: int, t: int, parts: str, uuid: str = "") -> bytes:
    """Return OME-XML with its pages spelt out."""
    height, width = SHAPE
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"{uuid}>'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" '
        f'SizeX="{width}" SizeY="{height}" SizeZ="{z}" SizeC="1" SizeT="{t}">'
        f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{parts}</Pixels></Image></OME>'
    ).encode()


def scanned_tiffs() -> Iterator[Case]:
    """Files with a description in each page, as ScanImage writes them."""

    def write(path: Path, draw: Draw, words: str, software: str, *, bigtiff: bool) -> None:
        pixels = draw(4, dtype="i2")
        with tifffile.TiffWriter(path, bigtiff=bigtiff) as writer:
            for k, page in enumerate(pixels):
                writer.write(
                    page, photometric=1, metadata=None, contiguous=False, software=software,
                    description=words.format(k),
                )  # fmt: skip

    new = "frameTimestamps_sec = {}"
    settings = "SI.VERSION_MAJOR = 2023\nSI.hRoiManager.scanFrameRate = 30.02"
    yield Case(
        "scanimage.tif", "tifffile",
        lambda path, draw: write(path, draw, new, settings, bigtiff=True),
    )  # fmt: skip
    yield Case(
        "scanimage-old.tif", "tifffile",
        lambda path, draw: write(path, draw, "state.frame={}", "", bigtiff=False),
    )  # fmt: skip


def pillow_files() -> Iterator[Case]:
    """Files of Pillow."""

    def save(
        name: str,
        refused: str = "",
        draw: dict[str, Any] | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Case:
        mode = options.pop("mode", None)

        def write(path: Path, pixels: Draw) -> None:
            image = Image.fromarray(pixels(**(draw or {"dtype": "u1"})))
            (image.convert(mode) if mode else image).save(path, **options)

        return Case(name, "Pillow", write, refused)

    three, four = {"dtype": "u1", "samples": 3}, {"dtype": "u1", "samples": 4, "alpha": 1}
    two = {"dtype": "u1", "samples": 2, "alpha": 1}
    sixteen = {"draw": {"dtype": "u2", "scale": 100}}
    yield save("pillow.tif", dpi=(300, 300))
    yield save("pillow-16.tif", **sixteen)
    yield save("pillow-float.tif", draw={"dtype": "f4"})
    yield save("pillow-rgb-lzw.tif", draw=three, compression="tiff_lzw")
    yield save("pillow-deflate.tif", compression="tiff_adobe_deflate", **sixteen)
    yield save("pillow-palette.tif", "PALETTE; convert it", mode="P")
    text = PngImagePlugin.PngInfo()
    text.add_text("Description", "a cell")
    exif = Image.Exif()
    exif[306] = "2024:01:02 03:04:05"
    yield save("pillow.png", dpi=(300, 300), pnginfo=text, exif=exif)
    yield save("pillow-16.png", **sixteen)
    yield save("pillow-la.png", draw=two)
    yield save("pillow-rgb.png", draw=three)
    yield save("pillow-rgba.png", draw=four)
    yield save("pillow-palette.png", "a palette; convert it", mode="P")
    yield save("pillow-jpeg.jpg", quality=95, exif=exif)
    yield save("pillow-jpeg-rgb.jpeg", draw=three, quality=95, subsampling=0)
    yield save("pillow-cmyk.jpg", "CMYK; convert it", draw=three, mode="CMYK")

    def pages(path: Path, draw: Draw) -> None:
        images = [Image.fromarray(page) for page in draw(3, dtype="u1")]
        images[0].save(path, save_all=True, append_images=images[1:], compression="tiff_lzw")

    yield Case("pillow-pages.tif", "Pillow", pages)


def imageio_files() -> Iterator[Case]:
    """Files of imageio and imagecodecs."""

    def write(path: Path, draw: Draw, *stacked: int) -> None:
        iio.imwrite(path, draw(*stacked, dtype="u1"))

    yield Case("imageio.tif", "imageio", write)
    yield Case("imageio-stack.tif", "imageio", lambda path, draw: write(path, draw, 3))
    yield Case("imageio.png", "imageio", write)

    def deep(path: Path, draw: Draw) -> None:
        path.write_bytes(imagecodecs.png_encode(draw(samples=3, scale=100)))

    yield Case("rgb-16.png", "imagecodecs", deep, "of which 8 would be lost; convert it")


def ome_zarrs() -> Iterator[Case]:
    """Images of ome-zarr, and of zarr by hand."""
    from ome_zarr.format import FormatV04, FormatV05

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # ome-zarr 0.18 of itself
        from ome_zarr.writer import write_image, write_labels

    def image(version: Any, *, labels: bool = False) -> Write:  # noqa: ANN401
        def write(path: Path, draw: Draw) -> None:
            pixels = draw(2, 2)
            group = zarr.open_group(path, mode="w", zarr_format=version.zarr_format)
            write_image(pixels, group, axes="czyx", fmt=version)
            if labels:
                cells = (pixels[0] > LEVEL).astype("u1")
                write_labels(cells, group, name="cells", axes="zyx", fmt=version)

        return write

    yield Case("ome-zarr-0.4.zarr", "ome-zarr", image(FormatV04()))
    yield Case("ome-zarr-0.5.zarr", "ome-zarr", image(FormatV05()))
    yield Case("ome-zarr-labels.zarr", "ome-zarr", image(FormatV05(), labels=True))

    def by_hand(
        name: str,
        *stacked: int,
        version: int = 3,
        dtype: str = "u2",
        finish: Any = None,  # noqa: ANN401
        **options: Any,  # noqa: ANN401
    ) -> Case:
        def write(path: Path, draw: Draw) -> None:
            pixels = draw(*stacked, dtype=dtype)
            axes = [{"name": axis, "type": "space"} for axis in "zyx"[-pixels.ndim :]]
            scale = [{"type": "scale", "scale": [0.5] * pixels.ndim}]
            told: dict[str, Any] = {
                "multiscales": [
                    {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
                ]
            }
            told["multiscales"][0]["version"] = told["version"] = "0.4" if version == 2 else "0.5"
            attributes = told if version == 2 else {"ome": told}
            group = zarr.create_group(path, zarr_format=version, attributes=attributes)
            stored = {"chunks": (1,) * len(stacked) + SHAPE, **options}
            array = group.create_array("0", shape=pixels.shape, dtype=pixels.dtype, **stored)
            array[:] = pixels
            if finish:
                finish(path, array)

        return Case(f"{name}.zarr", "zarr", write)

    def consolidate(path: Path, _: Any) -> None:  # noqa: ANN401
        zarr.consolidate_metadata(path)

    def clear(_: Path, array: Any) -> None:  # noqa: ANN401
        array[1] = array.fill_value

    yield by_hand("zarr-2", 2, version=2)
    yield by_hand("zarr-2-big-endian", 2, version=2, dtype=">u2")
    yield by_hand("zarr-2-fortran", 2, version=2, order="F")
    slashes = {"name": "v2", "separator": "/"}
    yield by_hand("zarr-2-slashes", 2, version=2, chunk_key_encoding=slashes)
    yield by_hand("zarr-2-consolidated", 2, version=2, finish=consolidate)
    yield by_hand("zarr-3", 2)
    yield by_hand("zarr-3-plane")
    yield by_hand("zarr-3-float", 2, dtype="f4")
    yield by_hand("zarr-3-chunks", 4, chunks=(3, 20, 20))
    yield by_hand("zarr-3-sharded", 4, chunks=(1, 24, 32), shards=(2, 48, 64))
    yield by_hand("zarr-3-uncompressed", 2, compressors=None)
    yield by_hand("zarr-3-consolidated", 2, finish=consolidate)
    yield by_hand("zarr-3-missing-chunks", 3, finish=clear)


def cases() -> list[Case]:
    """Return all kinds of files."""
    makers = (
        plain_tiffs, coloured_tiffs, imagej_tiffs, ome_tiffs, scanned_tiffs, pillow_files,
        imageio_files, ome_zarrs,
    )  # fmt: skip
    return [case for make in makers for case in make()]


@dataclass
class Facts:
    """What a reader finds in a file."""

    reader: str
    pixels: list[Array]
    told: dict[str, Any]


def read(path: Path) -> Facts:
    """Read a file with a reader that the command does not use, where there is one."""
    if path.suffix == ".zarr":
        return read_zarr(path)
    if path.suffix == ".png":
        pixels = imagecodecs.imread(path)
        with Image.open(path) as image:
            image.load()
            told = said_by(image) | {"text": dict(image.text)}  # type: ignore[attr-defined]
        return Facts("imagecodecs", [pixels], told)
    if path.suffix in (".jpg", ".jpeg"):
        with Image.open(path) as image:
            return Facts("Pillow", [np.asarray(image)], said_by(image))
    return read_tiff(path)


def said_by(image: Image.Image) -> dict[str, Any]:
    """Return what a PNG or JPEG file says; PNG has pixels per metre, in whole numbers."""
    dpi = [round(float(n), 1) for n in image.info.get("dpi", ())]
    exif = {key: repr(value) for key, value in image.getexif().items()}
    return {"dpi": dpi, "profile": image.info.get("icc_profile"), "exif": exif}


def read_tiff(path: Path) -> Facts:
    """Read the pages with Pillow, if it can, and what they say with tifffile."""
    with tifffile.TiffFile(path, _multifile=False, is_scanimage=False) as file:
        file.pages.useframes = False
        tags = [
            {tag.code: repr(tag.value) for tag in page.tags if tag.name not in PLACES}
            for page in file.pages
        ]
        told: dict[str, Any] = {
            "tags": tags, "pages": len(file.pages),
            "bigtiff": file.is_bigtiff, "order": file.byteorder,
            "imagej": repr(file.imagej_metadata), "ome": file.ome_metadata,
            "series": [(series.axes, series.shape, series.dtype) for series in file.series],
            "levels": [[level.shape for level in series.levels] for series in file.series],
        }  # fmt: skip
        pages: list[Array] = (
            list(file.asarray()) if len(file.pages) < len(file.series[0]) else
            [page.asarray() for page in file.pages]
        )  # fmt: skip
    with suppress(OSError, ValueError, SyntaxError), Image.open(path) as image:
        frames = [np.asarray(frame) for frame in ImageSequence.Iterator(image)]
        if len(frames) == len(pages) and all(map(np.array_equal, frames, pages)):
            return Facts("Pillow", frames, told)
    return Facts("tifffile", pages, told)


def read_zarr(path: Path) -> Facts:
    """Read an image with ome-zarr."""
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    location = parse_url(path)
    assert location is not None
    pixels, told = [], {}
    for node in Reader(location)():
        pixels += [np.asarray(level) for level in node.data]
        told[str(node.zarr.path if hasattr(node.zarr, "path") else node)] = repr(node.metadata)
    told = {key.replace(str(path), ""): words for key, words in told.items()}
    told["files"] = sorted(
        str(file.relative_to(path)) for file in path.rglob("*") if file.name in METADATA
    )
    told["json"] = [(path / name).read_text() for name in told["files"]]
    return Facts("ome-zarr", pixels, told)


METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")


@dataclass(frozen=True)
class Row:
    """What became of a kind of file."""

    case: Case
    reader: str
    unchanged: str
    left: str
    told: str

    @property
    def is_right(self) -> bool:
        """Whether nothing was lost."""
        return not any(word.startswith("**") for word in (self.unchanged, self.left, self.told))


def check(case: Case, folder: Path, output: str) -> Row:
    """Compare the files of a kind before and after."""
    if case.refused:
        lines = [line for line in output.splitlines() if f"/{case.name}: " in line]
        is_right = len(lines) == 2 and all(case.refused in line for line in lines)
        reason = lines[0].split(f"{case.name}: ")[-1] if lines else "cleaned"
        return Row(case, "", f"refused: {reason}" if is_right else f"**{reason}**", "", "")
    name = str(Path(case.name).with_suffix(".png")) if ".jp" in case.name else case.name
    done = folder / "clean-out" / name, folder / "wave-out" / name
    if not all(path.exists() for path in done):
        lines = [line for line in output.splitlines() if f"/{case.name}: " in line]
        return Row(case, "", f"**{lines[-1] if lines else 'nothing written'}**", "", "")
    before, after, cleaned = read(folder / "clean" / case.name), read(done[0]), read(done[1])
    same = len(before.pixels) == len(after.pixels) and all(
        a.dtype == b.dtype and np.array_equal(a, b)
        for a, b in zip(before.pixels, after.pixels, strict=True)
    )
    if before.reader == "Pillow" and after.reader == "tifffile":
        return Row(case, f"{before.reader}, {after.reader}", "**readers differ**", "", "")
    differs = sorted(key for key in before.told if before.told[key] != after.told.get(key))
    notes = [line.split("not kept: ")[-1] for line in output.splitlines()
             if f"clean/{case.name}: " in line and "not kept: " in line]  # fmt: skip
    if differs and not notes:
        differs_words = f"**{', '.join(differs)} differ**"
    else:
        differs_words = f"not kept: {notes[0]}" if notes else "the same"
    wave = read(folder / "wave" / case.name)
    left = remaining(before.pixels, wave.pixels, cleaned.pixels)
    return Row(
        case,
        after.reader,
        "to the bit" if same else "**changed**",
        f"{left:.0%}" if left < LEFT else f"**{left:.0%}**",
        differs_words,
    )


def remaining(clean: list[Array], wave: list[Array], cleaned: list[Array]) -> float:
    """Return the share of the wave, in root mean square, that is left."""
    true, before, after = (
        np.concatenate([np.ravel(part).astype(float) for part in parts])
        for parts in (clean, wave, cleaned)
    )
    return float(np.std(after - true) / np.std(before - true))


def run(folder: Path, chosen: list[Case]) -> list[Row]:
    """Write the files, clean them with one command, and compare."""
    for kind in ("clean", "wave"):
        (folder / kind).mkdir()
        for case in chosen:
            case.write(folder / kind / case.name, Pixels(kind == "wave"))
    output = ""
    for kind in ("clean", "wave"):
        command = [sys.executable, "-m", "napari_periodic_denoise", "clean", str(folder / kind)]
        made = subprocess.run(
            [*command, "--out", str(folder / f"{kind}-out")], capture_output=True, text=True
        )
        output += made.stdout + made.stderr
    return [check(case, folder, output) for case in chosen]


def table(rows: list[Row]) -> str:
    """Return the rows as a table in Markdown."""
    lines = [
        "| File | Written by | Read by | Pixels without a wave | Left of a wave "
        "| Type, axes, sizes, names, tags |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.case.name} | {row.case.writer} | {row.reader} | {row.unchanged} | {row.left} "
        f"| {row.told} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="a part of the names of the files to try")
    parser.add_argument("--keep", type=Path, help="folder to leave the files in")
    arguments = parser.parse_args()
    chosen = [case for case in cases() if not arguments.only or arguments.only in case.name]
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        rows = run(folder, chosen)
    print(table(rows))
    wrong = [row.case.name for row in rows if not row.is_right]
    print(f"\n{len(rows)} kinds of files; {len(wrong)} wrong {', '.join(wrong)}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
