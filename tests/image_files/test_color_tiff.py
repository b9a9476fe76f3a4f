import io
import struct

import numpy as np
import pytest
from color_profile_files import make_profile
from PIL import Image

from gan.image_files.color_tiff import split_colors
from gan.images import UnreadableImage, read_image

RAMPS = np.arange(3 * 20 * 16).reshape(20, 16, 3) * 50  # 20 rows: other than a multiple of the rows of a strip


def make_tiff(values, order="<", apart=False, rows=0, more=()):
    """A TIFF of colors (h, w, 3), with the colors of a pixel together or apart, in strips of `rows` rows."""
    height, width, _ = values.shape
    values = values.astype(values.dtype.newbyteorder(order))
    planes = np.moveaxis(values, -1, 0) if apart else [values]
    rows = rows or height
    strips = [plane[start : start + rows].tobytes() for plane in planes for start in range(0, height, rows)]
    form, bits = (3 if values.dtype.kind == "f" else 1), 8 * values.dtype.itemsize
    lists, end = [bits] * 3 + [form] * 3, 8
    offsets = [end + sum(map(len, strips[:i])) for i in range(len(strips))]
    body = b"".join(strips) + struct.pack(f"{order}6H", *lists)
    place = end + len(body)
    body += struct.pack(f"{order}{2 * len(strips)}I", *offsets, *map(len, strips))
    one = len(strips) == 1
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, place - 12), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, len(strips), offsets[0] if one else place), (277, 3, 1, 3), (278, 4, 1, rows),
        (279, 4, len(strips), len(strips[0]) if one else place + 4 * len(strips)), (284, 3, 1, 2 if apart else 1),
        (339, 3, 3, place - 6),
    ]  # fmt: skip
    entries = sorted([*entries, *more])
    packed = b"".join(
        struct.pack(f"{order}HHI", tag, kind, count)
        + (struct.pack(f"{order}HH", value, 0) if (kind, count) == (3, 1) else struct.pack(f"{order}I", value))
        for tag, kind, count, value in entries
    )
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(body))
    return head + body + struct.pack(f"{order}H", len(entries)) + packed + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("rows", [0, 8, 1])
def test_colors(order, apart, rows):
    """Floats, and 16 bits, come out as they were written, however the file is laid out."""
    floats = make_tiff((RAMPS / RAMPS.max()).astype(np.float32), order, apart, rows)
    image, info, content = read_image(floats)
    np.testing.assert_array_equal(np.asarray(image), np.round(RAMPS / RAMPS.max() * 255))
    assert info == ("RGB of float32, read as [0, 1]", (16, 20)) and content == floats
    image, info, _ = read_image(make_tiff(RAMPS.astype(np.uint16), order, apart, rows))
    np.testing.assert_array_equal(np.asarray(image), RAMPS >> 8)
    assert "of 16 bits" in info.mode


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(apart, orientation):
    """They are turned as an image of 8 bits is."""
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[274] = orientation
    Image.fromarray((RAMPS >> 8).astype(np.uint8)).save(buffer, "TIFF", exif=exif)
    turned = make_tiff((RAMPS >> 8).astype(np.float32), apart=apart, more=[(274, 3, 1, orientation)])
    np.testing.assert_array_equal(read_image(turned)[0], read_image(buffer.getvalue())[0])


def test_color_profile():
    """It is honored: colors of Display P3 become more vivid."""
    profile = make_profile()
    values = np.tile(np.float32([200, 100, 50]) / 255, (9, 9, 1))
    plain = make_tiff(values)
    data = make_tiff(values, more=[(34675, 7, len(profile), len(plain) + 12)]) + profile
    assert np.ptp(read_image(data)[0].getpixel((4, 4))) > 180 > np.ptp(read_image(plain)[0].getpixel((4, 4)))


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (1e9, "range")])
def test_values_that_are_no_colors(value, word):
    """NaN, and values in no known range, are the reason why the image is not used."""
    with pytest.raises(UnreadableImage, match=word):
        read_image(make_tiff(np.full((9, 9, 3), value, np.float32)))


def test_other_files_are_left_alone():
    """Colors of 8 bits, and of 16 bits that are together, are for Pillow, and so is a damaged directory."""
    assert split_colors(make_tiff(RAMPS.astype(np.uint8))) is split_colors(make_tiff(RAMPS.astype(np.uint16))) is None
    data = make_tiff(RAMPS.astype(np.float32))
    assert len(split_colors(data).grays) == 1
    for length in (0, 4, 8, 100, len(data) - 30):
        assert split_colors(data[:length]) is None
    with pytest.raises(UnreadableImage):
        read_image(data[:2000] + bytes(8))
