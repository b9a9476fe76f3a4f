"""The contract for images: numbers worked by hand, Pillow's own answers, and inverses."""

import io

import numpy as np
import pytest
from PIL import Image

from gan import images


def encoded(image, kind="PNG", **options):
    """The bytes of a file of this kind."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_unit_values():
    """0, 127.5 and 255 are -1, 0 and 1; beyond the ends is clipped, between two values the nearer is taken."""
    np.testing.assert_array_equal(images.to_float(np.array([0, 127.5, 255])), [-1, 0, 1])
    given = np.array([-1, 0.004, 1, -1.5, 1.5, 0.2], np.float32)
    np.testing.assert_array_equal(images.to_uint8(given), [0, 128, 255, 0, 255, 153])


def test_unit_and_back():
    """Every uint8 value survives the way to float32 in [-1, 1] and back."""
    values = np.arange(256, dtype=np.uint8)
    unit = images.to_float(values.astype(np.float32))
    assert unit.dtype == np.float32
    np.testing.assert_array_equal(images.to_uint8(unit), values)


@pytest.mark.parametrize(
    ("image", "colour"),
    [
        (Image.new("1", (9, 8), 1), (255, 255, 255)),
        (Image.new("L", (9, 8), 77), (77, 77, 77)),
        (Image.new("LA", (9, 8), (0, 51)), (204, 204, 204)),  # a fifth of black on white
        (Image.new("RGB", (9, 8), (1, 2, 3)), (1, 2, 3)),
        (Image.new("RGBA", (9, 8), (255, 0, 0, 51)), (255, 204, 204)),
        (Image.fromarray(np.full((8, 9), 200 * 257, np.uint16)), (200, 200, 200)),
    ],
    ids=lambda given: getattr(given, "mode", None),
)
def test_read_png_modes(image, colour):
    """Each mode of PNG becomes the RGB that one sees on white paper, and is reported as it was."""
    rgb, info, _ = images.read_image(encoded(image))
    assert info == (image.mode, (9, 8))
    np.testing.assert_array_equal(np.asarray(rgb), np.full((8, 9, 3), colour))


def test_read_transparent_palette():
    """The transparent entry of a palette is white, the others keep their colours."""
    image = Image.new("P", (8, 8))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.paste(1, (4, 0, 8, 8))
    rgb, info, _ = images.read_image(encoded(image, transparency=1))
    assert info.mode == "P"
    assert rgb.getpixel((0, 0)) == (10, 20, 30)
    assert rgb.getpixel((7, 7)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("values", "grey"), [(np.full((8, 8), 0.2, np.float32), 51), (np.full((8, 8), 51, np.float32), 51)]
)
def test_read_float_tiff(values, grey):
    """Floating-point TIFFs are read as 0..1 when nothing in them is above 1, otherwise as 0..255."""
    rgb, info, _ = images.read_image(encoded(Image.fromarray(values), "TIFF"))
    assert info.mode == "F"
    assert rgb.getpixel((0, 0)) == (grey,) * 3


def test_read_turns_upright():
    """EXIF orientation 6 (the camera was on its side): the stored top is shown at the right."""
    stored = Image.new("RGB", (16, 32))
    stored.paste((255, 255, 255), (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6
    rgb, info, _ = images.read_image(encoded(stored, "JPEG", exif=exif, quality=100))
    assert info.size == rgb.size == (32, 16)
    assert rgb.getpixel((30, 8)) == (255, 255, 255)
    assert rgb.getpixel((1, 8)) == (0, 0, 0)


def test_read_first_frame():
    """Of an animation the first frame counts."""
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    rgb, *_ = images.read_image(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert rgb.getpixel((0, 0)) == (255, 0, 0)


NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"hello, I am text", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n", "not an image"),
        (encoded(Image.fromarray(NOISE), "JPEG")[:2000], "truncated"),
        (encoded(Image.fromarray(NOISE))[:5000], "truncated"),
        (encoded(Image.new("RGB", (1, 1))), "1x1 is too small; 8 pixels is the minimum"),
        (encoded(Image.new("RGB", (8, 7))), "8x7 is too small; 8 pixels is the minimum"),
    ],
)
def test_unreadable(data, reason):
    """Every way of being no usable image has its few words."""
    with pytest.raises(images.UnreadableImage) as caught:
        images.read_image(data)
    assert str(caught.value) == reason


def test_unreadable_path(tmp_path):
    """A path without a file and a folder are unreadable too."""
    with pytest.raises(images.UnreadableImage, match="no such file"):
        images.read_image(tmp_path / "none.png")
    with pytest.raises(images.UnreadableImage, match="is a directory"):
        images.read_image(tmp_path)


@pytest.mark.parametrize("limit", [100, 200])
def test_bombs_are_unreadable(monkeypatch, limit):
    """An image of 256 pixels is refused both where Pillow would raise (100) and where it would warn (200)."""
    data = encoded(Image.new("L", (16, 16)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(images.UnreadableImage, match="too many pixels"):
        images.read_image(data)


def numbered(width, height):
    """An RGB image whose red is the column and whose green is the row."""
    rows, columns = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([columns, rows, 0 * rows], axis=-1).astype(np.uint8))


@pytest.mark.parametrize(
    ("size", "crop", "box"),
    [
        ((178, 218), 108, (35, 55, 143, 163)),
        ((178, 218), 0, (35, 55, 143, 163)),
        ((178, 218), 178, (0, 20, 178, 198)),
        ((218, 178), 0, (20, 0, 198, 178)),
        ((9, 8), 0, (0, 0, 8, 8)),
    ],
)
def test_square(size, crop, box):
    """The cut is in the middle, rounded to the top left: known boxes for CelebA's photographs and others."""
    cut = np.asarray(images.crop_square(numbered(*size), crop))
    left, top, right, bottom = box
    assert cut.shape == (bottom - top, right - left, 3)
    assert tuple(cut[0, 0, :2]) == (left, top)
    assert tuple(cut[-1, -1, :2]) == (right - 1, bottom - 1)


def test_square_needs_enough():
    """A crop that does not fit is no crop."""
    with pytest.raises(images.UnreadableImage, match="40x30 is smaller than the crop of 31"):
        images.crop_square(numbered(40, 30), 31)


def test_resize_averages():
    """Halving weighs the 4 nearest pixels of a line 1, 3, 3, 1: a black-white edge gives 1/8 and 7/8."""
    line = np.repeat([[0] * 8 + [255] * 8], 16, axis=0).astype(np.uint8)
    halved = np.asarray(images.resize_image(images.from_array(line), 8))
    np.testing.assert_array_equal(halved[4, :, 0], [0, 0, 0, 32, 223, 255, 255, 255])


def test_resize_is_pillows():
    """64 to 32 is Pillow's bilinear to the last bit."""
    image = Image.fromarray(NOISE)
    np.testing.assert_array_equal(
        np.asarray(images.resize_image(image, 32)), np.asarray(image.resize((32, 32), resample=2))
    )


def bicubic(old, new):
    """Matrix (new, old) of the cubic kernel with a = -0.5, widened when it reduces, cut and evened out at the ends."""
    wide = max(old / new, 1)
    centres = (np.arange(new)[:, None] + 0.5) * old / new
    t = np.abs(np.arange(old) + 0.5 - centres) / wide
    near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    weights = np.where(t < 1, near, np.where(t < 2, far, 0))
    return weights / weights.sum(axis=1, keepdims=True)


def test_resize_exact_by_hand():
    """Doubling two pixels weighs them 111 : -9 and 111 : 29; in between nothing is rounded, at the ends it is clipped.

    The kernel at 1/4, 5/4, 3/4 is 111, -9, 29 128ths: 51 - 102 * 9/102 = 42, and 51 + 102 * 29/140 = 72.12857.
    """
    pixels = np.array([[[51, 153], [51, 153]], [[0, 255], [0, 255]]], np.uint8)[..., None].repeat(3, axis=-1)
    resized = images.resize_for_network(pixels, 4)
    assert resized.dtype == np.float32
    assert resized.shape == (2, 4, 4, 3)
    expected = [[42, 72.12857, 131.87143, 162], [0, 52.82143, 202.17857, 255]]
    for row in range(4):
        for channel in range(3):
            np.testing.assert_allclose(resized[:, row, :, channel], expected, rtol=1e-6)


@pytest.mark.parametrize(("height", "width", "size"), [(4, 4, 2), (4, 4, 7), (32, 20, 13), (9, 32, 16), (32, 32, 64)])
def test_resize_exact_is_two_matrices(height, width, size):
    """Larger, smaller and both: each channel is rows times image times columns, clipped."""
    pixels = NOISE[None, :height, :width]
    rows, columns = bicubic(height, size), bicubic(width, size)
    expected = np.einsum("ih,nhwc,jw->nijc", rows, pixels, columns).clip(0, 255)
    np.testing.assert_allclose(images.resize_for_network(pixels, size), expected, rtol=1e-5, atol=1e-4)


def test_resize_exact_of_the_same_size(eight):
    """Nothing to do is nothing done, and no images are no images."""
    np.testing.assert_array_equal(images.resize_for_network(eight, 32), eight.astype(np.float32))
    assert images.resize_for_network(eight[:0], 64).shape == (0, 64, 64, 3)


def test_from_array_greys(eight):
    """(h, w) and (h, w, 1) are the same grey image; (h, w, 3) is taken as it is; slivers are refused."""
    grey = eight[0, :, :, 0]
    np.testing.assert_array_equal(np.asarray(images.from_array(grey)), np.stack([grey] * 3, axis=-1))
    assert images.from_array(grey) == images.from_array(grey[..., None])
    np.testing.assert_array_equal(np.asarray(images.from_array(eight[0])), eight[0])
    with pytest.raises(images.UnreadableImage, match="3x32 is too small"):
        images.from_array(np.zeros((32, 3), np.uint8))


def test_grid_by_hand():
    """Three 1x1 images, doubled, gap 1: two columns of 2 + 1 + 2 pixels, and white where the fourth would be."""
    tiles = np.array([10, 20, 30], np.uint8)[:, None, None, None].repeat(3, axis=-1)
    expected = [
        [10, 10, 255, 20, 20],
        [10, 10, 255, 20, 20],
        [255, 255, 255, 255, 255],
        [30, 30, 255, 255, 255],
        [30, 30, 255, 255, 255],
    ]
    np.testing.assert_array_equal(images.make_grid(tiles, gap=1, scale=2), np.stack([expected] * 3, axis=-1))


@pytest.mark.parametrize("columns", [None, 1, 3, 8])
@pytest.mark.parametrize("gap", [0, 2])
@pytest.mark.parametrize("scale", [1, 3])
def test_ungrid_is_the_inverse(eight, columns, gap, scale):
    """What `grid` lays out, `ungrid` takes apart again, whatever the layout."""
    picture = images.make_grid(eight[:7], columns, gap=gap, scale=scale)
    np.testing.assert_array_equal(images.split_grid(picture, 32, 7, columns, gap=gap, scale=scale), eight[:7])


def test_ungrid_refuses_another_layout(eight):
    """A picture of other dimensions is an error and not a set of wrong images."""
    with pytest.raises(ValueError, match="is not 3x3 images of 32x32"):
        images.split_grid(images.make_grid(eight[:4]), 32, 9)


@pytest.mark.parametrize(("size", "scale"), [(16, 3), (20, 3), (24, 2), (28, 2), (32, 2), (44, 2), (48, 1), (128, 1)])
def test_enlargement(size, scale):
    """A face in a grid is at least 48 pixels wide, by the smallest whole factor."""
    assert images.display_scale(size) == scale
    assert size * scale >= 48 and size * (scale - 1) < 48


def test_png_round_trip(tmp_path, eight):
    """A PNG gives back exactly what was saved."""
    images.write_png(tmp_path / "new" / "a.png", eight[0])
    np.testing.assert_array_equal(images.read_png(tmp_path / "new" / "a.png"), eight[0])
