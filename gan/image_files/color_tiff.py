"""TIFFs whose colors Pillow does not read: of 32-bit floats, or of 16 bits with each color in a plane of its own.

split = split_colors(content)
[Image.open(io.BytesIO(tiff)) for tiff in split.grays]  # gray images of the same values, which Pillow reads
"""

import struct
from typing import NamedTuple

from gan.image_files.metadata import TIFF_SIGNATURES

# Tags and values of TIFF 6.0, section 8, and SampleFormat in section 19.
WIDTH, BITS, PHOTOMETRIC, STRIP_OFFSETS, ORIENTATION, SAMPLES, STRIP_LENGTHS = 256, 258, 262, 273, 274, 277, 279
PLANES, PREDICTOR, TILE_WIDTH, TILE_OFFSETS, TILE_LENGTHS, FORMAT = 284, 317, 322, 324, 325, 339
RGB, TOGETHER, APART, FLOAT = 2, 1, 2, 3
INTEGERS = {3: "H", 4: "I"}  # types of values, as struct has them


class SplitColors(NamedTuple):
    """An image of three colors as gray TIFFs: one that is three times as wide, or one of each color.

    Arguments:
        grays: the files, without orientation.
        orientation: as in EXIF.
    """

    grays: list[bytes]
    orientation: int


def split_colors(content: bytes) -> SplitColors | None:
    """Returns the colors of such a TIFF, or None for any other file, or one that is damaged.

    The pixels are not touched: only the directory is another, in which the three values of a pixel are three pixels.
    """
    try:
        return _split(content) if content[:4] in TIFF_SIGNATURES else None
    except struct.error:
        return None


def _split(content: bytes) -> SplitColors | None:
    directory = _Directory(content, TIFF_SIGNATURES[content[:4]])
    bits, layout = directory.read(BITS), directory.read(PLANES) or TOGETHER
    floats = bits == 32 and directory.read(FORMAT) == FLOAT
    if directory.read(SAMPLES) != 3 or directory.read(PHOTOMETRIC) != RGB:
        return None
    if not (floats or (bits == 16 and layout == APART)):
        return None
    if layout == TOGETHER and directory.read(PREDICTOR) not in (None, 1):
        return None  # the predictor of a value is that of the same color in the pixel before it
    for tag, value in {
        BITS: bits,
        FORMAT: FLOAT if floats else 1,
        SAMPLES: 1,
        PHOTOMETRIC: 1,
        PLANES: TOGETHER,
    }.items():
        directory.write(tag, value)
    orientation = directory.read(ORIENTATION) or 1
    directory.write(ORIENTATION, 1)
    if layout == APART:
        return SplitColors([directory.select_plane(plane) for plane in range(3)], orientation)
    for tag in (WIDTH, TILE_WIDTH):
        if width := directory.read(tag):
            directory.write(tag, 3 * width)
    return SplitColors([bytes(directory.content)], orientation)


class _Directory:
    """The first directory of a TIFF. TIFF 6.0, section 2."""

    def __init__(self, content: bytes, order: str):
        self.content, self.order = bytearray(content), order
        (start,) = struct.unpack_from(order + "I", content, 4)
        (count,) = struct.unpack_from(order + "H", content, start)
        self.places = {
            struct.unpack_from(order + "H", content, place)[0]: place
            for place in range(start + 2, start + 2 + 12 * count, 12)
        }

    def find_values(self, place: int) -> tuple[str, int, int]:
        """The type of the values of an entry, their number, and where they are."""
        kind, count = struct.unpack_from(self.order + "HI", self.content, place + 2)
        name = INTEGERS.get(kind, "B")
        if count * struct.calcsize(self.order + name) <= 4:
            return name, count, place + 8
        return name, count, struct.unpack_from(self.order + "I", self.content, place + 8)[0]

    def read(self, tag: int) -> int | None:
        """The first value of an entry, or None where there is none."""
        if tag not in self.places:
            return None
        name, _, start = self.find_values(self.places[tag])
        return struct.unpack_from(self.order + name, self.content, start)[0]

    def write(self, tag: int, value: int) -> None:
        """Replaces the values of an entry, if it is there, by one."""
        if tag in self.places:
            struct.pack_into(self.order + "HHII", self.content, self.places[tag], tag, 4, 1, value)

    def select_plane(self, plane: int) -> bytes:
        """The file with only a third of its strips or tiles."""
        content = self.content.copy()
        for tag in (STRIP_OFFSETS, STRIP_LENGTHS, TILE_OFFSETS, TILE_LENGTHS):
            if tag in self.places:
                place = self.places[tag]
                name, count, start = self.find_values(place)
                size = struct.calcsize(self.order + name)
                part = self.content[start + plane * (count // 3) * size :][: count // 3 * size]
                struct.pack_into(self.order + "I", content, place + 4, count // 3)
                if len(part) <= 4:
                    content[place + 8 : place + 12] = part.ljust(4, b"\0")
                else:
                    struct.pack_into(self.order + "I", content, place + 8, start + plane * len(part))
        return bytes(content)
