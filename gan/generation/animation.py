"""Moving pictures: frames into a GIF, an animated WebP or an MP4, by the file's name.

save(Path("walk.gif"), frames, seconds=0.05)  # uint8 (t, h, w, 3)
"""

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gan.errors import UsageError
from gan.files import atomic_write

FORMATS = (".gif", ".webp", ".mp4")
STRIP, LETTERS = 24, 15  # pixels of a caption's strip, and of its letters


def require(path: Path) -> None:
    """Raises UsageError where a file of this name cannot be written here; so that nobody waits in vain."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path.name}: its name must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    if path.suffix.lower() == ".mp4" and importlib.util.find_spec("av") is None:
        raise UsageError(f"{path.name}: MP4 needs PyAV: pip install av. A .gif or .webp needs nothing more.")


def save(path: Path, frames: np.ndarray, seconds: float) -> None:
    """Writes frames, uint8 (t, h, w, 3), each shown for so many seconds, again and again."""
    require(path)
    with atomic_write(path) as file:
        file.write(encode(frames, path.suffix.lower(), seconds))


def encode(frames: np.ndarray, kind: str, seconds: float) -> bytes:
    """The bytes of a file of one of `KINDS`."""
    import imageio.v3 as iio

    if kind == ".mp4":
        even = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]  # the codec halves colours
        return iio.imwrite("<bytes>", even, extension=kind, plugin="pyav", codec="libx264", fps=round(1 / seconds, 3))
    # Milliseconds, a GIF's in tens, rounded so that the whole takes as long as it should.
    tick = 10 if kind == ".gif" else 1
    times = np.round(np.arange(len(frames) + 1) * 1000 * seconds / tick).astype(int) * tick
    options = {"quality": 85, "method": 4} if kind == ".webp" else {}
    return iio.imwrite(
        "<bytes>", frames, extension=kind, plugin="pillow", duration=np.diff(times).tolist(), loop=0, **options
    )


def add_caption(picture: np.ndarray, text: str) -> np.ndarray:
    """A picture, uint8 (h, w, 3), with a white strip below it that says `text`: (h + STRIP, w, 3)."""
    strip = Image.new("RGB", (picture.shape[1], STRIP), "white")
    font = ImageFont.load_default(size=LETTERS)
    ImageDraw.Draw(strip).text((4, STRIP // 2), text, "black", font, anchor="lm")
    return np.concatenate([picture, np.asarray(strip)])


def enlarge(images: np.ndarray, scale: int, smooth: bool) -> np.ndarray:
    """uint8 (n, h, w, 3) -> (n, scale * h, scale * w, 3): each pixel as a square, or smoothly."""
    if scale == 1:
        return images
    if not smooth:
        return images.repeat(scale, axis=1).repeat(scale, axis=2)
    size = (images.shape[2] * scale, images.shape[1] * scale)
    return np.stack([np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)) for image in images])
