"""Animations: frames to a GIF, an animated WebP or an MP4 file, chosen by the file's suffix.

save(Path("walk.gif"), frames, seconds=0.05)  # uint8 (t, h, w, 3), 20 frames a second
"""

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gan.errors import UsageError
from gan.files import atomic_write

SUFFIXES = (".gif", ".webp", ".mp4")
CAPTION_HEIGHT, FONT_SIZE = 24, 15  # in pixels


def check_suffix(path: Path) -> None:
    """Raises UsageError where a file of this name cannot be written here; call it before long work."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path.name}: its name must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if path.suffix.lower() == ".mp4" and importlib.util.find_spec("av") is None:
        raise UsageError(f"{path.name}: MP4 needs PyAV: pip install av. A .gif or .webp needs nothing more.")


def save(path: Path, frames: np.ndarray, seconds: float) -> None:
    """Writes frames, uint8 (t, h, w, 3), each for some seconds, as an endless loop. Raises as `check_suffix` does."""
    check_suffix(path)
    with atomic_write(path) as file:
        file.write(encode(frames, path.suffix.lower(), seconds))


def encode(frames: np.ndarray, suffix: str, seconds: float) -> bytes:
    """Encodes frames, uint8 (t, h, w, 3), each for some seconds, as a file of one of `SUFFIXES`."""
    import imageio.v3 as iio

    if suffix == ".mp4":
        even = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]  # the codec halves colors' resolution
        return iio.imwrite("<bytes>", even, extension=suffix, plugin="pyav", codec="libx264", fps=round(1 / seconds, 3))
    # WebP counts milliseconds and GIF tens of them; times are rounded so that the total is right.
    tick = 10 if suffix == ".gif" else 1
    times = np.round(np.arange(len(frames) + 1) * 1000 * seconds / tick).astype(int) * tick
    options = {"quality": 85, "method": 4} if suffix == ".webp" else {}
    return iio.imwrite(
        "<bytes>", frames, extension=suffix, plugin="pillow", duration=np.diff(times).tolist(), loop=0, **options
    )


def add_caption(image: np.ndarray, text: str) -> np.ndarray:
    """Adds a white strip with a line of text below an image: uint8 (h, w, 3) -> (h + CAPTION_HEIGHT, w, 3)."""
    strip = Image.new("RGB", (image.shape[1], CAPTION_HEIGHT), "white")
    font = ImageFont.load_default(size=FONT_SIZE)
    ImageDraw.Draw(strip).text((4, CAPTION_HEIGHT // 2), text, "black", font, anchor="lm")
    return np.concatenate([image, np.asarray(strip)])


def enlarge(images: np.ndarray, scale: int, smooth: bool) -> np.ndarray:
    """Enlarges uint8 (n, h, w, 3) to (n, scale * h, scale * w, 3): smoothly, or each pixel to a square."""
    if scale == 1:
        return images
    if not smooth:
        return images.repeat(scale, axis=1).repeat(scale, axis=2)
    size = (images.shape[2] * scale, images.shape[1] * scale)
    return np.stack([np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)) for image in images])
