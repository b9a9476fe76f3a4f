import struct

import numpy as np
import pytest
from data_files import encode_png, open_data, read_pixels, save_tfrecord

from benchmarks.fuzz_targets.containers import crc32c, write_example, write_field
from gan.datasets.tfrecord import find_image, is_tfrecord
from gan.errors import UsageError
from gan.images import UnreadableImage


@pytest.mark.parametrize("feature", [b"image/encoded", b"image", b"image_raw"])
@pytest.mark.parametrize("name", ["a.tfrecord", "a.TFRECORDS", "celeb_a-train.tfrecord-00000-of-00010"])
def test_reads_records(tmp_path, eight, name, feature):
    """The images of all usual features are read, in files of all usual names; each by the bytes of its file."""
    faces = [encode_png(face) for face in eight]
    opened = open_data(save_tfrecord(tmp_path / name, faces, feature))
    assert opened.names[7] == f"{name}[7]"
    np.testing.assert_array_equal(read_pixels(opened), eight)
    assert opened.read(5)[2] == faces[5]


@pytest.mark.slow  # as TensorFlow takes ten seconds to start
def test_as_tensorflow_writes_it(tmp_path, eight):
    """A file that TensorFlow wrote is read, with other features beside the image."""
    tf = pytest.importorskip("tensorflow")

    def value(content):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))

    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        for i, face in enumerate(eight):
            numbers = tf.train.Feature(int64_list=tf.train.Int64List(value=[i, 2**40]))
            floats = tf.train.Feature(float_list=tf.train.FloatList(value=[0.5] * 9))
            features = {"image": value(encode_png(face)), "id": value(b"x"), "a": numbers, "b": floats}
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    np.testing.assert_array_equal(read_pixels(open_data(tmp_path / "a.tfrecord")), eight)


def test_known_checksum():
    """The CRC-32C of RFC 3720, B.4, masked; a header is known by it, whatever the name."""
    assert struct.unpack("<I", crc32c(bytes(32)))[0] == ((0x8A9136AA >> 15 | 0x8A9136AA << 17) + 0xA282EAD8) % 2**32
    length = struct.pack("<Q", 10**6)
    assert is_tfrecord(length + crc32c(length) + b"...")
    assert not any(is_tfrecord(head) for head in (b"", length, length + b"1234", bytes(512), b"\x89PNG\r\n\x1a\n" * 9))


def test_damaged_files(tmp_path, eight):
    """A wrong length, and a record that is cut off, are refused with their place."""
    whole = save_tfrecord(tmp_path / "a.tfrecord", [encode_png(face) for face in eight]).read_bytes()
    second = 16 + struct.unpack("<Q", whole[:8])[0]
    for content, word in (
        (whole[:-1], "cut off"),
        (whole[: second + 5], f"byte {second:,}"),
        (whole[:second] + b"\xff" + whole[second + 1 :], f"byte {second:,}"),
        (b"<html>", "byte 0"),
    ):
        (tmp_path / "a.tfrecord").write_bytes(content)
        with pytest.raises(UsageError, match=word):
            open_data(tmp_path / "a.tfrecord")


def test_records_without_an_image(tmp_path, eight):
    """A file whose first record has none is refused with its features; another record is unreadable."""
    path = save_tfrecord(tmp_path / "a.tfrecord", [b"x"], b"data")
    with pytest.raises(UsageError, match="label, data"):
        open_data(path)
    good = save_tfrecord(tmp_path / "b.tfrecord", [encode_png(eight[0])]).read_bytes()
    path.write_bytes(good + path.read_bytes())
    opened = open_data(path)
    with pytest.raises(UnreadableImage, match="without an image"):
        opened.read(1)
    np.testing.assert_array_equal(opened.read(0)[0], eight[0])


def test_damaged_examples():
    """A message that is cut off anywhere, or has a wrong type, is a ValueError or has another image; never a hang."""
    record = write_example(b"image", b"content")
    assert find_image(record) == b"content"
    for cut in range(1, len(record)):
        with pytest.raises(ValueError, match="Example"):
            find_image(record[:cut])
    for damaged in (b"\xff" * 20, b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x0f", b"\x0b"):
        with pytest.raises(ValueError, match="Example"):
            find_image(damaged)
    assert find_image(b"") == find_image(write_field(1, b"")) == b""
