import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from color_profile_files import DISPLAY_P3, make_ink_profile, make_profile
from PIL import Image, ImageCms, features

from gan.image_files.color_profiles import find_conversion
from gan.images import has_heif, open_image, read_image

PROFILE = make_profile()
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# XYZ (D50) to linear sRGB, by Bradford: http://www.brucelindbloom.com/index.html?Eqn_RGB_XYZ_Matrix.html
TO_SRGB = np.array(
    [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]]
)


def convert_by_hand(colors):
    """Display P3 to sRGB, 0 to 255, by the two matrices and the curve of sRGB, IEC 61966-2-1."""
    values = np.asarray(colors) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    linear = (TO_SRGB @ np.array(DISPLAY_P3).T @ linear[..., None])[..., 0].clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def encode(image, format="PNG", **options):
    """Encodes an image as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "color", [(0, 0, 0), (255, 255, 255), (128, 128, 128), (200, 100, 50), (90, 160, 120), (255, 0, 0)]
)
def test_display_p3(color):
    """Colors become what the matrices say; grays stay, and red of the larger space is clipped."""
    found = find_conversion(PROFILE)(Image.new("RGB", (1, 1), color)).getpixel((0, 0))
    assert np.abs(found - convert_by_hand(color)).max() <= 1


def test_photographs_are_not_dull():
    """In files of all formats a color of Display P3 is more vivid than its numbers, also beside transparency."""
    expected = convert_by_hand((200, 100, 50))
    image = Image.new("RGB", (16, 16), (200, 100, 50))
    files = [encode(image, format, icc_profile=PROFILE, **options) for format, options in (
        ("PNG", {}), ("TIFF", {}), ("JPEG", {"quality": 100}), ("WEBP", {"lossless": True}),
    )]  # fmt: skip
    files += [encode(each, icc_profile=PROFILE) for each in (image.convert("RGBA"), image.quantize(4))]
    files += [encode(image, "AVIF", quality=100, icc_profile=PROFILE)] if features.check("avif") else []
    if has_heif():
        import pillow_heif

        buffer, image.info["icc_profile"] = io.BytesIO(), PROFILE
        pillow_heif.from_pillow(image.resize((64, 64))).save(buffer, quality=100)
        files.append(buffer.getvalue())
    for data in files:
        rgb, _, content = read_image(data)
        assert np.abs(np.subtract(rgb.getpixel((8, 8)), expected)).max() <= 3 and content == data
    assert np.ptp(expected) > 180 > np.ptp((200, 100, 50))


def test_transparent_pixels_are_white():
    """They are so whatever the profile."""
    assert read_image(encode(Image.new("RGBA", (9, 9)), icc_profile=PROFILE))[0].getpixel((4, 4)) == (255, 255, 255)


def test_gray_profiles():
    """A gray image of gamma 1 becomes lighter, as linear light does: 0.5 is 188 in sRGB."""
    data = encode(Image.new("L", (9, 9), 128), icc_profile=make_profile((), (1.0,)))
    assert np.abs(np.array(read_image(data)[0].getpixel((4, 4))) - 188).max() <= 1


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_inks(format):
    """CMYK becomes what its profile says, in which cyan is gray; without a profile, what Pillow makes of it."""
    lab = {(0, 0, 0, 0): (100, 0, 0), (0, 1, 1, 0): (54.3, 80.8, 69.9), (1, 0, 0, 0): (50, 0, 0)}
    profile = make_ink_profile(lab, other=(0, 0, 0))
    for ink, with_profile, without in (
        ((0, 0, 0, 0), (255, 255, 255), (255, 255, 255)),
        ((0, 255, 255, 0), (255, 0, 0), (255, 0, 0)),
        ((255, 0, 0, 0), (119, 119, 119), (0, 255, 255)),
        ((0, 0, 0, 255), (0, 0, 0), (0, 0, 0)),
    ):
        image = Image.new("CMYK", (16, 16), ink)
        for options, expected in (({"icc_profile": profile}, with_profile), ({}, without)):
            found, info, _ = read_image(encode(image, format, **options))
            assert np.abs(np.subtract(found.getpixel((8, 8)), expected)).max() <= 4 and info.mode == "CMYK"


@pytest.mark.parametrize(
    ("mode", "profile"),
    [
        ("RGB", SRGB),
        ("RGB", b""),
        ("RGB", b"no profile"),
        ("RGB", PROFILE[:200]),
        ("RGB", bytes(2000)),
        ("RGB", PROFILE.replace(b"RGB ", b"CMYK", 1)),
        ("RGB", make_profile((), (1.0,))),  # of gray, which the image is not
        ("L", make_profile((), (2.2,)).replace(b"GRAY", b"RGB ", 1)),
    ],
)
def test_profiles_without_effect(mode, profile):
    """Those of sRGB, those that cannot be read, and those of other images leave the pixels as they are."""
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    np.testing.assert_array_equal(read_image(encode(image, icc_profile=profile))[0], image.convert("RGB"))


def test_wide_values_keep_their_range():
    """The profile of an image of 16 bits is not used."""
    deep = Image.fromarray((np.arange(256) * 257).reshape(16, 16).astype(np.uint16))
    plain, *_ = open_image(encode(deep))
    np.testing.assert_array_equal(open_image(encode(deep, icc_profile=PROFILE))[0], plain)


def test_one_conversion_for_all_images_and_threads():
    """A profile is read once; eight threads that use it at once get the same pixels as one."""
    assert find_conversion(PROFILE) is find_conversion(bytes(bytearray(PROFILE)))
    pixels = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
    files = [encode(Image.fromarray(each), icc_profile=PROFILE) for each in pixels]
    read = lambda data: np.asarray(read_image(data)[0])  # noqa: E731
    with ThreadPoolExecutor(8) as pool:
        np.testing.assert_array_equal(list(pool.map(read, files)), [read(data) for data in files])
    assert np.abs(read(files[0]) - convert_by_hand(pixels[0])).max() <= 2
