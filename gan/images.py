"""Images: float32 (n, h, w, c) in [-1, 1] inside the program, uint8 at its edges; reading, cropping, grids.

    images = to_float(uint8_images)
    write_png("samples.png", make_grid(to_uint8(fake)))

`to_float` and `to_uint8` are the only two conversions between the two forms.
"""

import io
import math
import os
import warnings
from collections.abc import Container
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from gan import files

MIN_SIDE = 8
CELEBA_SIZE, CELEBA_CROP = (178, 218), 108  # the face in CelebA's aligned photographs
# Named one by one because Pillow also knows formats that run other programs (EPS calls Ghostscript).
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")

# Pillow refuses 180 million pixels and only warns of 90 million: no photograph of a face, either.
warnings.simplefilter("error", Image.DecompressionBombWarning)


class UnreadableImage(Exception):
    """An image cannot be used; the message is the reason, in a few words."""


class ImageInfo(NamedTuple):
    """How an image was stored: the name of its mode in Pillow, and (width, height) as a viewer shows it."""

    mode: str
    size: tuple[int, int]


def to_float(images):
    """0..255 -> [-1, 1], for float arrays and tensors alike."""
    return images / 127.5 - 1


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Floats in [-1, 1] -> uint8 0..255, clipped and rounded."""
    return np.clip(np.round((np.asarray(images) + 1) * 127.5), 0, 255).astype(np.uint8)


def read_image(file: bytes | str | os.PathLike) -> tuple[Image.Image, ImageInfo, bytes]:
    """The image in a file or in its bytes, upright, RGB, transparency on white; how it was stored; the bytes.

    Raises `Unreadable`.
    """
    try:
        content = file if isinstance(file, bytes) else Path(file).read_bytes()
        return *_decode(io.BytesIO(content)), content
    except UnreadableImage:
        raise
    except Exception as error:  # decoders answer bad bytes with nearly every kind of exception
        raise UnreadableImage(_reason(error)) from error


def from_array(pixels: np.ndarray) -> Image.Image:
    """uint8 (h, w), (h, w, 1) or (h, w, 3) -> RGB image. Raises `Unreadable` when it is too small."""
    _require_size(pixels.shape[1], pixels.shape[0])
    grey = pixels.ndim == 3 and pixels.shape[-1] == 1
    return Image.fromarray(pixels[..., 0] if grey else pixels).convert("RGB")


def crop_square(image: Image.Image, crop: int = 0) -> Image.Image:
    """The center `crop` x `crop` of an image. 0 is the largest square, or the face of a CelebA photograph.

    Raises `Unreadable` when the image is smaller than `crop`.
    """
    width, height = image.size
    side = crop or (CELEBA_CROP if image.size == CELEBA_SIZE else min(image.size))
    if side > min(image.size):
        raise UnreadableImage(f"{width}x{height} is smaller than the crop of {side}")
    left, top = (width - side) // 2, (height - side) // 2
    return image.crop((left, top, left + side, top + side))


def describe_crop(crop: int, sizes: Container[str]) -> str:
    """What `square` cuts out of images of these sizes ("178x218"), for a person."""
    if crop:
        return f"center {crop}x{crop}"
    return "center square (108x108 of 178x218)" if "178x218" in sizes else "center square"


def resize_image(image: Image.Image, size: int) -> Image.Image:
    """`size` x `size` pixels, bilinear over the whole area that a pixel covers: shrinking leaves no jags."""
    return image.resize((size, size), Image.Resampling.BILINEAR)


def resize_for_network(images: np.ndarray, size: int) -> np.ndarray:
    """uint8 (n, h, w, 3) -> float32 (n, size, size, 3) in 0..255, not rounded: for feature extractors.

    Bicubic over the whole area that a pixel covers, each channel apart as floats. arXiv:2104.11222, "clean".
    """
    resized = np.empty((len(images), size, size, 3), np.float32)
    # One after the other: threads were slower, for each call is too short (500 images 32 -> 299 in 2 to 4 seconds).
    for image, target in zip(images, resized, strict=True):
        for channel in range(3):
            plane = Image.fromarray(image[..., channel].astype(np.float32))
            target[..., channel] = plane.resize((size, size), Image.Resampling.BICUBIC)
    return np.clip(resized, 0, 255, out=resized)


def make_grid(images: np.ndarray, columns: int | None = None, *, gap: int = 2, scale: int = 1) -> np.ndarray:
    """uint8 (n, h, w, 3) -> one picture (H, W, 3), row by row, nearly square unless `columns` is given.

    Each pixel becomes `scale` x `scale`; between the tiles lie `gap` white pixels; missing tiles are white.
    """
    n, height, width, _ = images.shape
    rows, columns = _layout(n, columns)
    height, width = height * scale, width * scale
    tiles = np.full((rows * columns, height + gap, width + gap, 3), 255, np.uint8)
    tiles[:n, :height, :width] = images.repeat(scale, axis=1).repeat(scale, axis=2)
    sheet = tiles.reshape(rows, columns, height + gap, width + gap, 3).swapaxes(1, 2)
    sheet = sheet.reshape(rows * (height + gap), columns * (width + gap), 3)
    return sheet[: len(sheet) - gap, : sheet.shape[1] - gap]


def split_grid(
    picture: np.ndarray, size: int, count: int, columns: int | None = None, *, gap: int = 2, scale: int = 1
) -> np.ndarray:
    """The `count` images (n, size, size, 3) that `grid` laid out with the same columns, gap and scale."""
    rows, columns = _layout(count, columns)
    step = size * scale + gap
    padded = np.pad(picture, ((0, gap), (0, gap), (0, 0)))
    if padded.shape != (rows * step, columns * step, 3):
        raise ValueError(f"a picture of shape {picture.shape} is not {rows}x{columns} images of {size}x{size}")
    tiles = padded.reshape(rows, step, columns, step, 3).swapaxes(1, 2).reshape(-1, step, step, 3)
    return tiles[:count, : size * scale : scale, : size * scale : scale]


def display_scale(size: int) -> int:
    """How many pixels a face's pixel takes a side, in a grid."""
    return max(1, math.ceil(48 / size))


def write_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Saves uint8 (h, w, 3) as a PNG that is whole or absent."""
    with files.atomic_write(path) as file:
        Image.fromarray(image).save(file, "PNG")


def read_png(path: str | os.PathLike) -> np.ndarray:
    """A PNG -> uint8 (h, w, 3). Raises `Unreadable`."""
    return np.asarray(read_image(path)[0])


def _decode(stream) -> tuple[Image.Image, ImageInfo]:
    if not stream.read(1):
        raise UnreadableImage("empty file")
    stream.seek(0)
    with Image.open(stream, formats=FORMATS) as image:
        _require_size(*image.size)
        upright = ImageOps.exif_transpose(image)
        return _rgb(upright), ImageInfo(image.mode, upright.size)


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode -> RGB. Deep grey is scaled, where Pillow's own conversion may clip it at 255."""
    if image.mode.startswith("I"):
        return _grey(np.asarray(image) / 257)
    if image.mode == "F":
        values = np.asarray(image)
        return _grey(values * 255 if values.max() <= 1 else values)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _grey(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.round(values), 0, 255).astype(np.uint8)).convert("RGB")


def _require_size(width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE:
        raise UnreadableImage(f"{width}x{height} is too small; {MIN_SIDE} pixels is the least")


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, FileNotFoundError):
        return "no such file, or a broken link"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "too many pixels"
    if "truncated" in str(error).lower():
        return "truncated"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return f"damaged: {error}".splitlines()[0]


def _layout(count: int, columns: int | None) -> tuple[int, int]:
    columns = columns or math.ceil(math.sqrt(count))
    return math.ceil(count / columns), columns
