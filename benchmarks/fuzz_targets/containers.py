"""Writes archives, tables and videos of images, as other programs do; tests use it as well.

content = write_tar({"a.png": b"..."}, packed=True)
"""

import gzip
import io
import struct
import tarfile
from collections.abc import Iterable, Mapping

import numpy as np


def write_tar(files: Mapping[str, bytes], packed: bool = False) -> bytes:
    """A tar archive, compressed or not."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0) if packed else buffer.getvalue()


def write_pixel_table(pixels: np.ndarray, header: str = "emotion,pixels,Usage") -> bytes:
    """FER2013's table of gray images (n, h, w)."""
    rows = [f"3,{' '.join(map(str, image.ravel()))},Training" for image in pixels]
    return ("\n".join([header, *rows]) + "\n").encode()


def write_tfrecord(contents: Iterable[bytes], name: bytes = b"image/encoded") -> bytes:
    """A TFRecord file of image files, without the checksums of its records."""
    records = [write_example(name, content) for content in contents]
    lengths = [struct.pack("<Q", len(record)) for record in records]
    return b"".join(
        length + crc32c(length) + record + bytes(4) for length, record in zip(lengths, records, strict=True)
    )


def write_example(name: bytes, content: bytes) -> bytes:
    """A tf.train.Example with a number, and bytes as the feature `name`."""
    label = write_field(1, write_field(1, b"label") + write_field(2, write_field(3, write_field(1, b"\x07"))))
    image = write_field(1, write_field(1, name) + write_field(2, write_field(1, write_field(1, content))))
    return write_field(1, label + image)


def write_field(number: int, content: bytes) -> bytes:
    """Field number `number` of a protocol buffer message, of bytes."""
    length, key = len(content), bytes([number << 3 | 2])
    while length > 127:
        key, length = key + bytes([length & 127 | 128]), length >> 7
    return key + bytes([length]) + content


def crc32c(content: bytes) -> bytes:
    """The CRC-32C of bytes, masked as in TFRecord files, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def write_parquet(contents: list[bytes], rows: int = 100) -> bytes:
    """A shard of image files as Hugging Face has them, in groups of `rows`. Needs pyarrow."""
    import pyarrow
    import pyarrow.parquet

    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    column = pyarrow.array([{"bytes": content, "path": None} for content in contents], kind)
    table, buffer = pyarrow.table({"image": column, "label": list(range(len(contents)))}), io.BytesIO()
    pyarrow.parquet.write_table(table, buffer, row_group_size=rows)
    return buffer.getvalue()


def write_video(frames: np.ndarray, kind: str = "mp4", rate: int = 4) -> bytes:
    """A video of frames, uint8 (n, h, w, 3), with a key frame every 5 frames. Needs PyAV."""
    import av

    buffer = io.BytesIO()
    options = {"fflags": "+bitexact"}  # the same bytes each time
    with av.open(buffer, "w", format={"mkv": "matroska"}.get(kind, kind), options=options) as container:
        special = {"avi": ("mjpeg", "yuvj420p"), "webm": ("libvpx-vp9", "yuv420p")}
        codec, stored = special.get(kind, ("libx264", "yuv420p"))
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = frames.shape[2], frames.shape[1], stored, 5
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()
