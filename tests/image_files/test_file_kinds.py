import gzip
import io

import numpy as np
import pytest
from PIL import Image

from gan.image_files.file_kinds import UNKNOWN, describe, identify


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_images(format):
    """Each format that Pillow writes is identified by the name that Pillow has for it."""
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9), "red").save(buffer, format)
    assert identify(buffer.getvalue()).format == format


@pytest.mark.parametrize(
    ("head", "word"),
    [
        (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"\0\0\0\x1cftypheic", "pillow-heif"),
        (b"\0\0\0\x1cftypisom", "video"),
        (b"\0\0\0\x18ftypcrx ", "raw photo"),
        (b"\0\0\0\x20ftypM4A ", "sound"),
        (b"\0\0\x01\xba", "video"),
        (b"G" + b"x" * 187 + b"G" + b"x" * 187 + b"G", "video"),
        (b"x" * 257 + b"ustar", "a tar"),
        (gzip.compress(b"x" * 257 + b"ustar" + bytes(250), mtime=0), "compressed tar"),
        (gzip.compress(b"x" * 1000, mtime=0), "unpack"),
        (b"\x1f\x8b", "unpack"),
        (b"PAR1", "Parquet"),
        (b"PK\x03\x04" + bytes(26) + b"images.npy", "NumPy"),
        (b"PK\x03\x04" + bytes(26) + b"faces/images.npy", "zip"),
        (b"PK\x03\x04", "zip"),
        (b"PK\x05\x06", "zip"),
        (b"Rar!\x1a\x07", "unpack"),
        (b"x" * 257 + b"ustar", "unpack"),
        (b"%PDF-1.7", "PDF"),
        (b"\n <!doctype HTML>", "web page"),
        (b"\xef\xbb\xbf<html>", "web page"),
        (b"<!-- saved -->\n<html>", "web page"),
        (b"\xef\xbb\xbf<!-- Login --><!DOCTYPE html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b'{"error": "quota"}', "download"),
        (b"<?xml version='1.0'?><Error>", "download"),
        (b"<?xml version='1.0'?>\n<svg xmlns=''>", "SVG"),
    ],
)
def test_other_files(head, word):
    """Other files are identified, and the description says what to do."""
    kind = identify(head)
    assert kind != UNKNOWN and word in describe(kind)


def test_numpy_and_unknown():
    """An array of NumPy is identified; text, nothing and zeros are unknown."""
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    assert "NumPy" in identify(buffer.getvalue()).name
    for head in (b"", b"hello, I am text", bytes(512), b"BMW"):
        assert identify(head) == UNKNOWN
