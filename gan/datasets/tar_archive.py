"""Image files in a .tar or .tar.gz, read without unpacking it to disk.

source = open_tar(Request("photos.tar.gz", size=64))
"""

import functools
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from PIL import Image

from gan import images
from gan.datasets.folder import read_head
from gan.datasets.indexed_gzip import IndexedGzip
from gan.datasets.source import (
    LARGEST,
    Request,
    Source,
    file_identity,
    is_run_config,
    read_bytes,
    reason_to_pass_over,
)
from gan.errors import UsageError, summarize
from gan.files import damage_as_value_error, expand_path
from gan.image_files.file_kinds import GZIP, HEAD, TAR, UNKNOWN, describe, identify
from gan.progress import track_task

ZEROS = bytes(tarfile.BLOCKSIZE)  # two of these end an archive
LARGEST_HEADER = 1 << 20  # bytes, of the name and the attributes of an entry


class Entry(NamedTuple):
    """A file in an archive: where its content is, and why it is passed over, or ""."""

    name: str
    start: int
    length: int
    reason: str
    is_run: bool  # the config.json of a training run


def open_tar(request: Request) -> Source:
    """Opens the images of a tar archive, compressed by gzip or not, sorted by path.

    Folders of training runs are passed over. A compressed archive is unpacked once, to list it; then its images are
    read at any place. Raises UsageError if it is not a tar archive, or is damaged.
    """
    path = expand_path(request.data)
    head = read_head(path)
    is_packed = head.startswith(GZIP)
    try:
        with damage_as_value_error():
            if is_packed:
                with IndexedGzip(path) as content, track_task(f"Listing {path.name}") as tick:
                    length = path.stat().st_size
                    entries = list(_list_entries(content, lambda: tick(content.unpacker.packed, length)))
                read_at = functools.partial(_read_packed, content)
            else:
                with open(path, "rb") as content:
                    entries = list(_list_entries(content, lambda: None))
                read_at = functools.partial(read_bytes, path)
    except (ValueError, OSError) as error:
        kind = UNKNOWN if is_packed else identify(head)
        reason = summarize(error) if kind in (UNKNOWN, TAR) else f"it is {describe(kind)}"
        raise UsageError(f"--data {request.data}: not a tar archive that can be read ({reason}).") from error
    runs = tuple(entry.name.removesuffix("config.json") for entry in entries if entry.is_run)
    found, passed_over = [], []
    for entry in sorted(entries):
        if reason := "in the folder of a training run" if entry.name.startswith(runs) else entry.reason:
            passed_over.append((entry.name, reason))
        else:
            found.append(entry)

    def read(i: int) -> tuple[Image.Image, images.ImageInfo, bytes]:
        return images.open_image(read_at(found[i].start, found[i].length), request.max_pixels)

    return Source(path.name, file_identity(path), [entry.name for entry in found], read, passed_over)


class _ShortReads:
    """A file of which no more than `LARGEST_HEADER` bytes are read at once, whatever a header says.

    Arguments:
        last: what was read last.
        next: a block that was read on the way, and is read again.
    """

    def __init__(self, file):
        self.seek, self.file, self.last, self.next = file.seek, file, b"", b""

    def tell(self) -> int:
        return self.file.tell() - len(self.next)

    def read(self, length: int) -> bytes:
        if length > LARGEST_HEADER:
            raise ValueError(f"the header of a file takes {length:,} bytes")
        self.last, self.next = self.next or self.file.read(length), b""
        return self.last

    def skip_zeros(self) -> bool:
        """Goes from a block of zeros, if one was read last, to the next other block; returns whether there is one."""
        found = self.last
        while found == ZEROS:
            found = self.file.read(len(ZEROS))
        self.next = found if self.last == ZEROS and len(found) == len(ZEROS) else b""
        return bool(self.next)


def _list_entries(content, tick: Callable[[], None]) -> Iterator[Entry]:
    """Yields the files of an archive in order, reading forward. Raises ValueError and `tarfile.TarError`."""
    file, end, follows = _ShortReads(content), -1, ""
    archive = tarfile.TarFile(fileobj=file, encoding="utf-8")
    while (member := archive.next()) or file.skip_zeros():
        if not member:  # an end, after which `cat` may have put another archive
            archive.offset = file.tell()
            follows = "what follows its end is damaged, or no archive; unpack it, and give the folder"
            continue
        archive.members.clear()  # they would take a kilobyte each
        if archive.offset <= end or member.size < 0:
            raise ValueError("the size of a file is negative")
        end = archive.offset
        tick()
        if member.isdir():
            continue

        def head(length: int = HEAD, member=member) -> bytes:
            file.seek(member.offset_data)
            return file.read(min(length, member.size))

        name = member.name.encode(errors="surrogateescape").decode(errors="replace")
        odd = not member.isreg() or member.issparse()
        is_run = not odd and os.path.basename(name) == "config.json" and is_run_config(head(LARGEST_HEADER))
        reason = "a link, or not a plain file" if odd else reason_to_pass_over(name.replace("\\", "/"), head)
        yield Entry(name, member.offset_data, member.size, reason, is_run)
    if file.last.strip(b"\0"):  # tarfile takes a damaged header for the end
        raise ValueError(follows or "a part of it is damaged, or missing")


def _read_packed(content: IndexedGzip, start: int, length: int) -> bytes:
    if length > LARGEST:
        raise images.UnreadableImage(f"more than {LARGEST >> 20} MB")
    try:
        return content.read_at(start, length)
    except (zlib.error, EOFError, OSError) as error:
        raise images.UnreadableImage(f"{content.path.name} is not as before: {summarize(error)}") from error
