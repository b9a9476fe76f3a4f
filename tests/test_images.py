import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin, features

from gan import images


def encode(image, file_format="PNG", **options):
    """Encodes an image as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def test_conversion_of_known_values():
    """0, 127.5 and 255 are -1, 0 and 1; values outside [-1, 1] are clipped, those between are rounded."""
    np.testing.assert_array_equal(images.to_float(np.array([0, 127.5, 255])), [-1, 0, 1])
    values = np.array([-1, 0.004, 1, -1.5, 1.5, 0.2], np.float32)
    np.testing.assert_array_equal(images.to_uint8(values), [0, 128, 255, 0, 255, 153])


def test_conversion_round_trip():
    """Every uint8 value is the same after conversion to float32 and back."""
    values = np.arange(256, dtype=np.uint8)
    floats = images.to_float(values.astype(np.float32))
    assert floats.dtype == np.float32
    np.testing.assert_array_equal(images.to_uint8(floats), values)


@pytest.mark.parametrize(
    ("image", "color"),
    [
        (Image.new("1", (9, 8), 1), (255, 255, 255)),
        (Image.new("L", (9, 8), 77), (77, 77, 77)),
        (Image.new("LA", (9, 8), (0, 51)), (204, 204, 204)),  # a fifth of black on white
        (Image.new("RGB", (9, 8), (1, 2, 3)), (1, 2, 3)),
        (Image.new("RGBA", (9, 8), (255, 0, 0, 51)), (255, 204, 204)),
        (Image.fromarray(np.full((8, 9), 200 * 257, np.uint16)), (200, 200, 200)),
    ],
    ids=lambda given: getattr(given, "mode", None),
)
def test_read_png_modes(image, color):
    """Each mode of PNG is converted to RGB on white, and is reported."""
    rgb, info, _ = images.read_image(encode(image))
    assert info == (image.mode, (9, 8))
    np.testing.assert_array_equal(np.asarray(rgb), np.full((8, 9, 3), color))


def test_read_transparent_palette():
    """The transparent entry of a palette becomes white; the others keep their colors."""
    image = Image.new("P", (8, 8))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.paste(1, (4, 0, 8, 8))
    rgb, info, _ = images.read_image(encode(image, transparency=1))
    assert info.mode == "P"
    assert rgb.getpixel((0, 0)) == (10, 20, 30)
    assert rgb.getpixel((7, 7)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("values", "gray"), [(np.full((8, 8), 0.2, np.float32), 51), (np.full((8, 8), 51, np.float32), 51)]
)
def test_read_float_tiff(values, gray):
    """Floating-point TIFFs are read as 0..1 if no value is above 1, else as 0..255."""
    rgb, info, _ = images.read_image(encode(Image.fromarray(values), "TIFF"))
    assert info.mode == "F"
    assert rgb.getpixel((0, 0)) == (gray,) * 3


def test_read_turns_upright():
    """EXIF orientation 6, the camera on its side: the top of the stored image becomes the right."""
    stored = Image.new("RGB", (16, 32))
    stored.paste((255, 255, 255), (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6
    rgb, info, _ = images.read_image(encode(stored, "JPEG", exif=exif, quality=100))
    assert info.size == rgb.size == (32, 16)
    assert rgb.getpixel((30, 8)) == (255, 255, 255)
    assert rgb.getpixel((1, 8)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("orientation", "format"), [*((number, "PNG") for number in range(10)), (6, "JPEG"), (6, "TIFF"), (6, "WEBP")]
)
def test_orientation_as_pillow(orientation, format):
    """Each orientation, and values that are none, give what Pillow's own function gives."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(NOISE[:32]), format, exif=exif)
    rgb, *_ = images.read_image(data)
    np.testing.assert_array_equal(rgb, ImageOps.exif_transpose(Image.open(io.BytesIO(data))))


def make_exif(*entries):
    """An EXIF block with one directory of (tag, type, count, value)."""
    fields = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + fields + bytes(4)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    ("exif", "size"),
    [
        (b"Exif\0\0" + bytes(range(60)), (16, 32)),  # no directory
        (b"Exif\0\0MM", (16, 32)),  # cut off
        (make_exif((0x0112, 2, 4, b"abc\0")), (16, 32)),  # an orientation that is text
        (make_exif((0x0112, 5, 1, b"\xff\xff\0\0")), (16, 32)),  # or a fraction outside the block
        # Other tags of a wrong type, and one that points outside, do not hide the orientation.
        (make_exif((0x0112, 3, 1, b"\6\0\0\0"), (0x011A, 2, 4, b"abcd"), (0x0132, 5, 9999, b"\xff" * 4)), (32, 16)),
    ],
)
def test_metadata_that_cannot_be_read(exif, size):
    """Damaged EXIF data are ignored, and the orientation is used wherever it can be read."""
    rgb, *_ = images.read_image(encode(Image.new("RGB", (16, 32), "red"), "JPEG", quality=100, exif=exif))
    assert rgb.size == size and rgb.getpixel((8, 8))[0] > 250


def test_large_metadata():
    """Text and profiles of a PNG that unpack to megabytes are ignored; transparency and orientation are not."""
    text, unicode_text, profile = PngImagePlugin.PngInfo(), PngImagePlugin.PngInfo(), bytes(5_000_000)
    text.add_text("prompt", "x" * 5_000_000, zip=True)
    unicode_text.add_itxt("prompt", "x" * 5_000_000, zip=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    half = Image.new("RGBA", (16, 32), (0, 0, 0, 0))
    for options in ({"pnginfo": text}, {"pnginfo": unicode_text}, {"icc_profile": profile}):
        rgb, *_ = images.read_image(encode(half, exif=exif, **options))
        assert rgb.size == (32, 16) and rgb.getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iCCP", b"eXIf", b"pHYs"])
def test_damaged_chunks_of_a_png(kind):
    """A chunk of metadata that is too short, or has a wrong checksum, is ignored."""
    data = encode(Image.fromarray(NOISE))
    start = data.index(b"IDAT") - 4
    for chunk in (make_chunk(kind, b"a"), make_chunk(kind, b"name\0\0" + bytes(9))[:-1] + b"?"):
        rgb, *_ = images.read_image(data[:start] + chunk + data[start:])
        np.testing.assert_array_equal(rgb, NOISE)


@pytest.mark.parametrize(
    "segment",
    [b"\xe0JFIF\0", b"\xeeAdobe", b"\xedPhotoshop 3.0\x008BIM\x03\xed", b"\xe2ICC_PROFILE\0", b"\xe1Exif\0\0"],
)
def test_damaged_segments_of_a_jpeg(segment):
    """A segment of metadata that is too short is ignored; the pixels, gray or CMYK too, are the same."""
    for image in (Image.fromarray(NOISE), Image.fromarray(NOISE[..., 0]), Image.fromarray(NOISE).convert("CMYK")):
        data = encode(image, "JPEG")
        damaged = data[:2] + b"\xff" + segment[:1] + (len(segment) + 1).to_bytes(2) + segment[1:] + data[2:]
        np.testing.assert_array_equal(images.read_image(damaged)[0], images.read_image(data)[0])


def test_read_first_frame():
    """The first frame of an animation is read."""
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    rgb, *_ = images.read_image(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert rgb.getpixel((0, 0)) == (255, 0, 0)


NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"hello, I am text", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n", "not an image"),
        (encode(Image.fromarray(NOISE), "JPEG")[:2000], "truncated"),
        (encode(Image.fromarray(NOISE))[:5000], "truncated"),
        (encode(Image.new("RGB", (1, 1))), "1x1 is too small; 8 pixels is the minimum"),
        (encode(Image.new("RGB", (8, 7))), "8x7 is too small; 8 pixels is the minimum"),
    ],
)
def test_unreadable(data, reason):
    """Each kind of unreadable image has its own reason."""
    with pytest.raises(images.UnreadableImage) as caught:
        images.read_image(data)
    assert str(caught.value) == reason


def test_unreadable_path(tmp_path):
    """A missing file and a folder are unreadable."""
    with pytest.raises(images.UnreadableImage, match="no such file"):
        images.read_image(tmp_path / "none.png")
    with pytest.raises(images.UnreadableImage, match="is a directory"):
        images.read_image(tmp_path)


def test_limit_of_bytes(tmp_path):
    """A file above the limit is not read; it may be a disk image with the suffix of an image."""
    with open(tmp_path / "a.tif", "wb") as file:
        file.truncate(images.LARGEST_FILE + 1)
    with pytest.raises(images.UnreadableImage, match="1,024 MB"):
        images.open_image(tmp_path / "a.tif")


def test_limit_of_pixels():
    """An image of more pixels than the limit is unreadable; the reason has both numbers, and the flag."""
    data = encode(Image.new("L", (16, 17)))
    assert images.open_image(data, max_pixels=272)[0].size == (16, 17)
    with pytest.raises(images.UnreadableImage, match=r"272 .* 271"):
        images.open_image(data, max_pixels=271)
    tall = b"\x89PNG\r\n\x1a\n" + make_chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0))
    with pytest.raises(images.UnreadableImage, match="10,000,000,000"):
        images.read_image(tall + make_chunk(b"IDAT", b"") + make_chunk(b"IEND", b""))


def make_chunk(kind, content):
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_truncated_files(format):
    """A file without its last bytes is unreadable, or, where that is allowed, read."""
    data = encode(Image.fromarray(NOISE), format)
    with pytest.raises(images.UnreadableImage):
        images.read_image(data[:-300])
    with images.allow_truncated_files(True):
        rgb, *_ = images.read_image(data[:-300])
    assert rgb.size == (64, 64)
    whole, *_ = images.read_image(data)
    np.testing.assert_array_equal(np.asarray(rgb)[:40], np.asarray(whole)[:40])
    with pytest.raises(images.UnreadableImage):
        images.read_image(data[:-300])


def make_tiff(values, photometric=1, *more):
    """A TIFF of one strip, as cameras and microscopes write it, whose white is 0 where `photometric` is 0.

    `more` has further entries as (tag, type, count, value).
    """
    height, width = values.shape
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    tags = [(256, width), (257, height), (258, values.itemsize * 8), (259, 1), (262, photometric), (273, 200), (277, 1),
            (278, height), (279, values.nbytes), (339, kind)]  # fmt: skip
    fields = sorted([*((tag, 4, 1, value) for tag, value in tags), *more])
    entries = b"".join(struct.pack("<HHII", *field) for field in fields)
    header = b"II*\0" + struct.pack("<IH", 8, len(fields)) + entries + bytes(4)
    return header.ljust(200, b"\0") + values.astype(values.dtype.newbyteorder("<")).tobytes()


RAMP = np.arange(256).reshape(16, 16)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1"])
def test_modes_of_eight_bits(mode):
    """The mode is that of Pillow."""
    for format in ("PNG", "TIFF"):
        assert images.read_image(encode(Image.new(mode, (9, 9)), format))[1].mode == mode


def test_signs_of_tiffs():
    """Signed 8-bit values are signed; unsigned 32-bit values that Pillow takes for negative ones are refused."""
    signed = make_tiff((RAMP - 128).astype(np.int8))
    np.testing.assert_array_equal(np.asarray(images.read_image(signed)[0])[..., 0], RAMP)
    half = make_tiff((RAMP * 2**22).astype(np.uint32))
    np.testing.assert_allclose(np.asarray(images.read_image(half)[0])[..., 0], RAMP / 2, atol=1)
    with pytest.raises(images.UnreadableImage):
        images.read_image(make_tiff((RAMP * 2**24).astype(np.uint32)))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(("kind", "count"), [(5, 1), (10, 1), (12, 1), (4, 2), (13, 2)])
def test_damaged_orientation_of_a_tiff(kind, count):
    """An orientation of a wrong type, outside the file, is ignored."""
    data = make_tiff(RAMP.astype(np.uint8), 1, (274, kind, count, 10**6))
    np.testing.assert_array_equal(np.asarray(images.read_image(data)[0])[..., 0], RAMP)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    "entry",
    [
        (270, 2, 9999, 10**6),  # a description outside the file, before the tags of the pixels
        (269, 77, 1, 0),  # of no known type
        (700, 1, 10**9, 8),  # XMP of a gigabyte
        (34665, 4, 1, 10**8),  # EXIF outside the file
    ],
)
def test_damaged_entries_of_a_tiff(entry):
    """Metadata that cannot be read are ignored; the orientation is not."""
    data = make_tiff(RAMP.astype(np.uint8), 1, entry, (274, 3, 1, 3))
    np.testing.assert_array_equal(np.asarray(images.read_image(data)[0])[..., 0], RAMP[::-1, ::-1])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (make_tiff(RAMP.astype(np.uint16) * 16), RAMP),  # 12 bits: 4080 of 4095, rounded
        (make_tiff((RAMP * 257).astype(np.uint16)), RAMP),
        (make_tiff((255 - RAMP).astype(np.uint8), photometric=0), RAMP),
        (make_tiff(((255 - RAMP) * 257).astype(np.uint16), photometric=0), RAMP),
        (make_tiff(((255 - RAMP) * 16).astype(np.uint16), photometric=0), RAMP),
        (make_tiff((RAMP * 257 - 32768).astype(np.int16)), RAMP),
        (make_tiff((RAMP / 255).astype(np.float32)), RAMP),
        (make_tiff((RAMP / 127.5 - 1).astype(np.float32)), RAMP),
        (make_tiff(RAMP.astype(np.float32)), RAMP),
        (make_tiff((1 - RAMP / 255).astype(np.float32), photometric=0), RAMP),
        (make_tiff((RAMP << 23).astype(np.uint32)), RAMP),
    ],
)
def test_values_of_more_than_8_bits(data, expected):
    """Values of any type and range become 0 to 255, black to white."""
    rgb, *_ = images.read_image(data)
    assert rgb.mode == "RGB"
    assert np.abs(np.asarray(rgb)[..., 1].astype(int) - expected).max() <= 1


def test_values_that_are_no_numbers():
    """A picture that holds NaN is unreadable."""
    values = np.full((8, 8), 0.5, np.float32)
    values[3, 4] = np.nan
    with pytest.raises(images.UnreadableImage, match="NaN"):
        images.read_image(make_tiff(values))


def test_files_that_are_something_else():
    """The reason says what a file is, and what to do, where its first bytes tell."""
    for content, words in [
        (b"<!DOCTYPE html><title>403", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (bytes(1000), "zero"),
        (b"PK\3\4" + bytes(range(60)), "zip"),
    ]:
        with pytest.raises(images.UnreadableImage, match=words):
            images.read_image(content)


@pytest.mark.skipif(not features.check("avif"), reason="Pillow is built without AVIF")
def test_avif():
    """AVIF is read, by whatever name."""
    rgb, info, _ = images.read_image(encode(Image.new("RGB", (16, 16), (200, 100, 50)), "AVIF", quality=100))
    assert info == ("RGB", (16, 16)) and np.abs(np.subtract(rgb.getpixel((8, 8)), (200, 100, 50))).max() <= 3


def test_heic_that_is_cut_off():
    """The reason is short."""
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 64))).save(buffer)
    with pytest.raises(images.UnreadableImage, match=r"^cut off$"):
        images.read_image(buffer.getvalue()[:-20])


def test_heic(monkeypatch):
    """HEIC is read where pillow-heif is installed; else the reason says what to install."""
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 64), (200, 100, 50))).save(buffer, quality=100)
    monkeypatch.setattr(images, "has_heif", lambda: False)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    with pytest.raises(images.UnreadableImage, match="pip install pillow-heif"):
        images.read_image(buffer.getvalue())
    monkeypatch.undo()
    rgb, *_ = images.read_image(buffer.getvalue())
    assert rgb.size == (64, 64) and np.abs(np.subtract(rgb.getpixel((8, 8)), (200, 100, 50))).max() <= 8


def make_coordinates(width, height):
    """Makes an RGB image whose red is the column and whose green is the row."""
    rows, columns = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([columns, rows, 0 * rows], axis=-1).astype(np.uint8))


@pytest.mark.parametrize(
    ("size", "crop", "box"),
    [
        ((178, 218), 108, (35, 55, 143, 163)),
        ((178, 218), 0, (35, 55, 143, 163)),
        ((178, 218), 178, (0, 20, 178, 198)),
        ((218, 178), 0, (20, 0, 198, 178)),
        ((9, 8), 0, (0, 0, 8, 8)),
    ],
)
def test_crop_square(size, crop, box):
    """The crop is centered, rounded to the top left: known boxes for CelebA's photographs and others."""
    cut = np.asarray(images.crop_square(make_coordinates(*size), crop))
    left, top, right, bottom = box
    assert cut.shape == (bottom - top, right - left, 3)
    assert tuple(cut[0, 0, :2]) == (left, top)
    assert tuple(cut[-1, -1, :2]) == (right - 1, bottom - 1)


def test_crop_larger_than_the_image():
    """An image smaller than the crop is unreadable."""
    with pytest.raises(images.UnreadableImage, match="40x30 is smaller than the crop of 31"):
        images.crop_square(make_coordinates(40, 30), 31)


def test_resize_by_hand():
    """Halving weights the 4 nearest pixels of a line 1, 3, 3, 1: an edge from black to white gives 1/8 and 7/8."""
    line = np.repeat([[0] * 8 + [255] * 8], 16, axis=0).astype(np.uint8)
    halved = np.asarray(images.resize_image(images.from_array(line), 8))
    np.testing.assert_array_equal(halved[4, :, 0], [0, 0, 0, 32, 223, 255, 255, 255])


def test_resize_is_that_of_pillow():
    """Resizing 64 to 32 equals Pillow's bilinear exactly."""
    image = Image.fromarray(NOISE)
    np.testing.assert_array_equal(
        np.asarray(images.resize_image(image, 32)), np.asarray(image.resize((32, 32), resample=2))
    )


def bicubic_matrix(old, new):
    """Computes the matrix (new, old) of the cubic kernel with a = -0.5.

    When it reduces, the kernel is wider; at the ends it is cut and normalized.
    """
    width = max(old / new, 1)
    centers = (np.arange(new)[:, None] + 0.5) * old / new
    t = np.abs(np.arange(old) + 0.5 - centers) / width
    near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    weights = np.where(t < 1, near, np.where(t < 2, far, 0))
    return weights / weights.sum(axis=1, keepdims=True)


def test_resize_for_network_by_hand():
    """Doubling two pixels weights them 111 : -9 and 111 : 29; values are clipped, and not rounded.

    The kernel at 1/4, 5/4, 3/4 is 111, -9, 29 128ths: 51 - 102 * 9/102 = 42, and 51 + 102 * 29/140 = 72.12857.
    """
    pixels = np.array([[[51, 153], [51, 153]], [[0, 255], [0, 255]]], np.uint8)[..., None].repeat(3, axis=-1)
    resized = images.resize_for_network(pixels, 4)
    assert resized.dtype == np.float32
    assert resized.shape == (2, 4, 4, 3)
    expected = [[42, 72.12857, 131.87143, 162], [0, 52.82143, 202.17857, 255]]
    for row in range(4):
        for channel in range(3):
            np.testing.assert_allclose(resized[:, row, :, channel], expected, rtol=1e-6)


@pytest.mark.parametrize(("height", "width", "size"), [(4, 4, 2), (4, 4, 7), (32, 20, 13), (9, 32, 16), (32, 32, 64)])
def test_resize_for_network_is_two_matrices(height, width, size):
    """Enlarged or reduced, each channel is a matrix times the image times a matrix, clipped."""
    pixels = NOISE[None, :height, :width]
    rows, columns = bicubic_matrix(height, size), bicubic_matrix(width, size)
    expected = np.einsum("ih,nhwc,jw->nijc", rows, pixels, columns).clip(0, 255)
    np.testing.assert_allclose(images.resize_for_network(pixels, size), expected, rtol=1e-5, atol=1e-4)


def test_resize_for_network_to_the_same_size(eight):
    """The same size gives the same values; no images give no images."""
    np.testing.assert_array_equal(images.resize_for_network(eight, 32), eight.astype(np.float32))
    assert images.resize_for_network(eight[:0], 64).shape == (0, 64, 64, 3)


def test_from_array(eight):
    """(h, w) and (h, w, 1) are the same gray image; (h, w, 3) is RGB; images that are too small are refused."""
    gray = eight[0, :, :, 0]
    np.testing.assert_array_equal(np.asarray(images.from_array(gray)), np.stack([gray] * 3, axis=-1))
    assert images.from_array(gray) == images.from_array(gray[..., None])
    np.testing.assert_array_equal(np.asarray(images.from_array(eight[0])), eight[0])
    with pytest.raises(images.UnreadableImage, match="3x32 is too small"):
        images.from_array(np.zeros((32, 3), np.uint8))


def test_grid_by_hand():
    """Three 1x1 images, scale 2, gap 1: two columns of 2 + 1 + 2 pixels, white in place of the fourth image."""
    tiles = np.array([10, 20, 30], np.uint8)[:, None, None, None].repeat(3, axis=-1)
    expected = [
        [10, 10, 255, 20, 20],
        [10, 10, 255, 20, 20],
        [255, 255, 255, 255, 255],
        [30, 30, 255, 255, 255],
        [30, 30, 255, 255, 255],
    ]
    np.testing.assert_array_equal(images.make_grid(tiles, gap=1, scale=2), np.stack([expected] * 3, axis=-1))


@pytest.mark.parametrize("columns", [None, 1, 3, 8])
@pytest.mark.parametrize("gap", [0, 2])
@pytest.mark.parametrize("scale", [1, 3])
def test_split_grid_inverts_make_grid(eight, columns, gap, scale):
    """`split_grid` returns the images of a grid, for every layout."""
    picture = images.make_grid(eight[:7], columns, gap=gap, scale=scale)
    np.testing.assert_array_equal(images.split_grid(picture, 32, 7, columns, gap=gap, scale=scale), eight[:7])


def test_split_grid_refuses_another_layout(eight):
    """A picture of another shape is an error, and not a set of wrong images."""
    with pytest.raises(ValueError, match="is not 3x3 images of 32x32"):
        images.split_grid(images.make_grid(eight[:4]), 32, 9)


@pytest.mark.parametrize(("size", "scale"), [(16, 3), (20, 3), (24, 2), (28, 2), (32, 2), (44, 2), (48, 1), (128, 1)])
def test_display_scale(size, scale):
    """An image in a grid is at least 48 pixels wide, by the smallest whole factor."""
    assert images.display_scale(size) == scale
    assert size * scale >= 48 and size * (scale - 1) < 48


def test_png_round_trip(tmp_path, eight):
    """Reading a PNG gives exactly the pixels that were written."""
    images.write_png(tmp_path / "new" / "a.png", eight[0])
    np.testing.assert_array_equal(images.read_png(tmp_path / "new" / "a.png"), eight[0])


PAGES = [Image.fromarray(NOISE), Image.fromarray(NOISE[::-1])]


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_further_frames_are_counted(format):
    """The mode says where a file has more than the image that is read, and of no other file."""
    one, several = encode(PAGES[0], format), encode(PAGES[0], format, save_all=True, append_images=PAGES[1:])
    mode = images.open_image(one)[1].mode
    assert images.open_image(several)[1].mode == f"{mode}, first of several frames" and "first" not in mode


def test_previews_are_no_frames():
    """The further images of an MPO, as cameras write it, are previews of the first one."""
    assert images.open_image(encode(PAGES[0], "MPO", save_all=True, append_images=PAGES[1:]))[1].mode == "RGB"


def test_a_damaged_second_frame():
    """The first frame is read, whatever follows."""
    data = encode(PAGES[0], "GIF", save_all=True, append_images=PAGES[1:])
    for end in range(len(data) // 2, len(data), 97):
        assert images.open_image(data[:end] + b"?" * 50)[0].size == (64, 64)


def test_white_behind_all_colors():
    """For each value and each alpha, the bytes are those of Pillow's composition on white."""
    values = np.arange(256, dtype=np.uint8).repeat(256).reshape(256, 256)
    image = Image.fromarray(np.stack([values, values, 255 - values, values.T], axis=-1))
    expected = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    np.testing.assert_array_equal(images.open_image(encode(image))[0], expected)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads the peak of memory as Linux has it")
def test_memory_of_a_transparent_palette():
    """Ten bytes a pixel suffice: one of the palette, four of colors with transparency, and four of the result."""
    program = """
import io, pathlib
from PIL import Image
from gan import images, memory
def peak():
    return memory.read_sizes(pathlib.Path("/proc/self/status"))["VmHWM"]
def encode(side):
    buffer = io.BytesIO()
    Image.new("P", (side, side)).save(buffer, "PNG", transparency=0)
    return buffer.getvalue()
small, large = encode(8), encode(3000)
images.open_image(small)
before = peak()
images.open_image(large)
print((peak() - before) / 3000**2)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 10
