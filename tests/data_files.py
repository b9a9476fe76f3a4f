"""Helpers that write datasets of every kind, and read them through `gan.datasets`."""

import io
import struct
import tarfile
import zipfile
import zlib

import numpy as np
from PIL import Image

from gan import images
from gan.datasets import Request, open_source


def open_data(data, **options):
    """Opens a path or a built-in name as a source of 32x32 images."""
    return open_source(Request(str(data), 32, **options))


def read_pixels(source):
    """Reads all images of a source, uint8 (n, h, w, 3)."""
    source.prepare()
    return np.stack([np.asarray(source.read(i)[0]) for i in range(len(source.names))])


def encode_png(array):
    """Encodes an array as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def encode_deep_png(values):
    """Encodes 16-bit colors, >u2 (h, w, 3), which Pillow cannot write, as the bytes of a PNG file."""
    height, width, _ = values.shape
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0),
        b"IDAT": zlib.compress(b"".join(b"\0" + row.tobytes() for row in values)),  # rows without a filter
        b"IEND": b"",
    }
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks.items()
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def save_folder(folder, pixels):
    """Saves images as 0.png, 1.png, ..., from the fifth on in a subfolder."""
    for i, image in enumerate(pixels):
        images.write_png(folder / ("" if i < 4 else "x/deep er") / f"{i}.png", image)
    return folder


def save_grays(folder, count):
    """Saves `count` gray 16x16 PNGs, of which number i has the value i."""
    folder.mkdir()
    for i in range(count):
        Image.new("RGB", (16, 16), (i, i, i)).save(folder / f"good {i:03}.png")
    return folder


def save_zip(path, files):
    """Saves a dict, name -> bytes, as an uncompressed zip, so that a test can damage a certain byte."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def save_npy(path, array):
    """Saves a .npy."""
    np.save(path, array, allow_pickle=True)
    return path


def save_tar(path, files, mode="w"):
    """Saves a dict, name -> bytes, as a tar archive; mode "w:gz" compresses it."""
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def save_pixel_table(path, pixels, header="emotion,pixels,Usage"):
    """Saves gray images (n, h, w) as FER2013's table."""
    rows = [f"3,{' '.join(map(str, image.ravel()))},Training" for image in pixels]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def encode_field(number, content):
    """Encodes bytes as field number `number` of a protocol buffer message."""
    length, key = len(content), bytes([number << 3 | 2])
    while length > 127:
        key, length = key + bytes([length & 127 | 128]), length >> 7
    return key + bytes([length]) + content


def encode_example(name, content):
    """Encodes a tf.train.Example with a number and the bytes of a feature."""
    label = encode_field(1, encode_field(1, b"label") + encode_field(2, encode_field(3, encode_field(1, b"\x07"))))
    image = encode_field(1, encode_field(1, name) + encode_field(2, encode_field(1, encode_field(1, content))))
    return encode_field(1, label + image)


def crc32c(content):
    """The CRC-32C of bytes, masked as in TFRecord files, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def save_tfrecord(path, contents, name=b"image/encoded"):
    """Saves images that are bytes of files as a TFRecord file."""
    with open(path, "wb") as file:
        for content in contents:
            record = encode_example(name, content)
            length = struct.pack("<Q", len(record))
            file.write(length + crc32c(length) + record + bytes(4))
    return path


def save_parquet(path, contents, rows=100):
    """Saves images that are bytes of files as Hugging Face does, in groups of `rows`. Needs pyarrow."""
    import pyarrow
    import pyarrow.parquet

    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    column = pyarrow.array([{"bytes": content, "path": None} for content in contents], kind)
    table = pyarrow.table({"image": column, "label": list(range(len(contents)))})
    pyarrow.parquet.write_table(table, path, row_group_size=rows)
    return path


def save_video(path, frames, rate=4):
    """Saves frames, uint8 (n, h, w, 3), as a video with a key frame every 5 frames. Needs PyAV."""
    import av

    with av.open(str(path), "w") as container:
        codec, stored = ("mjpeg", "yuvj420p") if path.suffix == ".avi" else ("libx264", "yuv420p")
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], stored
        stream.gop_size = 5
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    return path
