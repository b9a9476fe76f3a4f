"""Image files in a .zip, read without unpacking it to disk.

source = open_zip(Request("photos.zip", size=64))
"""

import functools
import threading
import zipfile
from pathlib import Path

from PIL import Image

from gan import images
from gan.datasets.folder import read_head
from gan.datasets.source import LARGEST, Request, Source, digest, file_identity, is_run_config, reason_to_pass_over
from gan.datasets.zip_repair import UTF8, open_archive
from gan.errors import UsageError, summarize
from gan.files import expand_path
from gan.image_files.file_kinds import HEAD, describe, identify

OPEN = 16  # archives; a folder may hold thousands, more than the files that a process may open
METHODS = {9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd"}  # that zipfile does not unpack; 4.4.5
PIECE = 4096  # bytes


def open_zip(request: Request) -> Source:
    """Opens the images of a .zip, sorted by path. Raises UsageError if it is not a zip file.

    Folders of training runs are passed over.
    """
    path = expand_path(request.data)
    try:
        state = file_identity(path)
        archive, _ = _open(path, state)
    except OSError as error:
        raise UsageError(f"--data {request.data}: {summarize(error.strerror or error).lower()}.") from error
    except Exception as error:  # damaged headers raise nearly every kind of exception
        kind = identify(read_head(path))
        advice = f"({summarize(error)}): unpack it, and give the folder."
        reason = advice if kind.suffix == ".zip" else f"(it is {describe(kind)})."
        raise UsageError(f"--data {request.data}: not a zip file that can be opened {reason}") from error
    listed = [(_find_name(entry), entry) for entry in archive.infolist() if not entry.filename.endswith("/")]
    entries = sorted(listed, key=lambda pair: pair[0])
    runs = _find_runs(archive, dict(entries))
    found, passed_over = [], []
    for name, entry in entries:
        reason = "in the folder of a training run" if name.startswith(runs) else ""
        head = functools.partial(_read_head, archive, entry)
        if reason := reason or reason_to_pass_over(name.replace("\\", "/"), head):  # names may be as Windows has them
            passed_over.append((name, reason))
        else:
            found.append((name, entry))

    def read(i: int) -> tuple[Image.Image, images.ImageInfo, bytes]:
        try:
            archive, lock = _open(path, state)
        except Exception as error:  # as above
            raise images.UnreadableImage(f"{path.name} cannot be opened again: {summarize(error)}") from error
        with lock:  # there is one file handle; unpacking is short beside decoding, which runs in parallel
            data = _unpack(archive, found[i][1])
        return images.open_image(data, request.max_pixels)

    identity = digest([(name, entry.file_size, entry.CRC) for name, entry in found])
    return Source(path.name, identity, [name for name, _ in found], read, passed_over)


@functools.lru_cache(OPEN)  # one that is dropped is closed when no thread reads from it
def _open(path: Path, state: str) -> tuple[zipfile.ZipFile, threading.Lock]:
    return open_archive(path), threading.Lock()


def _find_name(entry: zipfile.ZipInfo) -> str:
    """The name of an entry: also where it is UTF-8 without the flag for that, as older programs of macOS write it."""
    if entry.flag_bits & UTF8:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode()  # as which zipfile has decoded it
    except UnicodeError:
        return entry.filename


def _find_runs(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo]) -> tuple[str, ...]:
    """The folders of training runs, each with a slash."""
    configs = [name for name in entries if name.rpartition("/")[2] == "config.json"]
    runs = [name for name in configs if is_run_config(_read_head(archive, entries[name], 1 << 20))]
    return tuple(name.removesuffix("config.json") for name in runs)


def _read_head(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, length: int = HEAD) -> bytes:
    try:
        with archive.open(entry) as file:
            return file.read(length)
    except Exception:  # as in `_unpack`
        return b""


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
    except NotImplementedError as error:
        method = METHODS.get(entry.compress_type, f"method {entry.compress_type}")
        raise images.UnreadableImage(
            f"compressed by {method}, which Python cannot unpack: unpack the zip, and give the folder"
        ) from error
    except Exception as error:  # zlib, lzma and bz2 each raise exceptions of their own
        raise images.UnreadableImage(f"damaged in the zip: {summarize(error)}") from error


def require_images(path: Path) -> None:
    """Raises ValueError unless the file is a zip that holds images."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise ValueError("not a zip file") from error
    if all(reason_to_pass_over(name, bytes) for name in names):
        raise ValueError("the zip holds no images")
