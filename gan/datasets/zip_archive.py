"""Image files in a .zip, read without unpacking it to disk.

source = open_zip(Request("photos.zip", size=64))
"""

import threading
import zipfile
from pathlib import Path

from PIL import Image

from gan import images
from gan.datasets.source import Request, Source, digest, reason_to_pass_over
from gan.errors import UsageError, summarize
from gan.files import expand_path

LARGEST = 256 << 20  # bytes of one image
PIECE = 4096  # bytes


def open_zip(request: Request) -> Source:
    """Opens the images of a .zip, sorted by path. Raises UsageError if it is not a zip file."""
    path = expand_path(request.data)
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # damaged headers raise nearly every kind of exception
        reason = summarize(error)
        raise UsageError(f"--data {request.data}: not a zip file that can be opened ({reason}).") from error
    listed = [entry for entry in archive.infolist() if not entry.filename.endswith("/")]
    entries = sorted(listed, key=lambda entry: entry.filename)
    reasons = [reason_to_pass_over(entry.filename) for entry in entries]
    found = [entry for entry, reason in zip(entries, reasons, strict=True) if not reason]
    passed_over = [(entry.filename, reason) for entry, reason in zip(entries, reasons, strict=True) if reason]
    lock = threading.Lock()

    def read(i: int) -> tuple[Image.Image, images.ImageInfo, bytes]:
        with lock:  # there is one file handle; unpacking is short beside decoding, which runs in parallel
            data = _unpack(archive, found[i])
        return images.read_image(data)

    identity = digest([(entry.filename, entry.file_size, entry.CRC) for entry in found])
    return Source(path.name, identity, [entry.filename for entry in found], read, passed_over)


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.flag_bits & 1:
        raise images.UnreadableImage("encrypted")
    if entry.file_size > LARGEST:
        raise images.UnreadableImage(f"more than {LARGEST >> 20} MB")
    # Other methods unpack all that was read at once, to whatever size; these never more than was asked for.
    step = entry.file_size if entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) else PIECE
    try:
        with archive.open(entry) as file:
            return b"".join(iter(lambda: file.read(step), b""))
    except Exception as error:  # zlib, lzma and bz2 each raise exceptions of their own
        raise images.UnreadableImage(f"damaged in the zip: {summarize(error)}") from error


def require_images(path: Path) -> None:
    """Raises ValueError unless the file is a zip that holds images."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise ValueError("not a zip file") from error
    if all(reason_to_pass_over(name) for name in names):
        raise ValueError("the zip holds no images")
