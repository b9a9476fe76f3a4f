"""File kinds: what a file is by its first bytes, and what to do with one that is no image.

kind = identify(b"version https://git-lfs.github.com/spec/v1")
kind.name, kind.advice  # "a Git LFS pointer", "run: git lfs pull"
"""

import re
import zlib
from typing import NamedTuple

HEAD = 512  # bytes that `identify` looks at
GZIP = b"\x1f\x8b"  # the first bytes of a gzip file


class Kind(NamedTuple):
    """A kind of file.

    Arguments:
        name: with an article.
        advice: what to do.
        format: the format of images by which Pillow opens it.
        suffix: of the data source (see gan/datasets) that opens it.
    """

    name: str
    advice: str = ""
    format: str = ""
    suffix: str = ""


UNKNOWN = Kind("of an unknown kind")
UNPACK, OPEN_ALONE = "unpack it, and give the folder", "give its own path to --data"
TAR = Kind("a tar archive", f"unpack it, or {OPEN_ALONE}", suffix=".tar")
TAR_GZ = Kind("a compressed tar archive", f"unpack it, or {OPEN_ALONE}", suffix=".tar.gz")
# The start of a file, a regular expression -> its kind. The first that matches counts.
KINDS = {
    rb".{257}ustar": TAR,
    rb"\xff\xd8\xff": Kind("a JPEG", format="JPEG"),
    rb"\x89PNG\r\n\x1a\n": Kind("a PNG", format="PNG"),
    rb"GIF8[79]a": Kind("a GIF", format="GIF"),
    rb"RIFF....WEBP": Kind("a WebP", format="WEBP"),
    rb"BM....\0\0\0\0": Kind("a BMP", format="BMP"),
    rb"II\*\0|MM\0\*": Kind("a TIFF", format="TIFF"),
    rb"P[1-6]\s+(#|\d)": Kind("a PNM", format="PPM"),
    rb"....ftyp(avif|avis)": Kind("an AVIF", "update Pillow: pip install -U pillow", "AVIF"),
    rb"....ftyp(heic|heix|hevc|hevx|heim|heis|mif1|msf1)": Kind("a HEIC", "pip install pillow-heif", "HEIF"),
    rb"....ftypcrx": Kind("a raw photo", "convert it to JPEG or PNG"),
    rb"....ftypM4[AB] ": Kind("a sound recording"),
    # MP4 and QuickTime, Matroska and WebM, AVI, Windows Media, Flash, MPEG, and the streams of camcorders.
    rb"....ftyp|\x1a\x45\xdf\xa3|RIFF....AVI |\x30\x26\xb2\x75\x8e\x66\xcf\x11|FLV\x01|\0\0\x01\xba"
    rb"|G.{187}G.{187}G|.{4}G.{191}G.{191}G": Kind("a video", OPEN_ALONE, suffix=".mp4"),
    rb"\0\0\0\x0cJXL |\xff\x0a": Kind("a JPEG XL", "convert it to PNG or JPEG"),
    rb"\0\0\0\x0cjP  ": Kind("a JPEG 2000", "convert it to PNG or JPEG"),
    rb"8BPS": Kind("a Photoshop file", "convert it to PNG or JPEG"),
    rb"%PDF": Kind("a PDF", "save its pages as images"),
    rb"PK\x03\x04.{26}[^/\0]{1,80}\.npy": Kind("NumPy arrays", OPEN_ALONE, suffix=".npz"),
    rb"PK(\x03\x04|\x05\x06)": Kind("a zip archive", f"unpack it, or {OPEN_ALONE}", suffix=".zip"),
    rb"Rar!|7z\xbc\xaf|\x1f\x8b|BZh|\xfd7zXZ": Kind("an archive", UNPACK),
    rb"\x93NUMPY": Kind("a NumPy array", OPEN_ALONE, suffix=".npy"),
    rb"PAR1": Kind("a Parquet file", OPEN_ALONE, suffix=".parquet"),
    rb"version https://git-lfs": Kind("a Git LFS pointer", "run: git lfs pull"),
    rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<svg": Kind("an SVG drawing", "convert it to PNG"),
    rb"\s*(<!--.*?-->\s*)?<(?i:!doctype html|html|head|body)": Kind(
        "a web page", "the download failed: it needs a login, or is gone"
    ),
    rb"\s*<\?xml|\s*[{\[]": Kind("text of a server or a program", "the download failed, if it should be an image"),
}
PATTERNS = [(re.compile(start, re.DOTALL), kind) for start, kind in KINDS.items()]


def identify(head: bytes) -> Kind:
    """Returns the kind of a file whose first `HEAD` bytes are given."""
    head = head.removeprefix(b"\xef\xbb\xbf")  # a byte order mark, before text
    if head.startswith(GZIP) and _is_tar(head):
        return TAR_GZ
    return next((kind for pattern, kind in PATTERNS if pattern.match(head)), UNKNOWN)


def describe(kind: Kind) -> str:
    """Describes a kind and what to do, such as "a HEIC: pip install pillow-heif"."""
    return f"{kind.name}: {kind.advice}" if kind.advice else kind.name


def _is_tar(packed: bytes) -> bool:
    """Tests whether the start of a gzip file is that of a tar archive."""
    try:
        content = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(packed, HEAD)
    except zlib.error:
        return False
    return identify(content) == TAR
