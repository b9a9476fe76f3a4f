"""Helpers that write datasets of every kind, and read them through `gan.datasets`."""

import io
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

from benchmarks.fuzz_targets import containers
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


def save_tar(path, files, packed=False):
    """Saves a dict, name -> bytes, as a tar archive, compressed or not."""
    path.write_bytes(containers.write_tar(files, packed))
    return path


def save_pixel_table(path, pixels, header="emotion,pixels,Usage"):
    """Saves gray images (n, h, w) as FER2013's table."""
    path.write_bytes(containers.write_pixel_table(pixels, header))
    return path


def save_tfrecord(path, contents, name=b"image/encoded"):
    """Saves images that are bytes of files as a TFRecord file."""
    path.write_bytes(containers.write_tfrecord(contents, name))
    return path


def save_parquet(path, contents, rows=100):
    """Saves images that are bytes of files as Hugging Face does, in groups of `rows`. Needs pyarrow."""
    path.write_bytes(containers.write_parquet(contents, rows))
    return path


def save_video(path, frames):
    """Saves frames, uint8 (n, h, w, 3), as a video of 4 frames a second. Needs PyAV."""
    path.write_bytes(containers.write_video(frames, path.suffix.removeprefix(".") or "mp4"))
    return path
