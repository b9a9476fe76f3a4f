"""Image metadata: removes from a file what its pixels do not need, for files whose metadata cannot be read.

content = strip_metadata(content)
"""

import struct
import zlib

PNG_SIGNATURE, JPEG_SIGNATURE = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
TIFF_SIGNATURES = {b"II*\0": "<", b"MM\0*": ">"}  # signature -> order of bytes, as struct has it
ADOBE, ADOBE_LENGTH = 0xEE, 16  # the marker of Adobe's segment of a JPEG, and its bytes with marker and length
ORIENTATION, INTEGER_TYPES = 274, (3, 4)  # a tag of a TIFF that is kept where it is one integer
# The tags that say how the pixels of a TIFF are stored. TIFF 6.0, appendix A; libtiff's SampleFormat and JPEGTables.
TIFF_TAGS = {
    *(256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325, 332, 338),
    *(339, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532),
}


def strip_metadata(content: bytes) -> bytes:
    """Returns a PNG, JPEG or TIFF without metadata, as far as it can be read; anything else as it is."""
    if content.startswith(PNG_SIGNATURE):
        return _strip_png(content)
    if content.startswith(JPEG_SIGNATURE):
        return _strip_jpeg(content)
    return _strip_tiff(content, TIFF_SIGNATURES[content[:4]]) if content[:4] in TIFF_SIGNATURES else content


def _strip_jpeg(content: bytes) -> bytes:
    """Removes application segments and comments, but Adobe's, which has the color space. ITU-T T.81, B.1."""
    kept, position = [content[:2]], 2
    while content[position : position + 1] == b"\xff" and content[position + 1 : position + 2] not in (b"\xda", b""):
        end = position + 2 + int.from_bytes(content[position + 2 : position + 4])
        if content[position + 1] not in (*range(0xE0, 0xEE), 0xEF, 0xFE) and not (
            content[position + 1] == ADOBE and end - position < ADOBE_LENGTH
        ):
            kept.append(content[position:end])
        position = end
    return b"".join([*kept, content[position:]])


def _strip_png(content: bytes) -> bytes:
    """Removes all ancillary chunks, but transparency and a whole orientation. PNG, third edition, section 5."""
    kept, position = [PNG_SIGNATURE], len(PNG_SIGNATURE)
    while position < len(content):
        length, kind = int.from_bytes(content[position : position + 4]), content[position + 4 : position + 8]
        end = position + 12 + length
        whole = zlib.crc32(content[position + 4 : end - 4]) == int.from_bytes(content[end - 4 : end])
        if kind[:1].isupper() or (kind in (b"tRNS", b"eXIf") and whole):
            kept.append(content[position:end])
        position = end
    return b"".join(kept)


def _strip_tiff(content: bytes, order: str) -> bytes:
    """Removes all entries that are not in `TIFF_TAGS`, and all directories but the first. TIFF 6.0, section 2."""
    try:
        (start,) = struct.unpack_from(order + "I", content, 4)
        (count,) = struct.unpack_from(order + "H", content, start)
    except struct.error:
        return content
    entries = [content[at : at + 12] for at in range(start + 2, start + 2 + 12 * count, 12)]
    kept = [entry for entry in entries if len(entry) == 12 and _is_needed(*struct.unpack_from(order + "HHI", entry))]
    directory = struct.pack(order + "H", len(kept)) + b"".join(kept) + bytes(4)
    return content[:start] + directory + content[start + len(directory) :]


def _is_needed(tag: int, kind: int, count: int) -> bool:
    return tag in TIFF_TAGS or (tag == ORIENTATION and kind in INTEGER_TYPES and count == 1)
