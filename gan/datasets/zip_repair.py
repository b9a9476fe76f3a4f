"""Opens zip files that Python refuses because of one entry: of a later version, or with a wrongly encoded name.

archive = open_archive("photos.zip")  # a zipfile.ZipFile
"""

import mmap
import struct
import zipfile
from pathlib import Path

# Signatures, and the flag of names in UTF-8; APPNOTE.TXT, sections 4.3.7, 4.3.12, 4.3.16 and 4.4.4.
LOCAL_HEADER, DIRECTORY_ENTRY, DIRECTORY_END, UTF8 = b"PK\3\4", b"PK\1\2", b"PK\5\6", 0x800


def open_archive(path: Path) -> zipfile.ZipFile:
    """Opens a zip, also one in which single entries are of a version or have a name that zipfile refuses."""
    try:
        return zipfile.ZipFile(path)
    except (NotImplementedError, UnicodeDecodeError):
        with open(path, "rb") as file:
            return zipfile.ZipFile(correct_directory(_SeekableMap(file.fileno(), 0, access=mmap.ACCESS_COPY)))


class _SeekableMap(mmap.mmap):
    def seekable(self) -> bool:  # which mmap has from Python 3.13 on
        return True


def correct_directory(content: mmap.mmap) -> mmap.mmap:
    """Lowers the version of entries that need a later one than zipfile knows, and clears wrong flags of UTF-8 names.

    The file does not change, only its copy in memory. Such an entry may fail when it is read, but no other one.
    """
    end = content.rfind(DIRECTORY_END)
    length, offset = struct.unpack_from("<II", content, end + 12)
    position = first = end - length
    while position < end:
        signature, _, version, flags, name_length, extra, comment, local = struct.unpack_from(
            "<4sHHH18x3H8xI", content, position
        )
        local += first - offset  # of its local header; other content may precede the zip
        if signature != DIRECTORY_ENTRY or content[local : local + 4] != LOCAL_HEADER:
            raise zipfile.BadZipFile("its directory is damaged")
        if flags & UTF8 and not _is_utf8(content[position + 46 : position + 46 + name_length]):
            struct.pack_into("<H", content, position + 8, flags & ~UTF8)
            struct.pack_into("<H", content, local + 6, flags & ~UTF8)
        struct.pack_into("<H", content, position + 6, min(version & 255, zipfile.MAX_EXTRACT_VERSION))
        position += 46 + name_length + extra + comment
    return content


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
