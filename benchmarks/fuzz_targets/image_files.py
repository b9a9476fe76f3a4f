"""Images: files of all formats, and the grids of a run."""

import io
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageCms, ImageFile, features

from benchmarks.fuzz_targets.target import SIZE
from gan import images
from gan.runs.run_directory import Run


def make_image(random: Random) -> dict[str, bytes]:
    """An image of a random format, mode and size, with metadata where the format has them."""
    name, modes, choices = random.choice(IMAGE_FORMATS)
    width, height = random.choice(((16, 16), (24, 17), (40, 33), (178, 218)))
    mode = random.choice(modes)
    pixels = np.random.default_rng(random.randrange(100)).integers(0, 256, (height, width, 4), np.uint8)
    image = Image.fromarray(pixels).convert("RGB")
    if mode in ("I;16", "I", "F"):
        image = Image.fromarray(pixels[..., 0].astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]) * 200)
    elif mode in ("RGBA", "LA", "PA"):
        image = Image.fromarray(pixels).convert(mode)
    else:
        image = image.convert(mode)
    options = {key: random.choice(values) for key, values in choices.items()}
    if random.random() < 0.5 and name in ("JPEG", "PNG", "WEBP", "TIFF"):
        exif = Image.Exif()
        exif[0x0112] = random.choice((1, 3, 6, 8))
        exif[0x010E] = "a face"
        options |= {"exif": exif, "icc_profile": ICC}
    if options.pop("frames", 1) > 1:
        options |= {"save_all": True, "append_images": [image, image]}
    if mode == "P" and random.random() < 0.5:
        options["transparency"] = 3
    file = io.BytesIO()
    image.save(file, name, **options)
    return {f"face.{'png' if name == 'PNG' else name.lower()}": file.getvalue()}


ImageFile.MAXBLOCK = 1 << 20  # bytes: Pillow cannot write some small JPEGs with its default
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TIFF_COMPRESSION = (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma")
IMAGE_FORMATS = (
    ("JPEG", ("L", "RGB", "CMYK"), {"progressive": (False, True), "quality": (50, 95), "subsampling": (0, 2)}),
    ("JPEG", ("RGB",), {"restart_marker_blocks": (0, 3)}),
    ("PNG", ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), {"optimize": (False, True), "frames": (1, 3)}),
    ("WEBP", ("RGB", "RGBA"), {"lossless": (False, True), "frames": (1, 3), "method": (0,)}),
    ("GIF", ("L", "P", "RGB"), {"frames": (1, 3), "interlace": (0, 1)}),
    ("BMP", ("1", "L", "P", "RGB", "RGBA"), {}),
    ("TIFF", ("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"), {"frames": (1, 3)}),
    ("TIFF", ("L", "RGB"), {"compression": TIFF_COMPRESSION}),
    ("PPM", ("1", "L", "RGB", "I;16", "F"), {}),
    *([("AVIF", ("RGB", "RGBA"), {"speed": (10,)})] if features.check("avif") else []),
)  # fmt: skip


def read_image(folder: Path) -> None:
    """Reads an image as every command does: as RGB, upright, with its size."""
    image, info, content = images.read_image(next(folder.glob("face.*")))
    assert image.mode == "RGB" and min(image.size) >= images.MIN_SIDE and info.size == image.size, (image, info)
    assert isinstance(content, bytes) and isinstance(info.mode, str)
    square = images.crop_square(image)
    pixels = np.asarray(images.resize_image(square, SIZE))
    assert pixels.shape == (SIZE, SIZE, 3) and pixels.dtype == np.uint8


def make_grids(random: Random) -> dict[str, bytes]:
    """The grids of a run."""
    pictures = {}
    for i in range(3):
        file = io.BytesIO()
        samples = np.full((4, SIZE, SIZE, 3), 40 * i, np.uint8)
        Image.fromarray(images.make_grid(samples, scale=images.display_scale(SIZE))).save(file, "PNG")
        pictures[f"{i:06d}.png"] = file.getvalue()
    return pictures


def collect_grids(folder: Path) -> None:
    """Collects the samples of all grids; damaged ones are left out."""
    Run(folder).grids.save_samples(SIZE, 4)
    with np.load(folder / "samples.npz") as found:
        assert found["images"].shape == (len(found["iterations"]), 4, SIZE, SIZE, 3), found["images"].shape
        assert found["images"].dtype == np.uint8 and set(found["iterations"]) <= {0, 1, 2}
