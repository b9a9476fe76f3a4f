import io
import struct

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from gan.image_files.metadata import PNG_SIGNATURE, strip_metadata

NOISE = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)


def encode(format, **options):
    """The bytes of a file with these pixels."""
    buffer = io.BytesIO()
    Image.fromarray(NOISE).save(buffer, format, **options)
    return buffer.getvalue()


def decode(content):
    """The pixels of a file, and its metadata."""
    image = Image.open(io.BytesIO(content))
    return np.asarray(image.convert("RGB")), image.info


def described():
    """Text for a PNG."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "x" * 500)
    return info


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {"pnginfo": described()}),
        ("JPEG", {"comment": b"x" * 500, "icc_profile": bytes(500)}),
        ("TIFF", {"description": "x" * 500, "icc_profile": bytes(500)}),
        ("TIFF", {"description": "x" * 500, "compression": "tiff_lzw"}),
        ("TIFF", {"description": "x" * 500, "compression": "jpeg"}),
    ],
)
def test_only_pixels_are_left(format, options):
    """The pixels are the same, and text, comments and profiles are gone."""
    content = encode(format, **options)
    stripped = strip_metadata(content)
    np.testing.assert_array_equal(decode(stripped)[0], decode(content)[0])
    assert {"Title", "comment", "icc_profile"} & decode(content)[1].keys() or b"x" * 500 in content
    assert not {"Title", "comment", "icc_profile"} & decode(stripped)[1].keys()
    if format == "TIFF":
        assert 270 not in Image.open(io.BytesIO(stripped)).tag_v2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GIF89a",
        PNG_SIGNATURE,
        b"\xff\xd8\xff",
        b"II*\0",
        b"II*\0" + struct.pack("<I", 8),
        b"MM\0*\xff\xff\xff\xff",
    ],
)
def test_short_files_are_left_as_they_are(content):
    """What has nothing to remove comes back; nothing is raised."""
    assert strip_metadata(content) == content


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF"])
def test_files_cut_anywhere(format):
    """Nothing is raised for the first bytes of a file, however many."""
    content = encode(format)
    for length in range(0, len(content), 7):
        # A directory of a TIFF that is cut off is written whole: the number of its entries, and that of the next.
        assert len(strip_metadata(content[:length])) <= length + 6 * (format == "TIFF")
