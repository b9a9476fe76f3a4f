"""Encoded images in TFRecord files of tf.train.Example, read without TensorFlow.

source = open_tfrecord(Request("train.tfrecord", size=64))
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from gan import images
from gan.datasets.source import Request, Source, file_identity, number_names, read_bytes
from gan.errors import UsageError, summarize
from gan.files import expand_path

FEATURES = ("image/encoded", "image", "image_raw")  # that hold the bytes of an image file
HEADER, FOOTER = 12, 4  # bytes: the length and its checksum; the checksum of the content, which is not tested
NEEDED = f"an image file as bytes in a feature named {', '.join(FEATURES[:-1])} or {FEATURES[-1]}"


def open_tfrecord(request: Request) -> Source:
    """Opens the images of a TFRecord file. Raises UsageError if it is damaged, or its first record has no image."""
    path = expand_path(request.data)
    try:
        records = list(_find_records(path))
        if records:
            content = read_bytes(path, *records[0])
            if not find_image(content):
                names = ", ".join(name for name, _ in _list_features(content))
                raise ValueError(f"give {NEEDED}; its first record has {summarize(names) or 'no features'}")
    except (ValueError, OSError, images.UnreadableImage) as error:
        raise UsageError(f"--data {request.data}: not TFRecords that can be read ({summarize(error)}).") from error

    def read(i: int) -> tuple[Image.Image, images.ImageInfo, bytes]:
        try:
            content = find_image(read_bytes(path, *records[i]))
        except ValueError as error:
            raise images.UnreadableImage(f"damaged: {error}") from error
        if not content:
            raise images.UnreadableImage("a record without an image")
        return images.open_image(content, request.max_pixels)

    return Source(path.name, file_identity(path), number_names(path, len(records)), read, [])


def is_tfrecord(head: bytes) -> bool:
    """Tests whether a file starts with a length and its checksum, as no other kind of file does."""
    return len(head) >= HEADER and _has_checksum(head[:HEADER])


def find_image(record: bytes) -> bytes:
    """Returns the value of the first of `FEATURES` that an Example has, or b"". Raises ValueError if it is damaged."""
    features = dict(_list_features(record))
    return next((features[name] for name in FEATURES if features.get(name)), b"")


def _find_records(path: Path) -> Iterator[tuple[int, int]]:
    """Yields the start and the length of the content of each record. Raises ValueError if the file is damaged.

    https://www.tensorflow.org/tutorials/load_data/tfrecord, "TFRecords format details".
    """
    size, position = path.stat().st_size, 0
    with open(path, "rb") as file:
        while header := file.read(HEADER):
            if not is_tfrecord(header):
                raise ValueError(f"the length of a record at byte {position:,} is damaged")
            (length,) = struct.unpack("<Q", header[:8])
            if position + HEADER + length + FOOTER > size:
                raise ValueError(f"the record at byte {position:,} is cut off")
            yield position + HEADER, length
            position += HEADER + length + FOOTER
            file.seek(position)


def _list_features(record: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields the name of each feature of an Example, and its first value if that is bytes, else b"".

    It goes from Example to Features, to an entry of their map, to its Feature and its BytesList; see
    tensorflow/core/example/{example,feature}.proto.
    """
    for features in _list_fields(record, 1):
        for entry in _list_fields(features, 1):
            name, feature = (next(_list_fields(entry, number), b"") for number in (1, 2))
            values = next(_list_fields(feature, 1), b"")
            yield name.decode(errors="replace"), next(_list_fields(values, 1), b"")


def _list_fields(message: bytes, number: int) -> Iterator[bytes]:
    """Yields the values of a field of bytes in a message. https://protobuf.dev/programming-guides/encoding"""
    position = 0
    while position < len(message):
        key, position = _read_varint(message, position)
        kind, end = key & 7, position
        if kind == 0:
            _, end = _read_varint(message, position)
        elif kind == 2:
            length, position = _read_varint(message, position)
            end = position + length
        elif kind in (1, 5):
            end = position + (8 if kind == 1 else 4)
        else:
            raise ValueError("not an Example")
        if end > len(message):
            raise ValueError("an Example that is cut off")
        if kind == 2 and key >> 3 == number:
            yield message[position:end]
        position = end


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position == len(message):
            break
        byte = message[position]
        position, value = position + 1, value | (byte & 127) << shift
        if byte < 128:
            return value, position
    raise ValueError("an Example that is cut off")


def _has_checksum(header: bytes) -> bool:
    """Tests the masked CRC-32C of a length."""
    crc = 0xFFFFFFFF
    for byte in header[:8]:
        crc = CRC_TABLE[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    masked = (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF
    return masked == int.from_bytes(header[8:HEADER], "little")


def _make_crc_table() -> list[int]:
    """The table of CRC-32C, by its reversed polynomial. RFC 3720, appendix B.4."""
    table = list(range(256))
    for _ in range(8):
        table = [value >> 1 ^ (0x82F63B78 if value & 1 else 0) for value in table]
    return table


CRC_TABLE = _make_crc_table()
