"""Color profiles: converts images to sRGB by the ICC profile in their file.

convert = find_conversion(image.info["icc_profile"])  # None: nothing to do
if convert and convert.mode == image.mode:
    image = convert(image)
"""

import functools
import io
from typing import NamedTuple

import numpy as np
from PIL import Image

MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # color space of a profile -> Pillow's mode of its images
NEARLY = 2  # of 255: how far colors move where a profile counts as sRGB
CACHED = 16  # profiles; a camera has one, and that of a printer takes a megabyte


class Conversion(NamedTuple):
    """A conversion of images of one of `MODES` to RGB; several threads may use it at once."""

    mode: str
    transform: object

    def __call__(self, image: Image.Image) -> Image.Image:
        from PIL import ImageCms

        return ImageCms.applyTransform(image, self.transform)


@functools.lru_cache(CACHED)
def find_conversion(profile: bytes) -> Conversion | None:
    """Returns the conversion to sRGB, or None where the profile is that of sRGB or cannot be read."""
    from PIL import ImageCms  # only where an image has a profile

    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = MODES[opened.profile.xcolor_space]
        # Without the cache of the last color, which threads would share.
        transform = ImageCms.buildTransform(opened, _srgb(), mode, "RGB", flags=ImageCms.Flags.NOCACHE)
        conversion = Conversion(mode, transform)
        return None if mode != "CMYK" and _changes_nothing(conversion) else conversion
    except Exception:  # damaged profiles raise several kinds of exception, and some builds of Pillow have no ImageCms
        return None


@functools.cache
def _srgb():
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _changes_nothing(conversion: Conversion) -> bool:
    """Tests a conversion on 9 x 9 x 9 colors, or all grays."""
    if conversion.mode == "L":
        colors = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    else:
        levels = np.linspace(0, 255, 9).astype(np.uint8)
        colors = Image.fromarray(np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3))
    before, after = (np.asarray(image.convert("RGB"), int) for image in (colors, conversion(colors)))
    return np.abs(after - before).max() <= NEARLY
