"""Images: conversion between uint8 and [-1, 1], reading, cropping and resizing of files, grids.

    images = to_float(uint8_images.astype("float32"))
    write_png("samples.png", make_grid(to_uint8(fake)))

Networks take and return float32 (n, h, w, c) in [-1, 1]; files and the cache hold uint8. `to_float` and
`to_uint8` are the only conversions between them.
"""

import contextlib
import importlib.util
import io
import logging
import math
import os
import textwrap
import warnings
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageDraw, ImageFile, ImageFont, UnidentifiedImageError, features

from gan import files
from gan.image_files import color_profiles, color_tiff, file_kinds, value_range
from gan.image_files.metadata import strip_metadata

MIN_SIDE = 8
MAX_PIXELS = 90_000_000  # default limit of an image file; decoding takes at least three bytes a pixel
LARGEST_FILE = 1 << 30  # bytes; each thread has one in memory
GRID_GAP = 2  # white pixels between the images of a grid
NAME_WIDTH, NAME_GAP = 24, 6  # of the names of its rows: characters in a line, and white pixels around them
CELEBA_SIZE, CELEBA_CROP = (178, 218), 108  # the face in CelebA's aligned photographs
# They are listed, because Pillow also opens formats that run other programs (EPS runs Ghostscript).
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
WIDE_MODES = ("I", "F")  # Pillow's modes of integers and floats, whose range is not known from one image
BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339  # tags of a TIFF
WHITE_IS_ZERO = 0  # a value of `PHOTOMETRIC`
UNSIGNED, SIGNED = 1, 2  # values of `SAMPLE_FORMAT`
PNG_BITS = 24  # where a PNG has the bits of a sample
# Endings of `ImageInfo.mode`.
INVERTED = " with white as zero"
UPPER_BITS = " of 16 bits, of which the upper 8 are read"  # more is not in Pillow
FIRST = ", first of several frames"  # of an animation, or of the pages of a TIFF

# How an image is turned upright: the value of the EXIF tag "orientation" -> Pillow's operation.
ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip

warnings.filterwarnings("ignore", category=UserWarning, module="PIL")  # of damaged metadata, which do not matter
logging.getLogger("PIL").addHandler(logging.NullHandler())  # without one, Python prints what Pillow reports
Image.MAX_IMAGE_PIXELS = None  # `open_image` has a limit of its own, which Pillow only warns of


class UnreadableImage(Exception):
    """An image that cannot be used; the message is the reason, in a few words."""


class ImageInfo(NamedTuple):
    """How an image was stored: Pillow's name of its mode, and (width, height) after it was turned upright."""

    mode: str
    size: tuple[int, int]


def to_float(images):
    """Converts 0..255 to [-1, 1]; takes float arrays and tensors."""
    return images / 127.5 - 1


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Converts floats in [-1, 1] to uint8, rounded and clipped."""
    return np.clip(np.round((np.asarray(images) + 1) * 127.5), 0, 255).astype(np.uint8)


def read_image(file: bytes | str | os.PathLike, max_pixels: int = MAX_PIXELS) -> tuple[Image.Image, ImageInfo, bytes]:
    """Reads an image file as `open_image` does, with values of more than 8 bits scaled to RGB by their own range."""
    image, info, content = open_image(file, max_pixels)
    return scale_by_own_range(image, info), info, content


def open_image(file: bytes | str | os.PathLike, max_pixels: int = MAX_PIXELS) -> tuple[Image.Image, ImageInfo, bytes]:
    """Opens an image file, given as its path or its bytes. Raises UnreadableImage.

    The pixels decide: metadata that cannot be read, or that are too large, are ignored.

    Returns:
        The image, upright; how it was stored; the bytes of the file. The image is RGB, on white where it was
        transparent and in sRGB where it has a color profile, or of one of `WIDE_MODES`, with finite values, for
        `scale_to_rgb`. Where zero is white, these are the negatives of the stored values.
    """
    content = b""
    try:
        content = file if isinstance(file, bytes) else _read_file(Path(file))
        try:
            return *_decode(io.BytesIO(content), max_pixels), content
        except UnreadableImage:
            raise
        except Exception:  # perhaps of metadata that are damaged, or that unpack to megabytes
            if (stripped := strip_metadata(content)) == content:
                raise
            return *_decode(io.BytesIO(stripped), max_pixels), content
    except UnreadableImage:
        raise
    except Exception as error:  # decoders raise nearly every kind of exception for damaged files
        raise UnreadableImage(_describe_error(error, content)) from error


def can_read(kind: file_kinds.Kind) -> bool:
    """Tests whether images of a kind of file can be read here."""
    optional = {"HEIF": has_heif, "AVIF": has_avif}
    return optional[kind.format]() if kind.format in optional else kind.format in FORMATS


def has_heif() -> bool:
    """Tests whether the package that reads HEIC is installed."""
    return importlib.util.find_spec("pillow_heif") is not None


def has_avif() -> bool:
    """Tests whether this build of Pillow reads AVIF."""
    return features.check("avif")


@contextlib.contextmanager
def allow_truncated_files(allowed: bool) -> Iterator[None]:
    """Lets files that are cut off be opened, or not; what is missing of their images is gray or black."""
    before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, allowed
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def scale_to_rgb(image: Image.Image | np.ndarray, limits: value_range.ValueRange | None) -> Image.Image:
    """Converts an image of one of `WIDE_MODES`, or values (h, w, 3), to RGB. Raises UnreadableImage without a range."""
    values = np.asarray(image)
    if limits is None:
        raise UnreadableImage(f"values of {values.min():g} to {values.max():g}, which are in no range known here")
    return Image.fromarray(value_range.scale_to_uint8(values, limits)).convert("RGB")


def scale_by_own_range(image: Image.Image, info: ImageInfo) -> Image.Image:
    """Converts an image to RGB, one of `WIDE_MODES` by its own range. Raises UnreadableImage where it has none."""
    if image.mode not in WIDE_MODES:
        return image
    counts = value_range.count_values(np.asarray(image))
    return scale_to_rgb(image, value_range.find_range(counts, INVERTED in info.mode))


def from_array(pixels: np.ndarray) -> Image.Image:
    """Converts uint8 (h, w), (h, w, 1) or (h, w, 3) to an RGB image. Raises UnreadableImage if it is too small."""
    require_size(pixels.shape[1], pixels.shape[0])
    one_channel = pixels.ndim == 3 and pixels.shape[-1] == 1
    return Image.fromarray(pixels[..., 0] if one_channel else pixels).convert("RGB")


def require_size(width: int, height: int) -> None:
    """Raises UnreadableImage for an image with a side of fewer than `MIN_SIDE` pixels."""
    if min(width, height) < MIN_SIDE:
        raise UnreadableImage(f"{width}x{height} is too small; {MIN_SIDE} pixels is the minimum")


def require_few_pixels(width: int, height: int, limit: int) -> None:
    """Raises UnreadableImage for an image of more pixels than `limit`."""
    if width * height > limit:
        raise UnreadableImage(f"{width * height:,} pixels, more than the limit of {limit:,}")


def require_finite(values: np.ndarray) -> None:
    """Raises UnreadableImage where values are NaN or infinite."""
    if not np.isfinite(values).all():
        raise UnreadableImage("NaN or infinity among its values")


def crop_square(image: Image.Image, crop: int = 0) -> Image.Image:
    """Cuts out the center `crop` x `crop`; 0: the largest square, or the face of an aligned CelebA photograph.

    Raises UnreadableImage if the image is smaller than `crop`.
    """
    width, height = image.size
    side = crop or (CELEBA_CROP if image.size == CELEBA_SIZE else min(image.size))
    if side > min(image.size):
        raise UnreadableImage(f"{width}x{height} is smaller than the crop of {side}")
    left, top = (width - side) // 2, (height - side) // 2
    return image.crop((left, top, left + side, top + side))


def describe_crop(crop: int, sizes: Container[str]) -> str:
    """Describes what `crop_square` cuts out of images of these sizes, such as "178x218"."""
    if crop:
        return f"center {crop}x{crop}"
    return "center square (108x108 of 178x218)" if "178x218" in sizes else "center square"


def resize_image(image: Image.Image, size: int) -> Image.Image:
    """Resizes to `size` x `size`, bilinear and antialiased."""
    return image.resize((size, size), Image.Resampling.BILINEAR)


def resize_for_network(images: np.ndarray, size: int) -> np.ndarray:
    """Resizes images for feature extractors, bicubic and antialiased, without rounding. arXiv:2104.11222, "clean".

    Arguments:
        images: uint8 (n, h, w, 3).

    Returns:
        float32 (n, size, size, 3) in 0..255.
    """
    resized = np.empty((len(images), size, size, 3), np.float32)
    # Not in threads, which were slower, as each call is too short: 500 images from 32 to 299 take 2 to 4 seconds.
    for image, target in zip(images, resized, strict=True):
        for channel in range(3):
            plane = Image.fromarray(image[..., channel].astype(np.float32))
            target[..., channel] = plane.resize((size, size), Image.Resampling.BICUBIC)
    return np.clip(resized, 0, 255, out=resized)


def make_grid(images: np.ndarray, columns: int | None = None, *, gap: int = GRID_GAP, scale: int = 1) -> np.ndarray:
    """Arranges images uint8 (n, h, w, 3) in a grid (H, W, 3), row by row.

    Arguments:
        columns: images in a row; None: as many as make the grid nearly square.
        gap: white pixels between images.
        scale: each pixel becomes `scale` x `scale`.
    """
    n, height, width, _ = images.shape
    rows, columns = _count_rows_and_columns(n, columns)
    height, width = height * scale, width * scale
    tiles = np.full((rows * columns, height + gap, width + gap, 3), 255, np.uint8)
    tiles[:n, :height, :width] = images.repeat(scale, axis=1).repeat(scale, axis=2)
    sheet = tiles.reshape(rows, columns, height + gap, width + gap, 3).swapaxes(1, 2)
    sheet = sheet.reshape(rows * (height + gap), columns * (width + gap), 3)
    return sheet[: len(sheet) - gap, : sheet.shape[1] - gap]


def name_rows(grid: np.ndarray, names: Sequence[str], gap: int = GRID_GAP) -> np.ndarray:
    """Writes a name beside each row of a grid, on white at its left: uint8 (h, w, 3) -> (h, margin + w, 3)."""
    if not names:
        return grid
    step = (len(grid) + gap) / len(names)
    font = ImageFont.load_default(size=max(8, min(14, round(step / 5))))
    names = [textwrap.fill(name, NAME_WIDTH) for name in names]
    longest = max(font.getlength(line) for name in names for line in name.split("\n"))
    margin = math.ceil(longest) + 2 * NAME_GAP
    strip = Image.new("RGB", (margin, len(grid)), "white")
    draw = ImageDraw.Draw(strip)
    for i, name in enumerate(names):
        draw.multiline_text(
            (margin - NAME_GAP, (i + 0.5) * step - gap / 2), name, "black", font, anchor="rm", align="right"
        )
    return np.concatenate([np.asarray(strip), grid], axis=1)


def split_grid(
    picture: np.ndarray, size: int, count: int, columns: int | None = None, *, gap: int = GRID_GAP, scale: int = 1
) -> np.ndarray:
    """Inverts `make_grid`, and `name_rows`: returns its `count` images of side `size`.

    Raises ValueError for another layout.
    """
    rows, columns = _count_rows_and_columns(count, columns)
    step = size * scale + gap
    picture = picture[:, max(0, picture.shape[1] - columns * step + gap) :]
    padded = np.pad(picture, ((0, gap), (0, gap), (0, 0)))
    if padded.shape != (rows * step, columns * step, 3):
        raise ValueError(f"a picture of shape {picture.shape} is not {rows}x{columns} images of {size}x{size}")
    tiles = padded.reshape(rows, step, columns, step, 3).swapaxes(1, 2).reshape(-1, step, step, 3)
    return tiles[:count, : size * scale : scale, : size * scale : scale]


def display_scale(size: int) -> int:
    """Returns the smallest scale at which an image in a grid is at least 48 pixels wide."""
    return max(1, math.ceil(48 / size))


def write_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes uint8 (h, w, 3) as a PNG, atomically."""
    with files.atomic_write(path) as file:
        Image.fromarray(image).save(file, "PNG")


def read_png(path: str | os.PathLike) -> np.ndarray:
    """Reads a PNG as uint8 (h, w, 3). Raises UnreadableImage."""
    return np.asarray(read_image(path)[0])


def _read_file(path: Path) -> bytes:
    if path.stat().st_size > LARGEST_FILE:
        raise UnreadableImage(f"more than {LARGEST_FILE >> 20:,} MB")
    return path.read_bytes()


def _decode(stream: io.BytesIO, max_pixels: int) -> tuple[Image.Image, ImageInfo]:
    head = stream.read(file_kinds.HEAD)
    if not head:
        raise UnreadableImage("empty file")
    if not head.strip(b"\0"):
        raise UnreadableImage("its bytes are all zero")
    if split := color_tiff.split_colors(stream.getvalue()):
        return _decode_split(split, max_pixels)
    stream.seek(0)
    if file_kinds.identify(head).format == "HEIF" and has_heif():
        import pillow_heif

        pillow_heif.register_heif_opener()
    with Image.open(stream, formats=[*FORMATS, *(["HEIF"] if "HEIF" in Image.OPEN else [])]) as image:
        width, height = image.size
        require_size(width, height)
        require_few_pixels(width, height, max_pixels)
        upright = _turn_upright(image)
        tags = image.tag_v2 if image.format == "TIFF" else {}
        white_is_zero = tags.get(PHOTOMETRIC) == WHITE_IS_ZERO
        (sample_format, *_) = tags.get(SAMPLE_FORMAT, (0,))
        decoded = _to_rgb_or_wide(_correct_sign(upright, sample_format), white_is_zero)
        mode = image.mode
        if decoded.mode in WIDE_MODES:
            mode += (" signed" if image.mode == "L" else "") + (INVERTED if white_is_zero else "")
        elif 16 in (head[PNG_BITS] if image.format == "PNG" else 0, *tags.get(BITS_PER_SAMPLE, ())):
            mode += UPPER_BITS
        return decoded, ImageInfo(mode + _mark_first(image), upright.size)


def _decode_split(split: color_tiff.SplitColors, max_pixels: int) -> tuple[Image.Image, ImageInfo]:
    """Decodes colors of floats, by the range of the values of this image, or of 16 bits."""
    grays = [Image.open(io.BytesIO(content), formats=["TIFF"]) for content in split.grays]
    width, height = grays[0].width * len(grays) // 3, grays[0].height
    require_size(width, height)
    require_few_pixels(width, height, max_pixels)
    values = np.concatenate([np.asarray(gray).reshape(height, width, -1) for gray in grays], axis=-1)
    if values.dtype == np.float32:
        require_finite(values)
        found = value_range.find_range(value_range.count_values(values))
        image = scale_to_rgb(values, found)
        mode = f"RGB of float32, read as {found.name}"
    else:
        image, mode = Image.fromarray((values >> 8).astype(np.uint8)), f"RGB{UPPER_BITS}"
    image.info = grays[0].info
    image = _to_rgb_or_wide(image, white_is_zero=False)
    operation = ORIENTATIONS.get(split.orientation)
    image = image if operation is None else image.transpose(operation)
    return image, ImageInfo(mode + _mark_first(grays[0]), image.size)


def _mark_first(image: Image.Image) -> str:
    """Returns `FIRST` where a file has further images, of which none is read; those of an MPO are previews."""
    try:
        return FIRST if image.format != "MPO" and getattr(image, "is_animated", False) else ""
    except Exception:  # what follows the first image may be damaged
        return ""


def _turn_upright(image: Image.Image) -> Image.Image:
    """Turns an image as its metadata say, as far as these can be read."""
    image.load()  # which turns a TIFF, and removes its orientation
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
        operation = ORIENTATIONS.get(orientation)
    except Exception:  # damaged metadata raise nearly every kind of exception
        operation = None
    return image if operation is None else image.transpose(operation)


def _correct_sign(image: Image.Image, sample_format: int) -> Image.Image:
    """Corrects values of TIFFs that Pillow takes for unsigned, or refuses those that it takes for signed."""
    if image.mode == "L" and sample_format == SIGNED:
        return Image.fromarray(np.asarray(image).view(np.int8).astype(np.int32))
    if image.mode == "I" and sample_format == UNSIGNED and (np.asarray(image) < 0).any():
        raise UnreadableImage("values of more than 31 bits")
    return image


def _to_rgb_or_wide(image: Image.Image, white_is_zero: bool) -> Image.Image:
    """Converts any mode to RGB, or to one of `WIDE_MODES`, where Pillow's own conversion may clip values at 255."""
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)
        require_finite(values)
        values = values.astype(np.float32 if image.mode == "F" else np.int32)
        return Image.fromarray(-values if white_is_zero else values)
    profile = image.info.get("icc_profile")
    convert = color_profiles.find_conversion(profile) if profile else None
    if image.has_transparency_data:
        image = _put_on_white(image)
    elif convert and convert.mode == image.mode:
        return convert(image)
    else:
        image = image.convert("RGB")
    return convert(image) if convert and convert.mode == "RGB" else image


def _put_on_white(image: Image.Image) -> Image.Image:
    """Converts an image with transparency to RGB, on white.

    The bytes are those of `Image.alpha_composite`, which takes two more images of four bytes a pixel.
    """
    image = image if image.mode == "RGBA" else image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return white


def _describe_error(error: Exception, content: bytes) -> str:
    if isinstance(error, UnidentifiedImageError):
        kind = file_kinds.identify(content[: file_kinds.HEAD])
        if can_read(kind):
            return f"{kind.name} that is damaged, or of a variant that is not read here"
        return "not an image" if kind == file_kinds.UNKNOWN else file_kinds.describe(kind)
    if isinstance(error, FileNotFoundError):
        return "no such file, or a broken link"
    if "truncated" in str(error).lower():
        return "truncated"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if "end of file" in str(error).lower():  # of libheif, which --allow-truncated does not change
        return "cut off"
    return f"damaged: {error}".splitlines()[0]


def _count_rows_and_columns(count: int, columns: int | None) -> tuple[int, int]:
    columns = columns or math.ceil(math.sqrt(count))
    return math.ceil(count / columns), columns
